import { expect, test } from 'vitest';
import { agoText, clockText } from '../../src/views/ago.ts';

test.each([
  [0, 'now'],
  [12_000, '12 s ago'],
  [59_000, '59 s ago'],
  [60_000, '1 min ago'],
  [3 * 3_600_000, '3 h ago'],
  [50 * 3_600_000, '2 d ago'],
  [-90_000, 'in 1 min'],
])('%i ms ago reads as %s', (ms, text) => {
  expect(agoText(1_700_000_000_000 - ms, 1_700_000_000_000)).toBe(text);
});

test('what is no moment has no text', () => expect(agoText(Number.NaN, 0)).toBe(''));

test.each([
  [0, '0:00'],
  [-5, '0:00'],
  [7_900, '0:07'],
  [760_000, '12:40'],
  [3_723_000, '1:02:03'],
])('%i ms on a clock are %s', (ms, text) => expect(clockText(ms)).toBe(text));
