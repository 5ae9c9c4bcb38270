import type { Background } from '../../protocol/background.ts';
import { readOutput } from '../../protocol/background-output.ts';
import { addUsed, type BudgetUsed } from '../domain/output-budget.ts';
import type { Limits } from '../limits.ts';
import type { LogStore } from '../ports.ts';

const CHUNKS_MAX = 1_000;

/** [BG4] What of its room a process has used up, as its session's log has it: the bound is one for all daemons that it has seen. */
export const outputUsed = (
  store: Pick<LogStore, 'read'>,
  sessionId: string,
  process: Background,
  limits: Limits,
  done: (used: BudgetUsed) => void,
): void => {
  const page = { recordsMax: limits.readPageRecordsMax, bytesMax: limits.readPageBytesMax };
  let used: BudgetUsed = { room: 0, isTold: false };
  const next = (afterSeq: number): void =>
    readOutput(
      (after, then) => store.read(sessionId, after, page, then),
      process,
      { afterSeq, limit: CHUNKS_MAX, stream: 'both' },
      limits.eventsReplyBytesMax,
      (error, { chunks, nextSeq, hasMore } = { chunks: [], nextSeq: 0, hasMore: false }) => {
        // What cannot be read now is not kept more of: nothing is added to a log in trouble.
        if (error) return done({ ...used, room: limits.backgroundOutputCharsMax });
        used = addUsed(used, chunks);
        if (hasMore && !used.isTold) next(nextSeq);
        else done(used);
      },
    );
  next(0);
};
