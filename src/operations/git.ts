import { execFile } from 'node:child_process';
import type { Env } from '../config/paths.ts';

const DEADLINE_MS = 10_000;
export const GIT_BYTES_MAX = 4 << 20;

/**
 * What git says, cut after `GIT_BYTES_MAX`; null when it is not there or fails. `codes` are the exit codes that count as an answer. Hooks and monitors that the
 * repository configures are not run: it may come from a stranger.
 */
export const git = (
  args: readonly string[],
  { cwd, env, codes = [0], signal }: { cwd?: string; env: Env; codes?: number[]; signal?: AbortSignal | undefined },
): Promise<string | null> =>
  new Promise((resolve) => {
    const safe = ['-c', 'core.fsmonitor=false', '-c', 'core.hooksPath=/dev/null', '--no-pager', ...args];
    const options = {
      ...(cwd === undefined ? {} : { cwd }),
      ...(signal ? { signal } : {}),
      env: { ...env, GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' } as NodeJS.ProcessEnv,
      timeout: DEADLINE_MS,
      maxBuffer: GIT_BYTES_MAX,
    };
    execFile('git', safe, options, (error, stdout) => {
      const code = error === null ? 0 : (error as { code?: unknown }).code;
      const cut = code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER';
      resolve(cut || (typeof code === 'number' && codes.includes(code)) ? stdout : null);
    });
  });
