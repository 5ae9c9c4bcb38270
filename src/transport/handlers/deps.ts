import { LIMITS, type Limits } from '../../actors/limits.ts';
import type { Done, LmxAdmin } from '../../actors/ports.ts';
import type { Gauge, Runtime } from '../../actors/runtime.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { FoundOperation, OperationInfo } from '../../protocol/operations/named.ts';
import { ask, type Timers } from '../ask.ts';
import type { Caller } from '../dispatch.ts';
import type { Latency } from '../latency.ts';
import type { LoopDelay } from '../loop-delay.ts';
import type { ResponseStream } from '../port.ts';
import type { SseStreams } from '../sse.ts';
import type { WebHandlerDeps } from '../web/handlers.ts';

/** Facts of `/v3/health` that neither the runtime nor the transport knows. */
export interface HealthFacts {
  toolWorkers: { workers: number; busy: number; queued: number };
  engine: unknown;
  /** The inference host that is configured. */
  connection?: { host: string; port: number };
  /** The bounds as this daemon was started with; those of `limits.ts` when absent. */
  limits?: Limits;
}

export interface HandlerDeps {
  runtime: Runtime;
  version: string;
  transport: { adapter: string; why: string };
  latency: Latency;
  facts(): HealthFacts;
  /** The transport's own bounds and how full they are. */
  gauges(): Gauge[];
  /** Event streams that are open. */
  streams: SseStreams;
  /** Logs that are being written out. */
  exports: Set<ResponseStream>;
  /** Requests that wait for their turn to end. */
  waits: Set<object>;
  /** Of a new session, when one is configured. */
  model?(): string;
  loop: LoopDelay;
  now(): number;
  timers: Timers;
  lmx?: InferenceHost;
  operations(): OperationHost;
  web: WebHandlerDeps;
  /** A bug in what a handler has called: its text goes to the log and not to the client. */
  onFault(where: string, fault: unknown): void;
}

/** The named operations; they are built on the control plane, so they come after it. */
export interface OperationHost {
  list(): OperationInfo[];
  /** Undefined for an id that nobody knows. */
  find(id: string): FoundOperation | undefined;
  run(id: string, input: unknown, caller: Caller): Promise<unknown>;
  /** Runs that have no answer yet. */
  readonly open: number;
}

export const NO_OPERATIONS: OperationHost = {
  list: () => [],
  find: () => undefined,
  run: () => Promise.reject(new OptaError('not-found', 'No operations here')),
  open: 0,
};

/** The inference host's administration; absent when none is configured. */
export interface InferenceHost {
  admin: LmxAdmin;
  /** Why models may not be changed from this machine, or null (docs/OPERATIONS.md, host policy). */
  mayAdminister(): OptaError | null;
}

/** A call into the runtime, as a promise within the deadline of an answer. */
export const within = <T>(
  deps: HandlerDeps,
  call: (done: Done<T>) => void,
  deadlineMs: number = LIMITS.askDeadlineMs,
): Promise<T> => ask(deps.timers, deadlineMs, call);

/** A cancel is answered when its turns have ended ([CX2]), so it may take their whole deadline. */
export const CANCEL_ASK_MS = LIMITS.cancelDeadlineMs + LIMITS.toolKillDeadlineMs + LIMITS.askDeadlineMs;

/** The wording that existing clients know, whatever the runtime says. */
export const named = async <T>(message: string, answer: Promise<T>): Promise<T> => {
  try {
    return await answer;
  } catch (fault) {
    if (fault instanceof OptaError && fault.code === 'session-not-found') {
      throw new OptaError('session-not-found', message, fault.facts);
    }
    throw fault;
  }
};
