import type { Done } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';

/**
 * Answers `done` once with what the promise brings, within a deadline ([SV2]): a full disk can leave LMDB's promises open for
 * ever. A late outcome is dropped, but its rejection is taken, so that it never ends the process.
 */
export const settle = <T>(work: Promise<T>, what: string, deadlineMs: number, done: Done<T>): void => {
  let over = false;
  const finish = (error: OptaError | null, value: T): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    done(error, value);
  };
  const timer = setTimeout(() => {
    finish(new OptaError('storage', `${what} took longer than ${deadlineMs} ms`), undefined as T);
  }, deadlineMs);
  work.then(
    (value) => finish(null, value),
    (cause) => {
      void storageError(cause, what).then((error) => finish(error, undefined as T));
    },
  );
};

/** LMDB hides the cause of a failed commit in `commitError`, which is itself a rejected promise. */
export const storageError = async (cause: unknown, what: string): Promise<OptaError> => {
  if (cause instanceof OptaError) return cause;
  const inner: unknown = await Promise.resolve((cause as { commitError?: unknown })?.commitError).catch((e: unknown) => e);
  const code = (inner as { code?: unknown } | undefined)?.code ?? (cause as { code?: unknown })?.code;
  const text = inner instanceof Error ? inner.message : cause instanceof Error ? cause.message : String(cause);
  const full = code === 28 || code === 'ENOSPC' || /no space|disk full|MDB_MAP_FULL/i.test(text);
  return new OptaError(full ? 'storage-full' : 'storage', `${what} failed: ${text}`);
};
