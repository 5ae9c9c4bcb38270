import { printable } from '../client/printable.ts';

/** A piece of text that looks one way. */
export type Style =
  | 'plain'
  | 'bold'
  | 'dim'
  | 'accent'
  | 'good'
  | 'bad'
  | 'warn'
  | 'author'
  | 'bar'
  | 'chosen'
  | 'em'
  | 'heading'
  | 'code'
  | 'link'
  | 'keyword'
  | 'string'
  | 'number'
  | 'comment';
export type Span = readonly [text: string, style: Style];
/** One row of the screen. */
export type Row = readonly Span[];

const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** What one place of the screen can show, in order. */
export const graphemes = (text: string): string[] =>
  SINGLE.test(text) ? text.split('') : Array.from(segmenter.segment(text), ({ segment }) => segment);

/** Signs of Europe and East Asia that stand by themselves: where all are such, nobody has to look for what belongs together. */
const SINGLE =
  /^[\x20-\x7e\xa0-\u02ff\u0370-\u0482\u048a-\u0590\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u2190-\u23ff\u2500-\u25ff\u2e80-\u3029\u3030-\u3098\u309b-\ua4cf\uac00-\ud7a3\uff00-\uff9d\uffe0-\uffee]*$/;
const PLAIN = /^[\x20-\x7e]*$/;
const NO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}\u1160-\u11ff]$/u;
const EMOJI = /^\p{Emoji_Presentation}$/u;
const WIDE =
  /^[\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{16fe0}-\u{18cff}\u{1aff0}-\u{1b2ff}\u{1f200}-\u{1f265}\u{20000}-\u{3fffd}]$/u;

const pointWidth = (point: string): number => {
  if (NO_WIDTH.test(point)) return 0;
  return WIDE.test(point) || EMOJI.test(point) ? 2 : 1;
};

/** Columns of one grapheme, as terminals count them: point by point. */
export const cellWidth = (grapheme: string): number => {
  if (PLAIN.test(grapheme)) return grapheme.length;
  let width = 0;
  for (const point of grapheme) width += pointWidth(point);
  return width;
};

export const textWidth = (text: string): number => {
  if (PLAIN.test(text)) return text.length;
  return graphemes(text).reduce((sum, g) => sum + cellWidth(g), 0);
};

const FLAG = /^[\u{1f1e6}-\u{1f1ff}]{1,2}$/u;
const LETTER_A = 0x1f1e6;
const JOINED = /\ufe0e|\ufe0f|\u200d|\u20e3|[\u{1f3fb}-\u{1f3ff}]|[\u{1f1e6}-\u{1f1ff}]/u;

/**
 * What every terminal draws with the width that we count: joined and coloured emoji become their first sign, flags their letters;
 * tabs become spaces, marks without a look go, and whatever could steer the terminal is made visible.
 */
export const clean = (text: string): string => {
  if (DRAWN.test(text)) return text;
  const safe = printable(text)
    .replaceAll('\t', '  ')
    .replace(/[\u2028\u2029]/g, ' ')
    .replace(/\p{Cs}/gu, '\ufffd');
  if (DRAWN.test(safe)) return safe;
  const composed = safe.normalize('NFC');
  const simple = JOINED.test(composed)
    ? Array.from(segmenter.segment(composed), ({ segment }) => simplest(segment)).join('')
    : composed;
  return simple.replace(/\p{Cf}/gu, '');
};

const DRAWN = /^[\x20-\x7e\n]*$/;

const simplest = (grapheme: string): string => {
  if (grapheme.length === 1) return grapheme;
  if (FLAG.test(grapheme)) {
    return [...grapheme].map((p) => String.fromCharCode(65 + (p.codePointAt(0) as number) - LETTER_A)).join('');
  }
  const [first = '', ...rest] = grapheme;
  // A variation selector, a joiner, a skin tone or a keycap: terminals do not agree on what these make of the width.
  if (rest.some((point) => /^(?:\ufe0e|\ufe0f|\u200d|\u20e3|[\u{1f3fb}-\u{1f3ff}])$/u.test(point))) return first;
  return grapheme;
};

/** Breaks clean text into lines of at most `width` columns, at spaces where there are some. */
export const wrap = (text: string, width: number): string[] =>
  width < 1 ? [] : text.split('\n').flatMap((line) => broken(line, width).map(([from, to]) => line.slice(from, to)));

/** The same for clean text that looks different from place to place. */
export const wrapSpans = (spans: readonly Span[], width: number): Row[] => {
  if (width < 1) return [];
  const lines: Span[][] = [[]];
  for (const [text, style] of spans) {
    for (const [i, part] of text.split('\n').entries()) {
      if (i > 0) lines.push([]);
      if (part !== '') lines.at(-1)?.push([part, style]);
    }
  }
  return lines.flatMap((line) => {
    const text = line.map(([part]) => part).join('');
    return broken(text, width).map(([from, to]) => cut(line, from, to));
  });
};

/** Without regard to words: where they stand says something. */
export const chop = (spans: readonly Span[], width: number): Row[] => {
  const text = spans.map(([part]) => part).join('');
  return broken(text, width, false).map(([from, to]) => cut(spans, from, to));
};

const cut = (spans: readonly Span[], from: number, to: number): Row => {
  const out: Span[] = [];
  let at = 0;
  for (const [text, style] of spans) {
    const part = text.slice(Math.max(0, from - at), Math.max(0, to - at));
    if (part !== '') out.push([part, style]);
    at += text.length;
  }
  return out;
};

type Range = [from: number, to: number];

/** Where the rows of one line begin and end. */
const broken = (line: string, width: number, atWords = true): Range[] => {
  const plain = PLAIN.test(line);
  if (plain && line.length <= width) return [[0, line.length]];
  const out: Range[] = [];
  let [start, used, at] = [0, 0, 0];
  /** Where the row may be broken: behind its last space. */
  let gap = -1;
  const end = (to: number, next: number): void => {
    out.push([start, to]);
    [start, gap] = [next, -1];
  };
  for (const g of plain ? line : graphemes(line)) {
    const w = plain ? 1 : cellWidth(g);
    const here = at;
    at += g.length;
    // A space at the end of a row is not drawn.
    if (atWords && g === ' ' && used + w > width && here > start) {
      end(here, at);
      used = 0;
      continue;
    }
    // Behind its last space, and where what follows that space fills the next row too, once more.
    while (used + w > width && here > start) {
      if (gap > start) end(trimmedEnd(line, start, gap), gap);
      else end(here, here);
      used = plain ? here - start : textWidth(line.slice(start, here));
    }
    // What is wider than the screen has no place on it.
    if (w > width) {
      start = at;
      continue;
    }
    used += w;
    if (atWords && g === ' ') gap = at;
  }
  if (start < at || out.length === 0) out.push([start, at]);
  return out;
};

const trimmedEnd = (line: string, from: number, to: number): number => {
  let end = to;
  while (end > from && line[end - 1] === ' ') end -= 1;
  return end;
};

/** At most `width` columns; `…` stands for what is left out. */
export const cropped = (text: string, width: number): string => {
  if (textWidth(text) <= width) return text;
  if (width < 1) return '';
  let out = '';
  let used = 0;
  for (const g of graphemes(text)) {
    const w = cellWidth(g);
    if (used + w > width - 1) break;
    out += g;
    used += w;
  }
  return `${out}…`;
};

export const rowWidth = (row: Row): number => row.reduce((sum, [text]) => sum + textWidth(text), 0);

/** A row of exactly `width` columns with something at its left and at its right; the left gives way. */
export const spread = (left: string, right: string, width: number, style: Style): Row => {
  const end = cropped(right, Math.max(0, width - 4));
  const begin = cropped(left, Math.max(0, width - textWidth(end) - (end === '' ? 0 : 1)));
  return [[`${begin}${' '.repeat(Math.max(0, width - textWidth(begin) - textWidth(end)))}${end}`, style]];
};

/** The same row, at most so wide. */
export const fitted = (row: Row, width: number): Row => {
  if (rowWidth(row) <= width) return row;
  const out: Span[] = [];
  let left = width;
  for (const [text, style] of row) {
    const shown = cropped(text, left);
    if (shown !== '') out.push([shown, style]);
    left -= textWidth(shown);
    if (shown !== text) break;
  }
  return out;
};
