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
    // Outside the promise: what the caller throws is the caller's exception and not a rejection that nobody takes.
    queueMicrotask(() => done(error, value));
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

/** True when the promise ended, either way, within the deadline. */
export const within = async (work: Promise<unknown>, deadlineMs: number): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), deadlineMs);
  });
  const ended = work.then(
    () => true,
    () => true,
  );
  const answer = await Promise.race([ended, late]);
  clearTimeout(timer);
  return answer;
};

/** The next turn of the event loop: between two turns other sessions are served. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const DETAIL_DEADLINE_MS = 1_000;

/** Never rejects. LMDB hides the cause of a failed commit in `commitError`, which is itself a rejected promise. */
export const storageError = async (cause: unknown, what: string): Promise<OptaError> => {
  if (cause instanceof OptaError) return cause;
  const detail = detailOf(cause);
  let inner: unknown;
  if (detail) {
    detail.catch((e: unknown) => {
      inner = e;
    });
    await within(detail, DETAIL_DEADLINE_MS);
  }
  return describe(inner ?? cause, what);
};

/** A commit that failed below LMDB, as opposed to a transaction whose own code threw. */
export const detailOf = (cause: unknown): Promise<unknown> | null => {
  const detail = (cause as { commitError?: unknown } | null)?.commitError;
  return detail instanceof Promise ? detail : null;
};

const ENOSPC = 28;
const EDQUOT = 122;

const describe = (cause: unknown, what: string): OptaError => {
  const code = (cause as { code?: unknown } | null)?.code;
  const text = cause instanceof Error ? cause.message : String(cause);
  const full =
    code === ENOSPC || code === EDQUOT || code === 'ENOSPC' || /no space|quota exceeded|MDB_MAP_FULL/i.test(text);
  return new OptaError(full ? 'storage-full' : 'storage', `${what} failed: ${text}`);
};
