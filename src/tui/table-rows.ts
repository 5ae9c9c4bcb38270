import type { Align } from '../views/markdown.ts';
import { type Row, rowWidth, type Span, wrapSpans } from './text.ts';

type Cell = readonly Span[];

/** In columns where they fit; else each line of it as a list of what its columns say. */
export const tableRows = (
  align: readonly Align[],
  head: readonly Cell[],
  rows: readonly Cell[][],
  width: number,
): Row[] => {
  const widths = head.map((cell, i) => Math.max(1, rowWidth(cell), ...rows.map((row) => rowWidth(row[i] ?? []))));
  const total = widths.reduce((sum, w) => sum + w, 0) + GAP * (widths.length - 1);
  if (total > width) return fieldRows(head, rows, width);
  const line = (cells: readonly Cell[]): Row =>
    widths.flatMap((w, i) => {
      const cell = padded(cells[i] ?? [], w, align[i] ?? null);
      return i === 0 ? cell : [[' │ ', 'dim'] as const, ...cell];
    });
  const rule: Row = [[widths.map((w) => '─'.repeat(w)).join('─┼─'), 'dim']];
  return [line(head), rule, ...rows.map(line)];
};

const GAP = 3;

const padded = (cell: Cell, width: number, align: Align): Span[] => {
  const free = width - rowWidth(cell);
  const left = align === 'right' ? free : align === 'center' ? Math.floor(free / 2) : 0;
  const blank = (n: number): Span[] => (n > 0 ? [[' '.repeat(n), 'plain']] : []);
  return [...blank(left), ...cell, ...blank(free - left)];
};

const fieldRows = (head: readonly Cell[], rows: readonly Cell[][], width: number): Row[] =>
  rows.flatMap((row, i) => {
    const fields = head.flatMap((name, k) => {
      const words: Span[] = [...name, ...(name.length > 0 ? [[': ', 'dim'] as const] : []), ...(row[k] ?? [])];
      return wrapSpans(words, width);
    });
    return i === 0 ? fields : [[], ...fields];
  });
