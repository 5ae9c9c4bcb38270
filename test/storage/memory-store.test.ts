import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { Clock, SessionCommit } from '../../src/actors/ports.ts';
import { createMemoryStore, type MemoryStore } from '../../src/storage/memory-store.ts';
import { SessionLog, seeded } from './session-log.ts';

/** Time that passes only when it is told to; `step` runs one thing. */
class HandClock implements Clock {
  time = 0;
  #items: { at: number; id: number; fn: () => void }[] = [];
  #ids = 0;
  now = (): number => this.time;
  setTimeout = (fn: () => void, ms: number): number => {
    const id = ++this.#ids;
    this.#items.push({ at: this.time + ms, id, fn });
    return id;
  };
  soon = (fn: () => void): void => void this.setTimeout(fn, 0);
  clearTimeout = (id: unknown): void => {
    this.#items = this.#items.filter((item) => item.id !== id);
  };
  step(): boolean {
    const next = this.#items.sort((a, b) => a.at - b.at || a.id - b.id).shift();
    if (!next) return false;
    this.time = Math.max(this.time, next.at);
    next.fn();
    return true;
  }
  run(): void {
    while (this.step());
  }
  get waiting(): number {
    return this.#items.length;
  }
}

const setUp = (seed = 1, latencyMs: () => number = () => 0) => {
  const clock = new HandClock();
  const store = createMemoryStore({ clock, random: seeded(seed), latencyMs });
  return { clock, store, log: new SessionLog('s', seeded(seed)) };
};
const commit = (store: MemoryStore, batch: SessionCommit[], answers: string[] = []): string[] => {
  store.commit(batch, (error) => answers.push(error?.code ?? 'ok'));
  return answers;
};

test('[CR1] a commit that was asked to fail does not land; one that was asked to land and fail does', () => {
  const { clock, store, log } = setUp();
  const first = log.commit(2);
  store.failCommits(1);
  const answers = commit(store, [first]);
  clock.run();
  expect([answers, store.head('s'), store.status().state]).toEqual([['storage'], 0, 'read-only']);
  commit(store, [first], answers);
  clock.run();
  expect(answers).toEqual(['storage', 'storage-read-only']);
  store.reopen((error) => answers.push(error?.code ?? 'reopened'));
  clock.run();
  store.failCommitsThatLand(1);
  commit(store, [first], answers);
  clock.run();
  expect([answers.slice(2), store.head('s')]).toEqual([['reopened', 'storage'], 2]);
  expect(store.records('s')).toEqual(first.records);
  store.reopen((error) => answers.push(error?.code ?? 'reopened'));
  clock.run();
  commit(store, [log.commit(1)], answers);
  clock.run();
  expect([answers.slice(4), store.head('s'), store.sessions()]).toEqual([['reopened', 'ok'], 3, ['s']]);
});

test('[EV4] a crash between landing and answer keeps the record, and nobody is told', () => {
  const { clock, store, log } = setUp(1, () => 10);
  const answers = commit(store, [log.commit(2)]);
  expect(store.head('s')).toBe(0);
  while (store.head('s') === 0) expect(clock.step()).toBe(true);
  expect(answers).toEqual([]);
  const next = store.crash({ loseUnflushed: false });
  store.flush(() => answers.push('flushed'));
  store.load('s', () => answers.push('loaded'));
  store.reopen(() => answers.push('reopened'));
  commit(store, [log.commit(1)], answers);
  clock.run();
  expect([answers, next.head('s')]).toEqual([[], 2]);
  // The two no longer share anything.
  const other = new SessionLog('t');
  commit(next, [other.commit(1)], answers);
  clock.run();
  expect([answers, next.sessions(), store.sessions()]).toEqual([['ok'], ['s', 't'], ['s']]);
});

test('[EV4] a crash before the landing loses the commit', () => {
  const { clock, store, log } = setUp(1, () => 10);
  commit(store, [log.commit(2)]);
  const next = store.crash({ loseUnflushed: false });
  clock.run();
  expect([next.head('s'), store.head('s')]).toEqual([0, 0]);
});

test('[SV2] a commit slower than its deadline fails first and lands later; a reopen waits until it has', () => {
  const { clock, store, log } = setUp();
  store.slowCommit(3 * LIMITS.commitDeadlineMs);
  const answers = commit(store, [log.commit(2)]);
  while (answers.length === 0) clock.step();
  expect([answers, store.head('s'), clock.time]).toEqual([['storage'], 0, LIMITS.commitDeadlineMs]);
  store.reopen((error) => answers.push(error ? `not yet, ${store.head('s')}` : `reopened at ${store.head('s')}`));
  store.reopen((error) => answers.push(error ? `not yet, ${store.head('s')}` : `reopened at ${store.head('s')}`));
  clock.run();
  store.reopen((error) => answers.push(error ? `not yet, ${store.head('s')}` : `reopened at ${store.head('s')}`));
  clock.run();
  expect(answers.slice(-1)).toEqual(['reopened at 2']);
  expect(answers.slice(1, -1).every((a) => a.endsWith(' 2') || a.startsWith('not yet'))).toBe(true);
  expect([clock.waiting, answers.length]).toEqual([0, 4]);
});

test('[EV5] a flush covers what had landed when it was asked for, and not what came after', () => {
  const { clock, store, log } = setUp(1, () => 10);
  commit(store, [log.commit(2)]);
  clock.run();
  let flushed = false;
  store.flush(() => {
    flushed = true;
  });
  commit(store, [log.commit(3)]);
  clock.run();
  expect(flushed).toBe(true);
  const heads = new Set(Array.from({ length: 20 }, () => store.crash({ loseUnflushed: true }).head('s')));
  expect([...heads].sort()).toEqual([2, 5]);
});

test('[EV5] a power cut takes back a commit in which one session stands twice', () => {
  const { clock, log } = setUp();
  const store = createMemoryStore({ clock, random: () => 0 });
  commit(store, [log.commit(2, { open: true })]);
  clock.run();
  store.flush(() => undefined);
  clock.run();
  commit(store, [log.commit(1, { snapshot: true }), log.commit(1, { open: false })]);
  clock.run();
  const after = store.crash({ loseUnflushed: true });
  const seen: unknown[] = [];
  after.load('s', (_, loaded) => seen.push(loaded));
  after.open((_, ids) => seen.push(ids));
  after.list({ limit: 1 }, (_, page) => seen.push(page.sessions[0]?.seq));
  clock.run();
  expect(seen).toEqual([{ snapshot: null, records: log.stored.slice(0, 2) }, ['s'], 2]);
});

test('[EV5] a flush that fails makes the store read-only', () => {
  const { clock, store, log } = setUp();
  commit(store, [log.commit(1)]);
  clock.run();
  store.failFlushes(1);
  const answers: string[] = [];
  store.flush((error) => answers.push(error?.code ?? 'ok'));
  clock.run();
  expect([answers, store.status().state]).toEqual([['storage'], 'read-only']);
});

const action = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('commit' as const), a: fc.nat(4), b: fc.nat(4), snapshot: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'flush' as const }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('steps' as const), n: fc.nat(6) }) },
);

test('[EV5] a power cut leaves a beginning of the commits in their order, with every answered flush in it; kill -9 leaves all', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 30 }), fc.integer(), fc.boolean(), (actions, seed, power) => {
      const random = seeded(seed);
      const clock = new HandClock();
      const store = createMemoryStore({ clock, random, latencyMs: () => Math.floor(random() * 8) });
      const logs = [new SessionLog('a', random), new SessionLog('b', random)];
      const heads = [[0, 0]];
      let landedAtFlush = 0;
      let acked = 0;
      for (const x of actions) {
        if (x.kind === 'commit') {
          const parts = [logs[0]!.commit(x.a, x), logs[1]!.commit(x.b, x)];
          heads.push([logs[0]!.stored.length, logs[1]!.stored.length]);
          store.commit(parts, () => {
            acked++;
          });
        } else if (x.kind === 'flush') {
          const covers = acked;
          store.flush(() => {
            landedAtFlush = Math.max(landedAtFlush, covers);
          });
        } else for (let i = 0; i < x.n; i++) clock.step();
      }
      const landed = heads.findLastIndex((h) => h[0] === store.head('a') && h[1] === store.head('b'));
      const after = store.crash({ loseUnflushed: power });
      const got = [after.head('a'), after.head('b')];
      const possible = heads.slice(power ? landedAtFlush : Math.max(acked, 0), landed + 1);
      expect(possible).toContainEqual(got);
      if (!power) expect(got).toEqual([store.head('a'), store.head('b')]);
      logs.forEach((log, i) => {
        expect(after.records(i === 0 ? 'a' : 'b')).toEqual(log.stored.slice(0, got[i]));
      });
      // What survives is a store like any other, and the dead one stays silent.
      const ackedBefore = acked;
      clock.run();
      expect(acked).toBe(ackedBefore);
      const answers: string[] = [];
      for (const [i, log] of logs.entries()) {
        after.load(log.state.sessionId, (error, loaded) => {
          answers.push(error?.code ?? `${(loaded?.snapshot?.seq ?? 0) + (loaded?.records.length ?? 0) === got[i]}`);
        });
      }
      clock.run();
      expect(answers).toEqual(['true', 'true']);
    }),
    { numRuns: 300 },
  );
});

test('[CR1] the same seed gives the same store, whatever happens to it', () => {
  const world = (seed: number): string[] => {
    const random = seeded(seed);
    const clock = new HandClock();
    let store = createMemoryStore({ clock, random, latencyMs: () => Math.floor(random() * 20) });
    const seen: string[] = [];
    for (let i = 0; i < 200; i++) {
      const roll = random();
      const log = new SessionLog(`s${i % 7}_${i}`, random);
      if (roll < 0.5) store.commit([log.commit(3)], (error) => seen.push(`${clock.time} ${error?.code ?? 'ok'}`));
      else if (roll < 0.6) store.flush((error) => seen.push(`${clock.time} flush ${error?.code ?? 'ok'}`));
      else if (roll < 0.65) store.failCommits(1);
      else if (roll < 0.7) store.reopen((error) => seen.push(`${clock.time} reopen ${error?.code ?? 'ok'}`));
      else if (roll < 0.74) store = store.crash({ loseUnflushed: random() < 0.5 });
      else clock.step();
    }
    clock.run();
    return [...seen, ...store.sessions()];
  };
  expect(world(4)).toEqual(world(4));
  expect(world(4)).not.toEqual(world(5));
});
