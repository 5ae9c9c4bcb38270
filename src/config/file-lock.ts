import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive } from '../process-identity.ts';
import { OptaError } from '../protocol/errors.ts';

const WAIT_MS = 5_000;
const POLL_MS = 10;
let calls = 0;

/**
 * Runs `change` while no other process is inside the lock of the same file, so that two that read, change and write lose nothing
 * of one another. The lock names its holder; that of a dead process is taken away. Throws `timeout` after 5 s.
 */
export const withFileLock = async <T>(file: string, change: () => T): Promise<T> => {
  const lock = `${file}.lock`;
  // Several may wait in one process, too.
  calls += 1;
  const mine = `${lock}.${process.pid}.${calls}`;
  const deadline = Date.now() + WAIT_MS;
  writeFileSync(mine, String(process.pid), { mode: 0o600 });
  try {
    while (!taken(mine, lock)) {
      if (!freed(lock) && Date.now() > deadline)
        throw new OptaError('timeout', `${file} is being changed by process ${holderOf(lock)}; try again`);
      await sleep(POLL_MS);
    }
    try {
      return change();
    } finally {
      rmSync(lock, { force: true });
    }
  } finally {
    rmSync(mine, { force: true });
  }
};

/** `link` is atomic and fails when the name is there. */
const taken = (mine: string, lock: string): boolean => {
  try {
    linkSync(mine, lock);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw cause;
  }
};

const holderOf = (lock: string): number => {
  try {
    return Number(readFileSync(lock, 'utf8'));
  } catch {
    // Given back a moment ago.
    return 0;
  }
};

/** Takes a dead holder's lock away. What was moved aside is looked at again, since a living one may have come in between. */
const freed = (lock: string): boolean => {
  const holder = holderOf(lock);
  if (holder === 0 || isAlive({ pid: holder, started: null })) return false;
  const aside = `${lock}.dead.${process.pid}`;
  try {
    renameSync(lock, aside);
    if (holderOf(aside) !== holder) taken(aside, lock);
    rmSync(aside, { force: true });
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw cause;
  }
};
