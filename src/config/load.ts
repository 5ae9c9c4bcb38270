import { KEYS, type KeyRow, keyRow, pathOf, valueAt } from './keys.ts';
import { checked, type Layer, merge, parseLayer, readText, setAt } from './layer.ts';
import { pairs } from './pairs.ts';
import { type Env, optaPaths } from './paths.ts';
import { type ProjectConfig, projectConfig } from './project.ts';
import type { Config, ConfigInput } from './schema.ts';
import { toolRules } from './tool-rules.ts';

export interface ConfigSources {
  env?: Env;
  flags?: ConfigInput;
  file?: string;
  /** A session's folder: its project's file counts too, as far as a project may decide ([CF2]). */
  workspace?: string;
}

export type SourceKind = 'flag' | 'env' | 'project' | 'user' | 'default';

export interface Resolved {
  config: Config;
  project: ProjectConfig | null;
  /** What decided a key, and where that stands: a file, a variable, or nothing for a default. */
  sourceOf(key: string): { kind: SourceKind; from: string | null };
}

/**
 * [CF1] The effective configuration: flags over environment over the project's file over the user's over defaults, merged key by
 * key; permission rules of a project stand behind the user's. Throws `invalid-request` that names the file or variable and what is
 * wrong with it; secrets never appear in the text.
 */
export const resolveConfig = (from: ConfigSources = {}): Resolved => {
  const env = from.env ?? process.env;
  const paths = optaPaths(env);
  const file = from.file ?? paths.configFile;
  const user = readConfigFile(file);
  // Each layer is checked on its own first, so that the message blames the one that is wrong.
  const mine = checked(user, file).permissions;
  const byTool = toolRules(mine);
  const project = from.workspace === undefined ? null : projectConfig(from.workspace, env, paths);
  const { layer: fromEnv, names } = envLayer(env);
  checked(fromEnv, names.join(', '));
  const flags = (from.flags ?? {}) as Layer;
  checked(flags, 'the command line');
  const merged = [project?.layer ?? {}, fromEnv, flags].reduce(merge, user);
  const rules = [...byTool, ...mine.rules, ...(project?.rules ?? [])];
  const config = checked(merge(merged, { permissions: { rules } }), file);
  const says = (layer: Layer, key: string): boolean => valueAt(layer, key) !== undefined;
  return {
    config,
    project,
    sourceOf: (key) => {
      if (says(flags, key)) return { kind: 'flag', from: 'the command line' };
      if (says(fromEnv, key))
        return {
          kind: 'env',
          from: variableOf(env, keyRow(key)),
        };
      const addsRules = key === 'permissions.rules' && project !== null && project.rules.length > 0;
      if (project !== null && (addsRules || says(project.layer, key))) return { kind: 'project', from: project.file };
      const saysTools = key === 'permissions.rules' && byTool.length > 0;
      return saysTools || says(user, key) ? { kind: 'user', from: file } : { kind: 'default', from: null };
    },
  };
};

export const loadConfig = (from: ConfigSources = {}): Config => resolveConfig(from).config;

/** What a file says, unchecked; nothing when there is no file. Throws `invalid-request`. */
export const readConfigFile = (file: string): Layer => {
  const text = readText(file);
  return text === null ? {} : parseLayer(text, file);
};

/** Empty variables count as unset, as shells leave them. Text that is no number or flag stays text, for the schema to refuse. */
const envLayer = (env: Env): { layer: Layer; names: string[] } => {
  const layer: Layer = {};
  const names: string[] = [];
  for (const row of KEYS) {
    const name = variableOf(env, row);
    if (name === null) continue;
    names.push(name);
    const text = env[name] as string;
    setAt(layer, pathOf(row.key), row.as === undefined ? text : READ[row.as](text));
  }
  return { layer, names };
};

/** The variable that says this key now, or null. */
const variableOf = (env: Env, row: KeyRow | undefined): string | null =>
  [row?.env, row?.alsoEnv].find((name) => name !== undefined && Boolean(env[name])) ?? null;

const READ = {
  number: (text: string): unknown => (/^\d+$/.test(text.trim()) ? Number(text) : text),
  flag: (text: string): unknown => {
    const t = text.trim().toLowerCase();
    if (['1', 'true', 'yes', 'on'].includes(t)) return true;
    return ['0', 'false', 'no', 'off'].includes(t) ? false : text;
  },
  pairs: (text: string): unknown => pairs(text) ?? text,
};
