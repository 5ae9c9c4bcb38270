import { oneLine } from '../client/printable.ts';
import { type BlessedScreen, type Cell, openScreen } from './blessed.ts';
import { cellWidth, graphemes, type Row, type Style } from './text.ts';

const BOLD = 1;
const UNDERLINE = 2;
const INVERSE = 8;
const DEFAULT = 0x1ff;
/** Flags and foreground, the latter by the sixteen colours that every palette has: light and dark themes both stay readable. */
const LOOKS: { [S in Style]: readonly [flags: number, colour: number] } = {
  plain: [0, DEFAULT],
  bold: [BOLD, DEFAULT],
  dim: [0, 8],
  accent: [0, 6],
  good: [0, 2],
  bad: [0, 1],
  warn: [BOLD, 3],
  author: [BOLD, 5],
  bar: [INVERSE, DEFAULT],
  chosen: [INVERSE, DEFAULT],
  em: [UNDERLINE, DEFAULT],
  heading: [BOLD, 6],
  code: [0, 6],
  link: [UNDERLINE, 4],
  keyword: [0, 5],
  string: [0, 2],
  number: [0, 3],
  comment: [0, 8],
};

const BRACKETED_PASTE = { on: '\u001b[?2004h', off: '\u001b[?2004l' };
/** A frame is shown as a whole; terminals that do not know the mode pass over it. */
const TOGETHER = { on: '\u001b[?2026h', off: '\u001b[?2026l' };
/** The window's title is put aside at the start and taken back at the end. */
const TITLE = { keep: '\u001b[22;2t', back: '\u001b[23;2t' };
const TITLE_CHARS_MAX = 100;

/** Whoever makes the rows takes these out or shows them; what one of them has forgotten still moves no cursor. */
const STEERING = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu;

/** The screen as rows of text. What did not change is not sent again. */
export class Surface {
  readonly #screen: BlessedScreen;
  readonly #output: NodeJS.WriteStream;
  readonly #colours: boolean;
  #shown: string[] = [];
  #cursorAt = '';
  #title = '';
  #open = true;
  /** Somebody else has the terminal. */
  #away = false;
  readonly #restore = (): void => this.close();

  constructor(output: NodeJS.WriteStream, env: { readonly [name: string]: string | undefined }) {
    this.#output = output;
    this.#colours = !env.NO_COLOR;
    this.#screen = openScreen(output, env);
    output.write(TITLE.keep + BRACKETED_PASTE.on);
    // Whatever ends the process, the terminal is given back.
    process.on('exit', this.#restore);
  }

  get width(): number {
    return Math.max(1, this.#screen.program.cols || 80);
  }

  get height(): number {
    return Math.max(1, this.#screen.program.rows || 24);
  }

  onResize(listener: () => void): void {
    this.#screen.on('resize', () => {
      this.#shown = [];
      this.#cursorAt = '?';
      listener();
    });
  }

  /** Forgets what the terminal shows: somebody else may have written on it. */
  reset(): void {
    if (!this.#open) return;
    this.#shown = [];
    this.#cursorAt = '?';
    this.#screen.program.clear();
    this.#screen.alloc();
  }

  paint(rows: readonly Row[], cursor: { x: number; y: number } | null): void {
    if (!this.#open || this.#away) return;
    const { width, height } = this;
    const screen = this.#screen;
    let changed = false;
    for (let y = 0; y < height; y++) {
      const line = screen.lines[y];
      if (line === undefined) continue;
      const { cells, simple } = this.#cells(rows[y] ?? [], width);
      const look = cells.map(([attributes, text]) => `${attributes}${text}`).join('');
      if (this.#shown[y] === look) continue;
      changed = true;
      this.#shown[y] = look;
      for (const [x, cell] of cells.entries()) line[x] = cell;
      line.dirty = true;
      // blessed skips what it believes to be there, and counts each cell as one column while it does: not so in such a row.
      if (!simple) for (const cell of screen.olines[y] ?? []) cell[1] = '\0';
    }
    const at = cursor ? `${Math.min(cursor.x, width - 1)},${Math.min(cursor.y, height - 1)}` : '';
    if (!changed && at === this.#cursorAt) return;
    this.#cursorAt = at;
    this.#output.write(TOGETHER.on);
    screen.program.hideCursor();
    if (changed) screen.draw(0, Math.min(height, screen.lines.length) - 1);
    if (cursor) {
      screen.program.cup(Math.min(cursor.y, height - 1), Math.min(cursor.x, width - 1));
      screen.program.showCursor();
    }
    screen.program.flush();
    this.#output.write(TOGETHER.off);
  }

  bell(): void {
    if (this.#open) this.#output.write('\u0007');
  }

  /** The window's name; a terminal that has none passes over it. */
  title(text: string): void {
    const name = oneLine(text, TITLE_CHARS_MAX);
    if (!this.#open || this.#away || name === this.#title) return;
    this.#title = name;
    this.#output.write(`\u001b]2;${name}\u0007`);
  }

  /** The terminal as it was, for as long as somebody else has it. */
  leave(): void {
    if (!this.#open || this.#away) return;
    this.#away = true;
    this.#screen.leave();
    this.#output.write(BRACKETED_PASTE.off + TITLE.back);
  }

  enter(): void {
    if (!this.#open || !this.#away) return;
    this.#away = false;
    this.#output.write(TITLE.keep + BRACKETED_PASTE.on);
    this.#title = '';
    this.#screen.enter();
    this.reset();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    process.removeListener('exit', this.#restore);
    this.#screen.destroy();
    if (!this.#away) this.#output.write(BRACKETED_PASTE.off + TITLE.back);
  }

  /** Exactly `width` cells; a wide sign has an empty one behind it. `simple`: each cell is one narrow character. */
  #cells(row: Row, width: number): { cells: Cell[]; simple: boolean } {
    const cells: Cell[] = [];
    let simple = true;
    for (const [text, style] of row) {
      const attributes = this.#attributes(style);
      for (const g of graphemes(text.replace(STEERING, ''))) {
        const w = cellWidth(g);
        if (w === 0 || cells.length + w > width) continue;
        cells.push([attributes, g]);
        if (w > 1) for (let i = 1; i < w; i++) cells.push([attributes, '']);
        if (g.length > 1 || w > 1) simple = false;
      }
    }
    const blank = this.#screen.dattr;
    // What stood there before may have been wide.
    while (cells.length < width) cells.push([blank, ' ']);
    return { cells, simple };
  }

  #attributes(style: Style): number {
    const [flags, colour] = LOOKS[style];
    return (flags << 18) | ((this.#colours ? colour : DEFAULT) << 9) | DEFAULT;
  }
}
