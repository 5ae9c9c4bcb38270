import { describe, expect, test } from 'vitest';
import {
  around,
  earlier,
  endOf,
  grown,
  later,
  newest,
  ROWS_MAX,
  type Window,
} from '../../src/web/pages/session/window.ts';

describe('the window of rows', () => {
  test('begins with the newest and follows the end', () => {
    expect(newest(20_000)).toEqual({ from: 19_940, to: null });
    expect(newest(3)).toEqual({ from: 0, to: null });
    expect(endOf(newest(20_000), 20_010)).toBe(20_010);
  });

  test('walks to the beginning and back without a gap, and never holds more than its bound', () => {
    const total = 1_000;
    let w = newest(total);
    const seen = new Set<number>();
    const look = (now: Window): void => {
      const end = endOf(now, total);
      expect(end - now.from).toBeLessThanOrEqual(ROWS_MAX);
      for (let i = now.from; i < end; i += 1) seen.add(i);
    };
    look(w);
    for (let steps = 0; w.from > 0; steps += 1) {
      const next = earlier(w, total);
      expect(next.from).toBeLessThan(w.from);
      // What is on screen near the upper edge stays in the document.
      expect(endOf(next, total)).toBeGreaterThan(w.from);
      w = next;
      look(w);
      if (steps > 100) throw new Error('it does not arrive');
    }
    expect(seen.size).toBe(total);
    for (let steps = 0; w.to !== null; steps += 1) {
      const next = later(w, total);
      expect(next.from).toBeLessThan(endOf(w, total));
      w = next;
      look(w);
      if (steps > 100) throw new Error('it does not arrive');
    }
    expect(endOf(w, total)).toBe(total);
  });

  test('has a row that is looked for inside, wherever it is', () => {
    for (const row of [0, 1, 29, 30, 500, 969, 970, 999]) {
      const w = around(row, 1_000);
      expect(w.from).toBeLessThanOrEqual(row);
      expect(endOf(w, 1_000)).toBeGreaterThan(row);
    }
    expect(around(999, 1_000).to).toBeNull();
  });

  test('when the list grows, who reads at the end gets the newest, who reads above keeps what they read', () => {
    const w = newest(100);
    expect(grown(w, 120, true)).toBe(w);
    expect(grown(w, 400, true)).toEqual(newest(400));
    expect(grown(w, 400, false)).toEqual({ from: w.from, to: w.from + ROWS_MAX });
    const above = { from: 10, to: 70 };
    expect(grown(above, 400, false)).toBe(above);
  });

  test('a list that has become shorter, such as after a rewound log, is shown from its end', () => {
    expect(grown({ from: 500, to: null }, 12, true)).toEqual({ from: 0, to: null });
    expect(grown({ from: 500, to: 560 }, 12, false)).toEqual({ from: 0, to: null });
  });
});
