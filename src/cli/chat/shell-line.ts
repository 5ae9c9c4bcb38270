import { spawn } from 'node:child_process';

/** How long a command of the user's may take, and how much of what it says is shown. */
export const SHELL_BOUNDS = { ms: 30_000, killMs: 2_000, chars: 1 << 20 };

export interface ShellRun {
  /** The shell, or a program with its arguments. */
  command: string | readonly [program: string, ...args: string[]];
  cwd: string;
  env: { [name: string]: string | undefined };
  signal: AbortSignal;
  say(text: string): void;
  ms?: number;
}

/** Runs a command without a keyboard, shows what it says, and ends it and all that it started when its time is over. */
export const runShell = ({ command, cwd, env, signal, say, ms = SHELL_BOUNDS.ms }: ShellRun): Promise<string | null> =>
  new Promise((resolve) => {
    const [program, ...args] = typeof command === 'string' ? shellOf(command, env) : command;
    const ownGroup = process.platform !== 'win32';
    const child = spawn(program, args, { cwd, env: { ...env }, detached: ownGroup, stdio: ['ignore', 'pipe', 'pipe'] });
    let chars = 0;
    let why: string | null = null;
    let hard: NodeJS.Timeout | undefined;
    const show = (part: string): void => {
      const room = SHELL_BOUNDS.chars - chars;
      chars += part.length;
      if (room > 0) say(part.slice(0, room));
      if (room > 0 && chars > SHELL_BOUNDS.chars) say('\n… more is not shown\n');
    };
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', show);
    const signalAll = (name: NodeJS.Signals): void => {
      try {
        if (ownGroup && child.pid !== undefined) process.kill(-child.pid, name);
        else child.kill(name);
      } catch (cause) {
        // Gone is what it should be.
        if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') why ??= (cause as Error).message;
      }
    };
    const end = (reason: string): void => {
      why ??= reason;
      signalAll('SIGTERM');
      hard ??= setTimeout(() => {
        signalAll('SIGKILL');
        // Somebody who left the group may still hold the pipes.
        child.stdout.destroy();
        child.stderr.destroy();
      }, SHELL_BOUNDS.killMs);
    };
    const onAbort = (): void => end('interrupted');
    const timer = setTimeout(() => end(`ended after ${ms / 1_000} s`), ms);
    const settle = (outcome: string | null): void => {
      clearTimeout(timer);
      clearTimeout(hard);
      signal.removeEventListener('abort', onAbort);
      resolve(outcome);
    };
    child.on('error', (cause) => settle(cause.message));
    child.on('close', (code, name) => settle(why ?? (code === 0 ? null : (name ?? `exit code ${code}`))));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });

const shellOf = (line: string, env: ShellRun['env']): [string, ...string[]] =>
  process.platform === 'win32'
    ? [env.ComSpec ?? 'cmd.exe', '/d', '/s', '/c', line]
    : [env.SHELL || '/bin/sh', '-c', line];
