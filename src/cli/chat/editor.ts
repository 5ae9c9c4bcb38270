import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OptaError } from '../../protocol/errors.ts';
import { TASK_BYTES_MAX } from '../stdin.ts';

/** Lends the terminal to the person's editor, and resolves with what was written; null when that is nothing. */
export const editText = async (env: { [name: string]: string | undefined }, text: string): Promise<string | null> => {
  const dir = mkdtempSync(join(tmpdir(), 'opta-message-'));
  const file = join(dir, 'message.md');
  try {
    writeFileSync(file, text, { mode: 0o600 });
    await run(env.VISUAL || env.EDITOR || (process.platform === 'win32' ? 'notepad' : 'vi'), file);
    if (statSync(file).size > TASK_BYTES_MAX)
      throw new OptaError('payload-too-large', `The message is larger than ${TASK_BYTES_MAX >> 20} MiB`);
    const written = readFileSync(file, 'utf8').trim();
    return written === '' ? null : written;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

/** The setting may have arguments of its own, as `code --wait`. */
const run = (command: string, file: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const [program = 'vi', ...args] = command.trim().split(/\s+/);
    const child = spawn(program, [...args, file], { stdio: ['inherit', process.stderr, 'inherit'] });
    const failed = (why: string): void => reject(new OptaError('internal', `The editor ${program} failed: ${why}`));
    child.on('error', (cause) => failed(cause.message));
    child.on('close', (code) => (code === 0 ? resolve() : failed(`exit code ${code}`)));
  });
