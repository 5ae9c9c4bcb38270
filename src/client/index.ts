import { daemonWsClient } from './aliases.ts';
import { OptaClient } from './client.ts';
import { defaultStateFile, requireDaemon } from './discover.ts';
import { nodePlatform, openNodeSocket } from './node.ts';
import type { DaemonAddress } from './platform.ts';

export * from './core.ts';

export interface ConnectOptions {
  /** The running daemon's file; by default the one of this user. */
  stateFile?: string;
  /** In place of a file: where the daemon is. Asked again whenever a connection was lost. */
  address?: () => Promise<DaemonAddress>;
}

/**
 * The daemon of this machine, found by its state file and found again after each restart. Starts none: a call while there is none
 * throws `daemon-unreachable`, which says what to type.
 */
export const connect = ({ stateFile = defaultStateFile(), address }: ConnectOptions = {}): OptaClient =>
  new OptaClient(nodePlatform(), address ?? (() => requireDaemon(stateFile)));

export class DaemonWsClient extends daemonWsClient(openNodeSocket) {}
