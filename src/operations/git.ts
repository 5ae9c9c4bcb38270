import { execFile } from 'node:child_process';
import type { Env } from '../config/paths.ts';

const DEADLINE_MS = 10_000;
export const GIT_BYTES_MAX = 4 << 20;

export interface GitAt {
  cwd?: string;
  env: Env;
  signal?: AbortSignal | undefined;
}

/**
 * What git says, cut after `GIT_BYTES_MAX`; null when it is not there or fails. `codes` are the exit codes that count as an answer.
 * Nothing that the repository configures is run or fetched, since it may come from a stranger; for what looks at its files that
 * takes `unfiltered` and `OWN_FILES` besides.
 */
export const git = async (args: readonly string[], at: GitAt & { codes?: number[] }): Promise<string | null> => {
  await place();
  try {
    return at.signal?.aborted ? null : await run(args, at);
  } finally {
    leave();
  }
};

/** Each start of a program holds this process up for a moment, and a daemon may be asked for many diffs at once. */
const AT_ONCE = 2;
let running = 0;
const waiting: (() => void)[] = [];

const place = async (): Promise<void> => {
  if (running < AT_ONCE) running += 1;
  else await new Promise<void>((resolve) => waiting.push(resolve));
};

const leave = (): void => {
  const next = waiting.shift();
  if (next) next();
  else running -= 1;
};

const run = (
  args: readonly string[],
  { cwd, env, codes = [0], signal }: GitAt & { codes?: number[] },
): Promise<string | null> =>
  new Promise((resolve) => {
    const safe = ['-c', 'core.fsmonitor=false', '-c', 'core.hooksPath=/dev/null', '--no-pager', ...args];
    const options = {
      ...(cwd === undefined ? {} : { cwd }),
      ...(signal ? { signal } : {}),
      // What a repository lacks it would fetch, in ways that it says itself.
      env: {
        ...env,
        GIT_OPTIONAL_LOCKS: '0',
        GIT_NO_LAZY_FETCH: '1',
        GIT_ALLOW_PROTOCOL: '',
        LC_ALL: 'C',
      } as NodeJS.ProcessEnv,
      timeout: DEADLINE_MS,
      killSignal: 'SIGKILL' as const,
      maxBuffer: GIT_BYTES_MAX,
    };
    execFile('git', safe, options, (error, stdout) => {
      const code = error === null ? 0 : (error as { code?: unknown }).code;
      const cut = code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER';
      resolve(cut || (typeof code === 'number' && codes.includes(code)) ? stdout : null);
    });
  });

/** A repository inside of this one has settings of its own, which are run when its files are looked at. */
export const OWN_FILES = '--ignore-submodules=dirty';

/** The same place without the filters that the repository itself names; those of the user stay. */
export const unfiltered = async <T extends GitAt>(at: T): Promise<T> => {
  const found = await git(['config', '-z', '--show-scope', '--name-only', '--get-regexp', '^filter\\..*\\.'], at);
  const words = (found ?? '').split('\0');
  const keys = words.flatMap((word, i) => (i % 2 === 0 && ['local', 'worktree'].includes(word) ? [words[i + 1]] : []));
  const drivers = new Set(keys.map((key) => key?.slice(0, key.lastIndexOf('.'))));
  const settings = [...drivers].flatMap((driver) => [
    [`${driver}.clean`, ''],
    [`${driver}.process`, ''],
    [`${driver}.required`, 'false'],
  ]);
  const before = Number(at.env.GIT_CONFIG_COUNT) || 0;
  const named = settings.flatMap(([key, value], i) => [
    [`GIT_CONFIG_KEY_${before + i}`, key],
    [`GIT_CONFIG_VALUE_${before + i}`, value],
  ]);
  const env = { ...at.env, ...Object.fromEntries(named), GIT_CONFIG_COUNT: String(before + settings.length) };
  return { ...at, env };
};
