import { type Figure, shown } from './stats.ts';

/** One line of the result. `target` is what `met` was computed from, in words. */
export interface Row {
  case: string;
  what: string;
  unit: string;
  ours: Figure;
  /** The relay, or what else stands beside it; absent where nothing does. */
  peer?: Figure;
  peerName?: string;
  target?: string;
  met?: boolean;
}

const HEADS = ['', 'what', 'ours', 'peer', 'target', 'verdict'];

export const tableOf = (rows: readonly Row[]): string => {
  const lines = rows.map((row) => [
    row.case,
    row.what,
    shown(row.ours, row.unit),
    row.peer === undefined ? '–' : `${shown(row.peer, row.unit)}${row.peerName ? ` (${row.peerName})` : ''}`,
    row.target ?? '–',
    row.met === undefined ? '' : row.met ? 'met' : 'MISSED',
  ]);
  const widths = HEADS.map((head, i) => Math.max(head.length, ...lines.map((line) => (line[i] as string).length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] as number)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(HEADS), rule, ...lines.map(line)].join('\n');
};
