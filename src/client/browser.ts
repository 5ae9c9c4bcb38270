import './no-eval.ts';
import { daemonWsClient } from './aliases.ts';
import { OptaClient } from './client.ts';
import type { DaemonAddress } from './platform.ts';
import { openWebSocket, webPlatform } from './web.ts';

export * from './core.ts';

export interface ConnectOptions {
  /** Where the daemon is now, such as from a connect screen or from the server of the page. Asked again after each loss. */
  address: () => Promise<DaemonAddress>;
}

/** A daemon as a page reaches it. The token goes in a header, and for a socket in the offer of a subprotocol. */
export const connect = ({ address }: ConnectOptions): OptaClient => new OptaClient(webPlatform(), address);

export class DaemonWsClient extends daemonWsClient(openWebSocket) {}
