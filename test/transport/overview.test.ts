import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { LmxAdmin, LmxCall } from '../../src/actors/ports.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { type Overview, OverviewSchema } from '../../src/protocol/feeds/overview.ts';
import { Harness } from '../actors/harness.ts';
import { type Asked, type MemoryAdapter, memoryAdapter, settle } from './memory-adapter.ts';
import { AUTH, type World, world } from './world.ts';

let w: World;
let adapter: MemoryAdapter;
const calls: LmxCall[] = [];
let answer: (call: LmxCall, done: (error: OptaError | null, value: unknown) => void) => void;
const admin: LmxAdmin = {
  run: (call, done) => {
    calls.push(call);
    answer(call, done);
  },
  open: 0,
  away: null,
  close: () => undefined,
};
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  calls.length = 0;
  answer = (_call, done) => done(null, { models: [{ model_id: 'org/m', status: 'loaded' }] });
  adapter = memoryAdapter();
  w = await world({
    adapter,
    lmx: { admin, mayAdminister: () => null },
    facts: () => ({
      toolWorkers: { workers: 1, busy: 0, queued: 0 },
      engine: { engine: 'lmx' },
      connection: { host: '127.0.0.1', port: 1_234 },
    }),
  });
  w.runtime.seed('asleep');
});
afterEach(async () => {
  await w.close();
  vi.useRealTimers();
});

const open = async (path = '/v3/overview/stream'): Promise<Asked> => {
  const asked = adapter.ask(path, AUTH);
  for (let i = 0; i < 3; i++) await settle();
  return asked;
};
const streamOf = (asked: Asked) => asked.stream as NonNullable<Asked['stream']>;
const told = (asked: Asked): Overview[] => streamOf(asked).events.map((e) => OverviewSchema.parse(JSON.parse(e.data)));
const pass = async (ms: number): Promise<void> => {
  for (let left = ms; left > 0; left -= LIMITS.overviewLookMs) {
    vi.advanceTimersByTime(Math.min(left, LIMITS.overviewLookMs));
    await settle();
  }
};
const live = (state: string) => ({
  sessionId: 'busy',
  title: '<b>hostile</b>',
  model: 'm',
  updatedAt: '2026-01-02T03:04:05.678Z',
  state,
  active: null,
  queued: [],
  queuedCount: 0,
  asks: [],
  presence: [],
  presenceCount: 0,
  live: true,
});
const show = (state: string, mark = state): void => {
  w.runtime.live = { sessions: [live(state)], liveCount: 1, words: new Map(), jobs: [], jobCount: 0, mark };
};

test('[FD1] once: it is whole, sleeping sessions come after the ones in memory, and the host is named', async () => {
  show('streaming');
  const asked = await open('/v3/overview');
  const body = OverviewSchema.parse(JSON.parse(asked.reply?.body ?? ''));
  expect(body).toMatchObject({
    daemonId: w.runtime.daemonId,
    version: '1.2.3',
    state: 'ready',
    sessions: [live('streaming'), { sessionId: 'asleep', state: 'idle', live: false, active: null }],
    lmx: { host: '127.0.0.1', port: 1_234, away: null },
    loop: null,
    memory: { rssBytes: expect.any(Number), heapUsedBytes: expect.any(Number) },
  });
  expect(body.limits.some((g) => g.limit === 'webKeysMax')).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});

test('[FD1] a stream begins at once, tells a change at the next look, and what always moves every two seconds', async () => {
  show('idle');
  const asked = await open();
  expect([asked.reply?.status, asked.header('content-type')]).toEqual([200, 'text/event-stream']);
  expect(told(asked).map((o) => o.sessions[0]?.state)).toEqual(['idle']);
  show('streaming');
  await pass(LIMITS.overviewLookMs);
  expect(told(asked).map((o) => o.sessions[0]?.state)).toEqual(['idle', 'streaming']);
  const before = told(asked).length;
  await pass(LIMITS.overviewEveryMs - LIMITS.overviewLookMs);
  // The models have come meanwhile; nothing else has.
  expect(told(asked).length - before).toBeLessThanOrEqual(1);
  await pass(LIMITS.overviewEveryMs);
  const last = told(asked).at(-1) as Overview;
  expect(last.loop).not.toBeNull();
  expect(last.models).toEqual([{ id: 'org/m', loaded: true, status: 'loaded' }]);
});

test('[FD1] a session may be called what every object has', async () => {
  w.runtime.seed('constructor');
  w.runtime.seed('__proto__');
  const asked = await open('/v3/overview');
  const body = OverviewSchema.parse(JSON.parse(asked.reply?.body ?? ''));
  const states = new Map(body.sessions.map(({ sessionId, state }) => [sessionId, state]));
  expect([states.get('constructor'), states.get('__proto__')]).toEqual(['idle', 'idle']);
});

test('[FD1] where readers have come to is no change, and neither is a request', async () => {
  show('idle');
  const asked = await open();
  await pass(LIMITS.overviewEveryMs);
  const before = told(asked).length;
  const present = { attachmentId: 'a', role: 'controller', via: 'ws', since: '', cursor: 1, lag: 0 } as const;
  const withCursor = (cursor: number) => ({ ...live('idle'), presence: [{ ...present, cursor }], presenceCount: 1 });
  w.runtime.live = { ...w.runtime.live, sessions: [withCursor(1)] };
  await pass(LIMITS.overviewLookMs);
  for (let cursor = 2; cursor < 6; cursor++) {
    w.runtime.live = { ...w.runtime.live, sessions: [withCursor(cursor)] };
    w.runtime.submits.push('x');
    await pass(LIMITS.overviewLookMs);
  }
  expect(told(asked).length).toBe(before + 1);
});

test('[FD1] one look serves all, the index is read only after something was stored, and with nobody nothing is done', async () => {
  show('idle', 'm1');
  const looks = vi.spyOn(w.runtime, 'overview');
  const lists = vi.spyOn(w.runtime, 'list');
  const [a, b] = [await open(), await open()];
  expect(lists).toHaveBeenCalledTimes(1);
  const before = looks.mock.calls.length;
  await pass(LIMITS.overviewLookMs * 40);
  expect(looks.mock.calls.length - before).toBe(40);
  expect(lists).toHaveBeenCalledTimes(1);
  for (let i = 0; i < 20; i++) {
    show('idle', `m${i}`);
    await pass(LIMITS.overviewLookMs);
  }
  // Five seconds of changes: at most every two.
  expect(lists.mock.calls.length).toBeLessThanOrEqual(1 + 3);
  expect(lists.mock.calls.length).toBeGreaterThan(1);
  a.leave();
  b.leave();
  const [seen, asks] = [looks.mock.calls.length, calls.length];
  expect(vi.getTimerCount()).toBe(0);
  await pass(60_000);
  expect([looks.mock.calls.length, calls.length]).toEqual([seen, asks]);
});

test('[FD2] nothing piles up for who takes nothing; later comes the newest', async () => {
  show('idle');
  const asked = await open();
  streamOf(asked).deaf = true;
  show('streaming');
  await pass(LIMITS.overviewLookMs);
  const backlog = streamOf(asked).bufferedBytes();
  for (const state of ['running-tool', 'cancelling', 'waiting-for-permission']) {
    show(state);
    await pass(LIMITS.overviewEveryMs);
  }
  expect(streamOf(asked).bufferedBytes()).toBe(backlog);
  streamOf(asked).take();
  streamOf(asked).deaf = false;
  await pass(LIMITS.overviewLookMs);
  expect(told(asked).map((o) => o.sessions[0]?.state)).toEqual(['idle', 'streaming', 'waiting-for-permission']);
});

describe('the inference host', () => {
  test('[FD1] is asked every 15 s at most, however many watch, and one that hangs holds up nobody', async () => {
    answer = () => undefined;
    const asked = await open();
    await open();
    expect(calls).toHaveLength(1);
    await pass(14_000);
    expect(calls).toHaveLength(1);
    expect(told(asked).at(-1)?.lmx).toMatchObject({ problem: { code: 'timeout' } });
    answer = (_call, done) => done(new OptaError('lmx-connection-refused', 'nobody there'), null);
    await pass(2_000);
    expect(calls).toHaveLength(2);
    expect(told(asked).at(-1)?.lmx?.problem).toEqual({ code: 'lmx-connection-refused', message: 'nobody there' });
  });

  test('a server that is no LMX says what it serves', async () => {
    answer = ({ id }, done) =>
      id === 'lmx.models'
        ? done(new OptaError('lmx-no-admin', 'not here'), null)
        : done(null, { object: 'list', data: [{ id: 'gguf' }] });
    const asked = await open();
    await pass(500);
    expect(told(asked).at(-1)?.models).toEqual([{ id: 'gguf', loaded: true, status: 'served' }]);
  });
});

test('[AC1] without the token neither is answered', async () => {
  for (const path of ['/v3/overview', '/v3/overview/stream', '/v3/inspect/stream']) {
    const asked = adapter.ask(path);
    expect([path, asked.reply?.status, asked.stream]).toEqual([path, 401, null]);
  }
});

test('[FD1] of real sessions: the active turn, the queue, an open request and presence; bounded', () => {
  const h = new Harness({ queueTurnsMax: 64 });
  h.create('s');
  h.system.attach('s', 0, { send: () => undefined, close: () => undefined, bufferedBytes: () => 0 } as never);
  h.submit('s', 'call write');
  h.run(60);
  for (let i = 0; i < 8; i++) h.submit('s', `say ${'x'.repeat(300)}`);
  h.run(20);
  const shown = h.system.overview();
  const [s] = shown.sessions;
  expect(s).toMatchObject({
    sessionId: 's',
    state: 'waiting-for-permission',
    active: { writerId: 'w', turnId: expect.any(String) },
    queuedCount: 8,
    asks: [{ toolName: 'write', summary: 'write', requestId: expect.any(String) }],
    presenceCount: 1,
    live: true,
  });
  expect(s?.queued).toHaveLength(5);
  expect(s?.queued.every((q) => q.content.length === 120)).toBe(true);
  OverviewSchema.shape.sessions.parse(shown.sessions);
});

test('[FD1] a question is told from a permission by its mark, whatever its tool is called', () => {
  const h = new Harness({});
  for (const [id, does] of [
    ['s', 'call ask'],
    ['t', 'call write'],
  ] as const) {
    h.create(id);
    // A question that nobody can answer is not asked.
    h.system.attach(id, 0, { send: () => undefined, close: () => undefined, bufferedBytes: () => 0 } as never);
    h.submit(id, does);
    h.run(60);
  }
  const { sessions } = h.system.overview();
  const asks = Object.fromEntries(sessions.map(({ sessionId, asks }) => [sessionId, asks]));
  expect(asks.s?.[0]).toMatchObject({ toolName: 'ask', question: true });
  expect(asks.t?.[0]).not.toHaveProperty('question');
  OverviewSchema.shape.sessions.parse(sessions);
});

test('[FD1] of more sessions than are shown, the last changed ones', () => {
  const h = new Harness({ passivateAfterMs: 600_000 });
  for (let i = 0; i < 130; i++) h.create(`s${i}`);
  const shown = h.system.overview();
  expect([shown.liveCount, shown.sessions.length, shown.sessions[0]?.sessionId]).toEqual([130, 100, 's129']);
});

describe('the stream of the actors', () => {
  test('[FD2] begins with a picture; who is behind is told nothing more, and then all anew', async () => {
    const asked = await open('/v3/inspect/stream');
    expect(streamOf(asked).events.map((e) => e.data)).toEqual(w.runtime.picture);
    const [tell] = [...w.runtime.inspectors.keys()];
    tell?.('{"n":1}');
    streamOf(asked).deaf = true;
    const long = JSON.stringify('x'.repeat(LIMITS.inspectBytesMax));
    for (let i = 0; i < 5; i++) tell?.(long);
    expect(streamOf(asked).bufferedBytes()).toBeLessThan(LIMITS.inspectBytesMax * 2);
    streamOf(asked).deaf = false;
    streamOf(asked).take();
    tell?.('{"n":2}');
    expect(streamOf(asked).events.map((e) => e.data)).toEqual([
      ...w.runtime.picture,
      '{"n":1}',
      long,
      ...w.runtime.picture,
      '{"n":2}',
    ]);
  });

  test('[FD1] is of one session when it is asked for one, is over with its client, and knows only what there is', async () => {
    const asked = await open('/v3/inspect/stream?sessionId=asleep');
    expect([...w.runtime.inspectors.values()]).toEqual(['asleep']);
    asked.leave();
    expect(w.runtime.inspectors.size).toBe(0);
    const missing = await open('/v3/inspect/stream?sessionId=nobody');
    expect([missing.reply?.status, w.runtime.inspectors.size]).toEqual([404, 0]);
  });
});
