import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { demoCommand } from '../../src/cli/commands/demo.ts';
import { createOutput } from '../../src/cli/output.ts';
import { isAlive } from '../../src/client/daemon-state.ts';
import { optaPaths } from '../../src/config/paths.ts';
import { cliEnv, removeDir, tempDir } from '../support/cli.ts';

let workspace: string;
beforeEach(() => {
  workspace = tempDir();
});
afterEach(() => removeDir(workspace));

const MAIN = fileURLToPath(new URL('../support/fake-main.ts', import.meta.url));
const launcher = { command: process.execPath, args: ['--import', import.meta.resolve('tsx'), MAIN] };

/** Runs the demo in this process, against a stand-in for the daemon; returns what was on the screen. */
const demo = async (mode: string, words: string[]) => {
  let screen = '';
  const stream = (): NodeJS.WriteStream => {
    const pass = new PassThrough();
    pass.on('data', (part) => {
      screen += part;
    });
    return pass as unknown as NodeJS.WriteStream;
  };
  const env = cliEnv('unused', { FAKE_MAIN_MODE: mode, FAKE_WORKSPACE: workspace, INIT_CWD: workspace, CI: '1' });
  const ctx = {
    output: createOutput(stream(), stream()),
    env,
    paths: optaPaths(env),
    cwd: workspace,
    launcher,
    trace: () => undefined,
  };
  const code = await demoCommand(ctx, words);
  return { code, screen, pid: Number(/pid (\d+), started/.exec(screen)?.[1]) };
};

const leftovers = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('opta-demo-'));

test('the demo runs a turn with its permission, shows the chart, and leaves neither a daemon nor a file behind', async () => {
  writeFileSync(join(workspace, 'mine.txt'), 'mine');
  const before = leftovers();
  const run = await demo('durable', []);
  expect(run.code).toBe(0);
  for (const shown of [
    '[demo] reading',
    'allowed by this demo',
    '[demo] written',
    'active states marked',
    'first text',
  ]) {
    expect(run.screen).toContain(shown);
  }
  expect(run.screen).toContain('removed opta-demo-note.md');
  expect(readdirSync(workspace)).toEqual(['mine.txt']);
  expect(isAlive(run.pid)).toBe(false);
  expect(leftovers()).toEqual(before);
});

test('a note of the same name that was there before is neither written nor removed', async () => {
  writeFileSync(join(workspace, 'opta-demo-note.md'), 'mine');
  const run = await demo('durable', []);
  expect(run.screen).toContain('opta-demo-note-2.md');
  expect(existsSync(join(workspace, 'opta-demo-note.md'))).toBe(true);
});

test('[EV4] the crash demo counts no loss when the daemon commits before it publishes', async () => {
  const run = await demo('durable', ['crash']);
  expect(run.screen).toMatch(/lost: 0 of \d{3,}/);
  expect(run.screen).toContain('closed as interrupted');
  expect(run.code).toBe(0);
  expect(isAlive(run.pid)).toBe(false);
});

test('[EV4] the crash demo counts every event that a forgetful daemon has lost, and fails', async () => {
  const run = await demo('forgetful', ['crash']);
  const lost = Number(/lost: (\d+) of/.exec(run.screen)?.[1]);
  expect(lost).toBeGreaterThan(100);
  expect(run.code).toBe(1);
  expect(isAlive(run.pid)).toBe(false);
});
