import type { Clock, Done, IndexEntry, LogStore, SessionCommit, StoredRecord } from '../../src/actors/ports.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import type { SessionState } from '../../src/protocol/session-state.ts';
import type { Random } from './random.ts';

/**
 * A disk that can be slow, fail, fail though it wrote, be full, and lose what was not flushed. What it holds survives the life
 * of a daemon: `Disk` is the platter, `mount` a store on it for one life.
 */
interface Row {
  records: StoredRecord[];
  index: IndexEntry;
  open: boolean;
  snapshot: SessionState | null;
}

export interface Disk {
  rows: Map<string, Row>;
  /** Heads that are flushed, by session. */
  flushed: Map<string, number>;
  /** Order of what was committed since the last flush, for a power cut. */
  unflushed: { sessionId: string; before: Row | undefined; after: Row }[];
}

export const emptyDisk = (): Disk => ({ rows: new Map(), flushed: new Map(), unflushed: [] });

/** A power cut keeps everything flushed and, of the rest, a beginning of the order in which it was committed. */
export const powerCut = (disk: Disk, random: Random): void => {
  const keep = random.int(0, disk.unflushed.length);
  for (const undone of disk.unflushed.slice(keep).reverse()) {
    if (undone.before) disk.rows.set(undone.sessionId, undone.before);
    else disk.rows.delete(undone.sessionId);
  }
  disk.unflushed = [];
};

export interface Faults {
  /** Chance that a commit reports failure. */
  failing: number;
  /** Of the failing ones, the share that landed. */
  landed: number;
  full: boolean;
  /** Share of operations that take long. */
  slow: number;
}

export const mount = (
  disk: Disk,
  clock: Clock,
  random: Random,
  faults: Faults,
  onCommitted: (sessionId: string, records: StoredRecord[]) => void,
): LogStore => {
  let broken = false;
  const later = (fn: () => void): void => {
    if (random.chance(0.5)) clock.soon(fn);
    else clock.setTimeout(fn, random.int(0, random.chance(faults.slow) ? 200 : 5));
  };
  const fail = (done: Done<never>, code: 'storage' | 'storage-full'): void =>
    later(() => done(new OptaError(code, 'the disk says no'), undefined as never));

  const land = (batch: SessionCommit[]): void => {
    for (const c of batch) {
      const before = disk.rows.get(c.sessionId);
      const head = before?.records.at(-1)?.seq ?? 0;
      if (c.records[0]?.seq !== head + 1)
        throw new Error(`EV1: commit of ${c.sessionId} at ${c.records[0]?.seq}, head ${head}`);
      const records = [...(before?.records ?? []), ...c.records];
      const after = { records, index: c.index, open: c.open, snapshot: c.snapshot ?? before?.snapshot ?? null };
      disk.rows.set(c.sessionId, after);
      disk.unflushed.push({ sessionId: c.sessionId, before, after });
      onCommitted(c.sessionId, c.records);
    }
  };

  return {
    commit(batch, done) {
      if (broken) return fail(done, 'storage');
      if (faults.full || random.chance(faults.failing)) {
        broken = true;
        const landed = !faults.full && random.chance(faults.landed);
        later(() => {
          if (landed) land(batch);
          done(new OptaError(faults.full ? 'storage-full' : 'storage', 'commit failed'), undefined);
        });
        return;
      }
      later(() => {
        land(batch);
        // The write is there before its writer hears of it.
        later(() => done(null, undefined));
      });
    },
    flush(done) {
      const covered = disk.unflushed.length;
      const heads = [...disk.rows].map(([id, row]) => [id, row.records.length] as const);
      later(() => {
        disk.unflushed.splice(0, covered);
        for (const [id, head] of heads) disk.flushed.set(id, Math.max(disk.flushed.get(id) ?? 0, head));
        later(() => done(null, undefined));
      });
    },
    load(sessionId, done) {
      later(() => {
        const row = disk.rows.get(sessionId);
        if (!row) return done(null, null);
        const after = row.snapshot?.seq ?? 0;
        done(null, { snapshot: row.snapshot, records: row.records.slice(after) });
      });
    },
    read(sessionId, afterSeq, bounds, done) {
      later(() => {
        const records = disk.rows.get(sessionId)?.records ?? [];
        done(null, {
          records: records.slice(afterSeq, afterSeq + Math.min(bounds.recordsMax, 3)),
          head: records.length,
        });
      });
    },
    list(page, done) {
      later(() => {
        const sessions = [...disk.rows.values()].slice(0, page.limit).map((r) => r.index);
        done(null, { sessions, total: disk.rows.size });
      });
    },
    open(done) {
      later(() =>
        done(
          null,
          [...disk.rows].filter(([, row]) => row.open).map(([id]) => id),
        ),
      );
    },
    reopen(done) {
      if (faults.full) return fail(done, 'storage-full');
      later(() => {
        broken = false;
        done(null, undefined);
      });
    },
    close(done) {
      later(() => done(null, undefined));
    },
  };
};
