import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Connection } from './http.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const OUT = join(ROOT, '.build', 'bench');

/**
 * The program as `npm run build` makes it, but in a folder of its own: whoever builds or edits during a run does not change what
 * is measured.
 */
export const buildApp = (): string => {
  const app = join(OUT, 'app');
  rmSync(app, { recursive: true, force: true });
  mkdirSync(app, { recursive: true });
  for (const part of ['bin', 'package.json']) cpSync(join(ROOT, part), join(app, part), { recursive: true });
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = [tsc, '-p', 'tsconfig.build.json', '--outDir', join(app, 'dist'), '--declaration', 'false'];
  execFileSync(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  const vite = join(ROOT, 'node_modules', 'vite', 'bin', 'vite.js');
  const page = ['build', '-c', 'src/web/vite.config.ts', '-l', 'error', '--outDir', join(app, 'dist', 'web')];
  execFileSync(process.execPath, [vite, ...page], { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  return app;
};

const ENDED_DEADLINE_MS = 15_000;

/** A child that ends with its owner's `end` and not before. */
export class Running {
  readonly child: ChildProcess;
  readonly #ended: Promise<void>;
  #over = false;

  constructor(child: ChildProcess) {
    this.child = child;
    this.#ended = new Promise((resolve) => {
      child.once('exit', () => {
        this.#over = true;
        resolve();
      });
    });
  }

  get pid(): number {
    return this.child.pid as number;
  }

  get over(): boolean {
    return this.#over;
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#over) return;
    this.child.kill(signal);
    const late = setTimeout(() => this.child.kill('SIGKILL'), ENDED_DEADLINE_MS);
    await this.#ended;
    clearTimeout(late);
  }
}

/** Everything that is still running, so that a failed case leaves nothing behind. */
const running = new Set<Running>();
export const endAll = async (): Promise<void> => {
  await Promise.all([...running].map((r) => r.end('SIGKILL')));
};

export const start = (args: readonly string[], env: { [name: string]: string } = {}, script = false): Running => {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, ...env, OPTA_LOOPBACK_ONLY: '1', OPTA_HOST: '127.0.0.1' },
    // A script ends by itself when this process is gone; the daemon is started as a user starts it.
    stdio: script ? ['ignore', 'pipe', 'inherit', 'ipc'] : ['ignore', 'ignore', 'inherit'],
  });
  const started = new Running(child);
  running.add(started);
  child.once('exit', () => running.delete(started));
  return started;
};

/** Starts a script of this folder and waits for the one line in which it names its port. */
export const startScript = async (name: string, args: readonly string[]): Promise<Running & { port: number }> => {
  const started = start([join(ROOT, 'test', 'bench', name), ...args], {}, true);
  const port = await new Promise<number>((resolve, reject) => {
    let text = '';
    started.child.stdout?.on('data', (chunk) => {
      text += chunk;
      if (text.includes('\n')) resolve(JSON.parse(text).port);
    });
    started.child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
  });
  return Object.assign(started, { port });
};

export interface Daemon {
  process: Running;
  port: number;
  token: string;
  home: string;
  http: Connection;
  /** From the start of the process to the first answered request. */
  startMs: number;
}

export interface DaemonOptions {
  /** The folder that holds `dist`. */
  app: string;
  sourcePort: number;
  home?: string;
}

const START_DEADLINE_MS = 60_000;

/** Flags for the daemon's Node, for a look inside: with them nothing that is measured counts. */
let nodeFlags: readonly string[] = [];
export const profileDaemons = (): string => {
  const folder = join(OUT, 'profiles');
  rmSync(folder, { recursive: true, force: true });
  nodeFlags = ['--cpu-prof', '--cpu-prof-dir', folder];
  return folder;
};

export const tempHome = (): string => mkdtempSync(join(tmpdir(), 'opta-bench-'));
export const removeHome = (home: string): void => rmSync(home, { recursive: true, force: true });

/** Starts the built daemon on a free port and waits until it answers `/v3/health` with 200. */
export const startDaemon = async ({ app, sourcePort, home = tempHome() }: DaemonOptions): Promise<Daemon> => {
  const stateFile = join(home, 'daemon', 'state.json');
  rmSync(stateFile, { force: true });
  const startedAt = performance.now();
  const main = join(app, 'dist', 'main.js');
  const process = start([...nodeFlags, main, '--engine', 'lmx', '--port', '0'], {
    OPTA_HOME: home,
    OPTA_PORT: String(sourcePort),
  });
  for (;;) {
    if (process.over) throw new Error('the daemon ended at once');
    if (performance.now() - startedAt > START_DEADLINE_MS) throw new Error('the daemon did not come up');
    const state = readState(stateFile);
    if (state !== null) {
      const http = new Connection(state.port, state.token);
      const { status } = await http.request('GET', '/v3/health');
      if (status === 200) return { process, ...state, home, http, startMs: performance.now() - startedAt };
      http.close();
    }
    await sleep(1);
  }
};

const readState = (file: string): { port: number; token: string } | null => {
  try {
    const { port, token } = JSON.parse(readFileSync(file, 'utf8'));
    return { port, token };
  } catch {
    // Not there yet.
    return null;
  }
};

export const stopDaemon = async (daemon: Daemon, keepHome = false): Promise<void> => {
  daemon.http.close();
  await daemon.process.end();
  if (!keepHome) removeHome(daemon.home);
};

/** CPU seconds of all threads since the start, and memory in MB; from /proc, so Linux only. */
export const usageOf = (pid: number): { cpuS: number; rssMb: number } => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return {
      cpuS: (Number(fields[11]) + Number(fields[12])) / 100,
      rssMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024,
    };
  } catch {
    return { cpuS: Number.NaN, rssMb: Number.NaN };
  }
};
