import { type CodeSpan, type CodeState, highlightLine } from '../views/highlight.ts';
import { chop, clean, cropped, type Row, type Span, type Style } from './text.ts';

const LOOKS: { readonly [K in CodeSpan['kind']]: Style } = {
  plain: 'plain',
  comment: 'comment',
  string: 'string',
  number: 'number',
  keyword: 'keyword',
};
const GUTTER: Span = ['│ ', 'dim'];

/** Lines of code, coloured and broken where the row ends; each goes on from what the line before left open. */
export const codeLines = (
  lines: readonly string[],
  lang: string,
  width: number,
  from: CodeState = null,
): { rows: Row[]; state: CodeState } => {
  let state = from;
  const rows = lines.flatMap((line) => {
    const done = highlightLine(clean(line), lang, state);
    state = done.state;
    const spans = done.spans.map(({ kind, text }): Span => [text, LOOKS[kind]]);
    return chop(spans, Math.max(1, width));
  });
  return { rows, state };
};

/** A block of code in its frame, all of it. */
export const codeRows = (text: string, lang: string, width: number): Row[] =>
  new CodeRows(lang, width).grown(text).rows;

/** A block of code that grows: the lines that are whole are not looked at again. */
export class CodeRows {
  readonly #lang: string;
  readonly #width: number;
  #whole = '';
  #state: CodeState = null;
  /** Rows that stay. */
  #same = 0;

  constructor(lang: string, width: number) {
    this.#lang = lang;
    this.#width = width;
  }

  /** The rows behind the first `same` ones, which are as they were the last time. Another text begins anew. */
  grown(text: string): { same: number; rows: Row[] } {
    if (!text.startsWith(this.#whole)) [this.#whole, this.#state, this.#same] = ['', null, 0];
    const room = Math.max(1, this.#width - GUTTER[0].length);
    const [same, start] = [this.#same, this.#whole.length];
    const rows: Row[] = same === 0 ? [this.#head()] : [];
    const end = text.lastIndexOf('\n') + 1;
    if (end > start) {
      const whole = codeLines(text.slice(start, end - 1).split('\n'), this.#lang, room, this.#state);
      for (const row of whole.rows) rows.push([GUTTER, ...row]);
      [this.#whole, this.#state, this.#same] = [text.slice(0, end), whole.state, same + rows.length];
    }
    const last = codeLines([text.slice(end)], this.#lang, room, this.#state).rows;
    return { same, rows: [...rows, ...last.map((row): Row => [GUTTER, ...row]), [['╰─', 'dim']]] };
  }

  #head(): Row {
    if (this.#lang === '') return [['╭─', 'dim']];
    return [
      ['╭─ ', 'dim'],
      [cropped(clean(this.#lang), Math.max(0, this.#width - 3)), 'comment'],
    ];
  }
}
