import type { View } from '../client/session-view.ts';
import type { PermissionItem, ToolItem, TurnView } from '../client/turn-view.ts';
import type { Message } from '../protocol/session.ts';

/**
 * A conversation as one flat list, which a screen can show a part of. A row is the same object as long as nothing in it changes,
 * and keeps its `id` from the first token of a text to its last.
 */
export type Row = { id: string } & (
  | { kind: 'user'; turnId: string; writerId: string; text: string; at: string; steered: boolean }
  | { kind: 'text' | 'thinking'; text: string; open: boolean }
  | { kind: 'system'; text: string }
  /** `permission`: that it was asked for, and who decided. */
  | { kind: 'tool'; turnId: string; tool: ToolItem; permission: PermissionItem | null }
  | { kind: 'end'; turn: TurnView }
);

/** `settled` is the same array until a turn has ended; `live` is the running turn. */
export interface Rows {
  settled: readonly Row[];
  live: readonly Row[];
}

/** Remembers what it made, so each reading costs the running turn, not the conversation. One for each view that is shown. */
export class RowReader {
  #seed: readonly Message[] | null = null;
  #past: readonly TurnView[] = [];
  #settled: readonly Row[] = [];
  #known = new WeakMap<object, Row>();

  read({ seed, past, active }: Pick<View, 'seed' | 'past' | 'active'>): Rows {
    const goesOn = seed === this.#seed && past.length >= this.#past.length && past[0] === this.#past[0];
    if (!goesOn) this.#settled = [...rowsOfMessages(seed), ...past.flatMap((turn) => this.#rowsOf(turn))];
    else if (past !== this.#past) {
      this.#settled = [...this.#settled, ...past.slice(this.#past.length).flatMap((turn) => this.#rowsOf(turn))];
    }
    this.#seed = seed;
    this.#past = past;
    return { settled: this.#settled, live: active ? this.#rowsOf(active) : [] };
  }

  #rowsOf(turn: TurnView): Row[] {
    const asked = new Map<string, PermissionItem>();
    for (const item of turn.items) if (item.kind === 'permission') asked.set(item.callId, item);
    const rows = turn.items.flatMap((item, i): Row[] => {
      const id = `${turn.turnId}.${i}`;
      switch (item.kind) {
        case 'permission':
          return [];
        case 'tool':
          return [this.#tool(id, turn.turnId, item, asked.get(item.callId) ?? null)];
        case 'note':
          return [this.#once(item, () => ({ id, kind: 'system', text: item.text }))];
        case 'user':
          return [this.#once(item, () => userRow(id, turn, item, i))];
        default:
          return [this.#once(item, () => ({ id, kind: item.kind, text: item.text, open: false }))];
      }
    });
    const { open } = turn;
    if (open) rows.push({ id: `${turn.turnId}.${turn.items.length}`, kind: open.kind, text: open.text, open: true });
    if (turn.end) rows.push(this.#once(turn, () => ({ id: `${turn.turnId}.end`, kind: 'end', turn })));
    return rows;
  }

  #tool(id: string, turnId: string, tool: ToolItem, permission: PermissionItem | null): Row {
    const known = this.#known.get(tool);
    if (known?.kind === 'tool' && known.permission === permission) return known;
    const row: Row = { id, kind: 'tool', turnId, tool, permission };
    this.#known.set(tool, row);
    return row;
  }

  #once(of: object, make: () => Row): Row {
    const known = this.#known.get(of);
    if (known) return known;
    const row = make();
    this.#known.set(of, row);
    return row;
  }
}

const userRow = (
  id: string,
  turn: TurnView,
  { turnId, writerId, text }: { turnId: string; writerId: string; text: string },
  i: number,
): Row => ({ id, kind: 'user', turnId, writerId, text, at: turn.startedAt, steered: i > 0 });

/** The conversation from before the first event: its calls have a result and no history. */
const rowsOfMessages = (messages: readonly Message[]): Row[] => {
  const results = new Map<string, string>();
  for (const { tool_call_id: id, content } of messages) if (id !== undefined) results.set(id, content);
  return messages.flatMap((message, i): Row[] => {
    const id = `seed.${i}`;
    const { role, content, tool_calls: calls = [] } = message;
    if (role === 'tool') return [];
    if (role === 'system') return [{ id, kind: 'system', text: content }];
    if (role === 'user') return [{ id, kind: 'user', turnId: '', writerId: '', text: content, at: '', steered: false }];
    const rows: Row[] = content === '' ? [] : [{ id, kind: 'text', text: content, open: false }];
    for (const [n, call] of calls.entries()) {
      const { name, arguments: args } = call.function;
      const result = results.get(call.id);
      const tool: ToolItem = {
        kind: 'tool',
        callId: call.id,
        name,
        args,
        state: result === undefined ? 'not-run' : 'done',
        ...(result === undefined ? {} : { result }),
      };
      rows.push({ id: `${id}.${n}`, kind: 'tool', turnId: '', tool, permission: null });
    }
    return rows;
  });
};

/** What a search looks at, and what a copy takes. */
export const textOfRow = (row: Row): string => {
  switch (row.kind) {
    case 'tool':
      return `${row.tool.name}\n${row.tool.args}\n${row.tool.result ?? ''}`;
    case 'end':
      return row.turn.end && 'message' in row.turn.end ? row.turn.end.message : '';
    default:
      return row.text;
  }
};

/** Kept for the next letter that is typed. */
const lowered = new WeakMap<Row, string>();

const lower = (row: Row): string => {
  const known = lowered.get(row);
  if (known !== undefined) return known;
  const text = textOfRow(row).toLowerCase();
  lowered.set(row, text);
  return text;
};

/** `needle` in lower case. */
export const holds = (row: Row, needle: string): boolean => lower(row).includes(needle);
