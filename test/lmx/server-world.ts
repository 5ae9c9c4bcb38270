import WebSocket from 'ws';
import type { GenerateRequest } from '../../src/lmx/engine.ts';
import {
  createScriptedEngine,
  type ScriptedConfig,
  type ScriptedEngine,
  type Step,
} from '../../src/lmx/engines/scripted.ts';
import type { Gateway } from '../../src/lmx/gateway.ts';
import { createGateway, type GatewayConfig } from '../../src/lmx/gateway-system.ts';
import { type LmxServer, type LmxServerOptions, startLmxServer } from '../../src/lmx/server.ts';
import { newId, realClock } from '../../src/platform.ts';
import { chooseTransport } from '../../src/transport/choose.ts';
import { SILENT } from './world.ts';

export interface Served {
  engine: ScriptedEngine;
  gateway: Gateway;
  server: LmxServer;
  url: string;
  get(path: string, headers?: { [name: string]: string }): Promise<Answer>;
  post(path: string, body: unknown, headers?: { [name: string]: string }): Promise<Answer>;
  socket(options?: { headers?: { [name: string]: string }; protocols?: string[] }): Promise<FrameSocket>;
  close(): Promise<void>;
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
  json: any;
}

export const MODEL = 'org/small-1b';

/** A server over the scripted engine with its models loaded, on loopback and any port. */
export const serve = async (
  adapter: string,
  script: (request: GenerateRequest) => Iterable<Step>,
  options: Partial<LmxServerOptions> & { engine?: Partial<ScriptedConfig>; gatewayConfig?: GatewayConfig } = {},
): Promise<Served> => {
  const { engine: engineConfig, gatewayConfig, ...rest } = options;
  const engine = createScriptedEngine({
    clock: realClock,
    models: [{ id: MODEL, contextLength: 4_096, memoryBytes: 1 << 30 }],
    script: (request) => (request.messages.at(-1)?.content === 'Hello' ? [{ text: 'ok' }] : script(request)),
    ...engineConfig,
  });
  const gateway = createGateway(gatewayConfig ?? {}, { engine, clock: realClock, log: SILENT, newId: () => newId(16) });
  await new Promise<void>((resolve, reject) => gateway.load(MODEL, {}, (error) => (error ? reject(error) : resolve())));
  const server = await startLmxServer({
    gateway,
    adapter: chooseTransport(adapter),
    host: '127.0.0.1',
    port: 0,
    version: '1.2.3',
    clock: realClock,
    log: SILENT,
    ...(gatewayConfig?.limits === undefined ? {} : { limits: gatewayConfig.limits }),
    ...rest,
  });
  const url = `http://127.0.0.1:${server.port}`;
  const ask = async (path: string, init: RequestInit): Promise<Answer> => {
    const res = await fetch(url + path, { ...init, signal: AbortSignal.timeout(20_000) });
    const text = await res.text();
    let json: unknown = null;
    try {
      json = JSON.parse(text);
    } catch {
      // Not every answer is JSON.
    }
    return { status: res.status, headers: res.headers, text, json };
  };
  const sockets = new Set<FrameSocket>();
  return {
    engine,
    gateway,
    server,
    url,
    get: (path, headers = {}) => ask(path, { headers }),
    post: (path, body, headers = {}) =>
      ask(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    socket: async ({ headers = {}, protocols = [] } = {}) => {
      const socket = new FrameSocket(
        new WebSocket(`${url.replace('http', 'ws')}/v1/chat/stream`, protocols, { headers }),
      );
      sockets.add(socket);
      await socket.opened;
      return socket;
    },
    close: async () => {
      for (const socket of sockets) socket.ws.terminate();
      await server.close();
    },
  };
};

// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
export type Frame = any;

/** A socket that keeps every frame. */
export class FrameSocket {
  readonly frames: Frame[] = [];
  readonly opened: Promise<void>;
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly ws: WebSocket;
  readonly #waiting = new Set<() => void>();

  constructor(ws: WebSocket) {
    this.ws = ws;
    this.opened = new Promise((resolve, reject) => {
      ws.once('open', () => resolve());
      ws.once('unexpected-response', (_req, res) =>
        reject(Object.assign(new Error('refused'), { status: res.statusCode })),
      );
      ws.once('error', reject);
    });
    this.closed = new Promise((resolve) =>
      ws.once('close', (code, reason) => resolve({ code, reason: String(reason) })),
    );
    ws.on('error', () => undefined);
    ws.on('message', (data) => {
      this.frames.push(JSON.parse(String(data)));
      for (const look of [...this.#waiting]) look();
    });
  }

  send(frame: unknown): void {
    this.ws.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  request(fields: object = {}): void {
    this.send({ type: 'chat.request', model: MODEL, messages: [{ role: 'user', content: 'go' }], ...fields });
  }

  /** The first frame that fits, of those that came and those that will. */
  find(fits: (frame: Frame) => boolean, ms = 10_000): Promise<Frame> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`no such frame in ${JSON.stringify(this.frames).slice(0, 2_000)}`)),
        ms,
      );
      const look = (): void => {
        const found = this.frames.find(fits);
        if (found === undefined) return;
        clearTimeout(late);
        this.#waiting.delete(look);
        resolve(found);
      };
      this.#waiting.add(look);
      look();
    });
  }

  last = (): Promise<Frame> => this.find((f) => f.type === 'chat.done' || f.type === 'chat.error');
}

/** The objects of an event stream, and whether it said that it was done. */
export const events = (text: string): { chunks: Frame[]; done: boolean; comments: number } => {
  const chunks: Frame[] = [];
  let done = false;
  let comments = 0;
  for (const block of text.split('\n\n')) {
    if (block.startsWith(':')) comments++;
    if (!block.startsWith('data: ')) continue;
    const data = block.slice(6);
    if (data === '[DONE]') done = true;
    else chunks.push(JSON.parse(data));
  }
  return { chunks, done, comments };
};

export const request = (fields: object = {}) => ({
  model: MODEL,
  messages: [{ role: 'user', content: 'go' }],
  ...fields,
});
