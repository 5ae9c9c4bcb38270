import { expect, test } from 'vitest';
import { RowSearch } from '../../src/views/row-search.ts';
import type { Row } from '../../src/views/rows.ts';

const rowsOf = (texts: readonly string[]): Row[] =>
  texts.map((text, i) => ({ id: String(i), kind: 'text', text, open: false }));
const numbered = rowsOf(Array.from({ length: 1_000 }, (_, i) => `Row ${i}`));
const all = (search: RowSearch): readonly number[] => {
  expect(search.go()).toBe(true);
  return search.places;
};

test('a search stops when its time is up and goes on where it was; every row is looked at once', () => {
  const search = new RowSearch(numbered, 'row 7');
  let goes = 0;
  while (!search.go(() => true)) {
    goes += 1;
    expect(search.isDone).toBe(false);
    expect(goes).toBeLessThan(1_000);
  }
  expect(goes).toBeGreaterThan(10);
  expect(search.places).toEqual([
    7,
    ...Array.from({ length: 10 }, (_, i) => 70 + i),
    ...Array.from({ length: 100 }, (_, i) => 700 + i),
  ]);
});

test('a further letter looks only at what was found, and finds the same', () => {
  const read: string[] = [];
  const rows = rowsOf(['an apple', 'a pear', 'Apples', 'none']).map((row) => ({ ...row }));
  const first = new RowSearch(rows, 'App');
  expect(all(first)).toEqual([0, 2]);
  // Rows that were not found are not touched any more.
  for (const place of [1, 3]) {
    Object.defineProperty(rows[place], 'kind', { get: () => read.push(`row ${place}`) && 'text' });
  }
  expect(all(new RowSearch(rows, 'apples', first))).toEqual([2]);
  expect(read).toEqual([]);
});

test('another word, another conversation and a search that is not done begin from nothing', () => {
  const rows = rowsOf(['apple', 'pear', 'pineapple']);
  const apple = new RowSearch(rows, 'apple');
  all(apple);
  expect(all(new RowSearch(rows, 'app', apple))).toEqual([0, 2]);
  expect(all(new RowSearch(rows, 'pear', apple))).toEqual([1]);
  expect(all(new RowSearch(rowsOf(['x', 'apples']), 'apples', apple))).toEqual([1]);
  const half = new RowSearch(numbered, 'row 9');
  expect(half.go(() => true)).toBe(false);
  expect(all(new RowSearch(numbered, 'row 99', half))).toEqual([99, ...Array.from({ length: 10 }, (_, i) => 990 + i)]);
  const empty = new RowSearch(rows, '');
  expect(all(empty)).toEqual([]);
  expect(all(new RowSearch(rows, 'pear', empty))).toEqual([1]);
});
