import { homedir, hostname } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { CONTRACT } from '../protocol/envelope.ts';
import { OptaError } from '../protocol/errors.ts';
import {
  type DaemonState,
  distrustOf,
  isAlive,
  isLoopbackHost,
  isWriterAlive,
  readDaemonState,
} from './daemon-state.ts';
import { daemonHttp, type Health } from './http.ts';

/**
 * What stands behind a state file. Only `none` and `stale` mean that a daemon may be started: one that is alive but slow
 * is `unresponsive`, and must never be answered with a second daemon.
 */
export type Discovery =
  | { kind: 'running'; state: DaemonState; health: Health }
  | { kind: 'none' }
  | { kind: 'stale'; state?: DaemonState; reason: string }
  /** The file may have been written by somebody else: nothing in it is used. */
  | { kind: 'unsafe'; reason: string }
  /** `advice`: what helps where a restart does not. */
  | { kind: 'unresponsive'; state: DaemonState; reason: string; advice?: string }
  | { kind: 'incompatible'; state: DaemonState; reason: string; advice?: string };

/** Where the daemon of this user writes it (docs/PROTOCOL.md, find the daemon). */
export const defaultStateFile = (env: { readonly [name: string]: string | undefined } = process.env): string =>
  join(configDir(env), 'daemon', 'state.json');

const configDir = (env: { readonly [name: string]: string | undefined }): string => {
  if (env.OPTA_HOME) return resolve(env.OPTA_HOME);
  if (env.XDG_CONFIG_HOME && isAbsolute(env.XDG_CONFIG_HOME)) return join(env.XDG_CONFIG_HOME, 'opta');
  if (process.platform === 'win32' && env.APPDATA) return join(env.APPDATA, 'opta');
  return join(env.HOME || homedir(), '.config', 'opta');
};

export const HEALTH_DEADLINE_MS = 800;

export const discover = async (stateFile: string, deadlineMs = HEALTH_DEADLINE_MS): Promise<Discovery> => {
  const unsafe = distrustOf(stateFile);
  if (unsafe !== null) return { kind: 'unsafe', reason: unsafe };
  const state = readDaemonState(stateFile);
  if (state === null) return { kind: 'none' };
  if (state === 'unreadable') return { kind: 'stale', reason: `${stateFile} is unreadable` };
  if (!isWriterAlive(state)) return ended(state, stateFile);
  if (!isLoopbackHost(state.host)) {
    // The token would leave the machine with the first call.
    return { kind: 'incompatible', state, reason: `its host ${state.host} is not a loopback address` };
  }
  const http = daemonHttp(state);
  try {
    return judge(state, await http.health(deadlineMs));
  } catch (cause) {
    return missed(state, cause, deadlineMs);
  } finally {
    http.close();
  }
};

/** [LC2] Gone, or running on another machine that shares the folder: from here the two look alike, and only one may be replaced. */
const ended = (state: DaemonState, stateFile: string): Discovery => {
  if (state.hostname !== undefined && state.hostname !== hostname()) {
    const reason = `${stateFile} is of the machine ${state.hostname}; if no daemon runs there, remove the file`;
    const advice = 'If one does, stop it there, or set another OPTA_HOME here';
    return { kind: 'incompatible', state, reason, advice };
  }
  const reused = isAlive(state.pid) ? ', and its number is now that of another program' : '';
  return { kind: 'stale', state, reason: `process ${state.pid} is gone${reused}` };
};

const judge = (state: DaemonState, health: Health): Discovery => {
  if (health.daemonId !== undefined && health.daemonId !== state.daemonId) {
    return { kind: 'stale', state, reason: 'another daemon answers at its address' };
  }
  const { contract } = health;
  if (contract?.name === CONTRACT.name && contract.version === CONTRACT.version) {
    return { kind: 'running', state, health };
  }
  const spoken = contract ? `${contract.name} version ${contract.version}` : 'no contract that it names';
  const reason = `it speaks ${spoken}; this client needs ${CONTRACT.name} version ${CONTRACT.version}`;
  return { kind: 'incompatible', state, reason };
};

const missed = (state: DaemonState, cause: unknown, deadlineMs: number): Discovery => {
  const error = cause instanceof OptaError ? cause : new OptaError('internal', String(cause));
  if (error.code === 'daemon-unreachable' && error.facts.cause === 'ECONNREFUSED') {
    return { kind: 'stale', state, reason: `nothing listens at ${state.host}:${state.port}` };
  }
  if (error.code === 'unauthorized') return { kind: 'stale', state, reason: 'what answers there has another token' };
  if (error.code === 'timeout') {
    return { kind: 'unresponsive', state, reason: `process ${state.pid} did not answer within ${deadlineMs} ms` };
  }
  return { kind: 'unresponsive', state, reason: error.message };
};

/**
 * The address of the running daemon. Throws `daemon-unreachable` that says what was found and what to type.
 */
export const requireDaemon = async (stateFile: string, deadlineMs?: number): Promise<DaemonState> => {
  const found = await discover(stateFile, deadlineMs);
  if (found.kind === 'running') return found.state;
  throw unreachable(found);
};

export const unreachable = (found: Exclude<Discovery, { kind: 'running' }>): OptaError => {
  switch (found.kind) {
    case 'none':
      return new OptaError('daemon-unreachable', 'No daemon is running. Start one with: opta daemon start');
    case 'stale':
      return new OptaError(
        'daemon-unreachable',
        `No daemon is running (${found.reason}). Start one with: opta daemon start`,
      );
    case 'unsafe':
      return new OptaError(
        'daemon-unreachable',
        `The daemon's state is not used: ${found.reason}. If the file is yours, remove it, then: opta daemon start`,
      );
    case 'unresponsive':
      return new OptaError(
        'daemon-unreachable',
        `The daemon does not respond: ${found.reason}. ${found.advice ?? 'Try again, or: opta daemon restart'}`,
      );
    case 'incompatible':
      return new OptaError(
        'daemon-unreachable',
        `The running daemon cannot be used: ${found.reason}. ${found.advice ?? 'Try: opta daemon restart'}`,
      );
  }
};
