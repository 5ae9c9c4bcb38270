import type { Client, Transport } from '@modelcontextprotocol/client';
import type { Env } from '../../config/paths.ts';
import type { McpServer } from '../../config/schema.ts';
import { coverUrl } from '../../config/secrets.ts';
import { OptaError } from '../../protocol/errors.ts';
import { closed, placeOf, reasonOf, stdioOf } from '../../services/connection.ts';
import { guardedFetch } from '../../services/loopback-fetch.ts';
import { GroupTransport } from '../../services/stdio-transport.ts';
import { isHttp } from './servers.ts';

export interface Tool {
  name: string;
  description: string;
}

export interface Probed {
  server: { name: string; version: string };
  tools: Tool[];
  latencyMs: number;
}

export interface ProbeWorld {
  env: Env;
  version: string;
  loopbackOnly: boolean;
  timeoutMs: number;
  /** Where a server's command runs. */
  cwd?: string;
  signal?: AbortSignal;
}

/**
 * Starts or reaches a server of tools, asks for its tools, and leaves nothing behind. Rejects with `mcp-failed`, `timeout` or
 * `loopback-only`. What a command that is started reaches is its own affair: `OPTA_LOOPBACK_ONLY` binds Opta.
 */
export const probe = async (server: McpServer, world: ProbeWorld): Promise<Probed> => {
  const sdk = await import('@modelcontextprotocol/client');
  const late = AbortSignal.timeout(world.timeoutMs);
  const signal = world.signal === undefined ? late : AbortSignal.any([late, world.signal]);
  let refused: OptaError | null = null;
  const place = isHttp(server) ? placeOf(server) : null;
  const transport = isHttp(server)
    ? new sdk.StreamableHTTPClientTransport(new URL(place?.url ?? server.url), {
        fetch: guardedFetch(world.loopbackOnly, (error) => {
          refused = error;
        }),
        requestInit: { headers: place?.headers ?? {} },
      })
    : await stdioOf(sdk, server, world);
  // Over HTTP a server of the newer protocol is found out without harm; some that speak by their streams die of the question.
  const client = new sdk.Client(
    { name: 'opta', version: world.version },
    { versionNegotiation: { mode: isHttp(server) ? 'auto' : 'legacy' } },
  );
  const begun = performance.now();
  try {
    const tools = await Promise.race([ask(client, transport, world.timeoutMs, signal), aborted(signal)]);
    const { name = '', version = '' } = client.getServerVersion() ?? {};
    return { server: { name, version }, tools, latencyMs: Math.round(performance.now() - begun) };
  } catch (cause) {
    if (refused !== null) throw refused;
    const { timeoutMs } = world;
    if (late.aborted) throw new OptaError('timeout', `It did not answer within ${timeoutMs} ms`, { timeoutMs });
    const ended = transport instanceof GroupTransport && !signal.aborted ? await transport.endedSoon() : null;
    const reason = ended ?? reasonOf(cause);
    // [MC1] Libraries quote the address, which may hold a secret.
    throw new OptaError('mcp-failed', place === null ? reason : reason.replaceAll(place.url, coverUrl(place.url)));
  } finally {
    await closed(client, transport);
  }
};

const ask = async (client: Client, transport: Transport, timeout: number, signal: AbortSignal): Promise<Tool[]> => {
  await client.connect(transport, { timeout, signal });
  if (client.getServerCapabilities()?.tools === undefined) return [];
  const { tools } = await client.listTools(undefined, { timeout, signal });
  return tools.map(({ name, description = '' }) => ({ name, description }));
};

/** For a library that does not hear the signal while it connects. */
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const give = (): void => reject(new Error('given up'));
    if (signal.aborted) give();
    else signal.addEventListener('abort', give, { once: true });
  });
