import { z } from 'zod';
import { OptaError } from '../protocol/errors.ts';
import type { ResolvePermission } from '../protocol/frames.ts';
import {
  type OPERATIONS,
  type Operation,
  type OperationId,
  type OperationOutput,
  operation,
} from '../protocol/operations.ts';
import { Addresses } from './addresses.ts';
import type { Received } from './attach-options.ts';
import { byStatus, failureOf, type RetryOptions, untilAnswered } from './faults.ts';
import type { DaemonAddress, HttpAnswer, Platform } from './platform.ts';

type Table = typeof OPERATIONS;
type Given<T> = T extends z.ZodType ? z.input<T> : never;
/** Query values travel as text and are given as what they mean. */
type Query<K extends OperationId> = z.output<Table[K]['query']>;
/** Absent when the operation has none of it, required when it requires something of it. */
type Part<Name extends string, T> = [T] extends [never]
  ? unknown
  : string extends keyof T
    ? unknown
    : Partial<T> extends T
      ? { [N in Name]?: T }
      : { [N in Name]: T };

export interface CallOptions {
  /** From the call to the whole answer, discovery included. */
  deadlineMs?: number;
  signal?: AbortSignal;
}
export type CallInput<K extends OperationId> = CallOptions &
  Part<'params', Given<Table[K]['params']>> &
  Part<'query', Query<K>> &
  Part<'body', Given<Table[K]['body']>>;
type CallArgs<K extends OperationId> =
  CallOptions extends CallInput<K> ? [input?: CallInput<K>] : [input: CallInput<K>];

/** Operations that answer text or a stream of it. */
export type MediaId = { [K in OperationId]: Table[K] extends { media: string } ? K : never }[OperationId];
export type CallOutput<K extends OperationId> = K extends MediaId ? string : OperationOutput<K>;

export type Snapshot = OperationOutput<'sessions.create'>;
export type SessionPage = OperationOutput<'sessions.list'>;
export type InspectedActor = OperationOutput<'inspect'>;
export type Submitted = OperationOutput<'turns.submit'>;
export type Cancelled = OperationOutput<'turns.cancel'>;
export type NewSession = z.input<NonNullable<Table['sessions.create']['body']>>;
export type NewTurn = z.input<Table['turns.submit']['body']>;
/** `remember` and `answer` go with an allow. */
export type PermissionAnswer = z.input<Table['permissions.resolve']['body']> & { requestId: string };
/** With `callId`, beside its `turnId`, one call alone. */
export type CancelTarget = z.input<Table['turns.cancel']['body']>;

/** Looser than the operation table: it is how a client finds out that the other side speaks another contract. */
const HealthSchema = z.looseObject({
  status: z.string(),
  version: z.string().optional(),
  daemonId: z.string().optional(),
  contract: z.object({ name: z.string(), version: z.number() }).optional(),
  features: z.array(z.string()).optional(),
  runtime: z.unknown(),
});
export type Health = z.infer<typeof HealthSchema>;

/** Milliseconds a call may take, whatever happens. A cancel is answered when its turns have ended. `retry`: all attempts. */
export const DEADLINE_MS = { call: 25_000, health: 800, cancel: 30_000, retry: 60_000 };
const ANSWER_CHARS_MAX = 256 << 20;

/**
 * The control plane as typed calls: `call` knows every operation of the table, and the methods below are the same with the
 * protocol's rules for a repeat. Each call has a deadline, and every failure is an `OptaError` with the daemon's code.
 */
export class ControlPlane {
  protected readonly platform: Platform;
  protected readonly addresses: Addresses;
  #closed = false;

  constructor(platform: Platform, find: () => Promise<DaemonAddress>, first?: DaemonAddress) {
    this.platform = platform;
    this.addresses = new Addresses(find, first);
  }

  async call<K extends OperationId>(id: K, ...[input]: CallArgs<K>): Promise<CallOutput<K>> {
    const op = operation(id);
    const { text, what } = await this.#whole(
      op,
      input ?? {},
      id === 'turns.cancel' ? DEADLINE_MS.cancel : DEADLINE_MS.call,
    );
    return (op.media === undefined ? checked(op.response, text, what) : text) as CallOutput<K>;
  }

  /** The text of a media operation as it arrives. The deadline is for the first byte; `signal` ends it. */
  async *stream<K extends MediaId>(id: K, ...[input]: CallArgs<K>): AsyncGenerator<string, void> {
    const given: Raw = input ?? {};
    const control = new AbortController();
    const stop = (): void => control.abort();
    given.signal?.addEventListener('abort', stop, { once: true });
    try {
      const op = operation(id);
      const answer = await within(given.deadlineMs ?? DEADLINE_MS.call, id, given.signal, () =>
        this.#exchange(op, pathOf(op, given), given.body, control.signal),
      );
      yield* answer.body;
    } finally {
      given.signal?.removeEventListener('abort', stop);
      stop();
    }
  }

  async health(deadlineMs = DEADLINE_MS.health): Promise<Health> {
    const { text, what } = await this.#whole(operation('v3.health'), {}, deadlineMs);
    return checked(HealthSchema, text, what);
  }

  createSession(body: NewSession = {}): Promise<Snapshot> {
    return this.call('sessions.create', { body });
  }

  getSession(id: string): Promise<OperationOutput<'sessions.get'>> {
    return this.call('sessions.get', { params: { id } });
  }

  listSessions(query: Query<'sessions.list'> = {}): Promise<SessionPage> {
    return this.call('sessions.list', { query });
  }

  /**
   * [TQ5] One turn, however often it had to be sent: every attempt carries one key, the turn's `idempotencyKey` or a fresh one.
   * A failure names the key as `facts.idempotencyKey`, so that the caller can go on with it later.
   */
  submitTurn(id: string, turn: NewTurn, options: RetryOptions = {}): Promise<Submitted> {
    const send = (body: NewTurn, deadlineMs: number): Promise<Submitted> =>
      this.call('turns.submit', { params: { id }, body, deadlineMs });
    return submitSafely(turn, options, send, () => this.knowsKeys());
  }

  /** Throws when a submit must not be sent a second time: to a daemon that passes over its key, it would be a second turn. */
  async knowsKeys(): Promise<void> {
    if ((await this.health()).features?.includes('idempotency')) return;
    const message = 'The answer was lost, and this daemon knows no idempotency keys: look into the session first';
    throw new OptaError('outcome-unknown', message, { broken: true });
  }

  /** Repeated until it is answered: a turn or a call can be cancelled only once. The counts are those of the last attempt. */
  cancel(id: string, body: CancelTarget, options: RetryOptions = {}): Promise<Cancelled> {
    const deadlineMs = options.deadlineMs ?? DEADLINE_MS.retry;
    return untilAnswered(
      (leftMs) => this.call('turns.cancel', { params: { id }, body, deadlineMs: Math.min(leftMs, DEADLINE_MS.cancel) }),
      { ...options, deadlineMs },
    );
  }

  /** Repeated until it is answered. Throws `permission-resolved` when somebody else was first; one's own answer counts ([PM2]). */
  resolvePermission(id: string, body: PermissionAnswer, options: RetryOptions = {}): Promise<void> {
    return decideSafely(body, options, async (deadlineMs) => {
      await this.call('permissions.resolve', { params: { id, requestId: body.requestId }, body, deadlineMs });
    });
  }

  /** Committed events after `afterSeq`, oldest first; `more` says that the answer's bound was reached. */
  events(id: string, afterSeq: number, limit?: number): Promise<OperationOutput<'events.read'>> {
    return this.call('events.read', { params: { id }, query: { afterSeq, limit } });
  }

  why(id: string): Promise<OperationOutput<'sessions.why'>> {
    return this.call('sessions.why', { params: { id } });
  }

  /** The chart of one session's actors, or of the daemon's. */
  inspect(id?: string): Promise<InspectedActor> {
    return id === undefined ? this.call('inspect') : this.call('sessions.inspect', { params: { id } });
  }

  /** Whether the log still has the event `seq`, and as it was seen: another daemon may have written it anew. */
  async holds(id: string, { seq, seen }: { seq: number; seen: Received | null }): Promise<boolean> {
    const [stored] = (await this.events(id, seq - 1, 1)).events;
    if (stored?.seq !== seq) return false;
    return seen === null || (stored.daemonId === seen.daemonId && stored.ts === seen.ts && stored.event === seen.event);
  }

  /** Calls from now on fail with `cancelled`, and so do the retries that are under way. */
  close(): void {
    this.#closed = true;
    this.platform.close();
  }

  async #whole(op: Operation, given: Raw, ms: number): Promise<{ text: string; what: string }> {
    const path = pathOf(op, given);
    const what = `${op.method} ${path}`;
    const text = await within(given.deadlineMs ?? ms, what, given.signal, async (signal) =>
      gather(await this.#exchange(op, path, given.body, signal)),
    );
    return { text, what };
  }

  /** A stale address is found out by its failure. What cannot have happened, or may happen twice, is tried at the new one. */
  async #exchange(op: Operation, path: string, body: unknown, signal: AbortSignal): Promise<HttpAnswer> {
    if (this.#closed) throw new OptaError('cancelled', 'The client is closed');
    const address = await this.addresses.get();
    try {
      return await this.#once(address, op, path, body, signal);
    } catch (cause) {
      const code = cause instanceof OptaError ? cause.code : 'internal';
      if (code !== 'unauthorized' && code !== 'daemon-unreachable') throw cause;
      this.addresses.forget(address);
      if (signal.aborted || (code === 'daemon-unreachable' && op.safety === 'write')) throw cause;
      const next = await this.addresses.get();
      if (next.token === address.token && next.port === address.port) throw cause;
      return this.#once(next, op, path, body, signal);
    }
  }

  async #once(
    address: DaemonAddress,
    { method }: Operation,
    path: string,
    body: unknown,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const text = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await this.platform.exchange(address, { method, path, signal, ...text });
    if (answer.status >= 200 && answer.status < 300) return answer;
    const retryAfterS = Number(answer.header('retry-after') ?? Number.NaN);
    throw failureOf(jsonOrNothing(await gather(answer)), byStatus(answer.status), {
      status: answer.status,
      ...(Number.isFinite(retryAfterS) ? { retryAfterMs: retryAfterS * 1_000 } : {}),
    });
  }
}

/** The rule for a submit on either plane. `knowsKeys` is asked before anything is sent again. */
export const submitSafely = async <T>(
  turn: NewTurn,
  options: RetryOptions,
  send: (turn: NewTurn & { idempotencyKey: string }, deadlineMs: number) => Promise<T>,
  knowsKeys: () => Promise<void>,
): Promise<T> => {
  const idempotencyKey = turn.idempotencyKey ?? freshId();
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS.retry;
  let sent = false;
  const attempt = async (leftMs: number): Promise<T> => {
    if (sent) await knowsKeys();
    sent = true;
    return send({ ...turn, idempotencyKey }, Math.min(leftMs, DEADLINE_MS.call));
  };
  try {
    return await untilAnswered(attempt, { ...options, deadlineMs });
  } catch (cause) {
    if (!(cause instanceof OptaError)) throw cause;
    throw new OptaError(cause.code, cause.message, { ...cause.facts, idempotencyKey });
  }
};

/**
 * The rule for a decision on either plane: an answer of one's own that had arrived before is a success. One that says more than
 * yes or no may be another than the one that stands, so it counts only when it had been sent before.
 */
export const decideSafely = async (
  mine: Pick<ResolvePermission, 'decision' | 'decidedBy' | 'remember' | 'answer'>,
  options: RetryOptions,
  send: (deadlineMs: number) => Promise<void>,
): Promise<void> => {
  try {
    const deadlineMs = options.deadlineMs ?? DEADLINE_MS.retry;
    await untilAnswered((leftMs) => send(Math.min(leftMs, DEADLINE_MS.call)), { ...options, deadlineMs });
  } catch (cause) {
    if (!(cause instanceof OptaError) || cause.code !== 'permission-resolved') throw cause;
    const { decision, decidedBy, attempts } = cause.facts;
    const more = mine.remember !== undefined || mine.answer !== undefined;
    if (more && attempts === 1) throw cause;
    if (decision !== mine.decision || decidedBy !== `person:${mine.decidedBy}`) throw cause;
  }
};

/** 128 random bits. `randomUUID` is missing on pages that did not come over TLS or loopback. */
export const freshId = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

interface Raw extends CallOptions {
  params?: { [name: string]: string | undefined };
  query?: { [name: string]: string | number | boolean | undefined };
  body?: unknown;
}

/** A browser takes `..` as the way up, however it is written: the call would go to another route. */
const segmentOf = (text: string): string => {
  if (text === '.' || text === '..') throw new OptaError('invalid-request', `${text} is no id`);
  return encodeURIComponent(text);
};

const pathOf = ({ paths }: Operation, { params = {}, query = {} }: Raw): string => {
  const path = paths[0].replace(/:(\w+)/g, (_, name: string) => segmentOf(params[name] ?? ''));
  const fields = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) fields.set(name, String(value));
  const text = fields.toString();
  return text === '' ? path : `${path}?${text}`;
};

const gather = async ({ body }: HttpAnswer): Promise<string> => {
  let text = '';
  for await (const part of body) {
    text += part;
    if (text.length > ANSWER_CHARS_MAX)
      throw new OptaError('payload-too-large', 'The answer of the daemon is too large');
  }
  return text;
};

const jsonOrNothing = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    // Not from this daemon, or cut: the status has to do.
    return undefined;
  }
};

const checked = <T>(schema: z.ZodType<T>, text: string, what: string): T => {
  const result = schema.safeParse(jsonOrNothing(text));
  if (result.success) return result.data;
  const facts = { broken: true, details: result.error.issues };
  throw new OptaError('internal', `${what}: the daemon's answer is not of contract v3`, facts);
};

/** Settles within `ms`, whatever `run` does with its signal. */
const within = async <T>(
  ms: number,
  what: string,
  outer: AbortSignal | undefined,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> => {
  const control = new AbortController();
  let ended = new OptaError('cancelled', `${what}: the caller has ended it`);
  const stop = (): void => control.abort();
  const timer = setTimeout(() => {
    ended = new OptaError('timeout', `${what}: no answer within ${ms} ms`);
    stop();
  }, ms);
  const stopped = new Promise<never>((_, reject) => {
    control.signal.addEventListener('abort', () => reject(ended), { once: true });
  });
  outer?.addEventListener('abort', stop, { once: true });
  try {
    if (outer?.aborted) throw ended;
    return await Promise.race([run(control.signal), stopped]);
  } catch (cause) {
    throw control.signal.aborted ? ended : cause;
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener('abort', stop);
  }
};
