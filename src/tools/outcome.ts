import type { ToolResult } from '../actors/ports.ts';
import { type OptaError, toOptaError } from '../protocol/errors.ts';

/** What a call that failed tells the model: the code for programs, the sentence for it. */
export const failure = (error: OptaError): ToolResult => ({
  result: `Error (${error.code}): ${error.message}`,
  isError: true,
});

export const failureOf = (cause: unknown): ToolResult => failure(toOptaError(cause));

/** The longest prefix of `text` that takes at most `bytesMax` bytes of UTF-8 and splits no character. */
export const cutToBytes = (text: string, bytesMax: number): string => {
  if (Buffer.byteLength(text) <= bytesMax) return text;
  const bytes = Buffer.from(text);
  let end = Math.max(0, bytesMax);
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
};

const NOTE_BYTES = 512;

/**
 * Text that never grows beyond its budget and still knows exactly how long it would have been ([SV3]). The start is kept:
 * once something did not fit, nothing after it is shown, so what is shown has no holes.
 */
export class Output {
  readonly #bytesMax: number;
  #parts: string[] = [];
  #keptBytes = 0;
  #totalBytes = 0;
  #cut = false;

  /** `bytesMax` bounds the whole result, notes included. */
  constructor(bytesMax: number) {
    this.#bytesMax = Math.max(0, bytesMax - NOTE_BYTES);
  }

  /** `show: false` counts the text as cut. Answers whether all of it was kept. */
  add(text: string, show = true): boolean {
    const bytes = Buffer.byteLength(text);
    this.#totalBytes += bytes;
    if (this.#cut) return false;
    const room = this.#bytesMax - this.#keptBytes;
    if (show && bytes <= room) {
      this.#parts.push(text);
      this.#keptBytes += bytes;
      return true;
    }
    this.#cut = true;
    const part = show ? cutToBytes(text, room) : '';
    this.#parts.push(part);
    this.#keptBytes += Buffer.byteLength(part);
    return false;
  }

  get cut(): boolean {
    return this.#cut;
  }

  get keptBytes(): number {
    return this.#keptBytes;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** `notes` are set apart in brackets at the end; they are ours and short. */
  done(notes: string[] = []): ToolResult {
    const all = this.#cut ? [...notes, `cut: ${this.#keptBytes} of ${this.#totalBytes} bytes shown`] : notes;
    const body = this.#parts.join('');
    const gap = body === '' || body.endsWith('\n') ? '' : '\n';
    const result =
      all.length === 0 ? body : cutToBytes(`${body}${gap}[${all.join('; ')}]`, this.#bytesMax + NOTE_BYTES);
    return { result, isError: false, ...(this.#cut ? { truncatedFrom: this.#totalBytes } : {}) };
  }
}

/** Control, direction and line-separator characters: what could forge a line or turn a name around. */
const UNSEEN = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

/** A name or path in one line: what cannot be seen is written as an escape. */
export const printable = (text: string): string =>
  text.replace(UNSEEN, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
