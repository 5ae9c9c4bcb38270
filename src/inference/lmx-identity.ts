import { OptaError } from '../protocol/errors.ts';
import { advertisedPath, isLoopbackHost } from './loopback-guard.ts';
import type { Probed } from './probe.ts';

/** What a server promises beyond the first of its kind. */
export interface Capabilities {
  /** Many requests on one socket, told apart by `client_request_id`. */
  multiplex: boolean;
  /** It says that it is alive while it has nothing else to say. */
  keepalive: boolean;
}

/** What a server says it is. `unknown`: it did not say, and may do so later. */
export type Discovery =
  | { kind: 'lmx'; wsPath: string | null; loadedModels: string[]; can: Capabilities }
  | { kind: 'plain' }
  | { kind: 'unknown'; error: OptaError };

export const WS_PATH = '/v1/chat/stream';

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as { [name: string]: unknown })[name] : undefined;

/** Reads the answer to `/.well-known/opta-lmx`. A server that knows no such page is a plain OpenAI-compatible one. */
export const readDiscovery = ({ status, body }: Probed): Discovery => {
  if (status === 429 || status >= 500)
    return {
      kind: 'unknown',
      error: new OptaError('lmx-busy', `The inference server answered with status ${status}.`),
    };
  if (status !== 200 || member(body, 'service') !== 'opta-lmx') return { kind: 'plain' };
  const endpoints = member(body, 'endpoints');
  const path = member(endpoints, 'websocket_path');
  const models = member(body, 'loaded_models');
  return {
    kind: 'lmx',
    wsPath: advertisedPath(path) ?? advertisedPath(member(endpoints, 'websocket_url')),
    loadedModels: Array.isArray(models) ? models.filter((m) => typeof m === 'string') : [],
    can: capabilitiesIn(member(body, 'capabilities')),
  };
};

/**
 * Whether a prompt may go to this server: on a stranger's network the configured address is somebody else. Null, or the
 * reason why not.
 */
export const distrust = (
  server: { host: string; port: number; apiKey?: string | undefined; trusted?: boolean | undefined },
  discovery: Discovery,
): OptaError | null => {
  if (isLoopbackHost(server.host) || server.apiKey || server.trusted === true || discovery.kind === 'lmx') return null;
  if (discovery.kind === 'unknown') return discovery.error;
  return new OptaError(
    'lmx-untrusted',
    `${server.host}:${server.port} does not identify itself as an Opta LMX server, so nothing was sent to it. ` +
      'If it is yours, say so with "opta config set connection.trusted true", or give its key with ' +
      '"opta config set connection.apiKey <key>".',
    { host: server.host, port: server.port },
  );
};

const capabilitiesIn = (listed: unknown): Capabilities => {
  const names: unknown[] = Array.isArray(listed) ? listed : [];
  return { multiplex: names.includes('multiplex'), keepalive: names.includes('keepalive') };
};
