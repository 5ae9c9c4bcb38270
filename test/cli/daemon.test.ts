import { spawn } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { restartDaemonCommand, startDaemonCommand } from '../../src/cli/commands/daemon.ts';
import { type EnsuredDaemon, ensureDaemon, stopDaemon } from '../../src/cli/daemon-process.ts';
import { createOutput } from '../../src/cli/output.ts';
import { isAlive } from '../../src/client/daemon-state.ts';
import { discover } from '../../src/client/discover.ts';
import { optaPaths } from '../../src/config/paths.ts';
import { cli, cliEnv, endOf, removeDir, startCli, tempDir, until } from '../support/cli.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';
import { startFakeLmx } from '../support/fake-lmx.ts';

let home: string;
let started: number[] = [];
beforeEach(() => {
  home = tempDir();
});
afterEach(() => {
  for (const pid of started) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  started = [];
  removeDir(home);
});

const FAKE_MAIN = fileURLToPath(new URL('../support/fake-main.ts', import.meta.url));
const LAUNCHER = { command: process.execPath, args: ['--import', import.meta.resolve('tsx'), FAKE_MAIN] };
const ensure = async (mode = ''): Promise<EnsuredDaemon> => {
  const ensured = await ensureDaemon({
    paths: optaPaths({ OPTA_HOME: home }),
    env: cliEnv(home, { FAKE_MAIN_MODE: mode }),
    launcher: LAUNCHER,
  });
  if (ensured.state.pid !== process.pid) started.push(ensured.state.pid);
  return ensured;
};
const stop = (deadlineMs?: number) => stopDaemon(optaPaths({ OPTA_HOME: home }), deadlineMs);

describe('starting', () => {
  test('several at once end up with one daemon', async () => {
    const all = await Promise.all([ensure(), ensure(), ensure()]);
    expect(new Set(all.map((e) => e.state.pid)).size).toBe(1);
    expect(all.filter((e) => e.started)).toHaveLength(1);
    expect((await ensure()).started).toBe(false);
    expect(await stop()).toBe('stopped');
    expect(isAlive(all[0]?.state.pid as number)).toBe(false);
    expect(await stop()).toBe('not-running');
  });

  test('a state file left by a crash does not stop a start', async () => {
    const first = await ensure();
    process.kill(first.state.pid, 'SIGKILL');
    await until(() => !isAlive(first.state.pid), 'the first to die');
    const second = await ensure();
    expect(second.started).toBe(true);
    expect(second.state.pid).not.toBe(first.state.pid);
  });

  test('a daemon that cannot start says why, soon', async () => {
    const before = Date.now();
    await expect(ensure('crash')).rejects.toMatchObject({
      code: 'daemon-unreachable',
      message: expect.stringContaining('the disk is on fire'),
    });
    expect(Date.now() - before).toBeLessThan(9_000);
  });

  test('a broken configuration is told with its file and its problem, exit 2, before anything is started', async () => {
    writeFileSync(join(home, 'config.json'), '{"daemon":{"prot":1}}');
    const run = await cli(home, ['do', '-f', 'json', 'x']);
    expect(run.code).toBe(2);
    expect(JSON.parse(run.stdout)).toMatchObject({ code: 'invalid-request', exit_code: 2 });
    expect(JSON.parse(run.stdout).error).toMatch(/config\.json.*prot/s);
    expect(existsSync(join(home, 'daemon'))).toBe(false);
  });

  test('[AC1] the token is in no argument of the daemon, and its log and folder are for their owner alone', async () => {
    const { state } = await ensure();
    expect(statSync(join(home, 'daemon')).mode & 0o777).toBe(0o700);
    expect(statSync(join(home, 'daemon', 'daemon.log')).mode & 0o777).toBe(0o600);
    if (process.platform === 'linux') {
      expect(readFileSync(`/proc/${state.pid}/cmdline`, 'utf8')).not.toContain(state.token);
    }
  });
});

describe('[LC1] starting while the lock is held and nobody can be found', () => {
  const logFile = (): string => join(home, 'daemon', 'daemon.log');
  const lock = (): string => join(home, 'daemon', 'lock');
  const losses = (): number =>
    existsSync(logFile()) ? readFileSync(logFile(), 'utf8').split('daemon-already-running').length - 1 : 0;
  const hold = (pid: number): void => {
    mkdirSync(join(home, 'daemon'), { mode: 0o700 });
    writeFileSync(lock(), String(pid));
  };

  test('by one that is stopping: once it is free, those who lost start one daemon, and no second', async () => {
    hold(process.pid);
    const all = Promise.all([ensure(), ensure()]);
    await until(() => losses() >= 2, 'both to have lost');
    rmSync(lock());
    const ensured = await all;
    expect(new Set(ensured.map((e) => e.state.pid)).size).toBe(1);
    expect(ensured.filter((e) => e.started)).toHaveLength(1);
  });

  test('by a winner that dies before it is up', async () => {
    const winner = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)'], { stdio: 'ignore' });
    started.push(winner.pid as number);
    hold(winner.pid as number);
    const ensured = ensure();
    await until(() => losses() >= 1, 'the child to have lost');
    winner.kill('SIGKILL');
    expect((await ensured).started).toBe(true);
  });

  test('[LC4] the next one’s own reason is told at once, whatever the log said before', async () => {
    hold(process.pid);
    const code = `const held = require('fs').existsSync(${JSON.stringify(lock())});
      process.stderr.write('opta daemon: ' + (held ? 'It runs [daemon-already-running]' : 'No port is free [no-port]') + '\\n');
      process.exit(1);`;
    const launcher = { command: process.execPath, args: ['-e', code] };
    const before = Date.now();
    const ensured = ensureDaemon({ paths: optaPaths({ OPTA_HOME: home }), env: cliEnv(home), launcher });
    const told = expect(ensured).rejects.toMatchObject({
      code: 'no-port',
      message: expect.stringMatching(/No port is free/),
    });
    await until(() => losses() >= 1, 'the child to have lost');
    rmSync(lock());
    await told;
    expect(Date.now() - before).toBeLessThan(9_000);
  });

  test('for as long as a start may take: it says so, and has not tried without a pause', async () => {
    hold(process.pid);
    const options = { paths: optaPaths({ OPTA_HOME: home }), env: cliEnv(home), launcher: LAUNCHER };
    await expect(ensureDaemon({ ...options, startDeadlineMs: 3_000 })).rejects.toMatchObject({
      code: 'daemon-unreachable',
      message: expect.stringMatching(/^Another daemon h(olds|eld) \S+ .*within 3 s/),
    });
    expect(losses()).toBeGreaterThan(0);
    expect(losses()).toBeLessThan(12);
  });
});

describe('stopping', () => {
  test('one that does not listen to SIGTERM is killed after its deadline', async () => {
    const { state } = await ensure('stubborn');
    expect(await stop(200)).toBe('killed');
    expect(isAlive(state.pid)).toBe(false);
    expect(existsSync(join(home, 'daemon', 'state.json'))).toBe(false);
  });

  test('a recorded pid that now belongs to somebody else is never signalled', async () => {
    const bystander = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    await new Promise((resolve) => bystander.on('spawn', resolve));
    const gone = await new FakeDaemon().start();
    gone.writeState(home, { pid: bystander.pid });
    await gone.stop();
    expect(await stop()).toBe('not-running');
    expect(isAlive(bystander.pid as number)).toBe(true);
    expect(existsSync(join(home, 'daemon', 'state.json'))).toBe(false);
    bystander.kill('SIGKILL');
  });

  test('[LC1][LC2] a daemon of another machine that shares the folder keeps its record, and no restart starts a second one', async () => {
    const elsewhere = await new FakeDaemon().start();
    elsewhere.writeState(home, { processStarted: 'another boot:1', hostname: 'elsewhere' });
    const files = ['state.json', 'daemon.pid'].map((name) => join(home, 'daemon', name));
    writeFileSync(files[1] as string, String(process.pid));
    const before = files.map((file) => readFileSync(file, 'utf8'));
    for (const command of ['stop', 'restart']) {
      const run = await cli(home, ['daemon', command]);
      expect(run.code).toBe(1);
      expect(run.stderr).toMatch(/is of the machine elsewhere; .*stop it there, or set another OPTA_HOME here/);
      expect(run.stderr).not.toContain('daemon restart');
    }
    expect(files.map((file) => readFileSync(file, 'utf8'))).toEqual(before);
    expect(existsSync(join(home, 'daemon', 'daemon.log'))).toBe(false);
    expect(elsewhere.asked).toEqual([]);
    await elsewhere.stop();
  });

  test('[LC2] one that answers here, but is not known to be the daemon of the record, is neither signalled nor forgotten', async () => {
    const daemon = await new FakeDaemon().start();
    const record = join(home, 'daemon', 'state.json');
    // Written without a start time by this very process, whose command line is no daemon's.
    daemon.writeState(home);
    daemon.contract = { name: 'opta-daemon-v2', version: 9 };
    const told = `If process ${process.pid} is no opta daemon, remove ${record}`;
    await expect(stop()).rejects.toMatchObject({ code: 'daemon-unreachable', message: expect.stringContaining(told) });
    daemon.intercept = (_req, _res, path) => path === '/v3/health';
    await expect(stop()).rejects.toMatchObject({ code: 'daemon-unreachable', message: expect.stringContaining(told) });
    expect(existsSync(record)).toBe(true);
    await daemon.stop();
  });

  test('[LC3] a daemon of another contract that wrote its record itself is ended by a stop', async () => {
    mkdirSync(join(home, 'daemon'));
    const env = cliEnv(home, { FAKE_MAIN_MODE: 'other-contract' });
    const child = spawn(LAUNCHER.command, LAUNCHER.args, { env, stdio: 'ignore' });
    started.push(child.pid as number);
    const { stateFile } = optaPaths({ OPTA_HOME: home });
    await until(() => existsSync(stateFile), 'its record');
    expect(await discover(stateFile)).toMatchObject({ kind: 'incompatible', state: { pid: child.pid } });
    expect(await stop()).toBe('stopped');
    expect(existsSync(stateFile)).toBe(false);
  });
});

test('[IN1] a restart keeps the engine, the port and the loopback guard: a demo daemon never turns to the configured inference host', async () => {
  const paths = optaPaths({ OPTA_HOME: home });
  const stderr = new PassThrough();
  const ctx = {
    output: createOutput(new PassThrough() as never, stderr as never),
    env: { ...cliEnv(home), OPTA_LOOPBACK_ONLY: '1' } as NodeJS.ProcessEnv,
    paths,
    cwd: home,
    launcher: LAUNCHER,
    trace: () => undefined,
  };
  const running = async () => {
    const found = await discover(paths.stateFile);
    if (found.kind !== 'running') throw new Error(`the daemon is ${found.kind}`);
    started.push(found.state.pid);
    return found;
  };
  await startDaemonCommand(ctx, { engine: 'demo' });
  const before = await running();
  await restartDaemonCommand(ctx, {});
  const after = await running();
  expect(after.state.pid).not.toBe(before.state.pid);
  expect(after.state.port).toBe(before.state.port);
  expect(after.health.engine).toEqual({ engine: 'demo', loopbackOnly: true });
  // The guard stays, although the shell that restarts knows nothing of it; the stand-in opens no connection at all.
  const { OPTA_LOOPBACK_ONLY: _, ...unguarded } = ctx.env;
  await restartDaemonCommand({ ...ctx, env: unguarded }, { engine: 'lmx' });
  expect((await running()).health.engine).toEqual({ engine: 'lmx', loopbackOnly: true });
  // A start that finds one with another engine says so.
  stderr.read();
  await startDaemonCommand(ctx, { engine: 'lmx' });
  expect(stderr.read()).toBeNull();
  await startDaemonCommand(ctx, { engine: 'demo' });
  expect(String(stderr.read())).toBe('It runs with engine lmx. To change that: opta daemon restart --engine demo\n');
});

test('a start that finds a daemon says which of its flags that daemon does not have', async () => {
  const lmx = await startFakeLmx();
  const env = { OPTA_PORT: String(lmx.port), OPTA_MODEL: 'one' };
  const first = await cli(home, ['daemon', 'start', '--port', '0', '--json'], { env });
  const { port } = JSON.parse(first.stdout) as { port: number };
  const again = (...flags: string[]) => cli(home, ['daemon', 'start', ...flags], { env });
  const idle = await again('--port', '9', '--model', 'two');
  const same = await again('--port', String(port), '--model', 'one', '--host', 'localhost');
  await cli(home, ['daemon', 'stop']);
  await lmx.close();
  const flags = '--port 9 --model two';
  expect(idle).toMatchObject({
    code: 0,
    stderr: `It runs without ${flags}. To change that: opta daemon restart ${flags}\n`,
  });
  expect(same).toMatchObject({ code: 0, stderr: '' });
}, 60_000);

describe('opta daemon status', () => {
  test('[AC1] the token is hidden unless asked for; the shape is the one that scripts know; exit 0 either way', async () => {
    const daemon = await new FakeDaemon().start();
    const none = await cli(home, ['daemon', 'status', '--json']);
    daemon.writeState(home);
    const [hidden, shown, start] = await Promise.all([
      cli(home, ['daemon', 'status', '--json']),
      cli(home, ['daemon', 'status', '--json', '--show-token']),
      cli(home, ['daemon', 'start', '--json']),
    ]);
    await daemon.stop();
    expect(JSON.parse(none.stdout)).toMatchObject({ running: false, state: null, logsPath: expect.any(String) });
    expect(none.code).toBe(0);
    const keys = ['pid', 'daemonId', 'host', 'port', 'token', 'startedAt', 'logsPath'];
    expect(JSON.parse(hidden.stdout)).toMatchObject({ running: true, state: { port: daemon.port } });
    expect(Object.keys(JSON.parse(hidden.stdout).state)).toEqual(keys);
    expect(hidden.stdout).not.toContain(daemon.token);
    expect(JSON.parse(shown.stdout).state.token).toBe(daemon.token);
    expect(Object.keys(JSON.parse(start.stdout))).toEqual(keys);
    expect(start.stdout).not.toContain(daemon.token);
  });

  test('[AC2] the observer token of a daemon that has one is shown and hidden like the other', async () => {
    const daemon = await new FakeDaemon().start();
    daemon.writeState(home, { observerToken: 'looks-on-0123456789' });
    const all = await Promise.all([
      cli(home, ['daemon', 'status', '--json']),
      cli(home, ['daemon', 'status', '--json', '--show-token']),
      cli(home, ['daemon', 'status']),
      cli(home, ['daemon', 'status', '--show-token']),
      cli(home, ['daemon', 'start', '--show-token']),
    ]);
    await daemon.stop();
    const [hidden, shown, ...plain] = all.map((run) => run.stdout) as [string, string, string, string, string];
    expect(JSON.parse(hidden).state.observerToken).toBe(JSON.parse(hidden).state.token);
    expect(JSON.parse(shown).state.observerToken).toBe('looks-on-0123456789');
    expect(plain.map((text) => text.includes('observer token looks-on-0123456789'))).toEqual([false, true, true]);
    expect(hidden + plain[0]).not.toContain('looks-on');
  });

  test('[AC1] a listening address that is not loopback, and a token on the command line, are refused', async () => {
    const [host, lan, token] = await Promise.all([
      cli(home, ['daemon', 'start', '--host', '0.0.0.0']),
      cli(home, ['daemon', 'start', '--lan', '--json']),
      cli(home, ['daemon', 'run', '--token', 'abc']),
    ]);
    expect(host.code).toBe(2);
    expect(JSON.parse(lan.stdout)).toMatchObject({ exit_code: 2 });
    expect(token.code).toBe(2);
    expect(existsSync(join(home, 'daemon'))).toBe(false);
  });
});

describe('opta daemon logs', () => {
  const log = (): string => join(home, 'daemon', 'daemon.log');
  const line = (i: number): string => `{"ts":"2026-01-01T00:00:00.000Z","level":"info","msg":"m${i}","daemonId":"d"}\n`;

  test('[AU1] --json is always an array: without a log, with bad lines, and cut to the last lines', async () => {
    const empty = await cli(home, ['daemon', 'logs', '--json']);
    mkdirSync(join(home, 'daemon'));
    // Long enough that the end is found without reading the beginning.
    writeFileSync(log(), `${Array.from({ length: 5_000 }, (_, i) => line(i)).join('')}not json\n`);
    const [all, three, both] = await Promise.all([
      cli(home, ['daemon', 'logs', '--json']),
      cli(home, ['daemon', 'logs', '--json', '--lines', '3']),
      cli(home, ['daemon', 'logs', '--json', '--follow']),
    ]);
    expect(JSON.parse(empty.stdout)).toEqual([]);
    expect(JSON.parse(all.stdout)).toHaveLength(200);
    expect(JSON.parse(three.stdout).map((l: { msg?: string }) => l.msg)).toEqual(['m4998', 'm4999', undefined]);
    expect(JSON.parse(three.stdout)[2]).toEqual({ raw: 'not json' });
    expect(both.code).toBe(2);
  });

  test('--follow shows what is added, also after the log was cut, until it is interrupted', async () => {
    mkdirSync(join(home, 'daemon'));
    // The last line is still being written: it is shown once, when it is whole.
    const half = line(2).slice(0, 40);
    writeFileSync(log(), line(1) + half);
    const child = startCli(home, ['daemon', 'logs', '--follow', '--lines', '10']);
    started.push(child.pid as number);
    let seen = '';
    child.stdout?.on('data', (part) => {
      seen += part;
    });
    const end = endOf(child);
    await until(() => seen.includes('m1'), 'the old line');
    appendFileSync(log(), line(2).slice(40));
    await until(() => seen.includes('m2'), 'the new line');
    expect(seen.trim().split('\n')).toHaveLength(2);
    truncateSync(log(), 0);
    await new Promise((resolve) => setTimeout(resolve, 400));
    appendFileSync(log(), line(3));
    await until(() => seen.includes('m3'), 'the line after the cut');
    child.kill('SIGINT');
    expect((await end).code).toBe(130);
  });
});
