/** Things in order of which each has rows once somebody looks at it. Nothing here asks for the rows of all of them. */
export interface Roll {
  readonly count: number;
  id(index: number): string;
  /** Rows of one of them, at the width of now. */
  height(index: number): number;
}

/**
 * What stands in the first row of the window: the `row`th row of a thing. Never a count of rows from either end, so it means
 * the same when text comes in below, when something above folds, and when the screen changes its size.
 */
export interface Anchor {
  readonly id: string;
  /** Where it stood when it was last seen: there, or further down, it stands now. */
  readonly index: number;
  readonly row: number;
  /** How much of the thing's text stands before the row; kept through changes of the width, so that those do not add up. */
  readonly mark?: number;
}

/** null: the end is shown, and stays shown. */
export type Place = Anchor | null;

export interface Top {
  readonly index: number;
  readonly row: number;
}

/** Where the thing of an anchor is now; the nearest when it is gone. */
export const indexOf = (roll: Roll, { id, index }: Anchor): number => {
  for (let i = Math.max(0, index); i < roll.count; i++) if (roll.id(i) === id) return i;
  for (let i = Math.min(index, roll.count) - 1; i >= 0; i--) if (roll.id(i) === id) return i;
  return Math.max(0, Math.min(index, roll.count - 1));
};

/** The first row that a window of `height` rows shows. It never shows less than it could. */
export const topOf = (roll: Roll, place: Place, height: number): Top => {
  const last = lastTop(roll, height);
  if (place === null || roll.count === 0) return last;
  const index = indexOf(roll, place);
  const row = Math.max(0, Math.min(place.row, roll.height(index) - 1));
  const top = seen(roll, { index, row });
  return isBefore(last, top) ? last : top;
};

/** Moves by rows, down when positive. Who comes to the end follows it. */
export const scrolled = (roll: Roll, place: Place, by: number, height: number): Place => {
  if (roll.count === 0) return null;
  const last = lastTop(roll, height);
  const from = topOf(roll, place, height);
  const to = seen(roll, by < 0 ? up(roll, from, -by) : down(roll, from, by));
  return isBefore(to, last) ? anchorAt(roll, to) : null;
};

/** The very first row, at the cost of one screen. */
export const atStart = (roll: Roll, height: number): Place => {
  const start = startOf(roll);
  return roll.count > 0 && isBefore(start, lastTop(roll, height)) ? anchorAt(roll, start) : null;
};

/** Moves no further than what brings all of a thing, or its beginning, into the window. */
export const revealed = (roll: Roll, place: Place, index: number, height: number): Place => {
  const top = topOf(roll, place, height);
  if (isBefore(seen(roll, { index, row: 0 }), top)) return scrolled(roll, anchorAt(roll, { index, row: 0 }), 0, height);
  let above = -top.row;
  for (let i = top.index; i < index && above <= height; i++) above += roll.height(i);
  if (above + Math.min(roll.height(index), height) <= height) return place;
  const rows = Math.min(roll.height(index), height);
  return scrolled(roll, anchorAt(roll, up(roll, { index, row: 0 }, height - rows)), 0, height);
};

export const anchorAt = (roll: Roll, { index, row }: Top): Anchor => ({ id: roll.id(index), index, row });

/** Share of the things that lie above the window, from 0 at the start to 1 at the end: no heights are asked for. */
export const shareOf = (roll: Roll, top: Top, height: number): number => {
  if (roll.count === 0) return 1;
  const last = lastTop(roll, height);
  if (!isBefore(top, last)) return 1;
  const at = ({ index, row }: Top): number => index + row / Math.max(1, roll.height(index));
  return at(last) <= 0 ? 1 : Math.min(1, at(top) / at(last));
};

export const isBefore = (a: Top, b: Top): boolean => a.index < b.index || (a.index === b.index && a.row < b.row);

/** The top at which the last row stands in the last row of the window. */
const lastTop = (roll: Roll, height: number): Top => {
  let left = Math.max(1, height);
  for (let index = roll.count - 1; index >= 0; index--) {
    const rows = roll.height(index);
    if (rows >= left) return { index, row: rows - left };
    left -= rows;
  }
  return startOf(roll);
};

/** The first row of all. */
export const startOf = (roll: Roll): Top => seen(roll, { index: 0, row: 0 });

/** One row has one place: things without rows have none. */
const seen = (roll: Roll, { index, row }: Top): Top => {
  let at = index;
  while (row === 0 && at < roll.count - 1 && roll.height(at) === 0) at += 1;
  return { index: at, row };
};

const up = (roll: Roll, { index, row }: Top, by: number): Top => {
  let [at, left] = [index, row - by];
  while (left < 0 && at > 0) {
    at -= 1;
    left += roll.height(at);
  }
  return { index: at, row: Math.max(0, left) };
};

const down = (roll: Roll, { index, row }: Top, by: number): Top => {
  let [at, left] = [index, row + by];
  while (at < roll.count && left >= roll.height(at)) {
    left -= roll.height(at);
    at += 1;
  }
  return { index: at, row: left };
};
