/** Which rows of a long list are in the document: from `from` up to `to`, or to the end as it grows when `to` is null. */
export interface Window {
  from: number;
  to: number | null;
}

/** Rows at first, rows that come with one reach beyond the edge, and the most at a time. */
const START = 60;
const STEP = 40;
export const ROWS_MAX = 180;

export const newest = (total: number): Window => ({ from: Math.max(0, total - START), to: null });

export const endOf = ({ to }: Window, total: number): number => (to === null ? total : Math.min(to, total));

export const earlier = (w: Window, total: number): Window => {
  const from = Math.max(0, w.from - STEP);
  const end = endOf(w, total);
  return end - from > ROWS_MAX ? { from, to: from + ROWS_MAX } : { from, to: w.to };
};

export const later = (w: Window, total: number): Window => {
  const to = Math.min(total, endOf(w, total) + STEP);
  return { from: Math.max(w.from, to - ROWS_MAX), to: to === total ? null : to };
};

/** With one row in the middle. */
export const around = (row: number, total: number): Window => {
  const from = Math.max(0, row - START / 2);
  const to = from + START;
  return to >= total ? { from: Math.max(0, total - START), to: null } : { from, to };
};

/** After the list has grown: who reads at the end stays there, who reads above keeps what they read. */
export const grown = (w: Window, total: number, isAtEnd: boolean): Window => {
  if (w.from > total) return newest(total);
  if (endOf(w, total) - w.from <= ROWS_MAX) return w;
  return isAtEnd ? newest(total) : { from: w.from, to: w.from + ROWS_MAX };
};
