import type { IntervalHistogram } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { LOOK_EVERY_MS, LoopDelay } from '../../src/transport/loop-delay.ts';

/** Intervals between two looks, in milliseconds, as node counts them. */
const counted = (count: number, p50: number, p99: number, max: number) => {
  const calls: string[] = [];
  const histogram = {
    count,
    max: max * 1e6,
    percentile: (n: number) => (n === 50 ? p50 : p99) * 1e6,
    enable: () => calls.push('enable'),
    disable: () => calls.push('disable'),
    reset: () => calls.push('reset'),
  };
  return { histogram: histogram as unknown as IntervalHistogram, calls };
};

test('the time between two looks is no delay: a loop with nothing to do is not late', () => {
  const { histogram, calls } = counted(50, LOOK_EVERY_MS + 0.1, LOOK_EVERY_MS + 5, LOOK_EVERY_MS + 200);
  const loop = new LoopDelay(histogram);
  const { p50, p99, max } = loop.read();
  expect(p50).toBeCloseTo(0.000_1, 9);
  expect(p99).toBeCloseTo(0.005, 9);
  expect(max).toBeCloseTo(0.2, 9);
  // From now on it covers what comes after this look.
  expect(calls).toEqual(['enable', 'reset']);
  loop.close();
  expect(calls.at(-1)).toBe('disable');
});

test('a look that comes early is not late by less than nothing, and no look at all is no figure of nonsense', () => {
  expect(new LoopDelay(counted(2, LOOK_EVERY_MS - 1, LOOK_EVERY_MS - 1, LOOK_EVERY_MS).histogram).read()).toEqual({
    p50: 0,
    p99: 0,
    max: 0,
  });
  expect(new LoopDelay(counted(0, 99, 99, 99).histogram).read()).toEqual({ p50: 0, p99: 0, max: 0 });
});
