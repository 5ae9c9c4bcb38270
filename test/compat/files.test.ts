import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ERRORS } from '../../src/protocol/errors.ts';
import { cli, removeDir, tempDir } from '../support/cli.ts';
import { type Daemon, hasProcessTable, processes, spawnDaemon, startDaemon } from '../support/daemon.ts';
import { differs } from './differences.ts';
import { everyDifferenceIsTold, ISO } from './world.ts';

/**
 * Ports, files and modes, as scripts find them: the notes of recordings 33 and 34, which hold no requests to play. The ports are
 * the daemon's own, and another process of this machine may have them, so nothing here counts on one that is free.
 */
const FIRST = 9_999;
const LAST = 10_020;

/** Takes a port unless somebody has it: taken it is, either way. */
const take = (port: number): Promise<Server> =>
  new Promise((done) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', () => done(server));
    server.listen(port, '127.0.0.1', () => done(server));
  });

const text = (daemon: { home: string }, file: string): string =>
  readFileSync(join(daemon.home, 'daemon', file), 'utf8');
const mode = (daemon: { home: string }, ...path: string[]): string =>
  (statSync(join(daemon.home, ...path)).mode & 0o777).toString(8);
const status = async ({ url }: { url: string }, token: string): Promise<number> =>
  (await fetch(`${url}/v3/health`, { headers: { authorization: `Bearer ${token}` } })).status;

describe('33 ports', () => {
  const homes = Array.from({ length: 3 }, () => tempDir());
  const taken: Server[] = [];
  const daemons: Daemon[] = [];
  beforeAll(async () => {
    for (const port of [FIRST, FIRST + 1]) taken.push(await take(port));
  });
  afterAll(async () => {
    for (const daemon of daemons) await daemon.dispose();
    for (const server of taken) server.close();
    homes.forEach(removeDir);
  });

  test('with 9999 and 10000 taken the next free one is used, and the file names it; the next daemon goes on from there', async () => {
    for (const home of homes.slice(0, 2)) daemons.push(await startDaemon({ home, port: FIRST }));
    const ports = daemons.map((d) => d.port);
    for (const daemon of daemons) {
      expect(daemon.port).toBeGreaterThan(FIRST + 1);
      expect(daemon.port).toBeLessThanOrEqual(LAST);
      expect(JSON.parse(text(daemon, 'state.json')).port).toBe(daemon.port);
      expect(await status(daemon, daemon.token)).toBe(200);
    }
    expect(new Set(ports).size).toBe(2);
  });

  test('[AC1] a second daemon on a home is refused, and the files stay those of the first', async () => {
    differs('one-daemon-a-home');
    const [first] = daemons as [Daemon];
    const files = () => ['state.json', 'token', 'daemon.pid'].map((file) => text(first, file));
    const before = files();
    const second = spawnDaemon(first.home, { port: FIRST });
    expect(await second.exited).toEqual({ code: ERRORS['daemon-already-running'].exit, signal: null });
    expect(second.stderr).toMatch(/daemon-already-running/);
    expect(files()).toEqual(before);
    expect(await status(first, first.token)).toBe(200);
    expect(await status(first, 'f'.repeat(48))).toBe(401);
  });

  test('when it stops, state and pid file go; the token file and the log stay', async () => {
    const [first] = daemons as [Daemon];
    await first.stop();
    const left = readdirSync(join(first.home, 'daemon')).filter((name) => name !== 'data');
    expect(left.sort()).toEqual(['daemon.log', 'observer-token', 'token']);
  });
});

describe('34 files', () => {
  let daemon: Daemon;
  const home = tempDir();
  beforeAll(async () => {
    daemon = await startDaemon({ home });
    await daemon.create({ sessionId: 'files' });
    const socket = await daemon.socket('files');
    await socket.terminal((await daemon.submit('files', { content: 'say hello' })).turnId);
  });
  afterAll(async () => {
    await daemon?.dispose();
    removeDir(home);
  });

  test('state.json has its keys in their order, the token is 48 hex digits without a newline, the pid file is the pid', () => {
    const state = JSON.parse(text(daemon, 'state.json'));
    expect(Object.keys(state)).toEqual([
      ...['pid', 'daemonId', 'host', 'port', 'token', 'startedAt', 'logsPath'],
      ...['observerToken', 'processStarted', 'hostname'],
    ]);
    expect(state).toEqual({
      pid: daemon.pid,
      daemonId: expect.stringMatching(/^daemon_[\w-]{8}$/),
      host: '127.0.0.1',
      port: daemon.port,
      token: text(daemon, 'token'),
      startedAt: ISO,
      logsPath: join(home, 'daemon', 'daemon.log'),
      observerToken: text(daemon, 'observer-token'),
      processStarted: expect.anything(),
      hostname: hostname(),
    });
    expect(state.observerToken).not.toBe(state.token);
    expect(text(daemon, 'token')).toMatch(/^[0-9a-f]{48}$/);
    expect(text(daemon, 'token')).toHaveLength(48);
    expect(text(daemon, 'daemon.pid')).toBe(String(daemon.pid));
  });

  test.skipIf(process.platform === 'win32')('[AC1] what holds the token or a conversation is its user’s alone', () => {
    expect([mode(daemon, '.'), mode(daemon, 'daemon')]).toEqual(['700', '700']);
    for (const file of ['state.json', 'token', 'observer-token', 'daemon.pid'])
      expect([file, mode(daemon, 'daemon', file)]).toEqual([file, '600']);
    differs('log-private');
    expect(mode(daemon, 'daemon', 'daemon.log')).toBe('600');
    expect(mode(daemon, 'daemon', 'data')).toBe('700');
    differs('store-not-files');
    expect(existsSync(join(home, 'daemon', 'sessions'))).toBe(false);
    const known = ['daemon.log', 'daemon.pid', 'data', 'observer-token', 'state.json', 'token'];
    expect(readdirSync(join(home, 'daemon')).sort()).toEqual(known);
  });

  test.runIf(hasProcessTable)(
    '[AC1] the token is in no argument list, and `daemon start --json` hides it',
    async () => {
      differs('token-not-in-argv');
      const other = tempDir();
      try {
        const env = { OPTA_ENGINE: 'demo', OPTA_DAEMON_PORT: '0' };
        const run = await cli(other, ['daemon', 'start', '--json'], { env });
        expect(run.code).toBe(0);
        const said = JSON.parse(run.stdout);
        const token = text({ home: other }, 'token');
        expect(said).toMatchObject({ pid: expect.any(Number), daemonId: expect.any(String), host: '127.0.0.1' });
        expect(run.stdout + run.stderr).not.toContain(token);
        const lists = processes().map((p) => p.command);
        expect(processes().find((p) => p.pid === said.pid)?.command).toMatch(/main/);
        expect(lists.filter((command) => command.includes(token) || command.includes(daemon.token))).toEqual([]);
        expect(text({ home: other }, 'daemon.log')).not.toContain(token);
      } finally {
        await cli(other, ['daemon', 'stop']);
        removeDir(other);
      }
    },
  );
});

everyDifferenceIsTold('files');
