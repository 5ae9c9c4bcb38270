import { oneLine } from '../client/printable.ts';
import type { ToolItem } from '../client/turn-view.ts';
import { toolHead } from '../views/tool-card.ts';
import type { Drawn, IsOpen } from './entry-rows.ts';
import { clean, cropped, type Row, type Span, textWidth } from './text.ts';

const MARGIN = '  ';

const SIGNS: { readonly [S in ToolItem['state']]: Span } = {
  waiting: ['· ', 'dim'],
  asked: ['? ', 'warn'],
  running: ['› ', 'accent'],
  done: ['✓ ', 'good'],
  failed: ['✗ ', 'bad'],
  refused: ['✗ ', 'bad'],
  'not-run': ['– ', 'dim'],
};

/** A tool call: one line, or all of it. */
export const toolRows = (id: string, tool: ToolItem, width: number, isOpen: IsOpen): Drawn[] => {
  const fold = { id, byDefault: false };
  const open = isOpen(id, false);
  return [{ row: headRow(tool, open, width), fold }];
};

const headRow = (tool: ToolItem, open: boolean, width: number): Row => {
  const { name, about, state, took } = toolHead(tool);
  const end = ` ${state}${took === '' ? '' : ` ${took}`}`;
  const words = cropped(clean(name), Math.max(1, width - 6));
  const room = width - 6 - textWidth(words) - textWidth(end);
  const failed = tool.state === 'failed' || tool.state === 'refused';
  const detail = failed && tool.result !== undefined ? oneLine(tool.result) : about;
  const shown = room > 1 ? ` ${cropped(clean(detail), room - 1)}` : '';
  return [[`${MARGIN}${open ? '▾' : '▸'} `, 'dim'], SIGNS[tool.state], [words, 'plain'], [shown, 'dim'], [end, 'dim']];
};
