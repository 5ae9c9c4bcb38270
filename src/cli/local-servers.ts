import { request } from 'node:http';
import { isLoopbackHost } from '../client/daemon-state.ts';
import { hostPolicyOf, mayHostInference } from '../config/host-policy.ts';
import { resolveConfig } from '../config/load.ts';
import type { Context } from './context.ts';

/** Inference servers that people run on their own machine, at the ports that they come with. */
export interface LocalServer {
  name: string;
  port: number;
}

export interface FoundServer extends LocalServer {
  models: string[];
}

export const LOCAL_SERVERS: readonly LocalServer[] = [
  { name: 'Ollama', port: 11434 },
  { name: 'LM Studio', port: 1234 },
  { name: 'llama.cpp', port: 8080 },
  { name: 'vLLM', port: 8000 },
];

const DEADLINE_MS = 300;
const ANSWER_BYTES_MAX = 1 << 20;

/**
 * Those that answer on loopback now, but for the one that is configured already. They are offered to the person and never used by
 * themselves. None is looked for on a client-only host ([HP1]).
 */
export const findLocalServers = async (
  ctx: Pick<Context, 'env' | 'paths' | 'localServers'>,
): Promise<FoundServer[]> => {
  const { config } = resolveConfig({ env: ctx.env, file: ctx.paths.configFile });
  if (!mayHostInference(hostPolicyOf(config, ctx.env))) return [];
  const { host, port: used } = config.connection;
  const others = (ctx.localServers ?? LOCAL_SERVERS).filter(({ port }) => !isLoopbackHost(host) || port !== used);
  return answering(others);
};

/** Those of them that answer on loopback now. */
export const answering = async (servers: readonly LocalServer[]): Promise<FoundServer[]> => {
  const answers = await Promise.all(
    servers.map(async (server) => ({ ...server, models: await modelsAt(server.port) })),
  );
  return answers.flatMap(({ models, ...server }) => (models === null ? [] : [{ ...server, models }]));
};

/** Names of the models that `/v1/models` lists; null when nothing answers there, or something else. */
const modelsAt = (port: number): Promise<string[] | null> =>
  new Promise((resolve) => {
    const req = request({ host: '127.0.0.1', port, path: '/v1/models', agent: false }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (part: string) => {
        text += part;
        if (text.length > ANSWER_BYTES_MAX) settle(null);
      });
      res.on('end', () => settle(res.statusCode === 200 ? idsOf(text) : null));
      res.on('error', () => settle(null));
    });
    const settle = (models: string[] | null): void => {
      clearTimeout(late);
      resolve(models);
      req.destroy();
    };
    const late = setTimeout(() => settle(null), DEADLINE_MS);
    req.on('error', () => settle(null));
    req.end();
  });

const idsOf = (text: string): string[] | null => {
  try {
    const { data } = JSON.parse(text) as { data?: { id?: unknown }[] };
    return Array.isArray(data) ? data.flatMap(({ id }) => (typeof id === 'string' ? [id] : [])) : null;
  } catch {
    // Some other program's page.
    return null;
  }
};

const MODELS_SHOWN_MAX = 3;

export const offerLine = ({ name, port, models }: FoundServer): string => {
  const some = models.slice(0, MODELS_SHOWN_MAX).join(', ') || 'no model';
  return `127.0.0.1:${port} answers (${name}'s port, ${some}). To use it: opta config set connection.host 127.0.0.1 && opta config set connection.port ${port} && opta daemon restart`;
};

/** Failures after which another server is worth offering. */
const NO_INFERENCE = new Set([
  'lmx-connection-refused',
  'lmx-timeout',
  'lmx-untrusted',
  'no-model-loaded',
  'loopback-only',
]);

export const offersFor = async (ctx: Context, code: string): Promise<FoundServer[]> =>
  NO_INFERENCE.has(code) ? findLocalServers(ctx) : [];
