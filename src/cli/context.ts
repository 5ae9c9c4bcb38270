import { readFileSync } from 'node:fs';
import type { DaemonState } from '../client/daemon-state.ts';
import { type DaemonHttp, daemonHttp } from '../client/http.ts';
import { type Env, type OptaPaths, optaPaths } from '../config/paths.ts';
import { type DaemonFlags, ensureDaemon } from './daemon-process.ts';
import { createOutput, type Output } from './output.ts';

/** What every command is given. */
export interface Context {
  output: Output;
  env: Env;
  paths: OptaPaths;
  cwd: string;
}

export const createContext = (): Context => ({
  output: createOutput(),
  env: process.env,
  paths: optaPaths(process.env),
  cwd: process.cwd(),
});

export const packageVersion = (): string =>
  (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;

/** The control plane of the running daemon, started if need be; `use` is given it for as long as it takes. */
export const withDaemon = async <T>(
  ctx: Context,
  use: (http: DaemonHttp, state: DaemonState) => Promise<T>,
  flags: DaemonFlags = {},
): Promise<T> => {
  const { state } = await ensureDaemon({ paths: ctx.paths, env: ctx.env, flags });
  const http = daemonHttp(state);
  try {
    return await use(http, state);
  } finally {
    http.close();
  }
};
