import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isAlive, isLoopbackHost } from '../../src/client/daemon-state.ts';
import { discover, requireDaemon } from '../../src/client/discover.ts';
import { removeDir, tempDir, until } from '../support/cli.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';

let home: string;
let daemon: FakeDaemon;
const stateFile = (): string => join(home, 'daemon', 'state.json');

beforeEach(async () => {
  home = tempDir();
  daemon = await new FakeDaemon().start();
});
afterEach(async () => {
  await daemon.stop();
  removeDir(home);
});

/** A pid that was alive a moment ago. */
const deadPid = async (): Promise<number> => {
  const child = spawn(process.execPath, ['-e', '']);
  await new Promise((resolve) => child.on('exit', resolve));
  return child.pid as number;
};

describe('discovery', () => {
  test('a daemon that answers with its own id is running', async () => {
    daemon.writeState(home);
    expect(await discover(stateFile())).toMatchObject({ kind: 'running', state: { port: daemon.port } });
  });

  test('no state file: none; and the error says what to type', async () => {
    expect(await discover(stateFile())).toEqual({ kind: 'none' });
    await expect(requireDaemon(stateFile())).rejects.toMatchObject({
      code: 'daemon-unreachable',
      message: expect.stringContaining('opta daemon start'),
    });
  });

  test.each([['{'], ['{"pid":1}'], ['null'], ['']])('a state file with %j is stale', async (text) => {
    mkdirSync(join(home, 'daemon'));
    writeFileSync(stateFile(), text);
    expect(await discover(stateFile())).toMatchObject({ kind: 'stale' });
  });

  test('a dead pid is stale, even if somebody else now answers at its port', async () => {
    daemon.writeState(home, { pid: await deadPid() });
    expect(await discover(stateFile())).toMatchObject({ kind: 'stale', reason: expect.stringContaining('is gone') });
  });

  test('a live pid of another program, with nobody at the port, is stale', async () => {
    daemon.writeState(home);
    await daemon.stop();
    expect(await discover(stateFile())).toMatchObject({
      kind: 'stale',
      reason: expect.stringContaining('nothing listens'),
    });
    daemon = await new FakeDaemon().start();
  });

  test('a daemon with another id or another token at the port is not ours', async () => {
    daemon.writeState(home, { daemonId: 'somebody' });
    expect(await discover(stateFile())).toMatchObject({
      kind: 'stale',
      reason: expect.stringContaining('another daemon'),
    });
    daemon.writeState(home, { token: 'wrong' });
    expect(await discover(stateFile())).toMatchObject({
      kind: 'stale',
      reason: expect.stringContaining('another token'),
    });
  });

  test('a daemon of another contract is incompatible, and neither stale nor usable', async () => {
    daemon.contract = { name: 'opta-daemon-v3', version: 2 };
    daemon.writeState(home);
    expect(await discover(stateFile())).toMatchObject({ kind: 'incompatible' });
    await expect(requireDaemon(stateFile())).rejects.toMatchObject({ message: expect.stringContaining('version 2') });
  });

  test('a live daemon that is slow is unresponsive, never stale: nobody may start a second one', async () => {
    daemon.intercept = (_req, _res, path) => path === '/v3/health';
    daemon.writeState(home);
    expect(await discover(stateFile(), 50)).toMatchObject({ kind: 'unresponsive' });
  });

  test('[AC1] the token is never sent to a host that is not loopback', async () => {
    daemon.writeState(home, { host: '198.51.100.7' });
    expect(await discover(stateFile())).toMatchObject({ kind: 'incompatible' });
    expect(daemon.asked).toEqual([]);
  });

  test('[LC2] nor does a dead record of such a host keep a daemon from starting', async () => {
    daemon.writeState(home, { host: '198.51.100.7', pid: await deadPid() });
    expect(await discover(stateFile())).toMatchObject({ kind: 'stale' });
  });

  test('something that is not HTTP at all is not a daemon', async () => {
    const server = createServer((_req, res) => res.end('<html>'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    daemon.writeState(home, { port: (server.address() as AddressInfo).port });
    expect((await discover(stateFile())).kind).not.toBe('running');
    server.close();
  });
});

test.each([
  ['127.0.0.1', true],
  ['127.9.8.7', true],
  ['localhost', true],
  ['::1', true],
  ['[::1]', true],
  ['0.0.0.0', false],
  ['127.0.0.1.example.test', false],
  ['localhost.example.test', false],
  ['198.51.100.7', false],
])('[AC1] loopback: %s is %s', (host, expected) => {
  expect(isLoopbackHost(host)).toBe(expected);
});

test.runIf(process.platform === 'linux')('a zombie is not alive', async () => {
  // The shell starts a child that ends and, being stopped in `exec sleep`, is never asked for: a zombie.
  const shell = spawn('sh', ['-c', 'sh -c "echo \\$\\$; exit 0" & exec sleep 5'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const pid = await new Promise<number>((resolve) => shell.stdout.once('data', (data) => resolve(Number(data))));
  await until(() => !isAlive(pid), 'the zombie is seen as dead');
  // It is still in the process table: signal 0 alone would call it alive.
  expect(() => process.kill(pid, 0)).not.toThrow();
  expect(isAlive(shell.pid as number)).toBe(true);
  shell.kill('SIGKILL');
});
