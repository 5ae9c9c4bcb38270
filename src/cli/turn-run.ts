import { type Attachment, attach } from '../client/attach.ts';
import { freshId, type Submitted } from '../client/control.ts';
import type { DaemonAddress, DaemonHttp, NewTurn } from '../client/http.ts';
import { emptyTurn, foldTurn, type TurnView, turnOf } from '../client/turn-view.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { isTerminal, type LogRecord } from '../protocol/events.ts';

/**
 * One turn from submit to its terminal event.
 *
 * The attachment is open before the submit is sent: a permission that the turn asks for at once then finds somebody who may
 * answer. Every attempt to submit carries one key, so that they are one turn ([TQ5], [AU3]); the log shows that key too, in
 * case that no answer ever arrives.
 */
export interface TurnRunOptions {
  http: DaemonHttp;
  address: () => Promise<DaemonAddress>;
  sessionId: string;
  /** Head of the session before the turn. */
  afterSeq: number;
  turn: NewTurn;
  /** Aborting cancels the turn at the daemon. */
  signal?: AbortSignal;
  onTurn?(turnId: string): void;
  /** Each record of this turn, with the view after it, and the frame it came in. */
  onRecord?(record: LogRecord, view: TurnView, text: string): void;
  onAttached?(attachment: Attachment): void;
  onNotice?(text: string): void;
  /** The records of a turn from before come now; `caughtUp` resolves when what follows is new. */
  onReplay?(caughtUp: Promise<void>): void;
}

const OPEN_DEADLINE_MS = 5_000;
/** How long a lost daemon may take to come back before the run is given up. */
const RETRY_FOR_MS = 5_000;
/** All attempts to submit. */
const SUBMIT_DEADLINE_MS = 30_000;
/** How long an interrupted run waits to learn which turn it has to cancel. */
const SEARCH_DEADLINE_MS = 3_000;
/** From the answer to a cancel to the terminal event, which by then is committed. */
const CANCELLED_DEADLINE_MS = 5_000;
/** Records kept while the answer to the submit is on its way. */
const EARLY_RECORDS_MAX = 10_000;

export const runTurn = async (options: TurnRunOptions): Promise<TurnView> => {
  if (options.signal?.aborted) throw new OptaError('cancelled', 'Cancelled before it began');
  const key = options.turn.idempotencyKey ?? freshId();
  const follower = new Follower(options, key);
  follower.follow(options.afterSeq);
  let isCancelled = false;
  const onAbort = (): void => {
    // An abort while the submit is on its way is seen twice, and cancels once.
    if (isCancelled) return;
    isCancelled = true;
    void cancelRun(options, follower);
  };
  try {
    await follower.opened;
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const answer = await submit(options, follower, key);
    // The key was used before: that turn, and perhaps its end, lies behind us.
    if (answer && answer.seq <= options.afterSeq) options.onReplay?.(follower.replay(answer.seq - 1));
    if (answer) follower.begin(answer.turnId);
    if (options.signal?.aborted) onAbort();
    return await follower.finished;
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
    follower.close();
  }
};

/** Until an answer or the log says which turn it is; null when it was the log. */
const submit = async (options: TurnRunOptions, follower: Follower, key: string): Promise<Submitted | null> => {
  const over = new AbortController();
  const stop = (): void => over.abort();
  // Nothing is sent again for somebody who wants it to end.
  options.signal?.addEventListener('abort', stop, { once: true });
  const turn = { ...options.turn, idempotencyKey: key };
  const onRetry = (error: OptaError): void =>
    options.onNotice?.(`the submit was not accepted yet (${error.message}); trying again with the same key`);
  try {
    const answer = options.http.submitTurn(options.sessionId, turn, {
      deadlineMs: SUBMIT_DEADLINE_MS,
      signal: over.signal,
      onRetry,
    });
    return await Promise.race([answer, follower.begun.then(() => null)]);
  } finally {
    options.signal?.removeEventListener('abort', stop);
    stop();
  }
};

/** Asks the daemon to cancel, then waits for the terminal event; the turn's own outcome is what counts ([CX3]). */
const cancelRun = async (options: TurnRunOptions, follower: Follower): Promise<void> => {
  try {
    const turnId = await Promise.race([
      follower.begun,
      deadline(SEARCH_DEADLINE_MS, new OptaError('timeout', 'The submit was not answered')),
    ]);
    await options.http.cancel(options.sessionId, { turnId });
    await Promise.race([
      follower.finished.then(() => undefined),
      deadline(CANCELLED_DEADLINE_MS, new OptaError('cancelled', 'Cancelled; its last event did not arrive in time')),
    ]);
  } catch (cause) {
    const error = toOptaError(cause);
    follower.fail(
      error.code === 'cancelled'
        ? error
        : new OptaError('cancelled', `Interrupted, but the daemon did not confirm the cancel: ${error.message}`),
    );
  }
};

/** Rejects after `ms`. Its timer does not keep the process alive. */
const deadline = (ms: number, error: OptaError): Promise<never> =>
  new Promise((_, reject) => {
    setTimeout(() => reject(error), ms).unref();
  });

class Follower {
  readonly opened: Promise<void>;
  readonly begun: Promise<string>;
  readonly finished: Promise<TurnView>;
  #options: TurnRunOptions;
  #key: string;
  #view: TurnView | null = null;
  #early: { record: LogRecord; text: string }[] = [];
  #attachment: Attachment | null = null;
  #caughtUp: () => void = () => undefined;
  #open: () => void = () => undefined;
  #begin: (turnId: string) => void = () => undefined;
  #finish: (view: TurnView) => void = () => undefined;
  #rejectAll: (error: OptaError) => void;

  constructor(options: TurnRunOptions, key: string) {
    this.#options = options;
    this.#key = key;
    const rejects: ((error: OptaError) => void)[] = [];
    const promise = <T>(take: (resolve: (value: T) => void) => void): Promise<T> => {
      const p = new Promise<T>((resolve, reject) => {
        take(resolve);
        rejects.push(reject);
      });
      // Each is awaited only when its turn comes; a failure before that is not an unhandled one.
      p.catch(() => undefined);
      return p;
    };
    const opened = promise<void>((resolve) => {
      this.#open = resolve;
    });
    this.opened = Promise.race([
      opened,
      deadline(OPEN_DEADLINE_MS, new OptaError('daemon-unreachable', 'The event plane did not open in time')),
    ]);
    this.opened.catch(() => undefined);
    this.begun = promise<string>((resolve) => {
      this.#begin = resolve;
    });
    this.finished = promise<TurnView>((resolve) => {
      this.#finish = resolve;
    });
    this.#rejectAll = (error) => {
      for (const reject of rejects) reject(error);
    };
  }

  /** From here on only what this attachment brings counts. */
  follow(afterSeq: number): void {
    const { sessionId, address, onAttached } = this.#options;
    const attachment = attach({
      sessionId,
      afterSeq,
      address,
      retryForMs: RETRY_FOR_MS,
      onEnvelope: (envelope, text) => {
        if (this.#attachment !== attachment) return;
        this.take(envelope.record, text);
        if (envelope.seq >= this.#options.afterSeq) this.#caughtUp();
      },
      onState: (state) => this.connection(state),
    });
    this.#attachment = attachment;
    onAttached?.(attachment);
    void attachment.ended.then((error) => {
      if (this.#attachment === attachment) this.fail(error ?? new OptaError('cancelled', 'The attachment was closed'));
    });
  }

  /** Reads again from an earlier place. */
  replay(afterSeq: number): Promise<void> {
    const before = this.#attachment;
    this.#attachment = null;
    before?.close();
    this.#early = [];
    this.follow(afterSeq);
    return new Promise((resolve) => {
      this.#caughtUp = resolve;
    });
  }

  close(): void {
    this.#attachment?.close();
  }

  connection(state: string): void {
    if (state === 'open') this.#open();
    if (state === 'waiting' && this.#view) this.#options.onNotice?.('connection lost; trying again');
  }

  fail(error: OptaError): void {
    this.#rejectAll(error);
  }

  begin(turnId: string): void {
    if (this.#view) return;
    this.#view = emptyTurn(turnId);
    this.#options.onTurn?.(turnId);
    this.#begin(turnId);
    const early = this.#early;
    this.#early = [];
    for (const { record, text } of early) this.take(record, text);
  }

  take(record: LogRecord, text: string): void {
    if (!this.#view && record.event === 'turn.queued' && record.payload.idempotencyKey === this.#key) {
      this.begin(record.payload.turnId);
    }
    if (!this.#view) {
      if (this.#early.length >= EARLY_RECORDS_MAX)
        throw new OptaError('timeout', 'The submit was not answered in time');
      this.#early.push({ record, text });
      return;
    }
    if (turnOf(record) !== this.#view.turnId) return;
    this.#view = foldTurn(this.#view, record);
    this.#options.onRecord?.(record, this.#view, text);
    if (isTerminal(record)) this.#finish(this.#view);
  }
}
