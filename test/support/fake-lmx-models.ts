import { type FakeAdmin, type FakeAnswer, fakeAdmin, type SeenAdminCall } from './fake-lmx-admin.ts';

/** A fake LMX that loads, unloads, downloads and deletes: what was done is seen in what it lists. */
export interface FakeModels {
  readonly admin: FakeAdmin;
  loaded: string[];
  onDisk: string[];
  /** Looks at a load that is under way before it is done. */
  looks: number;
  /** Says this to a load instead. */
  onLoad: FakeAnswer | null;
}

const GB = 1_000_000_000;
const ok = (body: unknown): FakeAnswer => ({ status: 200, body });
const refused = (status: number, code: string, message: string): FakeAnswer => ({
  status,
  body: { error: { message, code, type: 'invalid_request_error', param: null } },
});

export const fakeModels = (loaded: string[], onDisk: string[]): FakeModels => {
  const admin = fakeAdmin();
  const models: FakeModels = { admin, loaded, onDisk, looks: 0, onLoad: null };
  admin.reply = (call) => answer(models, call);
  return models;
};

const answer = (m: FakeModels, { method, path, body }: SeenAdminCall): FakeAnswer | undefined => {
  const { model_id = '', repo_id = '' } = (body ?? {}) as { model_id?: string; repo_id?: string };
  switch (`${method} ${path}`) {
    case 'GET /admin/models':
      return ok({ loaded: m.loaded.map(describe), count: m.loaded.length });
    case 'GET /admin/models/available':
      return ok(m.onDisk.map((id) => ({ repo_id: id, local_path: `/m/${id}`, size_bytes: 5 * GB, downloaded_at: 1 })));
    case 'POST /admin/models/load':
      if (m.onLoad) return m.onLoad;
      m.loaded.push(model_id);
      return ok({ success: true, model_id, memory_after_load_gb: 12, time_to_load_ms: 1_500 });
    case 'POST /admin/models/unload':
      if (!m.loaded.includes(model_id)) return refused(404, 'model_not_found', `Model '${model_id}' is not loaded`);
      m.loaded = m.loaded.filter((id) => id !== model_id);
      return ok({ success: true, model_id, memory_freed_gb: 4.5 });
    case 'POST /admin/models/download':
      if (repo_id === 'no/downloads') return refused(403, 'downloads_disabled', 'Downloads are disabled');
      m.onDisk.push(repo_id);
      m.looks = 2;
      return ok({ download_id: 'dl_1', repo_id, estimated_size_bytes: 2 * GB, status: 'downloading' });
    case 'GET /admin/models/download/dl_1/progress':
      m.looks -= 1;
      return ok({
        download_id: 'dl_1',
        status: m.looks > 0 ? 'downloading' : 'completed',
        progress_percent: m.looks > 0 ? 50 : 100,
        downloaded_bytes: m.looks > 0 ? GB : 2 * GB,
        total_bytes: 2 * GB,
        error: null,
      });
    case 'GET /admin/memory':
      return ok({ total_unified_memory_gb: 512, used_gb: 128, available_gb: 384, threshold_percent: 90, models: {} });
    default:
      return method === 'DELETE' ? deleted(m, path) : undefined;
  }
};

const deleted = (m: FakeModels, path: string): FakeAnswer => {
  const id = decodeURIComponent(path.slice('/admin/models/'.length));
  if (m.loaded.includes(id)) return refused(409, 'model_in_use', `Model '${id}' is loaded`);
  m.onDisk = m.onDisk.filter((other) => other !== id);
  return ok({ success: true, model_id: id, freed_bytes: 5 * GB });
};

const describe = (id: string) => ({
  id,
  loaded: true,
  memory_gb: 4.5,
  loaded_at: 1_760_000_000,
  request_count: 3,
  context_length: 32_768,
});
