import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { endOf, removeDir, tempDir, until } from '../support/cli.ts';
import { defaultFrom } from '../support/daemon-process.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { fakeAdmin } from '../support/fake-lmx-admin.ts';
import { hasTmux } from '../support/tmux.ts';
import { endDaemonOf, plainEnv, ROOT } from './golden/runner.ts';

/** Programs around opta, as people have them: a shell script from the old documentation, and the commands that its README prints. */
let lmx: FakeLmx;
let home: string;
beforeEach(async () => {
  lmx = await startFakeLmx({ ...fakeAdmin().options });
  home = tempDir();
});
afterEach(async () => {
  await endDaemonOf(home);
  await lmx.close();
  removeDir(home);
});

const has = (program: string, ...args: string[]): boolean => spawnSync(program, args).status === 0;
const hasJq = has('jq', '--version');
/** `opta` on PATH is what npm puts there, so it has to be built; `npm test` does that. */
const isBuilt = defaultFrom() === 'dist';
const ENV = { OPTA_MODEL: 'fake-model' };

test.runIf(hasJq && isBuilt)(
  '[GF2] a script from the old documentation runs unchanged (needs jq and a build)',
  async () => {
    const bin = join(home, 'bin');
    mkdirSync(bin);
    symlinkSync(join(ROOT, 'bin', 'opta.js'), join(bin, 'opta'));
    const script = fileURLToPath(new URL('./script.sh', import.meta.url));
    const cwd = join(home, 'work');
    mkdirSync(cwd);
    const child = spawn('/bin/sh', [script], {
      cwd,
      env: plainEnv(home, lmx.port, { ...ENV, PATH: `${bin}:${process.env.PATH}` }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const run = await endOf(child, 150_000);
    expect(run, run.stderr).toMatchObject({ code: 0 });
    const said = run.stdout
      .split('\n')
      .filter((line) => /^(answer|model|blank task|file|sessions|models): /.test(line));
    expect(said).toEqual([
      'answer: Hello there.',
      'model: fake-model',
      'blank task: exit 2, No task specified',
      'file: Kept.',
      'sessions: 2',
      'models: fake-model ',
    ]);
    expect(existsSync(join(home, 'daemon', 'state.json'))).toBe(false);
  },
  180_000,
);

/** As printed: `npm run dev -- …` at the root, from source. */
const npmRun = (...args: string[]) => {
  const env = plainEnv(home, lmx.port, { ...ENV, npm_config_update_notifier: 'false' });
  return endOf(spawn('npm', ['run', '--silent', 'dev', '--', ...args], { cwd: ROOT, env }), 90_000);
};

describe('the commands that the README prints', () => {
  test('[GF2] npm run dev -- daemon start, -- daemon status: they start and find one daemon', async () => {
    const started = await npmRun('daemon', 'start');
    expect(started, started.stderr).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Daemon started: http:/) });
    const status = await npmRun('daemon', 'status', '--json');
    const { running, state } = JSON.parse(status.stdout);
    expect(running).toBe(true);
    expect(JSON.parse(readFileSync(join(home, 'daemon', 'state.json'), 'utf8')).pid).toBe(state.pid);
    const stopped = await npmRun('daemon', 'stop');
    expect(stopped.stdout).toBe('Daemon stopped\n');
  }, 300_000);

  test.runIf(hasTmux)(
    '[GF2] npm run dev -- chat --tui: a screen that takes a task and shows its answer (needs tmux)',
    async () => {
      const socket = join(home, 'tmux');
      const tmux = (...args: string[]) =>
        spawnSync('tmux', ['-S', socket, ...args], { encoding: 'utf8', env: plainEnv(home, lmx.port, ENV) });
      const screen = (): string => tmux('capture-pane', '-p', '-t', 'opta').stdout;
      tmux(
        'new-session',
        '-d',
        '-s',
        'opta',
        '-x',
        '100',
        '-y',
        '30',
        '-c',
        ROOT,
        'npm run --silent dev -- chat --tui',
      );
      try {
        await until(() => screen().trim() !== '', 'the screen', 60_000);
        await sleep(1_000);
        tmux('send-keys', '-t', 'opta', '-l', 'say it @@{"text":"seen-on-screen"}@@');
        tmux('send-keys', '-t', 'opta', 'Enter');
        await until(() => lmx.requests.length > 0, `the task to arrive; the screen was\n${screen()}`, 30_000);
        await until(() => /seen-on-screen(?!")/.test(screen()), 'the answer', 30_000);
      } finally {
        tmux('kill-server');
      }
    },
    180_000,
  );
});
