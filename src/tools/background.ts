import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import type { Writable } from 'node:stream';
import { LIMITS } from '../actors/limits.ts';
import type { Clock, Log, ProcessEvents, Processes, ProcessHandle, ProcessRun } from '../actors/ports.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { groupMembers, isGroupAlive, killGroup, nameOf, signalOne } from './process-group.ts';
import { type Sandbox, WRAPPERS } from './sandbox/sandbox.ts';

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
/** Of a guard: ends what carries its own mark, wherever it went. */
export const SWEEP =
  'read -r me _ </proc/self/stat; for pass in 1 2 3 4 5; do for p in /proc/[0-9]*; do p=${p#/proc/}; ' +
  '[ "$p" = "$me" ] || ! grep -qzxF "OPTA_BACKGROUND=$OPTA_BACKGROUND" "/proc/$p/environ" || kill -9 "$p"; done; sleep 0.1; done';
const LAUNCHER =
  'command -v "$1" >/dev/null 2>&1 || exit 127; echo >&3; read -r _ <&3 || exit 125; ' +
  '( (trap "" TERM INT HUP; read -r _ <&3; ' +
  SWEEP +
  '; kill -9 0) >/dev/null 2>&1 & ); exec "$@" 3<&-';
const PIPE_FD = 3;
const POLL_MS = 5;

/** bash where there is one, since that is what models write; without the files that a person's bash reads. */
const SHELL = existsSync('/bin/bash') ? ['/bin/bash', '--noprofile', '--norc', '-c'] : ['/bin/sh', '-c'];

/** `identityOf`: what proves that a pid still means the same process. */
type ProcessWorld = { clock: Clock; log: Log; identityOf: (pid: number) => string | null; sandbox?: Sandbox };

export const createProcesses = (world: ProcessWorld): Processes => {
  const later = oneByOne(world.clock);
  return {
    home: homedir(),
    shell: SHELL,
    confine: (at) => (world.sandbox?.wrap([], { ...at, cwd: at.workspace }) ?? null) !== null,
    start: (run, on) => start(world, run, on, later),
    // The group is ours only while its leader is the very process of then; what carries the mark is ours anyway.
    reap: ({ processId, pid, identity }) =>
      world.clock.soon(() => {
        const isOurs = identity !== null && world.identityOf(pid) === identity;
        endAll(world, { processId, groupId: isOurs ? pid : null }, () => undefined);
      }),
  };
};

/** To make a process stops everything else for some milliseconds: one in each turn of the event loop, however many are wanted at once. */
const oneByOne = (clock: Clock): ((make: () => void) => void) => {
  const waiting: (() => void)[] = [];
  let isDue = false;
  const next = (): void => {
    waiting.shift()?.();
    isDue = waiting.length > 0;
    if (isDue) clock.soon(next);
  };
  return (make) => {
    waiting.push(make);
    if (isDue) return;
    isDue = true;
    clock.soon(next);
  };
};

/** The daemon's secrets reach no command; everything else does, as from a terminal. */
const SECRET = /^OPTA_\w*(?:KEY|TOKEN|SECRET|PASSWORD)$/;
const MARK = 'OPTA_BACKGROUND';
const environment = ({ processId, model }: ProcessRun): NodeJS.ProcessEnv => ({
  ...(model
    ? commandEnvironment(model.confine !== null)
    : Object.fromEntries(Object.entries(process.env).filter(([name]) => !SECRET.test(name)))),
  ...model?.env,
  [MARK]: processId,
});

/** [TL5] What a program needs to run and nothing that says who somebody is: no keys, tokens, agents or sockets. */
const NEEDED =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|JAVA_HOME|GOPATH|GOROOT|NVM_DIR|CARGO_HOME|RUSTUP_HOME)$/;
export const commandEnvironment = (confined: boolean, from: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(from).filter(([name]) => NEEDED.test(name))),
  TERM: 'dumb',
  NO_COLOR: '1',
  GIT_TERMINAL_PROMPT: '0',
  CI: '1',
  ...(confined ? { TMPDIR: '/tmp' } : {}),
});

/** A process by its mark, and by its group where that is certainly its own. */
type Family = { processId: string; groupId: number | null };

/** What there is of it; a negative id is the whole group. */
const members = ({ processId, groupId }: Family): number[] => {
  if (process.platform === 'linux') return groupMembers(groupId, `${MARK}=${processId}`);
  return groupId !== null && isGroupAlive(groupId) ? [-groupId] : [];
};

/** Blow after blow until nothing is left, or too long. */
const endAll = (world: ProcessWorld, family: Family, done: () => void, pollMs = POLL_MS): void => {
  if (family.groupId !== null) killGroup(family.groupId);
  const left = members(family);
  for (const id of left) signalOne(id, 'SIGKILL');
  const late = pollMs > LIMITS.toolKillDeadlineMs;
  if (late) world.log.error('a background process could not be ended in time', { ...family, left });
  if (left.length === 0 || late) return done();
  world.clock.setTimeout(() => endAll(world, family, done, 2 * pollMs), pollMs);
};

/** Throws when it is to be confined and cannot be: what was allowed for a sandbox never runs without one. */
const confined = ({ sandbox }: ProcessWorld, { argv, cwd, model }: ProcessRun): string[] => {
  if (!model?.confine) return argv;
  const wrapped = sandbox?.wrap(argv, { ...model.confine, cwd });
  if (!wrapped) throw new OptaError('tool-failed', `the command cannot be confined to ${model.confine.workspace}`);
  return wrapped;
};

const start = (
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
