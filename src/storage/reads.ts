import { LIMITS } from '../actors/limits.ts';
import type { IndexEntry, ListPage, LogPage, StoredRecord, StoredSession } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import { formatCursor, parseCursor } from './batch.ts';
import { nextTurn } from './deadline.ts';
import { listFilter } from './search.ts';
import type { Tables } from './tables.ts';

export interface PageBounds {
  recordsMax: number;
  bytesMax: number;
}

export const readPage = (t: Tables, sessionId: string, afterSeq: number, bounds: PageBounds): LogPage => {
  const index = t.index.get(sessionId);
  const head = index?.purgedAt === undefined ? (index?.seq ?? 0) : 0;
  return { head, records: scan(t, sessionId, afterSeq, head, bounds) };
};

/**
 * Snapshot and the records after it, up to the head of now. A log without a snapshot can be long and LMDB reads block the event
 * loop, so it is read a page a turn. The log only grows, so pages of different turns fit together.
 */
export const loadSession = async (current: () => Tables, sessionId: string): Promise<StoredSession | null> => {
  const index = current().index.get(sessionId);
  if (index === undefined) return null;
  if (index.purgedAt !== undefined) throw purged(sessionId);
  const head = index.seq;
  const snapshot = current().snapshots.get(sessionId) ?? null;
  const records: StoredRecord[] = [];
  const bounds = { recordsMax: LIMITS.readPageRecordsMax, bytesMax: LIMITS.readPageBytesMax };
  for (let at = snapshot?.seq ?? 0; at < head; ) {
    if (records.length > 0) await nextTurn();
    const page = scan(current(), sessionId, at, head, bounds);
    for (const record of page) records.push(record);
    at += page.length;
  }
  return { snapshot, records };
};

/** Looks at `searchScanMax` sessions at most; `cursor` says where it stopped, also when a page is not full. */
export const listPage = (t: Tables, page: ListPage): { sessions: IndexEntry[]; cursor?: string; total: number } => {
  const start = page.cursor === undefined ? undefined : parseCursor(page.cursor);
  const limit = Math.max(1, page.limit);
  const shows = listFilter(page);
  const sessions: IndexEntry[] = [];
  const total = t.meta.get('sessions') ?? 0;
  const scanMax = Math.max(LIMITS.searchScanMax, limit);
  let looked = 0;
  let last: [number, string] | undefined;
  for (const key of t.recent.getKeys({
    reverse: true,
    limit: scanMax + 1,
    ...(start ? { start, exclusiveStart: true } : {}),
  })) {
    if (last && (looked >= scanMax || sessions.length >= limit)) return { sessions, cursor: formatCursor(last), total };
    looked++;
    last = key;
    const index = t.index.get(key[1]);
    if (index && shows(index)) sessions.push(index);
  }
  return { sessions, total };
};

/** Records in (`afterSeq`, `head`], oldest first; at least one if there is one. [EV2] A hole is an error and never skipped. */
const scan = (t: Tables, sessionId: string, afterSeq: number, head: number, bounds: PageBounds): StoredRecord[] => {
  const first = Math.max(0, afterSeq) + 1;
  const limit = Math.min(Math.max(1, bounds.recordsMax), head - first + 1);
  if (limit <= 0) return [];
  const out: StoredRecord[] = [];
  let bytes = 0;
  let cut = false;
  for (const { key, value } of t.events.getRange({ start: [sessionId, first], end: [sessionId, head + 1], limit })) {
    bytes += Buffer.byteLength(value);
    if (out.length > 0 && bytes > bounds.bytesMax) {
      cut = true;
      break;
    }
    const seq = first + out.length;
    if (key[1] !== seq) throw new OptaError('storage', `${sessionId}: record ${seq} is missing from the log`);
    out.push({ seq, text: value });
  }
  if (!cut && out.length < limit) {
    throw new OptaError('storage', `${sessionId}: record ${first + out.length} is missing from the log`);
  }
  return out;
};

export const purged = (sessionId: string): OptaError =>
  new OptaError('session-deleted', `The session ${sessionId} was deleted, and what it held is gone.`);

const EXPIRED_MAX = 100;
const EXPIRED_SCAN = 500;

/** Oldest change first: a session that was put away has not changed since. Looked at a page a turn, since most are alive. */
export const expiredSessions = async (current: () => Tables, beforeMs: number): Promise<string[]> => {
  const out: string[] = [];
  let start: [number, string] = [0, ''];
  for (;;) {
    const keys = [
      ...current().recent.getKeys({ start, end: [beforeMs, ''], limit: EXPIRED_SCAN, exclusiveStart: true }),
    ];
    for (const [, id] of keys) if (current().index.get(id)?.deletedAt !== undefined) out.push(id);
    const last = keys.at(-1);
    if (!last || keys.length < EXPIRED_SCAN || out.length >= EXPIRED_MAX) return out.slice(0, EXPIRED_MAX);
    start = last;
    await nextTurn();
  }
};
