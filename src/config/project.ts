import { existsSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { OptaError } from '../protocol/errors.ts';
import { KEYS, pathOf, valueAt } from './keys.ts';
import { checked, type Layer, parseLayer, readText, setAt } from './layer.ts';
import { type Env, type OptaPaths, optaPaths } from './paths.ts';
import { PROJECT_TOOLS, type ProjectTool, readProjectTools } from './project-tools.ts';
import type { Hook, McpServer, PermissionRule } from './schema.ts';
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
  /** What runs something, and counts now: nothing unless the file is trusted. */
  brings: ProjectBrings;
  /** What would count if the file were trusted, and what never does. */
  held: string[];
  /** What the file could run, a line each, so that whoever trusts it knows. */
  runs: string[];
  never: string[];
}

export interface ProjectBrings {
  hooks: Hook[];
  servers: { [name: string]: McpServer };
  tools: ProjectTool[];
  /** One line each: what of it cannot be used. */
  problems: string[];
}
export const NOTHING_BROUGHT: ProjectBrings = { hooks: [], servers: {}, tools: [], problems: [] };

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
    if (existsSync(file) || (name === PROJECT_FILE && existsSync(join(folder, PROJECT_TOOLS)))) return file;
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
  const own = readText(file);
  const { tools, files, problems } = readProjectTools(join(dirname(file), 'tools'));
  if (own === null && files.length === 0) return null;
  const text = own ?? '{}';
  const whole = parseLayer(text, file);
  const { permissions, hooks, mcp } = checked(whole, file);
  const rules = [...toolRules(permissions), ...permissions.rules];
  // The tools beside it are part of what is trusted, or not. As JSON, so that nothing of one text can pass for another.
  const sha256 = digestOf(files.length === 0 ? text : JSON.stringify([text, files]));
  const trust = trustOf(readTrust(paths), file, sha256);
  const said = KEYS.filter(({ key }) => valueAt(whole, key) !== undefined);
  const layer: Layer = {};
  for (const { key } of said.filter((row) => row.project === 'counts')) setAt(layer, pathOf(key), valueAt(whole, key));
  const narrowing = rules.filter((rule) => rule.action === 'deny');
  const brings = { hooks, servers: mcp.servers, tools, problems };
  return {
    file,
    sha256,
    trust,
    layer,
    rules: trust === 'trusted' ? rules : narrowing,
    brings: trust === 'trusted' ? brings : NOTHING_BROUGHT,
    held: [
      ...(narrowing.length < rules.length ? ['permissions.rules (allow, ask)'] : []),
      ...(hooks.length > 0 ? ['hooks'] : []),
      ...(Object.keys(mcp.servers).length > 0 ? ['mcp.servers'] : []),
      ...(tools.length > 0 ? [PROJECT_TOOLS] : []),
    ],
    runs: linesOf(brings),
    never: said.filter((row) => row.project === 'never').map((row) => row.key),
  };
};

const linesOf = ({ hooks, servers, tools }: ProjectBrings): string[] => [
  ...hooks.map(({ event, command }) => `hook ${event}: ${command}`),
  ...Object.entries(servers).map(
    ([name, server]) => `server ${name}: ${'url' in server ? server.url : [server.command, ...server.args].join(' ')}`,
  ),
  ...tools.map(({ name, command }) => `tool ${name}: ${command}`),
];

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

/**
 * What a trusted workspace adds that runs something ([CF3]), for the daemon, which reads it when a turn starts. What cannot be
 * understood brings nothing.
 */
export const projectBrings = (workspace: string | undefined, env: Env = process.env): ProjectBrings => {
  if (workspace === undefined) return NOTHING_BROUGHT;
  try {
    return projectConfig(workspace, env)?.brings ?? NOTHING_BROUGHT;
  } catch {
    return NOTHING_BROUGHT;
  }
};
