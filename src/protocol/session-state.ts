import { type Background, foldOutput, foldStatus } from './background.ts';
import { type AllowedHere, type DecisionTaken, foldDecision, forgetting, keeping } from './decisions.ts';
import type { EventPayload, LogRecord, ResolveReason, SessionChange } from './events.ts';
import { type FileChange, foldChanges, type TurnFiles } from './files.ts';
import { withResult } from './results.ts';
import type { Message, PatchSession, Remembered, SessionSnapshot } from './session.ts';
import { cancelling, ended, restored } from './session-endings.ts';
import type { Mode, OnBusy, Overrides, Question } from './turn.ts';

/**
 * The fold: session state as a pure function of its event log. One function serves the daemon's session actor, recovery and
 * every client's view, so they cannot disagree ([CR2]). It never throws on a record of a known event: the log is the truth.
 *
 * Invariants: `seq` is the number of the last record folded; at most one `active` turn ([TQ1]); every turn in `queue` or
 * `active` has no terminal record yet; `messages` always pairs each tool call with exactly one tool result.
 */
export interface QueuedTurn {
  turnId: string;
  writerId: string;
  clientId: string;
  content: string;
  mode: Mode;
  onBusy: OnBusy;
  /** The running turn that is to take this one in. */
  steers?: string;
  overrides?: Overrides;
  metadata?: { [key: string]: unknown };
  queuedAt: string;
}

export type CallState =
  | { state: 'waiting' }
  | { state: 'asked'; requestId: string; expiresAt: string; summary: string; preview?: string; question?: Question }
  | { state: 'started'; decidedBy: string; startedAt: string }
  /** `cancelledBy`: this call alone was cancelled. */
  | { state: 'ended'; cancelledBy?: string }
  | { state: 'refused'; reason: ResolveReason; cancelledBy?: string };

export interface Call {
  id: string;
  name: string;
  args: string;
  progress: CallState;
}

export interface ActiveTurn extends QueuedTurn {
  startedAt: string;
  startedSeq: number;
  step: number;
  /** Text of the current step; moves to `messages` when the step ends. */
  text: string;
  /** Some text of this turn, of any step, is in the log. */
  hasText: boolean;
  /** Calls of the current step, in the order in which they take effect. */
  calls: Call[];
  toolCalls: number;
  /** A cancel was accepted; only its terminal record is missing. */
  cancelling: boolean;
  /** What people allowed for the whole workspace while it runs. */
  allowedHere?: AllowedHere[];
  /** What it did to files is to be taken back, for this writer. */
  rollback?: string;
  model?: string;
}

export interface SessionState {
  sessionId: string;
  seq: number;
  revision: number;
  model: string;
  title?: string;
  createdAt: string;
  updatedAt: string;
  workspace?: string;
  metadata?: { [key: string]: unknown };
  /** What a submit without `onBusy` asks for; `enqueue` when absent. */
  onBusy?: OnBusy;
  forkedFrom?: { sessionId: string; atSeq: number };
  /** Put away: nothing is taken on until it is restored. */
  deletedAt?: string;
  messages: Message[];
  /** What the model is sent in place of the first `upTo` messages, since all of them would not fit. */
  compaction?: { upTo: number; summary: string };
  /** What the last turns did to files; absent when there is nothing. */
  files?: TurnFiles[];
  /** A turn that has ended and whose changes of files are to be taken back before anything else runs. */
  rollback?: { turnId: string; by: string };
  toolCallCount: number;
  queue: QueuedTurn[];
  active: ActiveTurn | null;
  /** The idempotency keys of all its turns, oldest first: kept for the life of the session ([TQ5]). */
  keys: UsedKey[];
  /** The last decisions by people, newest last, so that a late second answer is told who won ([PM2]). */
  decisions: DecisionTaken[];
  /** Tools that are not asked about again, and whose decision that was; absent when there is none. */
  remembered?: Remembered[];
  /** Background processes that run, and the last that ended; in the order in which they began. */
  background: Background[];
}

export interface UsedKey {
  key: string;
  /** Of what was submitted with it. */
  digest: string;
  turnId: string;
  seq: number;
}

export const emptySession = (sessionId: string): SessionState => ({
  sessionId,
  seq: 0,
  revision: 0,
  model: '',
  createdAt: '',
  updatedAt: '',
  messages: [],
  toolCallCount: 0,
  queue: [],
  active: null,
  keys: [],
  decisions: [],
  background: [],
});

export const fold = (s: SessionState, r: LogRecord): SessionState => {
  switch (r.event) {
    case 'turn.token':
      return onActive(s, r, r.payload, (a) => ({ ...a, text: a.text + r.payload.text, hasText: true }));
    case 'session.snapshot':
      return s.seq === 0 ? created(s, r, r.payload) : { ...s, seq: r.seq };
    case 'session.updated':
      return r.payload.change ? changed(s, r, r.payload.change) : { ...s, seq: r.seq };
    case 'turn.queued':
      return queued(s, r);
    case 'turn.start':
      return started(s, r);
    case 'turn.progress':
      return r.payload.phase === 'model.request'
        ? onActive(s, r, r.payload, (a) => ({ ...a, step: r.payload.step, ...model(r.payload.model) }))
        : answered(s, r);
    case 'context.compacted':
      return { ...s, seq: r.seq, compaction: { upTo: r.payload.upTo, summary: r.payload.summary } };
    case 'permission.request':
      return onCall(s, r, r.payload.turnId, r.payload.callId, {
        state: 'asked',
        requestId: r.payload.requestId,
        expiresAt: r.payload.expiresAt,
        summary: r.payload.summary,
        ...present({ preview: r.payload.preview, question: r.payload.question }),
      });
    case 'permission.resolved':
      return resolved(s, r);
    case 'tool.start':
      return counted(
        onCall(s, r, r.payload.turnId, r.payload.id, {
          state: 'started',
          decidedBy: r.payload.decidedBy,
          startedAt: r.ts,
        }),
        r.payload.turnId,
      );
    case 'tool.end':
      return toolMessage(
        onCall(s, r, r.payload.turnId, r.payload.id, {
          state: 'ended',
          ...present({ cancelledBy: r.payload.cancelledBy }),
        }),
        r.payload.turnId,
        r.payload.id,
        r.payload.result,
        r.payload.changes,
      );
    case 'files.restored':
      return restored(s, r);
    case 'files.committed':
      return { ...s, seq: r.seq };
    case 'session.cancelled':
      return cancelling(s, r);
    case 'turn.done':
    case 'turn.error':
      return ended(s, r);
    case 'background.status':
      return { ...s, seq: r.seq, background: foldStatus(s.background, r.payload) };
    case 'background.output':
      return { ...s, seq: r.seq, background: foldOutput(s.background, r.payload, r.seq) };
    default:
      return { ...s, seq: (r as LogRecord).seq };
  }
};

export const foldAll = (s: SessionState, records: Iterable<LogRecord>): SessionState => {
  let out = s;
  for (const r of records) out = fold(out, r);
  return out;
};

/** The wire's summary of a session. Fields that are unset are absent. */
export const toSnapshot = (s: SessionState): SessionSnapshot => ({
  sessionId: s.sessionId,
  model: s.model,
  ...(s.title === undefined ? {} : { title: s.title }),
  createdAt: s.createdAt,
  updatedAt: s.updatedAt,
  ...(s.active ? { activeTurnId: s.active.turnId } : {}),
  queuedTurns: s.queue.length,
  toolCallCount: s.toolCallCount,
  writerCount: new Set([...s.queue, ...(s.active ? [s.active] : [])].map((t) => t.writerId)).size,
  seq: s.seq,
  revision: s.revision,
  ...(s.workspace === undefined ? {} : { workspace: s.workspace }),
  ...(s.metadata === undefined ? {} : { metadata: s.metadata }),
  ...present({ onBusy: s.onBusy, remembered: s.remembered, forkedFrom: s.forkedFrom, deletedAt: s.deletedAt }),
});

/** The permission requests that wait for a decision. At most one a turn today: calls take effect one after another. */
export const openRequests = (s: SessionState): { call: Call; asked: Extract<CallState, { state: 'asked' }> }[] =>
  (s.active?.calls ?? []).flatMap((call) => (call.progress.state === 'asked' ? [{ call, asked: call.progress }] : []));

const model = (name: string | undefined): { model?: string } => (name === undefined ? {} : { model: name });

const onActive = (
  s: SessionState,
  r: LogRecord,
  p: { turnId: string },
  change: (a: ActiveTurn) => ActiveTurn,
): SessionState =>
  s.active?.turnId === p.turnId ? { ...s, seq: r.seq, active: change(s.active) } : { ...s, seq: r.seq };

const onCall = (s: SessionState, r: LogRecord, turnId: string, callId: string, progress: CallState): SessionState =>
  onActive(s, r, { turnId }, (a) => ({
    ...a,
    calls: a.calls.map((c) => (c.id === callId ? { ...c, progress } : c)),
  }));

const counted = (s: SessionState, turnId: string): SessionState =>
  s.active?.turnId === turnId
    ? { ...s, toolCallCount: s.toolCallCount + 1, active: { ...s.active, toolCalls: s.active.toolCalls + 1 } }
    : s;

const created = (s: SessionState, r: LogRecord, p: EventPayload<'session.snapshot'>): SessionState => {
  const { title, workspace, metadata, onBusy, forkedFrom } = p.snapshot;
  return {
    ...s,
    seq: r.seq,
    revision: r.seq,
    model: p.snapshot.model,
    ...(title === undefined ? {} : { title }),
    ...(workspace === undefined ? {} : { workspace }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(onBusy === undefined ? {} : { onBusy }),
    ...(forkedFrom === undefined ? {} : { forkedFrom }),
    createdAt: p.snapshot.createdAt,
    updatedAt: p.snapshot.updatedAt,
    messages: p.messages,
    ...(p.files === undefined ? {} : { files: p.files }),
  };
};

const queued = (s: SessionState, r: LogRecord & { event: 'turn.queued' }): SessionState => {
  const p = r.payload;
  const t: QueuedTurn = {
    turnId: p.turnId,
    writerId: p.writerId,
    clientId: p.clientId,
    content: p.content,
    mode: p.mode,
    onBusy: p.onBusy,
    ...(p.steers === undefined ? {} : { steers: p.steers }),
    ...(p.overrides === undefined ? {} : { overrides: p.overrides }),
    ...(p.metadata === undefined ? {} : { metadata: p.metadata }),
    queuedAt: r.ts,
  };
  const keys =
    p.idempotencyKey === undefined
      ? s.keys
      : [...s.keys, { key: p.idempotencyKey, digest: p.digest ?? '', turnId: p.turnId, seq: r.seq }];
  // The place that arbitration gave it: 1 is the head.
  const at = Math.max(0, p.position - 1);
  const queue = [...s.queue.slice(0, at), t, ...s.queue.slice(at)];
  return { ...s, seq: r.seq, revision: r.seq, updatedAt: r.ts, queue, keys };
};

const changed = (s: SessionState, r: LogRecord, change: SessionChange): SessionState => {
  const next = { ...s, seq: r.seq, updatedAt: r.ts };
  switch (change.kind) {
    case 'settings':
      return settings(next, change);
    case 'deleted':
      return { ...next, deletedAt: change.at };
    case 'restored': {
      const { deletedAt: _, ...alive } = next;
      return alive;
    }
    case 'queue': {
      const { kind: _, turnId, order, ...edit } = change;
      const edited = s.queue.map((t) => (t.turnId === turnId ? { ...t, ...present(edit) } : t));
      return { ...next, queue: order ? inOrder(edited, order) : edited };
    }
  }
};

const settings = (s: SessionState, { title, model, onBusy, metadata, forget }: PatchSession): SessionState => {
  const { title: before, metadata: kept = {}, remembered, ...rest } = s;
  const merged = Object.fromEntries(Object.entries({ ...kept, ...metadata }).filter(([, value]) => value !== null));
  const named = title === undefined ? before : (title ?? undefined);
  return {
    ...rest,
    ...(named === undefined ? {} : { title: named }),
    ...(model === undefined ? {} : { model }),
    ...(onBusy === undefined ? {} : { onBusy }),
    ...(Object.keys(merged).length === 0 ? {} : { metadata: merged }),
    ...forgetting(remembered, forget),
  };
};

/** Without the members that are undefined. */
const present = <T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;

/** Turns that the order does not name keep their place behind the others. */
const inOrder = (queue: QueuedTurn[], order: string[]): QueuedTurn[] => {
  const place = new Map(order.map((turnId, i) => [turnId, i]));
  return [...queue].sort((a, b) => (place.get(a.turnId) ?? order.length) - (place.get(b.turnId) ?? order.length));
};

const started = (s: SessionState, r: LogRecord & { event: 'turn.start' }): SessionState => {
  const turn = s.queue.find((t) => t.turnId === r.payload.turnId);
  if (!turn) return { ...s, seq: r.seq };
  return {
    ...s,
    seq: r.seq,
    updatedAt: r.ts,
    queue: s.queue.filter((t) => t !== turn),
    messages: [...s.messages, { role: 'user', content: turn.content }],
    active: {
      ...turn,
      startedAt: r.ts,
      startedSeq: r.seq,
      step: 0,
      text: '',
      hasText: false,
      calls: [],
      toolCalls: 0,
      cancelling: false,
    },
  };
};

const answered = (s: SessionState, r: LogRecord & { event: 'turn.progress' }): SessionState => {
  if (s.active?.turnId !== r.payload.turnId) return { ...s, seq: r.seq };
  const calls = (r.payload.calls ?? []).map((c): Call => ({ ...c, progress: { state: 'waiting' } }));
  const message: Message = {
    role: 'assistant',
    content: s.active.text,
    ...(calls.length === 0
      ? {}
      : {
          tool_calls: calls.map((c) => ({
            id: c.id,
            type: 'function' as const,
            function: { name: c.name, arguments: c.args },
          })),
        }),
  };
  return { ...s, seq: r.seq, messages: [...s.messages, message], active: { ...s.active, text: '', calls } };
};

const resolved = (s: SessionState, r: LogRecord & { event: 'permission.resolved' }): SessionState => {
  const p = r.payload;
  const decisions = asked(s, p.requestId) ? foldDecision(s.decisions, p) : s.decisions;
  const noted: SessionState = { ...s, ...keeping(s, p), decisions };
  // An allow is followed by the call's `tool.start`, recorded with it.
  if (p.decision === 'allow') return { ...noted, seq: r.seq };
  const by = present({ cancelledBy: p.cancelledBy });
  const refused = onCall(noted, r, p.turnId, p.callId, { state: 'refused', reason: p.reason, ...by });
  return toolMessage(refused, p.turnId, p.callId, p.message ?? `The call was not allowed (${p.reason}).`);
};

const asked = (s: SessionState, requestId: string): boolean =>
  openRequests(s).some((open) => open.asked.requestId === requestId);

const toolMessage = (
  s: SessionState,
  turnId: string,
  callId: string,
  content: string,
  changes: FileChange[] = [],
): SessionState => {
  if (s.active?.turnId !== turnId) return s;
  const files = foldChanges(s.files ?? [], turnId, changes);
  const messages = withResult(s.messages, s.active.calls, callId, content);
  return { ...s, messages, ...(files.length > 0 ? { files } : {}) };
};
