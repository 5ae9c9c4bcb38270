import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type ErrorCode, errorRow } from '../../src/protocol/errors.ts';
import type { Message } from '../../src/protocol/session.ts';
import { type Daemon, newHome, startDaemon, type TestSocket, turnBody, until } from '../support/daemon.ts';
import { startFakeLmx } from '../support/fake-lmx.ts';
import { checkedLog, endsOf, ofTurn, say } from './world.ts';

/**
 * The disk of the event log fills up under a daemon that streams, twice: once so far that the daemon stops by itself, once to the
 * last byte, so that the store meets the end of the disk. Both times it says so, loses nothing that it answered, and goes on by
 * itself when there is room again.
 */
const DISK_BYTES = 200 << 20;
const MIB = 1 << 20;

const mount = (at: string): string | null => {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES},mode=700`, 'tmpfs', at], {
      stdio: 'pipe',
      timeout: 5_000,
    });
    return null;
  } catch (cause) {
    return cause instanceof Error ? (cause.message.trim().split('\n').at(-1) ?? '') : String(cause);
  }
};
const unmount = (at: string): void => {
  execFileSync('umount', ['-l', at], { stdio: 'pipe', timeout: 5_000 });
};

/** Leaves at most so many bytes free; 0: not one. */
const fill = (disk: string, leaveBytes: number): void => {
  const fd = openSync(join(disk, 'ballast'), 'w');
  const chunk = Buffer.alloc(MIB);
  try {
    for (;;) {
      const { bavail, bsize } = statfsSync(disk);
      const room = bavail * bsize - leaveBytes;
      if (room <= 0) return;
      if (writeSync(fd, chunk, 0, Math.min(chunk.length, room)) === 0) return;
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause;
  } finally {
    closeSync(fd);
  }
};

interface Scene {
  daemon: Daemon;
  sessionId: string;
  reader: TestSocket;
  accepted: string[];
  /** Status and code of every submit that was not accepted. */
  refusals: { status: number; code: ErrorCode }[];
}

/** Submits all the time, from before the disk is full until it is free again. */
const keepSubmitting = async ({ daemon, sessionId, accepted, refusals }: Scene, over: () => boolean): Promise<void> => {
  for (let i = 0; !over(); i++) {
    const reply = await daemon.post(
      `/v3/sessions/${sessionId}/turns`,
      turnBody({ content: say({ tokens: 20, tps: 200 }, `small ${i}`) }),
    );
    if (reply.status === 202) accepted.push(reply.json.turnId);
    else refusals.push({ status: reply.status, code: reply.json.code });
    await sleep(15);
  }
};

const readOnly = async ({ daemon, sessionId }: Scene): Promise<void> => {
  let state = '';
  await until('the daemon to say that it is read-only', async () => {
    const { json } = await daemon.get('/v3/health');
    state = JSON.stringify([json.status, json.state, json.storage.state, typeof json.storage.reason]);
    return json.state === 'read-only';
  });
  expect(state).toBe('["read-only","read-only","read-only","string"]');
  const ready = await daemon.get('/readyz');
  expect([ready.status, ready.json.code]).toEqual([503, 'storage-read-only']);
  // Nothing new is taken on; what is there can be read.
  for (const [path, body] of [
    [`/v3/sessions/${sessionId}/turns`, turnBody({ content: 'x' })],
    ['/v3/sessions', {}],
  ] as const) {
    const reply = await daemon.post(path, body);
    expect([reply.status, reply.json.retryable]).toEqual([507, true]);
    expect(['storage-full', 'storage-read-only']).toContain(reply.json.code);
  }
  expect((await daemon.get(`/v3/sessions/${sessionId}`)).status).toBe(200);
  const log = await daemon.log(sessionId);
  const late = await daemon.socket(sessionId);
  await late.wait('the replay', () => late.frames.length >= log.length);
  expect(late.frames.slice(0, log.length)).toEqual(log);
  late.close();
};

const runFull = async (scene: Scene, disk: string, leaveBytes: number): Promise<void> => {
  const { daemon, sessionId, reader, accepted, refusals } = scene;
  const long = await daemon.submit(sessionId, { content: say({ tokens: 1_000_000, tps: 300 }, 'long') });
  accepted.push(long.turnId);
  await reader.record('turn.token', (p) => p.turnId === long.turnId);
  let over = false;
  const submitting = keepSubmitting(scene, () => over);
  await sleep(100);
  fill(disk, leaveBytes);
  try {
    await readOnly(scene);
    expect(refusals.length).toBeGreaterThan(0);
  } finally {
    rmSync(join(disk, 'ballast'), { force: true });
  }
  await until('the daemon to go on by itself', async () => (await daemon.get('/v3/health')).json.state === 'ready');
  await sleep(60);
  over = true;
  await submitting;
  await daemon.cancel(sessionId, { turnId: long.turnId });

  // The last one was accepted after the end of the trouble, so it ends after all the others.
  const last = await daemon.submit(sessionId, { content: say({ tokens: 3 }, 'last') });
  accepted.push(last.turnId);
  await reader.terminal(last.turnId, 20_000);
  const stored = await daemon.log(sessionId);
  const { records, violations } = checkedLog(sessionId, stored, false);
  expect(violations).toEqual([]);
  for (const turnId of accepted) expect(endsOf(records, turnId), turnId).toHaveLength(1);
  // What was refused never ran; of an unknown outcome nobody was told either way.
  const unknown = refusals.filter((r) => r.code === 'outcome-unknown').length;
  const queued = records.filter((r) => r.event === 'turn.queued').length;
  expect(queued).toBeGreaterThanOrEqual(accepted.length);
  expect(queued).toBeLessThanOrEqual(accepted.length + unknown);
  expect(reader.frames).toEqual(stored.slice(0, reader.frames.length));
  const said = ofTurn(records, long.turnId)
    .map((r) => (r.event === 'turn.token' ? r.payload.text : ''))
    .join('');
  const { messages } = (await daemon.get(`/v3/sessions/${sessionId}`)).json as { messages: Message[] };
  expect(said).not.toBe('');
  expect(messages.some((m) => m.role === 'assistant' && m.content === said)).toBe(true);
  for (const { status, code } of refusals) {
    expect(['storage-full', 'storage-read-only', 'storage', 'outcome-unknown']).toContain(code);
    expect(status).toBe(errorRow(code).status);
  }
};

const probe = newHome();
const refused = process.platform === 'linux' ? mount(probe) : 'only on Linux';
if (refused === null) unmount(probe);
rmSync(probe, { recursive: true, force: true });
const why = refused === null ? '' : ` (skipped: a small disk cannot be mounted here: ${refused})`;

test.skipIf(refused !== null)(
  `[EV4][EV5][TQ6] a disk that fills up in mid-stream makes the daemon read-only, and no more than that${why}`,
  async () => {
    const home = newHome();
    const disk = join(home, 'daemon', 'data');
    mkdirSync(disk, { recursive: true });
    expect(mount(disk)).toBeNull();
    const lmx = await startFakeLmx();
    let daemon: Daemon | undefined;
    try {
      daemon = await startDaemon({ home, lmxPort: lmx.port });
      const sessionId = await daemon.create();
      const reader = await daemon.socket(sessionId);
      const scene: Scene = { daemon, sessionId, reader, accepted: [], refusals: [] };
      await runFull(scene, disk, 40 * MIB);
      await runFull({ ...scene, refusals: [] }, disk, 0);
      expect((await daemon.get('/v3/health')).json).toMatchObject({
        status: 'ok',
        daemonId: daemon.daemonId,
        quarantined: [],
      });
      expect((await daemon.stop()).code).toBe(0);
      expect(existsSync(join(home, 'daemon', 'state.json'))).toBe(false);
    } finally {
      await daemon?.dispose();
      await lmx.close();
      unmount(disk);
      rmSync(home, { recursive: true, force: true });
    }
  },
  60_000,
);
