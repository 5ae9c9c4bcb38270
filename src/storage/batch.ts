import type { IndexEntry, SessionCommit } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';

/**
 * [EV1] Throws `internal` unless every session of the batch continues its stored head without a gap, and its index and snapshot
 * say where its log ends: the head is read from the index, so an index that runs ahead would make a hole.
 */
export const checkBatch = (batch: SessionCommit[], headOf: (sessionId: string) => number): void => {
  const heads = new Map<string, number>();
  for (const { sessionId, records, index, snapshot } of batch) {
    let head = heads.get(sessionId) ?? headOf(sessionId);
    for (const record of records) {
      if (record.seq !== head + 1) {
        throw new OptaError('internal', `${sessionId}: record ${record.seq} cannot follow ${head}`);
      }
      head = record.seq;
    }
    if (index.sessionId !== sessionId || index.seq !== head) {
      throw new OptaError(
        'internal',
        `${sessionId}: the index says ${index.sessionId} at ${index.seq}, its log ends at ${head}`,
      );
    }
    if (snapshot && (snapshot.sessionId !== sessionId || snapshot.seq !== head)) {
      throw new OptaError('internal', `${sessionId}: the snapshot is at ${snapshot.seq}, its log ends at ${head}`);
    }
    heads.set(sessionId, head);
  }
};

/** Throws `internal` for a session whose log was purged: nothing can continue it. */
export const headOf = (index: IndexEntry | undefined): number => {
  if (index?.purgedAt !== undefined) throw new OptaError('internal', `${index.sessionId} is purged`);
  return index?.seq ?? 0;
};

/** Where a session stands in the list: newest change first, ties by id. A date that cannot be read comes last. */
export const updatedAtMs = (index: IndexEntry): number => Math.max(0, Date.parse(index.updatedAt) || 0);

export const formatCursor = (key: [updatedAtMs: number, sessionId: string]): string => `${key[0]}.${key[1]}`;

/** Throws `invalid-request` for what no list ever gave out. */
export const parseCursor = (cursor: string): [updatedAtMs: number, sessionId: string] => {
  const match = /^(\d{1,16})\.([A-Za-z0-9_-]{1,64})$/.exec(cursor);
  if (!match?.[1] || !match[2]) throw new OptaError('invalid-request', 'Invalid query: cursor');
  return [Number(match[1]), match[2]];
};
