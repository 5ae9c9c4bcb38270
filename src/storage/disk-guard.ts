import { statfsSync } from 'node:fs';
import { OptaError } from '../protocol/errors.ts';

/** LMDB that meets the end of the disk is stuck until it is opened anew, so the store stops before. */
export interface DiskGuard {
  /** `storage-full` while too little is free. Looks at the disk at most every 250 ms. */
  check(): OptaError | null;
  /** Looks now. */
  checkNow(): OptaError | null;
}

const LOOK_EVERY_MS = 250;

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
    // A clock that was set back must not switch the guard off.
    check: () => (Math.abs(options.now() - lookedAtMs) >= LOOK_EVERY_MS ? checkNow() : verdict),
  };
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
