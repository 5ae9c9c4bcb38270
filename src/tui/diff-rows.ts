import type { DiffLine } from '../views/diff.ts';
import { chop, clean, type Row, type Style } from './text.ts';

const LOOKS: { readonly [K in DiffLine['kind']]: readonly [sign: string, style: Style] } = {
  added: ['+ ', 'good'],
  removed: ['- ', 'bad'],
  same: ['  ', 'plain'],
  place: ['', 'accent'],
  file: ['', 'bold'],
};

/** A change line by line. The sign says what happens to a line, for who sees no colours; it stands before each of its rows. */
export const diffRows = (lines: readonly DiffLine[], width: number): Row[] =>
  lines.flatMap(({ kind, text }): Row[] => {
    const [sign, style] = LOOKS[kind];
    const rows = chop([[clean(text), style]], Math.max(1, width - sign.length));
    return rows.map((row): Row => (sign === '' ? row : [[sign, style], ...row]));
  });
