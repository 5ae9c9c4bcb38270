import type { DaemonState } from '../client/daemon-state.ts';
import { type DaemonHttp, daemonHttp } from '../client/http.ts';
import { resolveConfig } from '../config/load.ts';
import type { Env } from '../config/paths.ts';
import { hostPlace } from '../operations/lmx-host.ts';
import type { OperationWorld } from '../operations/operation.ts';
import { OptaError } from '../protocol/errors.ts';
import type { Call, OperationId } from '../protocol/operations.ts';
import { type Context, daemonOf, packageVersion } from './context.ts';
import { UsageError } from './exit.ts';
import { parseDevice } from './options.ts';

/** Options of every command that speaks with the inference host. */
export interface HostOptions {
  device?: string;
  remote?: boolean;
}

export interface Reached {
  world: OperationWorld;
  http: DaemonHttp;
  state: DaemonState;
}

/** A load is waited for by the daemon for two minutes; its answer comes a little later. */
const CALL_MS = 150_000;

/**
 * The inference host, seen through the daemon, which is started if need be. `--device` and `--remote` say which host is meant: a
 * daemon has one host, so a daemon that runs with another is an error, and never asks a host that was not meant.
 */
export const withHost = async <T>(
  ctx: Context,
  options: HostOptions,
  use: (reached: Reached) => Promise<T>,
  callMs = CALL_MS,
): Promise<T> => {
  const env = envFor(ctx, options);
  const { state } = await daemonOf(ctx, {}, env);
  const http = daemonHttp(state);
  try {
    const world: OperationWorld = {
      call: callOver(http, callMs),
      paths: ctx.paths,
      env,
      version: packageVersion(),
      signal: new AbortController().signal,
    };
    if (options.device !== undefined || options.remote) await requireHost(world);
    return await use({ world, http, state });
  } finally {
    http.close();
  }
};

const callOver = (http: DaemonHttp, deadlineMs: number): Call => {
  const call = http.call.bind(http) as (id: OperationId, input: object) => Promise<unknown>;
  return ((id, fields = {}) => call(id, { deadlineMs, ...fields })) as Call;
};

const envFor = (ctx: Context, { device, remote }: HostOptions): Env => {
  if (device !== undefined) {
    const { host, port } = parseDevice(device);
    return { ...ctx.env, OPTA_HOST: host, OPTA_PORT: port === undefined ? undefined : String(port) };
  }
  if (!remote) return ctx.env;
  const { sourceOf } = resolveConfig({ env: ctx.env, file: ctx.paths.configFile });
  if (sourceOf('connection.host').kind === 'default')
    throw new UsageError('--remote means the configured host, and none is: opta config set connection.host HOST');
  return ctx.env;
};

/** Throws `daemon-already-running` when the daemon asks another host. */
const requireHost = async (world: OperationWorld): Promise<void> => {
  const { config } = resolveConfig({ env: world.env, file: world.paths.configFile });
  const { host, port } = config.connection;
  const runs = await hostPlace(world);
  if (bare(runs.host) === bare(host) && runs.port === port) return;
  throw new OptaError(
    'daemon-already-running',
    `The daemon runs with the inference host ${runs.host}:${runs.port}, not ${host}:${port}. Stop it first: opta daemon stop`,
  );
};

const bare = (host: string): string => {
  const name = host.toLowerCase().replace(/^\[|\]$/g, '');
  return name === 'localhost' ? '127.0.0.1' : name;
};
