import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { CLI_COMMAND, cliEnv } from './cli.ts';

/** A real terminal, lent by tmux. Tests that need one are skipped where there is none. */
export const hasTmux = process.platform === 'linux' && spawnSync('tmux', ['-V']).status === 0;

export interface Pane {
  /** Types text as it is. */
  type(text: string): void;
  /** Presses keys by their names: Enter, C-c, M-Enter, PPage … */
  press(...keys: string[]): void;
  /** Pastes, with the brackets that terminals put around it. */
  paste(text: string): void;
  screen(): string;
  /** What scrolled out of the screen too. */
  all(): string;
  /** Waits until the screen has `what`; fails with what it shows. */
  shows(what: string | RegExp, deadlineMs?: number): Promise<string>;
  lacks(what: string | RegExp, deadlineMs?: number): Promise<string>;
  resize(columns: number, rows: number): void;
  /** A tmux format, such as `#{alternate_on}`. */
  fact(format: string): string;
  /** Process id of the command line that runs in it. */
  pid(): number;
  close(): void;
}

export interface PaneOptions {
  columns?: number;
  rows?: number;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

const DEADLINE_MS = 25_000;

/**
 * `opta` with these arguments in a pane. When it ends, its exit code is shown as `RC=n`, and then what the terminal is like
 * (`icanon echo` when it is as it was).
 */
export const openPane = (home: string, args: string[], options: PaneOptions = {}): Pane => {
  const { columns = 80, rows = 24, env = {}, cwd = home } = options;
  const socket = `opta-test-${randomBytes(6).toString('hex')}`;
  const base = cliEnv(home, { NO_COLOR: undefined, ...env });
  const tmux = (...words: string[]): string => {
    const run = spawnSync('tmux', ['-L', socket, '-f', '/dev/null', ...words], { encoding: 'utf8', env: base, cwd });
    if (run.status !== 0) throw new Error(`tmux ${words[0]}: ${run.stderr}`);
    return run.stdout;
  };
  const command = [...CLI_COMMAND, ...args].map((word) => `'${word}'`).join(' ');
  const script = `TERM=xterm-256color ${command}; echo "RC=$?"; stty -a | grep -ow -- '-*icanon\\|-*echo' | xargs; exec cat`;
  tmux('new-session', '-d', '-s', 'p', '-x', String(columns), '-y', String(rows), `echo before; ${script}`);
  const screen = (): string => tmux('capture-pane', '-p', '-t', 'p');
  const until = async (holds: (text: string) => boolean, what: string, deadlineMs: number): Promise<string> => {
    const end = Date.now() + deadlineMs;
    for (;;) {
      const text = screen();
      if (holds(text)) return text;
      if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}; the screen:\n${text}`);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
  };
  const has = (text: string, what: string | RegExp): boolean =>
    typeof what === 'string' ? text.includes(what) : what.test(text);
  return {
    type: (text) => void tmux('send-keys', '-t', 'p', '-l', text),
    press: (...keys) => void tmux('send-keys', '-t', 'p', ...keys),
    paste: (text) => {
      tmux('set-buffer', '-b', 'x', text);
      tmux('paste-buffer', '-p', '-b', 'x', '-t', 'p');
    },
    screen,
    all: () => tmux('capture-pane', '-p', '-S', '-', '-t', 'p'),
    shows: (what, deadlineMs = DEADLINE_MS) => until((text) => has(text, what), String(what), deadlineMs),
    lacks: (what, deadlineMs = DEADLINE_MS) => until((text) => !has(text, what), `no ${what}`, deadlineMs),
    resize: (x, y) => void tmux('resize-window', '-t', 'p', '-x', String(x), '-y', String(y)),
    fact: (format) => tmux('display-message', '-p', '-t', 'p', format).trim(),
    pid: () => {
      const shell = tmux('display-message', '-p', '-t', 'p', '#{pane_pid}').trim();
      const children = readFileSync(`/proc/${shell}/task/${shell}/children`, 'utf8').trim().split(' ');
      return Number(children.at(-1));
    },
    close: () => void spawnSync('tmux', ['-L', socket, 'kill-server'], { env: base }),
  };
};
