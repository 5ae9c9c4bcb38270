import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CliResult, endOf, startCli } from './cli.ts';

/** `opta lmx serve` as a real process. */
export interface LmxProcess {
  child: ChildProcess;
  url: string;
  port: number;
  /** Of the server itself, which the command has started. */
  pid: number;
  models: string[];
  ended: Promise<CliResult>;
}

const READY_MS = 20_000;

/** Resolves when it says that it is ready; rejects when it ends before. */
export const serveLmx = async (
  home: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<LmxProcess> => {
  const child = startCli(home, ['lmx', 'serve', '--port', '0', '--json', ...args], { env });
  const ended = endOf(child, 120_000);
  const said = await new Promise<string>((resolve, reject) => {
    let text = '';
    const late = setTimeout(() => reject(new Error(`not ready within ${READY_MS} ms: ${text}`)), READY_MS);
    child.stdout?.on('data', (part) => {
      text += String(part);
      if (!text.includes('\n')) return;
      clearTimeout(late);
      resolve(text);
    });
    ended.then(
      (end) => reject(new Error(`ended before it was ready: ${JSON.stringify(end)}`)),
      (cause) => reject(cause),
    );
  });
  const ready = JSON.parse(said) as { ready?: boolean; url: string; port: number; pid: number; models: string[] };
  if (ready.ready !== true) throw new Error(`not ready: ${said}`);
  return { child, ended, ...ready };
};

/** Writes what the scripted engine says, and returns its file. */
export const scriptFile = (dir: string, script: object): string => {
  const file = join(dir, 'script.json');
  writeFileSync(file, JSON.stringify(script));
  return file;
};
