import type { Socket } from 'node:net';
import { Connection, overConnections } from '../bench/http.ts';
import { say } from '../e2e/world.ts';
import type { Attack, Target } from './attack.ts';
import { residentMiB } from './baseline.ts';
import { dial, frame, happens, head, inTurn, openSocket, sleep, talk, upgrade } from './raw-client.ts';

const reset = (socket: Socket): void => {
  socket.resetAndDestroy();
};

const idle: Attack = {
  name: 'idle connections',
  what: 'thousands of connections on which nothing, or one request, ever came, and sockets that say nothing',
  settleMs: 15_000,
  run: async (target) => {
    const held: Socket[] = [];
    await inTurn(target.size(900, 8_000), 200, async (i) => {
      const socket = await dial(target.port);
      socket.resume();
      held.push(socket);
      if (i % 3 === 1) socket.write(head(target, 'GET /health'));
      if (i % 3 === 2) socket.write(upgrade(target, target.sessionId));
    });
    await sleep(target.size(500, 5_000));
    for (const socket of held) socket.destroy();
    return [];
  },
};

/** What a client may have done when it goes, one way after another. */
const LEAVING: ((socket: Socket, target: Target) => void | Promise<void>)[] = [
  (socket) => reset(socket),
  (socket) => void socket.end(),
  (socket, t) => {
    socket.write(head(t, 'GET /v3/sessions').slice(0, 40));
    reset(socket);
  },
  (socket, t) => {
    socket.write(head(t, 'GET /v3/sessions?limit=50'));
    reset(socket);
  },
  async (socket, t) => {
    socket.write(head(t, 'GET /v3/sessions?limit=50'));
    await sleep(1);
    reset(socket);
  },
  async (socket, t) => {
    socket.write(head(t, 'POST /v3/sessions/nobody/turns', 'Content-Type: application/json\r\nContent-Length: 50\r\n'));
    socket.write('{"clientId":');
    await sleep(1);
    socket.destroy();
  },
  async (socket, t) => {
    socket.resume();
    socket.write(head(t, 'GET /v3/metrics'));
    await happens(socket, ['data', 'close']);
    socket.destroy();
  },
];

const SOCKET_LEAVING: typeof LEAVING = [
  (socket, t) => {
    socket.write(upgrade(t, t.sessionId, 'afterSeq=0'));
    reset(socket);
  },
  async (socket, t) => {
    socket.write(upgrade(t, t.sessionId, 'afterSeq=0'));
    await sleep(1);
    reset(socket);
  },
  async (socket, t) => {
    socket.write(upgrade(t, t.sessionId, 'afterSeq=0'));
    await happens(socket, ['data', 'close']);
    socket.destroy();
  },
  async (socket, t) => {
    socket.write(upgrade(t, t.sessionId));
    await happens(socket, ['data', 'close']);
    socket.write(frame(0x88, Buffer.from([3, 232])));
    await happens(socket, ['end', 'close']);
    socket.destroy();
  },
  (socket, t) => {
    socket.write(upgrade({ ...t, token: 'wrong' }, t.sessionId));
    socket.end();
  },
];

const drops = (name: string, what: string, ways: typeof LEAVING): Attack => ({
  name,
  what,
  run: async (target) => {
    let failed = 0;
    await inTurn(target.size(1_000, 10_000), 64, async (i) => {
      const socket = await dial(target.port).catch(() => null);
      if (socket === null) failed += 1;
      else await ways[i % ways.length]?.(socket, target);
    });
    return failed > 0 ? [`${failed} connections were refused`] : [];
  },
});

const attaching: Attack = {
  name: 'attach and detach',
  what: 'thousands of attachments to one session, some in the middle of their replay, some watched by others',
  run: async (target) => {
    let short = 0;
    await inTurn(target.size(1_000, 10_000), 64, async (i) => {
      const query =
        i % 4 === 0 ? 'afterSeq=0' : i % 4 === 1 ? 'afterSeq=0&features=presence' : 'afterSeq=1000000&role=observer';
      const until = i % 2 ? 'HTTP/1.1 101' : '"seq":1,';
      const wanted = query.startsWith('afterSeq=0') ? until : 'HTTP/1.1 101';
      const { text } = await talk(target.port, [upgrade(target, target.sessionId, query)], {
        waitMs: 20_000,
        enough: (t) => t.includes(wanted),
      });
      if (!text.includes(wanted)) short += 1;
    });
    return short > 0 ? [`${short} attachments were not served`] : [];
  },
};

const presence: Attack = {
  name: 'presence floods',
  what: 'a session whose watchers all come and go at once, each told of all',
  run: async (target) => {
    const before = residentMiB(target.daemon);
    let peak = 0;
    const rounds = target.size(2, 10);
    for (let round = 0; round < rounds; round++) {
      const held: Socket[] = [];
      await inTurn(target.size(150, 400), 100, async (i) => {
        const query = `afterSeq=1000000&features=presence&clientId=p${i}`;
        const socket = await openSocket(target.port, upgrade(target, target.sessionId, query));
        // Half of them never read what they are told.
        if (i % 2) socket.resume();
        held.push(socket);
      });
      for (let k = 0; k < 10; k++) {
        for (const [i, socket] of held.entries()) {
          socket.write(frame(0x81, JSON.stringify({ type: 'hello', writerId: `w${i}-${k}` })));
        }
        await sleep(60);
        peak = Math.max(peak, residentMiB(target.daemon) - before);
      }
      for (const socket of held) socket.destroy();
    }
    return peak > PRESENCE_MIB_MAX ? [`memory grew by ${peak.toFixed(0)} MiB`] : [];
  },
};
/** Every watcher may be owed as much as one frame of a hundred entries, and sockets that do not read hold up to a megabyte. */
const PRESENCE_MIB_MAX = 400;

const sessions: Attack = {
  name: 'sessions',
  what: 'sessions by the thousand, each made and left',
  run: async (target) => {
    const count = target.size(300, 5_000);
    const found: string[] = [];
    const lanes = Array.from({ length: 32 }, () => new Connection(target.port, target.token));
    const bodies = Array.from({ length: count }, (_, i) => ({
      title: `attack ${i}`,
      metadata: { pad: 'x'.repeat(500) },
    }));
    await overConnections(lanes, bodies, async (lane, body) => {
      const reply = await lane.request('POST', '/v3/sessions', JSON.stringify(body));
      if (reply.status !== 201) found.push(`a session was answered with ${reply.status}: ${reply.body.slice(0, 100)}`);
    });
    for (const lane of lanes) lane.close();
    return found.slice(0, 5);
  },
};

/** Of each reader: what it is fed before it is fed from the log, and what the system's own buffers do not take. */
const DEAF_MIB_EACH = 3;

const FLOOD = { tokens: 1_000, size: 8_000 };

const deaf = (name: string, what: string, request: (target: Target, sessionId: string) => string): Attack => ({
  name,
  what,
  // Its conversation, and some events.
  keepsMiB: 10,
  run: async (target) => {
    const { daemon } = target;
    const readers = target.size(40, 200);
    const sessionId = await daemon.create();
    const held: Socket[] = [];
    await inTurn(readers, 50, async () => {
      held.push(await openSocket(target.port, request(target, sessionId)));
    });
    const before = residentMiB(daemon);
    let peak = 0;
    const end = await daemon.socket(sessionId);
    for (let i = 0; i < target.size(1, 4); i++) {
      const { turnId } = await daemon.submit(sessionId, { content: say(FLOOD) });
      const watch = setInterval(() => {
        peak = Math.max(peak, residentMiB(daemon) - before);
      }, 50);
      await end.terminal(turnId, 120_000).finally(() => clearInterval(watch));
    }
    end.terminate();
    for (const socket of held) socket.destroy();
    const most = 160 + readers * DEAF_MIB_EACH;
    return peak > most ? [`memory grew by ${peak.toFixed(0)} MiB for ${readers} readers, ${most} allowed`] : [];
  },
});

export const CROWDS: Attack[] = [
  idle,
  drops('HTTP drops', 'connections that are dropped before, in and after a request', LEAVING),
  drops('socket drops', 'sockets that are dropped at every moment of the handshake and after it', SOCKET_LEAVING),
  attaching,
  presence,
  sessions,
  deaf('deaf sockets', 'sockets that never read, on a session that is flooded', (t, id) =>
    upgrade(t, id, 'afterSeq=0'),
  ),
];

/** For builds that have event streams over HTTP. */
export const STREAMS: Attack[] = [
  deaf('deaf event streams', 'event streams that are never read, on a session that is flooded', (t, id) =>
    head(t, `GET /v3/sse/events?sessionId=${id}`, 'Accept: text/event-stream\r\n'),
  ),
];
