import { accessSync, constants } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { valueAt } from '../config/keys.ts';
import type { Resolved } from '../config/load.ts';
import type { Env } from '../config/paths.ts';
import { type Check, pass, warn } from './doctor-checks.ts';
import { git, OWN_FILES, unfiltered } from './git.ts';
import type { SelfCheck } from './operation.ts';

/** The programs that tools and commands use. */
export const toolsCheck = async (env: Env): Promise<Check> => {
  const name = 'System Tools';
  const version = await git(['--version'], { env });
  const missing = [
    ...(version === null ? ['git (opta diff)'] : []),
    ...((await hasRipgrep()) ? [] : ['ripgrep (search_files); npm install brings it']),
  ];
  const there = [...(version === null ? [] : [version.trim()]), 'ripgrep'];
  if (missing.length === 0) return pass(name, there.join(', '));
  return warn(name, `missing: ${missing.join(', ')}`, 'install what is missing, and look again');
};

const hasRipgrep = async (): Promise<boolean> => {
  try {
    accessSync((await import('@vscode/ripgrep')).rgPath, constants.X_OK);
    return true;
  } catch {
    // Left out of the installation, or for another system.
    return false;
  }
};

export const gitCheck = async (workspace: string, env: Env): Promise<Check> => {
  const name = 'Git';
  const at = await unfiltered({ cwd: workspace, env });
  const status = await git(['status', '--porcelain=v1', '--branch', '--untracked-files=normal', OWN_FILES], at);
  if (status === null) return pass(name, `${workspace} is in no repository: opta diff has nothing to compare with`);
  const [head = '', ...changes] = status.split('\n').filter((line) => line !== '');
  const branch = head.replace(/^## (?:No commits yet on )?/, '').replace(/\.\.\..*$/, '');
  return pass(name, `on ${branch}, ${changes.length === 0 ? 'nothing uncommitted' : `${changes.length} uncommitted`}`);
};

/** Whether what is configured could be started; nothing is: a server is a program of somebody else's. */
export const mcpCheck = (config: unknown, env: Env): Check => {
  const name = 'MCP';
  const servers = Object.entries((valueAt(config, 'mcp.servers') ?? {}) as { [name: string]: { command?: unknown } });
  if (servers.length === 0) return pass(name, 'no servers are configured');
  const missing = servers.flatMap(([server, { command }]) =>
    typeof command === 'string' && !isCommand(command, env) ? [`${server} (${command})`] : [],
  );
  const all = servers.map(([server]) => server).join(', ');
  if (missing.length === 0) return pass(name, all);
  return warn(name, `${all}; not found: ${missing.join(', ')}`, `opta mcp test ${missing[0]?.split(' ')[0]}`);
};

const isCommand = (command: string, env: Env): boolean => {
  const endings = process.platform === 'win32' ? (env.PATHEXT ?? '.EXE;.CMD;.BAT').split(';') : [''];
  const folders = isAbsolute(command) || /[\\/]/.test(command) ? [''] : (env.PATH ?? '').split(delimiter);
  return folders.some((folder) => endings.some((end) => isProgram(join(folder, `${command}${end}`))));
};

const isProgram = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    // Not in this folder.
    return false;
  }
};

const SHOWN_MAX = 5;

export const modelCheck = ({ config, sourceOf }: Resolved, { ok, models, code }: SelfCheck['inference']): Check => {
  const name = 'Active Model';
  const wanted = config.model.default;
  const { kind, from } = sourceOf('model.default');
  const chosen = wanted === '' ? "none is set: the inference server's own choice" : `${wanted} (${from ?? kind})`;
  const listed = (models ?? []).slice(0, SHOWN_MAX).join(', ');
  const loaded = models == null ? '' : `; loaded: ${listed || 'none'}${models.length > SHOWN_MAX ? ', …' : ''}`;
  if (ok) return pass(name, `${chosen}${loaded}`);
  const why = code === 'no-model-loaded' ? 'it is not loaded' : 'the inference server does not say what is loaded';
  return warn(name, `${chosen}${loaded}; ${why}`, 'see LMX Connection');
};
