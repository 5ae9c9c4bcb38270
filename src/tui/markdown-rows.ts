import { type Block, GrowingMarkdown, type Inline, type ListItem, markdown } from '../views/markdown.ts';
import { CodeRows, codeRows } from './code-rows.ts';
import { type Drawn, drawn, indented, MARGIN } from './drawn.ts';
import { tableRows } from './table-rows.ts';
import { clean, type Row, type Span, type Style, wrapSpans } from './text.ts';

const RULE_COLUMNS_MAX = 40;
/** Where there is less room than this, what is nested deeper stands no further to the right. */
const ROOM_MIN = 12;

export const markdownRows = (text: string, width: number): Row[] => blocksRows(markdown(text), width);

/**
 * Rows of a text that grows, with their margin. Only its last block is drawn anew, and of a block of code only the last line;
 * the list of rows is the same one each time, with other rows at its end.
 */
export class GrowingRows {
  readonly width: number;
  readonly #markdown = new GrowingMarkdown();
  readonly #rows: Drawn[] = [];
  #blocks: readonly Block[] = [];
  /** Where the rows of each block begin. */
  readonly #starts: number[] = [];
  #code: { at: number; lang: string; rows: CodeRows } | null = null;

  constructor(width: number) {
    this.width = width;
  }

  read(text: string): readonly Drawn[] {
    const blocks = this.#markdown.read(text);
    let same = 0;
    while (same < blocks.length && blocks[same] === this.#blocks[same]) same += 1;
    this.#blocks = blocks;
    // What stands before it is drawn anew, and then its rows are not there any more.
    if (this.#code && this.#code.at > same) this.#code = null;
    if (same === blocks.length) this.#cut(same);
    for (let i = same; i < blocks.length; i++) this.#draw(blocks[i] as Block, i);
    this.#cut(blocks.length);
    return this.#rows;
  }

  #draw(block: Block, i: number): void {
    const room = Math.max(1, this.width - MARGIN.length);
    this.#starts.length = Math.min(this.#starts.length, i + 1);
    const start = this.#starts[i] ?? this.#rows.length;
    this.#starts[i] = start;
    const gap: Row[] = i === 0 ? [] : [[]];
    if (block.kind !== 'code') {
      if (this.#code?.at === i) this.#code = null;
      return this.#put(start, [...gap, ...blockRows(block, room)]);
    }
    const known = this.#code?.at === i && this.#code.lang === block.lang ? this.#code : null;
    const code = known ?? { at: i, lang: block.lang, rows: new CodeRows(block.lang, room) };
    this.#code = code;
    const { same, rows } = code.rows.grown(block.text);
    this.#put(same === 0 ? start : start + gap.length + same, same === 0 ? [...gap, ...rows] : rows);
  }

  #put(start: number, rows: readonly Row[]): void {
    this.#rows.length = start;
    for (const one of drawn(rows.map(indented), this.width)) this.#rows.push(one);
  }

  /** There are so many blocks and no more. */
  #cut(blocks: number): void {
    const end = this.#starts[blocks];
    if (end === undefined) return;
    this.#rows.length = end;
    this.#starts.length = blocks;
    if (this.#code && this.#code.at >= blocks) this.#code = null;
  }
}

const blocksRows = (blocks: readonly Block[], width: number, tight = false): Row[] =>
  blocks.flatMap((block, i) => {
    const rows = blockRows(block, width);
    return i === 0 || tight ? rows : [[], ...rows];
  });

const blockRows = (block: Block, width: number): Row[] => {
  switch (block.kind) {
    case 'paragraph':
      return wrapSpans(spansOf(block.of, 'plain'), width);
    case 'heading':
      return wrapSpans(
        [[block.level > 2 ? `${'#'.repeat(block.level)} ` : '', 'dim'], ...spansOf(block.of, 'heading')],
        width,
      );
    case 'code':
      return codeRows(block.text, block.lang, width);
    case 'quote':
      return under(['│ ', 'dim'], ['│ ', 'dim'], blocksRows(block.of, inner(width, 2)), width);
    case 'list':
      return listRows(block, width);
    case 'table': {
      const cell = (of: readonly Inline[]): Span[] =>
        spansOf(of, 'plain').map(([text, style]): Span => [text.replaceAll('\n', ' '), style]);
      const head = block.head.map((of) => cell(of).map(([text]): Span => [text, 'bold']));
      return tableRows(
        block.align,
        head,
        block.rows.map((row) => row.map(cell)),
        width,
      );
    }
    case 'rule':
      return [[['─'.repeat(Math.min(width, RULE_COLUMNS_MAX)), 'dim']]];
  }
};

const listRows = ({ ordered, start, items }: Extract<Block, { kind: 'list' }>, width: number): Row[] => {
  const signs = items.map(({ checked }, i) => {
    const box = checked === null ? '' : checked ? '[x] ' : '[ ] ';
    return ordered ? `${start + i}. ${box}` : box === '' ? '• ' : box;
  });
  const column = Math.max(...signs.map((sign) => sign.length));
  return items.flatMap((item, i) => {
    const sign = (signs[i] as string).padStart(ordered ? column : 0);
    const rows = blocksRows(item.of, inner(width, sign.length), isTight(item));
    return under([sign, 'accent'], [' '.repeat(sign.length), 'plain'], rows.length === 0 ? [[]] : rows, width);
  });
};

/** A line with lists below it: no empty rows between them. */
const isTight = ({ of }: ListItem): boolean => of.slice(1).every(({ kind }) => kind === 'list');

const inner = (width: number, indent: number): number => (width - indent < ROOM_MIN ? width : width - indent);

/** Rows behind a sign, and behind its place in the rows below. */
const under = (first: Span, rest: Span, rows: readonly Row[], width: number): Row[] => {
  if (width - first[0].length >= ROOM_MIN) return rows.map((row, i): Row => [i === 0 ? first : rest, ...row]);
  return [...wrapSpans([first], width), ...rows];
};

const INNER: { readonly [K in 'strong' | 'em' | 'del']: Style } = { strong: 'bold', em: 'em', del: 'dim' };

const spansOf = (of: readonly Inline[], style: Style): Span[] =>
  of.flatMap((part): Span[] => {
    switch (part.kind) {
      case 'text':
        return [[clean(part.text), style]];
      case 'code':
        return [[clean(part.text), 'code']];
      case 'break':
        return [['\n', style]];
      case 'link':
        return linkSpans(part.href, spansOf(part.of, part.href === null ? style : 'link'));
      default:
        return spansOf(part.of, INNER[part.kind]);
    }
  });

/** Where a link leads is said unless its words are the address: words may say anything. */
const linkSpans = (href: string | null, words: Span[]): Span[] => {
  if (href === null) return words;
  const said = words.map(([text]) => text).join('');
  const address = clean(href);
  return said === address || `mailto:${said}` === address ? words : [...words, [` (${address})`, 'dim']];
};
