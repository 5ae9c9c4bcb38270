import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { SocketEnd } from '../../src/transport/port.ts';
import { SocketAttachment, type SocketDeps } from '../../src/transport/socket-attachment.ts';
import { FakeRuntime } from './fake-runtime.ts';
import { type Guest, withGuests } from './guests.ts';
import { settle } from './memory-adapter.ts';
import { attach, Client, type Frame, TOKEN, until, type World, world } from './world.ts';

let w: World;
let guests: Guest[];
let clients: Client[] = [];
beforeAll(async () => {
  w = await world();
  guests = withGuests(w.runtime);
});
afterAll(() => w.close());
afterEach(async () => {
  for (const c of clients) c.ws.terminate();
  clients = [];
  w.runtime.release();
  await until('nobody is left', () => w.runtime.attachments.size === 0);
});

const open = async (query: string): Promise<Client> => {
  const c = await attach(w, query);
  clients.push(c);
  return c;
};
const presences = (c: Client): Frame[] => c.frames.filter((f) => f.type === 'presence');
/** What was sent before has been taken in. */
const pong = async (c: Client): Promise<void> => {
  c.send({ type: 'ping' });
  await c.next((f) => f.type === 'heartbeat');
};

describe('who', () => {
  test('[AU1] the URL says who it is; without it a socket is a controller', async () => {
    w.runtime.seed('who');
    await open('sessionId=who');
    await open('sessionId=who&role=automation&clientId=ed&writerId=ada');
    await open('sessionId=who&role=&clientId=&writerId=&features=');
    expect(guests.map((g) => g.who)).toEqual([
      { role: 'controller', via: 'ws' },
      { role: 'automation', via: 'ws', clientId: 'ed', writerId: 'ada' },
      { role: 'controller', via: 'ws' },
    ]);
  });

  test.each(['role=boss', `clientId=${'x'.repeat(257)}`, `writerId=${'x'.repeat(257)}`])(
    '[AU1] %s is refused: a mistyped observer must not become a controller',
    async (query) => {
      const c = new Client(w.server.port, `sessionId=who&${query}&token=${TOKEN}`);
      expect(await c.ended()).toEqual({ code: 4000, reason: 'invalid query' });
      expect(c.frames).toMatchObject([{ error: 'Invalid query', code: 'invalid-request', details: [{}] }]);
    },
  );

  test('[AU1] a hello says more, and is answered only if it has a requestId', async () => {
    w.runtime.seed('hello');
    const c = await open('sessionId=hello&clientId=ed');
    await c.next((f) => f.seq === 1);
    c.send({ type: 'hello', clientId: '', sessionId: 'other', afterSeq: 5, features: ['no-such', 'presence'] });
    c.send({ type: 'hello', writerId: 'ada', role: 'automation', requestId: 'h' });
    expect(await c.next((f) => f.type === 'ack')).toEqual({
      type: 'ack',
      action: 'hello',
      requestId: 'h',
      features: ['presence'],
      role: 'automation',
      attachmentId: guests[0]?.id,
      seq: 1,
    });
    expect(guests[0]?.who).toEqual({ role: 'automation', via: 'ws', clientId: 'ed', writerId: 'ada' });
    expect(c.frames.filter((f) => f.type === 'ack')).toHaveLength(1);
  });
});

describe('presence', () => {
  test('[AU1] is told to who asked, when somebody comes, goes or changes; frames have neither seq nor event', async () => {
    w.runtime.seed('p');
    const watcher = await open('sessionId=p&features=presence&clientId=one');
    const plain = await open('sessionId=p');
    await until('both are told', () => presences(watcher).at(-1)?.present.length === 2);
    const frame = presences(watcher).at(-1);
    expect(Object.keys(frame).sort()).toEqual(['present', 'sessionId', 'total', 'type']);
    expect(frame.present[0]).toMatchObject({
      attachmentId: guests[0]?.id,
      role: 'controller',
      clientId: 'one',
      via: 'ws',
    });
    plain.send({ type: 'hello', clientId: 'two' });
    await until('the change', () => presences(watcher).at(-1)?.present[1].clientId === 'two');
    plain.ws.close();
    await until('it is gone', () => presences(watcher).at(-1)?.present.length === 1);
    expect(presences(plain)).toEqual([]);
  });

  test('[AU1] a hello turns it on and off', async () => {
    w.runtime.seed('q');
    const c = await open('sessionId=q');
    await c.next((f) => f.seq === 1);
    c.send({ type: 'hello', features: ['presence'] });
    await until('told', () => presences(c).length === 1);
    c.send({ type: 'hello', features: [], requestId: 'off' });
    expect(await c.next((f) => f.requestId === 'off')).toMatchObject({ features: [] });
    await open('sessionId=q');
    await pong(c);
    expect(presences(c)).toHaveLength(1);
    expect(guests[0]?.reader.presence).toBeUndefined();
  });
});

describe('snapshot', () => {
  test('[EV2] in the URL: the first frame is the fold, then come the events after it', async () => {
    w.runtime.seed('s');
    for (let i = 0; i < 3; i++) w.runtime.token('s', `t${i}`);
    const c = await open('sessionId=s&features=snapshot');
    await until('the snapshot', () => c.frames.length === 1);
    w.runtime.token('s', 'live');
    await c.next((f) => f.seq === 5);
    const state = expect.objectContaining({ sessionId: 's', seq: 4, model: 'fake-model', queue: [] });
    expect(c.frames).toEqual([
      { type: 'snapshot', sessionId: 's', seq: 4, state },
      JSON.parse(w.runtime.records('s')[4]?.text ?? ''),
    ]);
  });

  test('[EV2] with afterSeq the events after that follow the snapshot', async () => {
    w.runtime.seed('t');
    for (let i = 0; i < 3; i++) w.runtime.token('t', `t${i}`);
    const c = await open('sessionId=t&features=snapshot,presence&afterSeq=2');
    await until('three', () => c.frames.filter((f) => f.seq && f.type !== 'presence').length === 3);
    expect(c.frames.filter((f) => f.type !== 'presence').map((f) => [f.type, f.seq])).toEqual([
      ['snapshot', 4],
      [undefined, 3],
      [undefined, 4],
    ]);
  });

  test('[EV2] an unknown session has none: it is followed from its first event', async () => {
    const c = await open('sessionId=unborn&features=snapshot');
    await until('attached', () => guests.length === 1);
    expect(c.frames).toEqual([]);
    w.runtime.seed('unborn');
    expect((await c.next((f) => f.seq === 1)).event).toBe('session.snapshot');
  });

  test('[EV2] in a later hello: one at that moment, with the hello named', async () => {
    w.runtime.seed('u');
    const c = await open('sessionId=u');
    await c.next((f) => f.seq === 1);
    w.runtime.token('u', 'x');
    c.send({ type: 'hello', features: ['snapshot'], requestId: 'h' });
    const frame = await c.next((f) => f.type === 'snapshot');
    expect(frame).toMatchObject({ sessionId: 'u', seq: 2, requestId: 'h', state: { seq: 2 } });
    const nobody = await open('sessionId=nobody');
    nobody.send({ type: 'hello', features: ['snapshot'], requestId: 'n' });
    expect(await nobody.next((f) => f.error)).toMatchObject({ code: 'session-not-found', requestId: 'n' });
  });

  test('[TQ2] what is sent before the snapshot is there runs after it, in order, and is bounded', async () => {
    w.runtime.seed('v');
    w.runtime.hold = true;
    const c = await open('sessionId=v&features=snapshot');
    const from = w.runtime.submits.length;
    const submit = (content: string) => ({
      type: 'turn.submit',
      sessionId: 'v',
      clientId: 'c',
      writerId: 'w',
      content,
      requestId: content,
    });
    const max = LIMITS.socketCommandsMax;
    for (let i = 0; i < max + 2; i++) c.send(submit(`n${i}`));
    await until('two are refused', () => c.frames.length === 2);
    expect(c.frames.map((f) => [f.code, f.requestId])).toEqual([
      ['too-many-requests', `n${max}`],
      ['too-many-requests', `n${max + 1}`],
    ]);
    expect([w.runtime.submits.length - from, guests.length]).toEqual([0, 0]);
    w.runtime.release();
    await until('acked', () => c.frames.filter((f) => f.type === 'ack').length === max);
    expect(w.runtime.submits.slice(from)).toEqual(Array.from({ length: max }, (_, i) => `n${i}`));
    expect(c.frames[2]).toMatchObject({ type: 'snapshot', seq: 1 });
  });

  test('[SV2] a socket that closes while it waits for its snapshot attaches nobody', async () => {
    w.runtime.seed('x');
    w.runtime.hold = true;
    const c = await open('sessionId=x&features=snapshot');
    c.ws.terminate();
    await pong(await open('sessionId=other'));
    w.runtime.release();
    await settle();
    expect(guests.filter((g) => g.sessionId === 'x')).toEqual([]);
  });
});

describe('deadlines', () => {
  const socket = () => {
    const sent: Frame[] = [];
    const ended: [number, string][] = [];
    const timers: { fn: () => void; ms: number; open: boolean }[] = [];
    const runtime = new FakeRuntime();
    withGuests(runtime);
    const deps: SocketDeps = {
      runtime,
      dispatch: async () => ({ ok: true, status: 200, answer: { body: {} } }) as never,
      onFault: () => undefined,
      now: () => 0,
      live: new Set(),
      timers: {
        setTimeout: (fn, ms) => timers.push({ fn, ms, open: true }) - 1,
        clearTimeout: (id) => {
          const timer = timers[id as number];
          if (timer) timer.open = false;
        },
      },
    };
    const port = {
      send: (text: string) => void sent.push(JSON.parse(text)),
      bufferedBytes: () => 0,
      close: (code: number, reason: string) => void ended.push([code, reason]),
    };
    const start = {
      sessionId: 'never',
      afterSeq: undefined,
      looksOn: false,
      who: { role: 'controller', via: 'ws' } as const,
    };
    const begin = (features: string[]): SocketEnd => new SocketAttachment(deps, port, { ...start, features });
    return { sent, ended, timers, deps, begin };
  };

  test('[SV2] a first snapshot that does not come ends the socket with a reason', async () => {
    const { sent, ended, timers, deps, begin } = socket();
    begin(['snapshot']);
    expect(timers.map((t) => t.ms)).toEqual([LIMITS.askDeadlineMs]);
    timers[0]?.fn();
    await settle();
    expect(sent).toMatchObject([{ code: 'timeout' }]);
    expect([ended, deps.live.size]).toEqual([[[1011, 'timeout']], 0]);
  });

  test('[SV2] a later one is told, and the socket stays', async () => {
    const { sent, ended, timers, begin } = socket();
    const end = begin([]);
    end.message(JSON.stringify({ type: 'hello', features: ['snapshot'], requestId: 'h' }));
    timers[0]?.fn();
    await settle();
    expect(sent.at(-1)).toMatchObject({ code: 'timeout', requestId: 'h' });
    expect(ended).toEqual([]);
  });
});
