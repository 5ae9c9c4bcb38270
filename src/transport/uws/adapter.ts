import type { TemplatedApp, us_listen_socket, WebSocket } from 'uWebSockets.js';
import type {
  RequestHead,
  Response,
  Socket,
  SocketEnd,
  Transport,
  TransportAdapter,
  TransportBounds,
  TransportHandlers,
} from '../port.ts';
import { copyHead, type ExchangePool, UwsExchange, writeResponse } from './exchange.ts';
import { type LoadedUws, loadUws, type Uws } from './load-uws.ts';
import { type SocketPool, UwsSocket } from './socket.ts';

interface Upgraded {
  open(socket: Socket): SocketEnd;
  socket: UwsSocket | null;
}

/** Bind alone: by default some builds share a port with any process that asks for it, and two daemons would halve the traffic. */
const EXCLUSIVE_PORT = 1;
const PROBLEM: Response = { status: 500, headers: [], body: '' };

/** The adapter over uWebSockets.js, or why there is none. */
export const uwsAdapter = (
  loaded: LoadedUws | { reasons: string[] } = loadUws(),
): TransportAdapter | { reasons: string[] } =>
  'reasons' in loaded
    ? loaded
    : {
        name: 'uws',
        why: loaded.why,
        create: (handlers, bounds) => new UwsTransport(loaded.uws, handlers, bounds),
      };

class UwsTransport implements Transport {
  readonly #uws: Uws;
  readonly #app: TemplatedApp;
  readonly #handlers: TransportHandlers;
  readonly #exchanges: ExchangePool;
  readonly #sockets: SocketPool;
  #listening: us_listen_socket | null = null;

  constructor(uws: Uws, handlers: TransportHandlers, bounds: TransportBounds) {
    this.#uws = uws;
    this.#handlers = handlers;
    const onFault = (where: string, fault: unknown): void => handlers.onFault(where, fault);
    this.#exchanges = {
      live: new Set(),
      bodiesBytes: 0,
      bodiesBytesMax: bounds.bodiesBytesMax,
      closing: false,
      onFault,
    };
    this.#sockets = { live: new Set(), bytesMax: bounds.socketBytesMax, slowClosed: 0, onFault };
    this.#app = uws.App();
    this.#routeSockets(bounds);
    this.#app.any('/*', (res, req) => {
      const head = copyHead(req);
      const exchange = new UwsExchange(res, head.method === 'HEAD', this.#exchanges);
      try {
        handlers.http(head, exchange);
      } catch (fault) {
        onFault('http', fault);
        exchange.reply(PROBLEM, true);
      }
    });
  }

  #routeSockets(bounds: TransportBounds): void {
    this.#app.ws<Upgraded>('/*', {
      maxPayloadLength: bounds.frameBytesMax,
      // Our own budget closes a socket long before the library would skip a frame.
      maxBackpressure: bounds.socketBytesMax * 4,
      idleTimeout: idleSeconds(bounds.socketIdleMs),
      sendPingsAutomatically: true,
      compression: 0,
      upgrade: (res, req, context) => {
        const key = req.getHeader('sec-websocket-key');
        const head = copyHead(req);
        const answer = this.#decide(head);
        if (typeof answer === 'function') res.upgrade<Upgraded>({ open: answer, socket: null }, key, '', '', context);
        else writeResponse(res, answer, false, false);
      },
      open: (ws) => this.#open(ws),
      message: (ws, bytes, isBinary) => {
        // The bytes are taken back when this callback returns; text is copied by being decoded.
        ws.getUserData().socket?.message(isBinary ? null : Buffer.from(bytes).toString('utf8'));
      },
      drain: (ws) => ws.getUserData().socket?.drained(),
      close: (ws, code, reason) => ws.getUserData().socket?.closed(code, Buffer.from(reason).toString('utf8')),
    });
  }

  #decide(head: RequestHead): Response | ((socket: Socket) => SocketEnd) {
    try {
      return this.#handlers.upgrade(head);
    } catch (fault) {
      this.#handlers.onFault('upgrade', fault);
      return PROBLEM;
    }
  }

  #open(ws: WebSocket<Upgraded>): void {
    const upgraded = ws.getUserData();
    const socket = new UwsSocket(ws as WebSocket<unknown>, this.#sockets);
    upgraded.socket = socket;
    let gone: { code: number; reason: string } | null = null;
    // The plane may close the socket before it has said what to do with it; its `closed` is then owed.
    socket.end = {
      message: () => undefined,
      drain: () => undefined,
      closed: (code, reason) => {
        gone = { code, reason };
      },
    };
    try {
      const end = upgraded.open(socket);
      socket.end = end;
      const owed = gone as { code: number; reason: string } | null;
      if (owed) end.closed(owed.code, owed.reason);
    } catch (fault) {
      this.#handlers.onFault('open', fault);
      socket.close(1011, 'internal');
    }
  }

  listen(host: string, port: number): Promise<number | null> {
    return new Promise((resolve) => {
      // The typings know either a host or options; the library takes both.
      const listen = this.#app.listen as unknown as (
        host: string,
        port: number,
        options: number,
        done: (socket: us_listen_socket | false) => void,
      ) => void;
      listen.call(this.#app, host, port, EXCLUSIVE_PORT, (socket) => {
        this.#listening = socket || null;
        resolve(socket ? this.#uws.us_socket_local_port(socket as never) : null);
      });
    });
  }

  async close(deadlineMs: number): Promise<void> {
    if (this.#listening) this.#uws.us_listen_socket_close(this.#listening);
    this.#listening = null;
    this.#exchanges.closing = true;
    for (const socket of this.#sockets.live) socket.closeWhenDrained(1001, 'shutting-down');
    const until = performance.now() + deadlineMs;
    while (this.#sockets.live.size + this.#exchanges.live.size > 0 && performance.now() < until) {
      await new Promise((wake) => setTimeout(wake, 5));
    }
    for (const socket of this.#sockets.live) socket.cut();
    for (const exchange of this.#exchanges.live) exchange.cut();
  }

  usage() {
    return {
      sockets: this.#sockets.live.size,
      exchanges: this.#exchanges.live.size,
      bodiesBytes: this.#exchanges.bodiesBytes,
      slowClosed: this.#sockets.slowClosed,
    };
  }
}

/** The library takes 8 to 960 seconds. */
const idleSeconds = (ms: number): number => Math.min(960, Math.max(8, Math.round(ms / 1000)));
