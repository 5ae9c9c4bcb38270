import type { Fact } from '../../protocol/events.ts';
import { toSnapshot } from '../../protocol/session-state.ts';
import { cancelHits, movedOrder, placeOf, queueProblem, steering, usedKey } from '../domain/arbitration.ts';
import { closing, type Ending } from '../domain/closing.ts';
import { cancelFacts, DELETED, sessionUpdated, steered, turnQueued } from '../domain/session-facts.ts';
import type { SessionEvent } from '../messages.ts';
import { answer, commit, refusal, type SessionContext, setContext, tell } from './session-context.ts';

/**
 * What a session does with the commands of its writers: admit, refuse, cancel, edit, put away. The guards of the chart have
 * decided; these record and answer. One function for each action of the chart.
 */
export interface Act {
  context: SessionContext;
  event: SessionEvent | { type: string };
  enqueue: unknown;
}
export type Command<T extends SessionEvent['type']> = Extract<SessionEvent, { type: T }>;

export const recover = ({ context, enqueue }: Act): void => {
  const turn = context.f.active;
  if (!turn) return;
  const ending: Ending = turn.cancelling
    ? { how: 'cancelled', message: 'Turn cancelled' }
    : {
        how: 'interrupted',
        message: 'The daemon stopped while this turn ran. What it had written so far is kept.',
      };
  commit(context, enqueue, closing(turn, ending, context.env.now()));
};

// --- submits ---------------------------------------------------------------------------------------------------------

export const admit = ({ context, event, enqueue }: Act): void => {
  const { ask, turnId, input, digest } = event as Command<'turn.submit'>;
  const place = placeOf(context.f, input);
  const busy = context.f.active !== null;
  const f = commit(context, enqueue, [turnQueued(turnId, input, place, context.f.queue.length + 1, digest)]);
  answer(enqueue, f, ask, { turnId, queued: busy ? place.position : 0, seq: f.seq });
};

/** [TQ5] The key has its turn already: that one is the answer, whatever has become of it. */
export const answerReplay = ({ context, event, enqueue }: Act): void => {
  const { ask, input } = event as Command<'turn.submit'>;
  const used = usedKey(context.f, input);
  if (!used) return;
  const queued = context.f.queue.findIndex((t) => t.turnId === used.turnId) + 1;
  answer(enqueue, context.f, ask, { turnId: used.turnId, queued, seq: used.seq, replayed: true });
};

export const refuseMismatch = ({ context, event, enqueue }: Act): void => {
  const { input } = event as Command<'turn.submit'>;
  const message = 'This idempotency key was used for another request in this session';
  refusal(enqueue, event, 'idempotency-mismatch', message, { turnId: usedKey(context.f, input)?.turnId });
};

export const refuseKeysFull = ({ context, event, enqueue }: Act): void => {
  const message = `The session holds ${context.f.keys.length} idempotency keys; fork it to go on.`;
  refusal(enqueue, event, 'session-full', message);
};

export const refuseConflict = ({ context, event, enqueue }: Act): void => {
  const { seq, revision } = context.f;
  refusal(enqueue, event, 'state-conflict', CONFLICT, { seq, revision });
};

export const refuseFull = ({ context, event, enqueue }: Act): void => {
  const queued = context.f.queue.length;
  refusal(enqueue, event, 'queue-full', `The queue holds ${queued} turns; try again later.`, { retryAfterMs: 1_000 });
};

export const refuseBusy = ({ context, event, enqueue }: Act): void =>
  refusal(enqueue, event, 'session-busy', 'A turn is running.', { activeTurnId: context.f.active?.turnId });

export const refuseStopping = ({ event, enqueue }: Act): void =>
  refusal(enqueue, event, 'shutting-down', 'The daemon is stopping.');

export const refuseDeleted = ({ context, event, enqueue }: Act): void => {
  const { deletedAt } = context.f;
  refusal(enqueue, event, 'session-deleted', DELETED, { deletedAt });
};

export const startNext = ({ context, enqueue }: Act): void => {
  const turn = context.f.queue[0];
  if (!turn) return;
  const { turnId, writerId, clientId, mode } = turn;
  setContext(enqueue, { firstDeltaAtMs: null });
  commit(context, enqueue, [{ event: 'turn.start', payload: { turnId, writerId, clientId, mode } }]);
};

/** [WP4] Between two steps: what was sent to steer the running turn becomes part of its conversation. */
export const takeSteering = ({ context, enqueue }: Act): void => {
  const into = context.f.active?.turnId ?? '';
  commit(
    context,
    enqueue,
    steering(context.f).map((turn): Fact => steered(turn, into)),
  );
};

// --- cancels: queued turns end at once; one that hits the running turn is answered with its terminal event --------------

export const cancelQueued = ({ context, event, enqueue }: Act): void => {
  const { ask, target } = event as Command<'turn.cancel'>;
  const hits = cancelHits(context.f, target);
  const f = commit(context, enqueue, cancelFacts(context.f, target, hits.queued, false));
  const cancelledQueued = hits.queued.length;
  answer(enqueue, f, ask, { cancelled: cancelledQueued, cancelledQueued, cancelledActive: false });
};

export const cancelActive = ({ context, event, enqueue }: Act): void => {
  const { ask, target } = event as Command<'turn.cancel'>;
  const { queued } = cancelHits(context.f, target);
  const { active } = context.f;
  const first = active?.cancelling === false;
  commit(context, enqueue, cancelFacts(context.f, target, queued, first));
  const value = { cancelled: queued.length + 1, cancelledQueued: queued.length, cancelledActive: true };
  const wait = { ask, ...(active ? { turnId: active.turnId } : {}), processIds: [], value };
  setContext(enqueue, { endAsks: [...context.endAsks, wait] });
};

export const interruptActive = ({ context, enqueue }: Act): void => {
  const turnId = context.f.active?.turnId;
  if (turnId !== undefined) commit(context, enqueue, cancelFacts(context.f, { turnId }, [], true));
};

/** [WP8] As an interrupt; what the turn did to files is taken back when it has ended. */
export const rollActiveBack = ({ context, event, enqueue }: Act): void => {
  const { input } = event as Command<'turn.submit'>;
  const turnId = context.f.active?.turnId;
  if (turnId === undefined) return;
  commit(context, enqueue, cancelFacts(context.f, { turnId, rollback: input.writerId }, [], true));
};

export const stopTurn = ({ enqueue }: Act): void => tell(enqueue, { type: 'stop' });

// --- the queue ---------------------------------------------------------------------------------------------------------

export const refuseQueue = ({ context, event, enqueue }: Act): void => {
  const command = event as Command<'queue.edit' | 'queue.withdraw'>;
  const problem = queueProblem(context.f, command.turnId, writerOf(command));
  if (problem === 'not-your-turn') refusal(enqueue, event, problem, 'This turn belongs to another writer');
  else refusal(enqueue, event, 'turn-not-queued', 'No such turn waits: it has started, ended, or never was');
};

export const refuseMove = ({ event, enqueue }: Act): void =>
  refusal(enqueue, event, 'invalid-request', '`before` must be another waiting turn of the same writer');

export const writerOf = (command: Command<'queue.edit' | 'queue.withdraw'>): string =>
  command.type === 'queue.edit' ? command.edit.writerId : command.writerId;

/** [WP5] */
export const editQueued = ({ context, event, enqueue }: Act): void => {
  const { ask, turnId, edit } = event as Command<'queue.edit'>;
  const { writerId: _, before, ...fields } = edit;
  const change = {
    kind: 'queue' as const,
    turnId,
    ...fields,
    ...(before === undefined ? {} : { order: movedOrder(context.f, turnId, edit) }),
  };
  const f = commit(context, enqueue, [sessionUpdated(context.f, change, context.env.now())]);
  answer(enqueue, f, ask, { turnId, position: f.queue.findIndex((t) => t.turnId === turnId) + 1, seq: f.seq });
};

export const withdraw = ({ context, event, enqueue }: Act): void => {
  const { ask, turnId } = event as Command<'queue.withdraw'>;
  const f = commit(context, enqueue, cancelFacts(context.f, { turnId }, [turnId], false));
  answer(enqueue, f, ask, { turnId, seq: f.seq });
};

// --- the session as a whole --------------------------------------------------------------------------------------------

export const patchSession = ({ context, event, enqueue }: Act): void => {
  const { ask, patch } = event as Command<'session.patch'>;
  const fact = sessionUpdated(context.f, { kind: 'settings', ...patch }, context.env.now());
  const f = commit(context, enqueue, [fact]);
  answer(enqueue, f, ask, toSnapshot(f));
};

export const refuseMetadata = ({ context, event, enqueue }: Act): void =>
  refusal(
    enqueue,
    event,
    'payload-too-large',
    `metadata is longer than ${context.env.limits.metadataCharsMax} characters`,
  );

/** Everything that waits ends now; what runs ends as cancelled, and the answer waits for that. */
export const deleteSession = ({ context, event, enqueue }: Act): void => {
  const { ask } = event as Command<'session.delete'>;
  const { active, queue } = context.f;
  const runs = active !== null && !active.cancelling;
  const at = new Date(context.env.now()).toISOString();
  const facts = cancelFacts(
    context.f,
    { all: true },
    queue.map((t) => t.turnId),
    runs,
  );
  const ended = commit(context, enqueue, facts);
  const f = commit({ ...context, f: ended }, enqueue, [
    sessionUpdated(ended, { kind: 'deleted', at }, context.env.now()),
  ]);
  const cancelled = queue.length + (active === null ? 0 : 1);
  const value = { sessionId: f.sessionId, deletedAt: at, cancelled, seq: f.seq };
  const wait = { ask, ...(active ? { turnId: active.turnId } : {}), processIds: context.jobs, value };
  if (active || context.jobs.length > 0) setContext(enqueue, { endAsks: [...context.endAsks, wait] });
  else answer(enqueue, f, ask, value);
};

export const answerDeleted = ({ context, event, enqueue }: Act): void => {
  const { sessionId, deletedAt = '', seq } = context.f;
  answer(enqueue, context.f, (event as Command<'session.delete'>).ask, { sessionId, deletedAt, cancelled: 0, seq });
};

export const restoreSession = ({ context, event, enqueue }: Act): void => {
  const { ask } = event as Command<'session.undelete'>;
  const f = commit(context, enqueue, [sessionUpdated(context.f, { kind: 'restored' }, context.env.now())]);
  answer(enqueue, f, ask, toSnapshot(f));
};

export const answerAlive = ({ context, event, enqueue }: Act): void =>
  answer(enqueue, context.f, (event as Command<'session.undelete'>).ask, toSnapshot(context.f));

const CONFLICT = 'Session state conflict: context has been modified since last seen';
