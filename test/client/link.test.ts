import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { OptaClient } from '../../src/client/client.ts';
import { connect } from '../../src/client/index.ts';
import type { LinkOptions, SessionLink } from '../../src/client/session-link.ts';
import { webPlatform } from '../../src/client/web.ts';
import type { OptaError } from '../../src/protocol/errors.ts';
import { stateHash } from '../../src/protocol/state-hash.ts';
import { until } from '../support/cli.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';

let daemon: FakeDaemon;
let client: OptaClient;
beforeEach(async () => {
  daemon = await new FakeDaemon().start();
  client = connect({ address: () => Promise.resolve(daemon.address) });
});
afterEach(async () => {
  client.close();
  await daemon.stop();
});

const fast = { backoff: { baseMs: 2, maxMs: 20 } };
const open = (options: LinkOptions = {}, of = client): SessionLink & { notices: string[] } => {
  const link = of.session('s', { writerId: 'ada', ...fast, ...options });
  const notices: string[] = [];
  link.on('notice', (error) => notices.push(error.code));
  return Object.assign(link, { notices });
};
const tokens = (count: number): void => {
  for (let i = 0; i < count; i++) daemon.emit('s', 'turn.token', { turnId: 't', text: `${i}`, step: 1 });
};
const head = (): number => daemon.session('s').log.length;
const same = (link: SessionLink): boolean =>
  link.cursor === head() && link.view.stateHash() === stateHash(daemon.folded('s'));
const frames = (type: string) => daemon.asked.filter((a) => a.method === 'FRAME' && a.path === type);
const queued = () => daemon.session('s').log.filter((r) => r.text.includes('"turn.queued"'));

/** What a page has and Node may lack, while `use` runs. */
const inPage = async (
  use: (page: { client: OptaClient; events: EventTarget; readonly listeners: number }) => Promise<void>,
): Promise<void> => {
  const events = new EventTarget();
  const scope = globalThis as { [name: string]: unknown };
  const before = scope.WebSocket;
  let listeners = 0;
  scope.WebSocket = WebSocket;
  scope.addEventListener = (name: string, run: () => void) => {
    listeners += 1;
    events.addEventListener(name, run);
  };
  scope.removeEventListener = (name: string, run: () => void) => {
    listeners -= 1;
    events.removeEventListener(name, run);
  };
  const page = new OptaClient(webPlatform(), () => Promise.resolve(daemon.address));
  try {
    await use({
      client: page,
      events,
      get listeners() {
        return listeners;
      },
    });
  } finally {
    page.close();
    scope.WebSocket = before;
    delete scope.addEventListener;
    delete scope.removeEventListener;
  }
};

describe('resuming', () => {
  test('[CL1, CL3] through a restart with another port and token: no gap, no repeat, one hash', async () => {
    tokens(20);
    const link = open();
    const seqs: number[] = [];
    const reconnects: object[] = [];
    link.on('event', ({ seq }) => seqs.push(seq));
    link.on('reconnect', (how) => reconnects.push(how));
    await until(() => same(link), 'the first events');
    for (let round = 1; round <= 3; round++) {
      const before = { ...daemon.address };
      await daemon.restart();
      expect(daemon.address.token).not.toBe(before.token);
      tokens(5);
      await until(() => same(link), `round ${round}`);
    }
    expect(seqs).toEqual(Array.from({ length: head() }, (_, i) => i + 1));
    expect(reconnects).toMatchObject([{ count: 1, cursor: 21 }, { count: 2 }, { count: 3 }]);
    expect(link.notices).toEqual([]);
    expect(link.view.current.connection).toBe('open');
  });

  test('[CL1] a log that a power cut has rewound is noticed and read again, also when it has grown past the cursor since', async () => {
    tokens(30);
    const link = open();
    await until(() => same(link), 'the first events');
    await daemon.restart({ s: 10 });
    await until(() => same(link), 'the shorter log');
    expect(link.notices).toEqual(['log-rewound']);
    expect(link.cursor).toBe(10);
    tokens(10);
    await until(() => same(link), 'more of it');
    // Now the new daemon has written other events at places that were seen.
    await daemon.stop();
    daemon.session('s').log.splice(15);
    daemon.daemonId = 'the-next';
    tokens(20);
    await daemon.restart();
    await until(() => same(link), 'the log that was written anew');
    expect(link.notices).toEqual(['log-rewound', 'log-rewound']);
  });

  test('[CL1] a heartbeat below the cursor raises the question; a log that is whole answers it', async () => {
    tokens(3);
    const link = open({ pingEveryMs: 300 });
    await until(() => same(link), 'the first events');
    for (const socket of daemon.session('s').sockets) socket.cursor = 1;
    const asked = (): boolean => daemon.asked.some((a) => a.path.endsWith('/events'));
    await until(
      () => asked() && daemon.connections === 2 && link.state === 'open',
      'the question and a new connection',
    );
    expect(link.notices).toEqual([]);
    tokens(1);
    await until(() => same(link), 'the next event');
  });

  test('[CL1] without a listener for it, an attachment whose log was rewound ends and says so', async () => {
    tokens(5);
    const seqs: number[] = [];
    const attachment = client.attach({ sessionId: 's', afterSeq: 0, ...fast, onEnvelope: ({ seq }) => seqs.push(seq) });
    await until(() => seqs.length === 6, 'the events');
    await daemon.restart({ s: 2 });
    expect(await attachment.ended).toMatchObject({ code: 'log-rewound' });
  });

  test('[CL1] after a sleep the connection is asked at once, and given up when it does not answer', async () => {
    let slept = 0;
    const link = open({ now: () => Date.now() + slept, pingEveryMs: 400 });
    await until(() => link.state === 'open', 'the connection');
    slept += 3_600_000;
    await new Promise((resolve) => setTimeout(resolve, 900));
    expect(daemon.connections, 'one that is alive survives').toBe(1);
    for (const socket of daemon.session('s').sockets) socket.removeAllListeners('message');
    slept += 3_600_000;
    await until(() => daemon.connections === 2, 'a new connection', 8_000);
    tokens(2);
    await until(() => same(link), 'the events');
  });

  test('[CL1] a page that comes back tries at once, and does not wait for its pause to end', async () => {
    await inPage(async (page) => {
      const link = open({ backoff: { baseMs: 60_000, maxMs: 60_000 } }, page.client);
      await until(() => same(link), 'the connection');
      await daemon.restart();
      await until(() => link.state === 'waiting', 'the loss');
      page.events.dispatchEvent(new Event('online'));
      tokens(3);
      await until(() => same(link), 'the next connection');
      page.client.close();
      expect(page.listeners).toBe(0);
    });
  });

  test('[WB4] a page gives its token with the offer of a subprotocol, and in no URL', async () => {
    daemon.token = 'ünïcode/token+with=signs';
    await inPage(async (page) => {
      const link = open({}, page.client);
      tokens(3);
      await until(() => same(link), 'the events');
      const sockets = daemon.asked.filter((a) => a.method === 'WS');
      expect(sockets.length).toBeGreaterThan(0);
      for (const { path } of daemon.asked) expect(path).not.toContain('token');
      expect((link as unknown as { notices: string[] }).notices).toEqual([]);
      link.close();
    });
  });

  test('[CL1] where a socket cannot be held back, it is let go and read again from the cursor', async () => {
    await inPage(async (page) => {
      const seqs: number[] = [];
      const attachment = page.client.attach({
        sessionId: 's',
        afterSeq: 0,
        ...fast,
        onEnvelope: ({ seq }) => seqs.push(seq),
      });
      tokens(3);
      await until(() => seqs.length === 4, 'the events');
      attachment.pause();
      tokens(40);
      await new Promise((resolve) => setTimeout(resolve, 60));
      expect(seqs).toHaveLength(4);
      attachment.resume();
      await until(() => seqs.length === 44, 'the rest');
      expect(seqs).toEqual(Array.from({ length: 44 }, (_, i) => i + 1));
    });
  });

  test('[CL1] from a snapshot: no history comes, the state is the same, and so it stays', async () => {
    tokens(500);
    const link = open({ from: 'snapshot' });
    const seqs: number[] = [];
    link.on('event', ({ seq }) => seqs.push(seq));
    await until(() => same(link), 'the snapshot');
    expect(seqs).toEqual([]);
    tokens(3);
    await until(() => same(link), 'what follows');
    expect(seqs).toEqual([502, 503, 504]);
    await daemon.restart();
    tokens(2);
    await until(() => same(link), 'what follows the restart');
    expect(seqs).toHaveLength(5);
    expect(daemon.asked.filter((a) => a.method === 'WS').map((a) => a.path.includes('snapshot'))).toEqual([
      true,
      false,
    ]);
  });

  test('[CL1] a daemon that knows no snapshots is read from the beginning instead', async () => {
    daemon.features = [];
    tokens(5);
    const link = open({ from: 'snapshot' });
    await until(() => same(link), 'the history', 8_000);
    expect(link.notices).toEqual(['not-found']);
  }, 15_000);

  test('who is attached is shown, and only while that is known', async () => {
    const link = open({ presence: true });
    await until(() => link.view.current.presence.length === 1, 'oneself');
    const other = connect({ address: () => Promise.resolve(daemon.address) });
    open({ writerId: 'bob' }, other);
    open({ writerId: 'bob', presence: true }, other);
    await until(() => link.view.current.presence.some((p) => p.writerId === 'bob'), 'bob');
    other.close();
    await until(() => link.view.current.presence.length === 1, 'bob to be gone');
    const away: number[] = [];
    link.view.subscribe(({ connection, presence }) => connection === 'waiting' && away.push(presence.length));
    daemon.cutSockets();
    await until(() => away.length > 0, 'the loss');
    expect(away[0]).toBe(0);
  });
});

describe('commands', () => {
  test('[CL2] many at once: each gets its own answer, in whatever order they come', async () => {
    const link = open();
    await until(() => link.state === 'open', 'the connection');
    const held: (() => void)[] = [];
    daemon.reply = (ws, text) => {
      held.push(() => ws.send(text));
      // All come back at the end, the last one first.
      if (held.length === 21) for (const send of held.reverse()) send();
    };
    daemon.script = () => undefined;
    const answers = await Promise.all([
      ...Array.from({ length: 20 }, (_, i) => link.submit({ content: `task ${i}` })),
      link.cancel({ turnId: 'none' }),
    ]);
    for (const [i, answer] of answers.slice(0, 20).entries()) {
      const { turnId, seq } = answer as { turnId: string; seq: number };
      const record = JSON.parse(daemon.session('s').log[seq - 1]?.text ?? '{}');
      expect(record.payload).toMatchObject({ turnId, content: `task ${i}`, writerId: 'ada' });
    }
    expect(answers[20]).toEqual({ ok: true, cancelled: 0, cancelledQueued: 0, cancelledActive: false });
    const ids = daemon.asked
      .filter((a) => a.path === 'turn.submit')
      .map((a) => (a.body as { requestId: string }).requestId);
    expect(new Set(ids).size).toBe(20);
  });

  test('[CL2] a submit whose ack was lost with the socket is sent again on the next, with its key: one turn', async () => {
    daemon.swallow = (command, times) => command === 'turn.submit' && times <= 2;
    const link = open();
    const answer = await link.submit({ content: 'once' }, fast);
    expect(answer).toMatchObject({ replayed: true });
    expect(frames('turn.submit')).toHaveLength(3);
    expect(queued()).toHaveLength(1);
    await until(() => same(link), 'the view');
  });

  test('[CL1, CL2] a daemon that dies with the ack comes back elsewhere: one turn, its first answer', async () => {
    daemon.swallow = (command, times) => {
      if (command !== 'turn.submit' || times > 1) return false;
      void daemon.restart();
      return true;
    };
    const link = open();
    expect(await link.submit({ content: 'once' }, fast)).toMatchObject({ seq: 2, replayed: true });
    expect(queued()).toHaveLength(1);
  });

  test('[CL2] what was not sent waits for the connection; what is refused is refused with its code', async () => {
    await daemon.stop();
    const link = open();
    const waiting = link.submit({ content: 'x', idempotencyKey: 'k' }, fast);
    await until(() => link.state === 'waiting', 'the loss');
    await daemon.restart();
    expect(await waiting).toMatchObject({ seq: 2 });
    await expect(link.submit({ content: 'y', idempotencyKey: 'k' })).rejects.toMatchObject({
      code: 'idempotency-mismatch',
      facts: { idempotencyKey: 'k' },
    });
    expect(link.state).toBe('open');
  });

  test('[CL2, PM2] a decision is sent again until it is known: the own one that stands is a success', async () => {
    daemon.swallow = (command, times) => command === 'permission.resolve' && times === 1;
    const link = open();
    await link.decide('r1', 'allow', fast);
    expect(frames('permission.resolve')).toHaveLength(2);
    await expect(link.decide('r1', 'deny')).rejects.toMatchObject({
      code: 'permission-resolved',
      facts: { decision: 'allow', decidedBy: 'person:ada' },
    });
    await expect(link.decide('r1', 'allow', { decidedBy: 'bob' })).rejects.toMatchObject({
      code: 'permission-resolved',
    });
  });

  test('[CL2, PM6, PM7] one that says more than yes counts as one’s own only when it had been sent before', async () => {
    daemon.swallow = (command, times) => command === 'permission.resolve' && times === 1;
    const link = open();
    await link.decide('r1', 'allow', { ...fast, answer: 'blue' });
    expect(frames('permission.resolve').map((f) => (f.body as { answer?: string }).answer)).toEqual(['blue', 'blue']);
    await expect(link.decide('r1', 'allow', { answer: 'red' })).rejects.toMatchObject({ code: 'permission-resolved' });
    await link.decide('r2', 'allow', { remember: 'session' });
    expect(frames('permission.resolve').at(-1)?.body).toMatchObject({ decidedBy: 'ada', remember: 'session' });
    await expect(link.decide('r2', 'allow', { remember: 'session' })).rejects.toMatchObject({
      code: 'permission-resolved',
    });
  });

  test('[CL2, SV2] no answer is a failure at the deadline; an end of the link ends what waits for it', async () => {
    daemon.deliver = () => undefined;
    const link = open();
    await until(() => link.state === 'open', 'the connection');
    for (const socket of daemon.session('s').sockets) socket.removeAllListeners('message');
    await expect(link.submit({ content: 'x' }, { deadlineMs: 50 })).rejects.toMatchObject({ code: 'timeout' });
    const waiting = link.submit({ content: 'x' });
    link.close();
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
    await expect(link.cancel({ turnId: 't' })).rejects.toMatchObject({ code: 'cancelled' });
    expect(await link.ended).toBeNull();
  });

  test('[CL2] run waits for the end that the log has, through a restart; abort cancels', async () => {
    daemon.script = async (turn) => {
      turn.token('half ');
      await daemon.restart();
      turn.token('whole');
      turn.done();
    };
    const link = open();
    const turn = await link.run({ content: 'x' }, fast);
    expect(turn).toMatchObject({ text: 'half whole', end: { outcome: 'done' }, writerId: 'ada' });
    daemon.script = (turn) => turn.token('never ending');
    const control = new AbortController();
    const running = link.run({ content: 'y' }, { signal: control.signal });
    await until(() => link.view.current.active?.text === 'never ending', 'the turn to run');
    control.abort();
    expect(await running).toMatchObject({ end: { outcome: 'cancelled' } });
  });

  test('[CL1, SV2] run fails when the link ends between the answer to its submit and the wait for the end', async () => {
    daemon.script = () => undefined;
    const link = open();
    const submit = link.submit.bind(link);
    link.submit = async (turn, options) => {
      const answer = await submit(turn, options);
      link.close();
      return answer;
    };
    await expect(link.run({ content: 'x' }, fast)).rejects.toMatchObject({ code: 'cancelled' });
  });

  test('[AC2, PM3] who attaches is said in the URL and before any command that waited for the connection', async () => {
    await daemon.stop();
    const link = open({ role: 'observer', clientId: 'a program', writerId: 'ada & co' });
    const waiting = link.submit({ content: 'x' }, fast);
    await until(() => link.state === 'waiting', 'the loss');
    await daemon.restart();
    await waiting;
    const [upgrade, ...sent] = daemon.asked.filter(({ method }) => method === 'WS' || method === 'FRAME');
    const query = new URL(upgrade?.path ?? '', 'http://x').searchParams;
    expect(['role', 'clientId', 'writerId'].map((name) => query.get(name))).toEqual([
      'observer',
      'a program',
      'ada & co',
    ]);
    expect(query.has('token')).toBe(false);
    expect(sent.map(({ path }) => path)).toEqual(['hello', 'turn.submit']);
  });

  test('[CL2] run with a key of long ago finds its end in the log, also when the view began later', async () => {
    const first = open();
    const done = await first.run({ content: 'x', idempotencyKey: 'job' });
    expect(await first.run({ content: 'x', idempotencyKey: 'job' })).toBe(done);
    const late = open({ from: 'snapshot' });
    await until(() => late.cursor === head(), 'the snapshot');
    expect(await late.run({ content: 'x', idempotencyKey: 'job' })).toEqual(done);
    expect(queued()).toHaveLength(1);
  });

  test('[AC1] a wrong token ends the link after one more look, and the reason is given', async () => {
    const wrong = connect({ address: () => Promise.resolve({ ...daemon.address, token: 'wrong' }) });
    const link = open({}, wrong);
    expect((await link.ended) as OptaError).toMatchObject({ code: 'unauthorized' });
    wrong.close();
  });
});
