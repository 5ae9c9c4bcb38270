import { expect, test } from 'vitest';
import { torture } from './kill9.ts';
import type { Plan } from './plans.ts';

/**
 * A short run of what `npm run torture` does for a hundred rounds. The seed changes with the day, so that over time more than one
 * schedule is tried; a violation names it.
 */
const SEED = Math.floor(Date.now() / 86_400_000);

test('[CR1][EV4][EV5] kill -9 takes back nothing that anybody saw or was told', async () => {
  const plans: Plan[] = ['stream', 'tool', 'decide', 'create', 'cancel', 'boot'];
  const report = await torture({ rounds: plans.length, seed: SEED, plans });
  expect(report.violations, `seed ${SEED}`).toEqual([]);
  // The run has to have been one: something was interrupted with its text, something waited in a queue, something was answered.
  expect(report).toMatchObject({ rounds: plans.length, missed: 0 });
  expect(report.interrupted).toBeGreaterThan(0);
  expect(report.interruptedWithText).toBeGreaterThan(0);
  expect(report.queuedResumed).toBeGreaterThan(0);
  expect(report.submitsAcked).toBeGreaterThan(10);
  expect(report.createsAcked).toBeGreaterThan(0);
  expect(report.cancelsAcked + report.decisionsAcked).toBeGreaterThan(0);
}, 90_000);
