import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { constants as system } from 'node:os';
import { join } from 'node:path';
import { LIMITS } from '../actors/limits.ts';
import type { LeftProcess, ProcessEvents, ProcessHandle, ProcessRun } from '../actors/ports.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { type NamedPipe, readNamedPipe } from './named-pipe.ts';
import { endAll, members } from './process-family.ts';
import { groupOf, nameOf, signalOne } from './process-group.ts';
import { confined, environment, HELD, KEEPER, PIPE_FD, type ProcessWorld } from './process-launch.ts';
import { WRAPPERS } from './sandbox/sandbox.ts';

/**
 * [BG7] Background processes that outlive their daemon and are taken over by the next one. Each has a folder of its own, with named
 * pipes for what it writes and the exit code that its keeper leaves there (process-launch.ts). A daemon reads one that it started in
 * the very way in which it reads one that it found.
 */
export interface KeptWorld extends ProcessWorld {
  /** For our eyes alone; a folder for each process. */
  keptDir: string;
  /** How long a process waits for the next daemon before it ends. */
  adoptWithinMs: number;
}

const POLL_MS = 5;
const STREAMS = [
  ['stdout', 'out'],
  ['stderr', 'err'],
] as const;
/** Exit code of a keeper. */
const NO_PIPES = 126;
const LOST = 'nothing says what became of it';

type KeptHandle = Required<ProcessHandle>;
interface Kept {
  processId: string;
  groupId: number | null;
  /** False: it was not there any more when it was looked for. */
  wasSeen: boolean;
}

export const startKept = (
  world: KeptWorld,
  run: ProcessRun,
  events: ProcessEvents,
  later: (make: () => void) => void,
): ProcessHandle => {
  const { processId, cwd } = run;
  const dir = join(world.keptDir, processId);
  let on: ProcessEvents | null = events;
  let child: ChildProcess | null = null;
  let watched: KeptHandle | null = null;

  const fail = (what: string | undefined): void => {
    removeFolder(dir);
    on?.failed(new OptaError('background-failed', `Background process failed to start: ${what}`));
    on = null;
  };
  const begin = (): ChildProcess => {
    const argv = confined(world, run);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const seconds = String(Math.ceil(world.adoptWithinMs / 1_000));
    const made = spawn('/bin/sh', ['-c', KEEPER, 'opta', dir, seconds, HELD, ...argv], {
      cwd,
      detached: true,
      env: environment(run),
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    });
    // Of the shell itself: what is missing then is the folder.
    made.on('error', (error) => fail(`${cwd}: ${error.message}`));
    made.on('exit', (code) => {
      if (!watched) fail(code === NO_PIPES ? `no named pipes can be made in ${dir}` : run.argv[0]);
    });
    (made.stdio[PIPE_FD] as Socket | undefined)
      ?.setEncoding('utf8')
      .on('error', () => undefined)
      .once('data', (line: string) => {
        if (!on) return;
        const pid = Number(line);
        watched = watch(world, { processId, groupId: made.pid ?? null, wasSeen: true }, on);
        on.spawned({ pid, identity: world.identityOf(pid) });
      });
    return made;
  };

  later(() => {
    try {
      if (on) child = begin();
    } catch (cause) {
      fail(toOptaError(cause).message);
    }
  });
  const pipe = (): Socket | undefined => child?.stdio[PIPE_FD] as Socket | undefined;
  return {
    go: () => void pipe()?.write('go\n'),
    signal: (name) => watched?.signal(name),
    pause: () => watched?.pause(),
    resume: () => watched?.resume(),
    drop: () => {
      on = null;
      if (watched) watched.drop();
      else if (child?.pid !== undefined) endAll(world, { processId, groupId: child.pid }, () => removeFolder(dir));
    },
    leave: () => {
      on = null;
      watched?.leave();
      // Its end tells the guard that this daemon is gone; it must not keep the daemon from going.
      pipe()?.unref();
      child?.unref();
    },
  };
};

/** Events follow, never within the call. */
export const adoptKept = (world: KeptWorld, left: LeftProcess, events: ProcessEvents): ProcessHandle => {
  const { processId, pid, identity } = left;
  const dir = join(world.keptDir, processId);
  let on: ProcessEvents | null = events;
  let watched: KeptHandle | null = null;
  let guard: number | null = null;

  const over = (): void => {
    if (guard === null) return;
    // On systems where nothing else is known of the group, its guard ends it.
    writeSync(guard, 'end\n');
    closeSync(guard);
    guard = null;
  };
  world.clock.soon(() => {
    if (!on) return;
    const wasSeen = identity !== null && world.identityOf(pid) === identity;
    const groupId = wasSeen ? groupOf(pid) : null;
    // Begun by a daemon that kept none, or before a start of the machine.
    if (!existsSync(join(dir, 'alive')))
      return endAll(world, { processId, groupId }, () => on?.failed(new OptaError('background-failed', LOST)));
    try {
      guard = openSync(join(dir, 'ctl'), constants.O_RDWR | constants.O_NONBLOCK);
      on.spawned({ pid, identity });
      watched = watch(
        world,
        { processId, groupId, wasSeen },
        {
          ...on,
          gone: (end) => {
            over();
            on?.gone(end);
          },
          failed: (error) => {
            over();
            on?.failed(error);
          },
        },
      );
    } catch (cause) {
      on.failed(new OptaError('background-failed', toOptaError(cause).message));
    }
  });
  return {
    go: () => undefined,
    signal: (name) => watched?.signal(name),
    pause: () => watched?.pause(),
    resume: () => watched?.resume(),
    drop: () => {
      on = null;
      watched?.drop();
      over();
    },
    leave: () => {
      on = null;
      watched?.leave();
      if (guard !== null) closeSync(guard);
      guard = null;
    },
  };
};

/** What is left of one that nobody adopts: its guard ends it where nothing else can, and its folder goes. */
export const endKept = (world: KeptWorld, processId: string): void => {
  const dir = join(world.keptDir, processId);
  rmSync(join(dir, 'alive'), { force: true });
  try {
    const guard = openSync(join(dir, 'ctl'), constants.O_WRONLY | constants.O_NONBLOCK);
    writeSync(guard, 'end\n');
    closeSync(guard);
  } catch {
    // No guard listens.
  }
  endAll(world, { processId, groupId: null }, () => removeFolder(dir));
};

/** Reads a kept process and waits for its end. */
const watch = (world: KeptWorld, kept: Kept, events: ProcessEvents): KeptHandle => {
  const { processId, groupId } = kept;
  const dir = join(world.keptDir, processId);
  let on: ProcessEvents | null = events;
  let paused = false;
  let forced = false;

  const pipes: NamedPipe[] = STREAMS.map(([stream, name]) =>
    readNamedPipe(join(dir, name), (text) => on?.output(stream, text)),
  );
  const keeper = readNamedPipe(join(dir, 'alive'), () => undefined);
  const close = (): void => {
    for (const pipe of [...pipes, keeper]) pipe.destroy();
    removeFolder(dir);
  };
  keeper.onEnd(() => {
    const end = exitOf(dir) ?? (kept.wasSeen ? { exitCode: null, signal: 'SIGKILL' } : null);
    endAll(world, { processId, groupId }, () => settle(end, LIMITS.backgroundSettleMs));
  });
  /** What it wrote last may still be in the pipes; a process that is not found could hold them open for ever. */
  const settle = (end: ReturnType<typeof exitOf>, leftMs: number): void => {
    if (on && leftMs > 0 && !pipes.every((pipe) => pipe.ended))
      return void world.clock.setTimeout(() => settle(end, paused ? leftMs : leftMs - POLL_MS), POLL_MS);
    close();
    if (end) on?.gone(end);
    else on?.failed(new OptaError('background-failed', LOST));
    on = null;
  };
  const flow = (how: 'pause' | 'resume'): void => {
    paused = how === 'pause';
    for (const pipe of pipes) pipe[how]();
  };
  return {
    go: () => undefined,
    signal: (name) => {
      forced ||= name === 'SIGKILL';
      // A wrapper ends when what it holds does; if it went first, that would be killed without having been asked.
      for (const id of members({ processId, groupId })) if (forced || !WRAPPERS.has(nameOf(id))) signalOne(id, name);
    },
    pause: () => flow('pause'),
    resume: () => flow('resume'),
    drop: () => {
      on = null;
      // From now on there is nothing to take over.
      rmSync(join(dir, 'alive'), { force: true });
      for (const pipe of pipes) pipe.resume();
      endAll(world, { processId, groupId }, close);
    },
    leave: () => {
      for (const pipe of pipes) pipe.leave();
      keeper.destroy();
      on = null;
    },
  };
};

const SIGNALS = new Map(Object.entries(system.signals).map(([name, number]) => [number, name]));

/** As a shell says it: above 128 a signal ended it. Null: its keeper has left no word. */
const exitOf = (dir: string): { exitCode: number | null; signal: string | null } | null => {
  try {
    const code = Number(readFileSync(join(dir, 'exit'), 'utf8'));
    const signal = SIGNALS.get(code - 128) ?? null;
    return { exitCode: signal === null ? code : null, signal };
  } catch {
    return null;
  }
};

const removeFolder = (dir: string): void => rmSync(dir, { recursive: true, force: true });
