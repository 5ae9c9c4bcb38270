import type { EventPayload, LogRecord } from '../protocol/events.ts';
import type { ActiveTurn, Call, QueuedTurn } from '../protocol/session-state.ts';
import type { Mode, Stats } from '../protocol/turn.ts';

/**
 * One turn as people see it, folded from its records: for a one-shot client its whole picture, for a session's view one entry
 * of the transcript. Immutable; a delta makes one new item and one new turn, however long either has become.
 */
export interface TurnView {
  turnId: string;
  writerId: string;
  clientId: string;
  mode: Mode | '';
  /** What was asked. */
  content: string;
  startedAt: string;
  /** Text of the current step; after the end, of the last one: the answer. */
  text: string;
  step: number;
  toolCalls: number;
  model: string;
  /** In the order in which they came; an item changes in place when more is known of it. */
  items: readonly Item[];
  /** What is being written now; it joins `items` when something else begins. */
  open: TextItem | null;
  end: TurnEnd | null;
}

export type Item = UserItem | TextItem | ToolItem | PermissionItem | NoteItem;

/** What the daemon did, in a line. */
export interface NoteItem {
  kind: 'note';
  text: string;
}

/** What a writer said: the turn's own content first, then what was steered into it. `turnId` is that of the submit. */
export interface UserItem {
  kind: 'user';
  turnId: string;
  writerId: string;
  text: string;
}
export interface TextItem {
  kind: 'text' | 'thinking';
  step: number;
  text: string;
}
export interface ToolItem {
  kind: 'tool';
  callId: string;
  name: string;
  /** Raw JSON text. */
  args: string;
  state: 'waiting' | 'asked' | 'running' | 'done' | 'failed' | 'refused' | 'cancelled' | 'not-run';
  decidedBy?: string;
  /** Who ended this call alone, when its state is `cancelled`. */
  cancelledBy?: string;
  startedAt?: string;
  result?: string;
  elapsedMs?: number;
  truncatedFrom?: number | undefined;
}
type Of<N extends 'permission.request' | 'permission.resolved'> = Omit<EventPayload<N>, 'turnId'>;
/** Without `decision` it waits for one. A call that a rule refused was never asked for: it has only what `permission.resolved` has. */
export type PermissionItem = { kind: 'permission' } & Pick<
  Of<'permission.resolved'>,
  'requestId' | 'callId' | 'toolName'
> &
  Partial<Of<'permission.request'> & Of<'permission.resolved'>>;

export type TurnEnd =
  /** `cut`: the server ended the answer at its greatest length. */
  | { outcome: 'done'; stats: Stats; cut?: true }
  | { outcome: 'error' | 'cancelled' | 'interrupted'; code: string; message: string; partial: boolean; stats?: Stats };

export const emptyTurn = (turnId: string): TurnView => ({
  turnId,
  writerId: '',
  clientId: '',
  mode: '',
  content: '',
  startedAt: '',
  text: '',
  step: 0,
  toolCalls: 0,
  model: '',
  items: [],
  open: null,
  end: null,
});

type Asked = Pick<QueuedTurn, 'turnId' | 'writerId' | 'clientId' | 'mode' | 'content'>;

export const queuedTurn = ({ turnId, writerId, clientId, mode, content }: Asked): TurnView => ({
  ...emptyTurn(turnId),
  writerId,
  clientId,
  mode,
  content,
  items: [{ kind: 'user', turnId, writerId, text: content }],
});

/** A turn that was met in its middle, from the folded state: the current step, without what was said before it. */
export const activeTurn = (a: ActiveTurn): TurnView => ({
  ...queuedTurn(a),
  startedAt: a.startedAt,
  text: a.text,
  step: a.step,
  toolCalls: a.toolCalls,
  model: a.model ?? '',
  items: a.calls.flatMap(itemsOfCall),
  open: a.text === '' ? null : { kind: 'text', step: a.step, text: a.text },
});

const TOOL_STATE = {
  waiting: 'waiting',
  asked: 'asked',
  started: 'running',
  ended: 'done',
  refused: 'refused',
} as const;

const itemsOfCall = ({ id: callId, name, args, progress: p }: Call): Item[] => {
  const started = p.state === 'started' ? { decidedBy: p.decidedBy, startedAt: p.startedAt } : {};
  const ended = p.state === 'ended' || p.state === 'refused' ? byWhom(p.cancelledBy) : {};
  const tool: ToolItem = { kind: 'tool', callId, name, args, state: TOOL_STATE[p.state], ...started, ...ended };
  if (p.state !== 'asked') return [tool];
  const { state: _, ...asked } = p;
  return [tool, { kind: 'permission', callId, toolName: name, ...asked }];
};

/** Everything that a turn shows, with what is being written now. */
export const itemsOf = (t: TurnView): readonly Item[] => (t.open ? [...t.items, t.open] : t.items);

export const foldTurn = (t: TurnView, r: LogRecord): TurnView => {
  if (turnOf(r) !== t.turnId) return t;
  switch (r.event) {
    case 'turn.queued':
      return queuedTurn(r.payload);
    case 'turn.start':
      return { ...t, startedAt: r.ts };
    case 'turn.progress': {
      const s = { ...stepped(t, r.payload.step), model: r.payload.model ?? t.model };
      return r.payload.calls ? { ...closed(s), items: [...closed(s).items, ...r.payload.calls.map(waiting)] } : s;
    }
    case 'turn.token': {
      const s = stepped(t, r.payload.step);
      return { ...written(s, 'text', r.payload), text: s.text + r.payload.text };
    }
    case 'turn.thinking':
      return written(stepped(t, r.payload.step), 'thinking', r.payload);
    case 'permission.request': {
      const { turnId: _, ...asked } = r.payload;
      return withTool(added(t, { kind: 'permission', ...asked }), asked.callId, { state: 'asked' });
    }
    case 'permission.resolved':
      return resolved(t, r.payload);
    case 'tool.start': {
      const { id, name, args, decidedBy } = r.payload;
      const known = t.items.some((item) => item.kind === 'tool' && item.callId === id);
      const s = known ? t : added(t, waiting({ id, name, args }));
      return { ...withTool(s, id, { state: 'running', decidedBy, startedAt: r.ts }), toolCalls: t.toolCalls + 1 };
    }
    case 'tool.end': {
      const { turnId: _, id, name: _name, isError, cancelledBy, ...told } = r.payload;
      return withTool(t, id, { state: isError ? 'failed' : 'done', ...told, ...byWhom(cancelledBy) });
    }
    case 'turn.done':
      return { ...over(t), model: r.payload.model ?? t.model, end: doneEnd(r.payload) };
    case 'context.compacted':
      return added(t, { kind: 'note', text: compactedText(r.payload) });
    case 'turn.error':
      return { ...over(t), end: ended(r.payload) };
    default:
      return t;
  }
};

/** The turn that a record belongs to, if it belongs to one. */
export const turnOf = (r: LogRecord): string | undefined => (r.payload as { turnId?: string }).turnId;

/** What another writer's turn, steered into this one, adds to it. */
export const added = (t: TurnView, item: Item): TurnView => ({ ...closed(t), items: [...closed(t).items, item] });

const waiting = ({ id, name, args }: { id: string; name: string; args: string }): ToolItem => ({
  kind: 'tool',
  callId: id,
  name,
  args,
  state: 'waiting',
});

const closed = (t: TurnView): TurnView => (t.open ? { ...t, items: [...t.items, t.open], open: null } : t);

const stepped = (t: TurnView, step: number): TurnView => (step === t.step ? t : { ...closed(t), step, text: '' });

const written = (t: TurnView, kind: TextItem['kind'], { text, step }: { text: string; step: number }): TurnView =>
  t.open?.kind === kind
    ? { ...t, open: { ...t.open, text: t.open.text + text } }
    : { ...closed(t), open: { kind, step, text } };

const withTool = (t: TurnView, callId: string, change: Partial<ToolItem>): TurnView => ({
  ...t,
  items: t.items.map((item) => (item.kind === 'tool' && item.callId === callId ? { ...item, ...change } : item)),
});

const resolved = (t: TurnView, p: EventPayload<'permission.resolved'>): TurnView => {
  const { turnId: _, requestId, callId, toolName, ...taken } = p;
  const known = t.items.some((item) => item.kind === 'permission' && item.requestId === requestId);
  const s = known ? t : added(t, { kind: 'permission', requestId, callId, toolName });
  const items = s.items.map((item) =>
    item.kind === 'permission' && item.requestId === requestId ? { ...item, ...taken } : item,
  );
  const said = p.message === undefined ? {} : { result: p.message };
  const change: Partial<ToolItem> =
    p.decision === 'deny' ? { state: 'refused', decidedBy: p.decidedBy, ...said, ...byWhom(p.cancelledBy) } : {};
  return withTool({ ...s, items }, callId, change);
};

const byWhom = (cancelledBy: string | undefined): Partial<ToolItem> =>
  cancelledBy === undefined ? {} : { state: 'cancelled', cancelledBy };

/** A call that the end left behind was not run. */
const over = (t: TurnView): TurnView => ({
  ...closed(t),
  items: closed(t).items.map((item) =>
    item.kind === 'tool' && (item.state === 'waiting' || item.state === 'asked' || item.state === 'running')
      ? { ...item, state: 'not-run' }
      : item,
  ),
});

const doneEnd = ({ stats, stopReason }: EventPayload<'turn.done'>): TurnEnd => ({
  outcome: 'done',
  stats,
  ...(stopReason === 'length' ? { cut: true } : {}),
});

const compactedText = ({ tokensBefore, tokensAfter, by }: EventPayload<'context.compacted'>): string =>
  `The conversation was shortened from about ${tokensBefore} to ${tokensAfter} tokens for the model, ${by === 'model' ? 'which wrote the summary' : 'by an extract'}; all of it stays here.`;

/** What happened between turns: an entry of its own. */
export const noteEntry = (seq: number, text: string): TurnView => ({
  ...emptyTurn(`note.${seq}`),
  items: [{ kind: 'note', text }],
});

export const committedText = ({ ofTurn, commit, paths, why }: EventPayload<'files.committed'>): string =>
  commit === null
    ? `What turn ${ofTurn} wrote was not committed: ${why ?? 'nobody said why'}.`
    : `What turn ${ofTurn} wrote was committed as ${commit}: ${paths.join(', ')}.`;

export const restoredText = (p: EventPayload<'files.restored'>): string => {
  const kept = p.kept.map(({ path, why }) => `${path} (${why})`).join(', ');
  const what = p.restored.length === 0 ? 'nothing' : p.restored.join(', ');
  const left = kept === '' ? '' : `; left as it is: ${kept}`;
  return `What turn ${p.ofTurn} did to files was taken back by ${p.by}: ${what}${left}.`;
};

const ended = (p: EventPayload<'turn.error'>): TurnEnd => ({
  outcome: p.outcome,
  code: p.code,
  message: p.message,
  partial: p.partial,
  ...(p.stats === undefined ? {} : { stats: p.stats }),
});
