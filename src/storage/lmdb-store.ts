import { LIMITS } from '../actors/limits.ts';
import type { Done, Log, LogStore, SessionCommit, StoreStatus } from '../actors/ports.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { nextTurn, settle, storageError, within } from './deadline.ts';
import { createDiskGuard } from './disk-guard.ts';
import { type Environment, openEnvironment } from './environment.ts';
import { expiredSessions, listPage, loadSession, readPage } from './reads.ts';
import type { Schema, Tables } from './tables.ts';
import { purgePart, writeBatch } from './writes.ts';

/**
 * The event log in LMDB. One commit of the journal is one transaction: records, index, open set and snapshot land together.
 *
 * "Committed" is LMDB's commit: visible to every reader and safe from `kill -9`, since the pages are the kernel's. "Flushed" is
 * the sync behind it: safe from a power cut. After a failed commit nothing is written until `reopen`; reading goes on. Only a
 * probe that was written and flushed makes the status `ok` again.
 */
export interface LmdbStoreOptions {
  /** Folder of the environment; made if missing, for its owner alone. */
  path: string;
  log?: Log;
  /** Commits are refused with `storage-full` below this, before LMDB meets the end of the disk. */
  diskFreeBytesMin?: number;
  commitDeadlineMs?: number;
  flushDeadlineMs?: number;
  now?: () => number;
  /** Bytes free where the folder is; by default what the file system says. */
  freeBytes?: () => number;
  schema?: Schema;
}

export interface LmdbStore extends LogStore {
  status(): StoreStatus;
  /** Entries read from LMDB since the environment was opened, its opening included. */
  entriesRead(): number;
}

const CLOSE_DEADLINE_MS = 2_000;

/** Throws `storage` when the folder cannot be opened or a newer version wrote it. */
export const openLmdbStore = (options: LmdbStoreOptions): LmdbStore => {
  const store = new Store(options);
  return {
    status: () => store.status,
    entriesRead: () => store.env?.reads.entries ?? 0,
    commit: (batch, done) => store.commit(batch, done),
    flush: (done) => store.flush(done),
    load: (sessionId, done) => store.reading('load', done, (tables) => loadSession(tables, sessionId)),
    read: (sessionId, afterSeq, bounds, done) =>
      store.reading('read', done, (tables) => readPage(tables(), sessionId, afterSeq, bounds)),
    list: (page, done) => store.reading('list', done, (tables) => listPage(tables(), page)),
    expired: (beforeMs, done) => store.reading('expired', done, (tables) => expiredSessions(tables, beforeMs)),
    purge: (sessionId, beforeMs, done) => store.purge(sessionId, beforeMs, done),
    open: (done) => store.reading('open', done, (tables) => [...tables().open.getKeys()]),
    reopen: (done) => settle(store.reopen(), 'reopen', store.commitDeadlineMs, done),
    close: (done) => settle(store.close(), 'close', store.commitDeadlineMs, done),
  };
};

class Store {
  status: StoreStatus = { state: 'ok' };
  env: Environment | null;
  readonly commitDeadlineMs: number;
  readonly #flushDeadlineMs: number;
  /** For one of the waits of which closing and reopening consist, so that together they keep the deadline. */
  readonly #stepDeadlineMs: number;
  readonly #options: LmdbStoreOptions;
  readonly #guard: ReturnType<typeof createDiskGuard>;
  readonly #now: () => number;
  /** The error that made the store read-only. */
  #cause: OptaError | null = null;
  /** The environment may be stuck: it is opened anew before it is trusted. */
  #suspect = false;
  #closed = false;
  #reopening: Promise<void> | null = null;
  /** Between closing one environment and opening the next, readers wait for this. */
  #between: Promise<void> | null = null;

  constructor(options: LmdbStoreOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.commitDeadlineMs = options.commitDeadlineMs ?? LIMITS.commitDeadlineMs;
    this.#flushDeadlineMs = options.flushDeadlineMs ?? LIMITS.flushDeadlineMs;
    this.#stepDeadlineMs = Math.min(CLOSE_DEADLINE_MS, this.commitDeadlineMs / 6);
    this.env = this.#openEnvironment();
    this.#guard = createDiskGuard({
      folder: options.path,
      freeBytesMin: options.diskFreeBytesMin ?? LIMITS.diskFreeBytesMin,
      now: this.#now,
      ...(options.freeBytes ? { freeBytes: options.freeBytes } : {}),
    });
  }

  commit(batch: SessionCommit[], done: Done): void {
    const env = this.env;
    const refusal = this.#refusal();
    if (refusal || !env) {
      setImmediate(() => done(refusal ?? gone(), undefined));
      return;
    }
    const work = env.write((tables) => {
      try {
        writeBatch(tables, batch);
      } catch (cause) {
        // LMDB's own errors carry a number. Anything else is a batch that cannot be written, and no fault of the disk.
        throw typeof (cause as { code?: unknown } | null)?.code === 'number' ? cause : toOptaError(cause);
      }
    });
    settle(work, 'commit', this.commitDeadlineMs, (error) => {
      // `internal` is the caller's mistake: the transaction was aborted and the environment is as good as before.
      if (!error || error.code === 'internal') return done(error, undefined);
      done(this.#fail(this.#guard.explain(error, bytesOf(batch)), env), undefined);
    });
  }

  purge(sessionId: string, beforeMs: number, done: Done<boolean>): void {
    const env = this.env;
    const refusal = this.#refusal();
    let isOver = false;
    const work =
      refusal || !env
        ? Promise.reject(refusal ?? gone())
        : env.write((tables) => {
            isOver = purgePart(tables, sessionId, beforeMs, LIMITS.purgeRecordsMax);
          });
    settle(work, 'purge', this.commitDeadlineMs, (error) => {
      if (error && !refusal && env) this.#fail(error, env);
      done(error, isOver);
    });
  }

  flush(done: Done): void {
    const env = this.env;
    settle(env ? env.flushed() : Promise.reject(gone()), 'flush', this.#flushDeadlineMs, (error) => {
      if (error && env) this.#fail(error, env);
      done(error, undefined);
    });
  }

  /** LMDB reads are synchronous: each gets a turn of the event loop of its own, so that many readers do not add up to a block. */
  reading<T>(what: string, done: Done<T>, read: (tables: () => Tables) => T | Promise<T>): void {
    const tables = (): Tables => {
      if (!this.env) throw gone();
      return this.env.tables;
    };
    const work = async (): Promise<T> => {
      await nextTurn();
      if (this.#between) await this.#between;
      return read(tables);
    };
    settle(work(), what, this.commitDeadlineMs, done);
  }

  /** One at a time: whoever comes meanwhile gets the same outcome. */
  reopen(): Promise<void> {
    this.#reopening ??= this.#reopen().finally(() => {
      this.#reopening = null;
    });
    return this.#reopening;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#reopening) await within(this.#reopening, this.commitDeadlineMs);
    const env = this.env;
    if (!env) return;
    if (!(await env.idle(this.commitDeadlineMs / 2))) throw stuck();
    this.env = null;
    await env.close(this.#stepDeadlineMs);
  }

  async #reopen(): Promise<void> {
    await nextTurn();
    if (this.#closed) throw gone();
    try {
      const full = this.#guard.checkNow();
      if (full) throw full;
      if (this.#suspect || !this.env) await this.#renew();
      await this.#probe();
    } catch (cause) {
      throw this.#fail(await storageError(cause, 'reopen'), null);
    }
    if (this.status.state !== 'ok') this.#options.log?.info('storage is writable again');
    this.status = { state: 'ok' };
    this.#cause = null;
  }

  async #renew(): Promise<void> {
    const old = this.env;
    // Waiting first and closing then: until it is idle the old environment still serves readers. And nothing that was under
    // way can land after this, which is what the sessions that are reloaded next rely on.
    if (old && !(await old.idle(this.#stepDeadlineMs))) throw stuck();
    let open: () => void = () => undefined;
    this.#between = new Promise((resolve) => {
      open = resolve;
    });
    try {
      this.env = null;
      await old?.close(this.#stepDeadlineMs);
      this.env = this.#openEnvironment();
      this.#suspect = false;
    } finally {
      this.#between = null;
      open();
    }
  }

  async #probe(): Promise<void> {
    const env = this.env;
    if (!env) throw gone();
    this.#suspect = true;
    const written = env.write((t) => {
      t.meta.put('probe', this.#now());
    });
    if (!(await within(written, this.#stepDeadlineMs)))
      throw new OptaError('storage', 'the probe was not written in time');
    await written;
    if (!(await within(env.flushed(), this.#stepDeadlineMs)))
      throw new OptaError('storage', 'the probe was not flushed in time');
    await env.flushed();
    this.#suspect = false;
  }

  #refusal(): OptaError | null {
    if (this.#closed) return gone();
    if (this.status.state !== 'ok') {
      const code = this.#cause?.code === 'storage-full' ? 'storage-full' : 'storage-read-only';
      return new OptaError(code, `The event log is read-only: ${this.status.reason}`);
    }
    const full = this.#guard.check();
    return full ? this.#fail(full, null) : null;
  }

  /** `env` is the environment that failed; null when nothing was written, so that nothing can be stuck. */
  #fail(error: OptaError, env: Environment | null): OptaError {
    if (env && env === this.env) this.#suspect = true;
    if (env && env !== this.env) return error;
    if (this.status.state === 'ok') this.#options.log?.error('storage is read-only', { reason: error.message });
    const since = this.status.state === 'ok' ? this.#now() : this.status.since;
    this.status = { state: 'read-only', reason: error.message, since };
    this.#cause = error;
    return error;
  }

  #openEnvironment(): Environment {
    try {
      return openEnvironment(this.#options.path, this.#options.schema);
    } catch (cause) {
      if (cause instanceof OptaError) throw cause;
      const text = cause instanceof Error ? cause.message : String(cause);
      throw new OptaError('storage', `The event log in ${this.#options.path} cannot be opened: ${text}`);
    }
  }
}

const bytesOf = (batch: SessionCommit[]): number =>
  batch.reduce((sum, c) => c.records.reduce((bytes, r) => bytes + r.text.length, sum), 0);

const gone = (): OptaError => new OptaError('storage', 'The event log is closed.');
const stuck = (): OptaError =>
  new OptaError(
    'storage',
    'A write to the event log does not return from the disk; only a restart of the daemon can help.',
  );
