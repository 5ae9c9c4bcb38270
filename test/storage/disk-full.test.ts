import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import type { LogPage } from '../../src/actors/ports.ts';
import { openLmdbStore } from '../../src/storage/lmdb-store.ts';
import { call, codeOf } from './call.ts';
import { tempFolder } from './temp-folder.ts';

const SIZE_BYTES = 8 << 20;
const ALL = { recordsMax: 1_000_000, bytesMax: Number.MAX_SAFE_INTEGER };

const mount = (at: string): string | null => {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_BYTES}`, 'tmpfs', at], { stdio: 'pipe', timeout: 5_000 });
    return null;
  } catch (cause) {
    return cause instanceof Error ? cause.message.split('\n').at(-1) || cause.message : String(cause);
  }
};
const unmount = (at: string): void => void execFileSync('umount', ['-l', at], { stdio: 'pipe', timeout: 5_000 });

const folder = tempFolder();
const disk = join(folder.path, 'disk');
mkdirSync(disk);
const refused = mount(disk);
if (!refused) unmount(disk);

afterEach(() => {
  vi.restoreAllMocks();
  folder.remove();
});

/** How many files of the log this process has open, where the system says so. */
const openFiles = (): number =>
  process.platform !== 'linux'
    ? 0
    : readdirSync('/proc/self/fd').filter((fd) => targetOf(`/proc/self/fd/${fd}`).startsWith(join(disk, 'log'))).length;
const targetOf = (link: string): string => {
  try {
    return readlinkSync(link);
  } catch (cause) {
    // The folder's own handle is gone once the folder was listed.
    return String(cause);
  }
};

const record = (seq: number, bytes = 4_000) => {
  const index = {
    sessionId: 's',
    model: 'm',
    createdAt: '',
    updatedAt: '',
    seq,
    toolCallCount: 0,
    messageCount: 0,
    queuedTurns: 0,
  };
  return { sessionId: 's', records: [{ seq, text: `${seq}:${'x'.repeat(bytes)}` }], index, open: true };
};

const why = refused ? ` (skipped: a small disk cannot be mounted here: ${refused})` : '';

test.skipIf(refused !== null)(
  `[EV4] a disk that fills up under LMDB fails one commit, keeps what was answered, and is written again after a reopen${why}`,
  async () => {
    expect(mount(disk)).toBeNull();
    const unhandled: unknown[] = [];
    const take = (cause: unknown): void => void unhandled.push(cause);
    process.on('unhandledRejection', take);
    // LMDB prints the failure itself.
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    try {
      const padding = join(disk, 'padding');
      writeFileSync(padding, Buffer.alloc(2 << 20, 1));
      // The guard is off: this is about what happens behind it.
      let store = openLmdbStore({ path: join(disk, 'log'), diskFreeBytesMin: 0 });
      let acked = 0;
      let code = 'ok';
      while (code === 'ok' && acked < 10_000) {
        code = await codeOf((done) => store.commit([record(acked + 1)], done));
        if (code === 'ok') acked++;
      }
      expect(code).toBe('storage-full');
      expect(acked).toBeGreaterThan(500);
      const head = async (): Promise<number> => {
        const page = await call<LogPage>((done) => store.read('s', 0, ALL, done));
        expect(page.records.map((r) => r.text.split(':')[0])).toEqual(
          Array.from({ length: page.head }, (_, i) => `${i + 1}`),
        );
        return page.head;
      };
      expect(store.status()).toMatchObject({ state: 'read-only' });
      expect(await codeOf((done) => store.commit([record(acked + 1)], done))).toBe('storage-full');
      expect(await codeOf((done) => store.flush(done))).toBe('ok');
      expect(await head()).toBe(acked);

      // Still full: a probe that fails leaves the store as it was, again and again.
      for (let i = 0; i < 3; i++) {
        const again = await codeOf((done) => store.reopen(done));
        if (again === 'ok') {
          // A page was left over for the probe. A larger commit meets the end again.
          expect(await codeOf((done) => store.commit([record(acked + 1, 1 << 20)], done))).toBe('storage-full');
        } else expect(again).toBe('storage-full');
        expect(store.status()).toMatchObject({ state: 'read-only' });
        expect(await head()).toBe(acked);
      }

      rmSync(padding);
      const entriesBefore = store.entriesRead();
      const filesBefore = openFiles();
      // Readers who come while one environment is closed and the next is opened wait for it, and none is turned away.
      let reopening = true;
      const reads: Promise<string>[] = [];
      const reader = (): void => {
        reads.push(codeOf((done) => store.read('s', 0, { recordsMax: 1, bytesMax: 1 }, done)));
        if (reopening) setImmediate(reader);
      };
      reader();
      expect(await codeOf((done) => store.reopen(done))).toBe('ok');
      reopening = false;
      expect(new Set(await Promise.all(reads))).toEqual(new Set(['ok']));
      // It is another environment, and the stuck one is closed: opened beside it, it would be the same again.
      expect(store.entriesRead()).toBeLessThan(entriesBefore);
      expect(openFiles()).toEqual(filesBefore);
      expect(store.status()).toEqual({ state: 'ok' });
      expect(await head()).toBe(acked);
      await call((done) => store.commit([record(acked + 1)], done));
      await call((done) => store.flush(done));
      await call((done) => store.close(done));
      store = openLmdbStore({ path: join(disk, 'log'), diskFreeBytesMin: 0 });
      expect(await head()).toBe(acked + 1);

      // Filled up once more, and closed while it is stuck: a daemon that stops must not wait for it.
      expect(await codeOf((done) => store.commit([record(acked + 2, 12 << 20)], done))).toBe('storage-full');
      expect(await codeOf((done) => store.close(done))).toBe('ok');
      expect(openFiles()).toBe(0);
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(unhandled).toEqual([]);
    } finally {
      process.off('unhandledRejection', take);
      unmount(disk);
    }
  },
  20_000,
);

test.skipIf(refused !== null)(
  `[EV4] the guard stops the store before the disk is full, and LMDB is never stuck${why}`,
  async () => {
    mkdirSync(disk, { recursive: true });
    expect(mount(disk)).toBeNull();
    const printed = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    try {
      let nowMs = 0;
      const store = openLmdbStore({ path: join(disk, 'log'), diskFreeBytesMin: 2 << 20, now: () => (nowMs += 250) });
      let acked = 0;
      while ((await codeOf((done) => store.commit([record(acked + 1)], done))) === 'ok') acked++;
      expect(acked).toBeGreaterThan(500);
      expect(await codeOf((done) => store.reopen(done))).toBe('storage-full');
      expect((await call<LogPage>((done) => store.read('s', 0, ALL, done))).head).toBe(acked);
      expect(await codeOf((done) => store.close(done))).toBe('ok');
      expect(printed).not.toHaveBeenCalled();
    } finally {
      unmount(disk);
    }
  },
);
