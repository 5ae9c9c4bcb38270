import { LIMITS } from '../actors/limits.ts';
import type {
  Clock,
  Done,
  LogStore,
  SessionCommit,
  StoredRecord,
  StoredSession,
  StoreStatus,
} from '../actors/ports.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { MemoryRows } from './memory-rows.ts';

/**
 * The in-memory twin of the LMDB store, for a simulated world: no promise and no timer of its own, only the clock and the
 * randomness it is given, so a seed replays exactly.
 *
 * A commit lands at one moment and is answered at a later one, and a crash may fall between: then it is there and nobody was
 * told. Commits land in the order in which they were asked for.
 */
export interface MemoryStoreOptions {
  clock: Clock;
  /** How long each operation takes. 0: the next turn. */
  latencyMs?: () => number;
  /** Seeded, in [0, 1): where a power cut falls. Without it, a power cut loses everything that is not flushed. */
  random?: () => number;
  faults?: Partial<Faults>;
  /** Told when a commit lands, which is before its writer hears of it. */
  onLand?: (batch: readonly SessionCommit[]) => void;
}

export interface Faults {
  /** So many next commits fail and nothing of them lands. */
  failing: number;
  /** So many next commits fail, though they land. */
  failingLanded: number;
  /** So many next flushes fail. */
  failingFlushes: number;
  /** Commits, flushes and reopening fail with `storage-full` until this is taken away. */
  full: boolean;
  /** The next commit takes so much longer; above the commit deadline it is answered before it lands. */
  slowMs: number;
}

export interface MemoryStore extends LogStore {
  status(): StoreStatus;
  failCommits(count: number): void;
  failCommitsThatLand(count: number): void;
  failFlushes(count: number): void;
  diskFull(full: boolean): void;
  slowCommit(ms: number): void;
  /**
   * Ends this store: nothing under way is ever answered, and what is asked of it later neither. Returns what survives:
   * `kill -9` keeps all that landed; a power cut keeps what was flushed and a beginning of the rest, in commit order. `next`: the
   * world of the store that follows, where it differs.
   */
  crash(how: { loseUnflushed: boolean }, next?: Partial<MemoryStoreOptions>): MemoryStore;
  /** For checks between two steps of a simulation; they answer at once. */
  records(sessionId: string): StoredRecord[];
  head(sessionId: string): number;
  /** How far a session's log would survive a power cut for certain. */
  flushedHead(sessionId: string): number;
  stored(sessionId: string): StoredSession | null;
  sessions(): string[];
}

export const createMemoryStore = (options: MemoryStoreOptions): MemoryStore => mount(options, new MemoryRows());

const mount = (options: MemoryStoreOptions, rows: MemoryRows): MemoryStore => {
  const store = new Store(options, rows);
  return {
    status: () => store.status,
    commit: (batch, done) => store.commit(batch, done),
    flush: (done) => store.flush(done),
    load: (sessionId, done) => store.reading(done, () => rows.load(sessionId)),
    read: (sessionId, afterSeq, bounds, done) => store.reading(done, () => rows.read(sessionId, afterSeq, bounds)),
    list: (page, done) => store.reading(done, () => rows.list(page)),
    expired: (beforeMs, done) => store.reading(done, () => rows.expired(beforeMs)),
    purge: (sessionId, beforeMs, done) => store.reading(done, () => rows.purge(sessionId, beforeMs)),
    open: (done) => store.reading(done, () => rows.open()),
    reopen: (done) => store.reopen(done),
    close: (done) => store.close(done),
    failCommits: (count) => {
      store.faults.failing = count;
    },
    failCommitsThatLand: (count) => {
      store.faults.failingLanded = count;
    },
    failFlushes: (count) => {
      store.faults.failingFlushes = count;
    },
    diskFull: (full) => {
      store.faults.full = full;
    },
    slowCommit: (ms) => {
      store.faults.slowMs = ms;
    },
    crash: ({ loseUnflushed }, next = {}) => {
      store.dead = true;
      return mount(
        { ...options, faults: {}, ...next },
        rows.copy(loseUnflushed ? lostCommits(rows, options.random) : 0),
      );
    },
    records: (sessionId) => rows.records(sessionId),
    head: (sessionId) => rows.head(sessionId),
    flushedHead: (sessionId) => rows.flushedHead(sessionId),
    stored: (sessionId) => rows.load(sessionId),
    sessions: () => rows.sessions(),
  };
};

const lostCommits = (rows: MemoryRows, random: () => number = () => 0): number => {
  const kept = Math.floor(random() * (rows.unflushed() + 1));
  return rows.unflushed() - Math.min(kept, rows.unflushed());
};

class Store {
  status: StoreStatus = { state: 'ok' };
  readonly faults: Faults;
  dead = false;
  #closed = false;
  #cause: OptaError | null = null;
  readonly #clock: Clock;
  readonly #latencyMs: () => number;
  readonly #rows: MemoryRows;
  readonly #onLand: (batch: readonly SessionCommit[]) => void;
  /** Commits that have not landed or failed yet; one at a time, the first is under way. */
  readonly #commits: (() => void)[] = [];
  /** Whoever waits until no commit is under way. */
  readonly #idle: (() => void)[] = [];

  constructor(options: MemoryStoreOptions, rows: MemoryRows) {
    this.#clock = options.clock;
    this.#latencyMs = options.latencyMs ?? (() => 0);
    this.#rows = rows;
    this.#onLand = options.onLand ?? (() => undefined);
    this.faults = { failing: 0, failingLanded: 0, failingFlushes: 0, full: false, slowMs: 0, ...options.faults };
  }

  commit(batch: SessionCommit[], done: Done): void {
    const refusal = this.#refusal();
    if (refusal) {
      this.#later(0, () => done(refusal, undefined));
      return;
    }
    const fault = this.#takeFault();
    const slowMs = this.faults.slowMs;
    this.faults.slowMs = 0;
    const answer = this.#withDeadline(LIMITS.commitDeadlineMs, 'commit', (error) => {
      if (error && error.code !== 'internal') this.#fail(error);
      done(error, undefined);
    });
    this.#commits.push(() => {
      const ms = this.#latencyMs() + slowMs;
      this.#later(ms / 2, () => {
        const error = fault?.lands === false ? fault.error : (this.#land(batch) ?? fault?.error ?? null);
        // It is there before its writer hears of it.
        this.#later(ms / 2, () => {
          answer(error);
          this.#nextCommit();
        });
      });
    });
    if (this.#commits.length === 1) this.#commits[0]?.();
  }

  flush(done: Done): void {
    const landed = this.#rows.landed;
    const answer = this.#withDeadline(LIMITS.flushDeadlineMs, 'flush', (error) => {
      if (error) this.#fail(error);
      done(error, undefined);
    });
    this.#later(this.#latencyMs(), () => {
      if (this.faults.failingFlushes > 0) {
        this.faults.failingFlushes--;
        return answer(new OptaError('storage', 'flush failed: the fault was asked for'));
      }
      this.#rows.flushedUpTo(landed);
      answer(null);
    });
  }

  reading<T>(done: Done<T>, read: () => T): void {
    this.#later(this.#latencyMs(), () => {
      if (this.#closed) return done(gone(), undefined as T);
      let value: T;
      try {
        value = read();
      } catch (cause) {
        return done(toOptaError(cause), undefined as T);
      }
      done(null, value);
    });
  }

  reopen(done: Done): void {
    const answer = this.#withDeadline(LIMITS.commitDeadlineMs, 'reopen', (error) => {
      if (error) this.#fail(error);
      else this.#heal();
      done(error, undefined);
    });
    // Nothing that was under way may land after the answer: whoever reloads sessions next relies on it.
    this.#whenIdle(() =>
      this.#later(this.#latencyMs(), () => answer(this.#closed ? gone() : this.faults.full ? full() : null)),
    );
  }

  close(done: Done): void {
    this.#closed = true;
    this.#whenIdle(() => this.#later(this.#latencyMs(), () => done(null, undefined)));
  }

  #refusal(): OptaError | null {
    if (this.#closed) return gone();
    if (this.status.state === 'ok') return null;
    const code = this.#cause?.code === 'storage-full' ? 'storage-full' : 'storage-read-only';
    return new OptaError(code, `The event log is read-only: ${this.status.reason}`);
  }

  #takeFault(): { error: OptaError; lands: boolean } | null {
    if (this.faults.full) return { error: full(), lands: false };
    if (this.faults.failing > 0) {
      this.faults.failing--;
      return { error: new OptaError('storage', 'commit failed: the fault was asked for'), lands: false };
    }
    if (this.faults.failingLanded > 0) {
      this.faults.failingLanded--;
      return { error: new OptaError('storage', 'commit failed, and landed: the fault was asked for'), lands: true };
    }
    return null;
  }

  #land(batch: SessionCommit[]): OptaError | null {
    try {
      this.#rows.land(batch);
    } catch (cause) {
      return toOptaError(cause);
    }
    this.#onLand(batch);
    return null;
  }

  #nextCommit(): void {
    this.#commits.shift();
    const next = this.#commits[0];
    if (next) next();
    else for (const go of this.#idle.splice(0)) go();
  }

  #whenIdle(go: () => void): void {
    if (this.#commits.length === 0) go();
    else this.#idle.push(go);
  }

  #fail(error: OptaError): void {
    const since = this.status.state === 'ok' ? this.#clock.now() : this.status.since;
    this.status = { state: 'read-only', reason: error.message, since };
    this.#cause = error;
  }

  #heal(): void {
    this.status = { state: 'ok' };
    this.#cause = null;
  }

  /** Never in the caller's own stack, and never after a crash. */
  #later(ms: number, fn: () => void): void {
    const alive = (): void => {
      if (!this.dead) fn();
    };
    if (ms > 0) this.#clock.setTimeout(alive, ms);
    else this.#clock.soon(alive);
  }

  /** An answer that is given once: by the first to call it, or by the deadline. */
  #withDeadline(
    deadlineMs: number,
    what: string,
    done: (error: OptaError | null) => void,
  ): (error: OptaError | null) => void {
    let over = false;
    const finish = (error: OptaError | null): void => {
      if (over || this.dead) return;
      over = true;
      this.#clock.clearTimeout(timer);
      done(error);
    };
    const timer = this.#clock.setTimeout(() => {
      finish(new OptaError('storage', `${what} took longer than ${deadlineMs} ms`));
    }, deadlineMs);
    return finish;
  }
}

const gone = (): OptaError => new OptaError('storage', 'The event log is closed.');
const full = (): OptaError => new OptaError('storage-full', 'No space is left on the disk of the event log.');
