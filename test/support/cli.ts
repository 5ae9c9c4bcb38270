import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultFrom } from './daemon-process.ts';

const inRoot = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** The command as it is installed when the build is fresh, since it starts three times as fast; else from source. */
export const CLI_COMMAND =
  defaultFrom() === 'dist'
    ? [process.execPath, inRoot('bin/opta.js')]
    : [process.execPath, '--import', import.meta.resolve('tsx'), inRoot('src/cli/main.ts')];

/** A temp folder; remove it with `removeDir`. Its real path, as a child process sees it. */
export const tempDir = (): string => realpathSync(mkdtempSync(join(tmpdir(), 'opta-test-')));
export const removeDir = (dir: string): void => rmSync(dir, { recursive: true, force: true, maxRetries: 3 });

/** Nothing that a test starts may reach an address other than loopback: for every environment that a test makes. */
export const LOOPBACK = { OPTA_LOOPBACK_ONLY: '1', OPTA_HOST: '127.0.0.1' } as const;

export const cliEnv = (home: string, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => {
  const { FORCE_COLOR: _f, CI: _c, VITEST: _v, NODE_OPTIONS: _n, ...base } = process.env;
  return { ...base, OPTA_HOME: home, ...LOOPBACK, ...more };
};

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The CLI as a real process. */
export const startCli = (
  home: string,
  args: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): ChildProcess => {
  const [command, ...head] = CLI_COMMAND;
  return spawn(command as string, [...head, ...args], {
    cwd: options.cwd ?? home,
    env: cliEnv(home, options.env),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
};

/** Waits for the end of a process that was started; it is killed after `deadlineMs`. */
export const endOf = (child: ChildProcess, deadlineMs = 20_000): Promise<CliResult> =>
  new Promise((resolve, reject) => {
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout?.on('data', (part) => out.push(part));
    child.stderr?.on('data', (part) => err.push(part));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`no end within ${deadlineMs} ms; stderr: ${Buffer.concat(err).toString()}`));
    }, deadlineMs);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
    });
  });

export const cli = (
  home: string,
  args: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; stdin?: string; deadlineMs?: number } = {},
): Promise<CliResult> => {
  const child = startCli(home, args, options);
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.stdin ?? '');
  return endOf(child, options.deadlineMs);
};

/** Resolves when `check` holds; the test fails after `deadlineMs`. */
export const until = async (check: () => boolean, what: string, deadlineMs = 10_000): Promise<void> => {
  const end = Date.now() + deadlineMs;
  while (!check()) {
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
