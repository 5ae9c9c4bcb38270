import { existsSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { OptaError } from '../protocol/errors.ts';
import { KEYS, pathOf, valueAt } from './keys.ts';
import { checked, type Layer, parseLayer, readText, setAt } from './layer.ts';
import { type Env, type OptaPaths, optaPaths } from './paths.ts';
import type { PermissionRule } from './schema.ts';
import { toolRules } from './tool-rules.ts';
import { digestOf, readTrust, type Trust, trustOf } from './trust.ts';

/** A project's `.opta/config.json`: data from a repository, which may come from a stranger ([CF2]). */
export interface ProjectConfig {
  file: string;
  sha256: string;
  trust: Trust;
  /** What counts now, permission rules excepted. */
  layer: Layer;
  /** The rules that count now: all of a trusted file's, else its `deny` rules. */
  rules: PermissionRule[];
  /** What would count if the file were trusted, and what never does. */
  held: string[];
  never: string[];
}

export const PROJECT_FILE = join('.opta', 'config.json');

/**
 * The nearest file of the workspace or the folders above it, up to the root of its repository; without a repository, up to but
 * not including the home folder; elsewhere the workspace alone, since a folder such as /tmp belongs to everybody.
 */
export const findProjectFile = (
  workspace: string,
  env: Env = process.env,
  name: string = PROJECT_FILE,
): string | null => {
  let start: string;
  try {
    start = realpathSync(workspace);
  } catch {
    // A workspace that is gone has no file either.
    return null;
  }
  for (const folder of searched(start, homeOf(env))) {
    const file = join(folder, name);
    if (existsSync(file)) return file;
  }
  return null;
};

const homeOf = (env: Env): string => {
  try {
    return realpathSync(env.HOME || homedir());
  } catch {
    return '';
  }
};

const searched = (start: string, home: string): string[] => {
  const up: string[] = [];
  for (let at = start; ; at = dirname(at)) {
    if (at === home && up.length > 0 && !existsSync(join(at, '.git'))) return up;
    up.push(at);
    if (existsSync(join(at, '.git'))) return up;
    if (dirname(at) === at) return [start];
  }
};

/** Null when there is none. Throws `invalid-request` for a file that is there and cannot be understood. */
export const projectConfig = (
  workspace: string,
  env: Env = process.env,
  paths: OptaPaths = optaPaths(env),
): ProjectConfig | null => {
  const file = findProjectFile(workspace, env);
  // The user's own file, when the configuration itself lies in a repository.
  if (file === null || file === paths.configFile) return null;
  const text = readText(file);
  if (text === null) return null;
  const whole = parseLayer(text, file);
  const { permissions } = checked(whole, file);
  const rules = [...toolRules(permissions), ...permissions.rules];
  const sha256 = digestOf(text);
  const trust = trustOf(readTrust(paths), file, sha256);
  const said = KEYS.filter(({ key }) => valueAt(whole, key) !== undefined);
  const layer: Layer = {};
  for (const { key } of said.filter((row) => row.project === 'counts')) setAt(layer, pathOf(key), valueAt(whole, key));
  const narrowing = rules.filter((rule) => rule.action === 'deny');
  return {
    file,
    sha256,
    trust,
    layer,
    rules: trust === 'trusted' ? rules : narrowing,
    held: narrowing.length < rules.length ? ['permissions.rules (allow, ask)'] : [],
    never: said.filter((row) => row.project === 'never').map((row) => row.key),
  };
};

/** What is not taken over from a project's file, in one line; null when all of it counts. */
export const ignoredLine = (project: ProjectConfig): string | null => {
  const parts: string[] = [];
  const { file, trust, held, never } = project;
  if (held.length > 0 && trust !== 'trusted') {
    const why = trust === 'changed' ? 'it changed since it was trusted' : 'it is not trusted';
    parts.push(`${held.join(', ')}, since ${why} (to trust it: opta config trust)`);
  }
  if (never.length > 0) parts.push(`${never.join(', ')}, which only your own configuration may set`);
  return parts.length === 0 ? null : `${file}: not taken over: ${parts.join('; ')}`;
};

/**
 * The rules that a workspace's file adds to the user's, for the daemon, which reads it when a turn starts. [PM5] A file that cannot
 * be understood may hold a `deny`, so it denies everything, and `warn` is told why.
 */
export const projectRules = (
  workspace: string | undefined,
  warn: (reason: string) => void,
  env: Env = process.env,
): PermissionRule[] => {
  if (workspace === undefined) return [];
  try {
    return projectConfig(workspace, env)?.rules ?? [];
  } catch (cause) {
    warn(cause instanceof OptaError ? cause.message : String(cause));
    return [{ tool: '*', action: 'deny' }];
  }
};
