import { PARTS, type PartName } from '../../operations/host-parts.ts';
import { MODEL_OPERATIONS } from '../../operations/models.ts';
import { listModels, modelInfo } from '../../operations/models-read.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { Context } from '../context.ts';
import { EXIT, reportFailure, UsageError } from '../exit.ts';
import { type HostOptions, withHost } from '../inference-host.ts';
import { canAsk } from '../output.ts';
import { CHANGES } from './models-change.ts';
import { manageModels } from './models-manage.ts';
import { pickModel } from './models-pick.ts';
import * as text from './models-text.ts';

export interface ModelsOptions extends HostOptions {
  backend?: string;
  json?: boolean;
  full?: boolean;
  ready?: boolean;
  admin?: boolean;
}

/** What an action says: as JSON, and to a person; `exitCode` where what it says is bad news. */
export interface Said {
  body: unknown;
  text: string;
  exitCode?: number;
}

export interface Asked {
  ctx: Context;
  args: readonly string[];
  options: ModelsOptions;
}
export type Action = (asked: Asked) => Promise<Said>;

export const modelsCommand = async (
  ctx: Context,
  action: string | undefined,
  args: readonly string[],
  options: ModelsOptions,
): Promise<number> => {
  try {
    checkBackend(options.backend);
    const { body, text, exitCode = EXIT.ok } = await actionOf(ctx, action, options)({ ctx, args, options });
    if (options.json) ctx.output.pretty(body);
    else if (text !== '') ctx.output.out(`${text}\n`);
    return exitCode;
  } catch (cause) {
    const { candidates } = cause instanceof OptaError ? cause.facts : {};
    return reportFailure(ctx.output, cause, options.json ?? false, candidates === undefined ? {} : { candidates });
  }
};

const BACKENDS = ['auto', 'mlx-lm', 'vllm-mlx', 'gguf'];

const checkBackend = (backend: string | undefined): void => {
  if (backend !== undefined && !BACKENDS.includes(backend))
    throw new UsageError(`Unknown backend "${backend}": ${BACKENDS.join(', ')}`);
};

const isPerson = (ctx: Context, options: ModelsOptions): boolean =>
  !options.json && canAsk(ctx.env) && process.stdout.isTTY === true;

const MANAGE = new Set(['manage', 'interactive', 'ui']);

/** An unknown action lists, as it always did, and says so. */
const actionOf = (ctx: Context, action: string | undefined, options: ModelsOptions): Action => {
  if (action === undefined || MANAGE.has(action)) return isPerson(ctx, options) ? manageModels : list;
  const found = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
  if (found !== undefined) return found;
  ctx.output.err(`opta: unknown action "${action}", listing; see opta models help\n`);
  return list;
};

const list: Action = ({ ctx, options }) =>
  withHost(ctx, options, async ({ world }) => {
    const rows = await listModels(world, options.full ?? false);
    return { body: rows, text: text.listText(rows) };
  });

/** Runs a row of the catalogue. */
const operation = (id: string, input: (asked: Asked) => object, say: (body: never) => string): Action => {
  return (asked) =>
    withHost(asked.ctx, asked.options, async ({ world }) => {
      const body = await MODEL_OPERATIONS[id]?.run(world, input(asked));
      return { body, text: say(body as never) };
    });
};
/** The same where no host is needed, so that none has to answer. */
const local = (id: string, input: (asked: Asked) => object, say: (body: never) => string): Action => {
  return async (asked) => {
    const { paths, env } = asked.ctx;
    const call = (): never => {
      throw new OptaError('internal', `${id} calls nobody`);
    };
    const world = { call, paths, env, version: '', signal: new AbortController().signal };
    const body = await MODEL_OPERATIONS[id]?.run(world, input(asked));
    return { body, text: say(body as never) };
  };
};
const nothing = (): object => ({});

const info: Action = ({ ctx, args, options }) =>
  withHost(ctx, options, async ({ world }) => {
    const name = await pickModel(ctx, args.join(' '), 'info', options.json, async () =>
      (await listModels(world)).map((row) => row.id),
    );
    const body = await modelInfo(world, name);
    return { body, text: text.infoText(body) };
  });

const health: Action = ({ ctx, options }) =>
  withHost(ctx, options, async ({ world }) => {
    const { ready = false, admin = false } = options;
    const body = (await MODEL_OPERATIONS['models.health']?.run(world, { ready, admin })) as text.HostHealth;
    const isReady = body.ready === undefined || body.ready.status === 200;
    return { body, text: text.healthText(body), exitCode: isReady ? EXIT.ok : EXIT.error };
  });

const alias: Action = (asked) => {
  const [name, ...words] = asked.args;
  if (!name || words.length === 0) throw new UsageError('models alias needs a name and a model');
  return local('models.aliases.set', () => ({ alias: name, model: words.join(' ') }), text.aliasText)(asked);
};

const unalias: Action = (asked) => {
  const [name] = asked.args;
  if (!name) throw new UsageError('models unalias needs a name');
  return local('models.aliases.delete', () => ({ alias: name }), text.unaliasText)(asked);
};

const part = (name: PartName): Action =>
  operation(
    `models.${name}`,
    ({ args: [action, id] }) => ({ ...(action === undefined ? {} : { action }), ...(id === undefined ? {} : { id }) }),
    text.anyText,
  );

/** What the host's own tools do, or nobody does. */
const left =
  (action: string, instead: string): Action =>
  () =>
    Promise.reject(new OptaError('not-in-this-build', `"models ${action}" is not part of this build: ${instead}`));

/** Lists to choose from are for a person. */
const browseLocal: Action = (asked) => {
  if (!isPerson(asked.ctx, asked.options)) throw needsTerminal('browse-local');
  return manageModels({ ...asked, options: { ...asked.options, full: true } });
};
const library: Action = (asked) => {
  if (!isPerson(asked.ctx, asked.options)) throw needsTerminal('library');
  return left('library', 'look for a model on the web, then: opta models download REPO')(asked);
};
const needsTerminal = (action: string): UsageError =>
  new UsageError(`models ${action} needs a terminal; for programs: opta models list --full --json`);

const help: Action = () => Promise.resolve({ body: { actions: Object.keys(ACTIONS) }, text: text.HELP });

const benchmark = left('benchmark', 'opta do shows the time a turn takes; the host has /admin/benchmark');
export const ACTIONS: { readonly [action: string]: Action } = {
  list,
  info,
  health,
  dashboard: operation('models.dashboard', nothing, text.dashboardText),
  scan: operation('models.scan', nothing, text.anyText),
  history: local('models.history', nothing, text.historyText),
  aliases: local('models.aliases.list', nothing, text.aliasesText),
  alias,
  unalias,
  ...CHANGES,
  ...Object.fromEntries((Object.keys(PARTS) as PartName[]).map((name) => [name, part(name)])),
  browse: browseLocal,
  'browse-local': browseLocal,
  library,
  'browse-library': library,
  benchmark,
  bench: benchmark,
  help,
};
