import { type CodeSpan, type CodeState, highlightLine } from './highlight.ts';

export type CodeLine = readonly CodeSpan[];

/** Lines of one chunk: what a screen keeps or draws anew together. */
const CHUNK_LINES = 40;
/** Longer code is plain: nobody waits for colours. */
const CODE_CHARS_MAX = 200_000;

interface Read {
  text: string;
  spans: CodeLine;
  /** What goes on into the next line. */
  after: CodeState;
}

/**
 * The colours of a code that grows. Lines before the first change are not read again, and a chunk of lines in which nothing has
 * changed is the same object as before.
 */
export class GrowingCode {
  #lang = '';
  #lines: Read[] = [];
  #chunks: readonly (readonly CodeLine[])[] = [];

  read(text: string, lang: string): readonly (readonly CodeLine[])[] {
    const wanted = text.split('\n');
    const language = text.length > CODE_CHARS_MAX ? '' : lang;
    let same = language === this.#lang ? wanted.findIndex((line, i) => line !== this.#lines[i]?.text) : 0;
    if (same === -1) same = wanted.length;
    if (same === wanted.length && same === this.#lines.length) return this.#chunks;
    this.#lang = language;
    this.#lines.length = same;
    for (const line of wanted.slice(same)) {
      const { spans, state } = highlightLine(line, language, this.#lines.at(-1)?.after ?? null);
      this.#lines.push({ text: line, spans, after: state });
    }
    const kept = this.#chunks.slice(0, Math.floor(same / CHUNK_LINES));
    const chunks = [...kept];
    for (let at = kept.length * CHUNK_LINES; at < this.#lines.length; at += CHUNK_LINES) {
      chunks.push(this.#lines.slice(at, at + CHUNK_LINES).map(({ spans }) => spans));
    }
    this.#chunks = chunks;
    return chunks;
  }
}
