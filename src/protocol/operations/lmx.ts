import { z } from 'zod';
import { none, type Operation, read } from './operation.ts';

/** What any route of the inference host may answer besides `COMMON_ERRORS`; see `QuotedError` for how they look on the wire. */
const ERRORS = [
  'lmx-connection-refused',
  'lmx-timeout',
  'lmx-ws-closed',
  'lmx-unauthorized',
  'lmx-untrusted',
  'lmx-busy',
  'lmx-out-of-memory',
  'lmx-protocol',
  'lmx-request-rejected',
  'no-model-loaded',
  'loopback-only',
] as const;

const lmxRead = { ...read, errors: ERRORS } as const;
const lmxWrite = {
  method: 'POST',
  params: none,
  query: none,
  status: 200,
  errors: [...ERRORS, 'outcome-unknown', 'host-policy', 'read-only-token', 'invalid-json', 'unsupported-media-type'],
  safety: 'write',
} as const;

/** Checked by the handler: an absent or empty one is told in the words that existing clients know. */
const name = z.string().max(512).optional();
/** Members that are not written here are passed on as the inference host said them. */
const model = z.looseObject({ model_id: z.string(), status: z.string() });

/** The inference host, seen through the daemon: its state, its models, and their coming and going. */
export const LMX_OPERATIONS = {
  'lmx.status': {
    ...lmxRead,
    summary: 'State of the inference host',
    paths: ['/v3/lmx/status'],
    response: z.looseObject({ status: z.literal('ok'), models: z.array(model) }),
  },
  'lmx.discovery': {
    ...lmxRead,
    summary: 'What the inference host says it is, and the address under which the daemon asked',
    paths: ['/v3/lmx/discovery'],
    response: z.looseObject({ target: z.object({ host: z.string(), port: z.number().int() }).loose() }),
  },
  'lmx.models': {
    ...lmxRead,
    summary: 'Loaded models, as of at most a few seconds ago; 304 when the `ETag` is known',
    paths: ['/v3/lmx/models'],
    query: z.object({ ifNoneMatch: z.string().max(1_024).optional() }),
    headers: { 'if-none-match': 'ifNoneMatch' },
    response: z.object({ models: z.array(model) }),
  },
  'lmx.memory': {
    ...lmxRead,
    summary: 'Memory of the inference host, and of each model',
    paths: ['/v3/lmx/memory'],
    response: z.looseObject({}),
  },
  'lmx.available': {
    ...lmxRead,
    summary: 'Models on the disk of the inference host, as a bare array',
    paths: ['/v3/lmx/models/available'],
    response: z.array(z.looseObject({})),
  },
  'lmx.downloads': {
    ...lmxRead,
    summary: 'Downloads that run, or all that are remembered',
    paths: ['/v3/lmx/models/downloads'],
    query: z.object({ includeInactive: z.string().optional() }),
    response: z.object({
      downloads: z.array(z.looseObject({})),
      count: z.number().int(),
      includeInactive: z.boolean(),
    }),
  },
  'lmx.progress': {
    ...lmxRead,
    summary: 'How far a download is; each field in both spellings',
    paths: ['/v3/lmx/models/download/:id/progress'],
    params: z.object({ id: z.string() }),
    response: z.looseObject({}),
  },
  'lmx.load': {
    ...lmxWrite,
    summary: 'Load a model; answered when it is loaded, or when a download has to come first',
    paths: ['/v3/lmx/models/load'],
    body: z.object({
      modelId: name,
      backend: z.string().max(64).optional(),
      autoDownload: z.boolean().optional(),
      performanceOverrides: z.record(z.string(), z.unknown()).optional(),
      keepAliveSec: z.number().min(0).optional(),
      allowUnsupportedRuntime: z.boolean().optional(),
    }),
    response: model,
  },
  'lmx.confirm': {
    ...lmxWrite,
    summary: 'Confirm the download that a load has asked for',
    paths: ['/v3/lmx/models/load/confirm'],
    body: z.object({ confirmationToken: name, confirmation_token: name }),
    response: model,
  },
  'lmx.unload': {
    ...lmxWrite,
    summary: 'Unload a model',
    paths: ['/v3/lmx/models/unload'],
    body: z.object({ modelId: name }),
    response: model,
  },
  'lmx.download': {
    ...lmxWrite,
    summary: 'Begin to download a model',
    paths: ['/v3/lmx/models/download'],
    body: z.object({
      repoId: name,
      revision: z.string().max(256).optional(),
      allowPatterns: z.array(z.string().max(256)).max(100).optional(),
      ignorePatterns: z.array(z.string().max(256)).max(100).optional(),
    }),
    response: z.looseObject({}),
  },
  'lmx.delete': {
    ...lmxWrite,
    summary: 'Delete a model from the disk of the inference host',
    method: 'DELETE',
    paths: ['/v3/lmx/models/:id'],
    params: z.object({ id: z.string() }),
    body: null,
    response: z.looseObject({ modelId: z.string() }),
  },
} as const satisfies Record<string, Operation>;
