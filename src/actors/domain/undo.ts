import type { ErrorCode } from '../../protocol/errors.ts';
import type { TurnFiles } from '../../protocol/files.ts';
import type { SessionState } from '../../protocol/session-state.ts';

/** Which turn's changes of files an undo is about: the named one, else the newest that has any. */
export const undoTarget = (f: SessionState, turnId: string | undefined): TurnFiles | undefined =>
  turnId === undefined ? f.files?.findLast((one) => !one.undone) : f.files?.find((one) => one.turnId === turnId);

/** Why that cannot be taken back; null when it can be tried. */
export const undoProblem = (f: SessionState, turnId: string | undefined): [ErrorCode, string] | null => {
  const target = undoTarget(f, turnId);
  const named = turnId === undefined ? 'No turn of this session' : `Turn ${turnId}`;
  if (!target) return ['nothing-to-undo', `${named} has changed a file that is remembered`];
  if (target.undone) return ['nothing-to-undo', `What turn ${target.turnId} did was taken back already`];
  if (target.more) return ['undo-conflict', `Turn ${target.turnId} changed more files than are remembered`];
  return null;
};
