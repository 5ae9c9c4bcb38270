import { type ErrorCode, isErrorCode, OptaError } from '../protocol/errors.ts';

/** Errors that trying again with the same request cannot cure. */
export const FATAL: ReadonlySet<ErrorCode> = new Set([
  'missing-session',
  'session-not-found',
  'session-deleted',
  'not-found',
  'invalid-request',
  'forbidden-host',
  'forbidden-origin',
]);

/** Close codes that an error frame explains. Any other end has nothing to do with what the daemon said before it. */
export const EXPLAINED: ReadonlySet<number> = new Set([1008, 1009, 1011, 1013, 4000, 4001, 4008]);

export const byCloseCode = (code: number): OptaError => {
  if (code === 4000) return new OptaError('missing-session', 'The daemon asked for a session id');
  if (code === 4008) return new OptaError('slow-reader', 'the daemon let go of a reader that was behind');
  return new OptaError('daemon-unreachable', `the socket closed (${code})`);
};

const BY_STATUS: { [status: number]: ErrorCode } = {
  400: 'invalid-request',
  401: 'unauthorized',
  403: 'forbidden-origin',
  404: 'not-found',
  409: 'state-conflict',
  413: 'payload-too-large',
  429: 'too-many-requests',
  503: 'shutting-down',
  504: 'timeout',
  507: 'storage',
};
export const byStatus = (status: number): ErrorCode => BY_STATUS[status] ?? 'internal';

/** The server's own code if it gave one, else the closest to the status. Its other fields become the error's facts. */
export const failureOf = (body: unknown, fallback: ErrorCode, facts: { [name: string]: unknown } = {}): OptaError => {
  const said = typeof body === 'object' && body !== null ? (body as { [name: string]: unknown }) : {};
  const { error, code, retryable: _, requestId: _echo, ...rest } = said;
  const message = typeof error === 'string' ? error : `The daemon answered with ${fallback}`;
  return new OptaError(typeof code === 'string' && isErrorCode(code) ? code : fallback, message, { ...rest, ...facts });
};

/** Full jitter above a floor: a hundred clients of one restarted daemon do not knock at once, and none waits for nothing. */
export const delayOf = (attempts: number, backoff = { baseMs: 100, maxMs: 5_000 }, random = Math.random): number =>
  Math.min(backoff.maxMs, backoff.baseMs * 2 ** Math.min(attempts, 16)) * (0.25 + 0.75 * random());

/** With an idempotency key these are safe to try again: either nothing was recorded, or the key finds what was ([TQ5]). */
const UNDECIDED: ReadonlySet<ErrorCode> = new Set([
  'daemon-unreachable',
  'timeout',
  'outcome-unknown',
  'internal',
  'storage',
  'shutting-down',
]);
const NO_ROOM: ReadonlySet<ErrorCode> = new Set(['queue-full', 'too-many-requests']);

export interface RetryOptions {
  /** All attempts and the pauses between them, in milliseconds. */
  deadlineMs?: number;
  /** Also wait when the queue is full or a bound is reached, as long as the daemon says. */
  waitForRoom?: boolean;
  /** Aborting ends the attempts; the one that is under way may still have arrived. */
  signal?: AbortSignal;
  onRetry?(error: OptaError, attempt: number): void;
  backoff?: { baseMs: number; maxMs: number };
  random?: () => number;
}

/** Milliseconds until the next attempt, or null when there is none to make. `attempt` counts from 0. */
export const retryDelay = (error: OptaError, attempt: number, options: RetryOptions): number | null => {
  const pauseMs = delayOf(attempt, options.backoff ?? { baseMs: 100, maxMs: 2_000 }, options.random);
  const { retryAfterMs, broken } = error.facts;
  if (NO_ROOM.has(error.code)) {
    if (!options.waitForRoom) return null;
    // The jitter comes on top: all who were told the same moment would else come back at it.
    return (typeof retryAfterMs === 'number' ? retryAfterMs : 0) + pauseMs;
  }
  // An answer that breaks the contract does so each time.
  return UNDECIDED.has(error.code) && broken === undefined ? pauseMs : null;
};

/**
 * Sends until there is an answer, a refusal or the deadline. `send` must be safe to repeat; it is given the milliseconds that
 * are left. What it throws at last is thrown, with the number of `attempts`.
 */
export const untilAnswered = async <T>(
  send: (leftMs: number) => Promise<T>,
  options: RetryOptions & { deadlineMs: number },
): Promise<T> => {
  const end = Date.now() + options.deadlineMs;
  let before: OptaError | null = null;
  for (let attempt = 0; ; attempt++) {
    try {
      return await send(Math.max(1, end - Date.now()));
    } catch (cause) {
      if (!(cause instanceof OptaError)) throw cause;
      const delayMs = retryDelay(cause, attempt, options);
      const more = delayMs !== null && Date.now() + delayMs < end && !options.signal?.aborted;
      if (more) {
        options.onRetry?.(cause, attempt + 1);
        await pause(delayMs, options.signal);
      }
      if (!more || options.signal?.aborted) {
        // The last attempt may have been given no time; the one before it says more.
        const { code, message, facts } = (cause.code === 'timeout' && Date.now() >= end && before) || cause;
        throw new OptaError(code, message, { ...facts, attempts: attempt + 1 });
      }
      before = cause;
    }
  }
};

/** Ends early when `signal` is aborted. */
export const pause = (ms: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
