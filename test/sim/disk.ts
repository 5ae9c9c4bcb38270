import type { Clock, LogStore, StoredRecord, StoredSession } from '../../src/actors/ports.ts';
import { createMemoryStore, type MemoryStore } from '../../src/storage/memory-store.ts';
import type { Random } from './random.ts';

/** Faults by chance; the store itself knows them by count. */
export interface Faults {
  /** Chance that a commit reports failure. */
  failing: number;
  /** Of the failing ones, the share that landed. */
  landed: number;
  full: boolean;
  /** Share of operations that take long. */
  slow: number;
}

/** The disk of a world: the storage twin, which outlives every daemon, with faults by the seed. */
export class SimDisk {
  #store: MemoryStore;

  constructor(clock: Clock) {
    this.#store = createMemoryStore({ clock });
  }

  /** The store of the next daemon. */
  mount(
    clock: Clock,
    random: Random,
    faults: Faults,
    onLanded: (sessionId: string, records: StoredRecord[]) => void,
    report: (violation: string) => void,
  ): LogStore {
    const store = this.#store.crash(
      { loseUnflushed: false },
      {
        clock,
        random: () => random.next(),
        latencyMs: () => (random.chance(0.5) ? 0 : random.int(0, random.chance(faults.slow) ? 200 : 5)),
        onLand: (batch) => {
          for (const c of batch) onLanded(c.sessionId, c.records);
        },
      },
    );
    this.#store = store;
    return {
      ...store,
      commit: (batch, done) => {
        store.diskFull(faults.full);
        if (random.chance(faults.failing)) {
          if (random.chance(faults.landed)) store.failCommitsThatLand(1);
          else store.failCommits(1);
        }
        store.commit(batch, (error) => {
          // The store refuses what does not continue the log: a daemon that asks for it has lost count.
          if (error?.code === 'internal') report(`EV1: ${error.message}`);
          done(error, undefined);
        });
      },
      // Short pages, so that a replay is many of them.
      read: (sessionId, afterSeq, bounds, done) => store.read(sessionId, afterSeq, { ...bounds, recordsMax: 3 }, done),
      reopen: (done) => {
        store.diskFull(faults.full);
        store.reopen(done);
      },
    };
  }

  /** `kill -9`, or with `power` the plug; what survives is what the next daemon finds. */
  crash(power: boolean): void {
    this.#store = this.#store.crash({ loseUnflushed: power });
  }

  /** Makes the next commit take `ms` more. */
  slowCommit(ms: number): void {
    this.#store.slowCommit(ms);
  }

  records(sessionId: string): StoredRecord[] {
    return this.#store.records(sessionId);
  }

  flushedHead(sessionId: string): number {
    return this.#store.flushedHead(sessionId);
  }

  stored(sessionId: string): StoredSession | null {
    return this.#store.stored(sessionId);
  }

  sessions(): string[] {
    return this.#store.sessions();
  }
}
