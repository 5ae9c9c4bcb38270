import { printable } from '../client/printable.ts';
import { clean, graphemes, textWidth } from './text.ts';

const HISTORY_MAX = 100;
const TEXT_CHARS_MAX = 1 << 20;

/** What a person writes, before it is sent: some lines, a cursor, and what was sent before. */
export class Composer {
  #before: string[] = [];
  #behind: string[] = [];
  #history: string[] = [];
  /** Place in the history, from its end; 0 is what is being written. */
  #back = 0;
  #draft = '';

  get text(): string {
    return [...this.#before, ...this.#behind].join('');
  }

  get empty(): boolean {
    return this.#before.length + this.#behind.length === 0;
  }

  insert(text: string): void {
    const room = TEXT_CHARS_MAX - this.#before.length - this.#behind.length;
    this.#before = this.#before.concat(signs(text).slice(0, Math.max(0, room)));
  }

  backspace(): void {
    this.#before.pop();
  }

  delete(): void {
    this.#behind.shift();
  }

  left(): void {
    const sign = this.#before.pop();
    if (sign !== undefined) this.#behind.unshift(sign);
  }

  right(): void {
    const sign = this.#behind.shift();
    if (sign !== undefined) this.#before.push(sign);
  }

  /** To the beginning of the line. */
  home(): void {
    while (this.#before.length > 0 && this.#before.at(-1) !== '\n') this.left();
  }

  end(): void {
    while (this.#behind.length > 0 && this.#behind[0] !== '\n') this.right();
  }

  /** Takes out what stands before the cursor in its line. */
  cut(): void {
    while (this.#before.length > 0 && this.#before.at(-1) !== '\n') this.#before.pop();
  }

  cutWord(): void {
    while (/\s/.test(this.#before.at(-1) ?? '')) this.#before.pop();
    while (/\S/.test(this.#before.at(-1) ?? '')) this.#before.pop();
  }

  clear(): void {
    this.#set('');
    this.#back = 0;
  }

  /** Empties it, and keeps what stood there. */
  take(): string {
    const { text } = this;
    if (text.trim() !== '' && this.#history.at(-1) !== text) this.#history.push(text);
    this.#history = this.#history.slice(-HISTORY_MAX);
    this.clear();
    return text;
  }

  /** What was said in the session before this client came, oldest first. */
  remember(said: readonly string[]): void {
    this.#history = [...said, ...this.#history].slice(-HISTORY_MAX);
  }

  /** One line up, or what was sent before. */
  up(): void {
    if (this.#before.includes('\n')) {
      const column = this.#column();
      this.home();
      this.left();
      this.home();
      this.#forward(column);
    } else this.#recall(1);
  }

  down(): void {
    if (this.#behind.includes('\n')) {
      const column = this.#column();
      this.end();
      this.right();
      this.#forward(column);
    } else this.#recall(-1);
  }

  /** Rows of at most `width` columns, and where the cursor is. */
  layout(width: number): { rows: string[]; x: number; y: number } {
    const rows: string[] = [''];
    let used = 0;
    let cursor = { x: 0, y: 0 };
    const all = [...this.#before, ...this.#behind];
    for (const [i, sign] of all.entries()) {
      const shown = sign === '\n' ? '' : clean(sign);
      const w = textWidth(shown);
      if (used + w > width) {
        rows.push('');
        used = 0;
      }
      if (i === this.#before.length) cursor = { x: used, y: rows.length - 1 };
      if (sign === '\n') {
        rows.push('');
        used = 0;
        continue;
      }
      rows[rows.length - 1] += shown;
      used += w;
    }
    if (this.#behind.length === 0) {
      if (used >= width) {
        rows.push('');
        used = 0;
      }
      cursor = { x: used, y: rows.length - 1 };
    }
    return { rows, ...cursor };
  }

  #recall(step: 1 | -1): void {
    const back = this.#back + step;
    if (back < 0 || back > this.#history.length) return;
    if (this.#back === 0) this.#draft = this.text;
    this.#back = back;
    this.#set(back === 0 ? this.#draft : (this.#history.at(-back) as string));
  }

  #set(text: string): void {
    this.#before = signs(text);
    this.#behind = [];
  }

  #column(): number {
    return this.#before.length - 1 - this.#before.lastIndexOf('\n');
  }

  #forward(columns: number): void {
    for (let i = 0; i < columns && this.#behind.length > 0 && this.#behind[0] !== '\n'; i++) this.right();
  }
}

/** As it was written; how it looks is said when it is drawn. Line ends are signs of their own. */
const signs = (text: string): string[] =>
  printable(text.replace(/\r\n?/g, '\n'))
    .split(/(\n)/)
    .flatMap((part) => (part === '\n' ? [part] : graphemes(part)));
