import { connect, type Socket as NetSocket } from 'node:net';
import { WebSocket } from 'ws';
import type { TransportAdapter, TransportBounds } from '../../src/transport/port.ts';
import { type Server, startServer } from '../../src/transport/server.ts';
import { uwsAdapter } from '../../src/transport/uws/adapter.ts';
import { wsAdapter } from '../../src/transport/ws/adapter.ts';
import { FakeRuntime } from './fake-runtime.ts';

export const TOKEN = '00112233445566778899aabbccddeeff0011223344556677';
export const AUTH = { authorization: `Bearer ${TOKEN}` };
const WAIT_MS = 3_000;

export interface World {
  runtime: FakeRuntime;
  adapter: TransportAdapter;
  server: Server;
  url: string;
  faults: unknown[];
  logged: string[];
  get(path: string, init?: RequestInit): Promise<Reply>;
  post(path: string, body?: unknown, headers?: { [name: string]: string }): Promise<Reply>;
  close(): Promise<void>;
}

export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers are compared field by field.
  json: any;
}

const loaded = uwsAdapter();
/** Why there is no uWebSockets.js on this Node; null when there is one. */
export const uwsMissing = 'reasons' in loaded ? `skipped: ${loaded.reasons.join('; ')}` : null;
export const uws = (): TransportAdapter => {
  if ('reasons' in loaded) throw new Error(loaded.reasons.join('; '));
  return loaded;
};
export const ws = (): TransportAdapter => wsAdapter('for a test');

let wanted = uwsMissing === null ? uws : ws;
/** The adapter of the worlds of this file; without it, uWebSockets.js where it loads. */
export const onAdapter = (adapter: () => TransportAdapter): void => {
  wanted = adapter;
};

export const fileAdapter = (): TransportAdapter => wanted();

type Options = Partial<Parameters<typeof startServer>[0]>;

export const world = async (more: Options & { bounds?: Partial<TransportBounds> } = {}): Promise<World> => {
  const runtime = new FakeRuntime();
  const adapter = fileAdapter();
  const faults: unknown[] = [];
  const logged: string[] = [];
  const log = (level: string) => (msg: string, facts?: object) => {
    logged.push(`${level} ${msg} ${JSON.stringify(facts)}`);
    if (level === 'error') faults.push(facts);
  };
  const server = await startServer({
    runtime,
    adapter,
    token: TOKEN,
    host: '127.0.0.1',
    ports: { first: 0, fallback: [] },
    version: '1.2.3',
    facts: () => ({ toolWorkers: { workers: 4, busy: 1, queued: 2 }, engine: { name: 'scripted' } }),
    allowedOrigins: [],
    log: { info: log('info'), warn: log('warn'), error: log('error') },
    checkAnswers: true,
    ...more,
  });
  const url = `http://127.0.0.1:${server.port}`;
  const call = async (path: string, init: RequestInit): Promise<Reply> => {
    const res = await fetch(url + path, { signal: AbortSignal.timeout(WAIT_MS), ...init });
    const text = await res.text();
    const isJson = res.headers.get('content-type')?.startsWith('application/json') && text !== '';
    return { status: res.status, headers: res.headers, text, json: isJson ? JSON.parse(text) : undefined };
  };
  return {
    runtime,
    adapter,
    server,
    url,
    faults,
    logged,
    get: (path, init = {}) => call(path, { headers: AUTH, ...init }),
    post: (path, body, headers = {}) =>
      call(path, {
        method: 'POST',
        headers: { ...AUTH, 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
    close: () => server.close(),
  };
};

export const until = async (what: string, holds: () => boolean, waitMs = WAIT_MS): Promise<void> => {
  const deadline = performance.now() + waitMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
    await new Promise((wake) => setTimeout(wake, 2));
  }
};

/** Sends bytes as they are and gives back all that comes until the server closes, `enough` holds, or `waitMs` are over. */
export const raw = (
  port: number,
  chunks: (string | Uint8Array)[],
  { waitMs = 400, enough = () => false }: { waitMs?: number; enough?: (text: string) => boolean } = {},
): Promise<{ text: string; closed: boolean }> =>
  new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => {
      for (const chunk of chunks) socket.write(chunk);
    });
    const finish = (closed: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, closed });
    };
    const timer = setTimeout(() => finish(false), waitMs);
    socket.on('data', (d) => {
      text += d.toString('latin1');
      if (enough(text)) finish(false);
    });
    socket.on('error', () => finish(true));
    socket.on('close', () => finish(true));
  });

// biome-ignore lint/suspicious/noExplicitAny: frames are compared field by field.
export type Frame = any;

/** A WebSocket client that keeps what it gets. */
export class Client {
  readonly frames: Frame[] = [];
  readonly texts: string[] = [];
  closed: { code: number; reason: string } | null = null;
  refused: { status: number } | null = null;
  readonly ws: WebSocket;

  constructor(port: number, query: string, headers: { [name: string]: string } = {}, offer: string[] = []) {
    this.ws = new WebSocket(`ws://127.0.0.1:${port}/v3/ws?${query}`, offer, { headers, perMessageDeflate: false });
    this.ws.on('message', (data) => {
      this.texts.push(data.toString());
      this.frames.push(JSON.parse(data.toString()));
    });
    this.ws.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
    this.ws.on('unexpected-response', (_req, res) => {
      this.refused = { status: res.statusCode ?? 0 };
      res.resume();
    });
    this.ws.on('error', () => undefined);
  }

  get socket(): NetSocket {
    return (this.ws as unknown as { _socket: NetSocket })._socket;
  }

  send(frame: unknown): void {
    this.ws.send(typeof frame === 'string' || frame instanceof Uint8Array ? frame : JSON.stringify(frame));
  }

  opened(): Promise<void> {
    return until('the socket opens', () => this.ws.readyState === WebSocket.OPEN);
  }

  async next(match: (f: Frame) => boolean, what = 'a frame'): Promise<Frame> {
    await until(what, () => this.frames.some(match));
    return this.frames.find(match);
  }

  async ended(): Promise<{ code: number; reason: string }> {
    await until('the socket closes', () => this.closed !== null);
    return this.closed as { code: number; reason: string };
  }
}

export const attach = async (w: World, query: string): Promise<Client> => {
  const client = new Client(w.server.port, `${query}&token=${TOKEN}`);
  await client.opened();
  return client;
};
