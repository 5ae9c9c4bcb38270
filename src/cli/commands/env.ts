import { resolveConfig } from '../../config/load.ts';
import { DefaultModeSchema, type Profile } from '../../config/schema.ts';
import { shown } from '../../config/shown.ts';
import { keysByHost, providerNamed } from '../../operations/env.ts';
import {
  applyProfile,
  deleteProfile,
  listProfiles,
  type ProfileInput,
  profileName,
  saveProfile,
  showProfile,
} from '../../operations/profiles.ts';
import type { Context } from '../context.ts';
import { EXIT, reportFailure, UsageError } from '../exit.ts';
import { parsePort } from '../options.ts';
import { sayIfRunning } from '../running.ts';
import { importOnce } from '../settings.ts';

export interface EnvOptions {
  json?: boolean;
  host?: string;
  port?: string;
  adminKey?: string;
  adminKeysByHost?: string;
  model?: string;
  provider?: string;
  mode?: string;
}

/** What an action says: as JSON, and to a person. */
type Said = [body: object, text: string];

export const envCommand = async (
  ctx: Context,
  action: string,
  name: string | undefined,
  options: EnvOptions,
): Promise<number> => {
  try {
    const [body, text] = await run(ctx, action.toLowerCase(), name, options);
    if (options.json) ctx.output.pretty(body);
    else ctx.output.out(`${text}\n`);
    return EXIT.ok;
  } catch (cause) {
    return reportFailure(ctx.output, cause, options.json ?? false);
  }
};

const HELP = `opta env                 list the profiles
opta env show [name]     one of them; without a name, the active one
opta env save <name>     keep what holds now, or what --host --port --admin-key
                         --admin-keys-by-host --model --provider --mode say
opta env use <name>      apply one to your configuration
opta env delete <name>   remove one`;

const run = async (ctx: Context, action: string, name: string | undefined, options: EnvOptions): Promise<Said> => {
  if (action === 'help') return [{ help: HELP }, HELP];
  const act = ACTIONS[action];
  if (act === undefined) throw new UsageError(`Unknown env action "${action}": list, show, save, use, delete or help`);
  await importOnce(ctx);
  return act(ctx, name, options);
};

type Action = (ctx: Context, name: string | undefined, options: EnvOptions) => Said | Promise<Said>;

const list: Action = (ctx) => {
  const body = listProfiles(ctx);
  const lines = body.profiles.map((profile) => `${profile.name === body.current ? '*' : ' '} ${lineOf(profile)}`);
  return [body, lines.join('\n') || 'No environment profile is saved. To save what holds now: opta env save <name>'];
};

const lineOf = ({ name, connection, modelDefault, provider, defaultMode }: Profile): string => {
  const model = modelDefault === '' ? '' : `, model ${modelDefault}`;
  return `${name.padEnd(16)} ${connection.host}:${connection.port}, ${provider}, ${defaultMode}${model}`;
};

const show: Action = (ctx, name) => {
  const body = showProfile(ctx, name);
  const { name: of, connection, modelDefault, provider, defaultMode, updatedAt } = body.profile;
  const lines = [
    `${of}${body.current === of ? '  (active)' : ''}`,
    `  host       ${connection.host}`,
    `  port       ${connection.port}`,
    `  adminKey   ${shown(connection.adminKey)}`,
    `  apiKey     ${shown(connection.apiKey)}`,
    `  model      ${shown(modelDefault)}`,
    `  provider   ${provider}`,
    `  mode       ${defaultMode}`,
    `  updated    ${new Date(updatedAt).toISOString()}`,
  ];
  return [body, lines.join('\n')];
};

const save: Action = async (ctx, name, options) => {
  const body = await saveProfile(ctx, profileName(name), inputOf(options));
  return [body, `Saved ${lineOf(body.profile)}\nTo apply it: opta env use ${body.saved}`];
};

const use: Action = async (ctx, name) => {
  const body = await applyProfile(ctx, profileName(name));
  const { sourceOf } = resolveConfig({ env: ctx.env, file: ctx.paths.configFile });
  for (const { kind, from } of Object.keys(body.applied).map(sourceOf))
    if (kind === 'env') ctx.output.err(`opta: ${from} is set, and has the last word\n`);
  await sayIfRunning(ctx);
  const lines = Object.entries(body.applied).map(([key, value]) => `  ${key.padEnd(16)} ${shown(value)}`);
  return [body, [`Active: ${body.active}`, ...lines].join('\n')];
};

const remove: Action = async (ctx, name) => {
  const body = await deleteProfile(ctx, profileName(name));
  return [body, `Deleted ${body.deleted}; the settings that hold now are as they were`];
};

const ACTIONS: { readonly [action: string]: Action | undefined } = Object.assign(Object.create(null), {
  list,
  ls: list,
  show,
  current: show,
  save,
  set: save,
  use,
  switch: use,
  delete: remove,
  remove,
  rm: remove,
});

/** Empty flags count as absent, but for the admin key: there an empty text means none. */
const inputOf = ({ host, port, adminKey, adminKeysByHost, model, provider, mode }: EnvOptions): ProfileInput => ({
  host: host?.trim() || undefined,
  port: port?.trim() ? parsePort(port.trim()) : undefined,
  adminKey: adminKey?.trim(),
  adminKeysByHost: adminKeysByHost === undefined ? undefined : keysByHost(adminKeysByHost),
  model: model?.trim(),
  provider: provider?.trim() ? providerNamed(provider) : undefined,
  mode: mode?.trim() ? modeNamed(mode.trim().toLowerCase()) : undefined,
});

const modeNamed = (text: string): Profile['defaultMode'] => {
  const parsed = DefaultModeSchema.safeParse(text);
  if (!parsed.success) throw new UsageError(`Invalid mode "${text}": ${DefaultModeSchema.options.join(', ')}`);
  return parsed.data;
};
