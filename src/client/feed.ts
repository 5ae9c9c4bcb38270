import { createParser } from 'eventsource-parser';
import type { z } from 'zod';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { type InspectMessage, InspectMessageSchema } from '../protocol/feeds/inspection.ts';
import { type Overview, OverviewSchema } from '../protocol/feeds/overview.ts';
import type { MediaId } from './control.ts';
import { delayOf, FATAL, failureOf, pause } from './faults.ts';

/**
 * The daemon's feeds, read as typed messages for as long as somebody wants them. A feed that breaks is opened again, and every
 * opening begins with the whole state, so nothing has to be caught up: a reader replaces what it has.
 */
export interface FeedMessages {
  'overview.stream': Overview;
  'inspect.stream': InspectMessage;
}
export type FeedId = keyof FeedMessages & MediaId;

export interface FeedOptions {
  /** Ends the iteration, without an error. */
  signal?: AbortSignal;
  /** For `inspect.stream`: one session's actors only. */
  sessionId?: string;
  /** Called when messages come, and when the feed is lost, with what is wrong. */
  onState?(state: FeedState): void;
  random?: () => number;
}
export type FeedState = { state: 'live' } | { state: 'waiting'; error: OptaError };

/** What the feed needs of a client. */
export interface FeedSource {
  stream(id: FeedId, input: { query?: { sessionId?: string }; signal: AbortSignal }): AsyncIterable<string>;
  onWake(wake: () => void): () => void;
}

const SCHEMAS: { [K in FeedId]: z.ZodType<FeedMessages[K]> } = {
  'overview.stream': OverviewSchema,
  'inspect.stream': InspectMessageSchema,
};

/** The daemon says something every 15 s at least; twice that without a word is a connection that is dead. */
export const FEED_SILENCE_MS = 35_000;
/** After a sleep nobody waits for that: what said nothing for this long is opened anew. */
export const FEED_WAKE_MS = 3_000;
/** One message, in characters. */
const MESSAGE_CHARS_MAX = 16 << 20;
const BACKOFF = { baseMs: 250, maxMs: 5_000 };

/**
 * Ends with `signal`. Throws what trying again cannot cure: a refused token (twice the same), a refused origin or host, a session
 * that does not exist, messages that are not of the contract.
 */
export async function* feed<K extends FeedId>(
  source: FeedSource,
  id: K,
  options: FeedOptions = {},
): AsyncGenerator<FeedMessages[K], void> {
  for (let failures = 0; !options.signal?.aborted; ) {
    let error: OptaError;
    try {
      for await (const message of once(source, id, options)) {
        if (message === null) {
          options.onState?.({ state: 'live' });
          continue;
        }
        failures = 0;
        yield message;
      }
      error = new OptaError('daemon-unreachable', 'The daemon has ended the feed');
    } catch (cause) {
      error = toOptaError(cause);
    }
    if (options.signal?.aborted) return;
    if (isFinal(error)) throw error;
    options.onState?.({ state: 'waiting', error });
    await pause(delayOf(failures++, BACKOFF, options.random), options.signal);
  }
}

const isFinal = (error: OptaError): boolean =>
  FATAL.has(error.code) || error.code === 'unauthorized' || error.facts.broken !== undefined || closed(error);
/** The client itself was closed. */
const closed = (error: OptaError): boolean => error.code === 'cancelled';

/** One connection: null when it stands, then its messages. */
async function* once<K extends FeedId>(
  source: FeedSource,
  id: K,
  { signal, sessionId }: FeedOptions,
): AsyncGenerator<FeedMessages[K] | null, void> {
  const control = new AbortController();
  const stop = (): void => control.abort();
  const watch = new Silence(stop);
  const unwake = source.onWake(() => watch.wake());
  signal?.addEventListener('abort', stop, { once: true });
  const got: (FeedMessages[K] | OptaError)[] = [];
  const parser = createParser({
    maxBufferSize: MESSAGE_CHARS_MAX,
    onEvent: ({ event, data }) => {
      const json = parsed(data);
      if (event === 'error') got.push(failureOf(json, 'internal'));
      else if (event === undefined && known(id, json)) got.push(checked(SCHEMAS[id], json, id));
    },
    onError: ({ type }) => {
      if (type === 'max-buffer-size-exceeded') got.push(broken(id));
    },
  });
  try {
    const query = sessionId === undefined ? {} : { query: { sessionId } };
    let stands = false;
    for await (const text of source.stream(id, { ...query, signal: control.signal })) {
      watch.heard();
      if (!stands) yield null;
      stands = true;
      parser.feed(text);
      for (const message of got.splice(0)) {
        if (message instanceof OptaError) throw message;
        yield message;
      }
    }
    if (watch.silent) throw new OptaError('daemon-unreachable', 'The feed said nothing for too long');
  } catch (cause) {
    if (watch.silent) throw new OptaError('daemon-unreachable', 'The feed said nothing for too long');
    throw cause;
  } finally {
    watch.end();
    unwake();
    signal?.removeEventListener('abort', stop);
    stop();
  }
}

/** Ends a connection on which nothing comes any more. */
class Silence {
  readonly #stop: () => void;
  #timer: ReturnType<typeof setTimeout>;
  #heardAt = Date.now();
  silent = false;

  constructor(stop: () => void) {
    this.#stop = stop;
    this.#timer = this.#start();
  }

  heard(): void {
    this.#heardAt = Date.now();
    clearTimeout(this.#timer);
    this.#timer = this.#start();
  }

  wake(): void {
    if (Date.now() - this.#heardAt >= FEED_WAKE_MS) this.#give();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #start(): ReturnType<typeof setTimeout> {
    return setTimeout(() => this.#give(), FEED_SILENCE_MS);
  }

  #give(): void {
    this.silent = true;
    this.#stop();
  }
}

const parsed = (data: string): unknown => {
  try {
    return JSON.parse(data);
  } catch {
    // What it is instead is for the schema to say.
    return undefined;
  }
};

const KINDS: ReadonlySet<unknown> = new Set(InspectMessageSchema.options.flatMap((o) => [...o.shape.type.values]));

/** A later daemon may say more: kinds that this reader does not know are passed over. */
const known = (id: FeedId, json: unknown): boolean =>
  id !== 'inspect.stream' || KINDS.has((json as { type?: unknown } | undefined)?.type);

const checked = <T>(schema: z.ZodType<T>, json: unknown, id: string): T | OptaError => {
  const result = schema.safeParse(json);
  return result.success ? result.data : broken(id, result.error.issues);
};

const broken = (id: string, details?: unknown): OptaError =>
  new OptaError('internal', `${id}: the daemon's message is not of contract v3`, { broken: true, details });
