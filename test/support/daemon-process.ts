import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

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
  /** For the daemon's Node, before its main file. */
  nodeArgs?: string[];
  readyMs?: number;
}

export type From = 'source' | 'dist';

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
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
  // The adapter under which the tests are run, if one was named.
  ...(process.env.OPTA_TRANSPORT === undefined ? {} : { OPTA_TRANSPORT: process.env.OPTA_TRANSPORT }),
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
  const command = [...(options.nodeArgs ?? []), ...daemonCommand(options.from)];
  const args = [...command, '--engine', engine, '--port', String(options.port ?? 0)];
  return new DaemonProcess(
    spawn(process.execPath, args, {
      cwd: home,
      env: environment(home, options),
      stdio: ['ignore', 'ignore', 'pipe'],
    }),
  );
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
