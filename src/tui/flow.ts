import { clean, cropped, graphemes, textWidth } from './text.ts';

export interface FlowLayout {
  /** Those around the cursor. */
  rows: string[];
  x: number;
  y: number;
  /** Whether there are more of them. */
  above: boolean;
  below: boolean;
}

/** One line of the text, and where its rows begin: as many of them as somebody has asked for. */
interface Line {
  readonly text: string;
  readonly starts: number[];
  done: boolean;
}

interface Spot {
  /** Where its line begins in the text. */
  from: number;
  line: Line;
  row: number;
}

const LINES_KEPT_MAX = 64;
/** A change may make another sign of what stands so far before it. */
const SIGN_CHARS_MAX = 64;
const LOOKS_KEPT_MAX = 4_096;
const BLOCK_CHARS_MAX = 8_192;

/**
 * Breaks a text that is being written into rows. Only what is near the cursor is broken, and what stands before a change is not
 * broken again: a key costs as much in a long text as in a short one.
 */
export class Flow {
  readonly #labelOf: (sign: string) => string | null;
  #width = 80;
  #lines = new Map<string, Line>();
  #last: Line | null = null;
  /** How signs are drawn that do not stand for anything else. */
  readonly #looks = new Map<string, string>();
  /** The column that Up and Down keep to, though a row between is shorter. */
  #goal: { cursor: number; x: number } | null = null;

  /** A sign that stands for something else is shown by its label. */
  constructor(labelOf: (sign: string) => string | null) {
    this.#labelOf = labelOf;
  }

  layout(text: string, cursor: number, width: number, max: number): FlowLayout {
    if (width !== this.#width) {
      this.#width = width;
      this.#lines.clear();
      this.#looks.clear();
      this.#last = null;
    }
    const here = this.#spotOf(text, cursor);
    const before: string[] = [];
    const behind: string[] = [];
    let up = this.#over(text, here);
    for (; up !== null && before.length < max; up = this.#over(text, up)) before.push(this.#shown(up));
    let down = this.#under(text, here);
    for (; down !== null && behind.length < max; down = this.#under(text, down)) behind.push(this.#shown(down));
    const least = Math.min(behind.length, Math.floor((max - 1) / 2));
    const over = Math.min(before.length, max - 1 - least);
    const under = Math.min(behind.length, max - 1 - over);
    const rows = [...before.slice(0, over).reverse(), this.#shown(here), ...behind.slice(0, under)];
    const x = this.#column(here, cursor);
    return {
      rows,
      x,
      y: over,
      above: over < before.length || up !== null,
      below: under < behind.length || down !== null,
    };
  }

  /** The place one row higher; null in the first row. */
  above(text: string, cursor: number): number | null {
    const here = this.#spotOf(text, cursor);
    return this.#moved(this.#over(text, here), here, cursor);
  }

  below(text: string, cursor: number): number | null {
    const here = this.#spotOf(text, cursor);
    return this.#moved(this.#under(text, here), here, cursor);
  }

  #moved(to: Spot | null, here: Spot, cursor: number): number | null {
    if (to === null) return null;
    const x = this.#goal?.cursor === cursor ? this.#goal.x : this.#column(here, cursor);
    const at = this.#placeAt(to, x);
    this.#goal = { cursor: at, x };
    return at;
  }

  // --- rows ------------------------------------------------------------------------------------------------------------

  #spotOf(text: string, cursor: number): Spot {
    const from = cursor === 0 ? 0 : text.lastIndexOf('\n', cursor - 1) + 1;
    const end = text.indexOf('\n', cursor);
    const line = this.#line(text.slice(from, end < 0 ? text.length : end), true);
    if ((line.starts.at(-1) as number) < cursor - from) this.#extend(line, cursor - from);
    let row = 0;
    while (this.#start(line, row + 1) !== null && (line.starts[row + 1] as number) <= cursor - from) row += 1;
    return { from, line, row };
  }

  #over(text: string, { from, line, row }: Spot): Spot | null {
    if (row > 0) return { from, line, row: row - 1 };
    if (from === 0) return null;
    const start = from < 2 ? 0 : text.lastIndexOf('\n', from - 2) + 1;
    const over = this.#line(text.slice(start, from - 1));
    this.#extend(over, over.text.length);
    return { from: start, line: over, row: over.starts.length - 1 };
  }

  #under(text: string, { from, line, row }: Spot): Spot | null {
    if (this.#start(line, row + 1) !== null) return { from, line, row: row + 1 };
    const next = from + line.text.length + 1;
    if (next > text.length) return null;
    const end = text.indexOf('\n', next);
    return { from: next, line: this.#line(text.slice(next, end < 0 ? text.length : end)), row: 0 };
  }

  #line(text: string, current = false): Line {
    let line = current && this.#last?.text === text ? this.#last : this.#lines.get(text);
    if (line === undefined) {
      line = { text, starts: current ? this.#startsKept(text) : [0], done: false };
      this.#lines.set(text, line);
      if (this.#lines.size > LINES_KEPT_MAX) this.#lines.delete(this.#lines.keys().next().value as string);
    }
    if (current) this.#last = line;
    return line;
  }

  /** The rows that stand before the change are those of before. */
  #startsKept(text: string): number[] {
    const last = this.#last;
    if (last === null) return [0];
    const most = Math.min(text.length, last.text.length);
    let same = 0;
    while (same < most && text.charCodeAt(same) === last.text.charCodeAt(same)) same += 1;
    const { starts } = last;
    let kept = 1;
    while (kept + 1 < starts.length && (starts[kept + 1] as number) + SIGN_CHARS_MAX <= same) kept += 1;
    return starts.slice(0, kept);
  }

  #start(line: Line, row: number): number | null {
    if (line.starts.length <= row) this.#extend(line);
    return line.starts[row] ?? null;
  }

  /** Finds where rows end: at least one more, and all that begin before `until`. A space at the end of a row hangs over. */
  #extend(line: Line, until = 0): void {
    for (let more = 0; !line.done; more *= 2) {
      const start = line.starts.at(-1) as number;
      const chars = Math.max(this.#width * 2 + SIGN_CHARS_MAX + more, Math.min(until - start, BLOCK_CHARS_MAX));
      const rows = line.starts.length;
      this.#break(line, graphemes(line.text.slice(start, start + chars)), start + chars >= line.text.length);
      if (line.starts.length === rows) more = Math.max(more, chars);
      else if ((line.starts.at(-1) as number) >= until) return;
      else more = 0;
    }
  }

  #break(line: Line, signs: readonly string[], isEnd: boolean): void {
    let at = line.starts.at(-1) as number;
    let [start, used, gap, sinceGap] = [at, 0, at, 0];
    for (const sign of signs) {
      const w = sign === ' ' && used >= this.#width ? 0 : this.#widthOf(sign);
      while (used + w > this.#width && at > start) {
        const atWord = gap > start;
        [start, used] = atWord ? [gap, sinceGap] : [at, 0];
        line.starts.push(start);
        [gap, sinceGap] = [start, used];
      }
      used += w;
      sinceGap += w;
      at += sign.length;
      if (sign === ' ') [gap, sinceGap] = [at, 0];
    }
    if (isEnd) line.done = true;
  }

  #signs({ line, row }: Spot): string[] {
    return graphemes(line.text.slice(line.starts[row], this.#start(line, row + 1) ?? line.text.length));
  }

  #shown(spot: Spot): string {
    let [text, used] = ['', 0];
    for (const sign of this.#signs(spot)) {
      const look = this.#look(sign);
      const w = textWidth(look);
      if (used + w > this.#width) continue;
      text += look;
      used += w;
    }
    return text;
  }

  #column(spot: Spot, cursor: number): number {
    let at = spot.from + (spot.line.starts[spot.row] as number);
    let x = 0;
    for (const sign of this.#signs(spot)) {
      if (at >= cursor) break;
      at += sign.length;
      x += this.#widthOf(sign);
    }
    return Math.min(x, this.#width);
  }

  #placeAt(spot: Spot, goal: number): number {
    const signs = this.#signs(spot);
    let at = spot.from + (spot.line.starts[spot.row] as number);
    let x = 0;
    const isLast = this.#start(spot.line, spot.row + 1) === null;
    for (const [i, sign] of signs.entries()) {
      x += this.#widthOf(sign);
      // The end of a row that goes on is the beginning of the next one.
      if (x > goal || (!isLast && i === signs.length - 1)) break;
      at += sign.length;
    }
    return at;
  }

  #look(sign: string): string {
    const known = this.#looks.get(sign);
    if (known !== undefined) return known;
    const label = this.#labelOf(String.fromCodePoint(sign.codePointAt(0) ?? 0));
    const look = cropped(label ?? clean(sign), this.#width);
    if (label !== null) return look;
    if (this.#looks.size >= LOOKS_KEPT_MAX) this.#looks.clear();
    this.#looks.set(sign, look);
    return look;
  }

  #widthOf(sign: string): number {
    return sign.length === 1 && sign >= ' ' && sign <= '~' ? 1 : textWidth(this.#look(sign));
  }
}
