import { decodeEnvelope } from '../../protocol/envelope.ts';
import { OptaError, toOptaError } from '../../protocol/errors.ts';
import { emptySession, fold, type SessionState } from '../../protocol/session-state.ts';
import { LIMITS } from '../limits.ts';
import type { Done, LogStore } from '../ports.ts';
import type { Journal } from './journal.ts';

const BOUNDS = { recordsMax: LIMITS.readPageRecordsMax, bytesMax: LIMITS.readPageBytesMax };

/**
 * The state of a session as it was after `atSeq` (absent: the committed head of now), folded from its log a page at a time, so
 * that a long log never holds up the others.
 */
export const foldUntil = (
  parts: { store: LogStore; journal: Journal },
  sessionId: string,
  atSeq: number | undefined,
  done: Done<SessionState>,
): void => {
  let state = emptySession(sessionId);
  const fail = (error: OptaError): void => done(error, null as never);
  const next = (until: number | undefined): void =>
    parts.store.read(sessionId, state.seq, BOUNDS, (error, page) => {
      if (error) return fail(error);
      // Whether it never was or is purged, only `load` tells apart.
      if (page.head === 0) {
        const none = new OptaError('session-not-found', `Session not found: ${sessionId}`);
        return parts.store.load(sessionId, (gone) => fail(gone ?? none));
      }
      const end = until ?? page.head;
      if (end > page.head) {
        return fail(new OptaError('invalid-request', `The session has no event ${end} yet`, { seq: page.head }));
      }
      try {
        for (const { seq, text } of page.records) if (seq <= end) state = fold(state, decodeEnvelope(text).record);
      } catch (cause) {
        return fail(new OptaError('storage', `The log of ${sessionId} cannot be read: ${toOptaError(cause).message}`));
      }
      if (state.seq >= end) done(null, state);
      else next(end);
    });
  parts.journal.whenClean(sessionId, () => next(atSeq));
};
