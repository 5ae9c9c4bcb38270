import { readFileSync } from 'node:fs';
import type { DaemonState } from '../client/daemon-state.ts';
import { type DaemonHttp, daemonHttp } from '../client/http.ts';
import { type Env, type OptaPaths, optaPaths } from '../config/paths.ts';
import { type DaemonFlags, type EnsuredDaemon, ensureDaemon, type Launcher } from './daemon-process.ts';
import type { LocalServer } from './local-servers.ts';
import { createOutput, type Output } from './output.ts';
import { importOnce } from './settings.ts';

/** What every command is given. */
export interface Context {
  output: Output;
  env: Env;
  paths: OptaPaths;
  cwd: string;
  /** How a daemon is started, when it is not the one beside this program. */
  launcher?: Launcher;
  /** Where inference servers are looked for on this machine, when not at the usual ports. */
  localServers?: readonly LocalServer[];
  /** Says what goes on, on stderr, when `--verbose` or `--debug` asked for it. */
  trace(text: string): void;
}

export const createContext = (): Context => {
  const output = createOutput();
  return {
    output,
    env: process.env,
    paths: optaPaths(process.env),
    cwd: process.cwd(),
    trace: (text) => {
      if (process.env.OPTA_VERBOSE || process.env.OPTA_DEBUG) output.err(`[verbose] ${text}\n`);
    },
  };
};

/** The daemon of this installation, started if need be. */
export const daemonOf = async (
  ctx: Context,
  flags: DaemonFlags = {},
  env: Env = ctx.env,
  quiet = false,
): Promise<EnsuredDaemon> => {
  const { paths, launcher } = ctx;
  await importOnce(ctx);
  const ensured = await ensureDaemon({ paths, env, flags, ...(launcher ? { launcher } : {}) });
  const { host, port, pid } = ensured.state;
  const { version } = ensured;
  // [LC3] Never replaced by itself: others may be at work in it.
  if (!quiet && version !== undefined && version !== packageVersion())
    ctx.output.err(`opta: the daemon is version ${version}, this is ${packageVersion()}: opta daemon restart\n`);
  ctx.trace(`daemon ${ensured.started ? 'started' : 'found'} at ${host}:${port}, pid ${pid}`);
  return ensured;
};

export const packageVersion = (): string =>
  (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;

/** The control plane of the running daemon, started if need be; `use` is given it for as long as it takes. */
export const withDaemon = async <T>(
  ctx: Context,
  use: (http: DaemonHttp, state: DaemonState) => Promise<T>,
): Promise<T> => {
  const { state } = await daemonOf(ctx);
  const http = daemonHttp(state);
  try {
    return await use(http, state);
  } finally {
    http.close();
  }
};
