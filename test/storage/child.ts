import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

type Child = ChildProcess & { stdin: NodeJS.WritableStream; stdout: NodeJS.ReadableStream };

/** Runs a script beside the tests in a process of its own. */
export const child = (file: string, ...args: string[]): Child => {
  const script = fileURLToPath(new URL(file, import.meta.url));
  const proc = spawn(process.execPath, ['--import', 'tsx', script, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  // A child that was killed does not read what it was told last.
  proc.stdin.on('error', () => undefined);
  return proc;
};

export const ended = (proc: ChildProcess): Promise<number | null> =>
  proc.exitCode !== null || proc.signalCode !== null
    ? Promise.resolve(proc.exitCode)
    : new Promise((resolve) => proc.once('close', (code) => resolve(code)));

/** All that the process said when `enough` of it was there, or when it ended. */
export const saidUntil = (proc: Child, enough: (text: string) => boolean): Promise<string> =>
  new Promise((resolve) => {
    let text = '';
    proc.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      if (enough(text)) resolve(text);
    });
    proc.stdout.once('end', () => resolve(text));
  });
