import { rmSync } from 'node:fs';
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type DaemonFile,
  type DaemonOptions,
  type DaemonProcess,
  type Exit,
  newHome,
  spawnDaemon,
} from './daemon-process.ts';
import { TestSocket } from './test-socket.ts';

export * from './daemon-process.ts';
export { descendants, hasProcessTable, noProcessTable, type ProcessEntry, processes } from './process-table.ts';
export { TestSocket } from './test-socket.ts';

export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** Undefined when the answer is not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: answers are compared field by field.
  json: any;
}

export interface CallOptions {
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, with a JSON content type unless `headers` say otherwise. */
  raw?: string | Buffer;
  headers?: { [name: string]: string };
  /** Null: no token at all. */
  token?: string | null;
  timeoutMs?: number;
}

const READY_MS = 20_000;
const CALL_MS = 15_000;

export const startDaemon = async (options: DaemonOptions = {}): Promise<Daemon> => {
  const home = options.home ?? newHome();
  const process = spawnDaemon(home, options);
  try {
    const state = await process.ready(home, options.readyMs ?? READY_MS);
    return new Daemon(process, home, options.home === undefined, state);
  } catch (cause) {
    await process.end('SIGKILL');
    if (options.home === undefined) rmSync(home, { recursive: true, force: true });
    throw cause;
  }
};

export class Daemon {
  readonly home: string;
  readonly process: DaemonProcess;
  readonly port: number;
  readonly token: string;
  readonly daemonId: string;
  readonly url: string;
  readonly #ownsHome: boolean;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 256 });
  readonly #sockets = new Set<TestSocket>();

  constructor(process: DaemonProcess, home: string, ownsHome: boolean, state: DaemonFile) {
    this.process = process;
    this.home = home;
    this.#ownsHome = ownsHome;
    this.port = state.port;
    this.token = state.token;
    this.daemonId = state.daemonId;
    this.url = `http://127.0.0.1:${state.port}`;
  }

  get pid(): number {
    return this.process.pid;
  }

  get alive(): boolean {
    return this.process.exit === null;
  }

  // --- HTTP

  /** Rejects when there is no whole answer: then nobody knows what became of the request. */
  call(method: string, path: string, options: CallOptions = {}): Promise<Reply> {
    const { body, raw, token = this.token, timeoutMs = CALL_MS } = options;
    const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const headers = {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(payload === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
      ...options.headers,
    };
    return new Promise((resolve, reject) => {
      const req = httpRequest(
        { host: '127.0.0.1', port: this.port, method, path, headers, agent: this.#agent, timeout: timeoutMs },
        (res) => {
          const chunks: Buffer[] = [];
          res.on('data', (chunk: Buffer) => chunks.push(chunk));
          res.on('error', reject);
          res.on('aborted', () => reject(new Error(`${method} ${path}: the answer was cut`)));
          res.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            resolve({ status: res.statusCode ?? 0, headers: res.headers, text, json: parsed(text) });
          });
        },
      );
      const late = setTimeout(
        () => req.destroy(new Error(`${method} ${path}: no answer in ${timeoutMs} ms`)),
        timeoutMs,
      );
      req.on('close', () => clearTimeout(late));
      req.on('error', reject);
      req.end(payload);
    });
  }

  get(path: string, options: CallOptions = {}): Promise<Reply> {
    return this.call('GET', path, options);
  }

  post(path: string, body: unknown, options: CallOptions = {}): Promise<Reply> {
    return this.call('POST', path, { body, ...options });
  }

  // --- the few operations that every test needs; each throws on an answer that is not the expected one

  async create(input: { sessionId?: string; workspace?: string; title?: string } = {}): Promise<string> {
    const { workspace, ...rest } = input;
    const reply = await this.post('/v3/sessions', { ...rest, ...(workspace ? { metadata: { workspace } } : {}) });
    return expected(reply, 201).json.sessionId as string;
  }

  async submit(sessionId: string, turn: TurnInput): Promise<SubmitAck> {
    return expected(await this.post(`/v3/sessions/${sessionId}/turns`, turnBody(turn)), 202).json as SubmitAck;
  }

  async cancel(
    sessionId: string,
    target: { turnId?: string; writerId?: string; callId?: string; cancelledBy?: string },
  ): Promise<CancelAck> {
    return expected(await this.post(`/v3/sessions/${sessionId}/cancel`, target, { timeoutMs: 30_000 }), 200)
      .json as CancelAck;
  }

  /** The stored log from the first record on, each record as the bytes that the answer had. */
  async log(sessionId: string, afterSeq = 0): Promise<string[]> {
    const texts: string[] = [];
    for (let more = true; more; ) {
      const path = `/v3/sessions/${sessionId}/events?afterSeq=${afterSeq + texts.length}`;
      const { text, json } = expected(await this.get(path, { timeoutMs: 30_000 }), 200);
      const page = (json.events as unknown[]).map((event) => JSON.stringify(event));
      more = json.more === true;
      // Parsed and written again it must be the very answer: only then are these the stored bytes.
      if (text !== `{"events":[${page.join(',')}]${more ? ',"more":true' : ''}}`)
        throw new Error(`${path}: bytes differ`);
      texts.push(...page);
    }
    return texts;
  }

  // --- sockets

  async socket(sessionId: string, options: { afterSeq?: number } = {}): Promise<TestSocket> {
    const path = `/v3/ws?sessionId=${sessionId}&afterSeq=${options.afterSeq ?? 0}`;
    const socket = this.rawSocket(path, { authorization: `Bearer ${this.token}` });
    await socket.opened;
    return socket;
  }

  rawSocket(path: string, headers: { [name: string]: string } = {}): TestSocket {
    const socket = new TestSocket(`ws://127.0.0.1:${this.port}${path}`, headers);
    this.#sockets.add(socket);
    void socket.closed.then(() => this.#sockets.delete(socket));
    return socket;
  }

  // --- the end

  async kill9(): Promise<void> {
    await this.process.end('SIGKILL');
  }

  stop(signal: NodeJS.Signals = 'SIGTERM', deadlineMs = 10_000): Promise<Exit & { ms: number }> {
    return this.process.end(signal, deadlineMs);
  }

  /** Whatever the daemon's state: nothing of it is left. */
  async dispose(): Promise<void> {
    for (const socket of this.#sockets) socket.terminate();
    this.#agent.destroy();
    if (this.alive) await this.process.end('SIGKILL');
    if (this.#ownsHome) rmSync(this.home, { recursive: true, force: true });
  }
}

export interface TurnInput {
  content: string;
  writerId?: string;
  clientId?: string;
  mode?: string;
  overrides?: object;
  onBusy?: string;
}

export interface SubmitAck {
  turnId: string;
  queued: number;
  seq: number;
}

export interface CancelAck {
  cancelled: number;
  cancelledQueued: number;
  cancelledActive: boolean;
}

export const turnBody = (turn: TurnInput): object => ({ clientId: 'test', writerId: 'writer', mode: 'chat', ...turn });

export const expected = (reply: Reply, status: number): Reply => {
  if (reply.status !== status) throw new Error(`status ${reply.status} and not ${status}: ${reply.text.slice(0, 500)}`);
  return reply;
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    // Compared as text then.
    return undefined;
  }
};

/** Looks again until it holds; throws with `what` when it does not in time. */
export const until = async (
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs = 10_000,
  everyMs = 10,
): Promise<void> => {
  const end = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await sleep(everyMs);
  }
};
