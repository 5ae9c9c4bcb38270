import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import type * as Pty from '@lydell/node-pty';
import type { IBufferCell, Terminal } from '@xterm/headless';
import { CLI_COMMAND, cliEnv } from './cli.ts';
import { WIDTHS } from './vt-width.ts';

const require = createRequire(import.meta.url);

const load = <T>(name: string): T | null => {
  try {
    return require(name) as T;
  } catch {
    // The package has a binary for few systems; tests that need it say so.
    return null;
  }
};
const pty = load<typeof Pty>('@lydell/node-pty');
const xterm = load<{ Terminal: typeof Terminal }>('@xterm/headless');

/** A terminal inside the test: a real pseudo-terminal, and an emulator that draws what comes out of it. */
export const hasVt = process.platform === 'linux' && pty !== null && xterm !== null;
/** To be put into the names of tests that are skipped, so that a report says why. */
export const VT_MISSING = hasVt ? '' : ' (skipped: no pseudo-terminal here)';

export const ESC = '\u001b';

export interface Cell {
  /** What stands there; '' behind a wide sign. */
  text: string;
  columns: number;
  /** `default`, a number of the palette, or `#rrggbb`. */
  fg: string;
  bg: string;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  inverse: boolean;
}

export interface VtOptions {
  columns?: number;
  rows?: number;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** In place of the command line under test: another build's. */
  command?: readonly string[];
}

export interface VtEnd {
  code: number;
  signal: number | undefined;
}

const DEADLINE_MS = 25_000;
/** What one terminal may write before its test is over; beyond it the oldest goes. */
const KEPT_BYTES_MAX = 64 << 20;
/** Modes of DECSET that concern whoever comes after: other screen, cursor, mouse, focus, paste, synchronized output. */
const AS_AT_FIRST: readonly (readonly [mode: number, on: boolean])[] = [
  [25, true],
  [47, false],
  [1047, false],
  [1049, false],
  [1, false],
  [1000, false],
  [1002, false],
  [1003, false],
  [1004, false],
  [1006, false],
  [2004, false],
  [2026, false],
];

const KEYS: { [name: string]: string } = {
  Enter: '\r',
  AltEnter: '\u001b\r',
  Tab: '\t',
  ShiftTab: '\u001b[Z',
  Escape: '\u001b',
  Backspace: '\u007f',
  Delete: '\u001b[3~',
  Up: '\u001b[A',
  Down: '\u001b[B',
  Right: '\u001b[C',
  Left: '\u001b[D',
  ShiftUp: '\u001b[1;2A',
  ShiftDown: '\u001b[1;2B',
  Home: '\u001b[H',
  End: '\u001b[F',
  PageUp: '\u001b[5~',
  PageDown: '\u001b[6~',
  F1: '\u001bOP',
  F2: '\u001bOQ',
  F3: '\u001bOR',
  F4: '\u001bOS',
  F5: '\u001b[15~',
};

/** `opta` with these arguments, in a terminal of this size. Its shell says `RC=n` at the end, and what the line discipline is like then. */
export const openVt = (home: string, args: readonly string[], options: VtOptions = {}): Vt => {
  const script =
    '"$@"; echo "RC=$?"; stty -a | tr " ;" "\\n\\n" | grep -xE -- "-?(icanon|echo|isig|opost)" | xargs echo TTY';
  return new Vt('/bin/sh', ['-c', script, 'sh', ...(options.command ?? CLI_COMMAND), ...args], home, options);
};

/** How the line discipline is before anything was changed. */
export const TTY_AS_AT_FIRST = 'TTY opost isig icanon echo';

export class Vt {
  readonly pid: number;
  readonly ended: Promise<VtEnd>;
  #end: VtEnd | null = null;
  readonly #pty: Pty.IPty;
  readonly #term: Terminal;
  readonly #modes = new Map<number, boolean>();
  #chunks: Buffer[] = [];
  #dropped = 0;
  #length = 0;
  #lastAt = performance.now();
  #watchers = new Set<(atMs: number) => void>();

  constructor(command: string, args: readonly string[], home: string, options: VtOptions) {
    if (pty === null || xterm === null) throw new Error('no pseudo-terminal here');
    const { columns = 80, rows = 24, env = {}, cwd = home } = options;
    const base = {
      TERM: 'xterm-256color',
      LANG: 'C.UTF-8',
      LC_ALL: undefined,
      NCURSES_NO_UTF8_ACS: '1',
      NO_COLOR: undefined,
    };
    const all = cliEnv(home, { ...base, TMUX: undefined, COLORTERM: undefined, ...env });
    const given = Object.entries(all).filter((pair): pair is [string, string] => pair[1] !== undefined);
    this.#term = new xterm.Terminal({ cols: columns, rows, scrollback: 2_000, allowProposedApi: true });
    this.#term.unicode.register(WIDTHS);
    this.#term.unicode.activeVersion = WIDTHS.version;
    for (const [final, on] of [
      ['h', true],
      ['l', false],
    ] as const) {
      this.#term.parser.registerCsiHandler({ prefix: '?', final }, (params) => {
        for (const mode of params) if (typeof mode === 'number') this.#modes.set(mode, on);
        return false;
      });
    }
    this.#pty = pty.spawn(command, [...args], {
      name: 'xterm-256color',
      cols: columns,
      rows,
      cwd,
      env: Object.fromEntries(given),
      encoding: null,
    });
    this.pid = this.#pty.pid;
    this.ended = new Promise((resolve) => {
      this.#pty.onExit(({ exitCode, signal }) => {
        this.#end = { code: exitCode, signal };
        resolve(this.#end);
      });
    });
    // What the emulator answers, as a terminal does: its name, its cursor's place.
    this.#term.onData((text) => this.#write(text));
    (this.#pty.onData as unknown as (take: (chunk: Buffer | string) => void) => void)((chunk) => this.#take(chunk));
  }

  // --- what goes in ----------------------------------------------------------------------------------------------------

  type(text: string): void {
    this.#write(text);
  }

  /** By names: Enter, Escape, PageUp …; `C-x` is Ctrl+x, `M-x` is Alt+x, and one character is itself. */
  press(...names: string[]): void {
    for (const name of names) this.#write(bytesOf(name));
  }

  paste(text: string): void {
    const bracketed = this.mode(2004);
    this.#write(bracketed ? `\u001b[200~${text}\u001b[201~` : text);
  }

  resize(columns: number, rows: number): void {
    this.#term.resize(columns, rows);
    this.#pty.resize(columns, rows);
  }

  // --- what it shows ---------------------------------------------------------------------------------------------------

  get columns(): number {
    return this.#term.cols;
  }

  get height(): number {
    return this.#term.rows;
  }

  /** The rows that are seen, without the blanks at their ends. */
  lines(): string[] {
    const buffer = this.#term.buffer.active;
    return Array.from(
      { length: this.#term.rows },
      (_, y) => buffer.getLine(buffer.baseY + y)?.translateToString(true) ?? '',
    );
  }

  screen(): string {
    return this.lines().join('\n');
  }

  /** What stands at one place; '' behind a wide sign and outside of the screen. */
  sign(x: number, y: number): string {
    const buffer = this.#term.buffer.active;
    return (
      buffer
        .getLine(buffer.baseY + y)
        ?.getCell(x)
        ?.getChars() ?? ''
    );
  }

  cells(y: number): Cell[] {
    const buffer = this.#term.buffer.active;
    const line = buffer.getLine(buffer.baseY + y);
    return Array.from({ length: this.#term.cols }, (_, x) => cellOf(line?.getCell(x)));
  }

  /** Of the row that has `text`: at which column it begins, in cells. Throws when no row has it. */
  placeOf(text: string): { x: number; y: number } {
    for (let y = 0; y < this.#term.rows; y++) {
      const cells = this.cells(y);
      for (let x = 0; x < cells.length; x++) {
        if (
          cells[x]?.text !== '' &&
          cells
            .slice(x)
            .map((c) => c.text)
            .join('')
            .startsWith(text)
        )
          return { x, y };
      }
    }
    throw new Error(`nowhere on the screen: ${text}\n${this.screen()}`);
  }

  cursor(): { x: number; y: number; shown: boolean } {
    const { cursorX: x, cursorY: y } = this.#term.buffer.active;
    return { x, y, shown: this.#modes.get(25) ?? true };
  }

  get alternate(): boolean {
    return this.#term.buffer.active.type === 'alternate';
  }

  mode(mode: number): boolean {
    return this.#modes.get(mode) ?? mode === 25;
  }

  /** Modes that are not as a terminal has them at first. Empty when everything was put back. */
  leftOver(): number[] {
    return AS_AT_FIRST.filter(([mode, on]) => (this.#modes.get(mode) ?? on) !== on).map(([mode]) => mode);
  }

  // --- what was written ------------------------------------------------------------------------------------------------

  /** How many bytes came so far; to be given to `since`. */
  mark(): number {
    return this.#dropped + this.#length;
  }

  since(mark = 0): string {
    const all = Buffer.concat(this.#chunks);
    return all.subarray(Math.max(0, mark - this.#dropped)).toString('utf8');
  }

  /** Until nothing was written for `ms`, counted from now at the earliest. */
  async quiet(ms = 150, deadlineMs = DEADLINE_MS): Promise<void> {
    const from = performance.now();
    const end = from + deadlineMs;
    while (performance.now() - Math.max(from, this.#lastAt) < ms) {
      if (performance.now() > end) throw new Error(`not quiet within ${deadlineMs} ms`);
      await sleep(10);
    }
  }

  /** Called after each piece that was drawn, with the time at which it came. */
  onDrawn(listener: (atMs: number) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  // --- waiting ---------------------------------------------------------------------------------------------------------

  async until(holds: (screen: string) => boolean, what: string, deadlineMs = DEADLINE_MS): Promise<string> {
    const end = performance.now() + deadlineMs;
    for (;;) {
      const text = this.screen();
      if (holds(text)) return text;
      if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}; the screen:\n${text}`);
      await sleep(15);
    }
  }

  shows(what: string | RegExp, deadlineMs?: number): Promise<string> {
    return this.until((text) => has(text, what), String(what), deadlineMs);
  }

  lacks(what: string | RegExp, deadlineMs?: number): Promise<string> {
    return this.until((text) => !has(text, what), `no ${what}`, deadlineMs);
  }

  // --- its end ---------------------------------------------------------------------------------------------------------

  /** Of the command that runs in it, below the shell. */
  child(): number {
    const children = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8').trim().split(' ');
    const pid = Number(children.at(-1));
    if (!Number.isInteger(pid) || pid <= 0) throw new Error('nothing runs in the terminal');
    return pid;
  }

  /** The terminal goes away, as when its window is closed. */
  hangUp(): void {
    (this.#pty as unknown as { destroy(): void }).destroy();
  }

  close(): void {
    if (this.#end === null) {
      try {
        process.kill(this.child(), 'SIGKILL');
      } catch {
        // It has ended.
      }
      this.#pty.kill('SIGKILL');
    }
    this.#term.dispose();
  }

  #write(text: string): void {
    if (this.#end === null) this.#pty.write(text);
  }

  #take(chunk: Buffer | string): void {
    const bytes = Buffer.from(chunk as Buffer);
    const atMs = performance.now();
    this.#lastAt = atMs;
    this.#chunks.push(bytes);
    this.#length += bytes.length;
    while (this.#length > KEPT_BYTES_MAX) {
      const gone = this.#chunks.shift()?.length ?? 0;
      this.#length -= gone;
      this.#dropped += gone;
    }
    this.#term.write(bytes, () => {
      for (const watcher of this.#watchers) watcher(atMs);
    });
  }
}

const has = (text: string, what: string | RegExp): boolean =>
  typeof what === 'string' ? text.includes(what) : what.test(text);

const bytesOf = (name: string): string => {
  const known = KEYS[name];
  if (known !== undefined) return known;
  if (name.startsWith('C-') && name.length === 3) return String.fromCharCode(name.charCodeAt(2) & 0x1f);
  if (name.startsWith('M-')) return `\u001b${bytesOf(name.slice(2))}`;
  if ([...name].length === 1) return name;
  throw new Error(`no such key: ${name}`);
};

const hex = (colour: number): string => `#${colour.toString(16).padStart(6, '0')}`;

const cellOf = (cell: IBufferCell | undefined): Cell => {
  if (cell === undefined) throw new Error('no such cell');
  const colour = (isDefault: boolean, isRgb: boolean, value: number): string =>
    isDefault ? 'default' : isRgb ? hex(value) : String(value);
  return {
    text: cell.getWidth() === 0 ? '' : cell.getChars() || ' ',
    columns: cell.getWidth(),
    fg: colour(cell.isFgDefault(), cell.isFgRGB(), cell.getFgColor()),
    bg: colour(cell.isBgDefault(), cell.isBgRGB(), cell.getBgColor()),
    bold: cell.isBold() !== 0,
    dim: cell.isDim() !== 0,
    italic: cell.isItalic() !== 0,
    underline: cell.isUnderline() !== 0,
    inverse: cell.isInverse() !== 0,
  };
};
