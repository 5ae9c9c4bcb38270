import { arch, cpus, freemem, hostname, totalmem } from 'node:os';
import { z } from 'zod';
import type { AvailableModel } from '../engine.ts';
import { LmxError } from '../errors.ts';
import type { Gateway, LoadResult, ModelRecord } from '../gateway.ts';
import { round } from './discovery.ts';

/** The answers of `/admin`, in the spelling of old. Memory in GiB, times in seconds since 1970. */
const GIB = 1024 ** 3;
const gb = (bytes: number | null): number | null => (bytes === null ? null : round(bytes / GIB));
const seconds = (ms: number | null): number | null => (ms === null ? null : Math.floor(ms / 1_000));

const memory = () => {
  const [total, free] = [totalmem(), freemem()];
  const used = total - free;
  return {
    total_gb: round(total / GIB),
    used_gb: round(used / GIB),
    available_gb: round(free / GIB),
    usage_percent: round((100 * used) / total),
  };
};

/** Those that answer, or may again: what is quarantined is listed, and says so. */
const held = (gateway: Gateway): ModelRecord[] => gateway.models();
const routable = (gateway: Gateway): ModelRecord[] => held(gateway).filter((m) => m.readiness === 'routable');

export const status = (gateway: Gateway, version: string) => {
  const { uptimeMs, inFlight, queued, slots, state, engine } = gateway.status();
  const models = routable(gateway).map((m) => m.id);
  return {
    version,
    state,
    engine,
    uptime_seconds: uptimeMs / 1_000,
    loaded_models: models.length,
    models,
    memory: memory(),
    in_flight_requests: inFlight,
    queued_requests: queued,
    max_concurrent_requests: slots,
  };
};

export const memoryOf = (gateway: Gateway) => {
  const { total_gb, ...rest } = memory();
  return {
    total_unified_memory_gb: total_gb,
    ...rest,
    models: Object.fromEntries(
      held(gateway).map((m) => [m.id, { memory_gb: gb(m.memoryBytes), loaded: m.readiness === 'routable' }]),
    ),
  };
};

export const device = () => ({
  hardware: {
    hostname: hostname(),
    chip_name: cpus()[0]?.model ?? arch(),
    architecture: arch(),
    memory_gb: round(totalmem() / GIB),
    cpu_cores: cpus().length,
    metal_available: false,
  },
  identity: { name: hostname(), purpose: 'inference', role: 'lmx' },
});

export const health = (gateway: Gateway, version: string) => {
  const bad = held(gateway).filter((m) => m.readiness !== 'routable');
  return {
    status: bad.length === 0 ? 'ok' : 'degraded',
    version,
    reason: bad.length === 0 ? null : bad.map((m) => `${m.id}: ${m.readiness}`).join('; '),
    memory_usage_percent: memory().usage_percent,
    models_loaded: routable(gateway).length,
    in_flight_requests: gateway.status().inFlight,
  };
};

export const models = (gateway: Gateway) => {
  const loaded = held(gateway)
    .filter((m) => m.readiness !== 'loading')
    .map((m) => ({
      id: m.id,
      loaded: m.readiness === 'routable',
      memory_gb: gb(m.memoryBytes),
      loaded_at: seconds(m.loadedAt),
      use_batching: false,
      request_count: m.requestCount,
      last_used_at: seconds(m.lastUsedAt),
      context_length: m.contextLength,
      readiness: { state: m.readiness, reason: m.reason, crash_count: m.crashCount },
    }));
  return { loaded, count: loaded.length };
};

export const performance = (gateway: Gateway, id: string) => {
  const m = gateway.models().find((known) => known.id === id);
  if (!m)
    throw new LmxError('model_not_found', `The model ${JSON.stringify(id)} is not loaded.`, { param: 'model_id' });
  return {
    model_id: m.id,
    backend_type: gateway.engine,
    loaded_at: seconds(m.loadedAt),
    request_count: m.requestCount,
    last_used_at: seconds(m.lastUsedAt),
    memory_gb: gb(m.memoryBytes),
    context_length: m.contextLength,
    use_batching: false,
    readiness: { state: m.readiness, reason: m.reason, crash_count: m.crashCount },
  };
};

/** A bare array, as it always was. */
export const available = (listed: readonly AvailableModel[]) =>
  listed.map(({ id, path, sizeBytes, modifiedAt }) => ({
    repo_id: id,
    local_path: path ?? '',
    size_bytes: sizeBytes ?? 0,
    downloaded_at: seconds(modifiedAt) ?? 0,
  }));

/** `/v1/models`: those that answer, for whoever may use them. */
export const served = (gateway: Gateway) => ({
  object: 'list',
  data: routable(gateway).map(servedModel),
});

export const servedModel = (m: ModelRecord) => ({
  id: m.id,
  object: 'model',
  created: seconds(m.loadedAt) ?? 0,
  owned_by: 'local',
  context_length: m.contextLength,
  ready: m.readiness === 'routable',
});

const LoadSchema = z.object({
  model_id: z.string().min(1).max(512),
  max_context_length: z.int().min(256).max(1_048_576).nullish(),
  async: z.boolean().nullish(),
});
const UnloadSchema = z.object({ model_id: z.string().min(1).max(512), force: z.boolean().nullish() });

const read = <T>(schema: z.ZodType<T>, value: unknown): T => {
  const result = schema.safeParse(value ?? {});
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const param = issue?.path.join('.') ?? '';
  throw new LmxError('invalid_request', `${param || 'The body'}: ${issue?.message ?? 'is not right'}`, { param });
};

export const readLoad = (value: unknown) => read(LoadSchema, value);
export const readUnload = (value: unknown) => read(UnloadSchema, value);

export const loaded = ({ id, memoryBytes, loadMs }: LoadResult) => ({
  success: true,
  model_id: id,
  memory_after_load_gb: gb(memoryBytes),
  time_to_load_ms: loadMs,
});

export const unloaded = (id: string, memoryBytes: number | null) => ({
  success: true,
  model_id: id,
  memory_freed_gb: gb(memoryBytes) ?? 0,
});
