import { resolve } from 'node:path';
import { type Change, deleteKey, requireKey, resetFile, setKey } from '../../config/edit.ts';
import { valueAt } from '../../config/keys.ts';
import { type Resolved, resolveConfig } from '../../config/load.ts';
import { findProjectFile, PROJECT_FILE, projectConfig } from '../../config/project.ts';
import { forgetAllowed, readRemembered } from '../../config/remembered.ts';
import { covered, redacted } from '../../config/secrets.ts';
import {
  effective,
  explained,
  explanation,
  isReadAtStart,
  isSection,
  listed,
  listedKeys,
  noteOn,
  shown,
  textOf,
} from '../../config/shown.ts';
import { decideTrust, readTrust } from '../../config/trust.ts';
import { OptaError } from '../../protocol/errors.ts';
import { configMenu } from '../config-menu.ts';
import type { Context } from '../context.ts';
import { EXIT, reportFailure, UsageError } from '../exit.ts';
import { canAsk, printable } from '../output.ts';
import { sayIfRunning } from '../running.ts';
import { importOnce } from '../settings.ts';

export interface ConfigOptions {
  json?: boolean;
  revoke?: boolean;
}

/** What an action says: as JSON, and to a person. */
type Said = [body: object, text: string];

export const configCommand = async (
  ctx: Context,
  action: string,
  key: string | undefined,
  value: string | undefined,
  options: ConfigOptions,
): Promise<number> => {
  try {
    if (MENU.includes(action) && !options.json && canAsk(ctx.env)) {
      await importOnce(ctx);
      return await configMenu(ctx);
    }
    const [body, text] = await run(ctx, action, key, value, options.revoke ?? false);
    if (options.json) ctx.output.pretty(body);
    else ctx.output.out(`${text}\n`);
    return EXIT.ok;
  } catch (cause) {
    const keys = cause instanceof OptaError && Array.isArray(cause.facts.keys) ? cause.facts.keys : null;
    // Scripts read the list of keys from stdout.
    if (keys !== null && !options.json) ctx.output.out(`${keys.join('\n')}\n`);
    return reportFailure(ctx.output, cause, options.json ?? false, keys === null ? {} : { keys });
  }
};

/** Names of the menu; without a terminal it is the list. */
const MENU = ['menu', 'interactive', 'settings'];

const ACTIONS = 'get, set, list, delete, reset, explain, path, trust, remembered or menu';

const run = async (
  ctx: Context,
  action: string,
  key: string | undefined,
  value: string | undefined,
  revoke: boolean,
): Promise<Said> => {
  if (action === 'path') return paths(ctx);
  if (action === 'trust') return trust(ctx, key, revoke);
  if (action === 'remembered') return remembered(ctx, key, revoke);
  await importOnce(ctx);
  if (action === 'list' || MENU.includes(action)) return list(resolved(ctx));
  if (action === 'reset') {
    const reset = await resetFile(ctx.paths);
    return [{ reset }, reset ? `Reset; the old file is ${ctx.paths.configFile}.bak` : 'There is nothing to reset'];
  }
  if (!['get', 'explain', 'set', 'delete', 'unset'].includes(action))
    throw new UsageError(`Unknown action "${action}": ${ACTIONS}`);
  if (key === undefined) throw new UsageError(`config ${action} needs a key`);
  if (action === 'get') return get(resolved(ctx), key);
  if (action === 'explain') return explain(resolved(ctx), key);
  if (action !== 'set') return changed(ctx, key, await deleteKey(ctx.paths, ctx.env, key));
  if (value === undefined) throw new UsageError('config set needs a key and a value');
  return changed(ctx, key, await setKey(ctx.paths, ctx.env, key, value));
};

export const resolved = (ctx: Context): Resolved =>
  resolveConfig({ env: ctx.env, file: ctx.paths.configFile, workspace: ctx.cwd });

const list = (found: Resolved): Said => {
  const lines = listedKeys(found).map((key) => {
    const { kind } = found.sourceOf(key);
    const text = shown(covered(key, effective(found.config, key)));
    return `${key.padEnd(29)} ${text}${kind === 'default' ? '' : `  (${kind})`}`;
  });
  return [listed(found.config), lines.join('\n')];
};

/** The bare value, a secret's too: whoever asks for this key by name wants to use it. A section is printed as JSON. */
const get = ({ config, sourceOf }: Resolved, key: string): Said => {
  if (isSection(key)) {
    const value = valueAt(redacted(config), key) ?? null;
    return [{ key, value, source: null }, textOf(value)];
  }
  requireKey(key);
  const value = effective(config, key);
  return [{ key, value: value ?? null, source: sourceOf(key).kind }, textOf(value)];
};

const explain = (found: Resolved, key: string): Said => {
  requireKey(key);
  const body = explained(found, key);
  return [body, explanation(body)];
};

const changed = async (ctx: Context, key: string, change: Change): Promise<Said> => {
  const { config, sourceOf } = resolved(ctx);
  const [before, after] = [covered(key, change.before), covered(key, change.after)];
  const now = covered(key, effective(config, key));
  const { kind, from } = sourceOf(key);
  const other = kind === 'env' || kind === 'project' ? ` (but ${from} says ${shown(now)})` : '';
  const note = noteOn(key);
  if (note !== null && change.after !== undefined) ctx.output.err(`opta: ${note}\n`);
  if (isReadAtStart(key)) await sayIfRunning(ctx);
  return [
    { key, before: before ?? null, after: after ?? null, effective: now ?? null },
    `${key}: ${shown(before)} → ${shown(after)}${other}`,
  ];
};

const paths = (ctx: Context): Said => {
  const { configFile: user, trustFile: trust, configDir: folder } = ctx.paths;
  const project = findProjectFile(ctx.cwd, ctx.env);
  const lines = [`user     ${user}`, `project  ${project ?? '(none)'}`, `trust    ${trust}`];
  return [{ user, project, trust, folder }, lines.join('\n')];
};

/** `trust [folder]`, `trust --revoke [folder]`, `trust list`. */
const trust = async (ctx: Context, where: string | undefined, revoke: boolean): Promise<Said> => {
  if (where === 'list') {
    const projects = Object.entries(readTrust(ctx.paths)).map(([file, record]) => ({ file, ...record }));
    const lines = projects.map((p) => `${p.trusted ? 'trusted' : 'refused'}  ${p.file}  ${p.at}`);
    return [{ projects }, lines.join('\n') || 'No project file is trusted'];
  }
  const folder = resolve(ctx.cwd, where ?? '.');
  const file = findProjectFile(folder, ctx.env);
  if (file === null) throw new OptaError('not-found', `No ${PROJECT_FILE} in ${folder} or above it`);
  if (revoke) {
    const had = await decideTrust(ctx.paths, file, null);
    return [{ file, trusted: false }, `${had ? 'No longer' : 'Was not'} trusted: ${file}`];
  }
  const project = projectConfig(folder, ctx.env, ctx.paths);
  if (project === null) throw new OptaError('not-found', `${file} is gone`);
  const { sha256, held, runs } = project;
  await decideTrust(ctx.paths, file, { sha256, trusted: true });
  const gives = held.length === 0 ? 'it asks for nothing that needs trust' : `it may now set ${held.join(', ')}`;
  const lines = runs.map((line) => `\n  ${printable(line)}`).join('');
  return [{ file, trusted: true, sha256, held, runs }, `Trusted as it is now: ${file}; ${gives}${lines}`];
};

/** `remembered` lists; `remembered --revoke [tool]` takes back what this folder's sessions are not asked about. */
const remembered = async (ctx: Context, tool: string | undefined, revoke: boolean): Promise<Said> => {
  if (revoke) {
    const revoked = await forgetAllowed(ctx.paths, ctx.cwd, tool);
    const names = revoked.map((one) => one.tool).join(', ');
    return [{ revoked }, revoked.length === 0 ? 'Nothing was remembered here' : `Asked about again here: ${names}`];
  }
  const allowed = readRemembered(ctx.paths).filter((one) => tool === undefined || one.tool === tool);
  const lines = allowed.map(
    (one) =>
      `${one.tool}${one.command === undefined ? '' : ` ${printable(one.command)}`}  ${printable(one.workspace)}  by ${printable(one.decidedBy)}  ${one.at}`,
  );
  return [{ allowed }, lines.join('\n') || 'Nothing is allowed for good'];
};
