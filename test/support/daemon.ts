import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { TestSocket } from './test-socket.ts';

export { TestSocket } from './test-socket.ts';

/**
 * The real daemon as a process of its own: own home, own port, real sockets, real storage. Whoever starts one ends it with
 * `dispose()`; should the test's process end first, the daemon goes with it.
 */
export interface DaemonOptions {
  /** Kept by `dispose` when it is given; otherwise a new folder that is removed. */
  home?: string;
  from?: From;
  /** Port of the inference server on loopback; absent: the demo engine. */
  lmxPort?: number;
  /** 0, the default: any free port. */
  port?: number;
  /** Becomes `config.json` of the home. */
  config?: object;
  env?: { [name: string]: string };
  readyMs?: number;
}

export type From = 'source' | 'dist';

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

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

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const READY_MS = 20_000;
const CALL_MS = 15_000;
const KILL_MS = 5_000;

/** The built daemon when it is newer than the source, since it starts three times as fast. `OPTA_TEST_FROM` decides otherwise. */
export const defaultFrom = (): From => {
  const wanted = process.env.OPTA_TEST_FROM;
  if (wanted === 'source' || wanted === 'dist') return wanted;
  const stamp = join(ROOT, 'dist', '.built');
  return existsSync(stamp) && existsSync(mainFile('dist')) && statSync(stamp).mtimeMs > newest(join(ROOT, 'src'))
    ? 'dist'
    : 'source';
};

/** `OPTA_TEST_MAIN` names another build's main file, so that a long run does not meet a rebuild of `dist`. */
const mainFile = (from: From): string =>
  from === 'source' ? join(ROOT, 'src', 'main.ts') : (process.env.OPTA_TEST_MAIN ?? join(ROOT, 'dist', 'main.js'));

const newest = (dir: string): number =>
  readdirSync(dir, { withFileTypes: true }).reduce((at, entry) => {
    const path = join(dir, entry.name);
    return Math.max(at, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs);
  }, statSync(dir).mtimeMs);

export const daemonCommand = (from: From = defaultFrom()): string[] =>
  from === 'source' ? ['--import', import.meta.resolve('tsx'), mainFile(from)] : [mainFile(from)];

export const newHome = (): string => mkdtempSync(join(tmpdir(), 'opta-e2e-'));

/** Only what a daemon needs: nothing of the caller's configuration reaches it, and nothing beyond loopback is reachable. */
const environment = (home: string, options: DaemonOptions): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH ?? '',
  HOME: home,
  LANG: 'C.UTF-8',
  OPTA_HOME: home,
  OPTA_LOOPBACK_ONLY: '1',
  OPTA_HOST: '127.0.0.1',
  OPTA_CHECK: '1',
  ...(options.lmxPort === undefined ? {} : { OPTA_PORT: String(options.lmxPort) }),
  ...options.env,
});

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts the process and does not wait for it: for a daemon that is to fail, or to be killed while it starts. */
export const spawnDaemon = (home: string, options: DaemonOptions = {}): DaemonProcess => {
  mkdirSync(home, { recursive: true });
  if (options.config) writeFileSync(join(home, 'config.json'), JSON.stringify(options.config));
  const engine = options.lmxPort === undefined ? 'demo' : 'lmx';
  const args = [...daemonCommand(options.from), '--engine', engine, '--port', String(options.port ?? 0)];
  return new DaemonProcess(
    spawn(process.execPath, args, {
      cwd: home,
      env: environment(home, options),
      stdio: ['ignore', 'ignore', 'pipe'],
    }),
  );
};

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

export interface DaemonFile {
  pid: number;
  daemonId: string;
  host: string;
  port: number;
  token: string;
}

export const stateFile = (home: string): string => join(home, 'daemon', 'state.json');

/** The process alone: its end, and what it said on stderr. */
export class DaemonProcess {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  exit: Exit | null = null;
  stderr = '';

  constructor(child: ChildProcess) {
    if (child.pid === undefined) throw new Error('the daemon could not be started');
    this.pid = child.pid;
    running.add(child);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-16_384);
    });
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        running.delete(child);
        this.exit = { code, signal };
        resolve(this.exit);
      });
    });
  }

  /** Until it has written its own state file, which it does once it listens. */
  async ready(home: string, deadlineMs: number): Promise<DaemonFile> {
    const until = performance.now() + deadlineMs;
    while (performance.now() < until) {
      const state = readState(home);
      if (state?.pid === this.pid) return state;
      if (this.exit)
        throw new Error(`the daemon ended (${JSON.stringify(this.exit)}) before it was ready: ${this.stderr}`);
      await sleep(5);
    }
    throw new Error(`the daemon was not ready within ${deadlineMs} ms: ${this.stderr}`);
  }

  signal(name: NodeJS.Signals): void {
    if (this.exit === null) process.kill(this.pid, name);
  }

  /** Sends the signal and waits for the end; throws when there is none in time. */
  async end(name: NodeJS.Signals, deadlineMs = KILL_MS): Promise<Exit & { ms: number }> {
    const startedAt = performance.now();
    this.signal(name);
    const late = sleep(deadlineMs, null, { ref: false });
    const exit = await Promise.race([this.exited, late]);
    if (exit === null) throw new Error(`the daemon did not end within ${deadlineMs} ms of ${name}: ${this.stderr}`);
    return { ...exit, ms: performance.now() - startedAt };
  }
}

const readState = (home: string): DaemonFile | null => {
  try {
    return JSON.parse(readFileSync(stateFile(home), 'utf8')) as DaemonFile;
  } catch {
    // Not there yet.
    return null;
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

  async cancel(sessionId: string, target: { turnId?: string; writerId?: string }): Promise<CancelAck> {
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

// --- the process table (Linux)

export interface ProcessEntry {
  pid: number;
  parent: number;
  group: number;
  state: string;
  command: string;
}

/** All processes that are not dead; an entry that ends while it is read is left out. */
export const processes = (): ProcessEntry[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
        const [state = '', parent, group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        if (state === 'Z' || state === 'X') return [];
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        return [{ pid: Number(name), parent: Number(parent), group: Number(group), state, command }];
      } catch {
        return [];
      }
    });

/** Everything below a process. */
export const descendants = (pid: number): ProcessEntry[] => {
  const all = processes();
  const below = (parent: number): ProcessEntry[] =>
    all.filter((p) => p.parent === parent).flatMap((p) => [p, ...below(p.pid)]);
  return below(pid);
};
