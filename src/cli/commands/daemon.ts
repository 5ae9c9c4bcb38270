import { spawn } from 'node:child_process';
import type { DaemonState } from '../../client/daemon-state.ts';
import { discover } from '../../client/discover.ts';
import { daemonHttp } from '../../client/http.ts';
import { daemonRecord } from '../../operations/daemon-record.ts';
import { type Context, daemonOf } from '../context.ts';
import { type DaemonFlags, daemonArgs, daemonLauncher, stopDaemon } from '../daemon-process.ts';
import { EXIT, UsageError } from '../exit.ts';
import { colour, oneLine } from '../output.ts';
import { importOnce } from '../settings.ts';

export interface StartOptions extends DaemonFlags {
  json?: boolean;
  showToken?: boolean;
  lan?: boolean;
}

export const startDaemonCommand = async (ctx: Context, options: StartOptions): Promise<number> => {
  refuseLan(options);
  const { state, started } = await daemonOf(ctx, flagsOf(options));
  if (!started) {
    await warnOfOtherEngine(ctx, options.engine);
    await warnOfIdleFlags(ctx, options, state);
  }
  if (options.json) ctx.output.pretty(shown(state, options.showToken));
  else {
    ctx.output.out(`Daemon ${started ? 'started' : 'already running'}: ${place(state)}\n`);
    if (options.showToken) ctx.output.out(tokenLines(state, ''));
  }
  return EXIT.ok;
};

/** Whoever asks for an engine by name must not take another one's answers for its answers. */
const warnOfOtherEngine = async (ctx: Context, wanted: string | undefined): Promise<void> => {
  const found = wanted === undefined ? null : await discover(ctx.paths.stateFile);
  const runs = found?.kind === 'running' ? engineOf(found.health) : undefined;
  if (runs !== undefined && runs !== wanted) {
    ctx.output.err(`It runs with engine ${oneLine(runs)}. To change that: opta daemon restart --engine ${wanted}\n`);
  }
};

/** What was asked of a start that started nothing. Port 0 is any port, so the one that it has will do. */
const warnOfIdleFlags = async (
  ctx: Context,
  { host, port, model }: StartOptions,
  state: DaemonState,
): Promise<void> => {
  const idle = [
    ...(host === undefined || host === 'localhost' || host === state.host ? [] : [`--host ${host}`]),
    ...(port === undefined || port === 0 || port === state.port ? [] : [`--port ${port}`]),
    ...(model === undefined || model === (await modelOf(state)) ? [] : [`--model ${oneLine(model)}`]),
  ].join(' ');
  if (idle !== '') ctx.output.err(`It runs without ${idle}. To change that: opta daemon restart ${idle}\n`);
};

const modelOf = async (state: DaemonState): Promise<string> => {
  const http = daemonHttp(state);
  try {
    return (await http.call('health')).model;
  } finally {
    http.close();
  }
};

export const stopDaemonCommand = async (ctx: Context, options: { json?: boolean } = {}): Promise<number> => {
  const how = await stopDaemon(ctx.paths);
  if (options.json) ctx.output.pretty({ running: false, stopped: how !== 'not-running', how });
  else ctx.output.out(`${STOPPED[how]}\n`);
  return EXIT.ok;
};

const STOPPED = {
  stopped: 'Daemon stopped',
  killed: 'Daemon did not stop in time and was killed; it recovers its sessions when it starts',
  'not-running': 'Daemon is not running',
} as const;

/**
 * Comes back at the same port, so that what was configured by hand still finds it, and with the same engine: a daemon that was
 * started with another one than the configuration names must not turn to the configured host by being restarted.
 */
export const restartDaemonCommand = async (ctx: Context, options: StartOptions): Promise<number> => {
  refuseLan(options);
  const before = await discover(ctx.paths.stateFile);
  const stopped = await stopDaemon(ctx.paths);
  if (!options.json) ctx.output.err(`${STOPPED[stopped]}\n`);
  const port = 'state' in before ? before.state?.port : undefined;
  const engine = before.kind === 'running' ? engineOf(before.health) : undefined;
  // A guard that the daemon ran under stays, even when the shell that restarts it does not know of it (IN1).
  const guarded = before.kind === 'running' && isLoopbackOnly(before.health);
  const next = guarded ? { ...ctx, env: { ...ctx.env, OPTA_LOOPBACK_ONLY: '1' } } : ctx;
  return startDaemonCommand(next, {
    ...(port === undefined ? {} : { port }),
    ...(engine === undefined ? {} : { engine }),
    ...options,
  });
};

const isLoopbackOnly = (health: { [field: string]: unknown }): boolean =>
  (health.engine as { loopbackOnly?: unknown } | null | undefined)?.loopbackOnly === true;

const engineOf = (health: { [field: string]: unknown }): string | undefined => {
  const named = (health.engine as { engine?: unknown } | null | undefined)?.engine;
  return typeof named === 'string' ? named : undefined;
};

export const daemonStatusCommand = async (
  ctx: Context,
  options: { json?: boolean; showToken?: boolean; exitCode?: boolean },
): Promise<number> => {
  const found = await discover(ctx.paths.stateFile);
  const running = found.kind === 'running';
  if (options.json) {
    ctx.output.pretty({
      running,
      state: running ? shown(found.state, options.showToken) : null,
      logsPath: running ? found.state.logsPath : ctx.paths.logFile,
      ...(running ? { health: found.health.status, version: found.health.version } : {}),
      ...('reason' in found ? { reason: found.reason } : {}),
    });
  } else if (running) {
    ctx.output.out(`Daemon is running: ${place(found.state)}\n`);
    ctx.output.out(
      `  since ${found.state.startedAt}, ${oneLine(found.health.status)}${runtimeLine(found.health.runtime)}\n`,
    );
    if (options.showToken) ctx.output.out(tokenLines(found.state, '  '));
  } else {
    const why = 'reason' in found ? ` (${found.reason})` : '';
    ctx.output.out(`Daemon is not ${found.kind === 'unresponsive' ? 'responding' : 'running'}${why}\n`);
  }
  return options.exitCode && !running ? EXIT.error : EXIT.ok;
};

/** In the foreground, with its log on this terminal. Ends as the daemon ends. */
export const runDaemonCommand = async (ctx: Context, options: StartOptions & { token?: string }): Promise<number> => {
  refuseLan(options);
  if (options.token !== undefined) {
    // [AC1] Every user of this machine can read a command line.
    throw new UsageError(
      '--token is refused: a command line can be read by others. Each start makes a token of its own',
    );
  }
  await importOnce(ctx);
  const { command, args } = daemonLauncher();
  const child = spawn(command, [...args, ...daemonArgs(flagsOf(options))], {
    stdio: 'inherit',
    env: { ...ctx.env, OPTA_DAEMON_PROCESS: '1' },
  });
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code, signal) => resolve(signal === null ? (code ?? EXIT.error) : EXIT.error));
    });
  } finally {
    for (const signal of signals) process.removeListener(signal, forward);
  }
};

const flagsOf = ({ host, port, engine, model }: StartOptions): DaemonFlags => ({
  ...(host === undefined ? {} : { host }),
  ...(port === undefined ? {} : { port }),
  ...(engine === undefined ? {} : { engine }),
  ...(model === undefined ? {} : { model }),
});

const refuseLan = (options: { lan?: boolean }): void => {
  if (options.lan) throw new UsageError('--lan is refused: the daemon only listens on loopback');
};

const place = (state: DaemonState): string => `http://${state.host}:${state.port} ${colour.dim(`(pid ${state.pid})`)}`;

const tokenLines = ({ token, observerToken }: DaemonState, indent: string): string =>
  [`token ${token}`, ...(observerToken === undefined ? [] : [`observer token ${observerToken}`])]
    .map((line) => `${indent}${line}\n`)
    .join('');

const shown = (state: DaemonState, showToken: boolean | undefined): object =>
  daemonRecord(state, showToken ? null : '(hidden, use --show-token)');

const runtimeLine = (runtime: unknown): string => {
  const { sessionCount, activeTurnCount, queuedTurnCount } = (runtime ?? {}) as { [name: string]: unknown };
  if (typeof sessionCount !== 'number') return '';
  return `, ${sessionCount} live sessions, ${activeTurnCount} turns running, ${queuedTurnCount} queued`;
};
