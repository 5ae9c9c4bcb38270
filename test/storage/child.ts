import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Runs a script beside the tests in a process of its own. */
export const child = (file: string, ...args: string[]): ChildProcess & { stdout: NodeJS.ReadableStream } => {
  const script = fileURLToPath(new URL(file, import.meta.url));
  const proc = spawn(process.execPath, ['--import', 'tsx', script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  return proc as ChildProcess & { stdout: NodeJS.ReadableStream };
};

export const ended = (proc: ChildProcess): Promise<number | null> =>
  proc.exitCode !== null || proc.signalCode !== null
    ? Promise.resolve(proc.exitCode)
    : new Promise((resolve) => proc.once('close', (code) => resolve(code)));

/** All that the process said when `enough` of it was there, or when it ended. */
export const saidUntil = (
  proc: ChildProcess & { stdout: NodeJS.ReadableStream },
  enough: (text: string) => boolean,
): Promise<string> =>
  new Promise((resolve) => {
    let text = '';
    proc.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      if (enough(text)) resolve(text);
    });
    proc.stdout.once('end', () => resolve(text));
  });
