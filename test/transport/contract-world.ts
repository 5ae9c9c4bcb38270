import { connect } from 'node:net';
import { afterEach, beforeEach } from 'vitest';
import { WebSocket } from 'ws';
import type {
  Exchange,
  RequestHead,
  Response,
  ResponseStream,
  Socket,
  SocketEnd,
  Transport,
  TransportAdapter,
  TransportBounds,
} from '../../src/transport/port.ts';
import { until } from './world.ts';

export const OK = (body: string): Response => ({ status: 200, headers: [['x-test', '1']], body });
export const BOUNDS: TransportBounds = {
  frameBytesMax: 64 * 1024,
  bodiesBytesMax: 256 * 1024,
  socketBytesMax: 8 << 20,
  socketIdleMs: 120_000,
};

export const HOST = 'Host: x\r\n';
export const get = (path: string, method = 'GET'): string => `${method} ${path} HTTP/1.1\r\n${HOST}\r\n`;
export const post = (body: string, path = '/'): string =>
  `POST ${path} HTTP/1.1\r\n${HOST}Content-Length: ${body.length}\r\n\r\n${body}`;
export const UPGRADE =
  'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
export const ends = (tail: string) => ({ waitMs: 2_000, enough: (text: string) => text.endsWith(tail) });
export const nextTurn = (): Promise<void> => new Promise((wake) => setImmediate(wake));

interface Accepted {
  sockets: Socket[];
  got: (string | null)[];
  closes: [number, string][];
  drains: number;
}
interface Streamed {
  streams: (ResponseStream | null)[];
  drains: number;
  closes: number;
}

/** A transport without planes: each test says what its handlers do. */
export class ContractWorld {
  readonly #adapter: () => TransportAdapter;
  t = null as unknown as Transport;
  port = 0;
  faults: string[] = [];
  http: (head: RequestHead, exchange: Exchange) => void = () => undefined;
  upgrade: (head: RequestHead) => Response | ((socket: Socket) => SocketEnd) = () => OK('no');
  /** What is answered to an offer of subprotocols. */
  protocol: string | null = null;

  constructor(adapter: () => TransportAdapter) {
    this.#adapter = adapter;
  }

  async start(bounds: Partial<TransportBounds> = {}): Promise<void> {
    this.faults = [];
    this.http = (_h, e) => e.reply(OK('hi'));
    this.upgrade = () => OK('no');
    this.protocol = null;
    this.t = this.#adapter().create(
      {
        http: (h, e) => this.http(h, e),
        upgrade: (h) => {
          const answer = this.upgrade(h);
          if (typeof answer !== 'function') return answer;
          return { open: answer, ...(this.protocol === null ? {} : { protocol: this.protocol }) };
        },
        onFault: (where) => this.faults.push(where),
      },
      { ...BOUNDS, ...bounds },
    );
    this.port = (await this.t.listen('127.0.0.1', 0)) ?? 0;
  }

  async restart(bounds: Partial<TransportBounds>): Promise<void> {
    await this.t.close(20);
    await this.start(bounds);
  }

  /** Accepts every upgrade and keeps what happens. */
  accept(): Accepted {
    const seen: Accepted = { sockets: [], got: [], closes: [], drains: 0 };
    this.upgrade = () => (socket) => {
      seen.sockets.push(socket);
      return {
        message: (text) => void seen.got.push(text),
        drain: () => {
          seen.drains += 1;
        },
        closed: (code, reason) => void seen.closes.push([code, reason]),
      };
    };
    return seen;
  }

  /** Answers every request with a stream and keeps what happens. */
  stream(): Streamed {
    const seen: Streamed = { streams: [], drains: 0, closes: 0 };
    this.http = (_h, e) => {
      const end = {
        drain: () => {
          seen.drains += 1;
        },
        closed: () => {
          seen.closes += 1;
        },
      };
      seen.streams.push(e.stream({ status: 200, headers: [['content-type', 'text/plain']] }, end));
    };
    return seen;
  }

  async client(): Promise<{ ws: WebSocket; got: string[]; closed: [number, string][] }> {
    const ws = new WebSocket(`ws://127.0.0.1:${this.port}/any`, { perMessageDeflate: false });
    const c = { ws, got: [] as string[], closed: [] as [number, string][] };
    ws.on('message', (d) => c.got.push(d.toString()));
    ws.on('close', (code, reason) => c.closed.push([code, reason.toString()]));
    ws.on('error', () => undefined);
    await until('open or refused', () => ws.readyState !== WebSocket.CONNECTING);
    if (ws.readyState !== WebSocket.OPEN) throw new Error('the upgrade was refused');
    return c;
  }

  /** A client that keeps what comes as bytes. */
  reader(request: string): Reader {
    return new Reader(this.port, request);
  }
}

export class Reader {
  text = '';
  ended = false;
  readonly socket: ReturnType<typeof connect>;

  constructor(port: number, request: string) {
    this.socket = connect(port, '127.0.0.1', () => this.socket.write(request));
    this.socket.on('data', (d) => {
      this.text += d.toString('latin1');
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.ended = true;
    });
  }

  /** The body of a chunked answer. `whole`: its end has come. */
  get body(): { text: string; whole: boolean } {
    let rest = this.text.slice(this.text.indexOf('\r\n\r\n') + 4);
    let text = '';
    for (;;) {
      const size = /^([0-9a-f]+)\r\n/i.exec(rest);
      if (!size) return { text, whole: false };
      const [line, hex] = size as unknown as [string, string];
      const length = Number.parseInt(hex, 16);
      if (length === 0) return { text, whole: true };
      text += rest.slice(line.length, line.length + length);
      rest = rest.slice(line.length + length + 2);
    }
  }
}

/** A fresh world for each test of the suite that calls it. */
export const contractWorld = (adapter: () => TransportAdapter): ContractWorld => {
  const world = new ContractWorld(adapter);
  beforeEach(() => world.start());
  afterEach(() => world.t.close(20));
  return world;
};
