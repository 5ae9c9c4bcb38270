import { statfsSync } from 'node:fs';
import { OptaError } from '../protocol/errors.ts';

/** LMDB that meets the end of the disk is stuck until it is opened anew, so the store stops before. */
export interface DiskGuard {
  /** `storage-full` while too little is free. Looks at the disk at most every 250 ms. */
  check(): OptaError | null;
  /** Looks now. */
  checkNow(): OptaError | null;
  /**
   * The same error, or `storage-full` when there was no room for what was being written: a transaction that LMDB had begun to
   * write out before its end fails on a full disk with "Input/output error".
   */
  explain(error: OptaError, bytes: number): OptaError;
}

const LOOK_EVERY_MS = 250;
/** What a commit writes besides its records: pages of the trees it changes, index, snapshot. */
const OVERHEAD_BYTES = 256 * 1024;

export const createDiskGuard = (options: {
  folder: string;
  freeBytesMin: number;
  now: () => number;
  freeBytes?: () => number;
}): DiskGuard => {
  const freeBytes = options.freeBytes ?? (() => freeOn(options.folder));
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let verdict: OptaError | null = null;
  const checkNow = (): OptaError | null => {
    lookedAtMs = options.now();
    try {
      const free = freeBytes();
      verdict = free >= options.freeBytesMin ? null : full(free, options.freeBytesMin);
    } catch (cause) {
      verdict = new OptaError('storage', `The disk of the event log cannot be looked at: ${String(cause)}`);
    }
    return verdict;
  };
  return {
    checkNow,
    explain: (error, bytes) => {
      const free = quietly(freeBytes);
      return error.code === 'storage' && free !== null && free < 2 * bytes + OVERHEAD_BYTES
        ? new OptaError('storage-full', `${error.message} (only ${mib(free)} MiB are free on its disk)`, {
            freeBytes: free,
          })
        : error;
    },
    // A clock that was set back must not switch the guard off.
    check: () => (Math.abs(options.now() - lookedAtMs) >= LOOK_EVERY_MS ? checkNow() : verdict),
  };
};

/** Null when even that cannot be found out. */
const quietly = (freeBytes: () => number): number | null => {
  try {
    return freeBytes();
  } catch {
    return null;
  }
};

const freeOn = (folder: string): number => {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
};

const full = (free: number, min: number): OptaError =>
  new OptaError(
    'storage-full',
    `Only ${mib(free)} MiB are free on the disk of the event log; ${mib(min)} are needed.`,
    {
      freeBytes: free,
      freeBytesMin: min,
    },
  );

const mib = (bytes: number): number => Math.floor(bytes / 1048576);
