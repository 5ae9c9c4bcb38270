import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { gitDiff } from '../../src/tools/builtin/git-diff.ts';
import { gitLog } from '../../src/tools/builtin/git-log.ts';
import { gitStatus } from '../../src/tools/builtin/git-status.ts';
import { failureOf } from '../../src/tools/outcome.ts';
import { Workspace } from '../../src/tools/workspace.ts';
import { BOUNDS } from './support.ts';

export const hasGit = spawnSync('git', ['--version']).status === 0;

const ENV = {
  PATH: process.env.PATH ?? '',
  HOME: '/',
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'A U Thor',
  GIT_AUTHOR_EMAIL: 'a@example.com',
  GIT_COMMITTER_NAME: 'A U Thor',
  GIT_COMMITTER_EMAIL: 'a@example.com',
};

/** Git as a person uses it, to build what the tools are to look at. */
export const gitIn =
  (folder: string) =>
  (...args: string[]): string =>
    execFileSync('git', ['-c', 'init.defaultBranch=main', '-c', 'protocol.file.allow=always', ...args], {
      cwd: folder,
      env: ENV,
      encoding: 'utf8',
      timeout: 10_000,
      killSignal: 'SIGKILL',
      stdio: ['ignore', 'pipe', 'pipe'],
    });

export const putIn =
  (folder: string) =>
  (path: string, content: string | Buffer): void => {
    fs.mkdirSync(join(folder, path, '..'), { recursive: true });
    fs.writeFileSync(join(folder, path), content);
  };

/** The tools as a tool process calls them: an error is a result. */
export const toolsIn = (folder: string, denied: string[] = []) => {
  const run = async (
    tool: (ws: Workspace, args: never, bounds: typeof BOUNDS) => Promise<{ result: string }>,
    args: object,
    bounds = BOUNDS,
  ): Promise<string> => {
    const ws = new Workspace(folder, { denied });
    try {
      return (await tool(ws, args as never, bounds)).result;
    } catch (error) {
      return failureOf(error).result;
    } finally {
      ws.close();
    }
  };
  return {
    status: (args: object = {}) => run(gitStatus, args),
    diff: (args: object = {}, bounds = BOUNDS) => run(gitDiff, args, bounds),
    log: (args: object = {}) => run(gitLog, args),
  };
};
