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
  /** For one step of it. */
  stepMs?: number;
}

/** Repeatable. Rejects with `no-service-manager`, and then nothing has changed. */
export const installService = async (service: Service, surroundings: Surroundings) => {
  const { running } = surroundings;
  const { manager, name, file, text, encoding } = service;
  const before = textOf(service);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text, { encoding });
  try {
    for (const step of [...service.register, ...(running ? [] : service.start)]) await run(step, manager, surroundings);
  } catch (cause) {
    if (before === null) rmSync(file, { force: true });
    else writeFileSync(file, before, { encoding });
    throw cause;
  }
  return { installed: true, changed: before !== text, started: !running, manager, name, file };
};

/** Repeatable: what is not installed is not an error. */
export const uninstallService = async (service: Service, surroundings: Omit<Surroundings, 'running'> = {}) => {
  const { manager, name, file } = service;
  const removed = textOf(service) !== null;
  if (removed) {
    for (const step of service.unregister) await run(step, manager, surroundings);
    rmSync(file, { force: true });
    for (const step of service.forget) await run(step, manager, surroundings);
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

const run = (step: Step, manager: string, surroundings: Omit<Surroundings, 'running'>): Promise<void> => {
  const { command, args, mayFail } = step;
  const { env, signal, stepMs = STEP_MS } = surroundings;
  return new Promise((resolve, reject) => {
    const options = {
      timeout: stepMs,
      ...(env ? { env: env as NodeJS.ProcessEnv } : {}),
      ...(signal ? { signal } : {}),
    };
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null || mayFail) return resolve();
      const said = (stderr.trim() || stdout.trim() || error.message).split('\n')[0];
      const late = `${command} did not answer within ${stepMs / 1_000} s`;
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT' ? `there is no ${command} here` : undefined;
      const why = missing ?? (error.killed && !signal?.aborted ? late : said);
      reject(new OptaError('no-service-manager', `${manager} did not take the service: ${why}. ${BY_HAND}`));
    });
  });
};
