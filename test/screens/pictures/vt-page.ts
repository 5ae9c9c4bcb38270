import type { Cell, Vt } from '../../support/vt.ts';

/** The first sixteen colours as a dark terminal has them. */
const PALETTE = [
  '#1b1b22',
  '#f87171',
  '#4ade80',
  '#fbbf24',
  '#7aa2f7',
  '#c084fc',
  '#38d3e8',
  '#d4d4d8',
  '#7c7c8a',
  '#fca5a5',
  '#86efac',
  '#fde68a',
  '#a5b4fc',
  '#e9d5ff',
  '#a5f3fc',
  '#fafafa',
];
const FG = '#e4e4e7';
const BG = '#0d0d12';
const STEPS = [0, 95, 135, 175, 215, 255];

const hexOf = (parts: readonly number[]): string => `#${parts.map((p) => p.toString(16).padStart(2, '0')).join('')}`;

const colourOf = (colour: string, otherwise: string): string => {
  if (colour === 'default') return otherwise;
  if (colour.startsWith('#')) return colour;
  const n = Number(colour);
  if (n < 16) return PALETTE[n] ?? otherwise;
  if (n >= 232) return hexOf([8 + (n - 232) * 10, 8 + (n - 232) * 10, 8 + (n - 232) * 10]);
  const cube = n - 16;
  return hexOf([Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((step) => STEPS[step] ?? 0));
};

const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign] ?? sign);

const WIDTH_PX = 9;
const HEIGHT_PX = 19;

/** The screen as a page: one element for each sign, at its own place, so that what is too wide is seen to be. */
export const pageOf = (vt: Vt): { html: string; width: number; height: number } => {
  const width = vt.columns * WIDTH_PX + 24;
  const height = vt.height * HEIGHT_PX + 24;
  const cursor = vt.cursor();
  const rows = Array.from({ length: vt.height }, (_, y) =>
    vt.cells(y).flatMap((cell, x) => (cell.columns === 0 ? [] : [signOf(cell, x, y)])),
  );
  const caret = cursor.shown
    ? `<i style="left:${cursor.x * WIDTH_PX}px;top:${cursor.y * HEIGHT_PX}px;width:${WIDTH_PX}px;height:${HEIGHT_PX}px;background:#a78bfa99"></i>`
    : '';
  const style = `body{margin:0;background:${BG}}main{position:absolute;left:12px;top:12px}i{position:absolute;font:15px/19px "DejaVu Sans Mono","Noto Sans Mono CJK SC","Noto Color Emoji",monospace;white-space:pre;font-style:normal;overflow:hidden}`;
  return {
    html: `<!doctype html><meta charset="utf-8"><style>${style}</style><main>${rows.flat().join('')}${caret}</main>`,
    width,
    height,
  };
};

const signOf = (cell: Cell, x: number, y: number): string => {
  const [fg, bg] = [colourOf(cell.fg, FG), colourOf(cell.bg, BG)];
  const [front, back] = cell.inverse ? [bg, fg] : [fg, bg];
  if (cell.text.trim() === '' && back === BG && !cell.underline) return '';
  const place = `left:${x * WIDTH_PX}px;top:${y * HEIGHT_PX}px;width:${cell.columns * WIDTH_PX}px;height:${HEIGHT_PX}px`;
  const looks = [
    `color:${front}`,
    back === BG ? '' : `background:${back}`,
    cell.bold ? 'font-weight:bold' : '',
    cell.dim ? 'opacity:.65' : '',
    cell.italic ? 'font-style:italic' : '',
    cell.underline ? 'text-decoration:underline' : '',
  ];
  return `<i style="${place};${looks.filter(Boolean).join(';')}">${escaped(cell.text)}</i>`;
};
