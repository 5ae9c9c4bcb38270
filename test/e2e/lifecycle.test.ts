import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { errorRow } from '../../src/protocol/errors.ts';
import {
  type Daemon,
  type DaemonProcess,
  descendants,
  hasProcessTable,
  newHome,
  processes,
  spawnDaemon,
  startDaemon,
  stateFile,
  until,
} from '../support/daemon.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { checkedLog, endsOf, ofTurn, say, textOf } from './world.ts';

/** Starting, stopping and starting again, as a process manager and an impatient person do it. */
let lmx: FakeLmx;
let home: string;
let workspace: string;
const started: Daemon[] = [];
const spawned: DaemonProcess[] = [];

beforeAll(async () => {
  lmx = await startFakeLmx();
  workspace = mkdtempSync(join(tmpdir(), 'opta-e2e-work-'));
  // Sparse: a search through it takes many seconds and no room.
  const big = join(workspace, 'big.bin');
  closeSync(openSync(big, 'w'));
  truncateSync(big, 60 * 2 ** 30);
});
afterAll(async () => {
  await lmx?.close();
  rmSync(workspace, { recursive: true, force: true });
});
beforeEach(() => {
  home = newHome();
});
afterEach(async () => {
  for (const daemon of started.splice(0)) await daemon.dispose();
  for (const process of spawned.splice(0)) if (process.exit === null) await process.end('SIGKILL');
  rmSync(home, { recursive: true, force: true });
});

const start = async (more: { port?: number } = {}): Promise<Daemon> => {
  const daemon = await startDaemon({ home, lmxPort: lmx.port, ...more });
  started.push(daemon);
  return daemon;
};
const spawnOne = (more: { config?: object } = {}): DaemonProcess => {
  const process = spawnDaemon(home, { lmxPort: lmx.port, ...more });
  spawned.push(process);
  return process;
};
const pidFile = (): string => join(home, 'daemon', 'daemon.pid');

describe('one daemon for one home', () => {
  test('[EV1] a second one leaves with daemon-already-running and touches nothing of the first', async () => {
    const first = await start();
    const sessionId = await first.create();
    const before = readFileSync(stateFile(home), 'utf8');
    const second = spawnOne();
    const { code } = await second.exited;
    expect(code).toBe(errorRow('daemon-already-running').exit);
    expect(second.stderr).toContain('daemon-already-running');
    expect(second.stderr).toContain(String(first.pid));
    expect(readFileSync(stateFile(home), 'utf8')).toBe(before);
    expect((await first.get(`/v3/sessions/${sessionId}`)).status).toBe(200);
  });

  test('[EV1] of four that start at once one stays', async () => {
    const all = Array.from({ length: 4 }, () => spawnOne());
    await until('all but one to leave', () => all.filter((p) => p.exit === null).length <= 1, 20_000);
    const left = all.find((p) => p.exit === null);
    expect(left).toBeDefined();
    expect((await (left as DaemonProcess).ready(home, 10_000)).pid).toBe(left?.pid);
    for (const lost of all.filter((p) => p !== left)) {
      expect(lost.exit?.code).toBe(errorRow('daemon-already-running').exit);
      expect(lost.stderr).toContain('daemon-already-running');
    }
    expect((await (left as DaemonProcess).end('SIGTERM', 8_000)).code).toBe(0);
  });

  test.skipIf(!hasProcessTable)(
    '[AC1] the token is in one private file and the state, and in no argument, environment or log',
    async () => {
      const daemon = await start();
      const { turnId } = await daemon.submit(await daemon.create(), { content: say({ tokens: 2 }) });
      expect(turnId).not.toBe('');
      await daemon.get(`/v3/health?token=${daemon.token}`, { token: null });
      for (const file of ['cmdline', 'environ']) {
        expect(readFileSync(`/proc/${daemon.pid}/${file}`, 'latin1')).not.toContain(daemon.token);
      }
      const files = [stateFile(home), join(home, 'daemon', 'token'), join(home, 'daemon', 'observer-token')];
      for (const file of files) expect(statSync(file).mode & 0o077).toBe(0);
      expect(statSync(join(home, 'daemon')).mode & 0o077).toBe(0);
      await daemon.stop();
      expect(readFileSync(join(home, 'daemon', 'daemon.log'), 'utf8')).not.toContain(daemon.token);
      expect(daemon.process.stderr).not.toContain(daemon.token);
    },
  );

  test('[AC1] a configuration that is wrong ends the start with its reason, and nothing is left behind', async () => {
    const { code } = await spawnOne({ config: { permisions: {} } }).exited;
    expect(code).toBe(errorRow('invalid-request').exit);
    expect(spawned[0]?.stderr).toContain('permisions');
    expect(existsSync(stateFile(home))).toBe(false);
    rmSync(join(home, 'config.json'));
    expect((await start()).alive).toBe(true);
  });

  test('[SV2] a port that is taken is not waited for: the daemon listens on another one and says which', async () => {
    const taken = createServer();
    await new Promise<void>((listening) => taken.listen(0, '127.0.0.1', listening));
    const { port } = taken.address() as AddressInfo;
    try {
      const daemon = await start({ port });
      expect(daemon.port).not.toBe(port);
      expect(daemon.port).toBeGreaterThanOrEqual(10_000);
      expect(daemon.port).toBeLessThanOrEqual(10_020);
      expect((await daemon.get('/v3/health')).json.daemonId).toBe(daemon.daemonId);
    } finally {
      await new Promise((closed) => taken.close(closed));
    }
  });
});

describe('a stop in the middle of work', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '[TQ3][CR1] %s: the turn ends as interrupted before the socket does, and the next daemon runs the queue',
    async (signal) => {
      const first = await start();
      const sessionId = await first.create();
      const reader = await first.socket(sessionId);
      const running = await first.submit(sessionId, { content: say({ tokens: 100_000, tps: 400 }, 'long') });
      const queued = [];
      for (let i = 0; i < 3; i++)
        queued.push((await first.submit(sessionId, { content: say({ text: `queued ${i}` }) })).turnId);
      await reader.record('turn.token', (p) => p.turnId === running.turnId);

      const { code, ms } = await first.stop(signal);
      expect(code).toBe(0);
      expect(ms).toBeLessThan(4_000);
      expect(await reader.closed).toEqual({ code: 1001, reason: 'shutting-down' });
      expect(endsOf(reader.records, running.turnId)).toMatchObject([
        { payload: { outcome: 'interrupted', partial: true } },
      ]);
      expect(existsSync(stateFile(home))).toBe(false);
      expect(existsSync(pidFile())).toBe(false);
      await until('the inference server to be told', () => lmx.cancels.length > 0);

      const second = await start();
      const resumed = await second.socket(sessionId, { afterSeq: reader.cursor });
      await resumed.terminal(queued[2] as string);
      const stored = await second.log(sessionId);
      const all = [...reader.frames, ...resumed.frames];
      expect(all).toEqual(stored.slice(0, all.length));
      const { records, violations } = checkedLog(sessionId, stored);
      expect(violations).toEqual([]);
      expect(queued.map((turnId) => textOf(records, turnId))).toEqual(['queued 0', 'queued 1', 'queued 2']);
      const { messages } = (await second.get(`/v3/sessions/${sessionId}`)).json;
      expect(messages).toContainEqual({ role: 'assistant', content: textOf(records, running.turnId) });
    },
  );

  test.skipIf(!hasProcessTable)(
    '[CX4][PM1] while a tool runs and another session waits for permission: both are closed, no process stays',
    async () => {
      const daemon = await start();
      const [searching, asking] = [await daemon.create({ workspace }), await daemon.create({ workspace })];
      const [left, right] = [await daemon.socket(searching), await daemon.socket(asking)];
      const search = say({ tools: [{ name: 'search_files', args: { pattern: 'needle', path: 'big.bin' } }] });
      const write = say({ tools: [{ name: 'write_file', args: { path: 'note.txt', content: 'x' } }] });
      const tool = await daemon.submit(searching, { content: search });
      const question = await daemon.submit(asking, { content: write });
      await left.record('tool.start');
      await right.record('permission.request');
      await until('the search to run', () => descendants(daemon.pid).some((p) => /\brg\b/.test(p.command)));
      const below = descendants(daemon.pid).map((p) => p.pid);
      expect(below.length).toBeGreaterThan(1);

      expect((await daemon.stop()).code).toBe(0);
      expect(processes().filter((p) => below.includes(p.pid))).toEqual([]);
      await Promise.all([left.closed, right.closed]);
      expect(ofTurn(left.records, tool.turnId).slice(-2)).toMatchObject([
        { event: 'tool.end', payload: { isError: true } },
        { event: 'turn.error', payload: { outcome: 'interrupted' } },
      ]);
      expect(ofTurn(right.records, question.turnId).slice(-2)).toMatchObject([
        { event: 'permission.resolved', payload: { decision: 'deny', reason: 'interrupted' } },
        { event: 'turn.error', payload: { outcome: 'interrupted' } },
      ]);
      expect(existsSync(join(workspace, 'note.txt'))).toBe(false);
    },
  );

  test.skipIf(!hasProcessTable)('[CX4] kill -9 while a tool runs takes the tool with it', async () => {
    const daemon = await start();
    const sessionId = await daemon.create({ workspace });
    const socket = await daemon.socket(sessionId);
    await daemon.submit(sessionId, {
      content: say({ tools: [{ name: 'search_files', args: { pattern: 'needle', path: 'big.bin' } }] }),
    });
    await socket.record('tool.start');
    await until('the search to run', () => descendants(daemon.pid).some((p) => /\brg\b/.test(p.command)));
    const below = descendants(daemon.pid).map((p) => p.pid);
    await daemon.kill9();
    await until('its processes to end', () => !processes().some((p) => below.includes(p.pid)), 3_000);
  });

  test('[EV5] what was accepted while the stop began is there after it, and what was refused is not', async () => {
    const first = await start();
    const sessionId = await first.create();
    const accepted: string[] = [];
    let unknown = 0;
    let refusals = 0;
    const submitting = Array.from({ length: 60 }, async (_, i) => {
      await new Promise((resolve) => setTimeout(resolve, i));
      const body = { clientId: 'c', writerId: 'w', mode: 'chat', content: say({ tokens: 1 }, `n${i}`) };
      const reply = await first.post(`/v3/sessions/${sessionId}/turns`, body).catch(() => null);
      if (reply === null) unknown += 1;
      else if (reply.status === 202) accepted.push(reply.json.turnId);
      else {
        refusals += 1;
        expect([reply.status, reply.json.code, reply.json.retryable]).toEqual([503, 'shutting-down', true]);
      }
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect((await first.stop()).code).toBe(0);
    await Promise.all(submitting);
    expect(accepted.length).toBeGreaterThan(0);
    expect(unknown + refusals).toBeGreaterThan(0);

    const second = await start();
    await until('the queue to be empty', async () => {
      const { json } = await second.get(`/v3/sessions/${sessionId}`);
      return json.activeTurnId === undefined && json.queuedTurns === 0;
    });
    const { records, violations } = checkedLog(sessionId, await second.log(sessionId));
    expect(violations).toEqual([]);
    for (const turnId of accepted) expect(endsOf(records, turnId)).toHaveLength(1);
    const queued = records.filter((r) => r.event === 'turn.queued').length;
    expect(queued).toBeGreaterThanOrEqual(accepted.length);
    expect(queued).toBeLessThanOrEqual(accepted.length + unknown);
  });
});
