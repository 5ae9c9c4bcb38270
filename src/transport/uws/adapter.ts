import type { TemplatedApp, us_listen_socket, WebSocket } from 'uWebSockets.js';
import type { Socket, SocketEnd, Transport, TransportAdapter, TransportBounds, TransportHandlers } from '../port.ts';
import { decideUpgrade, openSocket, PROBLEM } from '../upgrade.ts';
import { copyHead, type ExchangePool, isAmbiguous, UwsExchange, writeResponse } from './exchange.ts';
import { freePort } from './free-port.ts';
import { type LoadedUws, loadUws, type Uws } from './load-uws.ts';
import { type SocketPool, UwsSocket } from './socket.ts';

interface Upgraded {
  open(socket: Socket): SocketEnd;
  socket: UwsSocket | null;
}

/** Bind alone: by default some builds share a port with any process that asks for it, and two daemons would halve the traffic. */
const EXCLUSIVE_PORT = 1;
const FREE_TRIES = 5;

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
      bytesMax: bounds.socketBytesMax,
      slowClosed: 0,
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
        // Without an answer: after one, the library would go on to read what follows as the next request.
        if (isAmbiguous(head)) exchange.cut();
        else handlers.http(head, exchange);
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
        const answer = decideUpgrade(this.#handlers, head);
        if ('open' in answer) {
          const { open, protocol = '' } = answer;
          res.upgrade<Upgraded>({ open, socket: null }, key, protocol, '', context);
        } else writeResponse(res, answer, false, false);
      },
      open: (ws) => this.#open(ws),
      message: (ws, bytes, isBinary) => {
        // The bytes are taken back when this callback returns; text is copied by being decoded.
        ws.getUserData().socket?.message(isBinary ? null : Buffer.from(bytes).toString('utf8'));
      },
      drain: (ws) => ws.getUserData().socket?.drained(),
      ping: (ws) => ws.getUserData().socket?.answeredPing(),
      close: (ws, code, reason) => ws.getUserData().socket?.closed(code, Buffer.from(reason).toString('utf8')),
    });
  }

  #open(ws: WebSocket<Upgraded>): void {
    const upgraded = ws.getUserData();
    upgraded.socket = new UwsSocket(ws as WebSocket<unknown>, this.#sockets);
    openSocket(upgraded.socket, upgraded.open, this.#sockets.onFault);
  }

  async listen(host: string, port: number): Promise<number | null> {
    if (port !== 0) return this.#bind(host, port);
    // Another may take the free one first; then the next is as good.
    for (let i = 0; i < FREE_TRIES; i++) {
      const free = await freePort(host);
      const bound = free === null ? null : await this.#bind(host, free);
      if (bound !== null) return bound;
    }
    return null;
  }

  #bind(host: string, port: number): Promise<number | null> {
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
    const [sockets, exchanges] = [this.#sockets.live.size, this.#exchanges.live.size];
    return {
      connections: sockets + exchanges,
      sockets,
      exchanges,
      bodiesBytes: this.#exchanges.bodiesBytes,
      slowClosed: this.#sockets.slowClosed + this.#exchanges.slowClosed,
    };
  }
}

/** The library takes 8 to 960 seconds. */
const idleSeconds = (ms: number): number => Math.min(960, Math.max(8, Math.round(ms / 1000)));
