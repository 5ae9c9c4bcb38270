import { z } from 'zod';
import { askHost, configOf, hostPlace, ifAdmin, ifKnown } from './lmx-host.ts';
import { resolveModel } from './model-names.ts';
import { readRecords } from './model-records.ts';
import type { OperationWorld } from './operation.ts';

/** One line of `opta models list`. */
export interface ModelRow {
  id: string;
  status: string;
  contextLength: number | null;
  memoryBytes: number | null;
  isDefault: boolean;
}

export const LoadedSchema = z.looseObject({
  model_id: z.string(),
  status: z.string(),
  memory_bytes: z.number().optional(),
  context_length: z.number().optional(),
  request_count: z.number().optional(),
});
type Loaded = z.infer<typeof LoadedSchema>;
const ServedSchema = z.looseObject({
  data: z.array(z.looseObject({ id: z.string(), owned_by: z.string().optional() })),
});

/** What is loaded, by the administration; by the list that every server has, where there is none. */
export const loadedModels = async (world: OperationWorld): Promise<Loaded[]> => {
  const known = await ifAdmin(askHost(world, 'lmx.models'));
  if (known !== undefined) return z.array(LoadedSchema).parse(known.models);
  const { data } = ServedSchema.parse(await askHost(world, 'lmx.served'));
  return data.filter((m) => m.owned_by !== EMBEDS).map((m) => ({ model_id: m.id, status: 'loaded' }));
};

const EMBEDS = 'local-embedding';

/** The model that the server lists for vectors; undefined when it lists none. */
export const servedEmbedder = async (world: OperationWorld): Promise<string | undefined> =>
  ServedSchema.parse(await askHost(world, 'lmx.served')).data.find((m) => m.owned_by === EMBEDS)?.id;

const OnDiskSchema = z.array(z.looseObject({ repo_id: z.string(), size_bytes: z.number().nullish() }));
export type OnDisk = z.infer<typeof OnDiskSchema>[number];

/** What is on the host's disk. Throws `lmx-no-admin` and `lmx-unauthorized`. */
export const modelsOnDisk = async (world: OperationWorld): Promise<OnDisk[]> =>
  OnDiskSchema.parse(await askHost(world, 'lmx.available'));

const defaultModel = (world: OperationWorld): string => configOf(world).config.model.default;

const rowOf = (m: Loaded, chosen: string): ModelRow => ({
  id: m.model_id,
  status: m.status,
  contextLength: m.context_length ?? null,
  memoryBytes: m.memory_bytes ?? null,
  isDefault: m.model_id === chosen,
});

/** Loaded models; `full` adds those that are only on the host's disk. */
export const listModels = async (world: OperationWorld, full = false): Promise<ModelRow[]> => {
  const chosen = defaultModel(world);
  const loaded = await loadedModels(world);
  const onDisk = full ? ((await ifAdmin(modelsOnDisk(world))) ?? []) : [];
  const rest = onDisk.filter((d) => !loaded.some((m) => m.model_id === d.repo_id));
  return [
    ...loaded.map((m) => rowOf(m, chosen)),
    ...rest.map((d) => ({ ...rowOf({ model_id: d.repo_id, status: 'on-disk' }, chosen) })),
  ];
};

const MemorySchema = z.looseObject({
  used_gb: z.number().optional(),
  total_gb: z.number().optional(),
  total_unified_memory_gb: z.number().optional(),
});

export const dashboard = async (world: OperationWorld) => {
  const loaded = await loadedModels(world);
  const onDisk = (await ifAdmin(modelsOnDisk(world))) ?? [];
  const memory = await ifKnown(askHost(world, 'lmx.memory'));
  const { aliases, history } = readRecords(world.paths);
  const chosen = defaultModel(world);
  const known = new Set([...loaded.map((m) => m.model_id), ...onDisk.map((d) => d.repo_id)]);
  return {
    defaultModel: chosen,
    defaultLoaded: loaded.some((m) => m.model_id === chosen),
    counts: {
      loaded: loaded.length,
      onDisk: onDisk.length,
      historyOnly: history.filter((entry) => !known.has(entry.id)).length,
      aliases: Object.keys(aliases).length,
    },
    memory: memory === undefined ? null : memoryOf(memory),
    loaded: loaded.map((m) => {
      const { id, contextLength, memoryBytes, isDefault } = rowOf(m, chosen);
      return { id, contextLength, memoryBytes, requestCount: m.request_count ?? null, isDefault };
    }),
    aliases,
  };
};

const memoryOf = (said: unknown): { usedGb: number; totalGb: number; percent: number } | null => {
  const { used_gb: usedGb, total_gb, total_unified_memory_gb } = MemorySchema.parse(said);
  const totalGb = total_unified_memory_gb ?? total_gb;
  if (usedGb === undefined || totalGb === undefined || totalGb <= 0) return null;
  return { usedGb, totalGb, percent: Math.round((usedGb / totalGb) * 1_000) / 10 };
};

/** One loaded model: what the host says of it, and how it is run; null where nobody can tell. */
export const modelInfo = async (world: OperationWorld, name: string) => {
  const loaded = await loadedModels(world);
  const { aliases } = readRecords(world.paths);
  const ids = loaded.map((m) => m.model_id);
  const id = resolveModel(name, ids, aliases, 'is loaded');
  const performance = await ifKnown(askHost(world, 'lmx.performance', { params: { id } }));
  const model = loaded.find((m) => m.model_id === id) as Loaded;
  return { model: { ...model, ...rowOf(model, defaultModel(world)) }, performance: performance ?? null };
};

/** What the host says of its health. A server that is no LMX is alive when it lists its models. */
export const hostHealth = async (world: OperationWorld, want: { ready?: boolean; admin?: boolean }) => {
  const { host, port } = await hostPlace(world);
  return {
    host,
    port,
    liveness: await liveness(world),
    ...(want.ready ? { ready: await readiness(world) } : {}),
    ...(want.admin ? { admin: await askHost(world, 'lmx.health') } : {}),
  };
};

export const liveness = async (world: OperationWorld): Promise<object> => {
  const own = await ifKnown(askHost(world, 'lmx.live'));
  if (own !== undefined) return own;
  await askHost(world, 'lmx.served');
  return { status: 'ok' };
};

const readiness = async (world: OperationWorld): Promise<{ status: number; body: unknown }> => {
  const own = await ifKnown(askHost(world, 'lmx.ready'));
  if (own !== undefined) return own;
  const { data } = ServedSchema.parse(await askHost(world, 'lmx.served'));
  return { status: data.length > 0 ? 200 : 503, body: null };
};
