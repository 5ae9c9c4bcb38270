import { randomBytes } from 'node:crypto';
import { LIMITS } from '../actors/limits.ts';
import type { Clock, Log, Processes, ToolJobHandle, ToolResult, ToolRun } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import { commandOutput } from './command-output.ts';
import { failure } from './outcome.ts';

/**
 * Commands of the model. Each is a process group of its own, like a background process, that the call waits for ([TL5], [CX4]): a
 * time-out or a cancel asks it to end, then ends it and everything that it started, and is over only when nothing of it is alive.
 */
export interface Commands {
  start(run: ToolRun, done: (result: ToolResult) => void): ToolJobHandle;
  close(): Promise<void>;
  readonly running: number;
}

interface CommandWorld {
  clock: Clock;
  log: Log;
  processes: Processes;
  /** Where output lies that is too long to be shown; null: nowhere. */
  outputsDir: string | null;
}

interface Live {
  stop(why: 'cancelled' | 'timeout'): void;
  dead: (() => void)[];
}

export const createCommands = (world: CommandWorld): Commands => {
  const live = new Set<Live>();
  const waiting: (() => void)[] = [];
  let onEmpty: (() => void) | null = null;

  const begin = (run: ToolRun, done: (result: ToolResult) => void): Live => {
    const { clock, processes } = world;
    const { command, timeout = LIMITS.commandDefaultMs, network = false } = run.args as unknown as CommandArgs;
    const output = commandOutput(world.outputsDir, run.sessionId);
    let ended: 'cancelled' | 'timeout' | null = null;
    let paused = false;
    let timer: unknown = null;
    const startedAt = clock.now();

    const over = (result: ToolResult): void => {
      clock.clearTimeout(timer);
      live.delete(one);
      if (ended !== 'cancelled') done(result);
      for (const dead of one.dead.splice(0)) dead();
      waiting.shift()?.();
      if (live.size === 0) onEmpty?.();
    };
    const at = { workspace: run.workspace, network };
    // Allowed by a person or a rule, it still runs confined where that can be done; allowed for the sandbox, it runs nowhere else.
    const isHeld = run.confined === true || processes.confine(at);
    const handle = processes.start(
      {
        processId: `cmd_${randomBytes(9).toString('base64url')}`,
        argv: [...processes.shell, command],
        cwd: run.workspace,
        model: { confine: isHeld ? at : null, ...(run.env === undefined ? {} : { env: run.env }) },
      },
      {
        spawned: () => handle.go(),
        output: (_stream, text) => {
          output.push(text);
          if (!output.isBehind || paused || ended) return;
          paused = true;
          handle.pause();
        },
        gone: (end) => over(resultOf(output.end(), end, ended, { timeout, elapsedMs: clock.now() - startedAt })),
        failed: (error) => over(failure(new OptaError('tool-failed', error.message))),
      },
    );
    output.onCaughtUp = () => {
      if (paused) handle.resume();
      paused = false;
    };
    const one: Live = {
      dead: [],
      stop(why) {
        if (ended) return;
        ended = why;
        output.onCaughtUp();
        clock.clearTimeout(timer);
        handle.signal('SIGTERM');
        timer = clock.setTimeout(() => {
          handle.signal('SIGKILL');
          // The spawner goes on ending it; nobody waits for what the system cannot end.
          timer = clock.setTimeout(() => {
            world.log.error('a command could not be ended in time', { callId: run.callId });
            handle.drop();
            over(failure(new OptaError('tool-timeout', 'the command could not be ended')));
          }, LIMITS.toolKillDeadlineMs - LIMITS.commandGraceMs);
        }, LIMITS.commandGraceMs);
      },
    };
    timer = clock.setTimeout(() => one.stop('timeout'), timeout);
    live.add(one);
    return one;
  };

  return {
    get running() {
      return live.size;
    },
    start(run, done) {
      let over = false;
      let started: Live | null = null;
      const attempt = (): void => {
        if (over) return void waiting.shift()?.();
        started = begin(run, done);
      };
      if (live.size < LIMITS.commandsMax) attempt();
      else if (waiting.length < LIMITS.toolQueueMax) waiting.push(attempt);
      else world.clock.soon(() => done(failure(new OptaError('too-many-requests', 'too many commands are waiting'))));
      return {
        kill(dead) {
          over = true;
          if (started === null || !live.has(started)) return world.clock.soon(dead);
          started.dead.push(dead);
          started.stop('cancelled');
        },
      };
    },
    close: () =>
      new Promise<void>((resolve) => {
        waiting.splice(0);
        onEmpty = resolve;
        for (const one of live) one.stop('timeout');
        if (live.size === 0) resolve();
      }),
  };
};

export interface CommandArgs {
  command: string;
  /** Milliseconds. */
  timeout?: number;
  network?: boolean;
}

const resultOf = (
  { text, totalBytes, isCut, ref }: ReturnType<ReturnType<typeof commandOutput>['end']>,
  { exitCode, signal }: { exitCode: number | null; signal: string | null },
  ended: 'cancelled' | 'timeout' | null,
  { timeout, elapsedMs }: { timeout: number; elapsedMs: number },
): ToolResult => {
  const how =
    ended === 'timeout'
      ? `ended after ${timeout} ms, its time`
      : signal !== null
        ? `ended by ${signal}`
        : `exit code ${exitCode}`;
  const rest = ref === null ? '' : `; all of the output: read_file with path "output:${ref}"`;
  const gap = text === '' || text.endsWith('\n') ? '' : '\n';
  return {
    result: `${text}${gap}[${how}; ${(elapsedMs / 1_000).toFixed(1)} s${rest}]`,
    isError: ended === 'timeout' || exitCode !== 0,
    ...(isCut ? { truncatedFrom: totalBytes } : {}),
  };
};
