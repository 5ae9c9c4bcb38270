import type { SessionState } from '../../protocol/session-state.ts';
import type { SubmitTurn } from '../../protocol/turn.ts';

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
