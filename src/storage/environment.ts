import { mkdirSync } from 'node:fs';
import { open, type RootDatabase } from 'lmdb';
import { detailOf, nextTurn, within } from './deadline.ts';
import { migrate, openTables, type ReadCount, type Schema, type Tables } from './tables.ts';

/**
 * One LMDB environment and what it takes to live with it.
 *
 * 1. A transaction whose code throws lands nothing: it runs as a child of LMDB's own and is aborted alone.
 * 2. After a commit that failed below LMDB (a full disk) the environment is stuck: its flush never ends, its close waits for that
 *    flush, and one more write can block a thread for ever, since LMDB's writer keeps its lock when it cannot begin. So nothing
 *    is written after it, and the environment is closed at its native handle, which is safe because no write is in flight.
 * 3. Opening the same folder while it is open gives the same environment, stuck as it is. It must be closed first; while a write
 *    is stuck inside the kernel that cannot be done, and only a new process helps.
 */
export interface Environment {
  readonly tables: Tables;
  readonly reads: ReadCount;
  /** One transaction. It lands whole, or not at all and the promise rejects; a commit error may also have landed. */
  write(change: (tables: Tables) => void): Promise<void>;
  /** When everything that `write` has answered for is on disk. */
  flushed(): Promise<void>;
  /** True when no write is inside LMDB, within the deadline. */
  idle(deadlineMs: number): Promise<boolean>;
  /** Only when idle. */
  close(deadlineMs: number): Promise<void>;
}

/** Throws what LMDB throws, or `storage` for a newer schema. */
export const openEnvironment = (folder: string, schema?: Schema): Environment => {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // Without `eventTurnBatching: false` LMDB makes one more promise for each turn's writes; nobody can reach it to take its
  // rejection, so a full disk would end the process.
  const options = { path: folder, noSubdir: false, maxDbs: 8, eventTurnBatching: false };
  const root: RootDatabase = open(options);
  const reads: ReadCount = { entries: 0 };
  let tables: Tables;
  try {
    tables = openTables(root, reads);
    migrate(root, tables, schema);
  } catch (cause) {
    closeAtOnce(root);
    throw cause;
  }
  const inside = new Gate();
  let broken = false;
  let synced: Promise<void> = Promise.resolve();

  return {
    tables,
    reads,
    async write(change) {
      inside.enter();
      let sync: Promise<void>;
      let work: Promise<unknown>;
      try {
        work = root.childTransaction(() => {
          change(tables);
        });
        // Taken in the same turn, so that it is the flush of this very transaction.
        sync = new Promise((resolve, reject) => root.flushed.then(() => resolve(), reject));
      } catch (cause) {
        inside.leave();
        throw cause;
      }
      const left = (): void => inside.leave();
      try {
        await work;
        synced = sync;
        sync.then(left, left);
      } catch (cause) {
        if (detailOf(cause)) {
          broken = true;
          sync.catch(() => undefined);
          left();
        } else sync.then(left, left);
        throw cause;
      }
    },
    flushed: () => synced,
    idle: (deadlineMs) => within(inside.empty(), deadlineMs),
    async close(deadlineMs) {
      // A broken environment waits for a flush that never comes; a turn later its write has left the native code for good.
      if (broken) await nextTurn();
      else await within(Promise.resolve(root.close()), deadlineMs);
      closeAtOnce(root);
    },
  };
};

/**
 * Closes without waiting for LMDB's promises. Its `close` is called all the same, since it takes the timer of the read transaction
 * with it; what it waits for then is of no interest. It marks a closed handle with address 0, and so do we.
 */
const closeAtOnce = (root: RootDatabase): void => {
  const { env } = root as unknown as { env: { address: number; close(): void } };
  if (env.address === 0) return;
  Promise.resolve(root.close()).catch(() => undefined);
  if (env.address === 0) return;
  env.address = 0;
  env.close();
};

/** Counts what is inside, and says when nothing is. */
class Gate {
  #count = 0;
  #waiting: (() => void)[] = [];

  enter(): void {
    this.#count++;
  }

  leave(): void {
    if (--this.#count > 0) return;
    for (const go of this.#waiting.splice(0)) go();
  }

  empty(): Promise<void> {
    return this.#count === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }
}
