import type { PatchSession } from '../../protocol/session.ts';
import type { QueuedTurn, SessionState, UsedKey } from '../../protocol/session-state.ts';
import type { EditQueued, OnBusy, SubmitTurn } from '../../protocol/turn.ts';

/**
 * Who may write, and where a turn goes: the predicates behind the guards of the session chart. All are pure functions of the
 * session's state and the command, so the order of commands alone decides the outcome.
 */
export const conflicts = (s: SessionState, input: SubmitTurn): boolean =>
  input.lastSeenSeq !== undefined && input.lastSeenSeq < s.revision;

export const queueFull = (s: SessionState, queueTurnsMax: number): boolean => s.queue.length >= queueTurnsMax;

/** The turns a cancel names: an exact turn, or everything of one writer; a target without either names nothing ([CX1]). */
export const cancelHits = (
  s: SessionState,
  target: { turnId?: string | undefined; writerId?: string | undefined },
): { queued: string[]; active: boolean } => {
  const hit = (t: { turnId: string; writerId: string }): boolean =>
    target.turnId !== undefined ? t.turnId === target.turnId : t.writerId === target.writerId;
  return { queued: s.queue.filter(hit).map((t) => t.turnId), active: s.active !== null && hit(s.active) };
};

/** What a submit asks for while a turn runs: its own word, else the session's. */
export const policyOf = (s: SessionState, input: SubmitTurn): OnBusy => input.onBusy ?? s.onBusy ?? 'enqueue';

export interface Place {
  policy: OnBusy;
  /** 1 = the head of the queue. */
  position: number;
  /** The running turn that is to take this one in ([WP4]). */
  steers?: string;
}

/** Where an admitted turn goes. The place is recorded with it, so that the fold needs no rule of its own. */
export const placeOf = (s: SessionState, input: SubmitTurn): Place => {
  const policy = policyOf(s, input);
  if (policy === 'interrupt' || policy === 'rollback') return { policy, position: 1 };
  const running = s.active;
  if (policy === 'steer' && running && !running.cancelling) {
    const ahead = s.queue.filter((t) => t.steers === running.turnId).length;
    return { policy, position: ahead + 1, steers: running.turnId };
  }
  return { policy, position: s.queue.length + 1 };
};

/** The waiting turns that the running one takes in at its next step, in the order in which they came. */
export const steering = (s: SessionState): QueuedTurn[] =>
  s.active === null ? [] : s.queue.filter((t) => t.steers === s.active?.turnId);

export const usedKey = (s: SessionState, input: SubmitTurn): UsedKey | undefined =>
  input.idempotencyKey === undefined ? undefined : s.keys.findLast(({ key }) => key === input.idempotencyKey);

/** `null` when this writer may change this waiting turn; else why not. */
export const queueProblem = (
  s: SessionState,
  turnId: string,
  writerId: string,
): 'turn-not-queued' | 'not-your-turn' | null => {
  const turn = s.queue.find((t) => t.turnId === turnId);
  if (!turn) return 'turn-not-queued';
  return turn.writerId === writerId ? null : 'not-your-turn';
};

/**
 * The queue's order after a writer moved a turn of its own before another of its own (null: behind all of them). The writer's turns
 * change places among themselves; the turns of others stay where they are, so nobody moves ahead of anybody else ([WP5]).
 */
export const movedOrder = (s: SessionState, turnId: string, { writerId, before }: EditQueued): string[] => {
  const own = s.queue.filter((t) => t.writerId === writerId).map((t) => t.turnId);
  const rest = own.filter((id) => id !== turnId);
  const at = before === null || before === undefined ? rest.length : rest.indexOf(before);
  const arranged = [...rest.slice(0, at), turnId, ...rest.slice(at)];
  let next = 0;
  return s.queue.map((t) => (t.writerId === writerId ? (arranged[next++] as string) : t.turnId));
};

/** Whether the metadata that a patch leaves would be longer than that, and longer than it is: what is too long may always be made shorter. */
export const metadataOverflows = (s: SessionState, patch: PatchSession, charsMax: number): boolean => {
  if (patch.metadata === undefined) return false;
  const chars = JSON.stringify({ ...s.metadata, ...patch.metadata }).length;
  return chars > charsMax && chars > JSON.stringify(s.metadata ?? {}).length;
};
