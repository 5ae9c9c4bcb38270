import { holds, type Row } from './rows.ts';

/** Rows between two looks at the clock. */
const ROWS_A_LOOK = 32;

/**
 * A search in a long conversation, done piece by piece so that whoever draws it is not held up. What goes on from an earlier
 * search, by a further letter, looks only where that one found something.
 */
export class RowSearch {
  readonly wanted: string;
  readonly #rows: readonly Row[];
  readonly #needle: string;
  /** Places that are still to be looked at; null for all of them. */
  readonly #among: readonly number[] | null;
  readonly #places: number[] = [];
  #next = 0;

  constructor(rows: readonly Row[], wanted: string, before: RowSearch | null = null) {
    this.#rows = rows;
    this.wanted = wanted;
    this.#needle = wanted.toLowerCase();
    const goesOn =
      before?.isDone && before.#rows === rows && before.#needle !== '' && this.#needle.includes(before.#needle);
    this.#among = goesOn ? before.#places : null;
  }

  /** The places of the rows that hold what is wanted, upper and lower case alike; all of them once it is done. */
  get places(): readonly number[] {
    return this.#places;
  }

  get isDone(): boolean {
    return this.#needle === '' || this.#next >= (this.#among ?? this.#rows).length;
  }

  /** Goes on until it is done or the time is up; true when it is done. */
  go(isTimeUp: () => boolean = () => false): boolean {
    const among = this.#among;
    while (!this.isDone) {
      const place = among === null ? this.#next : (among[this.#next] as number);
      const row = this.#rows[place];
      if (row !== undefined && holds(row, this.#needle)) this.#places.push(place);
      this.#next += 1;
      if (this.#next % ROWS_A_LOOK === 0 && isTimeUp()) break;
    }
    return this.isDone;
  }
}
