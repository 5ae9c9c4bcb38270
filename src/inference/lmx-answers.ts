import { z } from 'zod';
import type { LmxCall } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import type { LmxOperationId } from '../protocol/operations/lmx.ts';
import type { Address } from './probe.ts';

/** LMX counts in GB. Clients of v3 were always given a thousand million bytes for one. */
const BYTES_PER_GB = 1_000_000_000;

const number = z.number().nullish();
const gb = number.transform((n) => (typeof n === 'number' ? Math.round(n * BYTES_PER_GB) : undefined));
const count = number.transform((n) => n ?? undefined);
const Facts = z.looseObject({});
const Body = z.union([Facts, z.array(z.unknown())]);

const Status = z.looseObject({
  version: z.string().optional(),
  uptime_seconds: count,
  models: z.array(z.string()).default([]),
  memory: z.looseObject({ used_gb: gb, total_gb: gb, threshold_percent: count }).optional(),
});
const Models = z.looseObject({
  loaded: z.array(
    z.looseObject({
      id: z.string(),
      memory_gb: gb,
      context_length: count,
      /** Seconds since the epoch. */
      loaded_at: z.number().min(0).max(8e12).nullish().catch(null),
      request_count: count,
    }),
  ),
});
/** Loaded by now, or what has to come first: a confirmation, a download. */
const Loading = z.looseObject({
  status: z.string().default('loaded'),
  model_id: z.string().optional(),
  memory_after_load_gb: gb,
  time_to_load_ms: number,
});
const Freed = z.looseObject({ memory_freed_gb: gb, freed_bytes: count });

/** Existing clients read either: `downloadId` and `download_id`. */
const bothSpellings = (facts: z.infer<typeof Facts>) => {
  const camel = (name: string): string => name.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase());
  return { ...Object.fromEntries(Object.entries(facts).map(([name, value]) => [camel(name), value])), ...facts };
};

const loading = (answer: unknown, { fields }: LmxCall) => {
  const { success: _, memory_after_load_gb, time_to_load_ms: ms, model_id, ...rest } = Loading.parse(answer);
  const seconds = typeof ms === 'number' ? ms / 1000 : undefined;
  const id = model_id ?? fields?.modelId ?? '';
  return { model_id: id, ...rest, memory_bytes: memory_after_load_gb, load_time_seconds: seconds };
};

type Read = (answer: unknown, call: LmxCall, at: Address) => unknown;

/** What LMX's answer means here; an operation that is not named passes the answer on. Of an answer only what is used is checked. */
const READS: { [id in LmxOperationId]?: Read } = {
  'lmx.status': (answer) => {
    const { version, uptime_seconds, models, memory: m } = Status.parse(answer);
    const memory = m && { used_bytes: m.used_gb, total_bytes: m.total_gb, threshold: m.threshold_percent };
    const list = models.map((model_id) => ({ model_id, status: 'loaded' }));
    return { status: 'ok', version, uptime_seconds, models: list, memory };
  },
  'lmx.discovery': (answer, _, { host, port }) => ({
    ...Facts.parse(answer),
    target: { host, port, fallbackHosts: [], autoDiscover: false },
  }),
  'lmx.models': (answer) => ({
    models: Models.parse(answer).loaded.map((m) => ({
      model_id: m.id,
      status: 'loaded',
      memory_bytes: m.memory_gb,
      context_length: m.context_length,
      loaded_at: typeof m.loaded_at === 'number' ? new Date(m.loaded_at * 1000).toISOString() : undefined,
      request_count: m.request_count,
    })),
  }),
  'lmx.available': (answer) => z.array(Facts).parse(answer),
  'lmx.downloads': (answer, { fields }) => {
    const downloads = z
      .looseObject({ downloads: z.array(Facts) })
      .parse(answer)
      .downloads.map(bothSpellings);
    return { downloads, count: downloads.length, includeInactive: fields?.includeInactive === true };
  },
  'lmx.progress': (answer) => bothSpellings(Facts.parse(answer)),
  'lmx.load': loading,
  'lmx.confirm': loading,
  'lmx.unload': (answer, { fields }) => {
    const freed_bytes = Freed.parse(answer).memory_freed_gb;
    return { model_id: fields?.modelId, status: 'unloaded', freed_bytes };
  },
  'lmx.delete': (answer, { item }) => ({ modelId: item, freedBytes: Freed.parse(answer).freed_bytes }),
};

/** Throws `lmx-protocol`. */
export const readAnswer: Read = (answer, call, at) => {
  try {
    return READS[call.id]?.(answer, call, at) ?? Body.parse(answer);
  } catch (cause) {
    const details = cause instanceof z.ZodError ? { details: cause.issues } : {};
    throw new OptaError('lmx-protocol', 'answered with something that is not understood', details);
  }
};
