import { z } from 'zod';
import { LIMITS } from '../actors/limits.ts';
import type { LmxChange, LmxRead } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import type { Address } from './probe.ts';

/** One call of LMX's administration: what is sent, how long a try may take, and what its answer means here. */
export interface Call {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  body?: object;
  deadlineMs: number;
  /** Throws `lmx-protocol`. */
  read(answer: unknown): unknown;
}

/** LMX counts in GB. Clients of v3 were always given a thousand million bytes for one. */
const BYTES_PER_GB = 1_000_000_000;
const bytes = (gb: number | null | undefined): number | undefined =>
  typeof gb === 'number' ? Math.round(gb * BYTES_PER_GB) : undefined;

export const callOf = (asked: LmxRead | LmxChange, at: Address): Call => {
  switch (asked.ask) {
    case 'status':
      return quick('/admin/status', reads(Status, status));
    case 'discovery':
      return quick('/.well-known/opta-lmx', (answer) => ({ ...reads(Facts)(answer), target: targetOf(at) }));
    case 'models':
      return quick('/admin/models', reads(Models, models));
    case 'memory':
      return quick('/admin/memory', reads(Facts));
    case 'available':
      return slow('/admin/models/available', reads(z.array(Facts)));
    case 'downloads': {
      const query = asked.includeInactive ? '?include_inactive=true' : '';
      return slow(`/admin/models/downloads${query}`, (answer) => {
        const downloads = reads(Downloads)(answer).downloads.map(bothSpellings);
        return { downloads, count: downloads.length, includeInactive: asked.includeInactive };
      });
    }
    case 'progress':
      return slow(
        `/admin/models/download/${encodeURIComponent(asked.downloadId)}/progress`,
        reads(Facts, bothSpellings),
      );
    case 'load': {
      const { backend, autoDownload, performanceOverrides, keepAliveSec, allowUnsupportedRuntime } = asked.options;
      const body = {
        model_id: asked.modelId,
        backend,
        auto_download: autoDownload,
        performance_overrides: performanceOverrides,
        keep_alive_sec: keepAliveSec,
        allow_unsupported_runtime: allowUnsupportedRuntime,
      };
      return post('/admin/models/load', body, reads(Loading, loaded(asked.modelId)));
    }
    case 'confirm':
      return post(
        '/admin/models/load/confirm',
        { confirmation_token: asked.confirmationToken },
        reads(Loading, loaded('')),
      );
    case 'unload':
      return post(
        '/admin/models/unload',
        { model_id: asked.modelId },
        reads(Freed, ({ memory_freed_gb }) => ({
          model_id: asked.modelId,
          status: 'unloaded',
          freed_bytes: bytes(memory_freed_gb),
        })),
      );
    case 'download': {
      const { revision, allowPatterns, ignorePatterns } = asked.options;
      const body = { repo_id: asked.repoId, revision, allow_patterns: allowPatterns, ignore_patterns: ignorePatterns };
      return post('/admin/models/download', body, reads(Facts));
    }
    case 'delete': {
      const gone = reads(Freed, ({ freed_bytes }) => ({
        modelId: asked.modelId,
        freedBytes: freed_bytes ?? undefined,
      }));
      const path = `/admin/models/${encodeURIComponent(asked.modelId)}`;
      return { method: 'DELETE', path, deadlineMs: LIMITS.lmxChangeMs, read: gone };
    }
  }
};

type Read = Call['read'];
const quick = (path: string, read: Read): Call => ({ method: 'GET', path, deadlineMs: LIMITS.lmxQuickMs, read });
/** It looks at disks, or counts what passes through the network. */
const slow = (path: string, read: Read): Call => ({ method: 'GET', path, deadlineMs: LIMITS.lmxReadMs, read });
const post = (path: string, body: object, read: Read): Call => ({
  method: 'POST',
  path,
  body,
  deadlineMs: LIMITS.lmxChangeMs,
  read,
});

/** Of an answer only what is used is checked. */
const reads =
  <T, R = T>(schema: z.ZodType<T>, into: (value: T) => R = (value) => value as unknown as R) =>
  (answer: unknown): R => {
    const found = schema.safeParse(answer);
    if (found.success) return into(found.data);
    throw new OptaError('lmx-protocol', 'answered with something that is not understood', {
      details: found.error.issues,
    });
  };

const number = z.number().nullish();
const Facts = z.looseObject({});
type Facts = z.infer<typeof Facts>;

const Status = z.looseObject({
  version: z.string().optional(),
  uptime_seconds: number,
  models: z.array(z.string()).default([]),
  memory: z.looseObject({ used_gb: number, total_gb: number, threshold_percent: number }).optional(),
});
const status = (s: z.infer<typeof Status>) => ({
  status: 'ok',
  version: s.version,
  uptime_seconds: s.uptime_seconds ?? undefined,
  models: s.models.map((model_id) => ({ model_id, status: 'loaded' })),
  memory: s.memory && {
    used_bytes: bytes(s.memory.used_gb),
    total_bytes: bytes(s.memory.total_gb),
    threshold: s.memory.threshold_percent ?? undefined,
  },
});

const Models = z.looseObject({
  loaded: z.array(
    z.looseObject({
      id: z.string(),
      memory_gb: number,
      context_length: number,
      /** Seconds since the epoch. */
      loaded_at: number,
      request_count: number,
    }),
  ),
});
const models = ({ loaded: list }: z.infer<typeof Models>) => ({
  models: list.map((m) => ({
    model_id: m.id,
    status: 'loaded',
    memory_bytes: bytes(m.memory_gb),
    context_length: m.context_length ?? undefined,
    loaded_at: isoOf(m.loaded_at),
    request_count: m.request_count ?? undefined,
  })),
});

const isoOf = (seconds: number | null | undefined): string | undefined => {
  const at = new Date(typeof seconds === 'number' ? seconds * 1000 : Number.NaN);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
};

const Downloads = z.looseObject({ downloads: z.array(Facts) });
const Freed = z.looseObject({ memory_freed_gb: number, freed_bytes: number });

/** Loaded by now, or what has to come first: a confirmation, a download. */
const Loading = z.looseObject({
  status: z.string().default('loaded'),
  model_id: z.string().optional(),
  memory_after_load_gb: number,
  time_to_load_ms: number,
});
const loaded =
  (asked: string) =>
  ({ success: _, memory_after_load_gb, time_to_load_ms, model_id = asked, ...rest }: z.infer<typeof Loading>) => ({
    model_id,
    ...rest,
    memory_bytes: bytes(memory_after_load_gb),
    load_time_seconds: typeof time_to_load_ms === 'number' ? time_to_load_ms / 1000 : undefined,
  });

/** Existing clients read either: `downloadId` and `download_id`. */
const bothSpellings = (facts: Facts): Facts => ({
  ...Object.fromEntries(
    Object.entries(facts).map(([name, value]) => [name.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase()), value]),
  ),
  ...facts,
});

const targetOf = ({ host, port }: Address) => ({ host, port, fallbackHosts: [], autoDiscover: false });
