import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket as NetSocket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocketServer } from 'ws';
import { LIMITS } from '../../actors/limits.ts';
import type { Transport, TransportAdapter, TransportBounds, TransportHandlers } from '../port.ts';
import { decideUpgrade, openSocket, PROBLEM } from '../upgrade.ts';
import { type ExchangePool, headOf, NodeExchange, rawResponse } from './exchange.ts';
import { FrameCache } from './frames.ts';
import { type SocketPool, WsSocket } from './socket.ts';

/** What a connection may cost before and after a plane sees it; `LIMITS` says what each is. */
export interface HttpBounds {
  connectionsMax: number;
  headBytesMax: number;
  headMs: number;
  receiveMs: number;
  idleMs: number;
  stallMs: number;
  lingerMs: number;
  /** How long the rest of a body is taken whose request was refused. */
  refusedBodyMs: number;
  /** How often the times above are looked at. */
  checkMs: number;
}

const HTTP: HttpBounds = {
  connectionsMax: LIMITS.connectionsMax,
  headBytesMax: LIMITS.requestHeadBytesMax,
  headMs: LIMITS.requestHeadMs,
  receiveMs: LIMITS.requestReceiveMs,
  idleMs: LIMITS.connectionIdleMs,
  stallMs: LIMITS.connectionStallMs,
  lingerMs: LIMITS.connectionLingerMs,
  refusedBodyMs: 1_000,
  checkMs: 2_000,
};

const SETTLE_MS = 1_000;

/** The adapter over `ws` and `node:http`: pure JavaScript, so it runs wherever Node does. */
export const wsAdapter = (why: string, http: Partial<HttpBounds> = {}): TransportAdapter => ({
  name: 'ws',
  why,
  create: (handlers, bounds) => new WsTransport(handlers, bounds, { ...HTTP, ...http }),
});

class WsTransport implements Transport {
  readonly #server: Server;
  readonly #handlers: TransportHandlers;
  readonly #exchanges: ExchangePool;
  readonly #sockets: SocketPool;
  readonly #upgrades: WebSocketServer;
  /** What the plane answers to an offer of subprotocols. */
  readonly #protocols = new WeakMap<IncomingMessage, string | undefined>();
  readonly #aliveTimer: NodeJS.Timeout;
  #connections = 0;
  /** A connection comes once more for each of its requests that is put back into it. */
  readonly #counted = new WeakSet<NetSocket>();

  constructor(handlers: TransportHandlers, bounds: TransportBounds, http: HttpBounds) {
    this.#handlers = handlers;
    const onFault = (where: string, fault: unknown): void => handlers.onFault(where, fault);
    this.#exchanges = {
      live: new Set(),
      bodiesBytes: 0,
      bodiesBytesMax: bounds.bodiesBytesMax,
      bytesMax: bounds.socketBytesMax,
      slowClosed: 0,
      closing: false,
      http,
      onFault,
    };
    this.#sockets = {
      live: new Set(),
      leaving: new Set(),
      bytesMax: bounds.socketBytesMax,
      idleMs: bounds.socketIdleMs,
      slowClosed: 0,
      frames: new FrameCache(),
      onFault,
    };
    this.#upgrades = upgradesOf(bounds, http, (req) => this.#protocols.get(req) ?? false);
    this.#server = serverOf(http);
    this.#server.on('request', (req, res) => {
      const exchange = new NodeExchange(req, res, this.#exchanges);
      try {
        handlers.http(headOf(req), exchange);
      } catch (fault) {
        onFault('http', fault);
        exchange.reply(PROBLEM, true);
      }
      exchange.discardBody();
    });
    this.#server.on('connection', (net) => {
      if (this.#counted.has(net)) return;
      this.#counted.add(net);
      this.#connections += 1;
      net.on('close', () => {
        this.#connections -= 1;
        // Node says nothing to an answer that waits for its turn on a connection that ends.
        for (const exchange of this.#exchanges.live) if (exchange.isOn(net)) exchange.over();
      });
    });
    this.#server.on('upgrade', (req, socket, head) => this.#upgrade(req, socket as NetSocket, head));
    // A connection that could not be accepted, for instance; without a listener it would end the daemon.
    this.#server.on('error', (fault) => {
      if (this.#server.listening) onFault('listen', fault);
    });
    this.#aliveTimer = setInterval(() => {
      const now = performance.now();
      for (const socket of this.#sockets.live) socket.checkAlive(now);
    }, bounds.socketIdleMs / 8).unref();
  }

  #upgrade(req: IncomingMessage, net: NetSocket, rest: Buffer): void {
    // The answer would overtake the ones that are owed before it.
    if ([...this.#exchanges.live].some((exchange) => exchange.isOn(net))) net.destroy();
    else if (isHandshake(req)) this.#handshake(req, net, rest);
    else this.#replay(req, net, rest);
  }

  #handshake(req: IncomingMessage, net: NetSocket, rest: Buffer): void {
    const answer = decideUpgrade(this.#handlers, headOf(req));
    if ('open' in answer) {
      this.#protocols.set(req, answer.protocol);
      this.#upgrades.handleUpgrade(req, net, rest, (ws) => {
        openSocket(new WsSocket(ws, net, this.#sockets), answer.open, this.#sockets.onFault);
      });
      return;
    }
    net.on('error', () => net.destroy());
    net.setTimeout(this.#exchanges.http.lingerMs, () => net.destroy());
    net.end(rawResponse(answer));
    net.resume();
  }

  /**
   * Node takes every request that mentions an upgrade out of HTTP, also one to a protocol that nobody here speaks, which is then to
   * be answered as if it had not asked. So it goes in again without the words that led it here.
   */
  #replay(req: IncomingMessage, net: NetSocket, rest: Buffer): void {
    const lines = [`${req.method} ${req.url} HTTP/${req.httpVersion}`];
    for (let i = 0; i < req.rawHeaders.length; i += 2) {
      const name = req.rawHeaders[i] as string;
      if (!/^(?:connection|upgrade)$/i.test(name)) lines.push(`${name}: ${req.rawHeaders[i + 1]}`);
    }
    net.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), rest]));
    // Node adds its own once more, and not each of its versions takes all of them away before.
    for (const name of ['timeout', 'pause', 'resume']) net.removeAllListeners(name);
    this.#server.emit('connection', net);
  }

  listen(host: string, port: number): Promise<number | null> {
    const server = this.#server;
    return new Promise((resolve, reject) => {
      const forget = (): void => void server.off('listening', up).off('error', failed);
      const up = (): void => {
        forget();
        resolve((server.address() as AddressInfo).port);
      };
      const failed = (fault: NodeJS.ErrnoException): void => {
        forget();
        if (fault.code === 'EADDRINUSE' || fault.code === 'EACCES') resolve(null);
        else reject(fault);
      };
      server.once('listening', up).once('error', failed);
      server.listen({ host, port, exclusive: true });
    });
  }

  async close(deadlineMs: number): Promise<void> {
    clearInterval(this.#aliveTimer);
    if (this.#server.listening) this.#server.close();
    this.#exchanges.closing = true;
    for (const socket of this.#sockets.live) socket.close(1001, 'shutting-down');
    const until = performance.now() + deadlineMs;
    while (this.#isOwed() && performance.now() < until) await sleep(5);
    for (const socket of this.#sockets.leaving) socket.cut();
    this.#server.closeAllConnections();
    // What was cut is over when Node says so.
    const settled = performance.now() + SETTLE_MS;
    while (this.#exchanges.live.size + this.#sockets.leaving.size > 0 && performance.now() < settled) await sleep(1);
  }

  #isOwed(): boolean {
    const now = performance.now();
    return this.#exchanges.live.size > 0 || [...this.#sockets.leaving].some((socket) => socket.isOwed(now));
  }

  usage() {
    return {
      connections: this.#connections,
      sockets: this.#sockets.live.size,
      exchanges: this.#exchanges.live.size,
      bodiesBytes: this.#exchanges.bodiesBytes,
      slowClosed: this.#sockets.slowClosed + this.#exchanges.slowClosed,
    };
  }
}

const serverOf = (http: HttpBounds): Server => {
  const server = createServer({
    maxHeaderSize: http.headBytesMax,
    headersTimeout: http.headMs,
    requestTimeout: http.receiveMs,
    keepAliveTimeout: http.idleMs,
    connectionsCheckingInterval: http.checkMs,
    // Whether a request without a host is served is for the plane to say.
    requireHostHeader: false,
  });
  server.maxConnections = http.connectionsMax;
  return server;
};

const upgradesOf = (
  bounds: TransportBounds,
  http: HttpBounds,
  protocolOf: (req: IncomingMessage) => string | false,
): WebSocketServer => {
  const options = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: bounds.frameBytesMax,
    // The library would agree to the first of any offer, and so promise something.
    handleProtocols: (_offer: Set<string>, req: IncomingMessage) => protocolOf(req),
    closeTimeout: http.lingerMs,
  };
  return new WebSocketServer(options);
};

/** As uWebSockets.js decides it: what has no key is a request like any other. */
const isHandshake = (req: IncomingMessage): boolean =>
  req.method === 'GET' &&
  req.headers.upgrade?.toLowerCase() === 'websocket' &&
  req.headers['sec-websocket-key']?.length === 24;
