import { afterEach, expect, test, vi } from 'vitest';
import type { Done } from '../../src/actors/ports.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { ask } from '../../src/transport/ask.ts';
import { dispatcher } from '../../src/transport/dispatch.ts';
import { handlers, NO_OPERATIONS } from '../../src/transport/handlers.ts';
import { Latency } from '../../src/transport/latency.ts';
import { LoopDelay } from '../../src/transport/loop-delay.ts';
import { SseStreams } from '../../src/transport/sse.ts';
import { FakeRuntime } from './fake-runtime.ts';

afterEach(() => {
  vi.useRealTimers();
});

const timers = {
  setTimeout: (fn: () => void, ms: number) => setTimeout(fn, ms),
  clearTimeout: (id: unknown) => clearTimeout(id as NodeJS.Timeout),
};

test('[SV2] an answer, an error, a throw and a late answer', async () => {
  vi.useFakeTimers();
  await expect(ask(timers, 10, (done: Done<number>) => done(null, 7))).resolves.toBe(7);
  await expect(ask(timers, 10, (done) => done(new OptaError('storage', 'x'), null))).rejects.toMatchObject({
    code: 'storage',
  });
  await expect(
    ask(timers, 10, () => {
      throw new TypeError('bug');
    }),
  ).rejects.toThrow('bug');
  let late: Done<number> = () => undefined;
  const waiting = ask<number>(timers, 10, (done) => {
    late = done;
  });
  const settled = expect(waiting).rejects.toMatchObject({ code: 'timeout' });
  await vi.advanceTimersByTimeAsync(10);
  late(null, 1);
  await settled;
  expect(vi.getTimerCount()).toBe(0);
});

test('[SV2] a runtime that never answers is a 504 after the deadline, a cancel after a longer one', async () => {
  vi.useFakeTimers();
  const latency = new Latency();
  const deps = {
    runtime: new FakeRuntime(),
    version: '1',
    transport: { adapter: 'x', why: 'y' },
    latency,
    facts: () => ({ toolWorkers: { workers: 0, busy: 0, queued: 0 }, engine: null }),
    gauges: () => [],
    streams: new SseStreams(timers),
    exports: new Set<never>(),
    waits: new Set<never>(),
    loop: new LoopDelay(),
    now: () => 0,
    timers,
    operations: () => NO_OPERATIONS,
    web: {} as never,
    onFault: () => undefined,
  };
  const dispatch = dispatcher({ handlers: handlers(deps), latency, onFault: () => undefined, checkAnswers: true });
  const raw = { params: { id: 'never-1' }, query: {}, body: {} };
  let [got, cancelled]: string[] = [];
  void dispatch('sessions.get', raw).then((o) => {
    got = o.ok ? 'ok' : o.error.code;
  });
  void dispatch('turns.cancel', raw).then((o) => {
    cancelled = o.ok ? 'ok' : o.error.code;
  });
  await vi.advanceTimersByTimeAsync(19_999);
  expect([got, cancelled]).toEqual([undefined, undefined]);
  await vi.advanceTimersByTimeAsync(1);
  expect([got, cancelled]).toEqual(['timeout', undefined]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect([got, cancelled]).toEqual(['timeout', 'timeout']);
});

test('[AU1] an answer that the table does not allow is caught where answers are checked', async () => {
  const runtime = new FakeRuntime();
  runtime.why = (id, done) => setImmediate(() => done(null, { sessionId: id, state: 7 } as never));
  const faults: string[] = [];
  const latency = new Latency();
  const deps = {
    runtime,
    version: '1',
    transport: { adapter: 'x', why: 'y' },
    latency,
    facts: () => ({ toolWorkers: { workers: 0, busy: 0, queued: 0 }, engine: null }),
    gauges: () => [],
    streams: new SseStreams(timers),
    exports: new Set<never>(),
    waits: new Set<never>(),
    loop: new LoopDelay(),
    now: () => 0,
    timers,
    operations: () => NO_OPERATIONS,
    web: {} as never,
    onFault: () => undefined,
  };
  const onFault = (where: string): void => void faults.push(where);
  const dispatch = dispatcher({ handlers: handlers(deps), latency, onFault, checkAnswers: true });
  const outcome = await dispatch('sessions.why', { params: { id: 'a' }, query: {}, body: undefined });
  expect([outcome.ok, faults]).toEqual([false, ['sessions.why']]);
});

test('[SV3] latency keeps the newest samples only', () => {
  const latency = new Latency();
  expect(latency.facts()).toEqual({ p50Ms: 0, p99Ms: 0, samples: 0 });
  for (let i = 0; i < 1_000; i++) latency.add(1_000);
  for (let i = 1; i <= 512; i++) latency.add(i);
  expect(latency.facts()).toEqual({ p50Ms: 257, p99Ms: 507, samples: 512 });
});
