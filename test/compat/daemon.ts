import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { cliEnv, removeDir, tempDir, until } from '../support/cli.ts';
import { daemonCommand } from '../support/daemon-process.ts';
import { type Described, describedBy, Witness } from './described.ts';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The parsed text; the text itself when it is not JSON. */
  body: unknown;
}

export interface Ask {
  method?: string;
  /** `$TOKEN` in the path or a header stands for the token. */
  path: string;
  headers?: { [name: string]: string };
  /** A string is sent as it is; anything else as JSON, with its content type. */
  body?: unknown;
}

/** One JSON frame as it came. */
export interface Frame {
  event?: string;
  seq?: number;
  type?: string;
  payload?: { [field: string]: unknown };
  [field: string]: unknown;
}

export interface Client {
  readonly frames: Frame[];
  /** The text of each frame, byte for byte. */
  readonly texts: string[];
  readonly closed: { code: number; reason: string } | null;
  send(frame: object): void;
  /** The first frame that `fits`; fails after `deadlineMs`. */
  frame(fits: (frame: Frame) => boolean, what: string, deadlineMs?: number): Promise<Frame>;
  close(): Promise<void>;
  /** Cuts the connection without a word. */
  cut(): Promise<void>;
}

/** An event stream as it comes. */
export interface Listening {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** What came so far. */
  text(): string;
  /** The messages: the data of each unnamed event, parsed. */
  messages(): unknown[];
  close(): void;
}

export interface RealDaemon {
  readonly port: number;
  readonly token: string;
  readonly daemonId: string;
  readonly home: string;
  /** What it says of itself, which all that passes here is held against. */
  readonly described: Described;
  /** Throws for an answer that is not as described. */
  ask(what: Ask): Promise<Answer>;
  /** With the token in its header. */
  authed(what: Ask): Promise<Answer>;
  get(path: string): Promise<Answer>;
  post(path: string, body?: unknown): Promise<Answer>;
  /** Opens an answer that does not end. */
  listen(what: Ask): Promise<Listening>;
  /** `$TOKEN` in a header too. */
  connect(path: string, headers?: { [name: string]: string }): Promise<Client>;
  readonly pid: number;
  /** Sends the signal and waits for the end of the process; its files stay. */
  end(signal: NodeJS.Signals): Promise<End>;
  /** Another process in the same home, once the last one has ended; on any free port unless one is named. */
  restart(port?: number): Promise<void>;
  /** Ends it and removes its home. Throws when a frame or a stream was not as described. */
  stop(): Promise<void>;
}

export interface End {
  code: number | null;
  signal: NodeJS.Signals | null;
}

interface Ready {
  port: number;
  token: string;
  daemonId: string;
}

interface Spawned {
  child: ChildProcess;
  ready: Ready;
}

/** The daemon as users run it: its own process, from source, in a folder of its own, with `lmxPort` as its inference server. */
export const startDaemon = async (lmxPort: number, env: NodeJS.ProcessEnv = {}): Promise<RealDaemon> => {
  const home = tempDir();
  // Every answer and every recorded event is also checked against its schema on the way out.
  const all = cliEnv(home, { OPTA_ENGINE: 'lmx', OPTA_PORT: String(lmxPort), OPTA_CHECK: '1', ...env });
  try {
    const spawned = await spawnIn(home, all);
    return new Daemon(home, all, spawned, await descriptionsOf(spawned));
  } catch (cause) {
    removeDir(home);
    throw cause;
  }
};

/** Once it has written its own state. */
const spawnIn = async (home: string, env: NodeJS.ProcessEnv, port = 0): Promise<Spawned> => {
  const args = [...daemonCommand(), '--port', String(port)];
  const child = spawn(process.execPath, args, { cwd: home, env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (part: Buffer) => {
    said = (said + part).slice(-4_000);
  });
  const state = (): Ready | null => {
    try {
      const found = JSON.parse(readFileSync(join(home, 'daemon', 'state.json'), 'utf8')) as Ready & { pid: number };
      // One that was killed leaves its own behind.
      return found.pid === child.pid ? found : null;
    } catch {
      // Not written yet.
      return null;
    }
  };
  try {
    await until(() => state() !== null || child.exitCode !== null, 'the daemon to be ready', 20_000);
    const ready = state();
    if (!ready) throw new Error(`the daemon ended with ${child.exitCode}: ${said}`);
    return { child, ready };
  } catch (cause) {
    child.kill('SIGKILL');
    throw cause;
  }
};

const descriptionsOf = async ({ child, ready: { port, token } }: Spawned): Promise<Described> => {
  const headers = { authorization: `Bearer ${token}` };
  const get = async (path: string) => (await askHttp(port, { path, headers })).text;
  try {
    return describedBy(await get('/v3/openapi.json'), await get('/v3/asyncapi.json'));
  } catch (cause) {
    child.kill('SIGKILL');
    throw cause;
  }
};

class Daemon implements RealDaemon {
  readonly home: string;
  readonly described: Described;
  readonly #witness: Witness;
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess;
  #ready: Ready;
  readonly #clients = new Set<WebSocket>();

  constructor(home: string, env: NodeJS.ProcessEnv, { child, ready }: Spawned, described: Described) {
    this.home = home;
    this.described = described;
    this.#witness = new Witness(described);
    this.#env = env;
    this.#child = child;
    this.#ready = ready;
  }

  get port(): number {
    return this.#ready.port;
  }
  get token(): string {
    return this.#ready.token;
  }
  get daemonId(): string {
    return this.#ready.daemonId;
  }
  get pid(): number {
    return this.#child.pid as number;
  }

  #filled(text: string): string {
    return text.replaceAll('$TOKEN', this.token);
  }
  #withToken(what: Ask): Ask {
    const headers = Object.entries(what.headers ?? {}).map(([name, value]) => [name, this.#filled(value)]);
    return { ...what, path: this.#filled(what.path), headers: Object.fromEntries(headers) };
  }

  ask = async (what: Ask) => this.#witness.answer(what, await askHttp(this.port, this.#withToken(what)));
  authed = (what: Ask) => this.ask({ ...what, headers: { ...what.headers, authorization: `Bearer ${this.token}` } });
  get = (path: string) => this.authed({ path });
  post = (path: string, body?: unknown) =>
    this.authed({ method: 'POST', path, ...(body === undefined ? {} : { body }) });
  listen = async (what: Ask) => this.#witness.stream(what, await listenHttp(this.port, this.#withToken(what)));

  connect = async (path: string, headers: { [name: string]: string } = {}): Promise<Client> => {
    const filled = Object.entries(headers).map(([name, value]) => [name, this.#filled(value)]);
    const ws = new WebSocket(`ws://127.0.0.1:${this.port}${this.#filled(path)}`, {
      headers: Object.fromEntries(filled),
    });
    this.#clients.add(ws);
    const client = follow(ws);
    this.#witness.socket(ws);
    await new Promise((resolve, reject) => ws.once('open', resolve).once('error', reject));
    return client;
  };

  end = async (signal: NodeJS.Signals): Promise<End> => {
    const child = this.#child;
    const gone = new Promise((resolve) => child.once('close', resolve));
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      const late = setTimeout(() => child.kill('SIGKILL'), 8_000);
      await gone;
      clearTimeout(late);
    }
    return { code: child.exitCode, signal: child.signalCode };
  };

  restart = async (port = 0): Promise<void> => {
    const { child, ready } = await spawnIn(this.home, this.#env, port);
    this.#child = child;
    this.#ready = ready;
  };

  stop = async (): Promise<void> => {
    for (const ws of this.#clients) ws.terminate();
    await this.end('SIGTERM');
    removeDir(this.home);
    this.#witness.settle();
  };
}

const ANSWER_DEADLINE_MS = 10_000;
const REQUEST_BYTES_MAX = 10 << 20;

const askHttp = (port: number, { method = 'GET', path, headers = {}, body }: Ask): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const type = text !== undefined && typeof body !== 'string' ? { 'content-type': 'application/json' } : {};
    const bytes = Buffer.byteLength(text ?? '');
    const length = text === undefined ? {} : { 'content-length': String(bytes) };
    // What will not be read is not sent: an answer that comes in the middle of it would be lost with the connection.
    const asks = bytes > REQUEST_BYTES_MAX ? { expect: '100-continue' } : {};
    const req = request(
      { host: '127.0.0.1', port, method, path, headers: { ...type, ...length, ...asks, ...headers }, agent: false },
      (res) => {
        const parts: Buffer[] = [];
        res.on('data', (part: Buffer) => parts.push(part));
        res.on('error', reject);
        res.on('end', () => {
          const said = Buffer.concat(parts).toString();
          resolve({ status: res.statusCode ?? 0, headers: res.headers, text: said, body: parsed(said) });
          if (!req.writableEnded) req.destroy();
        });
      },
    );
    req.setTimeout(ANSWER_DEADLINE_MS, () => req.destroy(new Error(`${method} ${path}: no answer`)));
    req.on('error', reject);
    if (bytes > REQUEST_BYTES_MAX) req.once('continue', () => req.end(text)).flushHeaders();
    else req.end(text);
  });

const listenHttp = (port: number, { path, headers = {} }: Ask): Promise<Listening> =>
  new Promise((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port, path, headers, agent: false }, (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (part: string) => {
        text += part;
      });
      res.on('error', () => undefined);
      const blocks = () => text.split('\n\n').slice(0, -1);
      const unnamed = () =>
        blocks().flatMap((b) => (/^(?:id: .*\n)?data: (.*)$/.exec(b)?.[1] ?? []) as string[] | string);
      resolve({
        status: res.statusCode ?? 0,
        headers: res.headers,
        text: () => text,
        messages: () => unnamed().map((data) => JSON.parse(data)),
        close: () => res.destroy(),
      });
    });
    req.setTimeout(ANSWER_DEADLINE_MS, () => req.destroy(new Error(`${path}: no answer`)));
    req.on('error', reject);
    req.end();
  });

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};

const follow = (ws: WebSocket): Client => {
  const frames: Frame[] = [];
  const texts: string[] = [];
  let closed: Client['closed'] = null;
  ws.on('message', (data) => {
    texts.push(String(data));
    frames.push(JSON.parse(String(data)) as Frame);
  });
  ws.on('close', (code, reason) => {
    closed = { code, reason: String(reason) };
  });
  ws.on('error', () => undefined);
  const ended = () => until(() => closed !== null, 'the socket to close');
  return {
    frames,
    texts,
    get closed() {
      return closed;
    },
    send: (frame) => ws.send(JSON.stringify(frame)),
    frame: async (fits, what, deadlineMs = 8_000) => {
      let found: Frame | undefined;
      const look = () => {
        found = frames.find(fits);
        return found !== undefined;
      };
      await until(look, `${what}; got ${frames.map((f) => f.event ?? f.type ?? 'error').join(' ')}`, deadlineMs).catch(
        (cause: unknown) => {
          // What had come by the deadline, not what had come before it.
          const got = texts.slice(-12).join('\n  ');
          throw new Error(`no frame within ${deadlineMs} ms: ${what}; the last were\n  ${got}`, { cause });
        },
      );
      return found as unknown as Frame;
    },
    close: async () => {
      ws.close();
      await ended();
    },
    cut: async () => {
      ws.terminate();
      await ended();
    },
  };
};
