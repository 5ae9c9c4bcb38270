import type { Fact, SessionChange } from '../../protocol/events.ts';
import type { ResolvePermission } from '../../protocol/frames.ts';
import { type Call, fold, type QueuedTurn, type SessionState, toSnapshot } from '../../protocol/session-state.ts';
import type { SubmitTurn } from '../../protocol/turn.ts';
import type { Place } from './arbitration.ts';
import { terminal } from './closing.ts';

export const DELETED = 'The session was deleted; undelete it to go on.';

/** The facts that a session records, made from its state and a command. One place each, so a record has one shape. */
export const callName = (f: SessionState, callId: string): string =>
  f.active?.calls.find((c) => c.id === callId)?.name ?? '';

export const callState = (f: SessionState, callId: string) =>
  f.active?.calls.find((c) => c.id === callId)?.progress.state;

export const toolStart = (f: SessionState, callId: string, decidedBy: string): Fact => {
  const call = f.active?.calls.find((c) => c.id === callId);
  const { turnId } = f.active ?? { turnId: '' };
  return {
    event: 'tool.start',
    payload: { turnId, id: callId, name: call?.name ?? '', args: call?.args ?? '', decidedBy },
  };
};

/**
 * An allow by a person with what follows from it, in one commit: the call's start, and of a question also its end, since the
 * answer is the result and nothing runs ([PM7]).
 */
export const allowed = (f: SessionState, { id, name }: Call, d: ResolvePermission): Fact[] => {
  const { turnId } = f.active ?? { turnId: '' };
  const by = `person:${d.decidedBy}`;
  const { requestId, remember, answer } = d;
  const more = { ...(remember === undefined ? {} : { remember }), ...(answer === undefined ? {} : { answer }) };
  const taken = { decision: 'allow', reason: 'person', decidedBy: by, ...more } as const;
  const facts: Fact[] = [
    { event: 'permission.resolved', payload: { turnId, requestId, callId: id, toolName: name, ...taken } },
    toolStart(f, id, by),
  ];
  if (answer === undefined) return facts;
  const end = { turnId, id, name, result: answer, isError: false, elapsedMs: 0 };
  return [...facts, { event: 'tool.end', payload: end }];
};

export const turnQueued = (
  turnId: string,
  input: SubmitTurn,
  { policy, position, steers }: Place,
  queueSize: number,
  digest: string | undefined,
): Fact => ({
  event: 'turn.queued',
  payload: {
    turnId,
    writerId: input.writerId,
    clientId: input.clientId,
    queueSize,
    position,
    content: input.content,
    mode: input.mode,
    onBusy: policy,
    ...(steers === undefined ? {} : { steers }),
    ...(input.overrides === undefined ? {} : { overrides: input.overrides }),
    ...(input.metadata === undefined ? {} : { metadata: input.metadata }),
    ...(input.idempotencyKey === undefined ? {} : { idempotencyKey: input.idempotencyKey, digest: digest ?? '' }),
  },
});

/** A change of the session besides its turns. The snapshot shows the session after it. */
export const sessionUpdated = (f: SessionState, change: SessionChange, nowMs: number): Fact => {
  const draft = { event: 'session.updated', payload: { snapshot: toSnapshot(f), change } } as const;
  const after = fold(f, { ...draft, seq: f.seq + 1, ts: new Date(nowMs).toISOString() });
  return { event: 'session.updated', payload: { snapshot: toSnapshot(after), change } };
};

/** The end of a turn that never ran: its content is now part of the running one ([WP4]). */
export const steered = (turn: QueuedTurn, into: string): Fact => ({
  event: 'turn.done',
  payload: {
    turnId: turn.turnId,
    writerId: turn.writerId,
    clientId: turn.clientId,
    outcome: 'done',
    steeredInto: into,
    stats: {
      tokens: 0,
      promptTokens: 0,
      completionTokens: 0,
      toolCalls: 0,
      elapsed: 0,
      elapsedMs: 0,
      speed: 0,
      firstTokenLatencyMs: null,
    },
  },
});

/** One aggregate, then a terminal event for each queued turn; the running turn's follows when it has ended. */
export const cancelFacts = (
  f: SessionState,
  target: { turnId?: string | undefined; writerId?: string | undefined; all?: true; rollback?: string },
  queued: string[],
  active: boolean,
): Fact[] => {
  const cancelled = queued.length + (active ? 1 : 0);
  if (cancelled === 0) return [];
  const { turnId, writerId, all, rollback } = target;
  const named = all ? { all } : turnId !== undefined ? { turnId } : writerId !== undefined ? { writerId } : {};
  const gone = f.queue.filter((t) => queued.includes(t.turnId));
  return [
    { event: 'session.cancelled', payload: { cancelled, ...named, ...(rollback === undefined ? {} : { rollback }) } },
    ...gone.map((t) => terminal(t, { how: 'cancelled', message: 'Turn cancelled' }, false)),
  ];
};
