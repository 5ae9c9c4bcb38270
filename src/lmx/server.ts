import type { Clock, Log } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import { access, isLoopbackHost } from '../transport/origin.ts';
import type { Accepted, Exchange, RequestHead, Response, Transport, TransportAdapter } from '../transport/port.ts';
import { envelope, LmxError, toLmxError } from './errors.ts';
import type { Gateway } from './gateway.ts';
import { LMX_LIMITS, type LmxLimits } from './limits.ts';
import { ChatSocket } from './wire/chat-socket.ts';
import { SOCKET_PATH } from './wire/discovery.ts';
import { AUTH_PROTOCOL, type KeyConfig, LmxKeys, offersAuth } from './wire/keys.ts';
import { findRoute, type Route, routes } from './wire/routes.ts';

export interface LmxServerOptions extends KeyConfig {
  gateway: Gateway;
  adapter: TransportAdapter;
  /** Anything but loopback needs both keys. */
  host: string;
  /** 0 asks for any free port. */
  port: number;
  version: string;
  /** Browsers of these origins may use the server, besides those of loopback. */
  allowedOrigins?: readonly string[];
  /** Names besides `host` under which the server is reached. */
  allowedHosts?: readonly string[];
  clock: Clock;
  log: Log;
  limits?: Partial<LmxLimits>;
}

export interface LmxServer {
  port: number;
  /** Requests that run may end; then everything is closed. */
  close(): Promise<void>;
}

const URL_CHARS_MAX = 4_096;
const JSON_TYPE: [string, string] = ['content-type', 'application/json; charset=utf-8'];

/** Serves a gateway. Throws `no-port` when the port is taken, and `forbidden-host` for an open address without keys. */
export const startLmxServer = async (options: LmxServerOptions): Promise<LmxServer> => {
  const { gateway, host, log, clock, apiKey, adminKey } = options;
  if (!isLoopbackHost(host.toLowerCase()) && (apiKey === undefined || adminKey === undefined))
    throw new OptaError(
      'forbidden-host',
      `Refusing to serve on ${host} without keys: other machines reach it. Give both: --api-key-env NAME --admin-key-env NAME`,
    );
  const server = new Wire(options, { ...LMX_LIMITS, ...options.limits });
  const port = await server.transport.listen(host, options.port);
  if (port === null) throw new OptaError('no-port', `Port ${options.port} on ${host} is taken`);
  server.port = port;
  log.info('listening', { host, port, adapter: options.adapter.name });
  return {
    port,
    close: async () => {
      server.closing = true;
      await new Promise<void>((resolve) => gateway.drain(() => clock.soon(resolve)));
      server.close();
      await server.transport.close(1_000);
    },
  };
};

class Wire {
  readonly transport: Transport;
  port = 0;
  closing = false;
  readonly #options: LmxServerOptions;
  readonly #limits: LmxLimits;
  readonly #keys: LmxKeys;
  readonly #access: ReturnType<typeof access>;
  readonly #table: readonly Route[];
  readonly close: () => void;

  constructor(options: LmxServerOptions, limits: LmxLimits) {
    this.#options = options;
    this.#limits = limits;
    this.#keys = new LmxKeys(options);
    this.#access = access({
      hosts: [options.host, ...(options.allowedHosts ?? [])],
      origins: options.allowedOrigins ?? [],
      port: () => this.port,
    });
    const table = routes({
      gateway: options.gateway,
      keys: this.#keys,
      clock: options.clock,
      limits,
      version: options.version,
      place: () => ({ host: options.host, port: this.port }),
      reply: (exchange, status, body, headers) => this.#reply(exchange, status, body, headers),
      refuse: (exchange, error) => this.#refuse(exchange, error),
      cors: (exchange) => this.#cors.get(exchange) ?? [],
    });
    this.#table = table.routes;
    this.close = table.close;
    this.transport = options.adapter.create(
      {
        http: (head, exchange) => this.#http(head, exchange),
        upgrade: (head) => this.#upgrade(head),
        onFault: (where, fault) => this.#fault(where, fault),
      },
      {
        frameBytesMax: limits.frameBytesMax,
        bodiesBytesMax: limits.bodiesBytesMax,
        socketBytesMax: limits.socketBytesMax,
        socketIdleMs: limits.socketSilentMs,
      },
    );
  }

  // --- HTTP --------------------------------------------------------------------------------------------------------

  #http(head: RequestHead, exchange: Exchange): void {
    const fail = (cause: unknown, close = false): void => {
      if (!(cause instanceof LmxError)) this.#fault('http', cause);
      this.#refuse(exchange, toLmxError(cause), head, close);
    };
    try {
      this.#checkPlace(head);
      if (head.method === 'OPTIONS') {
        const headers = [...this.#access.cors(head), ...this.#access.preflight(head)];
        return exchange.reply({ status: 204, headers, body: '' });
      }
      const found = findRoute(this.#table, head.method === 'HEAD' ? 'GET' : head.method, head.path);
      if ('elsewhere' in found) throw noRoute(head, found.elsewhere);
      const { route, item } = found;
      this.#checkRight(head, route);
      const cors = this.#access.cors(head);
      this.#cors.set(exchange, cors);
      const run = (body: unknown): void => {
        try {
          route.run({ head, exchange, item, body });
        } catch (cause) {
          fail(cause);
        }
      };
      if (head.method !== 'POST') return run(undefined);
      exchange.body(this.#limits.bodyBytesMax, (bytes) => {
        try {
          run(parsedBody(bytes, this.#limits.bodyBytesMax));
        } catch (cause) {
          fail(cause, bytes === 'too-large');
        }
      });
    } catch (cause) {
      fail(cause);
    }
  }

  readonly #cors = new WeakMap<Exchange, [string, string][]>();

  #checkPlace(head: RequestHead): void {
    if (head.path.length + head.query.length > URL_CHARS_MAX)
      throw new LmxError('invalid_request', `The URL is longer than ${URL_CHARS_MAX} characters.`);
    try {
      this.#access.check(head);
    } catch (cause) {
      throw new LmxError('forbidden', cause instanceof Error ? cause.message : 'Forbidden');
    }
  }

  #checkRight(head: RequestHead, { needs }: Route): void {
    if (needs === 'nothing') return;
    const right = this.#keys.of(head);
    if (right === 'none') throw new LmxError('unauthorized', 'The key is missing or not right.');
    if (needs === 'admin' && right !== 'admin')
      throw new LmxError('forbidden', 'The administration needs the admin key (X-Admin-Key).');
    if (this.closing && needs === 'inference')
      throw new LmxError('shutting_down', 'The inference server is shutting down.', { retryAfterMs: 5_000 });
  }

  #reply(exchange: Exchange, status: number, body: object | string, headers: [string, string][] = []): void {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const type = headers.some(([name]) => name === 'content-type') ? [] : [JSON_TYPE];
    const cors = this.#cors.get(exchange) ?? [];
    exchange.reply({ status, headers: [...type, ...headers, ['cache-control', 'no-store'], ...cors], body: text });
  }

  #refuse(exchange: Exchange, error: LmxError, head?: RequestHead, close = false): void {
    exchange.reply(this.#refusal(error, head ? this.#access.cors(head) : (this.#cors.get(exchange) ?? [])), close);
  }

  #refusal(error: LmxError, cors: [string, string][]): Response {
    const after: [string, string][] =
      error.retryAfterMs === null ? [] : [['retry-after', String(Math.ceil(error.retryAfterMs / 1_000))]];
    return { status: error.status, headers: [JSON_TYPE, ...after, ...cors], body: JSON.stringify(envelope(error)) };
  }

  // --- sockets -----------------------------------------------------------------------------------------------------

  #upgrade(head: RequestHead): Response | Accepted {
    try {
      this.#checkPlace(head);
      if (head.path !== SOCKET_PATH) throw new LmxError('not_found', 'Not found.');
      if (this.closing) throw new LmxError('shutting_down', 'The inference server is shutting down.');
      if (this.transport.usage().sockets >= this.#limits.socketsMax)
        throw new LmxError('too_many_requests', 'There are too many sockets.', { retryAfterMs: 5_000 });
      const right = this.#keys.of(head);
      const byFrame = offersAuth(head);
      if (right === 'none' && !byFrame) throw new LmxError('unauthorized', 'The key is missing or not right.');
      const { gateway, clock } = this.#options;
      const world = {
        gateway,
        clock,
        limits: this.#limits,
        onFault: (where: string, fault: unknown) => this.#fault(where, fault),
        closing: () => this.closing,
      };
      const start = {
        isAllowed: right !== 'none',
        isAdmin: this.#keys.isAdminKey(head),
        client: head.headers.get('x-client-id') ?? null,
        rightOf: (token: string) => {
          const given = this.#keys.rightOf([token]);
          return { isAllowed: given !== 'none', isAdmin: given === 'admin' && this.#keys.required.admin };
        },
      };
      return {
        open: (socket) => new ChatSocket(world, socket, start),
        ...(byFrame ? { protocol: AUTH_PROTOCOL } : {}),
      };
    } catch (cause) {
      return this.#refusal(toLmxError(cause), this.#access.cors(head));
    }
  }

  #fault(where: string, fault: unknown): void {
    const text = fault instanceof Error ? fault.stack : String(fault);
    this.#options.log.error('a request failed here', { where, fault: text });
  }
}

const noRoute = (head: RequestHead, elsewhere: readonly string[]): LmxError =>
  elsewhere.length === 0
    ? new LmxError('not_found', `There is no ${head.path} here.`)
    : new LmxError('method_not_allowed', `${head.path} takes ${[...new Set(elsewhere)].join(', ')}.`);

const utf8 = new TextDecoder('utf-8', { fatal: true });

const parsedBody = (bytes: Uint8Array | 'too-large' | 'busy', max: number): unknown => {
  if (bytes === 'too-large') throw new LmxError('payload_too_large', `The body is above ${max} bytes.`);
  if (bytes === 'busy')
    throw new LmxError('overloaded', 'Too many request bodies are on their way.', { retryAfterMs: 2_000 });
  try {
    return bytes.byteLength === 0 ? undefined : JSON.parse(utf8.decode(bytes));
  } catch {
    throw new LmxError('invalid_json', 'The body is not valid JSON.');
  }
};
