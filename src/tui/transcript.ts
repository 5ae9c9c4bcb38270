import { oneLine } from '../client/printable.ts';
import type { View } from '../client/session-view.ts';
import type { Item, PermissionItem, TextItem, ToolItem, TurnView } from '../client/turn-view.ts';
import type { Message } from '../protocol/session.ts';
import { clean, cropped, type Row, type Span, wrap } from './text.ts';

const MARGIN = '  ';
const DETAIL_CHARS_MAX = 160;

/**
 * The conversation as rows. What is over never changes, so its rows are made once for each width; of the text that is being
 * written only the last line is broken anew.
 */
export class Transcript {
  #width = 0;
  #made = new WeakMap<object, readonly Row[]>();
  #open: { text: string; rows: readonly Row[]; kept: number; from: number } | null = null;

  /** The last `count` rows above the `skip` last ones, and whether there are more above them. */
  window(view: View, width: number, count: number, skip: number): { rows: Row[]; above: boolean } {
    const blocks = this.#blocks(view, width);
    const wanted = count + skip;
    const found: (readonly Row[])[] = [];
    let total = 0;
    for (const block of blocks) {
      if (total > wanted) break;
      const rows = block();
      found.unshift(rows);
      total += rows.length;
    }
    const rows = found.flat();
    const end = Math.max(Math.min(count, rows.length), rows.length - skip);
    return { rows: rows.slice(Math.max(0, end - count), end), above: end > count };
  }

  /** How many rows there are in all. */
  height(view: View, width: number): number {
    let total = 0;
    for (const block of this.#blocks(view, width)) total += block().length;
    return total;
  }

  /** From the newest back, each made when it is asked for. */
  *#blocks(view: View, width: number): Generator<() => readonly Row[]> {
    if (width !== this.#width) {
      this.#width = width;
      this.#made = new WeakMap();
      this.#open = null;
    }
    const { active, past, seed } = view;
    if (active) {
      yield () => this.#openRows(active);
      for (const item of [...active.items].reverse()) yield () => this.#once(item, () => itemRows(item, active, width));
    }
    for (let i = past.length - 1; i >= 0; i--) {
      const turn = past[i] as TurnView;
      yield () => this.#once(turn, () => turnRows(turn, width));
    }
    for (let i = seed.length - 1; i >= 0; i--) {
      const message = seed[i] as Message;
      yield () => this.#once(message, () => messageRows(message, width));
    }
  }

  #once(of: object, make: () => readonly Row[]): readonly Row[] {
    const known = this.#made.get(of);
    if (known) return known;
    const rows = make();
    this.#made.set(of, rows);
    return rows;
  }

  #openRows({ open }: TurnView): readonly Row[] {
    if (open === null) {
      this.#open = null;
      return [];
    }
    const { text } = open;
    const before = this.#open;
    const grown = before !== null && text.startsWith(before.text) ? before : null;
    if (grown?.text === text) return grown.rows;
    // Whole lines stay as they are; what follows the last line end is broken again.
    const from = text.lastIndexOf('\n') + 1;
    const head = grown ? grown.rows.slice(0, grown.kept) : [];
    const whole = text.slice(grown?.from ?? 0, from);
    const kept = whole === '' ? head : [...head, ...textRows({ ...open, text: whole.slice(0, -1) }, this.#width)];
    const rows = [...kept, ...(from < text.length ? textRows({ ...open, text: text.slice(from) }, this.#width) : [])];
    this.#open = { text, rows, kept: kept.length, from };
    return rows;
  }
}

const turnRows = (turn: TurnView, width: number): readonly Row[] => [
  ...turn.items.flatMap((item) => itemRows(item, turn, width)),
  ...endRows(turn, width),
  [],
];

const itemRows = (item: Item, turn: TurnView, width: number): readonly Row[] => {
  switch (item.kind) {
    case 'user':
      return saidRows(item.writerId, item.text, width);
    case 'text':
    case 'thinking':
      return textRows({ ...item, text: item.text.trimEnd() }, width);
    case 'tool':
      return [toolRow(item, width)];
    case 'permission':
      return permissionRows(item, turn, width);
  }
};

const saidRows = (who: string, text: string, width: number): Row[] => {
  const name = cropped(clean(oneLine(who, 40)), Math.max(4, Math.floor(width / 3)));
  const lines = wrap(clean(text), Math.max(1, width - 2));
  return [[[`● ${name}`, 'author']], ...lines.map((line): Row => [[`${MARGIN}${line}`, 'bold']])];
};

const textRows = ({ kind, text }: Pick<TextItem, 'kind' | 'text'>, width: number): Row[] => {
  const style = kind === 'thinking' ? 'dim' : 'plain';
  return wrap(clean(text), Math.max(1, width - 2)).map((line): Row => [[`${MARGIN}${line}`, style]]);
};

const MARKS: { [S in ToolItem['state']]: Span } = {
  waiting: ['· ', 'dim'],
  asked: ['? ', 'warn'],
  running: ['› ', 'accent'],
  done: ['✓ ', 'good'],
  failed: ['✗ ', 'bad'],
  refused: ['✗ ', 'bad'],
  cancelled: ['⊘ ', 'warn'],
  'not-run': ['– ', 'dim'],
};

/** One line for each call. */
const toolRow = (tool: ToolItem, width: number): Row => {
  const { state, name, args, result, elapsedMs } = tool;
  const failed = state === 'failed' || state === 'refused';
  const took = elapsedMs === undefined ? '' : ` ${Math.round(elapsedMs)} ms`;
  const detail = failed && result !== undefined ? result : args;
  const head = cropped(clean(oneLine(name, 60)), Math.max(1, width - 4));
  const room = Math.max(0, width - 5 - head.length - took.length);
  return [
    [MARGIN, 'plain'],
    MARKS[state],
    [head, 'plain'],
    [` ${cropped(clean(oneLine(detail, DETAIL_CHARS_MAX)), room)}`, 'dim'],
    [took, 'dim'],
  ];
};

const permissionRows = (
  { decision, decidedBy, toolName, summary = '' }: PermissionItem,
  turn: TurnView,
  width: number,
): Row[] => {
  if (decision !== undefined) {
    const by = decidedBy === undefined ? '' : ` by ${decidedBy}`;
    const text = `${decision === 'allow' ? 'allowed' : 'denied'} ${toolName}${by}`;
    return [[[`${MARGIN}  ${cropped(clean(oneLine(text)), Math.max(1, width - 4))}`, 'dim']]];
  }
  if (turn.end) return [];
  return [
    [
      [
        `${MARGIN}  ${cropped(clean(oneLine(`waits for a decision: ${summary || toolName}`)), Math.max(1, width - 4))}`,
        'warn',
      ],
    ],
  ];
};

const endRows = ({ end, toolCalls, model }: TurnView, width: number): Row[] => {
  if (end === null) return [];
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
  ];
  return [[[`${MARGIN}${cropped(clean(facts.join(' · ')), room)}`, 'dim']]];
};

/** What the session was made with: no more is known of it than who spoke. */
const messageRows = ({ role, content, tool_calls = [] }: Message, width: number): readonly Row[] => {
  if (role === 'user') return saidRows('user', content, width);
  if (role === 'tool' || role === 'system') return [];
  const calls = tool_calls.map((call) => `› ${oneLine(`${call.function.name} ${call.function.arguments}`)}`);
  const lines = calls.map((line): Row => [[`${MARGIN}${cropped(clean(line), Math.max(1, width - 2))}`, 'dim']]);
  return content === '' ? lines : [...textRows({ kind: 'text', text: content }, width), ...lines, []];
};
