import type { z } from 'zod';
import { OptaError } from '../protocol/errors.ts';
import { type OperationId, type OperationInput, type OperationOutput, operation } from '../protocol/operations.ts';
import type { Latency } from './latency.ts';
import type { ResponseStream, StreamEnd } from './port.ts';

/**
 * What a handler answers: a value, JSON text that is passed on byte for byte, text of another media type, or a body that is
 * written for as long as it takes. `headers` are the answer's own; `status` overrides the table's (304).
 */
export type Answer<T> = ({ body: T } | { json: string } | { text: string; type: string } | StreamAnswer) & {
  headers?: readonly (readonly [name: string, value: string])[];
  status?: number;
};

export interface StreamAnswer {
  type: string;
  /** Called once the head has left; what it returns is told of drains and of the end. */
  open(out: ResponseStream): StreamEnd;
}

/** Who waits for the answer, as far as a handler has to know. */
export interface Caller {
  /** `told` is called once when nobody waits any more. */
  whenGone(told: () => void): void;
  /** The hash of the page's key that the call is made with, or null. */
  webKey?(): string | null;
}

/** Sockets and the daemon itself: their commands hold whether or not the answer is heard. */
const STAYS: Caller = { whenGone: () => undefined };

export type HandlersOf<Ids extends OperationId> = {
  [K in Ids]: (
    input: OperationInput<K>,
    caller: Caller,
  ) => Answer<OperationOutput<K>> | Promise<Answer<OperationOutput<K>>>;
};
export type Handlers = HandlersOf<OperationId>;

/** An operation's input before anything was checked. */
export interface RawInput {
  params: { [name: string]: unknown };
  query: { [name: string]: unknown };
  body: unknown;
}

export type Outcome<T> = { ok: true; status: number; answer: Answer<T> } | { ok: false; error: OptaError };

export interface DispatchDeps {
  handlers: Handlers;
  latency: Latency;
  onFault(where: string, fault: unknown): void;
  /** Checks answers against the table too; for tests and development. */
  checkAnswers: boolean;
}

export type Dispatch = <K extends OperationId>(
  id: K,
  raw: RawInput,
  caller?: Caller,
) => Promise<Outcome<OperationOutput<K>>>;

/**
 * The one door of both planes: validates, calls, and turns every failure into an `OptaError`. It never throws.
 *
 * Up to the call into the runtime it runs in the caller's own stack, so commands reach their session in the order in which
 * they came in ([TQ2]).
 */
export const dispatcher =
  (deps: DispatchDeps): Dispatch =>
  async (id, raw, caller = STAYS) => {
    const startedAt = performance.now();
    try {
      const answer = await deps.handlers[id](parseInput(id, raw), caller);
      if (deps.checkAnswers) checkAnswer(id, answer);
      return { ok: true, status: operation(id).status, answer };
    } catch (fault) {
      return { ok: false, error: known(fault, id, deps) };
    } finally {
      if (!operation(id).waits) deps.latency.add(performance.now() - startedAt);
    }
  };

export const parseInput = <K extends OperationId>(id: K, raw: RawInput): OperationInput<K> => {
  const row = operation(id);
  const params = parse(row.params, raw.params, INVALID_ID);
  const query = parse(row.query, raw.query, 'Invalid query');
  const empty = raw.body === undefined || (raw.body === null && row.nullIsEmpty === true);
  const body =
    row.body === null
      ? undefined
      : parse(row.body, empty ? {} : raw.body, row.bodyFault ?? INVALID_BODY, row.bodyFaultField);
  return { params, query, body } as OperationInput<K>;
};

/** `about`: the field that `message` speaks of, when it does not speak of all. */
const parse = (schema: z.ZodType, value: unknown, message: string, about?: string): unknown => {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  const field = issues[0]?.path[0];
  const other = about !== undefined && field !== undefined && issues.every(({ path }) => path[0] !== about);
  const named = message === INVALID_ID ? (OTHER_ID[String(field)] ?? message) : other ? INVALID_BODY : message;
  throw new OptaError('invalid-request', named, { details: issues });
};

const INVALID_BODY = 'Invalid request body';
const INVALID_ID = 'Invalid session id';
/** Parameters besides a session's id. */
const OTHER_ID: { [name: string]: string } = { requestId: 'Invalid request id', turnId: 'Invalid turn id' };

const checkAnswer = (id: OperationId, answer: Answer<unknown>): void => {
  if ('type' in answer || answer.status !== undefined) return;
  const value = 'json' in answer ? JSON.parse(answer.json) : answer.body;
  operation(id).response.parse(value);
};

/** What is not an `OptaError` is a bug: its text goes to the log and not to the client. */
const known = (fault: unknown, where: string, deps: DispatchDeps): OptaError => {
  if (fault instanceof OptaError) return fault;
  deps.onFault(where, fault);
  return new OptaError('internal', 'Internal error');
};
