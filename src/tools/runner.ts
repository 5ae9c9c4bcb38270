import { LIMITS } from '../actors/limits.ts';
import type {
  Clock,
  Log,
  Processes,
  ToolJobHandle,
  ToolPlan,
  ToolResult,
  ToolRun,
  ToolScope,
  Tools,
} from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import { createCommands } from './command.ts';
import { outputFolder } from './command-output.ts';
import type { JobAnswer, ToolName } from './jobs.ts';
import { failure } from './outcome.ts';
import { check, offered, plan, type Reach } from './registry.ts';
import { RUN_COMMAND } from './tool-schema.ts';
import { Worker } from './worker.ts';

/**
 * Runs tool calls in killable processes, few and warm.
 *
 * 1. A job ends once: by its result, or by `dead` after a kill, never by both. Jobs start in the order in which they came.
 * 2. A process runs one job at a time. One that was killed, timed out or crashed is never used again.
 * 3. A job that timed out or was killed is over only when its process group is ([CX4]).
 * 4. The deadline covers the wait in the queue as well ([SV2]).
 */
interface Job {
  id: number;
  run: ToolRun;
  tool: ToolName;
  /** Taken away by the first end of the job. */
  done: ((result: ToolResult) => void) | null;
  dead: (() => void)[];
  deadlineAt: number;
  timer: unknown;
  slot: Slot | null;
  /** What to answer once the process is gone. */
  verdict: ToolResult | null;
}

interface Slot {
  worker: Worker;
  job: Job | null;
  idleTimer: unknown;
}

export interface ToolRunner extends Tools {
  /** Ends every process. Jobs that were open get an error. Resolves when nothing of them runs. */
  close(): Promise<void>;
  status(): { workers: number; busy: number; queued: number };
  readonly commandsRunning: number;
}

interface ToolWorld {
  clock: Clock;
  log: Log;
  /** `LIMITS.toolJobsMax` unless said. */
  jobsMax?: number;
  /** Nothing but this machine is reached unless it is said ([TL8]). */
  online?: boolean;
  /** What commands run through; without it there are none. */
  commands?: Processes;
  /** Where long outputs of commands are kept. */
  outputsDir?: string;
  /** Where earlier contents of files are kept. */
  versionsDir?: string;
}

export const createTools = (world: ToolWorld): ToolRunner => {
  const { outputsDir = null } = world;
  const reach = { online: world.online ?? false, commands: world.commands !== undefined };
  const pool = new Pool(world.clock, world.log, world.jobsMax ?? LIMITS.toolJobsMax, reach, {
    outputsDir,
    versionsDir: world.versionsDir ?? null,
  });
  const processes = world.commands;
  const commands = processes && createCommands({ ...world, processes, outputsDir });
  return {
    offered: (scope) => offered(scope, reach),
    plan(name, argsText, scope) {
      const planned = plan(name, argsText, reach);
      if (typeof planned !== 'string' && planned.toolClass === 'delegate')
        return { ...planned, deadlineMs: LIMITS.agentDeadlineMs };
      return processes && typeof planned !== 'string' && planned.toolClass === 'exec'
        ? commandPlan(name, planned, scope, processes)
        : planned;
    },
    start: (run, done) => {
      if (run.name === RUN_COMMAND && commands) return commands.start(run, done);
      return pool.start(run, done);
    },
    close: async () => void (await Promise.all([pool.close(), commands?.close()])),
    status: () => pool.status(),
    get commandsRunning() {
      return commands?.running ?? 0;
    },
  };
};

/** [TL5] Confined, where that can be done; only without a network it may run unasked. Who is asked is told which. */
const commandPlan = (
  name: string,
  planned: ToolPlan,
  { workspace }: ToolScope,
  processes: Processes,
): ToolPlan | string => {
  // It ends what was allowed before.
  if (name === 'bg_kill') return { ...planned, confined: true };
  if (workspace === undefined) return 'Error (tool-failed): this session has no workspace to run commands in';
  const { network = false, timeout } = planned.args as { network?: boolean; timeout?: number };
  const isHeld = processes.confine({ workspace, network });
  const confined = isHeld && !network;
  const summary = isHeld ? planned.summary : `${planned.summary} (unconfined)`;
  if (name !== RUN_COMMAND) return { ...planned, summary, confined };
  const deadlineMs = (timeout ?? LIMITS.commandDefaultMs) + LIMITS.toolKillDeadlineMs;
  return { ...planned, summary, confined, deadlineMs };
};

const RESTORE = 'restore_files';
const RESTORING = { tool: { toolClass: 'write' } } as const;

const shuttingDown = (): ToolResult => failure(new OptaError('shutting-down', 'the daemon is shutting down'));

const noJob = (): ToolResult => failure(new OptaError('internal', 'a question is for people and is not run'));

interface Dirs {
  outputsDir: string | null;
  versionsDir: string | null;
}

class Pool {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #jobsMax: number;
  readonly #reach: Reach;
  readonly #slots = new Set<Slot>();
  #queue: Job[] = [];
  #nextId = 1;
  #closed: Promise<void> | null = null;
  #onEmpty: (() => void) | null = null;

  readonly #dirs: Dirs;

  constructor(clock: Clock, log: Log, jobsMax: number, reach: Reach, dirs: Dirs) {
    this.#reach = reach;
    this.#dirs = dirs;
    this.#clock = clock;
    this.#log = log;
    this.#jobsMax = jobsMax;
  }

  start(run: ToolRun, done: (result: ToolResult) => void): ToolJobHandle {
    // No model can name it: it is no tool, and only the session asks for it.
    const checked = run.name === RESTORE ? RESTORING : check(run.name, run.args, this.#reach);
    const job: Job = {
      id: this.#nextId++,
      run,
      tool: run.name as ToolName,
      done,
      dead: [],
      deadlineAt: this.#clock.now() + run.deadlineMs,
      timer: null,
      slot: null,
      verdict: null,
    };
    if (typeof checked === 'string') this.#answerSoon(job, { result: checked, isError: true });
    else if (checked.tool.toolClass === 'question') this.#answerSoon(job, noJob());
    else if (this.#closed) this.#answerSoon(job, shuttingDown());
    else if (this.#queue.length >= LIMITS.toolQueueMax) {
      const text = 'too many tool calls are waiting; try again later';
      this.#answerSoon(job, failure(new OptaError('too-many-requests', text)));
    } else {
      job.timer = this.#clock.setTimeout(() => this.#overdue(job), run.deadlineMs);
      this.#queue.push(job);
      this.#clock.soon(() => this.#dispatch());
    }
    return { kill: (dead) => this.#kill(job, dead) };
  }

  status(): { workers: number; busy: number; queued: number } {
    const busy = [...this.#slots].filter((s) => s.job !== null).length;
    return { workers: this.#slots.size, busy, queued: this.#queue.length };
  }

  close(): Promise<void> {
    this.#closed ??= new Promise<void>((resolve) => {
      for (const job of this.#queue.splice(0)) this.#answerSoon(job, shuttingDown());
      this.#onEmpty = resolve;
      for (const slot of this.#slots) {
        if (slot.job) slot.job.verdict ??= shuttingDown();
        this.#clock.clearTimeout(slot.idleTimer);
        slot.worker.kill('the daemon is shutting down');
      }
      if (this.#slots.size === 0) resolve();
    });
    return this.#closed;
  }

  #dispatch(): void {
    while (this.#queue.length > 0 && !this.#closed) {
      const idle = this.#idle();
      if (idle === null && this.#slots.size >= this.#jobsMax) return;
      const job = this.#queue.shift()!;
      const slot = idle ?? this.#spawn(job);
      if (slot === null) continue;
      this.#clock.clearTimeout(slot.idleTimer);
      slot.job = job;
      job.slot = slot;
      slot.worker.send({
        job: job.id,
        tool: job.tool,
        args: job.run.args,
        workspace: job.run.workspace,
        deniedPaths: job.run.deniedPaths,
        bounds: {
          outputBytesMax: LIMITS.toolOutputBytesMax,
          deadlineMs: Math.max(0, job.deadlineAt - this.#clock.now()),
          outputsDir: this.#dirs.outputsDir && outputFolder(this.#dirs.outputsDir, job.run.sessionId),
          versionsDir: job.run.keepVersions === false ? null : this.#dirs.versionsDir,
        },
      });
    }
  }

  #idle(): Slot | null {
    for (const slot of this.#slots) if (slot.job === null && slot.worker.alive) return slot;
    return null;
  }

  #spawn(job: Job): Slot | null {
    try {
      const worker = new Worker(this.#clock, this.#log, {
        answer: (answer) => this.#answered(slot, answer),
        gone: (reason) => this.#gone(slot, reason),
      });
      const slot: Slot = { worker, job: null, idleTimer: null };
      this.#slots.add(slot);
      return slot;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      this.#log.error('a tool process could not be started', { why });
      this.#answer(job, failure(new OptaError('tool-failed', `no process could be started for the tool: ${why}`)));
      return null;
    }
  }

  #answered(slot: Slot, { job: id, ...result }: JobAnswer): void {
    const job = slot.job;
    if (job === null || job.id !== id) return;
    slot.job = null;
    job.slot = null;
    slot.idleTimer = this.#clock.setTimeout(() => slot.worker.kill('was idle'), LIMITS.toolIdleMs);
    this.#dispatch();
    this.#answer(job, result);
  }

  #gone(slot: Slot, reason: string): void {
    this.#slots.delete(slot);
    this.#clock.clearTimeout(slot.idleTimer);
    const job = slot.job;
    if (job) {
      job.slot = null;
      const lost = new OptaError(
        'tool-failed',
        `the tool's process ${reason}; whether the call took effect is not known`,
      );
      this.#answer(job, job.verdict ?? failure(lost));
      for (const dead of job.dead.splice(0)) dead();
    }
    this.#dispatch();
    if (this.#slots.size === 0) this.#onEmpty?.();
  }

  #overdue(job: Job): void {
    const waited = job.slot === null ? ' while it waited for a free process' : '';
    const verdict = failure(new OptaError('tool-timeout', `not done within ${job.run.deadlineMs} ms${waited}`));
    if (job.slot === null) {
      this.#queue = this.#queue.filter((j) => j !== job);
      this.#answer(job, verdict);
      return;
    }
    job.verdict ??= verdict;
    job.slot.worker.kill('exceeded its deadline');
  }

  #kill(job: Job, dead: () => void): void {
    // Also when the result is on its way already: whoever kills does not want to hear it.
    job.done = null;
    this.#clock.clearTimeout(job.timer);
    if (job.slot === null) {
      this.#queue = this.#queue.filter((j) => j !== job);
      this.#clock.soon(dead);
      return;
    }
    job.dead.push(dead);
    job.slot.worker.kill('was cancelled');
  }

  #answerSoon(job: Job, result: ToolResult): void {
    this.#clock.clearTimeout(job.timer);
    this.#clock.soon(() => this.#answer(job, result));
  }

  #answer(job: Job, result: ToolResult): void {
    this.#clock.clearTimeout(job.timer);
    const done = job.done;
    job.done = null;
    done?.(result);
  }
}
