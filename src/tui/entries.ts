import type { View } from '../client/session-view.ts';
import type { Item, ToolItem, TurnView } from '../client/turn-view.ts';
import type { Message } from '../protocol/session.ts';

/** One thing of the conversation that is drawn by itself. */
export interface Entry {
  /** The same for as long as the view lasts: where it stands in its turn, or among what the session began with. */
  readonly id: string;
  readonly item: Item | { kind: 'end' };
  /** null for what the session was made with: no more is known of it than who spoke. */
  readonly turn: TurnView | null;
  /** What its rows are kept by: it is another object when something about it is different. */
  readonly of: object;
}

/**
 * The conversation as one list. What is over is listed once; a view costs what is new in it.
 */
export class Entries {
  #seed: readonly Message[] | null = null;
  #past: readonly TurnView[] = [];
  #over: Entry[] = [];
  #active: TurnView | null = null;
  #live: Entry[] = [];

  read({ seed, past, active }: View): void {
    const same = seed === this.#seed && this.#isLonger(past);
    if (!same) {
      this.#seed = seed;
      this.#past = [];
      this.#over = seedEntries(seed);
    }
    for (let i = this.#past.length; i < past.length; i++) {
      for (const entry of turnEntries(past[i] as TurnView)) this.#over.push(entry);
    }
    this.#past = past;
    if (active !== this.#active) this.#follow(active);
  }

  get count(): number {
    return this.#over.length + this.#live.length + (this.#active?.open ? 1 : 0);
  }

  at(index: number): Entry {
    const over = this.#over.length;
    const entry = index < over ? this.#over[index] : (this.#live[index - over] ?? this.#open());
    if (entry === undefined) throw new RangeError(`there is no entry ${index}`);
    return entry;
  }

  /** Past turns only ever come to more: whether these are the known ones and perhaps some more. */
  #isLonger(past: readonly TurnView[]): boolean {
    const known = this.#past.length;
    return past.length >= known && (known === 0 || past[known - 1] === this.#past[known - 1]);
  }

  /** A token changes no item: then only what is being written is another. */
  #follow(active: TurnView | null): void {
    const before = this.#active;
    this.#active = active;
    if (active === null) this.#live = [];
    else if (active.turnId !== before?.turnId || active.items !== before.items) this.#live = itemEntries(active);
  }

  #open(): Entry | undefined {
    const turn = this.#active;
    return turn?.open ? { id: `${turn.turnId}/${turn.items.length}`, item: turn.open, turn, of: turn.open } : undefined;
  }
}

const itemEntries = (turn: TurnView): Entry[] =>
  turn.items.map((item, i) => ({ id: `${turn.turnId}/${i}`, item, turn, of: item }));

const turnEntries = (turn: TurnView): Entry[] => {
  const entries = itemEntries(turn);
  if (turn.end) entries.push({ id: `${turn.turnId}/end`, item: { kind: 'end' }, turn, of: turn.end });
  return entries;
};

const seedEntries = (seed: readonly Message[]): Entry[] => {
  const entries: Entry[] = [];
  const results = new Map<string, Message>();
  for (const message of seed) if (message.tool_call_id !== undefined) results.set(message.tool_call_id, message);
  for (const [i, message] of seed.entries()) {
    for (const [k, item] of itemsOfMessage(message, results).entries()) {
      entries.push({ id: `${i}.${k}`, item, turn: null, of: item });
    }
  }
  return entries;
};

const itemsOfMessage = ({ role, content, tool_calls = [] }: Message, results: Map<string, Message>): Item[] => {
  if (role === 'user') return [{ kind: 'user', turnId: '', writerId: 'user', text: content }];
  if (role !== 'assistant') return [];
  const said: Item[] = content === '' ? [] : [{ kind: 'text', step: 0, text: content }];
  const calls = tool_calls.map(({ id, function: { name, arguments: args } }): ToolItem => {
    const result = results.get(id)?.content;
    return { kind: 'tool', callId: id, name, args, state: 'done', ...(result === undefined ? {} : { result }) };
  });
  return [...said, ...calls];
};
