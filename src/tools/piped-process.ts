import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { LIMITS } from '../actors/limits.ts';
import type { ProcessEvents, ProcessHandle, ProcessRun } from '../actors/ports.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { endAll, members } from './process-family.ts';
import { nameOf, signalOne } from './process-group.ts';
import { confined, environment, LAUNCHER, PIPE_FD, type ProcessWorld } from './process-launch.ts';
import { WRAPPERS } from './sandbox/sandbox.ts';

const POLL_MS = 5;

/**
 * Background processes, each the leader of a group of its own.
 *
 * 1. The leader is a shell that looks for the program, says so on a pipe to the daemon, waits there for `go`, and then becomes the
 *    command: same pid, same start time, both known before the command begins. If the daemon dies first, nothing begins.
 * 2. Before that it leaves a guard in its group, which reads the same pipe and ends the group when the daemon dies, however it
 *    dies, and on Linux first what left the group with the mark in its environment. The guard also keeps the group's id taken until
 *    the group was ended by us.
 * 3. The end of the leader is the end of the process: what it started is ended with it, in its group or, on Linux, wherever it
 *    went with the mark in its environment.
 */
export const startPiped = (
  world: ProcessWorld,
  run: ProcessRun,
  events: ProcessEvents,
  later: (make: () => void) => void,
): ProcessHandle => {
  const { processId, cwd } = run;
  let on: ProcessEvents | null = events;
  let child: ChildProcess | null = null;
  let isReady = false;
  let exited = false;
  let paused = false;

  const fail = (what: string | undefined): void => {
    on?.failed(new OptaError('background-failed', `Background process failed to start: ${what}`));
    on = null;
  };
  const begin = (): ChildProcess => {
    const stdio: StdioOptions = [run.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe', 'pipe'];
    const argv = confined(world, run);
    const options = { cwd, detached: true, env: environment(run), stdio };
    const made = spawn('/bin/sh', ['-c', LAUNCHER, 'opta', ...argv], options);
    // Of the shell itself: what is missing then is the folder.
    made.on('error', (error) => fail(`${cwd}: ${error.message}`));
    const { pid } = made;
    if (pid === undefined) return made;
    made.on('exit', (exitCode, signal) => {
      exited = true;
      if (!isReady) fail(run.argv[0]);
      const end = { exitCode, signal };
      endAll(world, { processId, groupId: pid }, () => settle(made, end, LIMITS.backgroundSettleMs));
    });
    // One that reads none of it ends with it unread.
    made.stdin?.on('error', () => undefined).end(run.input);
    // The pipe breaks when the process is gone, which its exit says better.
    made.stdio[PIPE_FD]
      ?.on('error', () => undefined)
      .once('data', () => {
        isReady = true;
        on?.spawned({ pid, identity: world.identityOf(pid) });
      });
    for (const name of ['stdout', 'stderr'] as const)
      made[name]?.setEncoding('utf8').on('data', (text: string) => on?.output(name, text));
    return made;
  };
  /** What it wrote last may still be in the pipes; a process that is not found could hold them open for ever. */
  const settle = (of: ChildProcess, end: Parameters<ProcessEvents['gone']>[0], leftMs: number): void => {
    if ((of.stdout?.closed && of.stderr?.closed) || leftMs <= 0) {
      for (const stream of of.stdio) stream?.destroy();
      on?.gone(end);
      on = null;
    } else world.clock.setTimeout(() => settle(of, end, paused ? leftMs : leftMs - POLL_MS), POLL_MS);
  };
  // Until it is waited for, its group is certainly its own.
  const signal = (name: NodeJS.Signals): void => {
    if (child?.pid === undefined || exited) return;
    // A wrapper ends when what it holds does; if it went first, that would be killed without having been asked.
    for (const id of members({ processId, groupId: child.pid }))
      if (name === 'SIGKILL' || !run.model?.confine || !WRAPPERS.has(nameOf(id))) signalOne(id, name);
  };
  const flow = (how: 'pause' | 'resume'): void => {
    paused = how === 'pause';
    child?.stdout?.[how]();
    child?.stderr?.[how]();
  };

  later(() => {
    try {
      if (on) child = begin();
    } catch (cause) {
      fail(toOptaError(cause).message);
    }
  });
  return {
    go: () => void (child?.stdio[PIPE_FD] as Writable | undefined)?.write('go\n'),
    signal,
    pause: () => flow('pause'),
    resume: () => flow('resume'),
    drop: () => {
      on = null;
      flow('resume');
      signal('SIGKILL');
    },
  };
};
