import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type {
  IndexEntry,
  LogPage,
  LogStore,
  SessionCommit,
  StoredRecord,
  StoredSession,
  StoreStatus,
} from '../../src/actors/ports.ts';
import { decodeEnvelope } from '../../src/protocol/envelope.ts';
import { emptySession, foldAll } from '../../src/protocol/session-state.ts';
import { call, codeOf } from './call.ts';
import { SessionLog, seeded } from './session-log.ts';

type ListPage = { sessions: IndexEntry[]; cursor?: string; total: number };
type Store = LogStore & { status(): StoreStatus };

/** One adapter under test, empty. */
export interface Harness {
  store: Store;
  /** The disk has no room from now on, or has again. */
  full(on: boolean): void;
  /** Another store on what this one, closed, left behind. */
  again(): Promise<Store>;
  dispose(): Promise<void>;
}

const ALL = { recordsMax: 1_000_000, bytesMax: Number.MAX_SAFE_INTEGER };
const T0 = Date.parse('2026-01-01T00:00:00.000Z');

/** What every adapter behind `LogStore` promises. */
export const storeContract = (name: string, make: () => Promise<Harness>): void => {
  describe(`LogStore: ${name}`, () => {
    let open: Harness[] = [];
    const fresh = async (): Promise<Harness> => {
      const harness = await make();
      open.push(harness);
      return harness;
    };
    afterEach(async () => {
      for (const harness of open) await harness.dispose();
      open = [];
    });
    writing(fresh);
    reading(fresh);
    listing(fresh);
    failing(fresh);
    againstModel(make);
  });
};

const commit = (store: Store, ...batch: SessionCommit[]): Promise<void> => call((done) => store.commit(batch, done));
const records = async (store: Store, sessionId: string): Promise<StoredRecord[]> =>
  (await call<LogPage>((done) => store.read(sessionId, 0, ALL, done))).records;

const writing = (fresh: () => Promise<Harness>): void => {
  test('[EV1] a batch with a gap, a repeat or a wrong start is refused, and nothing of it lands', async () => {
    const { store } = await fresh();
    const good = new SessionLog('good');
    const s = new SessionLog('s');
    await commit(store, s.commit(3));
    const next = s.commit(2);
    const [r4, r5] = [next.records[0]!, next.records[1]!];
    const wrong: StoredRecord[][] = [
      [r5],
      [r4, r4],
      [r5, r4],
      [{ seq: 3, text: 'x' }, r4],
      [{ seq: 1, text: 'x' }],
      [r4, { seq: 6, text: 'x' }],
    ];
    const innocent = good.commit(2);
    for (const bad of wrong) {
      const index = { ...next.index, seq: bad.at(-1)!.seq };
      for (const batch of [
        [innocent, { ...next, records: bad, index }],
        [{ ...next, records: bad, index }, innocent],
      ]) {
        expect(await codeOf((done) => store.commit(batch, done))).toBe('internal');
      }
    }
    expect(await records(store, 's')).toEqual(s.stored.slice(0, 3));
    expect(await call<StoredSession | null>((done) => store.load('good', done))).toBeNull();
    expect((await call<ListPage>((done) => store.list({ limit: 10 }, done))).total).toBe(1);
    // The caller's mistake leaves the store as good as it was.
    expect(store.status()).toEqual({ state: 'ok' });
    await commit(store, next, innocent);
    expect(await records(store, 's')).toEqual(s.stored);
  });

  test('[EV1] an index or a snapshot that does not end where the log ends is refused', async () => {
    const { store } = await fresh();
    const c = new SessionLog('s').commit(4, { snapshot: true });
    const wrong: SessionCommit[] = [
      { ...c, index: { ...c.index, seq: 5 } },
      { ...c, index: { ...c.index, seq: 3 } },
      { ...c, index: { ...c.index, sessionId: 'other' } },
      { ...c, snapshot: { ...c.snapshot!, seq: 3 } },
      { ...c, snapshot: { ...c.snapshot!, sessionId: 'other' } },
    ];
    for (const bad of wrong) expect(await codeOf((done) => store.commit([bad], done))).toBe('internal');
    expect(await call<StoredSession | null>((done) => store.load('s', done))).toBeNull();
    await commit(store, c);
  });

  test('[EV4] a batch over several sessions is there, whole, when its commit is answered', async () => {
    const { store } = await fresh();
    const logs = ['a', 'b', 'c'].map((id) => new SessionLog(id));
    await commit(store, ...logs.map((l, i) => l.commit(i + 1)));
    await commit(store, ...logs.map((l) => l.commit(5)));
    for (const l of logs) expect(await records(store, l.state.sessionId)).toEqual(l.stored);
    const { sessions } = await call<ListPage>((done) => store.list({ limit: 10 }, done));
    expect(sessions.map((s) => [s.sessionId, s.seq]).sort()).toEqual([
      ['a', 6],
      ['b', 7],
      ['c', 8],
    ]);
  });

  test('[EV4] a batch of which one part cannot be written lands nothing', async () => {
    const { store } = await fresh();
    const [a, b] = [new SessionLog('a'), new SessionLog('b')];
    const good = a.commit(3, { open: true });
    const c = b.commit(3, { snapshot: true });
    const circle: { [key: string]: unknown } = {};
    circle.self = circle;
    const bad = { ...c, snapshot: { ...c.snapshot!, metadata: circle } };
    expect(await codeOf((done) => store.commit([good, bad], done))).toBe('internal');
    expect(await records(store, 'a')).toEqual([]);
    expect(await records(store, 'b')).toEqual([]);
    expect(await call<string[]>((done) => store.open(done))).toEqual([]);
    expect(await call<ListPage>((done) => store.list({ limit: 9 }, done))).toEqual({ sessions: [], total: 0 });
    expect(store.status()).toEqual({ state: 'ok' });
    await commit(store, good, c);
    expect(await records(store, 'b')).toEqual(b.stored);
  });

  test('[EV1] one session twice in a batch continues itself', async () => {
    const { store } = await fresh();
    const s = new SessionLog('s');
    await commit(store, s.commit(2), s.commit(3));
    expect(await records(store, 's')).toEqual(s.stored);
    expect((await call<ListPage>((done) => store.list({ limit: 10 }, done))).total).toBe(1);
  });

  test('[CR1] the open set follows the last commit of each session', async () => {
    const { store, again } = await fresh();
    const [a, b] = [new SessionLog('a'), new SessionLog('b')];
    await commit(store, a.commit(2, { open: true }), b.commit(2, { open: true }));
    expect((await call<string[]>((done) => store.open(done))).sort()).toEqual(['a', 'b']);
    await commit(store, a.commit(1, { open: false }));
    await commit(store, a.commit(1, { open: false }), b.commit(1, { open: true }));
    expect(await call<string[]>((done) => store.open(done))).toEqual(['b']);
    await call((done) => store.close(done));
    expect(await call<string[]>(async (done) => (await again()).open(done))).toEqual(['b']);
  });

  test('[EV5] answers come once and never in the stack of the caller', async () => {
    const { store, full } = await fresh();
    const s = new SessionLog('s');
    const seen: string[] = [];
    const ask = (what: string, start: (done: () => void) => void): Promise<void> =>
      new Promise((resolve) => {
        let inStack = true;
        start(() => {
          seen.push(inStack ? `${what} in the stack` : what);
          resolve();
        });
        inStack = false;
      });
    const first = s.commit(2);
    await ask('commit', (done) => store.commit([first], done));
    await ask('refused', (done) => store.commit([first], done));
    await ask('flush', (done) => store.flush(done));
    await ask('load', (done) => store.load('s', done));
    await ask('read', (done) => store.read('s', 0, ALL, done));
    await ask('list', (done) => store.list({ limit: 1 }, done));
    await ask('bad list', (done) => store.list({ limit: 1, cursor: '?' }, done));
    await ask('open', (done) => store.open(done));
    full(true);
    await ask('full', (done) => store.commit([s.commit(1)], done));
    await ask('read-only', (done) => store.commit([], done));
    await ask('reopen', (done) => store.reopen(done));
    full(false);
    await ask('reopen', (done) => store.reopen(done));
    await ask('close', (done) => store.close(done));
    await ask('closed', (done) => store.commit([], done));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(seen).toEqual(
      'commit,refused,flush,load,read,list,bad list,open,full,read-only,reopen,reopen,close,closed'.split(','),
    );
  });
};

const reading = (fresh: () => Promise<Harness>): void => {
  test('[EV3] the bytes that come back are the bytes that were committed', async () => {
    const { store, again } = await fresh();
    const s = new SessionLog('s', seeded(7));
    await commit(store, s.commit(200));
    expect(await records(store, 's')).toEqual(s.stored);
    await call((done) => store.close(done));
    expect(await records(await again(), 's')).toEqual(s.stored);
  });

  test('[SV3] a page keeps both bounds, counts bytes and not characters, and has at least one record', async () => {
    const { store } = await fresh();
    const text = (bytes: number): string => '🦄'.repeat(bytes / 4);
    const sizes = [400, 400, 4000, 40, 40];
    const index = (seq: number): IndexEntry => ({
      ...new SessionLog('s').index(T0),
      seq,
      createdAt: '',
      sessionId: 's',
    });
    const stored = sizes.map((bytes, i) => ({ seq: i + 1, text: text(bytes) }));
    await commit(store, { sessionId: 's', records: stored, index: index(5), open: false });
    const page = async (afterSeq: number, recordsMax: number, bytesMax: number): Promise<number[]> =>
      (await call<LogPage>((done) => store.read('s', afterSeq, { recordsMax, bytesMax }, done))).records.map(
        (r) => r.seq,
      );
    expect(await page(0, 2, 1e9)).toEqual([1, 2]);
    expect(await page(0, 10, 800)).toEqual([1, 2]);
    expect(await page(0, 10, 799)).toEqual([1]);
    expect(await page(2, 10, 10)).toEqual([3]);
    expect(await page(2, 10, 4040)).toEqual([3, 4]);
    expect(await page(3, 10, 1e9)).toEqual([4, 5]);
    expect(await page(5, 10, 1e9)).toEqual([]);
    expect(await page(99, 10, 1e9)).toEqual([]);
    expect(await page(0, 1, 1)).toEqual([1]);
  });

  test('[EV2] a session is never mixed with one whose name begins alike, and an unknown one has head 0', async () => {
    const { store } = await fresh();
    const logs = ['a', 'aa', 'a-', 'a_', 'A', 'ab', 'b'].map((id, i) => new SessionLog(id, seeded(i)));
    for (const l of logs) await commit(store, l.commit(20));
    for (const l of logs) {
      expect(await call<LogPage>((done) => store.read(l.state.sessionId, 0, ALL, done))).toEqual({
        records: l.stored,
        head: 20,
      });
      expect(await call<LogPage>((done) => store.read(l.state.sessionId, 15, ALL, done))).toEqual({
        records: l.stored.slice(15),
        head: 20,
      });
    }
    expect(await call<LogPage>((done) => store.read('zz', 0, ALL, done))).toEqual({ records: [], head: 0 });
  });

  test('[EV2] pages joined by seq are the log, though it grows between them', async () => {
    const { store } = await fresh();
    const s = new SessionLog('s', seeded(3));
    await commit(store, s.commit(50));
    const joined: StoredRecord[] = [];
    for (let grown = 0; ; grown++) {
      const page = await call<LogPage>((done) =>
        store.read('s', joined.length, { recordsMax: 7, bytesMax: 1500 }, done),
      );
      expect(page.head).toBe(s.stored.length);
      if (page.records.length === 0) break;
      joined.push(...page.records);
      if (grown < 5) await commit(store, s.commit(3));
    }
    expect(joined).toEqual(s.stored);
  });

  test('[CR2] a load is the newest snapshot and the records after it, and both fold to the state', async () => {
    const { store, again } = await fresh();
    const s = new SessionLog('s', seeded(11));
    const load = (from: Store): Promise<unknown> => call<StoredSession | null>((done) => from.load('s', done));
    expect(await load(store)).toBeNull();
    await commit(store, s.commit(30));
    expect(await load(store)).toEqual({ snapshot: null, records: s.stored });
    await commit(store, s.commit(30, { snapshot: true }));
    await commit(store, s.commit(10));
    await commit(store, s.commit(40, { snapshot: true }));
    const atSnapshot = JSON.parse(JSON.stringify(s.state));
    await commit(store, s.commit(25));
    expect(await load(store)).toEqual({ snapshot: atSnapshot, records: s.stored.slice(110) });
    await call((done) => store.close(done));

    const reopened = await again();
    const loaded = await call<StoredSession | null>((done) => reopened.load('s', done));
    const rest = loaded!.records.map((r) => decodeEnvelope(r.text).record);
    const all = s.stored.map((r) => decodeEnvelope(r.text).record);
    const whole = foldAll(emptySession('s'), all);
    expect(foldAll(loaded!.snapshot!, rest)).toEqual(whole);
    expect(whole).toEqual(JSON.parse(JSON.stringify(s.state)));
    expect(whole.seq).toBe(135);
  });

  test('[CR2] a snapshot is a copy: what its owner does to the state later does not reach the store', async () => {
    const { store } = await fresh();
    const s = new SessionLog('s');
    const c = s.commit(6, { snapshot: true });
    const before = JSON.parse(JSON.stringify(c.snapshot));
    await commit(store, c);
    c.snapshot!.messages.push({ role: 'user', content: 'later' });
    c.index.title = 'later';
    expect((await call<StoredSession | null>((done) => store.load('s', done)))?.snapshot).toEqual(before);
    expect((await call<ListPage>((done) => store.list({ limit: 1 }, done))).sessions[0]?.title).toBeUndefined();
  });
};

const pages = async (store: Store, limit: number): Promise<string[]> => {
  const ids: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await call<ListPage>((done) =>
      store.list({ limit, ...(cursor === undefined ? {} : { cursor }) }, done),
    );
    expect(page.sessions.length).toBeLessThanOrEqual(limit);
    ids.push(...page.sessions.map((s) => s.sessionId));
    if (page.cursor === undefined) return ids;
    cursor = page.cursor;
  }
};

const listing = (fresh: () => Promise<Harness>): void => {
  test('[SV3] the list is newest first; pages of any size join to it; equal times lose nobody', async () => {
    const { store } = await fresh();
    expect(await call<ListPage>((done) => store.list({ limit: 5 }, done))).toEqual({ sessions: [], total: 0 });
    const logs = Array.from({ length: 23 }, (_, i) => new SessionLog(`s${i}`));
    for (const [i, l] of logs.entries()) await commit(store, l.commit(2, { atMs: T0 + (i % 6) * 1000 }));
    const byTime = (a: string, b: string): number => {
      const time = (id: string): number => Number(id.slice(1)) % 6;
      return time(b) - time(a) || (a < b ? 1 : -1);
    };
    const expected = logs.map((l) => l.state.sessionId).sort(byTime);
    for (const limit of [1, 2, 5, 22, 23, 24, 100]) expect(await pages(store, limit)).toEqual(expected);
    expect((await call<ListPage>((done) => store.list({ limit: 3 }, done))).total).toBe(23);

    await commit(store, logs[0]!.commit(1, { atMs: T0 + 60_000 }), logs[5]!.commit(1, { atMs: T0 - 60_000 }));
    const moved = await pages(store, 4);
    expect([moved[0], moved.at(-1), moved.length]).toEqual(['s0', 's5', 23]);
    expect((await call<ListPage>((done) => store.list({ limit: 1 }, done))).sessions[0]?.seq).toBe(3);
  });

  test('[SV3] a search finds every word in title, prompt, model, folder or id; deleted sessions have a list of their own', async () => {
    const { store } = await fresh();
    const rows: { [id: string]: object } = {
      beans: { title: 'Water the Beans', model: 'tiny' },
      folder: { workspace: '/home/ada/garden', model: 'big-model' },
      prompt: { preview: 'how do beans grow in a garden?' },
      gone: { title: 'beans', deletedAt: '2026-03-01T00:00:00.000Z' },
    };
    for (const [i, [id, facts]] of Object.entries(rows).entries()) {
      const c = new SessionLog(id).commit(1, { atMs: T0 + i });
      await commit(store, { ...c, index: { ...c.index, ...facts } });
    }
    const found = async (page: object): Promise<string[]> =>
      (await call<ListPage>((done) => store.list({ limit: 9, ...page }, done))).sessions.map((s) => s.sessionId);
    expect(await found({})).toEqual(['prompt', 'folder', 'beans']);
    expect(await found({ q: 'BEANS' })).toEqual(['prompt', 'beans']);
    expect(await found({ q: 'garden  beans' })).toEqual(['prompt']);
    expect(await found({ q: 'big-mod' })).toEqual(['folder']);
    expect(await found({ q: 'nothing' })).toEqual([]);
    expect(await found({ deleted: true })).toEqual(['gone']);
    expect(await found({ deleted: true, q: 'garden' })).toEqual([]);
  });

  test('[SV3] a search looks at a bounded number of sessions a page, and the cursor goes on from there', async () => {
    const { store } = await fresh();
    const batch = Array.from({ length: LIMITS.searchScanMax + 20 }, (_, i) => {
      const c = new SessionLog(`s${i}`).commit(1, { atMs: T0 + i });
      return { ...c, index: { ...c.index, ...(i === 3 ? { title: 'needle' } : {}) } };
    });
    await commit(store, ...batch);
    const found: string[] = [];
    let rounds = 0;
    for (let cursor: string | undefined; rounds === 0 || cursor !== undefined; rounds++) {
      const page = await call<ListPage>((done) =>
        store.list({ limit: 5, q: 'needle', ...(cursor === undefined ? {} : { cursor }) }, done),
      );
      found.push(...page.sessions.map((s) => s.sessionId));
      cursor = page.cursor;
    }
    expect(found).toEqual(['s3']);
    expect(rounds).toBeLessThanOrEqual(2);
  });

  test('[EV1, SV3] a purge removes what a deleted session held, a part at a time, and its id is never used again', async () => {
    const { store } = await fresh();
    const count = LIMITS.purgeRecordsMax * 2 + 10;
    const old = new SessionLog('old');
    await commit(store, old.commit(count, { snapshot: true, atMs: T0 - 1 }));
    const young = new SessionLog('young').commit(2, { atMs: T0 + 1 });
    const alive = new SessionLog('alive').commit(2, { atMs: T0 - 5 });
    const deletedAt = new Date(T0 - 1).toISOString();
    const last = old.commit(1, { atMs: T0 - 1 });
    await commit(store, { ...last, index: { ...last.index, deletedAt } });
    await commit(store, { ...young, index: { ...young.index, deletedAt: new Date(T0 + 1).toISOString() } }, alive);
    expect(await call<string[]>((done) => store.expired(T0, done))).toEqual(['old']);
    expect(await call<boolean>((done) => store.purge('alive', T0, done))).toBe(true);
    // It was put away since it was listed.
    expect(await call<boolean>((done) => store.purge('young', T0, done))).toBe(true);
    expect(await call((done) => store.load('young', done))).not.toBeNull();
    let rounds = 1;
    while (!(await call<boolean>((done) => store.purge('old', T0, done)))) rounds++;
    expect(rounds).toBeLessThanOrEqual(4);
    await expect(call((done) => store.load('old', done))).rejects.toMatchObject({ code: 'session-deleted' });
    expect(await call<LogPage>((done) => store.read('old', 0, { recordsMax: 9, bytesMax: 9 }, done))).toEqual({
      records: [],
      head: 0,
    });
    expect(await call<string[]>((done) => store.expired(T0, done))).toEqual([]);
    const list = await call<ListPage>((done) => store.list({ limit: 9, deleted: true }, done));
    expect([list.sessions.map((s) => s.sessionId), list.total]).toEqual([['young'], 2]);
    // What is left and what others have is untouched.
    expect((await call<LogPage>((done) => store.read('alive', 0, { recordsMax: 9, bytesMax: 9999 }, done))).head).toBe(
      2,
    );
    // Nothing continues its log, and a batch that begins anew with this id does not either.
    await expect(commit(store, old.commit(1))).rejects.toMatchObject({ code: 'internal' });
    await expect(commit(store, new SessionLog('old').commit(1))).rejects.toMatchObject({ code: 'internal' });
  });

  test('[SV3] a cursor that no list gave is refused', async () => {
    const { store } = await fresh();
    await commit(store, new SessionLog('s').commit(1));
    for (const cursor of ['', 'x', '1.', '.s', '1.../etc', `1.${'s'.repeat(65)}`, '-1.s', '1e5.s']) {
      expect(await codeOf((done) => store.list({ limit: 5, cursor }, done))).toBe('invalid-request');
    }
  });
};

const failing = (fresh: () => Promise<Harness>): void => {
  test('[EV4] on a full disk commits fail, reading goes on, and only a reopen with room makes it writable', async () => {
    const { store, full, again } = await fresh();
    const s = new SessionLog('s');
    await commit(store, s.commit(5));
    full(true);
    const next = s.commit(3);
    expect(await codeOf((done) => store.commit([next], done))).toBe('storage-full');
    expect(store.status()).toMatchObject({ state: 'read-only', reason: expect.any(String), since: expect.any(Number) });
    expect(await codeOf((done) => store.commit([next], done))).toBe('storage-full');
    expect(await records(store, 's')).toEqual(s.stored.slice(0, 5));
    expect(await codeOf((done) => store.reopen(done))).toBe('storage-full');
    expect(store.status().state).toBe('read-only');
    full(false);
    // Room alone does not do: whoever had a commit refused must first learn what is stored.
    expect(await codeOf((done) => store.commit([next], done))).toBe('storage-full');
    expect(await codeOf((done) => store.reopen(done))).toBe('ok');
    expect(store.status()).toEqual({ state: 'ok' });
    await commit(store, next);
    expect(await records(store, 's')).toEqual(s.stored);
    await call((done) => store.flush(done));
    await call((done) => store.close(done));
    expect(await records(await again(), 's')).toEqual(s.stored);
  });

  test('[EV4] a reopen of a healthy store loses nothing, also with a commit under way and when asked for twice', async () => {
    const { store } = await fresh();
    const s = new SessionLog('s', seeded(5));
    await commit(store, s.commit(5));
    const last = s.commit(5);
    const all = [
      commit(store, last),
      call((done) => store.reopen(done)),
      call((done) => store.reopen(done)),
      call<LogPage>((done) => store.read('s', 0, ALL, done)),
    ];
    await Promise.all(all);
    await commit(store, s.commit(5));
    expect(await records(store, 's')).toEqual(s.stored);
  });

  test('[SV2] after a close every operation is answered with an error', async () => {
    const { store } = await fresh();
    await commit(store, new SessionLog('s').commit(1));
    await call((done) => store.close(done));
    expect(await codeOf((done) => store.commit([new SessionLog('t').commit(1)], done))).toBe('storage');
    expect(await codeOf((done) => store.load('s', done))).toBe('storage');
    expect(await codeOf((done) => store.read('s', 0, ALL, done))).toBe('storage');
    expect(await codeOf((done) => store.list({ limit: 1 }, done))).toBe('storage');
    expect(await codeOf((done) => store.open(done))).toBe('storage');
    expect(await codeOf((done) => store.reopen(done))).toBe('storage');
    expect(await codeOf((done) => store.close(done))).toBe('ok');
  });
};

type Step =
  | { kind: 'commit'; parts: { session: number; count: number; snapshot: boolean; atMs: number; open: boolean }[] }
  | { kind: 'broken'; session: number; skip: number }
  | { kind: 'full' }
  | { kind: 'again' };

const session = fc.integer({ min: 0, max: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      parts: fc.uniqueArray(
        fc.record({
          session,
          count: fc.integer({ min: 0, max: 12 }),
          snapshot: fc.boolean(),
          atMs: fc.integer({ min: 0, max: 20 }).map((n) => T0 + n * 1000),
          open: fc.boolean(),
        }),
        { selector: (p) => p.session, minLength: 1, maxLength: 5 },
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('broken' as const), session, skip: fc.integer({ min: -3, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'full' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'again' as const }) },
);

interface Known {
  log: SessionLog;
  index: IndexEntry;
  open: boolean;
  snapshot: unknown;
  snapshotSeq: number;
}

const againstModel = (make: () => Promise<Harness>): void => {
  test('[CR1] random batches, refusals, full disks and restarts leave exactly what a map would hold', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 14 }), fc.integer(), async (steps, seed) => {
        const harness = await make();
        let store = harness.store;
        const model = new Map<string, Known>();
        const logs = Array.from({ length: 5 }, (_, i) => new SessionLog(`s${i}`, seeded(seed + i)));
        try {
          for (const s of steps) {
            if (s.kind === 'commit') {
              const batch = s.parts.map((p) => logs[p.session]!.commit(p.count, p));
              await commit(store, ...batch);
              for (const c of batch) remember(model, logs, c);
            } else if (s.kind === 'broken') {
              const log = logs[s.session]!;
              const seq = log.stored.length + 1 + (s.skip === 0 ? 1 : s.skip);
              const bad = {
                sessionId: log.state.sessionId,
                records: [{ seq, text: 'x' }],
                index: { ...log.index(), seq },
                open: true,
              };
              expect(await codeOf((done) => store.commit([bad], done))).toBe('internal');
            } else if (s.kind === 'full') {
              harness.full(true);
              expect(await codeOf((done) => store.commit([], done))).toBe('storage-full');
              harness.full(false);
              await call((done) => store.reopen(done));
            } else {
              await call((done) => store.close(done));
              store = await harness.again();
            }
            await compare(store, model, logs);
          }
        } finally {
          await harness.dispose();
        }
      }),
      { numRuns: 25 },
    );
  });
};

const remember = (model: Map<string, Known>, logs: SessionLog[], c: SessionCommit): void => {
  const before = model.get(c.sessionId);
  const log = logs.find((l) => l.state.sessionId === c.sessionId)!;
  const snapshot = c.snapshot ? JSON.parse(JSON.stringify(c.snapshot)) : (before?.snapshot ?? null);
  model.set(c.sessionId, {
    log,
    index: c.index,
    open: c.open,
    snapshot,
    snapshotSeq: c.snapshot ? c.snapshot.seq : (before?.snapshotSeq ?? 0),
  });
};

const compare = async (store: Store, model: Map<string, Known>, logs: SessionLog[]): Promise<void> => {
  for (const log of logs) {
    const known = model.get(log.state.sessionId);
    const loaded = await call<StoredSession | null>((done) => store.load(log.state.sessionId, done));
    if (!known) expect(loaded).toBeNull();
    else expect(loaded).toEqual({ snapshot: known.snapshot, records: log.stored.slice(known.snapshotSeq) });
  }
  const { sessions, total } = await call<ListPage>((done) => store.list({ limit: 3 }, done));
  const newest = [...model.values()].map((k) => k.index).sort((a, b) => (newer(a, b) ? -1 : 1));
  expect({ sessions, total }).toEqual({ sessions: newest.slice(0, 3), total: model.size });
  const open = await call<string[]>((done) => store.open(done));
  expect(open.sort()).toEqual([...model].flatMap(([id, k]) => (k.open ? [id] : [])).sort());
};

const newer = (a: IndexEntry, b: IndexEntry): boolean =>
  a.updatedAt === b.updatedAt ? a.sessionId > b.sessionId : a.updatedAt > b.updatedAt;
