import { open } from 'lmdb';
import { afterEach, expect, test } from 'vitest';
import type { LogPage, StoredRecord, StoredSession } from '../../src/actors/ports.ts';
import { decodeEnvelope } from '../../src/protocol/envelope.ts';
import { emptySession, foldAll } from '../../src/protocol/session-state.ts';
import { type LmdbStore, type LmdbStoreOptions, openLmdbStore } from '../../src/storage/lmdb-store.ts';
import { call, codeOf } from './call.ts';
import { child, ended, saidUntil } from './child.ts';
import { SessionLog, seeded } from './session-log.ts';
import { tempFolder } from './temp-folder.ts';

const ALL = { recordsMax: 1_000_000, bytesMax: Number.MAX_SAFE_INTEGER };
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

const folderOf = (): string => {
  const folder = tempFolder();
  cleanups.push(folder.remove);
  return folder.path;
};
const opened = (path: string, options: Partial<LmdbStoreOptions> = {}): LmdbStore => {
  const store = openLmdbStore({ path, diskFreeBytesMin: 0, ...options });
  cleanups.push(() => call((done) => store.close(done)));
  return store;
};
const closed = (store: LmdbStore): Promise<void> => call((done) => store.close(done));

/** A stored log of any length without the cost of folding it. */
const plain = (sessionId: string, from: number, count: number, at = from) => {
  const records = Array.from({ length: count }, (_, i) => ({
    seq: from + i,
    text: `{"n":${from + i},"pad":"${'x'.repeat(150)}"}`,
  }));
  const updatedAt = new Date(at * 1000).toISOString();
  const seq = from + count - 1;
  const index = {
    sessionId,
    model: 'm',
    createdAt: updatedAt,
    updatedAt,
    seq,
    toolCallCount: 0,
    messageCount: 0,
    queuedTurns: 0,
  };
  return { sessionId, records, index, open: false };
};

test('[EV4] kill -9 of the writer loses nothing that was answered, and what is there is whole', async () => {
  const folder = folderOf();
  for (const seed of [1, 2, 3]) {
    const proc = child('writer.child.ts', folder, String(seed));
    const acksMin = 20 + seed * 17;
    const said = saidUntil(proc, (text) => text.split('\n').length > acksMin);
    await said;
    let late = '';
    proc.stdout.on('data', (chunk: Buffer) => {
      late += chunk.toString('utf8');
    });
    proc.kill('SIGKILL');
    await ended(proc);
    const acked = new Map<string, number>();
    for (const line of `${await said}${late}`.split('\n').slice(0, -1)) {
      const [id, seq] = line.split(' ');
      acked.set(id!, Number(seq));
    }
    expect(acked.size).toBeGreaterThan(1);
    const store = opened(folder);
    for (const [id, seq] of acked) {
      const page = await call<LogPage>((done) => store.read(id, 0, ALL, done));
      expect(page.head).toBeGreaterThanOrEqual(seq);
      expect(page.records.map((r) => r.seq)).toEqual(Array.from({ length: page.head }, (_, i) => i + 1));
      const loaded = await call<StoredSession | null>((done) => store.load(id, done));
      const fold = (from: StoredRecord[], state = emptySession(id)) =>
        foldAll(
          state,
          from.map((r) => decodeEnvelope(r.text).record),
        );
      expect(fold(loaded!.records, loaded!.snapshot ?? emptySession(id))).toEqual(fold(page.records));
    }
    await closed(store);
  }
}, 20_000);

test('[SV3] 50,000 records are read in pages: none is larger than asked for, and others get turns between them', async () => {
  const store = opened(folderOf());
  for (let from = 1; from <= 50_000; from += 5_000) await call((done) => store.commit([plain('s', from, 5_000)], done));
  let turns = 0;
  let reading = true;
  const other = (): void => {
    turns++;
    if (reading) setImmediate(other);
  };
  setImmediate(other);
  const bounds = { recordsMax: 500, bytesMax: 1 << 20 };
  let at = 0;
  let pages = 0;
  for (;;) {
    const before = store.entriesRead();
    const page = await call<LogPage>((done) => store.read('s', at, bounds, done));
    expect(store.entriesRead() - before).toBeLessThanOrEqual(bounds.recordsMax + 2);
    expect(page.records[0]?.seq ?? at + 1).toBe(at + 1);
    at += page.records.length;
    if (page.records.length === 0) break;
    pages++;
  }
  expect([at, pages]).toEqual([50_000, 100]);
  expect(turns).toBeGreaterThanOrEqual(pages);

  // Also a load without a snapshot, the longest read there is.
  turns = 0;
  const loaded = await call<StoredSession | null>((done) => store.load('s', done));
  reading = false;
  expect(loaded?.records).toHaveLength(50_000);
  expect(loaded?.records.every((r, i) => r.seq === i + 1)).toBe(true);
  expect(turns).toBeGreaterThanOrEqual(90);
});

test('[CR1] a boot reads as much with 20,000 sessions as with 10, and a list what it shows', async () => {
  const boot = async (sessions: number): Promise<{ store: LmdbStore; reads: number }> => {
    const folder = folderOf();
    const writer = opened(folder);
    for (let from = 0; from < sessions; from += 2_000) {
      const count = Math.min(2_000, sessions - from);
      const batch = Array.from({ length: count }, (_, i) => ({
        ...plain(`s${from + i}`, 1, 1, from + i),
        open: from + i < 3,
      }));
      await call((done) => writer.commit(batch, done));
    }
    await closed(writer);
    const store = opened(folder);
    expect((await call<string[]>((done) => store.open(done))).sort()).toEqual(['s0', 's1', 's2']);
    return { store, reads: store.entriesRead() };
  };
  const few = await boot(10);
  const many = await boot(20_000);
  expect(many.reads).toBe(few.reads);
  expect(many.reads).toBeLessThan(10);

  const first = await call<{ sessions: { sessionId: string }[]; cursor?: string; total: number }>((done) =>
    many.store.list({ limit: 10 }, done),
  );
  expect([first.total, first.sessions[0]?.sessionId, first.sessions.at(-1)?.sessionId]).toEqual([
    20_000,
    's19999',
    's19990',
  ]);
  const before = many.store.entriesRead();
  const deep = await call<{ sessions: { sessionId: string }[] }>((done) =>
    many.store.list({ limit: 10, cursor: `${5_000 * 1000}.s5000` }, done),
  );
  expect(deep.sessions[0]?.sessionId).toBe('s4999');
  expect(many.store.entriesRead() - before).toBeLessThanOrEqual(22);
});

test('[SV2] a write that LMDB holds on to is answered at its deadline; reading goes on; reopening says why not, and works later', async () => {
  const folder = folderOf();
  const store = opened(folder, { commitDeadlineMs: 600 });
  await call((done) => store.commit([plain('s', 1, 3)], done));
  const holder = child('lock-holder.child.ts', folder);
  cleanups.push(() => holder.kill('SIGKILL'));
  expect(await saidUntil(holder, (text) => text.includes('held'))).toContain('held');

  let answers = 0;
  const code = await codeOf((done) =>
    store.commit([plain('s', 4, 2)], (error) => {
      answers++;
      done(error, undefined);
    }),
  );
  expect(code).toBe('storage');
  expect(store.status()).toMatchObject({ state: 'read-only' });
  expect(await codeOf((done) => store.commit([plain('t', 1, 1)], done))).toBe('storage-read-only');
  expect((await call<LogPage>((done) => store.read('s', 0, ALL, done))).head).toBe(3);
  // The write may still land, so the store is not given back while it is under way.
  expect(await codeOf((done) => store.reopen(done))).toBe('storage');
  expect((await call<LogPage>((done) => store.read('s', 0, ALL, done))).head).toBe(3);

  holder.kill('SIGKILL');
  await ended(holder);
  await expect.poll(() => codeOf((done) => store.reopen(done)), { timeout: 10_000 }).toBe('ok');
  // Failed, and yet it landed; and nothing more of it comes now.
  const { head } = await call<LogPage>((done) => store.read('s', 0, ALL, done));
  expect([3, 5]).toContain(head);
  await call((done) => store.commit([plain('s', head + 1, 1)], done));
  expect(answers).toBe(1);
}, 20_000);

test('[SV2] room on the disk does not make the store writable: the probe must be written', async () => {
  const folder = folderOf();
  let free = 1e9;
  let nowMs = 0;
  const store = opened(folder, {
    diskFreeBytesMin: 1e6,
    commitDeadlineMs: 600,
    freeBytes: () => free,
    now: () => (nowMs += 250),
  });
  await call((done) => store.commit([plain('s', 1, 1)], done));
  free = 0;
  expect(await codeOf((done) => store.commit([plain('s', 2, 1)], done))).toBe('storage-full');
  free = 1e9;
  const holder = child('lock-holder.child.ts', folder);
  cleanups.push(() => holder.kill('SIGKILL'));
  await saidUntil(holder, (text) => text.includes('held'));
  expect(await codeOf((done) => store.reopen(done))).toBe('storage');
  expect(store.status()).toMatchObject({ state: 'read-only' });
  expect((await call<LogPage>((done) => store.read('s', 0, ALL, done))).head).toBe(1);
  holder.kill('SIGKILL');
  await ended(holder);
  await expect.poll(() => codeOf((done) => store.reopen(done)), { timeout: 10_000 }).toBe('ok');
  await call((done) => store.commit([plain('s', 2, 1)], done));
}, 20_000);

test('[SV1] what a callback throws is an exception of its owner, and no rejection that nobody takes', async () => {
  const store = opened(folderOf());
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  try {
    const caught = new Promise((resolve) =>
      process.once('uncaughtException', (error, origin) => resolve([error.message, origin])),
    );
    store.commit([plain('s', 1, 1)], () => {
      throw new Error('mine');
    });
    expect(await caught).toEqual(['mine', 'uncaughtException']);
  } finally {
    for (const listener of before) process.on('uncaughtException', listener);
  }
});

test('[SV3] the disk is looked at no more than once in 250 ms, however many commits there are', async () => {
  let nowMs = 1_000_000;
  let looks = 0;
  let free = 1e9;
  const store = opened(folderOf(), {
    diskFreeBytesMin: 1e6,
    now: () => nowMs,
    freeBytes: () => {
      looks++;
      return free;
    },
  });
  for (let seq = 1; seq <= 50; seq++) await call((done) => store.commit([plain('s', seq, 1)], done));
  expect(looks).toBe(1);
  free = 0;
  nowMs += 249;
  await call((done) => store.commit([plain('s', 51, 1)], done));
  nowMs += 1;
  expect(await codeOf((done) => store.commit([plain('s', 52, 1)], done))).toBe('storage-full');
  expect(looks).toBe(2);
  expect((await call<LogPage>((done) => store.read('s', 0, ALL, done))).head).toBe(51);
});

test('[CR1] a folder that a newer version wrote is refused, and left as it is', async () => {
  const folder = folderOf();
  const newer = openLmdbStore({ path: folder, diskFreeBytesMin: 0, schema: { version: 7, from: {} } });
  await call((done) => newer.commit([plain('s', 1, 1)], done));
  await closed(newer);
  expect(() => openLmdbStore({ path: folder })).toThrow(/schema 7; this version knows 2/);
  const again = openLmdbStore({ path: folder, diskFreeBytesMin: 0, schema: { version: 7, from: {} } });
  expect((await call<LogPage>((done) => again.read('s', 0, ALL, done))).head).toBe(1);
  await closed(again);
});

test('[CR1] a migration takes every step once, in one transaction, or none', async () => {
  const folder = folderOf();
  const store = openLmdbStore({ path: folder, diskFreeBytesMin: 0 });
  await call((done) => store.commit([plain('s', 1, 1)], done));
  await closed(store);
  const steps: string[] = [];
  const step =
    (name: string, fails = false) =>
    (t: { meta: { put(key: string, value: number): unknown } }) => {
      steps.push(name);
      t.meta.put(name, 1);
      if (fails) throw new Error('the step broke');
    };
  const broken = { version: 4, from: { 2: step('a'), 3: step('b', true) } };
  expect(() => openLmdbStore({ path: folder, schema: broken })).toThrow(/the step broke/);
  const kept = open({ path: folder, noSubdir: false, maxDbs: 8 });
  const meta = kept.openDB<number, string>({ name: 'meta', encoding: 'json' });
  expect([meta.get('schema'), meta.get('a'), meta.get('b')]).toEqual([2, undefined, undefined]);
  await kept.close();

  steps.length = 0;
  const works = { version: 4, from: { 2: step('a'), 3: step('b') } };
  for (let i = 0; i < 2; i++) await closed(openLmdbStore({ path: folder, schema: works }));
  expect(steps).toEqual(['a', 'b']);
  expect(() => openLmdbStore({ path: folder, schema: { version: 5, from: { 3: step('c') } } })).toThrow(/No migration/);
});

test('[EV2] a hole in the stored log is an error and not a shorter log', async () => {
  const folder = folderOf();
  const store = openLmdbStore({ path: folder, diskFreeBytesMin: 0 });
  await call((done) => store.commit([plain('s', 1, 9)], done));
  await closed(store);
  const env = open({ path: folder, noSubdir: false, maxDbs: 8 });
  const events = env.openDB<Buffer, [string, number]>({ name: 'events', encoding: 'binary' });
  await events.remove(['s', 5]);
  await events.remove(['s', 9]);
  await env.close();
  const damaged = opened(folder);
  const read = (after: number, recordsMax: number) =>
    codeOf((done) => damaged.read('s', after, { recordsMax, bytesMax: 1e9 }, done));
  expect([await read(0, 4), await read(0, 5), await read(5, 3), await read(5, 4)]).toEqual([
    'ok',
    'storage',
    'ok',
    'storage',
  ]);
  expect(await codeOf((done) => damaged.load('s', done))).toBe('storage');
});

test('[EV5] what was flushed is in the file: a copy of the folder, taken at that moment, has it', async () => {
  const folder = folderOf();
  const store = opened(folder);
  const s = new SessionLog('s', seeded(1));
  await call((done) => store.commit([s.commit(50, { snapshot: true })], done));
  await call((done) => store.flush(done));
  const { cpSync } = await import('node:fs');
  const copy = folderOf();
  cpSync(folder, copy, { recursive: true });
  const other = opened(copy);
  expect((await call<LogPage>((done) => other.read('s', 0, ALL, done))).records).toEqual(s.stored);
});
