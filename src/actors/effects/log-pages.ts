import type { Limits } from '../limits.ts';
import type { Clock, Done, LogPage, LogStore, StoredRecord } from '../ports.ts';

/**
 * The log, a page at a time, for readers that catch up. Readers that want the same page at one moment share the read, and a page
 * stays a while for those that come behind: twenty clients that attach at once cost the disk one of them.
 *
 * A committed record never changes, so a page is never wrong; only its `head` may have moved on. The bytes kept are bounded over
 * all sessions, oldest out first ([SV3]).
 */
export interface LogPages {
  /** Records after `afterSeq`, at least one if there is one. Answers in a later turn. */
  read(sessionId: string, afterSeq: number, done: Done<LogPage>): void;
  /** Nobody reads this session any more: what is read of it now is not kept, since nothing would tell that its head has moved on. */
  forget(sessionId: string): void;
  readonly bytes: number;
}

interface Page {
  sessionId: string;
  records: StoredRecord[];
  firstSeq: number;
  lastSeq: number;
  head: number;
  bytes: number;
}

export const createLogPages = (parts: { store: LogStore; clock: Clock; limits: Limits }): LogPages => {
  const { store, clock, limits } = parts;
  const bounds = { recordsMax: limits.readPageRecordsMax, bytesMax: limits.readPageBytesMax };
  /** By session, then by first `seq`; insertion order is age. */
  const kept = new Set<Page>();
  const bySession = new Map<string, Set<Page>>();
  const reading = new Map<string, { sessionId: string; waiting: Done<LogPage>[] }>();
  let bytes = 0;

  const drop = (page: Page): void => {
    if (!kept.delete(page)) return;
    bytes -= page.bytes;
    const pages = bySession.get(page.sessionId);
    pages?.delete(page);
    if (pages?.size === 0) bySession.delete(page.sessionId);
  };

  const keep = (sessionId: string, { records, head }: LogPage): void => {
    const first = records[0];
    const last = records.at(-1);
    if (!first || !last) return;
    const size = records.reduce((sum, r) => sum + r.text.length, 0);
    const page = { sessionId, records, firstSeq: first.seq, lastSeq: last.seq, head, bytes: size };
    kept.add(page);
    const pages = bySession.get(sessionId);
    if (pages) pages.add(page);
    else bySession.set(sessionId, new Set([page]));
    bytes += size;
    for (const oldest of kept) {
      if (bytes <= limits.sharedPagesBytesMax) break;
      drop(oldest);
    }
  };

  const find = (sessionId: string, seq: number): LogPage | null => {
    for (const page of bySession.get(sessionId) ?? []) {
      if (page.firstSeq > seq || page.lastSeq < seq) continue;
      const { records, firstSeq, head } = page;
      return { records: seq === firstSeq ? records : records.slice(seq - firstSeq), head };
    }
    return null;
  };

  return {
    read(sessionId, afterSeq, done) {
      const found = find(sessionId, afterSeq + 1);
      if (found) return clock.soon(() => done(null, found));
      const key = `${sessionId} ${afterSeq}`;
      const under = reading.get(key);
      if (under) {
        under.waiting.push(done);
        return;
      }
      const mine = { sessionId, waiting: [done] };
      reading.set(key, mine);
      store.read(sessionId, afterSeq, bounds, (error, page) => {
        if (reading.get(key) === mine) {
          reading.delete(key);
          if (!error) keep(sessionId, page);
        }
        for (const one of mine.waiting) one(error, page);
      });
    },
    forget(sessionId) {
      for (const page of bySession.get(sessionId) ?? []) drop(page);
      for (const [key, under] of reading) if (under.sessionId === sessionId) reading.delete(key);
    },
    get bytes() {
      return bytes;
    },
  };
};
