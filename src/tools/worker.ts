import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { LIMITS } from '../actors/limits.ts';
import type { Clock, Log } from '../actors/ports.ts';
import type { JobAnswer, JobMessage } from './jobs.ts';
import { isGroupAlive, killGroup } from './process-group.ts';

/**
 * One tool process, leader of its own process group. It is alive, then dying, then gone; gone is told exactly once, and only
 * when its exit was seen and nothing of its group runs, or when that took longer than `toolKillDeadlineMs`, which is logged.
 */
export interface WorkerEvents {
  answer(answer: JobAnswer): void;
  /** `reason` is for the log and for the model when a job was lost. */
  gone(reason: string): void;
}

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const STDERR_CHARS_MAX = 2_000;
const POLL_MS = 5;

/** From source the child needs the same loader as we do; it is named by its file, since the child's folder is not ours. */
const loader = (): string[] =>
  EXTENSION === '.ts' ? ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href] : [];

/** Nothing of the daemon's environment but this: no key or token can reach a tool or what it starts. */
const environment = (): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
  LANG: process.env.LANG ?? 'C.UTF-8',
  HOME: process.env.HOME ?? '/',
});

const start = (): ChildProcess =>
  fork(fileURLToPath(new URL(`./runner-child${EXTENSION}`, import.meta.url)), [], {
    cwd: '/',
    detached: true,
    env: environment(),
    execArgv: [...loader(), `--max-old-space-size=${LIMITS.toolHeapMbMax}`],
    // The last one is the child's guard: it closes when we die, however we die.
    stdio: ['ignore', 'ignore', 'pipe', 'ipc', 'pipe'],
  });

export class Worker {
  readonly pid: number | undefined;
  #state: 'alive' | 'dying' | 'gone' = 'alive';
  #reason = '';
  #exited = false;
  #stderr = '';
  #deadline: unknown = null;
  #poll: unknown = null;
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #on: WorkerEvents;

  constructor(clock: Clock, log: Log, on: WorkerEvents) {
    this.#clock = clock;
    this.#log = log;
    this.#on = on;
    this.#child = start();
    this.pid = this.#child.pid;
    this.#child.on('message', (message) => {
      // A dying child may still have had something to say; nobody is to hear it.
      if (this.#state === 'alive') this.#on.answer(message as JobAnswer);
    });
    this.#child.on('error', (error) => this.#ended(`cannot be used: ${error.message}`, this.pid === undefined));
    this.#child.on('exit', (code, signal) => this.#ended(`ended with ${signal ?? `exit code ${code}`}`, true));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARS_MAX);
    });
    this.#child.stdio[4]?.on('error', (error) => this.#ended(`lost its guard: ${error.message}`, false));
  }

  get alive(): boolean {
    return this.#state === 'alive';
  }

  send(message: JobMessage): void {
    this.#child.send(message, (error) => {
      if (error) this.kill(`cannot be reached: ${error.message}`);
    });
  }

  /** Ends the process and everything it started. */
  kill(reason: string): void {
    if (this.#state !== 'alive') return;
    this.#state = 'dying';
    this.#reason = reason;
    this.#deadline = this.#clock.setTimeout(() => this.#overdue(), LIMITS.toolKillDeadlineMs);
    // Our child is not waited for yet, so its id, which is the group's, cannot belong to anybody else.
    if (this.pid !== undefined && !this.#exited) killGroup(this.pid);
  }

  #ended(reason: string, exited: boolean): void {
    if (this.#state === 'gone') return;
    if (this.#state === 'alive') {
      this.#log.warn('tool process lost', { pid: this.pid, reason, stderr: this.#stderr });
      this.kill(reason);
    }
    if (!exited || this.#exited) return;
    this.#exited = true;
    // What it started outlives a crash: the guard at least. The group's id is taken as long as one of them is there.
    if (this.pid !== undefined) killGroup(this.pid);
    this.#awaitGroup(POLL_MS);
  }

  #awaitGroup(pollMs: number): void {
    if (this.#state === 'gone') return;
    if (this.pid === undefined || !isGroupAlive(this.pid)) {
      // Never in the stack of whoever called `kill`.
      this.#poll = this.#clock.setTimeout(() => this.#gone(), 0);
      return;
    }
    this.#poll = this.#clock.setTimeout(() => this.#awaitGroup(Math.min(2 * pollMs, 100)), pollMs);
  }

  #overdue(): void {
    this.#log.error('a tool process could not be ended in time', {
      pid: this.pid,
      exited: this.#exited,
      reason: this.#reason,
    });
    this.#gone();
  }

  #gone(): void {
    if (this.#state === 'gone') return;
    this.#state = 'gone';
    this.#clock.clearTimeout(this.#deadline);
    this.#clock.clearTimeout(this.#poll);
    for (const stream of this.#child.stdio) stream?.destroy();
    this.#on.gone(this.#reason);
  }
}
