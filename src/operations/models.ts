import { z } from 'zod';
import { PARTS, type PartName, readPart } from './host-parts.ts';
import { embed, rerank, serveStatus } from './inference.ts';
import { askHost } from './lmx-host.ts';
import { deleteAlias, readRecords, setAlias } from './model-records.ts';
import { dashboard, hostHealth, listModels, modelsOnDisk } from './models-read.ts';
import { define, type NamedOperation, nothing, type Operations } from './operation.ts';

const name = z.string().trim().min(1).max(512);
const PartInput = z.object({ action: z.string().max(64).optional(), id: z.string().max(512).optional() });

const part = (id: PartName): NamedOperation =>
  define({
    title: `Inference host: ${PARTS[id].what}`,
    description: `What the inference host says of it, unchanged. Actions: ${Object.keys(PARTS[id].actions).join(', ')}.`,
    safety: 'read',
    input: PartInput,
    run: (world, { action, id: item }) => readPart(world, id, action, item),
  });

/** `models.*`, and what else the inference host computes. */
export const MODEL_OPERATIONS: Operations = {
  'models.dashboard': define({
    title: 'Models at a glance',
    description: 'Loaded models, memory of the inference host, the default model, and what is known besides.',
    safety: 'read',
    input: nothing,
    run: dashboard,
  }),
  'models.history': define({
    title: 'Models used from here',
    description: 'Models that were chosen, loaded, unloaded, downloaded or deleted from this machine, newest first.',
    safety: 'read',
    input: nothing,
    run: ({ paths }) => ({ history: readRecords(paths).history }),
  }),
  'models.aliases.list': define({
    title: 'Names for models',
    description: 'Names that stand for models in the models commands of this machine.',
    safety: 'read',
    input: nothing,
    run: ({ paths }) => ({ aliases: readRecords(paths).aliases }),
  }),
  'models.aliases.set': define({
    title: 'Name a model',
    description: 'Makes a name stand for a model. The model need not be there yet.',
    safety: 'write',
    input: z.object({ alias: name, model: name }),
    run: async ({ paths }, { alias, model }) => ({ alias, model, previous: await setAlias(paths, alias, model) }),
  }),
  'models.aliases.delete': define({
    title: 'Take a name away',
    description: 'Makes a name stand for nothing; the model stays.',
    safety: 'write',
    input: z.object({ alias: name }),
    run: async ({ paths }, { alias }) => ({ deleted: alias, model: await deleteAlias(paths, alias) }),
  }),
  'models.health': define({
    title: 'Health of the inference host',
    description: 'Whether it answers; with `ready` whether it can serve, with `admin` what it says to administrators.',
    safety: 'read',
    input: z.object({ ready: z.boolean().optional(), admin: z.boolean().optional() }),
    run: (world, { ready = false, admin = false }) => hostHealth(world, { ready, admin }),
  }),
  'models.scan': define({
    title: 'What the inference host offers',
    description: 'Its roles, backends and helper nodes, unchanged.',
    safety: 'read',
    input: nothing,
    run: (world) => askHost(world, 'lmx.stack'),
  }),
  'models.predictor': part('predictor'),
  'models.helpers': part('helpers'),
  'models.quantize': part('quantize'),
  'models.agents': part('agents'),
  'models.skills': part('skills'),
  'models.rag': part('rag'),
  'models.browse.local': define({
    title: 'Models on the disk of the inference host',
    description: 'What could be loaded without a download.',
    safety: 'read',
    input: nothing,
    run: async (world) => {
      const loaded = (await listModels(world)).map((row) => row.id);
      const onDisk = await modelsOnDisk(world);
      return {
        models: onDisk.map((d) => ({
          id: d.repo_id,
          sizeBytes: d.size_bytes ?? null,
          loaded: loaded.includes(d.repo_id),
        })),
      };
    },
  }),
  embed: define({
    title: 'Vectors for texts',
    description: 'The answer of the inference host, unchanged.',
    safety: 'read',
    deadlineMs: 120_000,
    input: z.object({ input: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]), model: name.optional() }),
    run: (world, { input, model }) => embed(world, input, model),
  }),
  rerank: define({
    title: 'Order documents by a query',
    description: 'The answer of the inference host, unchanged.',
    safety: 'read',
    deadlineMs: 120_000,
    input: z.object({
      query: z.string().min(1),
      documents: z.array(z.string()).min(1).max(1_000),
      model: name.optional(),
      topK: z.number().int().min(1).optional(),
    }),
    run: rerank,
  }),
  'serve.status': define({
    title: 'Whether the inference server runs',
    description: 'That it does not is an answer, not a failure.',
    safety: 'read',
    input: nothing,
    run: serveStatus,
  }),
};
