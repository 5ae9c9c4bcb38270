import { oneLine } from '../client/printable.ts';
import type { PermissionItem, TurnView } from '../client/turn-view.ts';
import { type Drawn, drawn, type IsOpen, indented, MARGIN } from './drawn.ts';
import type { Entry } from './entries.ts';
import { type GrowingRows, markdownRows } from './markdown-rows.ts';
import { clean, cropped, type Row, type Style, wrap } from './text.ts';
import { toolRows } from './tool-rows.ts';

const THOUGHT_CHARS_MAX = 200;
const NOTE_CHARS_MAX = 2_000;
const DECISION_CHARS_MAX = 2_000;
/** At the end of the ids of thoughts: all of them can be opened at once. */
const THOUGHT = ':thought';

export const isThought = (foldId: string): boolean => foldId.endsWith(THOUGHT);

/** Rows of one thing; `growing` is what is known of a text that is still being written. */
export const entryRows = (
  { id, item, turn }: Entry,
  width: number,
  isOpen: IsOpen,
  growing: GrowingRows | null,
): readonly Drawn[] => {
  switch (item.kind) {
    case 'user':
      return drawn(saidRows(item.writerId, item.text, width), width);
    case 'text':
      if (growing) return growing.read(item.text);
      return drawn(markdownRows(item.text.trimEnd(), Math.max(1, width - MARGIN.length)).map(indented), width);
    case 'thinking':
      return thoughtRows(id, item.text, turn?.open === item, width, isOpen);
    case 'tool':
      return toolRows(id, item, width, isOpen);
    case 'permission':
      return drawn(permissionRows(item, turn?.end == null, width), width);
    case 'note':
      return drawn(noteRows(item.text, width), width);
    case 'end':
      return drawn([...endRows(turn, width), []], width);
  }
};

const saidRows = (who: string, text: string, width: number): Row[] => {
  const name = cropped(clean(oneLine(who, 40)), Math.max(4, Math.floor(width / 3)));
  const lines = wrap(clean(text), Math.max(1, width - 2));
  return [[[`● ${name}`, 'author']], ...lines.map((line): Row => [[`${MARGIN}${line}`, 'bold']])];
};

/** One line, whether it is over or goes on, until somebody wants to read it. */
const thoughtRows = (id: string, text: string, live: boolean, width: number, isOpen: IsOpen): Drawn[] => {
  const fold = { id: `${id}${THOUGHT}`, byDefault: false };
  const open = isOpen(fold.id, fold.byDefault);
  // What is thought just now stands at the end.
  const part = live ? text.slice(-THOUGHT_CHARS_MAX).replace(/^\S*\s/, '') : text.slice(0, THOUGHT_CHARS_MAX);
  const words = open ? '' : clean(oneLine(part, THOUGHT_CHARS_MAX));
  const head = `${open ? '▾' : '▸'} ${live ? 'thinking' : 'thought'}${words === '' ? '' : `: ${words}`}`;
  const rows: Row[] = [[[`${MARGIN}${cropped(head, Math.max(1, width - MARGIN.length))}`, 'dim']]];
  if (open)
    for (const line of wrap(clean(text.trimEnd()), Math.max(1, width - 4))) rows.push([[`${MARGIN}  ${line}`, 'dim']]);
  return drawn(rows, width, fold);
};

/** What was asked, who decided and how. A request that waits is on a card too; here it says where in the turn it belongs. */
const permissionRows = (item: PermissionItem, waits: boolean, width: number): Row[] => {
  const { decision, decidedBy, toolName, summary = '', question, answer, remember } = item;
  const room = Math.max(1, width - 4);
  const rows = (text: string, style: Style): Row[] =>
    wrap(clean(oneLine(text, DECISION_CHARS_MAX)), room).map((line): Row => [[`${MARGIN}  ${line}`, style]]);
  if (decision === undefined) {
    const what = question?.text ?? (summary || toolName);
    if (!waits) return rows(`not decided: ${what}`, 'dim');
    return rows(question ? `asks: ${what}` : `waits for a decision: ${what}`, 'warn');
  }
  const by = decidedBy === undefined ? '' : ` by ${decidedBy}`;
  if (question && decision === 'allow') {
    return [...rows(`asked: ${question.text}`, 'dim'), ...rows(`answered${by}: ${answer ?? ''}`, 'accent')];
  }
  if (question) return rows(`asked: ${question.text} · not answered${by}`, 'dim');
  const kept =
    remember === undefined ? '' : ` · remembered for this ${remember === 'workspace' ? 'folder' : 'session'}`;
  return rows(`${decision === 'allow' ? 'allowed' : 'denied'} ${toolName}${by}${kept}`, 'dim');
};

const noteRows = (text: string, width: number): Row[] =>
  wrap(clean(oneLine(text, NOTE_CHARS_MAX)), Math.max(1, width - 2)).map((line): Row => [[`${MARGIN}${line}`, 'dim']]);

const endRows = (turn: TurnView | null, width: number): Row[] => {
  if (turn === null || turn.end === null) return [];
  const { end, toolCalls, model } = turn;
  const room = Math.max(1, width - 2);
  if (end.outcome !== 'done') {
    const text = `${end.outcome === 'cancelled' ? 'cancelled' : `${end.outcome}: ${end.message}`}`;
    return wrap(clean(oneLine(text, 600)), room).map((line): Row => [[`${MARGIN}${line}`, 'bad']]);
  }
  const { elapsedMs, tokens, speed } = end.stats;
  const facts = [
    `${(elapsedMs / 1_000).toFixed(1)} s`,
    ...(toolCalls > 0 ? [`${toolCalls} tool call${toolCalls === 1 ? '' : 's'}`] : []),
    `${tokens} tokens`,
    ...(speed > 0 ? [`${speed.toFixed(0)}/s`] : []),
    ...(model === '' ? [] : [oneLine(model, 60)]),
    ...(end.cut ? ['cut at its greatest length'] : []),
  ];
  return [[[`${MARGIN}${cropped(clean(facts.join(' · ')), room)}`, 'dim']]];
};
