import type { View } from '../client/session-view.ts';
import type { Drawn, Fold, IsOpen } from './drawn.ts';
import { Entries, type Entry } from './entries.ts';
import { entryRows } from './entry-rows.ts';
import { GrowingRows } from './markdown-rows.ts';
import {
  type Anchor,
  atStart,
  indexOf,
  isBefore,
  type Place,
  type Roll,
  revealed,
  scrolled,
  shareOf,
  startOf,
  type Top,
  topOf,
} from './scroll.ts';
import type { Row, Span } from './text.ts';

export type { Fold, IsOpen } from './drawn.ts';

/** What the window shows, and where it is. */
export interface Shown {
  rows: Row[];
  /** For each row what of it can be opened or folded, by a key or a click. */
  folds: (Fold | null)[];
  above: boolean;
  below: boolean;
  /** From 0 at the start to 1 at the end, by things and not by rows: nobody has counted those. */
  share: number;
}

interface Made {
  drawn: readonly Drawn[];
  phase: Phase;
  /** What its look depends on, with the answers of then. */
  asked: readonly (readonly [fold: Fold, open: boolean])[];
}

/** The same item may be drawn otherwise when it is no longer written, and when its turn is over. */
type Phase = 'written' | 'live' | 'over';

const NOTHING: View = { seed: [], past: [], active: null } as unknown as View;

/**
 * The conversation as rows, and the place in it that is being read. What is drawn is kept for each width, and only what is near
 * the window is ever drawn: a frame and a key cost the same in a conversation of any length.
 */
export class Transcript implements Roll {
  readonly #entries = new Entries();
  readonly #isOpen: IsOpen;
  #width = 80;
  #height = 1;
  #place: Place = null;
  #focus: string | null = null;
  #made = new WeakMap<object, Made>();
  #growing: { id: string; rows: GrowingRows } | null = null;

  /** Whether something is open is kept elsewhere; it is asked for each time. */
  constructor(isOpen: IsOpen = (_, byDefault) => byDefault) {
    this.#isOpen = isOpen;
    this.#entries.read(NOTHING);
  }

  /** Draws what stands in a window of this size. */
  window(view: View, width: number, height: number): Shown {
    this.#entries.read(view);
    this.#height = Math.max(1, height);
    this.#resize(Math.max(1, width));
    const top = topOf(this, this.#place, this.#height);
    this.#place = this.#place && { ...this.#place, index: indexOf(this, this.#place) };
    const rows: Row[] = [];
    const folds: (Fold | null)[] = [];
    let [index, from] = [top.index, top.row];
    for (; index < this.count && rows.length < height; index++, from = 0) {
      const drawn = this.#drawn(index);
      for (let i = from; i < drawn.length && rows.length < height; i++) {
        const { row, fold } = drawn[i] as Drawn;
        folds.push(fold);
        rows.push(i === 0 && fold !== null && fold.id === this.#focus ? focused(row) : row);
      }
    }
    const last = topOf(this, null, this.#height);
    const above = this.count > 0 && isBefore(startOf(this), top);
    return { rows, folds, above, below: isBefore(top, last), share: shareOf(this, top, this.#height) };
  }

  /** Whether new text moves what is shown. */
  get following(): boolean {
    return this.#place === null;
  }

  /** The first row of the window, in the list of things. */
  get top(): Top {
    return topOf(this, this.#place, this.#height);
  }

  /** How far a page is: one row stays. */
  get page(): number {
    return Math.max(1, this.#height - 1);
  }

  /** Moves by rows, down when positive. All of these count from what was drawn last. */
  scroll(by: number): void {
    this.#place = scrolled(this, this.#place, by, this.#height);
  }

  toStart(): void {
    this.#place = atStart(this, this.#height);
  }

  toEnd(): void {
    this.#place = null;
  }

  /** Stops following, without moving: what comes is read later. */
  hold(): void {
    if (this.#place !== null || this.count === 0) return;
    const top = topOf(this, null, this.#height);
    this.#place = { id: this.id(top.index), ...top };
  }

  /** Another session. */
  clear(): void {
    this.#place = null;
    this.#focus = null;
    this.#growing = null;
    this.#entries.read(NOTHING);
  }

  /** The thing that a key opens or folds. */
  get focus(): Fold | null {
    if (this.#focus === null) return null;
    const index = this.#focusIndex();
    return index < 0 ? null : this.#foldOf(index);
  }

  /** To the next one (1) or the one before (-1), which comes into the window; null when there is none. */
  moveFocus(step: 1 | -1): Fold | null {
    const here = this.#focusIndex();
    const top = topOf(this, this.#place, this.#height);
    const start = here >= 0 ? here + step : step > 0 ? top.index : this.#lastShown(top.index);
    for (let i = start, left = SEARCHED_MAX; i >= 0 && i < this.count && left > 0; i += step, left--) {
      const fold = this.#foldOf(i);
      if (fold === null) continue;
      this.#focus = fold.id;
      this.hold();
      this.#place = revealed(this, this.#place, i, this.#height);
      return fold;
    }
    return null;
  }

  unfocus(): void {
    this.#focus = null;
  }

  // --- a list of things with heights --------------------------------------------------------------------------------------

  get count(): number {
    return this.#entries.count;
  }

  id(index: number): string {
    return this.#entries.at(index).id;
  }

  height(index: number): number {
    return this.#drawn(index).length;
  }

  // --- rows -----------------------------------------------------------------------------------------------------------------

  #drawn(index: number): readonly Drawn[] {
    const entry = this.#entries.at(index);
    const phase = phaseOf(entry);
    const known = this.#made.get(entry.of);
    if (known && known.phase === phase && known.asked.every(([f, open]) => this.#isOpen(f.id, f.byDefault) === open)) {
      return known.drawn;
    }
    const asked: (readonly [Fold, boolean])[] = [];
    const isOpen: IsOpen = (id, byDefault) => {
      const open = this.#isOpen(id, byDefault);
      asked.push([{ id, byDefault }, open]);
      return open;
    };
    const growing = this.#growingOf(entry);
    const drawn = entryRows(entry, this.#width, isOpen, growing);
    this.#made.set(entry.of, { drawn, phase, asked });
    return drawn;
  }

  /** What of the text that is being written need not be read again. */
  #growingOf({ id, item, turn }: Entry): GrowingRows | null {
    if (item.kind !== 'text' || turn?.open !== item) return null;
    if (this.#growing?.id !== id) this.#growing = { id, rows: new GrowingRows(this.#width) };
    return this.#growing.rows;
  }

  #resize(width: number): void {
    if (width === this.#width) return;
    const place = this.#place;
    const before = place && this.count > 0 ? this.#drawn(indexOf(this, place)) : [];
    this.#width = width;
    this.#made = new WeakMap();
    this.#growing = null;
    if (place) this.#place = this.#replaced(place, before);
  }

  /** What stood in the first row stands there still, however the lines break now. */
  #replaced(place: Anchor, before: readonly Drawn[]): Anchor {
    const index = indexOf(this, place);
    const mark = place.mark ?? before.slice(0, place.row).reduce((sum, { row }) => sum + letters(row), 0);
    const drawn = this.#drawn(index);
    let [row, seen] = [0, 0];
    for (let i = 0; i < drawn.length; i++) {
      seen += letters((drawn[i] as Drawn).row);
      if (seen > mark) break;
      row = i + 1;
    }
    return { ...place, index, mark, row: Math.max(0, Math.min(row, drawn.length - 1)) };
  }

  // --- focus ------------------------------------------------------------------------------------------------------------------

  #foldOf(index: number): Fold | null {
    return this.#drawn(index)[0]?.fold ?? null;
  }

  /** Near the window only: what is far away is not what a key is meant for. */
  #focusIndex(): number {
    if (this.#focus === null || this.count === 0) return -1;
    const { index } = topOf(this, this.#place, this.#height);
    const last = this.#lastShown(index);
    for (let i = index; i <= last; i++) if (this.#foldOf(i)?.id === this.#focus) return i;
    return -1;
  }

  #lastShown(from: number): number {
    let [index, left] = [from, this.#height];
    while (index < this.count - 1 && left > 0) {
      left -= this.height(index);
      index += 1;
    }
    return Math.min(index, this.count - 1);
  }
}

/** How far the next thing that can be opened is looked for. */
const SEARCHED_MAX = 500;

const phaseOf = ({ item, turn }: Entry): Phase =>
  turn === null || turn.end !== null ? 'over' : turn.open === item ? 'written' : 'live';

const letters = (row: Row): number => row.reduce((sum, [text]) => sum + text.replace(/\s/g, '').length, 0);

const focused = (row: Row): Row => row.map(([text]): Span => [text, 'chosen']);
