import { mkdirSync, statfsSync } from 'node:fs';
import { LIMITS } from '../actors/limits.ts';
import type { Done, IndexEntry, LogStore, SessionCommit, StoredRecord, StoreStatus } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import { settle } from './deadline.ts';
import { openTables, type Tables } from './tables.ts';

/**
 * The event log in LMDB. One commit of the journal is one transaction: records, index, open set and snapshot land together.
 *
 * "Committed" is LMDB's commit: visible to every reader and safe from `kill -9`, since the pages are the kernel's. "Flushed" is
 * the sync behind it: safe from a power cut. After a failed commit LMDB stays stuck until the environment is opened anew, so
 * nothing is written until `reopen`; reading goes on.
 */
export interface LmdbStoreOptions {
  /** Folder of the environment; made if missing, for its owner alone. */
  path: string;
  /** Commits are refused with `storage-full` below this, before LMDB meets the end of the disk. */
  diskFreeBytesMin?: number;
  now?: () => number;
}

const STATFS_EVERY_MS = 250;
const CLOSE_DEADLINE_MS = 2_000;
const LAST_SEQ = Number.MAX_SAFE_INTEGER;

export const openLmdbStore = (options: LmdbStoreOptions): LogStore & { status(): StoreStatus } => {
  mkdirSync(options.path, { recursive: true, mode: 0o700 });
  const now = options.now ?? Date.now;
  const diskFreeBytesMin = options.diskFreeBytesMin ?? LIMITS.diskFreeBytesMin;
  let tables = openTables(options.path);
  let status: StoreStatus = { state: 'ok' };
  let checkedAtMs = Number.NEGATIVE_INFINITY;
  let free = Number.POSITIVE_INFINITY;

  const diskFull = (): OptaError | null => {
    if (now() - checkedAtMs >= STATFS_EVERY_MS) {
      checkedAtMs = now();
      const { bavail, bsize } = statfsSync(options.path);
      free = bavail * bsize;
    }
    return free >= diskFreeBytesMin
      ? null
      : new OptaError('storage-full', `Only ${Math.floor(free / 1048576)} MiB are free on the disk of the event log.`);
  };
  const broke = (error: OptaError): OptaError => {
    if (status.state === 'ok') status = { state: 'read-only', reason: error.message, since: now() };
    return error;
  };
  /** Synchronous LMDB reads as answers that never come in the caller's own stack. */
  const reading = <T>(what: string, done: Done<T>, read: () => T): void => {
    settle(
      Promise.resolve().then(read),
      what,
      LIMITS.commitDeadlineMs,
      done,
    );
  };

  return {
    status: () => status,

    commit(batch, done) {
      const refusal = status.state === 'ok' ? diskFull() : new OptaError('storage', 'storage waits to be opened anew');
      if (refusal) {
        setImmediate(() => done(broke(refusal), undefined));
        return;
      }
      const t = tables;
      const work = t.env.transaction(() => writeBatch(t, batch));
      settle(work, 'commit', LIMITS.commitDeadlineMs, (error) => done(error ? broke(error) : null, undefined));
    },

    flush(done) {
      settle(Promise.resolve(tables.env.flushed), 'flush', LIMITS.flushDeadlineMs, (error) =>
        done(error ? broke(error) : null, undefined),
      );
    },

    load(sessionId, done) {
      reading('load', done, () => {
        if (!tables.index.get(sessionId)) return null;
        const snapshot = tables.snapshots.get(sessionId) ?? null;
        const records = scan(tables, sessionId, snapshot?.seq ?? 0, LAST_SEQ, Number.POSITIVE_INFINITY);
        return { snapshot, records };
      });
    },

    read(sessionId, afterSeq, bounds, done) {
      reading('read', done, () => ({
        head: tables.index.get(sessionId)?.seq ?? 0,
        records: scan(tables, sessionId, afterSeq, bounds.recordsMax, bounds.bytesMax),
      }));
    },

    list(page, done) {
      reading('list', done, () => listPage(tables, page));
    },

    open(done) {
      reading('open', done, () => [...tables.open.getKeys()]);
    },

    reopen(done) {
      const again = async (): Promise<void> => {
        const full = diskFull();
        if (full) throw full;
        await closed(tables);
        tables = openTables(options.path);
        const probe = tables;
        await probe.env.transaction(() => probe.meta.put('probe', now()));
        status = { state: 'ok' };
      };
      settle(again(), 'reopen', LIMITS.commitDeadlineMs, (error) => done(error ? broke(error) : null, undefined));
    },

    close(done) {
      settle(closed(tables), 'close', CLOSE_DEADLINE_MS * 2, (error) => done(error, undefined));
    },
  };
};

/** A stuck environment may never finish closing; it is left behind then, and its memory is given back when the process ends. */
const closed = async (tables: Tables): Promise<void> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_DEADLINE_MS);
  });
  const close = Promise.resolve(tables.env.close()).catch(() => undefined);
  await Promise.race([close, late]);
  clearTimeout(timer);
};

const writeBatch = (t: Tables, batch: SessionCommit[]): void => {
  // Checked before the first write: throwing later would not undo what was put.
  for (const c of batch) {
    const head = t.index.get(c.sessionId)?.seq ?? 0;
    c.records.forEach((r, i) => {
      if (r.seq !== head + 1 + i) {
        throw new OptaError('internal', `${c.sessionId}: record ${r.seq} cannot follow ${head + i}`);
      }
    });
  }
  for (const c of batch) {
    for (const r of c.records) t.events.put([c.sessionId, r.seq], Buffer.from(r.text, 'utf8'));
    const before = t.index.get(c.sessionId);
    const updatedAtMs = Date.parse(c.index.updatedAt) || 0;
    const beforeMs = before ? Date.parse(before.updatedAt) || 0 : null;
    if (beforeMs !== updatedAtMs) {
      if (beforeMs !== null) t.recent.remove([beforeMs, c.sessionId]);
      t.recent.put([updatedAtMs, c.sessionId], true);
    }
    t.index.put(c.sessionId, c.index);
    if (c.open) t.open.put(c.sessionId, true);
    else if (t.open.get(c.sessionId)) t.open.remove(c.sessionId);
    if (c.snapshot) t.snapshots.put(c.sessionId, c.snapshot);
  }
};

/** Records after `afterSeq`, oldest first; at least one if there is one. */
const scan = (t: Tables, sessionId: string, afterSeq: number, recordsMax: number, bytesMax: number): StoredRecord[] => {
  const out: StoredRecord[] = [];
  let bytes = 0;
  const start: [string, number] = [sessionId, afterSeq + 1];
  const limit = Math.min(recordsMax, 0x7fffffff);
  for (const { key, value } of t.events.getRange({ start, end: [sessionId, LAST_SEQ], limit })) {
    bytes += value.length;
    if (out.length > 0 && bytes > bytesMax) break;
    out.push({ seq: key[1], text: value.toString('utf8') });
  }
  return out;
};

const listPage = (
  t: Tables,
  page: { limit: number; cursor?: string },
): { sessions: IndexEntry[]; cursor?: string; total: number } => {
  const start = page.cursor === undefined ? undefined : parseCursor(page.cursor);
  const keys = [
    ...t.recent.getKeys({ reverse: true, limit: page.limit + 1, ...(start ? { start, exclusiveStart: true } : {}) }),
  ];
  const shown = keys.slice(0, page.limit);
  const sessions = shown.flatMap(([, id]) => t.index.get(id) ?? []);
  const last = shown.at(-1);
  const total = (t.index.getStats() as { entryCount: number }).entryCount;
  return keys.length > page.limit && last ? { sessions, cursor: `${last[0]}.${last[1]}`, total } : { sessions, total };
};

const parseCursor = (cursor: string): [number, string] => {
  const match = /^(\d{1,16})\.([A-Za-z0-9_-]{1,64})$/.exec(cursor);
  if (!match?.[1] || !match[2]) throw new OptaError('invalid-request', 'Invalid query: cursor');
  return [Number(match[1]), match[2]];
};
