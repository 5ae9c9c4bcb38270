import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, ownIdentity, type ProcessIdentity } from '../process-identity.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';

/**
 * One daemon for one data folder, for as long as the process lives.
 *
 * Node has no `flock`. A listening socket is a lock that the kernel takes back, but Linux' abstract sockets belong to a network
 * namespace and not to the folder, and any local user can take their names; socket files elsewhere leave a stale name whose
 * removal races. So the lock is a numbered file, `instance-lock.<n>`, that names its holder:
 *
 * 1. The lock is the file with the highest number. Its holder is the process it names; none, when that process is dead or the
 *    file says that it was released.
 * 2. A free lock is taken by `link`ing a complete file to the next number. `link` is atomic and fails if the name is there, so
 *    of many that try one wins, and nobody ever reads half a file. Nothing is ever removed to take the lock: a process that
 *    acts on what it saw a moment ago can only try a number that somebody has taken, or (3).
 * 3. Numbers only grow, and the highest file is never removed; only files two and more below it are. A process so late that its
 *    number was taken and removed meanwhile sees a higher number when it looks again after its `link`, and gives up its own.
 * 4. A release replaces the holder's own file by one that says so.
 *
 * A holder that was killed needs no cleaning up: its process is dead, be its pid in use again or not (process-identity.ts).
 * Not covered: one folder shared by several machines or pid namespaces, where nobody can see whether the other one lives.
 */
export interface InstanceLock {
  /** Gives the lock back. A second call does nothing. */
  release(): void;
}

const NAME = 'instance-lock';
const FILE = /^instance-lock\.(\d{1,15})$/;
const DRAFT = /^instance-lock-draft-(\d{1,10})-/;
const TRIES_MAX = 100;

type Claim = ProcessIdentity & { released: boolean };

/** Throws `daemon-already-running` with the holder's `pid` when another live process has the lock. */
export const acquireInstanceLock = (folder: string): InstanceLock => {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const self = ownIdentity();
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const top = highest(folder);
    const holder = top === 0 ? null : readClaim(join(folder, `${NAME}.${top}`));
    if (holder && !holder.released && isAlive(holder)) throw running(folder, holder.pid);
    const mine = top + 1;
    if (!claim(folder, mine, { ...self, released: false })) continue;
    if (highest(folder) > mine) {
      rmSync(join(folder, `${NAME}.${mine}`), { force: true });
      continue;
    }
    sweep(folder, mine);
    return held(folder, mine, self);
  }
  throw new OptaError('internal', `The lock of ${folder} was taken and left again ${TRIES_MAX} times; try again.`);
};

const held = (folder: string, mine: number, self: ProcessIdentity): InstanceLock => {
  let over = false;
  return {
    release: () => {
      if (over) return;
      over = true;
      // On a full disk the lock is given back by the end of the process instead.
      try {
        renameSync(writeDraft(folder, { ...self, released: true }), join(folder, `${NAME}.${mine}`));
      } catch (cause) {
        if (toOptaError(cause).code !== 'storage-full') throw cause;
      }
    },
  };
};

const running = (folder: string, pid: number): OptaError =>
  new OptaError('daemon-already-running', `A daemon already uses ${folder} (pid ${pid}).`, { pid });

const highest = (folder: string): number =>
  Math.max(0, ...readdirSync(folder).map((name) => Number(FILE.exec(name)?.[1] ?? 0)));

/** True when the number is ours now. */
const claim = (folder: string, number: number, content: Claim): boolean => {
  const draft = writeDraft(folder, content);
  try {
    linkSync(draft, join(folder, `${NAME}.${number}`));
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new OptaError('storage', `The lock of ${folder} cannot be taken: ${String(cause)}`);
  } finally {
    rmSync(draft, { force: true });
  }
};

const writeDraft = (folder: string, content: Claim): string => {
  const file = join(folder, `${NAME}-draft-${content.pid}-${randomBytes(6).toString('hex')}`);
  // Not synced: what a power cut empties is nobody's, and nobody is alive after one.
  try {
    writeFileSync(file, JSON.stringify(content), { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    rmSync(file, { force: true });
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new OptaError('storage-full', `The disk of ${folder} is full.`);
    throw cause;
  }
  return file;
};

/** Null for a file that is gone, or whose content a power cut took: nobody can be alive behind either. */
const readClaim = (file: string): Claim | null => {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new OptaError('storage', `The lock ${file} cannot be read: ${String(cause)}`);
  }
  return parseClaim(text);
};

const parseClaim = (text: string): Claim | null => {
  let found: Partial<Claim> | null;
  try {
    found = JSON.parse(text) as Partial<Claim> | null;
  } catch (cause) {
    if (cause instanceof SyntaxError) return null;
    throw cause;
  }
  if (typeof found !== 'object' || found === null || !Number.isSafeInteger(found.pid) || Number(found.pid) <= 0)
    return null;
  const started = typeof found.started === 'string' ? found.started : null;
  return { pid: Number(found.pid), started, released: found.released === true };
};

/** Removes what is two or more below the lock, and drafts of the dead. The file just below stays for those who are reading. */
const sweep = (folder: string, mine: number): void => {
  for (const name of readdirSync(folder)) {
    const number = Number(FILE.exec(name)?.[1] ?? 0);
    const author = Number(DRAFT.exec(name)?.[1] ?? 0);
    const old = number > 0 && number < mine - 1;
    const abandoned = author > 0 && author !== process.pid && !isAlive({ pid: author, started: null });
    if (old || abandoned) rmSync(join(folder, name), { force: true });
  }
};
