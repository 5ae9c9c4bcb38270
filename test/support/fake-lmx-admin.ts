import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FakeLmxOptions } from './fake-lmx.ts';

/** What the administration was asked for. */
export interface SeenAdminCall {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: unknown;
}

export interface FakeAnswer {
  status: number;
  body: unknown;
  headers?: object;
}

export interface FakeAdmin {
  /** To be given to `startFakeLmx`. */
  readonly options: FakeLmxOptions;
  readonly seen: SeenAdminCall[];
  /** `METHOD path body` of each call, in order. */
  lines(): string[];
  /** Every call is answered with this; 0: cut without an answer. */
  fail: FakeAnswer | null;
  /** How many calls `fail` holds for; the rest succeed. */
  failTimes: number;
  delayMs: number;
  /** Over the usual answer. */
  reply: ((call: SeenAdminCall) => FakeAnswer | undefined) | null;
}

/** The administration of a fake LMX on which `fake-model` is loaded. */
export const fakeAdmin = (): FakeAdmin => {
  const admin: FakeAdmin = {
    options: { discovery: DISCOVERY, onHttp: (req, res, body) => take(admin, req, res, body) },
    seen: [],
    lines: () => admin.seen.map((c) => `${c.method} ${c.path} ${JSON.stringify(c.body)}`),
    fail: null,
    failTimes: Number.POSITIVE_INFINITY,
    delayMs: 0,
    reply: null,
  };
  return admin;
};

const take = (admin: FakeAdmin, req: IncomingMessage, res: ServerResponse, text: string): boolean => {
  const path = req.url ?? '';
  if (!path.startsWith('/admin/') && !Object.hasOwn(ANSWERS, `${req.method} ${path}`)) return false;
  const body: unknown = text === '' ? null : JSON.parse(text);
  const call: SeenAdminCall = { method: req.method ?? '', path, headers: req.headers, body };
  admin.seen.push(call);
  void answer(admin, call, res);
  return true;
};

const answer = async (admin: FakeAdmin, call: SeenAdminCall, res: ServerResponse): Promise<void> => {
  if (admin.delayMs > 0) await sleep(admin.delayMs);
  const fails = admin.failTimes > 0 ? admin.fail : null;
  if (fails) admin.failTimes -= 1;
  if (fails?.status === 0) {
    res.socket?.destroy();
    return;
  }
  const { status, body, headers = {} } = fails ?? admin.reply?.(call) ?? usual(call);
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
};

const usual = ({ method, path, body }: SeenAdminCall): FakeAnswer => {
  const url = new URL(path, 'http://lmx');
  const exact = ANSWERS[`${method} ${url.pathname}`];
  if (exact) return { status: 200, body: exact(body as { [name: string]: unknown } | null) };
  if (method === 'POST' && url.pathname === '/admin/models/unload') return unload(body);
  if (/^\/admin\/models\/download\/[^/]+\/progress$/.test(url.pathname)) return { status: 200, body: PROGRESS };
  if (method === 'DELETE' && url.pathname.startsWith('/admin/models/')) {
    const model_id = decodeURIComponent(url.pathname.slice('/admin/models/'.length));
    return { status: 200, body: { success: true, model_id, freed_bytes: 123 } };
  }
  return { status: 404, body: { error: { message: `Not found: ${path}`, code: 'not_found' } } };
};

const unload = (body: unknown): FakeAnswer => {
  const model_id = (body as { model_id?: unknown } | null)?.model_id;
  return model_id === 'fake-model'
    ? { status: 200, body: { success: true, model_id, memory_freed_gb: 1.5 } }
    : { status: 404, body: { error: { message: `Model '${model_id}' is not loaded`, code: 'model_not_found' } } };
};

const MEMORY = { total_gb: 64, used_gb: 8, available_gb: 56, usage_percent: 12.5, threshold_percent: 90 };
const MODEL = {
  id: 'fake-model',
  loaded: true,
  memory_gb: 1.5,
  loaded_at: 1_760_000_000,
  use_batching: false,
  request_count: 0,
  last_used_at: 1_760_000_000,
  context_length: 32_768,
};
const PROGRESS = {
  download_id: 'dl_1',
  repo_id: 'org/other-model',
  status: 'downloading',
  progress_percent: 50,
  downloaded_bytes: 500,
  total_bytes: 1_000,
  files_completed: 1,
  files_total: 2,
};

const ANSWERS: { [call: string]: (body: { [name: string]: unknown } | null) => unknown } = {
  'GET /admin/status': () => ({
    version: '0.0.0-fake',
    uptime_seconds: 1,
    loaded_models: 1,
    models: ['fake-model'],
    memory: MEMORY,
  }),
  'GET /admin/models': () => ({ loaded: [MODEL], count: 1 }),
  'GET /admin/memory': () => ({ ...MEMORY, models: { 'fake-model': { memory_gb: 1.5, loaded: true } } }),
  'GET /admin/models/available': () => [
    { repo_id: 'org/other-model', local_path: '/models/other', size_bytes: 123, downloaded_at: 1_760_000_000 },
  ],
  'GET /admin/models/downloads': () => ({ downloads: [] }),
  'GET /healthz': () => ({ status: 'ok', version: '0.0.0-fake' }),
  'GET /readyz': () => ({ status: 'ready', version: '0.0.0-fake', models_loaded: 1 }),
  'GET /admin/health': () => ({ status: 'ok', memory_usage_percent: 12.5, models_loaded: 1, in_flight_requests: 0 }),
  'GET /admin/device': () => ({ hardware: { hostname: 'fake', memory_gb: 64 }, identity: { name: 'Fake' } }),
  'GET /admin/stack': () => ({ roles: {}, helper_nodes: {}, loaded_models: ['fake-model'], default_model: null }),
  'GET /admin/models/fake-model/performance': () => ({
    model_id: 'fake-model',
    backend_type: 'fake',
    request_count: 0,
  }),
  'GET /admin/predictor': () => ({ total_accesses: 3, unique_models: 1, predicted_next: null }),
  'GET /admin/helpers': () => ({ configured_count: 0, all_healthy: true }),
  'GET /admin/quantize': () => ({ jobs: [] }),
  'GET /admin/quantize/q_1': () => ({ id: 'q_1', status: 'completed' }),
  'GET /v1/skills': () => [{ name: 'shout', version: 1 }],
  'GET /v1/skills/shout': () => ({ name: 'shout', description: 'Says it louder' }),
  'GET /v1/skills/mcp/tools': () => ({ tools: [] }),
  'GET /v1/agents/runs': () => ({ runs: [], total: 0 }),
  'GET /v1/agents/runs/r_1': () => ({ id: 'r_1', status: 'completed' }),
  'GET /v1/rag/collections': () => ({ collections: [] }),
  'POST /v1/embeddings': (body) => ({
    object: 'list',
    data: [{ object: 'embedding', embedding: [0.25, -0.5], index: 0 }],
    model: body?.model,
    usage: { prompt_tokens: 2, total_tokens: 2 },
  }),
  'POST /v1/rerank': (body) => ({
    results: ((body?.documents ?? []) as string[])
      .map((text, index) => ({ index, relevance_score: text.length / 100, document: { text } }))
      .sort((a, b) => b.relevance_score - a.relevance_score)
      .slice(0, (body?.top_n as number | undefined) ?? 1_000),
    model: body?.model,
    usage: { total_tokens: 7 },
  }),
  'POST /admin/models/load': (body) => ({
    success: true,
    model_id: body?.model_id,
    memory_after_load_gb: 3,
    time_to_load_ms: 1_500,
  }),
  'POST /admin/models/load/confirm': () => ({
    status: 'downloading',
    model_id: 'org/other-model',
    download_id: 'dl_1',
  }),
  'POST /admin/models/download': (body) => ({
    download_id: 'dl_1',
    repo_id: body?.repo_id,
    estimated_size_bytes: 1_000,
    status: 'downloading',
  }),
};

const DISCOVERY = {
  schema_version: '2026-03-02',
  instance_id: 'fake:1',
  continuity: { event_resume_supported: true },
  version: '0.0.0-fake',
  security_profile: 'lan',
  ready: true,
  loaded_model_count: 1,
  in_flight_requests: 0,
  auth: { admin_key_required: false, inference_key_required: false, supabase_jwt_enabled: false },
  endpoints: {
    preferred_base_url: 'http://127.0.0.1:1',
    base_urls: ['http://127.0.0.1:1'],
    openai_base_url: 'http://127.0.0.1:1/v1',
    admin_base_url: 'http://127.0.0.1:1/admin',
    websocket_url: 'ws://127.0.0.1:1/v1/chat/stream',
  },
};
