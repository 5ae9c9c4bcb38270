import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { alone } from '../../scripts/lib/steps.mjs';
import { ensureDaemon } from '../../src/cli/daemon-process.ts';
import { isAlive } from '../../src/client/daemon-state.ts';
import { optaPaths } from '../../src/config/paths.ts';
import { acquireInstanceLock } from '../../src/storage/instance-lock.ts';
import { CLI_COMMAND, type CliResult, cli, cliEnv, endOf, removeDir, startCli, tempDir } from '../support/cli.ts';
import { type Daemon, defaultFrom, processes, spawnDaemon, startDaemon, until } from '../support/daemon.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';
import { startFakeLmx } from '../support/fake-lmx.ts';
import { say } from './world.ts';

/** Starting beside others, after crashes, and on a machine that sleeps: real command lines, real daemons. */
let home: string;
const daemons: Daemon[] = [];
const bystanders: ChildProcess[] = [];
const holders: Server[] = [];
beforeEach(() => {
  home = tempDir();
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.dispose();
  for (const child of bystanders.splice(0)) child.kill('SIGKILL');
  for (const server of holders.splice(0)) await new Promise((resolve) => server.close(resolve));
  const left = readState()?.pid;
  if (left !== undefined && left !== process.pid && isAlive(left)) process.kill(left, 'SIGKILL');
  // Daemons whose command line was cut off: each runs in the folder of its data.
  for (const { pid } of processes()) if (folderOf(pid).startsWith(join(home, 'daemon'))) process.kill(pid, 'SIGKILL');
  removeDir(home);
});

const folderOf = (pid: number): string => {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    // Of another user, or gone.
    return '';
  }
};
const stateFile = (): string => join(home, 'daemon', 'state.json');
const readState = (): { pid: number; port: number; daemonId: string; [field: string]: unknown } | null =>
  existsSync(stateFile()) ? JSON.parse(readFileSync(stateFile(), 'utf8')) : null;
const writeState = (more: object): void => {
  mkdirSync(join(home, 'daemon'), { recursive: true });
  const state = { daemonId: 'd', host: '127.0.0.1', port: 9, token: 't', startedAt: '', logsPath: '', ...more };
  writeFileSync(stateFile(), JSON.stringify(state), { mode: 0o600 });
};
const opta = (args: string[], env: NodeJS.ProcessEnv = {}): Promise<CliResult> =>
  cli(home, args, { env: { OPTA_ENGINE: 'demo', OPTA_DAEMON_PORT: '0', ...env } });
/** How often a daemon said that it is ready. The log is written in batches, and may be behind what the daemon answers. */
const readiesIn = (log: string): number => readFileSync(log, 'utf8').match(/"msg":"daemon ready"/g)?.length ?? 0;
const failure = (run: CliResult): { error: string; code: string; exit_code: number } => {
  const body = JSON.parse(run.stdout);
  expect(body.error).not.toContain('\n');
  expect(run.code).toBe(body.exit_code);
  return body;
};
const bystander = (): number => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)'], { stdio: 'ignore' });
  bystanders.push(child);
  return child.pid as number;
};
const hold = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => {
      holders.push(server);
      resolve(true);
    });
  });

const BUILT = defaultFrom() === 'dist';
const COMMAND = BUILT ? [fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))] : CLI_COMMAND.slice(1);
/** From source each of them, and each daemon, is compiled anew: fewer are load enough. */
const AT_ONCE = BUILT ? 8 : 4;

describe('starting', () => {
  test('[LC1] many command lines at once end up with one daemon', async () => {
    const runs = await Promise.all(
      Array.from({ length: AT_ONCE }, () => {
        const env = cliEnv(home, { OPTA_ENGINE: 'demo', OPTA_DAEMON_PORT: '0' });
        const args = [...COMMAND, 'daemon', 'start', '--json'];
        return endOf(spawn(process.execPath, args, { cwd: home, env, stdio: ['ignore', 'pipe', 'pipe'] }), 60_000);
      }),
    );
    expect(runs.map((run) => [run.code, run.stderr])).toEqual(runs.map(() => [0, '']));
    expect(new Set(runs.map((run) => JSON.parse(run.stdout).daemonId)).size).toBe(1);
    const log = join(home, 'daemon', 'daemon.log');
    await until('the log to say that it is ready', () => readiesIn(log) > 0);
    expect(readiesIn(log)).toBe(1);
  }, 90_000);

  test('[LC1] one that lost the race before it came to the lock is not left to take it later', async () => {
    const winner = await new FakeDaemon().start();
    const said = join(home, 'pid');
    const code = `require('fs').writeFileSync(${JSON.stringify(said)}, String(process.pid)); setInterval(() => 0, 1000)`;
    const launcher = { command: process.execPath, args: ['-e', code] };
    const ensured = ensureDaemon({ paths: optaPaths({ OPTA_HOME: home }), env: { OPTA_HOME: home }, launcher });
    await until('the slow one to run', () => existsSync(said) && readFileSync(said, 'utf8') !== '');
    winner.writeState(home);
    expect(await ensured).toMatchObject({ started: false, state: { daemonId: winner.daemonId } });
    await until('the slow one to be gone', () => !isAlive(Number(readFileSync(said, 'utf8'))));
    await winner.stop();
  });

  test('[LC1] while the one before still stops: a new one comes up as soon as the lock is free', async () => {
    const paths = optaPaths({ OPTA_HOME: home });
    // What is left of a daemon on its way out: no files, and the lock.
    const lock = acquireInstanceLock(paths.dataDir);
    const env = cliEnv(home, { OPTA_ENGINE: 'demo', OPTA_DAEMON_PORT: '0' });
    const ensured = ensureDaemon({ paths, env, startDeadlineMs: 20_000 });
    const lost = () => existsSync(paths.logFile) && readFileSync(paths.logFile, 'utf8').includes('already-running');
    await until('the first child to find the lock held', lost);
    lock.release();
    const { started, state } = await ensured;
    expect(started).toBe(true);
    expect(readState()?.pid).toBe(state.pid);
    await until('the log to say that it is ready', () => readiesIn(paths.logFile) > 0);
    expect(readiesIn(paths.logFile)).toBe(1);
  }, 40_000);

  test('[LC1] one that was killed at any moment of its start is in nobody’s way', async () => {
    for (const afterMs of [0, 150, 300, 450, 600, 900]) {
      const child = spawnDaemon(home);
      await sleep(afterMs);
      await child.end('SIGKILL');
    }
    const daemon = await startDaemon({ home });
    daemons.push(daemon);
    expect((await daemon.get('/v3/health')).json.status).toBe('ok');
  });

  test('[LC4] one that dies while a command line waits for it is told in one line, soon', async () => {
    const launcher = { command: process.execPath, args: ['-e', 'process.kill(process.pid, "SIGKILL")'] };
    const paths = optaPaths({ OPTA_HOME: home });
    await expect(ensureDaemon({ paths, env: { OPTA_HOME: home }, launcher })).rejects.toMatchObject({
      code: 'daemon-unreachable',
      message: expect.stringMatching(/^The daemon ended at once \(SIGKILL\)\. Its log: \S+$/),
    });
  });

  test('[LC4] 9999 taken by another program: the next free one; all of them taken: one line that names them', async () => {
    await hold(9999);
    const next = await opta(['daemon', 'start', '--json'], { OPTA_DAEMON_PORT: '' });
    expect(next.code).toBe(0);
    const { port } = JSON.parse(next.stdout);
    expect(port).toBeGreaterThanOrEqual(10_000);
    expect(port).toBeLessThanOrEqual(10_020);
    expect((await opta(['daemon', 'stop'])).code).toBe(0);

    const fixture = fileURLToPath(new URL('./ports-taken.fixture.mjs', import.meta.url));
    const start = [fixture, '10000', '10020', ...CLI_COMMAND, 'daemon', 'start', '--json'];
    const { command, args } = alone(process.execPath, start);
    const env = cliEnv(home, { OPTA_ENGINE: 'demo', OPTA_DAEMON_PORT: '' });
    const body = failure(await endOf(spawn(command, args, { cwd: home, env, stdio: ['ignore', 'pipe', 'pipe'] })));
    expect(body).toMatchObject({ code: 'no-port', exit_code: 1 });
    expect(body.error).toMatch(/No free port on 127\.0\.0\.1: tried 9999, 10000, .*, 10020/);
    const log = readFileSync(join(home, 'daemon', 'daemon.log'), 'utf8');
    for (const asked of [9999, 10_000, 10_020]) expect(log).toMatch(new RegExp(`"port":${asked}.*port is taken`));
    expect(readState()).toBeNull();
  }, 60_000);

  test('[LC4] a folder that cannot be made or used', async () => {
    writeFileSync(join(home, 'file'), '');
    for (const OPTA_HOME of [join(home, 'file', 'opta'), join(home, 'file'), '/proc/opta']) {
      const body = failure(await opta(['daemon', 'start', '--json'], { OPTA_HOME }));
      expect(body).toMatchObject({ code: 'storage', exit_code: 1 });
      expect(body.error).toMatch(/^The folder \S+ cannot be used \((ENOTDIR|EEXIST|ENOENT)\)/);
    }
  });

  test('[LC6][AC1] files and folders have the names that scripts know, and are for their owner alone', async () => {
    await opta(['config', 'set', 'model.default', 'm']);
    const started = JSON.parse((await opta(['daemon', 'start', '--json', '--show-token'])).stdout);
    expect(Object.keys(started)).toEqual([
      ...['pid', 'daemonId', 'host', 'port', 'token', 'observerToken', 'startedAt', 'logsPath'],
    ]);
    expect(readState()).toMatchObject(started);
    expect(readFileSync(join(home, 'daemon', 'token'), 'utf8')).toMatch(/^[0-9a-f]{48}$/);
    expect(readFileSync(join(home, 'daemon', 'token'), 'utf8')).toBe(started.token);
    expect(readFileSync(join(home, 'daemon', 'daemon.pid'), 'utf8')).toBe(String(started.pid));
    expect(started.logsPath).toBe(join(home, 'daemon', 'daemon.log'));
    const names = readdirSync(home, { recursive: true }).map(String);
    expect(names).toEqual(
      expect.arrayContaining([
        'config.json',
        'daemon',
        ...['state.json', 'token', 'observer-token', 'daemon.pid', 'daemon.log', 'data'].map((n) => join('daemon', n)),
      ]),
    );
    for (const name of names) {
      const stat = statSync(join(home, name));
      expect([name, (stat.mode & 0o777).toString(8)]).toEqual([name, stat.isDirectory() ? '700' : '600']);
    }
    await opta(['daemon', 'stop']);
    expect(readdirSync(join(home, 'daemon')).sort()).toEqual(['daemon.log', 'data', 'observer-token', 'token']);
  });
});

describe('what a state file says', () => {
  test('[LC2] a pid that is now that of another program is neither believed nor signalled', async () => {
    const pid = bystander();
    writeState({ pid, processStarted: 'another boot:1' });
    const status = JSON.parse((await opta(['daemon', 'status', '--json'])).stdout);
    expect(status).toMatchObject({ running: false, reason: expect.stringContaining('that of another program') });
    expect((await opta(['daemon', 'stop'])).stdout).toContain('not running');
    expect(isAlive(pid)).toBe(true);
    writeState({ pid, processStarted: 'another boot:1' });
    expect((await opta(['daemon', 'start', '--json'])).code).toBe(0);
    expect(readState()?.pid).not.toBe(pid);
    expect(isAlive(pid)).toBe(true);
  });

  test('[LC2] nor is the daemon of another folder that has the pid and the port of ours', async () => {
    const other = await startDaemon();
    daemons.push(other);
    writeState({ pid: other.pid, port: other.port, daemonId: 'ours', token: 'ours', processStarted: 'another boot:1' });
    expect((await opta(['daemon', 'stop'])).stdout).toContain('not running');
    expect(other.alive).toBe(true);
    expect((await opta(['daemon', 'start', '--json'])).code).toBe(0);
    expect(readState()?.pid).not.toBe(other.pid);
    expect((await other.get('/v3/health')).status).toBe(200);
  });

  test.runIf(process.getuid !== undefined)(
    '[LC2][AC1] a file that others could have written is not used, and nothing is sent',
    async () => {
      const daemon = await new FakeDaemon().start();
      daemon.writeState(home);
      chmodSync(stateFile(), 0o666);
      const commands = [
        ['do', '--format', 'json', 'x'],
        ['daemon', 'start', '--json'],
      ];
      for (const args of commands) {
        const body = failure(await opta(args));
        expect(body).toMatchObject({ code: 'daemon-unreachable', exit_code: 1 });
        expect(body.error).toMatch(/can be written by others \(mode 666\).*remove it/);
      }
      if (process.getuid?.() === 0) {
        chmodSync(stateFile(), 0o600);
        chownSync(stateFile(), 12_345, 12_345);
        expect(failure(await opta(['do', '--format', 'json', 'x'])).error).toContain('another user (uid 12345)');
      }
      expect(daemon.asked).toEqual([]);
      await daemon.stop();
    },
  );

  test('[LC2] of another machine that shares the folder: nothing is started beside it', async () => {
    const pid = bystander();
    writeState({ pid, processStarted: 'another boot:1', hostname: 'elsewhere' });
    const body = failure(await opta(['do', '--format', 'json', 'x']));
    expect(body).toMatchObject({ code: 'daemon-unreachable' });
    expect(body.error).toMatch(/is of the machine elsewhere; if no daemon runs there, remove the file/);
    expect(readdirSync(join(home, 'daemon'))).toEqual(['state.json']);
  });

  test('[LC3] a daemon of another version works, with one line; of another contract it does not; neither is ended', async () => {
    const daemon = await new FakeDaemon().start();
    daemon.writeState(home);
    daemon.version = '0.0.1';
    const works = await opta(['do', '--format', 'json', 'x']);
    expect(works.code).toBe(0);
    expect(works.stderr).toMatch(/^opta: the daemon is version 0\.0\.1, this is \S+: opta daemon restart\n$/);
    expect((await opta(['do', '-q', 'x'])).stderr).toBe('');
    daemon.contract = { name: 'opta-daemon-v2', version: 9 };
    const body = failure(await opta(['do', '--format', 'json', 'x']));
    expect(body.error).toMatch(/speaks opta-daemon-v2 version 9; this client needs .*opta daemon restart/);
    expect(readState()?.daemonId).toBe(daemon.daemonId);
    await daemon.stop();
  });
});

describe('a machine that sleeps', () => {
  test('[LC5][EV2] a turn goes on where it was, and a command line that comes meanwhile starts no second daemon', async () => {
    const lmx = await startFakeLmx();
    const daemon = await startDaemon({ home, lmxPort: lmx.port });
    daemons.push(daemon);
    const running = startCli(home, ['do', '--format', 'jsonl', say({ tokens: 40, tps: 10 })]);
    let seen = '';
    running.stdout?.on('data', (part) => {
      seen += part;
    });
    running.stdin?.end();
    const ended = endOf(running, 40_000);
    await until('the answer to begin', () => seen.includes('tok3'));
    daemon.process.signal('SIGSTOP');
    const meanwhile = JSON.parse((await opta(['daemon', 'status', '--json'])).stdout);
    expect(meanwhile).toMatchObject({ running: false, reason: expect.stringContaining('did not answer') });
    await sleep(3_000);
    daemon.process.signal('SIGCONT');
    const run = await ended;
    expect(run.code).toBe(0);
    const lines = run.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const seqs = lines.filter((line) => line.v === '3').map((line) => line.seq);
    expect(seqs).toEqual(seqs.map((_, i) => seqs[0] + i));
    expect(lines.at(-1)).toMatchObject({
      type: 'result',
      status: 'completed',
      result: expect.stringContaining('tok39'),
    });
    expect(readState()?.pid).toBe(daemon.pid);
    await lmx.close();
  }, 60_000);

  test('[LC5][SV2] a client that slept resumes at its cursor and misses nothing', async () => {
    const lmx = await startFakeLmx();
    const daemon = await startDaemon({ home, lmxPort: lmx.port });
    daemons.push(daemon);
    const running = startCli(home, ['do', '--format', 'json', say({ tokens: 30, tps: 15 })]);
    running.stdin?.end();
    const ended = endOf(running, 40_000);
    await until('the turn to run', () => lmx.requests.length > 0);
    running.kill('SIGSTOP');
    await sleep(3_000);
    running.kill('SIGCONT');
    const run = await ended;
    expect(run.code).toBe(0);
    expect(JSON.parse(run.stdout).result.trim()).toBe(Array.from({ length: 30 }, (_, i) => `tok${i}`).join(' '));
    await lmx.close();
  }, 60_000);
});
