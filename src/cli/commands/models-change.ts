import {
  CANDIDATES,
  deleteModel,
  downloadModel,
  followDownload,
  loadModel,
  swapModels,
  unloadModel,
  useModel,
} from '../../operations/models-change.ts';
import type { OperationWorld } from '../../operations/operation.ts';
import { question } from '../ask.ts';
import { EXIT, Exit, UsageError } from '../exit.ts';
import { withHost } from '../inference-host.ts';
import { canAsk, oneLine } from '../output.ts';
import type { Action, Asked, Said } from './models.ts';
import { pickModel } from './models-pick.ts';
import { bytes } from './models-text.ts';

/** What takes one name, picked from `among` when a person gave none. */
const named =
  (
    action: string,
    among: (world: OperationWorld) => Promise<string[]>,
    run: (world: OperationWorld, name: string, asked: Asked) => Promise<Said>,
  ): Action =>
  (asked) => {
    const { ctx, args, options } = asked;
    const given = args.join(' ').trim();
    // Before a daemon is started for nothing.
    if (given === '' && (options.json || !canAsk(ctx.env))) throw new UsageError(`models ${action} needs a model name`);
    return withHost(ctx, options, async ({ world }) => {
      const name = await pickModel(ctx, given, action, options.json, () => among(world));
      return run(world, name, asked);
    });
  };

const teller =
  ({ ctx, options }: Asked) =>
  (text: string) => {
    if (!options.json) ctx.output.err(`${oneLine(text)}\n`);
  };

const use = named('use', CANDIDATES.any, async (world, name) => {
  const body = await useModel(world, name);
  const other = body.effective === body.model ? '' : `\nBut ${body.source} says ${body.effective}`;
  const hint = body.loaded ? '' : `\nIt is not loaded: opta models load ${body.model}`;
  return { body, text: `New sessions use ${body.model}${other}${hint}` };
});

const load = named('load', CANDIDATES.onDisk, async (world, name, asked) => {
  const { backend } = asked.options;
  const body = await loadModel(world, name, { backend, tell: teller(asked) });
  const time = body.loadTimeSeconds === null ? '' : ` in ${body.loadTimeSeconds.toFixed(1)} s`;
  return { body, text: `Loaded ${body.id}${time}` };
});

const freed = (n: number | null): string => (n === null ? '' : `, ${bytes(n)} freed`);

const unload = named('unload', CANDIDATES.loaded, async (world, name) => {
  const body = await unloadModel(world, name);
  return { body, text: `Unloaded ${body.id}${freed(body.freedBytes)}` };
});

const remove = named('delete', CANDIDATES.onDisk, async (world, name, asked) => {
  if (canAsk(asked.ctx.env) && !asked.options.json) {
    const answer = await question(`Delete ${oneLine(name)} from the disk of the host? [y/N] `);
    if (!/^y(es)?$/i.test((answer ?? '').trim())) throw new Exit(EXIT.interrupted);
  }
  const body = await deleteModel(world, name);
  return { body, text: `Deleted ${body.id}${freed(body.freedBytes)}` };
});

const swap: Action = (asked) => {
  const [running, ...words] = asked.args;
  const replacement = words.join(' ');
  if (!running || replacement === '') throw new UsageError('models swap needs two names: RUNNING REPLACEMENT');
  return withHost(asked.ctx, asked.options, async ({ world }) => {
    const { backend } = asked.options;
    const body = await swapModels(world, running, replacement, { backend, tell: teller(asked) });
    return { body, text: `Unloaded ${body.unloaded.id}, loaded ${body.loaded.id}` };
  });
};

/** Ends when the host has it all. Whoever is interrupted leaves the host at work. */
const download: Action = (asked) => {
  const [repo] = asked.args;
  if (!repo) throw new UsageError('models download needs a repository: OWNER/NAME');
  return withHost(asked.ctx, asked.options, async ({ world }) => {
    const begun = await downloadModel(world, repo);
    if (begun.downloadId === null) return { body: begun, text: `${begun.repoId}: ${begun.status}` };
    const { status, totalBytes } = await followDownload(world, begun.downloadId, teller(asked));
    return {
      body: { ...begun, status, totalBytes: totalBytes ?? null },
      text: `Downloaded ${begun.repoId}. To load it: opta models load ${begun.repoId}`,
    };
  });
};

export const CHANGES: { readonly [action: string]: Action } = {
  use,
  load,
  unload,
  stop: unload,
  swap,
  download,
  delete: remove,
  remove,
};
