import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runOrder, taskOf } from '../../src/actors/domain/delegation.ts';

test('[SA2] for any dependencies: each runs once, behind all it depends on, or a circle is named', () => {
  const lists = fc.array(fc.array(fc.nat(4), { maxLength: 3 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(lists, (needs) => {
      const order = runOrder(needs.map((depends_on) => ({ task: 't', depends_on })));
      if (needs.flat().some((at) => at >= needs.length)) return typeof order === 'string' && /no task/.test(order);
      if (typeof order === 'string') return /circle/.test(order) && hasCircle(needs);
      const isWhole = [...order].sort().join() === needs.map((_, i) => i).join();
      return (
        isWhole && !hasCircle(needs) && order.every((at, i) => (needs[at] ?? []).every((n) => order.indexOf(n) < i))
      );
    }),
  );
  expect(runOrder([{ task: 'a' }, { task: 'b', depends_on: [2] }, { task: 'c' }])).toEqual([0, 2, 1]);
});

/** By walking it, where the code goes by what is left. */
const hasCircle = (needs: readonly number[][]): boolean => {
  const reaches = (from: number, to: number, seen: ReadonlySet<number> = new Set()): boolean =>
    (needs[from] ?? []).some((n) => n === to || (!seen.has(n) && reaches(n, to, new Set([...seen, n]))));
  return needs.some((_, i) => reaches(i, i));
};

test('[SA2] what depends on others is told their answers, and not begun when one failed', () => {
  const answers = new Map([
    [0, { text: 'seven', isError: false }],
    [1, { text: 'broken', isError: true }],
  ]);
  expect(taskOf('the plan', { task: 'go', depends_on: [0] }, answers)).toBe(
    'go\n\nIt is part of this: the plan\n\nThe answer of task 0:\nseven',
  );
  expect(taskOf('p', { task: 'go', depends_on: [0, 1] }, answers)).toBe(null);
  expect(taskOf('p', { task: 'go', depends_on: [3] }, answers)).toBe(null);
});
