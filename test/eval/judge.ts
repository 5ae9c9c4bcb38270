import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findSandbox } from '../../src/tools/sandbox/sandbox.ts';
import type { Task } from './task.ts';

/** Whether a task was done: null, or why not. */
export type Verdict = string | null;

const CHECK_MS = 30_000;
const SAID_CHARS = 1_500;

export const put = (folder: string, files: { [path: string]: string | null }): void => {
  for (const [path, text] of Object.entries(files)) {
    const file = join(folder, path);
    if (text === null) {
      rmSync(file, { force: true });
      continue;
    }
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
};

/** Looks at a copy of what was left, so that nothing there changes; what it holds runs in the sandbox, where there is one. */
export const judge = async (task: Task, workspace: string, said: string): Promise<Verdict> => {
  for (const path of task.keep ?? []) {
    const file = join(workspace, path);
    if (!existsSync(file) || readFileSync(file, 'utf8') !== task.files[path]) return `${path} was changed`;
  }
  if (task.answer && !task.answer.test(said)) return `the answer does not say it: ${said.slice(0, 200)}`;
  if (Object.keys(task.check).length === 0) return null;
  const copy = realpathSync(mkdtempSync(join(tmpdir(), 'opta-eval-check-')));
  try {
    cpSync(workspace, copy, { recursive: true, verbatimSymlinks: true });
    put(copy, task.check);
    return await checked(copy, Object.keys(task.check));
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
};

const checked = (folder: string, files: string[]): Promise<Verdict> =>
  new Promise((resolve) => {
    const sandbox = findSandbox({
      mode: 'auto',
      readable: [dirname(process.execPath)],
      writable: [],
      home: homedir(),
      own: [],
    });
    const plain = [process.execPath, '--test', ...files];
    const [program = '', ...args] = sandbox.wrap(plain, { workspace: folder, network: false, cwd: folder }) ?? plain;
    const { NODE_TEST_CONTEXT: _, NODE_OPTIONS: __, ...env } = process.env;
    const child = spawn(program, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(0, 64 * 1024);
      });
    const end = (why: Verdict): void => {
      clearTimeout(timer);
      if (child.pid !== undefined)
        try {
          process.kill(-child.pid, 'SIGKILL');
        } catch {
          // Nothing of it is left.
        }
      resolve(why);
    };
    const timer = setTimeout(() => end(`the check took longer than ${CHECK_MS} ms`), CHECK_MS);
    child.on('error', (error) => end(`the check could not run: ${error.message}`));
    child.on('close', (code) => end(code === 0 ? null : reason(output)));
  });

/** The lines that say what was wrong. */
const reason = (output: string): string => {
  const lines = output.split('\n').filter((line) => /not ok|Error|expected|actual|\+ |- /.test(line));
  return (lines.join('\n') || output).slice(0, SAID_CHARS).trim() || 'the check failed';
};
