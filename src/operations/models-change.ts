import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { setKey } from '../config/edit.ts';
import { OptaError } from '../protocol/errors.ts';
import { askHost, configOf, ifAdmin, requireChange } from './lmx-host.ts';
import { resolveModel } from './model-names.ts';
import { type ModelAction, readRecords, remember } from './model-records.ts';
import { loadedModels, modelsOnDisk } from './models-read.ts';
import type { OperationWorld } from './operation.ts';

/** Told now and then how a long change goes. */
export type Tell = (text: string) => void;

const note = (world: OperationWorld, id: string, action: ModelAction): Promise<void> =>
  remember(world.paths, id, action);
const aliasesOf = (world: OperationWorld) => readRecords(world.paths).aliases;
const loadedIds = async (world: OperationWorld): Promise<string[]> =>
  (await loadedModels(world)).map((m) => m.model_id);

/** Names that an action can be about: what is loaded, then what is on disk. */
export const CANDIDATES = {
  loaded: loadedIds,
  onDisk: async (world: OperationWorld): Promise<string[]> => (await modelsOnDisk(world)).map((d) => d.repo_id),
  any: async (world: OperationWorld): Promise<string[]> => {
    const loaded = await loadedIds(world);
    const onDisk = (await ifAdmin(modelsOnDisk(world))) ?? [];
    return [...new Set([...loaded, ...onDisk.map((d) => d.repo_id)])];
  },
};

/** Makes a model the one of new sessions. It need not be loaded. */
export const useModel = async (world: OperationWorld, name: string) => {
  const loaded = await loadedIds(world);
  const id = resolveModel(name, await CANDIDATES.any(world), aliasesOf(world), 'is loaded or on the disk of the host');
  const { before } = await setKey(world.paths, world.env, 'model.default', id);
  await note(world, id, 'use');
  const { config, sourceOf } = configOf(world);
  return {
    model: id,
    previous: typeof before === 'string' && before !== '' ? before : null,
    loaded: loaded.includes(id),
    /** Another one where a variable or a flag says so. */
    effective: config.model.default,
    source: sourceOf('model.default').kind,
  };
};

/** A model that takes longer to load than this is still being loaded when we stop waiting. */
export const LOAD_MS = 300_000;
const POLL_MS = 500;

const LoadingSchema = z.looseObject({
  model_id: z.string(),
  status: z.string(),
  memory_bytes: z.number().optional(),
  load_time_seconds: z.number().optional(),
  confirmation_token: z.string().optional(),
  download_id: z.string().optional(),
});
type Loading = z.infer<typeof LoadingSchema>;

/** Resolves when the model is loaded, its download included. */
export const loadModel = async (
  world: OperationWorld,
  name: string,
  options: { backend?: string | undefined; tell?: Tell } = {},
) => {
  requireChange(world, 'Loading a model');
  const { backend, tell = () => undefined } = options;
  const end = Date.now() + LOAD_MS;
  const id = resolveModel(name, await loadable(world), aliasesOf(world), 'is on the disk of the host');
  tell(`Loading ${id}`);
  let said: Loading | null = await started(world, id, backend);
  if (said?.status === 'download_required' && said.confirmation_token !== undefined) {
    const body = { confirmationToken: said.confirmation_token };
    said = LoadingSchema.parse(await askHost(world, 'lmx.confirm', { body }));
  }
  if (said?.download_id !== undefined) await followDownload(world, said.download_id, tell);
  if (said?.status !== 'loaded') await untilLoaded(world, id, end);
  await note(world, id, 'load');
  return {
    id,
    status: 'loaded',
    memoryBytes: said?.memory_bytes ?? null,
    loadTimeSeconds: said?.load_time_seconds ?? null,
  };
};

const loadable = async (world: OperationWorld): Promise<string[]> => [
  ...new Set([...(await CANDIDATES.onDisk(world)), ...(await loadedIds(world))]),
];

/** Null when nobody can tell yet: the host may be loading it all the same, so it is watched and not asked again. */
const started = async (world: OperationWorld, id: string, backend: string | undefined): Promise<Loading | null> => {
  const body = { modelId: id, ...(backend === undefined || backend === 'auto' ? {} : { backend }) };
  try {
    return LoadingSchema.parse(await askHost(world, 'lmx.load', { body }));
  } catch (cause) {
    if (cause instanceof OptaError && (cause.code === 'outcome-unknown' || cause.code === 'timeout')) return null;
    throw cause;
  }
};

const untilLoaded = async (world: OperationWorld, id: string, end: number): Promise<void> => {
  while (!(await loadedIds(world)).includes(id)) {
    if (Date.now() > end || world.signal.aborted)
      throw new OptaError('timeout', `${id} is not loaded after ${LOAD_MS / 1_000} s; it may still come`);
    await sleep(POLL_MS);
  }
};

const ProgressSchema = z.looseObject({
  status: z.string(),
  progressPercent: z.number().nullish(),
  downloadedBytes: z.number().nullish(),
  totalBytes: z.number().nullish(),
  error: z.string().nullish(),
});
/** A download that has not moved for this long is given up by whoever watches; the host may go on with it. */
const STALLED_MS = 600_000;

/** Resolves when the host has it all. Throws `lmx-request-rejected` when it failed there, `timeout` when it stands still. */
export const followDownload = async (world: OperationWorld, id: string, tell: Tell) => {
  let [last, movedAt] = ['', Date.now()];
  for (;;) {
    const at = ProgressSchema.parse(await askHost(world, 'lmx.progress', { params: { id } }));
    if (at.status === 'completed') return at;
    if (at.status !== 'downloading' && at.status !== 'queued')
      throw new OptaError('lmx-request-rejected', `The download ${at.status}${at.error ? `: ${at.error}` : ''}`);
    const now = `${at.downloadedBytes ?? at.progressPercent}`;
    if (now !== last) {
      [last, movedAt] = [now, Date.now()];
      tell(`Downloading: ${Math.round(at.progressPercent ?? 0)} %`);
    }
    if (Date.now() - movedAt > STALLED_MS || world.signal.aborted)
      throw new OptaError('timeout', `The download ${id} does not move; the host may go on with it`);
    await sleep(POLL_MS);
  }
};

export const unloadModel = async (world: OperationWorld, name: string) => {
  requireChange(world, 'Unloading a model');
  const id = resolveModel(name, await loadedIds(world), aliasesOf(world), 'is loaded');
  const { freed_bytes } = await askHost(world, 'lmx.unload', { body: { modelId: id } });
  await note(world, id, 'unload');
  return { id, status: 'unloaded', freedBytes: typeof freed_bytes === 'number' ? freed_bytes : null };
};

/** Both names are looked up before anything is changed. */
export const swapModels = async (
  world: OperationWorld,
  running: string,
  replacement: string,
  options: Parameters<typeof loadModel>[2] = {},
) => {
  requireChange(world, 'Swapping models');
  const aliases = aliasesOf(world);
  const from = resolveModel(running, await loadedIds(world), aliases, 'is loaded');
  const to = resolveModel(replacement, await loadable(world), aliases, 'is on the disk of the host');
  if (from === to) throw new OptaError('invalid-request', `${from} cannot be replaced by itself`);
  const unloaded = await unloadModel(world, from);
  try {
    return { unloaded, loaded: await loadModel(world, to, options) };
  } catch (cause) {
    if (!(cause instanceof OptaError)) throw cause;
    throw new OptaError(cause.code, `${from} was unloaded, and ${to} did not load: ${cause.message}`, cause.facts);
  }
};

/** Resolves when the host has begun; `followDownload` waits for the rest. */
export const downloadModel = async (world: OperationWorld, repoId: string) => {
  requireChange(world, 'Downloading a model');
  const said = await askHost(world, 'lmx.download', { body: { repoId } });
  await note(world, repoId, 'download');
  const { download_id, status, estimated_size_bytes } = said as { [name: string]: unknown };
  return {
    downloadId: typeof download_id === 'string' ? download_id : null,
    repoId,
    status: typeof status === 'string' ? status : 'downloading',
    estimatedSizeBytes: typeof estimated_size_bytes === 'number' ? estimated_size_bytes : null,
  };
};

export const deleteModel = async (world: OperationWorld, name: string) => {
  requireChange(world, 'Deleting a model');
  const id = resolveModel(name, await CANDIDATES.onDisk(world), aliasesOf(world), 'is on the disk of the host');
  const { freedBytes } = await askHost(world, 'lmx.delete', { params: { id } });
  await note(world, id, 'delete');
  return { id, deleted: true, freedBytes: typeof freedBytes === 'number' ? freedBytes : null };
};
