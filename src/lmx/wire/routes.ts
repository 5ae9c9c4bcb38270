import { randomBytes } from 'node:crypto';
import type { Clock } from '../../actors/ports.ts';
import { splitHost } from '../../transport/origin.ts';
import type { Exchange, RequestHead } from '../../transport/port.ts';
import { type LmxDone, LmxError } from '../errors.ts';
import type { Gateway } from '../gateway.ts';
import type { LmxLimits } from '../limits.ts';
import * as admin from './admin.ts';
import { AdminEvents } from './admin-events.ts';
import { callerOf } from './caller.ts';
import { answerChat } from './chat-http.ts';
import { readChat } from './chat-schema.ts';
import { discovery, type Place } from './discovery.ts';
import type { LmxKeys } from './keys.ts';
import { loadJobs } from './load-jobs.ts';
import { metricsJson, prometheus } from './metrics.ts';

export interface RouteWorld {
  gateway: Gateway;
  keys: LmxKeys;
  clock: Clock;
  limits: LmxLimits;
  version: string;
  place(): Place;
  reply(exchange: Exchange, status: number, body: object | string, headers?: [string, string][]): void;
  refuse(exchange: Exchange, error: LmxError): void;
  cors(exchange: Exchange): [string, string][];
}

export interface Hit {
  head: RequestHead;
  exchange: Exchange;
  /** What a pattern's `*` stands for, decoded. */
  item: string;
  /** Undefined where there was none. */
  body: unknown;
}

export interface Route {
  method: string;
  /** A `*` stands for one or more parts of the path: names of models have slashes. */
  path: string;
  needs: 'nothing' | 'inference' | 'admin';
  run(hit: Hit): void;
}

/** Every route there is. A handler that throws is answered with the error's envelope. */
export const routes = (world: RouteWorld): { routes: Route[]; close(): void } => {
  const { gateway, keys, version, reply, refuse } = world;
  const events = new AdminEvents(gateway, world.clock, world.limits);
  const loads = loadJobs(gateway, world.clock, () => randomBytes(9).toString('base64url'));
  const row = (needs: Route['needs'], at: string, run: Route['run']): Route => {
    const [method = '', path = ''] = at.split(' ');
    return { method, path, needs, run };
  };
  const says = (needs: Route['needs'], at: string, make: (hit: Hit) => object): Route =>
    row(needs, at, (hit) => reply(hit.exchange, 200, make(hit)));
  const answered =
    <T>(exchange: Exchange, shape: (value: T) => object): LmxDone<T | null> =>
    (error, value) =>
      error || value === null
        ? refuse(exchange, error ?? new LmxError('internal_error', 'No answer.'))
        : reply(exchange, 200, shape(value));
  const noDownloads = (): never => {
    throw new LmxError(
      'downloads_disabled',
      'This server fetches no models: put the file where it runs and name it there.',
    );
  };
  const table = [
    says('nothing', 'GET /healthz', () => ({ status: 'ok', version })),
    row('nothing', 'GET /readyz', ({ exchange }) => {
      const ready = gateway.models().filter((m) => m.readiness === 'routable').length;
      if (ready > 0 && gateway.status().state === 'serving')
        reply(exchange, 200, { status: 'ready', version, models_loaded: ready });
      else {
        const reason = gateway.status().state === 'serving' ? 'no models loaded' : 'the server is shutting down';
        reply(exchange, 503, { status: 'unavailable', reason }, [['retry-after', '2']]);
      }
    }),
    ...['/.well-known/opta-lmx', '/v1/discovery'].map((path) =>
      says('nothing', `GET ${path}`, ({ head }) => discovery(gateway, placeFor(world.place(), head), keys, version)),
    ),

    says('inference', 'GET /v1/models', () => admin.served(gateway)),
    says('inference', 'GET /v1/models/*', ({ item }) => {
      const found = gateway.models().find((m) => m.id === item && m.readiness === 'routable');
      if (!found)
        throw new LmxError('model_not_found', `The model ${JSON.stringify(item)} is not loaded.`, { param: 'model' });
      return admin.servedModel(found);
    }),
    row('inference', 'POST /v1/chat/completions', ({ head, exchange, body }) => {
      const chat = readChat(body);
      answerChat(world, exchange, chat, callerOf(head, keys.isAdminKey(head), chat.user));
    }),
    ...['/v1/completions', '/v1/responses', '/v1/messages', '/v1/embeddings', '/v1/rerank'].map((path) =>
      row('inference', `POST ${path}`, () => {
        throw new LmxError('not_supported', `${path} is not served here; answers come from /v1/chat/completions.`);
      }),
    ),

    says('admin', 'GET /admin/status', () => admin.status(gateway, version)),
    says('admin', 'GET /admin/memory', () => admin.memoryOf(gateway)),
    says('admin', 'GET /admin/device', () => admin.device()),
    says('admin', 'GET /admin/health', () => admin.health(gateway, version)),
    says('admin', 'GET /admin/models', () => admin.models(gateway)),
    row('admin', 'GET /admin/models/available', ({ exchange }) =>
      gateway.available(answered(exchange, admin.available)),
    ),
    says('admin', 'GET /admin/models/downloads', () => ({ downloads: [] })),
    says('admin', 'GET /admin/models/*/performance', ({ item }) => admin.performance(gateway, item)),
    ...['GET /admin/models/download/*/progress', 'DELETE /admin/models/download/*'].map((at) =>
      row('admin', at, ({ item }) => {
        throw new LmxError('download_not_found', `There is no download ${JSON.stringify(item)}.`);
      }),
    ),
    row('admin', 'POST /admin/models/load', ({ exchange, body }) => {
      const { model_id, max_context_length, async: isAsync } = admin.readLoad(body);
      const options = typeof max_context_length === 'number' ? { contextLength: max_context_length } : {};
      if (isAsync) return reply(exchange, 202, loads.begin(model_id, options));
      gateway.load(model_id, options, answered(exchange, admin.loaded));
    }),
    says('admin', 'GET /admin/models/load/*', ({ item }) => loads.get(item)),
    row('admin', 'POST /admin/models/load/confirm', () => {
      throw new LmxError('token_not_found', 'No download waits for a confirmation.');
    }),
    row('admin', 'POST /admin/models/download', noDownloads),
    row('admin', 'POST /admin/models/unload', ({ exchange, body }) => {
      const { model_id, force } = admin.readUnload(body);
      gateway.unload(
        model_id,
        { force: force ?? false },
        answered(exchange, ({ memoryBytes }) => admin.unloaded(model_id, memoryBytes)),
      );
    }),
    row('admin', 'DELETE /admin/models/*', ({ exchange, item }) =>
      gateway.remove(
        item,
        answered(exchange, ({ freedBytes }) => ({ success: true, model_id: item, freed_bytes: freedBytes })),
      ),
    ),
    row('admin', 'GET /admin/metrics', ({ exchange }) =>
      reply(exchange, 200, prometheus(gateway), [['content-type', 'text/plain; version=0.0.4; charset=utf-8']]),
    ),
    says('admin', 'GET /admin/metrics/json', () => metricsJson(gateway)),
    row('admin', 'GET /admin/events', ({ exchange }) => events.answer(exchange, world.cors(exchange))),
  ];
  return { routes: table, close: () => events.close() };
};

/** Who listens everywhere is at the address by which it was reached: the Host header, which was checked. */
const placeFor = (place: Place, head: RequestHead): Place => {
  if (place.host !== '0.0.0.0' && place.host !== '::') return place;
  const name = splitHost(head.headers.get('host') ?? '')?.name ?? place.host;
  return { ...place, host: name.replace(/^\[|\]$/g, '') };
};

export interface Found {
  route: Route;
  item: string;
}

/** The route of a request; `elsewhere` says with which methods the path is there. Throws `invalid_request` for a path that is not UTF-8. */
export const findRoute = (table: readonly Route[], method: string, path: string): Found | { elsewhere: string[] } => {
  const elsewhere: string[] = [];
  let best: Found | null = null;
  for (const route of table) {
    const item = itemOf(route.path, path);
    if (item === null) continue;
    if (route.method !== method) elsewhere.push(route.method);
    // A path that is said in full wins over one with a name in it, and of two of those the one that says more.
    else if (best === null || saysMore(route.path, best.route.path)) best = { route, item };
  }
  return best ?? { elsewhere };
};

const saysMore = (path: string, than: string): boolean =>
  path.includes('*') === than.includes('*') ? path.length > than.length : !path.includes('*');

const itemOf = (pattern: string, path: string): string | null => {
  const star = pattern.indexOf('*');
  if (star < 0) return pattern === path ? '' : null;
  const [before, after] = [pattern.slice(0, star), pattern.slice(star + 1)];
  if (!path.startsWith(before) || !path.endsWith(after) || path.length <= before.length + after.length) return null;
  try {
    return decodeURIComponent(path.slice(before.length, path.length - after.length));
  } catch {
    throw new LmxError('invalid_request', 'The path is not UTF-8.');
  }
};
