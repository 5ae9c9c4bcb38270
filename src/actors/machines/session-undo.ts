import { type CallbackActorLogic, fromCallback } from 'xstate';
import type { FileChange } from '../../protocol/files.ts';
import { undoProblem, undoTarget } from '../domain/undo.ts';
import type { Ask, RestoreOutcome } from '../messages.ts';
import type { ToolRun } from '../ports.ts';
import type { Act, Command } from './session-commands.ts';
import { answer, commit, refusal, type SessionContext, setContext } from './session-context.ts';

/**
 * What a session does to take changes of files back ([TL4]): for a person who asks for it, all or none; for a rollback, each that
 * can be ([WP8]). Nothing else runs meanwhile. What was done is recorded before anybody is answered.
 */
export interface Undoing {
  turnId: string;
  changes: FileChange[];
  how: 'undo' | 'rollback';
  by: string;
  dryRun: boolean;
  ask: Ask | null;
}

export interface RestoreInput {
  run: ToolRun;
  changes: FileChange[];
}

export const restoring: CallbackActorLogic<{ type: 'none' }, RestoreInput> = fromCallback(() => {
  throw new Error('effect not provided');
});

export const restoreInput = ({ f, env, undoing }: SessionContext): RestoreInput => {
  const { turnId = '', changes = [], how = 'undo', dryRun = false } = undoing ?? {};
  const args = { changes, whole: how === 'undo', dryRun };
  const call = { sessionId: f.sessionId, turnId, callId: how, name: 'restore_files', args };
  return {
    run: { ...call, workspace: f.workspace ?? '', deniedPaths: [], deadlineMs: env.limits.toolDeadlineMs },
    changes,
  };
};

export const refuseUndo = ({ context, event, enqueue }: Act): void => {
  const { turnId } = event as Command<'session.undo'>;
  const [code, message] = undoProblem(context.f, turnId) ?? ['internal', 'nothing is wrong'];
  refusal(enqueue, event, code, message);
};

export const beginUndo = ({ context, event, enqueue }: Act): void => {
  const { ask, turnId, by, dryRun } = event as Command<'session.undo'>;
  const target = undoTarget(context.f, turnId);
  if (!target) return;
  const undoing: Undoing = { turnId: target.turnId, changes: target.changes, how: 'undo', by, dryRun, ask };
  setContext(enqueue, { undoing });
};

export const beginRollback = ({ context, enqueue }: Act): void => {
  const { rollback, files = [] } = context.f;
  if (context.undoing !== null || rollback === undefined) return;
  const { turnId, by } = rollback;
  const changes = files.find((one) => one.turnId === turnId)?.changes ?? [];
  setContext(enqueue, { undoing: { turnId, changes, how: 'rollback', by, dryRun: false, ask: null } });
};

/** The files were looked at, and restored as far as the law allows. */
export const recordRestored = ({ context, event, enqueue }: Act): void => {
  const { outcome } = event as Command<'restore.done'>;
  finish(context, enqueue, outcome);
};

/** Nobody knows what became of it; every file is one or the other, and another undo goes on. */
export const giveUpRestore = ({ context, enqueue }: Act): void => {
  const why = 'it was not done in time';
  const kept = (context.undoing?.changes ?? []).map(({ path }) => ({ path, why }));
  finish(context, enqueue, { restored: [], kept });
};

/** Somebody else committed it; here it is only put on record. */
export const recordCommitted = ({ context, event, enqueue }: Act): void => {
  const { ask, fact } = event as Command<'session.committed'>;
  answer(enqueue, commit(context, enqueue, [{ event: 'files.committed', payload: fact }]), ask, {});
};

const finish = (context: SessionContext, enqueue: unknown, { restored, kept }: RestoreOutcome): void => {
  const { undoing } = context;
  if (undoing === null) return;
  const { turnId, how, by, dryRun, ask } = undoing;
  setContext(enqueue, { undoing: null });
  // All or none: with one that was kept, a person's undo has touched nothing that it could help.
  const isDone = how === 'rollback' || kept.length === 0;
  const f =
    dryRun || !isDone
      ? context.f
      : commit(context, enqueue, [{ event: 'files.restored', payload: { ofTurn: turnId, how, by, restored, kept } }]);
  if (ask === null) return;
  if (isDone || dryRun) return answer(enqueue, f, ask, { turnId, undone: isDone && !dryRun, restored, kept });
  const message = `Not taken back: ${kept.map(({ path, why }) => `${path} (${why})`).join(', ')}`;
  refusal(enqueue, { type: 'session.undo', ask }, 'undo-conflict', message, { turnId, kept, restored });
};
