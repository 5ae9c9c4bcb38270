import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import { type Asked, type MemoryAdapter, memoryAdapter, settle } from './memory-adapter.ts';
import { AUTH, type World, world } from './world.ts';

let w: World;
let adapter: MemoryAdapter;
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  adapter = memoryAdapter();
  w = await world({ adapter });
});
afterEach(async () => {
  await w.close();
  vi.useRealTimers();
});

const open = async (): Promise<Asked> => {
  const asked = adapter.ask('/v3/health/stream', AUTH);
  await settle();
  return asked;
};
const streamOf = (asked: Asked) => asked.stream as NonNullable<Asked['stream']>;
const told = (asked: Asked) => streamOf(asked).events.map((e) => JSON.parse(e.data));

test('[SV3] the first frame comes at once, has the health of the moment, and a time in milliseconds', async () => {
  const asked = await open();
  expect([asked.reply?.status, asked.header('content-type')]).toEqual([200, 'text/event-stream']);
  const health = adapter.ask('/v3/health', AUTH);
  await settle();
  const { latency, ...runtime } = JSON.parse(health.reply?.body ?? '').runtime;
  expect(latency.samples).toBeGreaterThan(0);
  expect(told(asked)).toEqual([
    {
      ...JSON.parse(health.reply?.body ?? ''),
      runtime: { ...runtime, latency: expect.any(Object) },
      ts: Date.now(),
    },
  ]);
  expect(streamOf(asked).text).not.toContain('id: ');
});

test('[SV3] a change is told soon, what moves with each request is not, and the same comes again after a while', async () => {
  const asked = await open();
  vi.advanceTimersByTime(LIMITS.healthStreamLookMs * 2);
  w.runtime.submits.push('one more');
  await open();
  vi.advanceTimersByTime(LIMITS.healthStreamLookMs * 2);
  expect(told(asked)).toHaveLength(1);
  w.runtime.state = 'read-only';
  vi.advanceTimersByTime(LIMITS.healthStreamLookMs);
  expect(told(asked).map((h) => h.status)).toEqual(['ok', 'read-only']);
  vi.advanceTimersByTime(LIMITS.healthStreamEveryMs - LIMITS.healthStreamLookMs);
  expect(told(asked)).toHaveLength(2);
  vi.advanceTimersByTime(LIMITS.healthStreamLookMs);
  expect(told(asked).map((h) => h.status)).toEqual(['ok', 'read-only', 'read-only']);
});

test('[SV3] nothing piles up for a client that takes nothing; later it gets the newest', async () => {
  const asked = await open();
  streamOf(asked).deaf = true;
  for (const state of ['draining', 'read-only', 'draining'] as const) {
    w.runtime.state = state;
    vi.advanceTimersByTime(LIMITS.healthStreamLookMs);
  }
  const backlog = streamOf(asked).bufferedBytes();
  vi.advanceTimersByTime(LIMITS.healthStreamEveryMs * 2);
  expect(streamOf(asked).bufferedBytes()).toBe(backlog);
  w.runtime.state = 'ready';
  streamOf(asked).take();
  streamOf(asked).deaf = false;
  vi.advanceTimersByTime(LIMITS.healthStreamLookMs);
  expect(told(asked).map((h) => h.status)).toEqual(['ok', 'draining', 'ok']);
});

test('[SV2] while nobody watches nothing is looked at, and no timer is left', async () => {
  const looks = vi.spyOn(w.runtime, 'health');
  const [a, b] = [await open(), await open()];
  vi.advanceTimersByTime(LIMITS.healthStreamLookMs);
  const shared = looks.mock.calls.length;
  vi.advanceTimersByTime(LIMITS.healthStreamLookMs);
  expect(looks.mock.calls.length).toBe(shared + 1);
  a.leave();
  b.leave();
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(LIMITS.healthStreamEveryMs);
  expect(looks.mock.calls.length).toBe(shared + 1);
});

test('[AC1] without the token it is 401 and no stream', async () => {
  const asked = adapter.ask('/v3/health/stream');
  expect([asked.reply?.status, asked.stream]).toEqual([401, null]);
});
