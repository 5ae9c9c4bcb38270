import { printable } from '../client/printable.ts';

/** A piece of text that looks one way. */
export type Style = 'plain' | 'bold' | 'dim' | 'accent' | 'good' | 'bad' | 'warn' | 'author' | 'bar' | 'chosen';
export type Span = readonly [text: string, style: Style];
/** One row of the screen. */
export type Row = readonly Span[];

const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** What one place of the screen can show, in order. */
export const graphemes = (text: string): string[] =>
  PLAIN.test(text) ? text.split('') : Array.from(segmenter.segment(text), ({ segment }) => segment);

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

const FLAG = /^[\u{1f1e6}-\u{1f1ff}]{2}$/u;
const LETTER_A = 0x1f1e6;

/**
 * What every terminal draws with the width that we count: joined and coloured emoji become their first sign, flags their letters;
 * tabs become spaces, and whatever could steer the terminal is made visible.
 */
export const clean = (text: string): string => {
  const safe = printable(text).replaceAll('\t', '  ');
  if (/^[\x20-\x7e\n]*$/.test(safe)) return safe;
  return Array.from(segmenter.segment(safe.normalize('NFC')), ({ segment }) => simplest(segment)).join('');
};

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
export const wrap = (text: string, width: number): string[] => {
  if (width < 1) return [];
  return text.split('\n').flatMap((line) => wrapLine(line, width));
};

const wrapLine = (line: string, width: number): string[] => {
  if (PLAIN.test(line) && line.length <= width) return [line];
  const out: string[] = [];
  let row = '';
  let used = 0;
  /** Where the row may be broken: behind its last space. */
  let gap = -1;
  for (const g of graphemes(line)) {
    const w = cellWidth(g);
    // A space at the end of a row is not drawn.
    if (g === ' ' && used + w > width && row !== '') {
      out.push(row);
      [row, used, gap] = ['', 0, -1];
      continue;
    }
    // Behind its last space, and where what follows that space fills the next row too, once more.
    while (used + w > width && row !== '') {
      const rest = gap > 0 ? row.slice(gap) : '';
      out.push(gap > 0 ? row.slice(0, gap).trimEnd() : row);
      [row, used, gap] = [rest, textWidth(rest), -1];
    }
    // What is wider than the screen has no place on it.
    if (w > width) continue;
    row += g;
    used += w;
    if (g === ' ') gap = row.length;
  }
  out.push(row);
  return out;
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
