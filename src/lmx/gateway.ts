import type {
  AvailableModel,
  CallDelta,
  EngineKind,
  FinishReason,
  GenerateRequest,
  LoadedFacts,
  TokenUsage,
} from './engine.ts';
import type { LmxDone, LmxError } from './errors.ts';

/** Who asks. `priority: high` jumps the queue and never the limit; the wire grants it to holders of the admin key alone. */
export interface Caller {
  /** For figures by client: a name that the caller chose, bounded; `anonymous` without one. */
  client: string;
  priority: 'normal' | 'high';
  /** The answer leaves piece by piece; only for the figures. */
  stream?: boolean;
}

export type RequestPhase = 'queued' | 'prefill' | 'generating';

/**
 * The life of one request as its wire sees it. Either `refused` and nothing else, or `queued` (with its place) any number of
 * times, `started` once, the pieces, and exactly one of `done` and `failed`, last. `refused` is everything that happens before the
 * engine has the request: an HTTP wire has sent no header yet and answers with the error's status.
 */
export interface RequestEvents {
  queued(position: number): void;
  started(facts: { model: string }): void;
  text(delta: string): void;
  reasoning(delta: string): void;
  call(delta: CallDelta): void;
  done(result: { finishReason: FinishReason | 'cancelled'; usage: TokenUsage | null; trimmed: number }): void;
  refused(error: LmxError): void;
  failed(error: LmxError): void;
}

export interface RequestHandle {
  /** `chatcmpl-…`, made by the gateway, never used twice. */
  readonly id: string;
  phase(): RequestPhase;
  /**
   * In every phase: the engine stops, the slot is free. `told: true` ends with `done('cancelled')`; false is for a caller that has
   * gone, and nothing follows.
   */
  cancel(told: boolean): void;
  pause(): void;
  resume(): void;
}

export type Readiness = 'loading' | 'canary_pending' | 'routable' | 'unloading' | 'restarting' | 'quarantined';

export interface ModelRecord extends LoadedFacts {
  id: string;
  readiness: Readiness;
  /** Why it is not `routable`; null when it is. */
  reason: string | null;
  crashCount: number;
  /** Milliseconds since 1970; null while it is not loaded. */
  loadedAt: number | null;
  lastUsedAt: number | null;
  requestCount: number;
  activeRequests: number;
}

export interface LoadResult extends LoadedFacts {
  id: string;
  /** Null when it was loaded already. */
  loadMs: number | null;
}

export type GatewayEvent =
  | { type: 'model_loaded'; model_id: string; memory_gb: number | null; duration_sec: number }
  | { type: 'model_unloaded'; model_id: string; memory_freed_gb: number | null; reason: string }
  | {
      type: 'model_readiness_changed';
      model_id: string;
      previous_state: string;
      state: string;
      reason: string | null;
      crash_count: number;
      updated_at: number;
    }
  | { type: 'request_completed'; request_id: string; model_id: string; outcome: string; duration_ms: number };

/** The inference server without its wires: admission, models, requests. Root of the actors; everything runs in one process. */
export interface Gateway {
  readonly engine: EngineKind;
  /** Never throws; the answer comes through `on`, not in this stack. */
  submit(request: GenerateRequest, caller: Caller, on: RequestEvents): RequestHandle;
  /** Models that are loaded, being loaded, or quarantined. */
  models(): ModelRecord[];
  /** `auto`, an exact id, or an unambiguous one (case and the folder before the last slash aside); null when none is meant. */
  resolve(model: string): ModelRecord | null;
  available(done: LmxDone<AvailableModel[] | null>): void;
  /** Idempotent, and one load per model however many ask. */
  load(modelId: string, options: { contextLength?: number }, done: LmxDone<LoadResult | null>): void;
  /** Waits for the model's requests until `waitMs`; with `force` they are cancelled first. */
  unload(modelId: string, options: { force: boolean }, done: LmxDone<{ memoryBytes: number | null } | null>): void;
  /** Deletes the file of a model that is not loaded, where the engine has one. */
  remove(modelId: string, done: LmxDone<{ freedBytes: number } | null>): void;
  subscribe(listener: (event: GatewayEvent) => void): () => void;
  status(): GatewayStatus;
  /** No new requests; those that run may end until `drainMs`, then they are cancelled. The engine is closed. */
  drain(done: () => void): void;
}

export interface GatewayStatus {
  state: 'starting' | 'serving' | 'draining' | 'stopped';
  /** Milliseconds. */
  uptimeMs: number;
  inFlight: number;
  queued: number;
  slots: number;
  engine: { kind: EngineKind; [fact: string]: unknown };
  counters: GatewayCounters;
}

export interface GatewayCounters {
  requests: number;
  errors: number;
  streams: number;
  promptTokens: number;
  completionTokens: number;
  byModel: ReadonlyMap<string, { requests: number; errors: number; completionTokens: number }>;
  /** At most 64 names; the rest counts as `other`. */
  byClient: ReadonlyMap<string, { requests: number; errors: number; completionTokens: number }>;
  /** Seconds, cumulative, by upper bound, as Prometheus wants them. */
  duration: Histogram;
  queueWait: Histogram;
  firstToken: Histogram;
}

export interface Histogram {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
}
