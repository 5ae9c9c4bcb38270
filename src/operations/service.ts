import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Env } from '../config/paths.ts';
import { OptaError } from '../protocol/errors.ts';
import { BY_HAND, type Service, type Step } from './service-files.ts';

export { serviceOf } from './service-files.ts';

const STEP_MS = 20_000;

interface Surroundings {
  /** A daemon runs already: the service takes over at the next login. */
  running: boolean;
  /** Where the service manager is looked up. */
  env?: Env;
  signal?: AbortSignal | undefined;
}

/** Repeatable. Rejects with `no-service-manager`, and then nothing has changed. */
export const installService = async (service: Service, { running, env, signal }: Surroundings) => {
  const { manager, name, file, text, encoding } = service;
  const before = textOf(service);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text, { encoding });
  try {
    for (const step of [...service.register, ...(running ? [] : service.start)]) await run(step, manager, env, signal);
  } catch (cause) {
    if (before === null) rmSync(file, { force: true });
    else writeFileSync(file, before, { encoding });
    throw cause;
  }
  return { installed: true, changed: before !== text, started: !running, manager, name, file };
};

/** Repeatable: what is not installed is not an error. */
export const uninstallService = async (service: Service, { env, signal }: Omit<Surroundings, 'running'> = {}) => {
  const { manager, name, file } = service;
  const removed = textOf(service) !== null;
  if (removed) {
    for (const step of service.unregister) await run(step, manager, env, signal);
    rmSync(file, { force: true });
    for (const step of service.forget) await run(step, manager, env, signal);
  }
  return { installed: false, removed, manager, name, file };
};

const textOf = ({ file, encoding }: Service): string | null => {
  try {
    return readFileSync(file, encoding);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new OptaError('invalid-request', `${file} cannot be read: ${(cause as Error).message}`);
  }
};

const run = ({ command, args, mayFail }: Step, manager: string, env?: Env, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const options = {
      timeout: STEP_MS,
      ...(env ? { env: env as NodeJS.ProcessEnv } : {}),
      ...(signal ? { signal } : {}),
    };
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null || mayFail) return resolve();
      const said = (stderr.trim() || stdout.trim() || error.message).split('\n')[0];
      const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? `there is no ${command} here` : said;
      reject(new OptaError('no-service-manager', `${manager} did not take the service: ${why}. ${BY_HAND}`));
    });
  });
