import { createHash } from 'node:crypto';

/**
 * Whether a turn goes in circles: the same calls with the same results, again and again, alone or as a cycle of a few steps. What
 * a call answered counts too, so that waiting for something that changes is no circle.
 */
export interface CallMark {
  name: string;
  args: string;
  /** What the model was told; undefined when the call was refused before it ran. */
  result: string | undefined;
}

/** Cycles of up to this many steps are seen. */
const PERIOD_MAX = 4;
export const MARKS_KEPT_MAX = 32;

/** One step as a short text that is equal when its calls and their results are. */
export const stepMark = (calls: readonly CallMark[]): string =>
  createHash('sha256')
    .update(JSON.stringify(calls.map(({ name, args, result }) => [name, args, result ?? null])))
    .digest('base64url')
    .slice(0, 16);

/** How often in a row the last step, or the last few as a cycle, were taken; 1 when nothing repeats. */
export const repeats = (marks: readonly string[]): number => {
  let most = marks.length === 0 ? 0 : 1;
  for (let period = 1; period <= PERIOD_MAX; period++) {
    let same = 0;
    while (same + period < marks.length && marks.at(-1 - same) === marks.at(-1 - same - period)) same++;
    most = Math.max(most, 1 + Math.floor(same / period));
  }
  return most;
};
