import { encodeEnvelope } from '../../protocol/envelope.ts';
import type { OptaError } from '../../protocol/errors.ts';
import type { LogRecord } from '../../protocol/events.ts';
import type { SessionState } from '../../protocol/session-state.ts';
import { indexEntry, isOpen } from '../domain/index-entry.ts';
import type { Clock, LogStore, SessionCommit, StoredRecord } from '../ports.ts';

/**
 * The journal: the single writer between the sessions and the store.
 *
 * Sessions advance at once; this holds everything else back. Invariants:
 *  1. A record is published only after its commit ([EV4]), in `seq` order, as the bytes that were stored ([EV3]).
 *  2. An answer leaves only after the flush that covers it ([EV5]).
 *  3. One commit is in flight; what arrives meanwhile goes together in the next (natural batching, no timer).
 *  4. A failed commit may have landed. Its sessions are halted and reloaded, and what waited for an answer is told from the log:
 *     there, or not there, or nobody can tell. Nothing is guessed.
 */
export interface Journal {
  append(state: SessionState, records: LogRecord[]): void;
  /** The session has records that are not committed. */
  dirty(sessionId: string): boolean;
  /** Calls back once everything appended so far and since is committed; at once when it is. Never while storage is down. */
  whenClean(sessionId: string, fn: () => void): void;
  /** Calls back when `seq` is committed, or `lost` when it never will be. Pass only a `seq` that was appended. Returns a way to give up. */
  barrier(sessionId: string, seq: number, fn: () => void, lost?: () => void): () => void;
  /** `answer(null)` once `seq` is on disk; otherwise with the reason why it is not, or why nobody can tell. */
  flushed(sessionId: string, seq: number, answer: (problem: FlushProblem | null) => void): void;
  /** Forgets the uncommitted tail that is not in flight; what waited for it waits for `settle`. */
  drop(sessionId: string): void;
  /** The session's log was read again: it ends at `head` (null: it could not be read). */
  settle(sessionId: string, head: number | null): void;
  /** Goes on after a failed commit. `done(error)` leaves the journal paused. */
  reopen(done: (error: OptaError | null) => void): void;
  /** A snapshot is due this many records after the last. */
  noteLoaded(sessionId: string, recordsSinceSnapshot: number): void;
  forget(sessionId: string): void;
  readonly tailBytes: number;
  readonly waiting: number;
  readonly paused: boolean;
}

export type FlushProblem = 'lost' | 'unknown';

export interface JournalParts {
  store: LogStore;
  clock: Clock;
  daemonId: string;
  snapshotEveryRecords: number;
  publish: (sessionId: string, records: StoredRecord[]) => void;
  /** A commit failed; these sessions must be halted now. The journal is paused until `reopen`. */
  failed: (sessionIds: string[], error: OptaError) => void;
  check?: (record: LogRecord) => void;
}

interface Tail {
  state: SessionState;
  records: StoredRecord[];
  bytes: number;
}
interface SnapshotDebt {
  records: number;
  chars: number;
  /** About how long the last snapshot is. */
  snapshotChars: number;
}

const charsOf = (state: SessionState): number =>
  state.messages.reduce((n, m) => n + m.content.length, state.active?.text.length ?? 0);

interface Waiter {
  sessionId: string;
  seq: number;
  answer: (problem: FlushProblem | null) => void;
}

export const createJournal = (parts: JournalParts): Journal => {
  const { store, clock } = parts;
  let next = new Map<string, Tail>();
  let inFlight: Map<string, Tail> | null = null;
  let paused = false;
  let reopening = false;
  let scheduled = false;
  let flushing = false;
  let tailBytes = 0;
  const barriers = new Map<string, { seq: number; fn: () => void; lost?: (() => void) | undefined }[]>();
  const cleanWaiters = new Map<string, (() => void)[]>();
  const waiters = new Map<string, Waiter[]>();
  const parked = new Map<string, Waiter[]>();
  let toFlush: Waiter[] = [];
  const sinceSnapshot = new Map<string, SnapshotDebt>();

  const dirty = (sessionId: string): boolean => next.has(sessionId) || (inFlight?.has(sessionId) ?? false);

  const schedule = (): void => {
    if (scheduled || paused || inFlight) return;
    scheduled = true;
    clock.soon(() => {
      scheduled = false;
      commit();
    });
  };

  const commit = (): void => {
    if (paused || inFlight || next.size === 0) return;
    const batch = next;
    inFlight = batch;
    next = new Map();
    store.commit(
      [...batch].map(([sessionId, tail]) => toCommit(sessionId, tail)),
      (error) => (error ? commitFailed(batch, error) : committed(batch)),
    );
  };

  const toCommit = (sessionId: string, { state, records, bytes }: Tail): SessionCommit => {
    const debt = sinceSnapshot.get(sessionId) ?? { records: 0, chars: 0, snapshotChars: 0 };
    const owed = { ...debt, records: debt.records + records.length, chars: debt.chars + bytes };
    // A snapshot is written when the log since the last one is as long as it: its cost stays a share of the log's own.
    const due = owed.records >= parts.snapshotEveryRecords && owed.chars >= owed.snapshotChars;
    sinceSnapshot.set(sessionId, due ? { records: 0, chars: 0, snapshotChars: charsOf(state) } : owed);
    return { sessionId, records, index: indexEntry(state), open: isOpen(state), ...(due ? { snapshot: state } : {}) };
  };

  const committed = (batch: Map<string, Tail>): void => {
    inFlight = null;
    for (const [sessionId, tail] of batch) {
      tailBytes -= tail.bytes;
      parts.publish(sessionId, tail.records);
      const head = tail.state.seq;
      pass(barriers, sessionId, (b) => b.seq <= head).forEach((b) => {
        b.fn();
      });
      toFlush.push(...pass(waiters, sessionId, (w) => w.seq <= head));
      if (!dirty(sessionId)) clean(sessionId);
    }
    flush();
    commit();
  };

  const clean = (sessionId: string): void => {
    const fns = cleanWaiters.get(sessionId);
    cleanWaiters.delete(sessionId);
    fns?.forEach((fn) => {
      fn();
    });
  };

  const flush = (): void => {
    if (flushing || paused || toFlush.length === 0) return;
    flushing = true;
    const covered = toFlush;
    toFlush = [];
    store.flush((error) => {
      flushing = false;
      // Committed, but perhaps not on disk: nobody can tell before a power cut does.
      for (const w of covered) w.answer(error ? 'unknown' : null);
      flush();
    });
  };

  const commitFailed = (batch: Map<string, Tail>, error: OptaError): void => {
    inFlight = null;
    paused = true;
    for (const tail of batch.values()) tailBytes -= tail.bytes;
    // First nothing of these sessions runs any more, then their waits are let go: a stream that is told "clean" would go on.
    parts.failed([...batch.keys()], error);
    for (const sessionId of batch.keys()) dropTail(sessionId);
  };

  const dropTail = (sessionId: string): void => {
    const tail = next.get(sessionId);
    if (tail) tailBytes -= tail.bytes;
    next.delete(sessionId);
    const keep = inFlight?.get(sessionId)?.state.seq ?? 0;
    const unmet = pass(barriers, sessionId, (b) => b.seq > keep);
    const lost = pass(waiters, sessionId, (w) => w.seq > keep);
    if (lost.length > 0) parked.set(sessionId, [...(parked.get(sessionId) ?? []), ...lost]);
    sinceSnapshot.delete(sessionId);
    if (!dirty(sessionId)) clean(sessionId);
    for (const b of unmet) b.lost?.();
  };

  return {
    append(state, records) {
      const sessionId = state.sessionId;
      // All of them or none: a record that cannot be encoded must not leave a part of its batch behind.
      const encoded = records.map((record) => {
        parts.check?.(record);
        return { seq: record.seq, text: encodeEnvelope(parts.daemonId, sessionId, record) };
      });
      const tail = next.get(sessionId) ?? { state, records: [], bytes: 0 };
      tail.state = state;
      for (const { seq, text } of encoded) {
        tail.records.push({ seq, text });
        tail.bytes += text.length;
        tailBytes += text.length;
      }
      next.set(sessionId, tail);
      schedule();
    },
    dirty,
    whenClean(sessionId, fn) {
      if (!dirty(sessionId)) fn();
      else put(cleanWaiters, sessionId, fn);
    },
    barrier(sessionId, seq, fn, lost) {
      if (!dirty(sessionId)) {
        fn();
        return () => undefined;
      }
      const waiting = { seq, fn, lost };
      put(barriers, sessionId, waiting);
      return () => {
        pass(barriers, sessionId, (b) => b === waiting);
      };
    },
    flushed(sessionId, seq, answer) {
      const waiter = { sessionId, seq, answer };
      if (dirty(sessionId)) put(waiters, sessionId, waiter);
      else toFlush.push(waiter);
      flush();
    },
    drop: dropTail,
    settle(sessionId, head) {
      const held = parked.get(sessionId) ?? [];
      parked.delete(sessionId);
      for (const w of held) {
        if (head === null) w.answer('unknown');
        else if (w.seq > head) w.answer('lost');
        else toFlush.push(w);
      }
      flush();
    },
    reopen(done) {
      if (!paused || reopening) return;
      reopening = true;
      store.reopen((error) => {
        reopening = false;
        if (!error) paused = false;
        done(error);
        flush();
        commit();
      });
    },
    noteLoaded(sessionId, recordsSinceSnapshot) {
      sinceSnapshot.set(sessionId, { records: recordsSinceSnapshot, chars: 0, snapshotChars: 0 });
    },
    forget(sessionId) {
      sinceSnapshot.delete(sessionId);
    },
    get tailBytes() {
      return tailBytes;
    },
    get waiting() {
      return (
        toFlush.length + [waiters, parked].reduce((n, m) => n + [...m.values()].reduce((k, l) => k + l.length, 0), 0)
      );
    },
    get paused() {
      return paused;
    },
  };
};

const put = <T>(map: Map<string, T[]>, key: string, item: T): void => {
  const list = map.get(key);
  if (list) list.push(item);
  else map.set(key, [item]);
};

/** Takes out the items that match; leaves no empty list behind. */
const pass = <T>(map: Map<string, T[]>, key: string, match: (item: T) => boolean): T[] => {
  const list = map.get(key);
  if (!list) return [];
  const rest = list.filter((item) => !match(item));
  if (rest.length === 0) map.delete(key);
  else map.set(key, rest);
  return list.filter(match);
};
