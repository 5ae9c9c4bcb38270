import { printable } from '../client/printable.ts';
import { Flow } from './flow.ts';
import { Prompts } from './prompts.ts';
import { graphemes } from './text.ts';

const TEXT_CHARS_MAX = 1 << 20;
/** A paste of more is shown as one sign that says how much it is. */
const PASTE_LINES_MAX = 10;
const PASTE_CHARS_MAX = 2_000;
/** How far back the beginning of a sign is looked for. */
const SIGN_CHARS_MAX = 256;
/** Pastes stand in the text as signs of a plane that nobody writes in. */
const PASTE_FIRST = 0xf0000;
const PASTES_MAX = 0xfff;
const PASTED = /[\u{f0000}-\u{f0fff}]/gu;

export interface ComposerLayout {
  /** The rows around the cursor. */
  rows: string[];
  x: number;
  y: number;
  above: boolean;
  below: boolean;
}

/** What a person writes, before it is sent: a text, a cursor in it, and what was sent before. */
export class Composer {
  #text = '';
  #cursor = 0;
  #killed = '';
  readonly #pastes = new Map<string, string>();
  readonly #prompts = new Prompts();
  readonly #flow = new Flow((sign) => this.#labelOf(sign));

  /** As it is sent: with all that was pasted. */
  get text(): string {
    return this.#whole(this.#text);
  }

  get empty(): boolean {
    return this.#text === '';
  }

  insert(text: string): void {
    const clean = printable(text.replace(/\r\n?/g, '\n')).replace(PASTED, '\ufffd');
    const room = TEXT_CHARS_MAX - this.#chars();
    this.#write(clean.length <= room ? clean : clean.slice(0, Math.max(0, room)).replace(/[\ud800-\udbff]$/, ''));
  }

  /** Long text is one sign until it is sent. */
  paste(text: string): void {
    const lines = linesOf(text);
    if (lines <= PASTE_LINES_MAX && text.length <= PASTE_CHARS_MAX) return this.insert(text);
    this.#write(this.#folded(text, TEXT_CHARS_MAX - this.#chars()));
  }

  /** Enter: true when the text is to be sent. A backslash before the cursor makes a new line. */
  enter(): boolean {
    if (this.#text[this.#cursor - 1] !== '\\') return true;
    this.#remove(this.#cursor - 1, this.#cursor);
    this.#write('\n');
    return false;
  }

  backspace(): void {
    this.#remove(this.#before(), this.#cursor);
  }

  delete(): void {
    this.#remove(this.#cursor, this.#behind());
  }

  left(): void {
    this.#cursor = this.#before();
  }

  right(): void {
    this.#cursor = this.#behind();
  }

  wordLeft(): void {
    this.#cursor = this.#wordBefore();
  }

  wordRight(): void {
    this.#cursor = this.#wordBehind();
  }

  /** To the beginning of the line. */
  home(): void {
    this.#cursor = this.#lineStart();
  }

  end(): void {
    this.#cursor = this.#lineEnd();
  }

  /** Takes out what stands before the cursor in its line. */
  cut(): void {
    this.#kill(this.#lineStart(), this.#cursor);
  }

  /** What stands behind it. */
  cutEnd(): void {
    this.#kill(this.#cursor, this.#lineEnd());
  }

  cutWord(): void {
    this.#kill(this.#spaceBefore(), this.#cursor);
  }

  cutWordRight(): void {
    this.#kill(this.#cursor, this.#wordBehind());
  }

  /** Brings back what was cut last. */
  yank(): void {
    this.#write(this.#killed);
  }

  clear(): void {
    this.#set('');
    this.#prompts.leave();
  }

  /** Empties it, and keeps what stood there. */
  take(): string {
    const { text } = this;
    this.#prompts.add(this.#text);
    this.clear();
    this.#forget();
    return text;
  }

  /** What was said in the session before this client came, oldest first. */
  remember(said: readonly string[]): void {
    this.#prompts.before(said.map((text) => this.#foldedIfLong(text)));
  }

  /** One row up, or what was sent before. */
  up(): void {
    const to = this.#flow.above(this.#text, this.#cursor);
    if (to !== null) this.#cursor = to;
    else this.#recall(this.#prompts.older(this.#text));
  }

  down(): void {
    const to = this.#flow.below(this.#text, this.#cursor);
    if (to !== null) this.#cursor = to;
    else this.#recall(this.#prompts.newer());
  }

  /** At most `max` rows of at most `width` columns, with the cursor among them. */
  layout(width: number, max = Number.POSITIVE_INFINITY): ComposerLayout {
    return this.#flow.layout(this.#text, this.#cursor, Math.max(1, width), Math.max(1, max));
  }

  // --- for completion ------------------------------------------------------------------------------------------------------

  /** The line of the cursor up to it, and whether it is the first one. */
  get head(): { text: string; first: boolean } {
    const start = this.#lineStart();
    return { text: this.#text.slice(start, this.#cursor), first: start === 0 };
  }

  /** Writes `text` in the place of the last `chars` before the cursor. */
  replace(chars: number, text: string): void {
    this.#remove(Math.max(0, this.#cursor - chars), this.#cursor);
    this.insert(text);
  }

  // --- the text ------------------------------------------------------------------------------------------------------------

  #write(text: string): void {
    this.#text = this.#text.slice(0, this.#cursor) + text + this.#text.slice(this.#cursor);
    this.#cursor += text.length;
  }

  #remove(from: number, to: number): void {
    this.#text = this.#text.slice(0, from) + this.#text.slice(to);
    this.#cursor = from;
  }

  #kill(from: number, to: number): void {
    if (from === to) return;
    this.#killed = this.#text.slice(from, to);
    this.#remove(from, to);
  }

  #set(text: string): void {
    this.#text = text;
    this.#cursor = text.length;
  }

  #recall(text: string | null): void {
    if (text !== null) this.#set(text);
  }

  // --- pastes --------------------------------------------------------------------------------------------------------------

  #whole(text: string): string {
    return text.replace(PASTED, (sign) => this.#pastes.get(sign) ?? '');
  }

  /** As long as it is with all that was pasted. */
  #chars(): number {
    let chars = this.#text.length;
    for (const [sign] of this.#text.matchAll(PASTED)) chars += (this.#pastes.get(sign)?.length ?? 0) - sign.length;
    return chars;
  }

  #foldedIfLong(text: string): string {
    const long = text.length > PASTE_CHARS_MAX || linesOf(text) > PASTE_LINES_MAX;
    return long ? this.#folded(text, TEXT_CHARS_MAX) : printable(text).replace(PASTED, '\ufffd');
  }

  /** The sign that stands for a text. */
  #folded(text: string, room: number): string {
    const kept = printable(text.replace(/\r\n?/g, '\n').slice(0, Math.max(0, room))).replace(PASTED, '\ufffd');
    for (let i = 0; i < PASTES_MAX; i++) {
      const sign = String.fromCodePoint(PASTE_FIRST + i);
      if (this.#pastes.has(sign)) continue;
      this.#pastes.set(sign, kept);
      return sign;
    }
    return kept;
  }

  /** Those that stand nowhere any more. */
  #forget(): void {
    const kept = new Set([...this.#prompts.all, this.#text, this.#killed].flatMap((text) => text.match(PASTED) ?? []));
    for (const sign of this.#pastes.keys()) if (!kept.has(sign)) this.#pastes.delete(sign);
  }

  #labelOf(sign: string): string | null {
    const text = this.#pastes.get(sign);
    if (text === undefined) return null;
    const lines = linesOf(text);
    return lines > 1 ? `[pasted ${lines} lines]` : `[pasted ${text.length} characters]`;
  }

  // --- places --------------------------------------------------------------------------------------------------------------

  #lineStart(): number {
    return this.#cursor === 0 ? 0 : this.#text.lastIndexOf('\n', this.#cursor - 1) + 1;
  }

  #lineEnd(): number {
    const at = this.#text.indexOf('\n', this.#cursor);
    return at < 0 ? this.#text.length : at;
  }

  #before(): number {
    const { text } = this.head;
    if (text === '') return Math.max(0, this.#cursor - 1);
    return this.#cursor - (graphemes(tailOf(text)).at(-1)?.length ?? 1);
  }

  #behind(): number {
    if (this.#text[this.#cursor] === '\n') return this.#cursor + 1;
    const end = Math.min(this.#lineEnd(), this.#cursor + SIGN_CHARS_MAX);
    return this.#cursor + (graphemes(this.#text.slice(this.#cursor, end))[0]?.length ?? 0);
  }

  /** Letters and digits make words; a paste is one. */
  #wordBefore(): number {
    let at = this.#cursor;
    while (at > 0 && !isWord(this.#text, at - 1) && !isPasteBefore(this.#text, at)) at -= 1;
    if (isPasteBefore(this.#text, at)) return at - 2;
    while (at > 0 && isWord(this.#text, at - 1) && !isPasteBefore(this.#text, at)) at -= 1;
    return at;
  }

  #wordBehind(): number {
    const { length } = this.#text;
    let at = this.#cursor;
    while (at < length && !isWord(this.#text, at) && !isPasteBefore(this.#text, at + 2)) at += 1;
    if (isPasteBefore(this.#text, at + 2)) return at + 2;
    while (at < length && isWord(this.#text, at) && !isPasteBefore(this.#text, at + 2)) at += 1;
    return at;
  }

  /** Back over spaces, then over what is none. */
  #spaceBefore(): number {
    let at = this.#cursor;
    while (at > 0 && /\s/.test(this.#text[at - 1] as string)) at -= 1;
    if (isPasteBefore(this.#text, at)) return at - 2;
    while (at > 0 && /\S/.test(this.#text[at - 1] as string) && !isPasteBefore(this.#text, at)) at -= 1;
    return at;
  }
}

const isWord = (text: string, at: number): boolean => /[\p{L}\p{N}\p{M}\p{Cs}_]/u.test(text[at] as string);

/** The halves of a sign of that plane. */
const isPasteBefore = (text: string, at: number): boolean => {
  const half = text.charCodeAt(at - 2);
  return half >= 0xdb80 && half <= 0xdb83;
};

const linesOf = (text: string): number => text.replace(/\r\n?/g, '\n').replace(/\n$/, '').split('\n').length;

/** The end of a line, from a place where a sign surely begins. */
const tailOf = (text: string): string => {
  const tail = text.slice(-SIGN_CHARS_MAX);
  if (tail.length === text.length) return tail;
  const start = tail.search(/[ -~]/);
  return start < 0 ? tail.replace(/^[\udc00-\udfff]/, '') : tail.slice(start);
};
