import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, readSync, rmSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { commandOf, type DaemonState, isWriterAlive, readDaemonState } from '../client/daemon-state.ts';
import { type Discovery, discover, unreachable } from '../client/discover.ts';
import { hostPolicyOf, refuseModelFiles } from '../config/host-policy.ts';
import { loadConfig } from '../config/load.ts';
import { type Env, ensurePrivateDir, type OptaPaths } from '../config/paths.ts';
import { isErrorCode, OptaError } from '../protocol/errors.ts';

/** How the daemon is started. Flags that are absent leave the choice to its configuration. */
export interface DaemonFlags {
  host?: string;
  port?: number;
  engine?: string;
  model?: string;
}

export interface Launcher {
  command: string;
  args: string[];
}

/** The daemon beside this file: compiled beside compiled, source beside source. */
export const daemonLauncher = (): Launcher => {
  const fromSource = import.meta.url.endsWith('.ts');
  const main = fileURLToPath(new URL(`../main.${fromSource ? 'ts' : 'js'}`, import.meta.url));
  // Resolved here: `--import tsx` would be looked up from the folder that the daemon starts in.
  const loader = fromSource ? ['--import', import.meta.resolve('tsx')] : [];
  return { command: process.execPath, args: [...loader, main] };
};

export const daemonArgs = (flags: DaemonFlags): string[] =>
  Object.entries(flags).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, String(value)]));

export interface EnsureOptions {
  paths: OptaPaths;
  env?: Env;
  flags?: DaemonFlags;
  launcher?: Launcher;
  startDeadlineMs?: number;
}

export interface EnsuredDaemon {
  state: DaemonState;
  started: boolean;
  /** The daemon's own, when it says one. */
  version?: string | undefined;
}

const START_DEADLINE_MS = 10_000;
const POLL_MS = 20;
/** How long a child that found the lock held is left alone before the next one: longer each time, for others may be starting too. */
const RETRY_MS = { first: 200, most: 1_000 };
/** A daemon that is alive but busy is given this long before it is called unresponsive. */
const PATIENT_HEALTH_MS = 5_000;

/**
 * The running daemon, started if there is none. Any number of callers at once end up with the same one: the daemon holds an
 * instance lock, the losers' children leave, and everybody reads the winner's state.
 */
export const ensureDaemon = async (options: EnsureOptions): Promise<EnsuredDaemon> => {
  const { stateFile } = options.paths;
  let found = await discover(stateFile);
  if (found.kind === 'unresponsive') found = await discover(stateFile, PATIENT_HEALTH_MS);
  if (found.kind === 'running') return { state: found.state, started: false, version: found.health.version };
  if (found.kind !== 'none' && found.kind !== 'stale') throw unreachable(found);
  return startDaemon(options);
};

const startDaemon = async (options: EnsureOptions): Promise<EnsuredDaemon> => {
  const { paths, startDeadlineMs = START_DEADLINE_MS } = options;
  // A broken configuration is told here, with its own words and exit code, rather than by a daemon that does not come up.
  const env = options.env ?? process.env;
  const config = loadConfig({ env, file: paths.configFile });
  refuseModelFiles(hostPolicyOf(config, env), config);
  ensurePrivateDir(paths.configDir);
  ensurePrivateDir(paths.daemonDir);
  const deadline = Date.now() + startDeadlineMs;
  let logStart = sizeOf(paths.logFile);
  let child = spawnDetached(options);
  let pauseMs = RETRY_MS.first;
  let retryAt: number | null = null;
  let last: Discovery = { kind: 'none' };
  while (Date.now() < deadline) {
    await sleep(POLL_MS);
    last = await discover(paths.stateFile);
    if (last.kind === 'running') {
      release(child.process);
      const { state, health } = last;
      const started = state.pid === child.process.pid;
      // [LC1] Still on its way to the lock, it would take it if the winner were stopped in this moment.
      if (!started && child.exit === null) child.process.kill('SIGTERM');
      return { state, started, version: health.version };
    }
    if (child.exit === null) continue;
    if (!lostRace(tailFrom(paths.logFile, logStart))) break;
    // [LC1] Whoever held the lock may be stopping, or die before it is up: then nobody else would start one. The lock still decides.
    retryAt ??= Date.now() + pauseMs * (0.5 + Math.random());
    if (Date.now() < retryAt || (last.kind !== 'none' && last.kind !== 'stale')) continue;
    retryAt = null;
    pauseMs = Math.min(pauseMs * 2, RETRY_MS.most);
    // What the one before said is not this one's reason.
    logStart = sizeOf(paths.logFile);
    child = spawnDetached(options);
  }
  release(child.process);
  const held = pauseMs !== RETRY_MS.first;
  throw notUp(options, { exit: child.exit, said: tailFrom(paths.logFile, logStart), held }, last);
};

interface LastTry {
  exit: string | null;
  said: string;
  /** An earlier one found the lock held. */
  held: boolean;
}

const notUp = (options: EnsureOptions, { exit, said, held }: LastTry, last: Discovery): OptaError => {
  const { paths, startDeadlineMs = START_DEADLINE_MS } = options;
  // [LC4] The daemon's own words and code, where it had the time to say them.
  const told = /^opta daemon: (.*) \[([a-z-]+)\]$/m.exec(said);
  const code = told?.[2] ?? '';
  if (exit !== null && isErrorCode(code) && code !== 'daemon-already-running')
    return new OptaError(code, `The daemon could not start: ${told?.[1]}. Its log: ${paths.logFile}`);
  const within = `within ${startDeadlineMs / 1_000} s`;
  const seen = last.kind === 'incompatible' || last.kind === 'unresponsive' ? ` ${last.reason}.` : '';
  const what =
    exit === null
      ? `${held ? `Another daemon held ${paths.daemonDir}, and the next one` : 'The daemon'} did not come up ${within}.${seen}${explain(said)}`
      : lostRace(said)
        ? `Another daemon holds ${paths.daemonDir} and did not answer ${within}.${seen}`
        : `The daemon ended at once (${exit}).${explain(said)}`;
  return new OptaError('daemon-unreachable', `${what} Its log: ${paths.logFile}`);
};

const spawnDetached = (options: EnsureOptions): { process: ChildProcess; exit: string | null } => {
  const { paths, env = process.env, flags = {}, launcher = daemonLauncher() } = options;
  // What the child says before its logger runs, or while it dies, must not be lost: it goes to the log file as it is.
  const log = openSync(paths.logFile, 'a', 0o600);
  try {
    const child = spawn(launcher.command, [...launcher.args, ...daemonArgs(flags)], {
      // The daemon must not hold the folder of whoever started it.
      cwd: paths.daemonDir,
      env: { ...env, OPTA_DAEMON_PROCESS: '1' },
      detached: true,
      stdio: ['ignore', 'ignore', log],
      windowsHide: true,
    });
    const watched: { process: ChildProcess; exit: string | null } = { process: child, exit: null };
    child.on('exit', (code, signal) => {
      watched.exit = signal ?? `exit code ${code}`;
    });
    child.on('error', (cause) => {
      watched.exit = cause.message;
    });
    return watched;
  } finally {
    closeSync(log);
  }
};

/** From here on the child lives on its own. */
const release = (child: ChildProcess): void => {
  child.unref();
};

const sizeOf = (file: string): number => {
  try {
    return statSync(file).size;
  } catch {
    return 0;
  }
};

/** At most the last 16 KiB of what was appended since. */
const tailFrom = (file: string, start: number): string => {
  const size = sizeOf(file);
  const from = Math.max(Math.min(start, size), size - 16_384);
  if (size === from) return '';
  const buffer = Buffer.alloc(size - from);
  const fd = openSync(file, 'r');
  try {
    return buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, from));
  } finally {
    closeSync(fd);
  }
};

const lostRace = (said: string): boolean => said.includes('daemon-already-running');

/** The last thing the child said that a person can use. */
const explain = (said: string): string => {
  const lines = said.split('\n').filter((line) => line.trim() !== '' && !/^\s+at |^Node\.js v/.test(line));
  const last = lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1);
  if (last === undefined) return '';
  try {
    const { msg, error } = JSON.parse(last) as { msg?: unknown; error?: unknown };
    return ` It said: ${[msg, error].filter((t) => typeof t === 'string').join(': ')}.`;
  } catch {
    return ` It said: ${last.trim()}.`;
  }
};

// --- stopping ------------------------------------------------------------------------------------------------------

export type StopResult = 'stopped' | 'killed' | 'not-running';

const STOP_DEADLINE_MS = 5_000;
const KILL_DEADLINE_MS = 2_000;

/**
 * Ends the daemon of this installation: SIGTERM, and SIGKILL after 5 s. A recorded pid is only ever signalled while it is
 * known to be our daemon, since after a crash the number may belong to somebody else; and a record is only ever removed while
 * nothing can live behind it.
 */
export const stopDaemon = async (paths: OptaPaths, stopDeadlineMs = STOP_DEADLINE_MS): Promise<StopResult> => {
  const found = await discover(paths.stateFile);
  if (found.kind === 'none') return 'not-running';
  if (found.kind === 'unsafe') throw unreachable(found);
  const { state } = found;
  if (state === undefined || !isOurDaemon(found)) {
    // [LC2] It may live, on another machine or unrecognised here: without its record a second one would be put beside it.
    if (found.kind === 'incompatible' || found.kind === 'unresponsive') {
      const advice = `If process ${found.state.pid} is no opta daemon, remove ${paths.stateFile}`;
      throw unreachable({ advice, ...found });
    }
    clean(paths, state);
    return 'not-running';
  }
  process.kill(state.pid, 'SIGTERM');
  if (await gone(state, stopDeadlineMs)) {
    clean(paths, state);
    return 'stopped';
  }
  // Looked at again: five seconds are enough for the number to change hands.
  const again = await discover(paths.stateFile);
  if (again.kind === 'running' || isWriter(state)) process.kill(state.pid, 'SIGKILL');
  if (!(await gone(state, KILL_DEADLINE_MS))) {
    throw new OptaError('internal', `Process ${state.pid} does not end, even by SIGKILL`);
  }
  clean(paths, state);
  return 'killed';
};

/** It answered with our token and its own id, or the process is at least the one that wrote the state. */
const isOurDaemon = (found: Exclude<Discovery, { kind: 'none' | 'unsafe' }>): boolean =>
  found.kind === 'running' || (found.state !== undefined && isWriter(found.state));

/** [LC2] Where the system does not tell processes with one number apart, the command line must at least be a daemon's. */
const isWriter = (state: DaemonState): boolean =>
  isWriterAlive(state) && (typeof state.processStarted === 'string' || looksLikeDaemon(state.pid));

const looksLikeDaemon = (pid: number): boolean => /[\\/](src|dist)[\\/]main\.(ts|js)(\s|$)/.test(commandOf(pid));

const gone = async (state: DaemonState, deadlineMs: number): Promise<boolean> => {
  const deadline = Date.now() + deadlineMs;
  while (isWriterAlive(state)) {
    if (Date.now() >= deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
};

/** Removes what a dead daemon left behind, unless a new one has already written its own. */
const clean = (paths: OptaPaths, dead: DaemonState | undefined): void => {
  const now = readDaemonState(paths.stateFile);
  if (now !== null && now !== 'unreadable' && now.daemonId !== dead?.daemonId) return;
  rmSync(paths.stateFile, { force: true });
  if (dead === undefined || pidFileSays(paths.pidFile) === dead.pid) rmSync(paths.pidFile, { force: true });
};

const pidFileSays = (file: string): number => {
  try {
    return Number(readFileSync(file, 'utf8').trim());
  } catch {
    return 0;
  }
};
