import { execFile } from 'node:child_process';
import type { SelfCheck } from '../operations/operation.ts';
import { OptaError } from '../protocol/errors.ts';
import type { Context } from './context.ts';
import { daemonLauncher } from './daemon-process.ts';

const DEADLINE_MS = 15_000;

/** What the daemon's program says of itself when it is asked without being started: see `--self-check` in src/main.ts. */
export const selfCheck = (ctx: Context): Promise<SelfCheck> => {
  const { command, args } = ctx.launcher ?? daemonLauncher();
  return new Promise((resolve, reject) => {
    const env = { ...ctx.env } as NodeJS.ProcessEnv;
    execFile(command, [...args, '--self-check'], { env, timeout: DEADLINE_MS }, (error, stdout, stderr) => {
      if (error) return reject(new OptaError('internal', stderr.trim() || error.message));
      resolve(JSON.parse(stdout) as SelfCheck);
    });
  });
};
