import { clean, type Row, wrap } from './text.ts';

/** Rows of a text in markdown, which may grow. */
export class MarkdownRows {
  rows(text: string, width: number): readonly Row[] {
    return wrap(clean(text), width).map((line): Row => [[line, 'plain']]);
  }
}
