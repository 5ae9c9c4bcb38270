import { expect, test } from 'vitest';
import { createLogPages } from '../../src/actors/effects/log-pages.ts';
import { LIMITS } from '../../src/actors/limits.ts';
import type { Clock, Done, LogPage, LogStore, StoredRecord } from '../../src/actors/ports.ts';
import { OptaError } from '../../src/protocol/errors.ts';

/** A log of `head` records of ten characters, whose reads are answered when the test says so. */
const world = (over: Partial<typeof LIMITS> = {}) => {
  const asked: { sessionId: string; afterSeq: number; answer: (error?: OptaError) => void }[] = [];
  const soon: (() => void)[] = [];
  const state = { head: 100 };
  const record = (seq: number): StoredRecord => ({ seq, text: String(seq).padStart(10, '0') });
  const store = {
    read(sessionId: string, afterSeq: number, bounds: { recordsMax: number }, done: Done<LogPage>) {
      const records = Array.from({ length: Math.min(bounds.recordsMax, state.head - afterSeq) }, (_, i) =>
        record(afterSeq + 1 + i),
      );
      const page = { records, head: state.head };
      asked.push({ sessionId, afterSeq, answer: (error) => done(error ?? null, page) });
    },
  } as unknown as LogStore;
  const clock = { soon: (fn: () => void) => void soon.push(fn) } as unknown as Clock;
  const limits = { ...LIMITS, readPageRecordsMax: 10, ...over };
  const pages = createLogPages({ store, clock, limits });
  const got: (number[] | string)[] = [];
  const read = (sessionId: string, afterSeq: number): void =>
    pages.read(sessionId, afterSeq, (error, page) => {
      got.push(error ? error.code : page.records.map((r) => r.seq));
    });
  const turn = (): void => {
    for (const fn of soon.splice(0)) fn();
  };
  return { asked, got, pages, read, state, turn };
};

const upTo = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test('[EV2] readers that want the same page share one read, and each gets all of it', () => {
  const w = world();
  w.read('a', 0);
  w.read('a', 0);
  w.read('b', 0);
  expect(w.asked).toHaveLength(2);
  expect(w.got).toEqual([]);
  w.asked[0]?.answer();
  expect(w.got).toEqual([upTo(1, 10), upTo(1, 10)]);
  expect(w.asked[1]?.sessionId).toBe('b');
});

test('[EV2] a cursor in the middle of a kept page continues there; one behind or beyond it reads the log', () => {
  const w = world();
  w.read('a', 10);
  w.asked[0]?.answer();
  w.got.length = 0;
  w.read('a', 13);
  expect(w.got, 'never in the stack of the caller').toEqual([]);
  w.turn();
  expect(w.got).toEqual([upTo(14, 20)]);
  w.read('a', 9);
  w.read('a', 20);
  w.read('b', 13);
  expect(w.asked.slice(1).map((r) => [r.sessionId, r.afterSeq])).toEqual([
    ['a', 9],
    ['a', 20],
    ['b', 13],
  ]);
});

test('[EV2] the end of the log is never kept as if it were final', () => {
  const w = world();
  w.state.head = 5;
  w.read('a', 0);
  w.asked[0]?.answer();
  w.read('a', 5);
  w.asked[1]?.answer();
  w.state.head = 8;
  w.read('a', 5);
  w.asked[2]?.answer();
  w.turn();
  expect(w.got).toEqual([upTo(1, 5), [], upTo(6, 8)]);
});

test('a read that failed is told to all who wait, and tried again', () => {
  const w = world();
  w.read('a', 0);
  w.read('a', 0);
  w.asked[0]?.answer(new OptaError('storage', 'broken'));
  w.read('a', 0);
  w.asked[1]?.answer();
  expect(w.got).toEqual(['storage', 'storage', upTo(1, 10)]);
});

test('[SV3] what is kept is bounded over all sessions, oldest out first, and goes with its session', () => {
  const w = world({ sharedPagesBytesMax: 250 as never });
  for (const [i, sessionId] of ['a', 'b', 'c'].entries()) {
    w.read(sessionId, 0);
    w.asked[i]?.answer();
  }
  expect(w.pages.bytes).toBe(200);
  w.read('a', 0);
  expect(w.asked).toHaveLength(4);
  w.read('c', 0);
  w.turn();
  expect(w.asked).toHaveLength(4);
  w.pages.forget('b');
  w.pages.forget('c');
  expect(w.pages.bytes).toBe(0);
  w.read('c', 0);
  expect(w.asked).toHaveLength(5);
});

test('[EV2] what was under way when the last reader left is not kept: the next one reads the head of now', () => {
  const w = world();
  w.read('a', 90);
  w.pages.forget('a');
  w.state.head = 101;
  w.read('a', 90);
  expect(w.asked).toHaveLength(2);
  w.asked[0]?.answer();
  w.asked[1]?.answer();
  w.read('a', 100);
  w.turn();
  w.asked[2]?.answer();
  expect(w.got).toEqual([upTo(91, 100), upTo(91, 100), [101]]);
  expect(w.pages.bytes).toBe(110);
});
