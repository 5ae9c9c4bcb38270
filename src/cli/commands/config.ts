import { resolve } from 'node:path';
import { type Change, deleteKey, requireKey, resetFile, setKey } from '../../config/edit.ts';
import { defaultOf, HIDDEN, KEYS, keyRow, redacted, typeOf, valueAt } from '../../config/keys.ts';
import { type Resolved, resolveConfig } from '../../config/load.ts';
import { findProjectFile, PROJECT_FILE, projectConfig } from '../../config/project.ts';
import { decideTrust, readTrust } from '../../config/trust.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { Context } from '../context.ts';
import { EXIT, reportFailure, UsageError } from '../exit.ts';
import { importOnce } from '../settings.ts';

export interface ConfigOptions {
  json?: boolean;
  revoke?: boolean;
}

const ACTIONS = 'get, set, list, delete, reset, explain, path or trust';

export const configCommand = async (
  ctx: Context,
  action: string,
  key: string | undefined,
  value: string | undefined,
  options: ConfigOptions,
): Promise<number> => {
  try {
    return await run(ctx, action, key, value, options);
  } catch (cause) {
    const keys = cause instanceof OptaError && cause.code === 'not-found' ? cause.facts.keys : undefined;
    // Scripts read the list of keys from stdout.
    if (Array.isArray(keys) && !options.json) ctx.output.out(`${keys.join('\n')}\n`);
    return reportFailure(ctx.output, cause, options.json ?? false, Array.isArray(keys) ? { keys } : {});
  }
};

const run = async (
  ctx: Context,
  action: string,
  key: string | undefined,
  value: string | undefined,
  options: ConfigOptions,
): Promise<number> => {
  if (action === 'path') return showPaths(ctx, options);
  if (action === 'trust') return trust(ctx, key, options);
  await importOnce(ctx);
  switch (action) {
    case 'list':
    case 'menu':
    case 'interactive':
    case 'settings':
      return list(ctx, resolved(ctx), options);
    case 'get':
      return get(ctx, named(key, action), options);
    case 'explain':
      return explain(ctx, named(key, action), options);
    case 'set':
      if (value === undefined) throw new UsageError('config set needs a key and a value');
      return changed(ctx, named(key, action), await setKey(ctx.paths, ctx.env, named(key, action), value), options);
    case 'delete':
    case 'unset':
      return changed(ctx, named(key, action), await deleteKey(ctx.paths, ctx.env, named(key, action)), options);
    case 'reset': {
      const had = await resetFile(ctx.paths);
      const text = had ? `Reset; the old file is ${ctx.paths.configFile}.bak` : 'There is nothing to reset';
      return said(ctx, { reset: had }, text, options);
    }
    default:
      throw new UsageError(`Unknown action "${action}": ${ACTIONS}`);
  }
};

const named = (key: string | undefined, action: string): string => {
  if (key === undefined) throw new UsageError(`config ${action} needs a key`);
  return key;
};

const resolved = (ctx: Context): Resolved =>
  resolveConfig({ env: ctx.env, file: ctx.paths.configFile, workspace: ctx.cwd });

const said = (ctx: Context, body: object, text: string, { json }: ConfigOptions): number => {
  if (json) ctx.output.pretty(body);
  else ctx.output.out(`${text}\n`);
  return EXIT.ok;
};

const shown = (value: unknown): string =>
  value === undefined ? '(not set)' : typeof value === 'string' ? value || '(empty)' : JSON.stringify(value);

const covered = (key: string, value: unknown): unknown => (keyRow(key)?.secret && value !== undefined ? HIDDEN : value);

const list = (ctx: Context, { config, sourceOf }: Resolved, options: ConfigOptions): number => {
  const lines = KEYS.map(({ key }) => {
    const { kind } = sourceOf(key);
    const text = shown(covered(key, valueAt(config, key)));
    return `${key.padEnd(26)} ${text}${kind === 'default' ? '' : `  (${kind})`}`;
  });
  return said(ctx, redacted(config) as object, lines.join('\n'), options);
};

/** The bare value, a secret's too: whoever asks for this key by name wants to use it. A section is printed as JSON. */
const get = (ctx: Context, key: string, options: ConfigOptions): number => {
  const { config, sourceOf } = resolved(ctx);
  const isSection = KEYS.some((row) => row.key.startsWith(`${key}.`));
  if (!isSection) requireKey(key);
  const value = isSection ? valueAt(redacted(config), key) : valueAt(config, key);
  const text = typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);
  return said(ctx, { key, value: value ?? null, source: isSection ? null : sourceOf(key).kind }, text, options);
};

const explain = (ctx: Context, key: string, options: ConfigOptions): number => {
  requireKey(key);
  const { config, sourceOf } = resolved(ctx);
  const row = keyRow(key);
  const source = sourceOf(key);
  const body = {
    key,
    value: covered(key, valueAt(config, key)) ?? null,
    source,
    default: defaultOf(key) ?? null,
    type: typeOf(key),
    description: row?.text,
    env: row?.env ?? null,
    project: row?.project,
  };
  const lines = [
    `${key} = ${shown(covered(key, valueAt(config, key)))}`,
    `  ${body.description}`,
    `  from     ${source.kind}${source.from === null ? '' : ` (${source.from})`}`,
    `  default  ${shown(defaultOf(key))}`,
    `  type     ${body.type}`,
    `  env      ${body.env ?? '(none)'}`,
    `  project  ${PROJECT_MAY[body.project ?? 'never']}`,
  ];
  return said(ctx, body, lines.join('\n'), options);
};

const PROJECT_MAY = {
  counts: 'a project may set it',
  narrows: 'deny rules of a project always count, others once its file is trusted',
  never: 'a project cannot set it',
} as const;

const changed = (ctx: Context, key: string, { before, after }: Change, options: ConfigOptions): number => {
  const [was, is] = [covered(key, before), covered(key, after)];
  const { config, sourceOf } = resolved(ctx);
  const { kind, from } = sourceOf(key);
  const hidden =
    kind === 'env' || kind === 'project' ? ` (but ${from} says ${shown(covered(key, valueAt(config, key)))})` : '';
  return said(
    ctx,
    { key, before: was ?? null, after: is ?? null, effective: covered(key, valueAt(config, key)) ?? null },
    `${key}: ${shown(was)} → ${shown(is)}${hidden}`,
    options,
  );
};

const showPaths = (ctx: Context, options: ConfigOptions): number => {
  const { configFile: user, trustFile: trust, configDir: folder } = ctx.paths;
  const project = findProjectFile(ctx.cwd, ctx.env);
  const lines = [`user     ${user}`, `project  ${project ?? '(none)'}`, `trust    ${trust}`];
  return said(ctx, { user, project, trust, folder }, lines.join('\n'), options);
};

/** `trust [folder]`, `trust --revoke [folder]`, `trust list`. */
const trust = async (ctx: Context, where: string | undefined, options: ConfigOptions): Promise<number> => {
  if (where === 'list') {
    const projects = Object.entries(readTrust(ctx.paths)).map(([file, record]) => ({ file, ...record }));
    const lines = projects.map((p) => `${p.trusted ? 'trusted' : 'refused'}  ${p.file}  ${p.at}`);
    return said(ctx, { projects }, lines.join('\n') || 'No project file is trusted', options);
  }
  const folder = resolve(ctx.cwd, where ?? '.');
  const file = findProjectFile(folder, ctx.env);
  if (file === null) throw new OptaError('not-found', `No ${PROJECT_FILE} in ${folder} or above it`);
  if (options.revoke) {
    const had = await decideTrust(ctx.paths, file, null);
    return said(
      ctx,
      { file, trusted: false },
      had ? `No longer trusted: ${file}` : `Was not trusted: ${file}`,
      options,
    );
  }
  const project = projectConfig(folder, ctx.env, ctx.paths);
  if (project === null) throw new OptaError('not-found', `${file} is gone`);
  await decideTrust(ctx.paths, file, { sha256: project.sha256, trusted: true });
  const gives =
    project.held.length === 0 ? 'it asks for nothing that needs trust' : `it may now set ${project.held.join(', ')}`;
  return said(
    ctx,
    { file, trusted: true, sha256: project.sha256, held: project.held },
    `Trusted as it is now: ${file}; ${gives}`,
    options,
  );
};
