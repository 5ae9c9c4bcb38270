import { z } from 'zod';
import { ERRORS, type ErrorCode } from '../errors.ts';
import { type Operation, read } from './operation.ts';

const fromLmx = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => code.startsWith('lmx-'));
/** What any route of the inference host may answer besides `COMMON_ERRORS`; see `QuotedError` for how it looks on the wire. */
const READ_ERRORS: readonly ErrorCode[] = [...fromLmx, 'no-model-loaded', 'loopback-only'];
const COMPUTE_ERRORS: readonly ErrorCode[] = [
  ...READ_ERRORS,
  'read-only-token',
  'invalid-json',
  'unsupported-media-type',
];
const CHANGE_ERRORS: readonly ErrorCode[] = [...COMPUTE_ERRORS, 'outcome-unknown', 'host-policy'];

/** What LMX says is passed on; members that are not written here too. */
const Said = z.looseObject({});
/** Passed on as it is, whatever JSON it may be. */
const AsItIs = z.unknown();
const Model = z.looseObject({ model_id: z.string(), status: z.string() });
/** Checked by the handler: an absent or empty one is told in the words that existing clients know. */
const name = z.string().max(512).optional();
const item = z.object({ id: z.string() });

const get = <R extends z.ZodType>(path: string, summary: string, response: R) =>
  ({ ...read, paths: [`/v3/lmx/${path}`], summary, response, errors: READ_ERRORS, quotes: ['4XX', '502'] }) as const;
/** Has the models compute something, and changes none of them: the host policy has no say in it. */
const compute = (path: string, summary: string) =>
  ({ ...get(path, summary, Said), method: 'POST', errors: COMPUTE_ERRORS, safety: 'write' }) as const;
const change = <R extends z.ZodType>(path: string, summary: string, response: R) =>
  ({ ...get(path, summary, response), method: 'POST', errors: CHANGE_ERRORS, safety: 'write' }) as const;

/** The inference host, seen through the daemon. Below `/v3/lmx` the paths are those of LMX below `/admin`. */
export const LMX_OPERATIONS = {
  'lmx.status': get('status', 'State of the inference host', z.looseObject({ models: z.array(Model) })),
  'lmx.discovery': get('discovery', 'What the inference host says it is, and where the daemon looks for it', Said),
  'lmx.models': {
    ...get('models', 'Loaded models; 304 when the `ETag` is known', z.object({ models: z.array(Model) })),
    query: z.object({ ifNoneMatch: z.string().max(1_024).optional() }),
    headers: { 'if-none-match': 'ifNoneMatch' },
  },
  'lmx.memory': get('memory', 'Memory of the inference host, and of each model', Said),
  'lmx.available': get('models/available', 'Models on its disk, as a bare array', z.array(Said)),
  'lmx.downloads': {
    ...get('models/downloads', 'Downloads that run, or all that are remembered', Said),
    query: z.object({ includeInactive: z.string().optional() }),
  },
  'lmx.progress': {
    ...get('models/download/:id/progress', 'How far a download is; each field in both spellings', Said),
    params: item,
  },
  'lmx.load': {
    ...change('models/load', 'Load a model; answered when it is loaded, or when a download has to come first', Model),
    body: z.object({
      modelId: name,
      backend: z.string().max(64).optional(),
      autoDownload: z.boolean().optional(),
      performanceOverrides: z.record(z.string(), z.unknown()).optional(),
      keepAliveSec: z.number().min(0).optional(),
      allowUnsupportedRuntime: z.boolean().optional(),
    }),
  },
  'lmx.confirm': {
    ...change('models/load/confirm', 'Confirm the download that a load has asked for', Model),
    body: z
      .object({ confirmationToken: name, confirmation_token: name })
      .transform((b) => ({ confirmationToken: b.confirmationToken ?? b.confirmation_token })),
  },
  'lmx.unload': { ...change('models/unload', 'Unload a model', Model), body: z.object({ modelId: name }) },
  'lmx.download': {
    ...change('models/download', 'Begin to download a model', Said),
    body: z.object({
      repoId: name,
      revision: z.string().max(256).optional(),
      allowPatterns: z.array(z.string().max(256)).max(100).optional(),
      ignorePatterns: z.array(z.string().max(256)).max(100).optional(),
    }),
  },
  'lmx.delete': {
    ...change('models/:id', 'Delete a model from its disk', Said),
    method: 'DELETE',
    params: item,
  },
  'lmx.served': get('served', 'Models as any OpenAI-compatible server lists them', Said),
  'lmx.live': get('live', 'Whether it answers', Said),
  'lmx.ready': get(
    'ready',
    'Whether it can serve: its own status, 200 or 503, and body',
    z.object({ status: z.number(), body: z.unknown() }),
  ),
  'lmx.health': get('health', 'Its health, for whoever administers it', Said),
  'lmx.device': get('device', 'The machine that it runs on', Said),
  'lmx.stack': get('stack', 'Its roles, backends and helper nodes', Said),
  'lmx.performance': { ...get('models/:id/performance', 'How a loaded model is run', Said), params: item },
  'lmx.predictor': get('predictor', 'What its load predictor has seen', Said),
  'lmx.helpers': get('helpers', 'Its helper nodes', Said),
  'lmx.quantizations': get('quantize', 'Quantization jobs', AsItIs),
  'lmx.quantization': { ...get('quantize/:id', 'One quantization job', Said), params: item },
  'lmx.agents': get('agents', 'Agent runs', AsItIs),
  'lmx.agent': { ...get('agents/:id', 'One agent run', Said), params: item },
  'lmx.skills': get('skills', 'Skills', AsItIs),
  'lmx.skill': { ...get('skills/:id', 'One skill', Said), params: item },
  'lmx.tools': get('tools', 'Skills as MCP tools', AsItIs),
  'lmx.collections': get('collections', 'Collections of documents', AsItIs),
  'lmx.embeddings': {
    ...compute('embeddings', 'Vectors for texts'),
    body: z.object({
      input: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(2_048)]),
      model: z.string().min(1).max(512),
    }),
  },
  'lmx.rerank': {
    ...compute('rerank', 'Documents in the order in which they fit a query'),
    body: z.object({
      query: z.string().min(1),
      documents: z.array(z.string()).min(1).max(1_000),
      model: z.string().min(1).max(512),
      topN: z.number().int().min(1).optional(),
    }),
  },
} as const satisfies Record<string, Operation>;

export type LmxOperationId = keyof typeof LMX_OPERATIONS;
