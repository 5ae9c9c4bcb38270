import { oneLine } from '../client/printable.ts';
import type { ToolItem } from '../client/turn-view.ts';
import { diffLines, isDiff } from '../views/diff.ts';
import { toolArgs } from '../views/tool-body.ts';
import { toolHead } from '../views/tool-card.ts';
import { codeLines } from './code-rows.ts';
import { diffRows } from './diff-rows.ts';
import { type Drawn, drawn, type Fold, type IsOpen, MARGIN } from './drawn.ts';
import { chop, clean, cropped, type Row, type Span, textWidth } from './text.ts';

const SIGNS: { readonly [S in ToolItem['state']]: Span } = {
  waiting: ['· ', 'dim'],
  asked: ['? ', 'warn'],
  running: ['› ', 'accent'],
  done: ['✓ ', 'good'],
  failed: ['✗ ', 'bad'],
  refused: ['✗ ', 'bad'],
  cancelled: ['⊘ ', 'warn'],
  'not-run': ['– ', 'dim'],
};
const GUTTER: Span = [`${MARGIN}│ `, 'dim'];
/** Further right nobody looks for the end of a line. */
const HEAD_COLUMNS_MAX = 100;
/** Of the arguments and of the result, until somebody asks for more; and then. */
const LINES_MAX = { first: 20, more: 2_000 };

/** A tool call: one line, or all of it. */
export const toolRows = (id: string, tool: ToolItem, width: number, isOpen: IsOpen): Drawn[] => {
  const fold = { id, byDefault: false };
  const open = isOpen(id, false);
  const head = drawn([headRow(tool, open, width)], width, fold);
  if (!open) return head;
  const room = Math.max(1, width - GUTTER[0].length);
  return [
    ...head,
    ...part(argsRows(tool.args, room), { id: `${id}:args`, byDefault: false }, fold, width, isOpen),
    ...resultRows(tool, room, fold, width, isOpen),
  ];
};

/** How it went stands at the right, where the eye finds it. */
const headRow = (tool: ToolItem, open: boolean, columns: number): Row => {
  const width = Math.min(columns, HEAD_COLUMNS_MAX);
  const { name, about, state, took } = toolHead(tool);
  const end = ` ${state}${took === '' ? '' : ` · ${took}`}`;
  const words = cropped(clean(name), Math.max(1, width - 6));
  const room = Math.max(0, width - 6 - textWidth(words) - textWidth(end));
  const failed = tool.state === 'failed' || tool.state === 'refused';
  // Why it went wrong is what a person wants to read first.
  const detail = failed && tool.result !== undefined ? `${oneLine(tool.result)} · ${about}` : about;
  const shown = room > 1 ? ` ${cropped(clean(detail), room - 1)}` : '';
  const gap = ' '.repeat(room - textWidth(shown));
  return [
    [`${MARGIN}${open ? '▾' : '▸'} `, 'dim'],
    SIGNS[tool.state],
    [words, 'plain'],
    [`${shown}${gap}`, 'dim'],
    [end, failed ? 'bad' : 'dim'],
  ];
};

const argsRows = (args: string, width: number): Row[] => {
  const shown = toolArgs(args);
  const rest = shown.rest === '' ? [] : codeLines(shown.rest.split('\n'), 'json', width).rows;
  switch (shown.kind) {
    case 'command': {
      const rows = codeLines(shown.text.split('\n'), 'sh', Math.max(1, width - 2)).rows;
      return [...rows.map((row, i): Row => [[i === 0 ? '$ ' : '  ', 'accent'], ...row]), ...rest];
    }
    case 'change':
      return [...rest, ...diffRows(shown.lines, width)];
    case 'content':
      return [...rest, ...codeLines(shown.text.split('\n'), shown.lang, width).rows];
    case 'json':
      return codeLines(shown.text.split('\n'), 'json', width).rows;
  }
};

const resultRows = (tool: ToolItem, room: number, fold: Fold, width: number, isOpen: IsOpen): Drawn[] => {
  const { result, truncatedFrom, state } = tool;
  const by = tool.cancelledBy === undefined ? [] : [`cancelled by ${tool.cancelledBy}`];
  if (result === undefined && by.length === 0) return [];
  const style = state === 'failed' || state === 'refused' ? 'bad' : 'plain';
  const text = (result ?? '').replace(/\n+$/, '');
  // A list with dashes is no change.
  const rows =
    isDiff(text) && /^(?:diff |--- |@@ )/m.test(text)
      ? diffRows(diffLines(text), room)
      : clean(text)
          .split('\n')
          .flatMap((line) => chop([[line, style]], room));
  const whole = truncatedFrom === undefined ? [] : [`the beginning of ${truncatedFrom} bytes`];
  const notes = [...whole, ...by].map((line): Row => [[cropped(clean(oneLine(line)), room), 'dim']]);
  const rule: Row = [[cropped('─── result', room), 'dim']];
  return part([rule, ...rows, ...notes], { id: `${fold.id}:result`, byDefault: false }, fold, width, isOpen);
};

/** The first rows; the row that says how many more there are shows them. */
const part = (rows: readonly Row[], more: Fold, card: Fold, width: number, isOpen: IsOpen): Drawn[] => {
  const framed = (some: readonly Row[], fold: Fold): Drawn[] =>
    drawn(
      some.map((row): Row => [GUTTER, ...row]),
      width,
      fold,
    );
  if (rows.length <= LINES_MAX.first) return framed(rows, card);
  const all = isOpen(more.id, more.byDefault);
  const shown = rows.slice(0, all ? LINES_MAX.more : LINES_MAX.first);
  const left = rows.length - shown.length;
  const said = left === 0 ? '▾ show less' : `… ${left} more line${left === 1 ? '' : 's'}`;
  return [...framed(shown, card), ...framed([[[said, 'accent']]], more)];
};
