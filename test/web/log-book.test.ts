import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Envelope } from '../../src/protocol/envelope.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { emptySession, foldAll } from '../../src/protocol/session-state.ts';
import { stateHash } from '../../src/protocol/state-hash.ts';
import {
  LogBook,
  MARKS_MAX,
  nextMark,
  PAGE_EVENTS,
  PAGES_MAX,
  type ReadEvents,
} from '../../src/web/pages/inspector/log-book.ts';
import { legalLog } from '../protocol/legal-log.ts';

const { signal } = new AbortController();
const envelope = (r: LogRecord): Envelope => ({ v: '3', daemonId: 'd', sessionId: 's', ...r });
/** A daemon that answers at most `most` events at once, whatever is asked. */
const reader = (log: readonly LogRecord[], most = Number.POSITIVE_INFINITY) => {
  const asked: number[] = [];
  const read: ReadEvents = async (afterSeq, limit) => {
    asked.push(afterSeq);
    return {
      events: log
        .filter((r) => r.seq > afterSeq)
        .slice(0, Math.min(limit, most))
        .map(envelope),
    };
  };
  return { read, asked };
};

/** As long as wanted: turns that say one word. */
const longLog = (events: number): LogRecord[] => {
  const ts = '2026-01-01T00:00:00.000Z';
  const facts: { event: string; payload: object }[] = [];
  const who = { writerId: 'ada', clientId: 'c' };
  for (let i = 0; facts.length < events; i++) {
    const turnId = `t${i}`;
    facts.push(
      {
        event: 'turn.queued',
        payload: { turnId, ...who, content: 'hi', mode: 'chat', onBusy: 'enqueue', position: 1 },
      },
      { event: 'turn.start', payload: { turnId, ...who } },
      { event: 'turn.token', payload: { turnId, ...who, text: `word ${i}` } },
      { event: 'turn.done', payload: { turnId, ...who, stats: {} } },
    );
  }
  return facts.slice(0, events).map((fact, i) => ({ ...fact, seq: i + 1, ts }) as unknown as LogRecord);
};

describe('a log that is leafed through', () => {
  test('every moment is the fold of the events up to it, as every client has it', async () => {
    await fc.assert(
      fc.asyncProperty(legalLog, fc.integer({ min: 1, max: 7 }), async (log, most) => {
        const book = new LogBook('s', reader(log, most).read);
        await book.readOn(signal);
        expect([book.head, book.atEnd]).toEqual([log.length, true]);
        for (const seq of [0, 1, Math.floor(log.length / 2), log.length]) {
          const { state, record } = await book.at(seq, signal);
          expect(stateHash(state)).toBe(stateHash(foldAll(emptySession('s'), log.slice(0, seq))));
          expect(record?.seq ?? 0).toBe(seq);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('reads a bounded number of events at once, keeps few pages, and reads the others again', async () => {
    const log = longLog(PAGE_EVENTS * (PAGES_MAX + 4) + 10);
    const { read, asked } = reader(log);
    const book = new LogBook('s', read);
    await book.readOn(signal, PAGE_EVENTS * 3);
    expect([book.head, book.atEnd]).toEqual([PAGE_EVENTS * 3, false]);
    while (!book.atEnd) await book.readOn(signal);
    expect(book.head).toBe(log.length);
    const before = asked.length;
    await book.at(log.length, signal);
    expect(asked.length, 'still there').toBe(before);
    const early = await book.at(1_500, signal);
    expect(asked.slice(before), 'read again').toEqual([PAGE_EVENTS]);
    expect(early.state).toEqual(foldAll(emptySession('s'), log.slice(0, 1_500)));
    await book.at(1_501, signal);
    expect(asked.length, 'and kept').toBe(before + 1);
  });

  test('what is written meanwhile is read on, and no place beyond it can be asked for', async () => {
    const log = longLog(6);
    const { read } = reader(log);
    const book = new LogBook('s', read);
    await book.readOn(signal);
    log.push(...longLog(11).slice(6));
    expect((await book.at(99, signal)).seq).toBe(6);
    await book.readOn(signal);
    expect((await book.at(99, signal)).seq).toBe(11);
    expect((await book.at(-3, signal)).record).toBeNull();
    expect((await book.at(9.7, signal)).seq).toBe(9);
    expect(book.marks.map((m) => m.seq)).toEqual([2, 4, 6, 8, 10]);
  });

  test('a hole in the log is an error, and what was read before it stays', async () => {
    const log = longLog(PAGE_EVENTS + 50);
    const book = new LogBook('s', reader(log.filter((r) => r.seq !== PAGE_EVENTS + 20)).read);
    await expect(book.readOn(signal)).rejects.toThrow(
      `event ${PAGE_EVENTS + 21} stands where ${PAGE_EVENTS + 20} belongs`,
    );
    expect(book.head).toBe(PAGE_EVENTS);
    expect((await book.at(PAGE_EVENTS, signal)).seq).toBe(PAGE_EVENTS);
  });

  test('marks are where turns begin and end, where somebody is asked, and where something fails', async () => {
    const ts = '';
    const error = (outcome: string, seq: number) =>
      ({
        event: 'turn.error',
        seq,
        ts,
        payload: { turnId: 't', outcome, message: '', code: 'x', partial: false },
      }) as unknown as LogRecord;
    const log = [error('error', 1), error('cancelled', 2), error('interrupted', 3)];
    const book = new LogBook('s', reader(log).read);
    await book.readOn(signal);
    expect(book.marks.map((m) => m.kind)).toEqual(['error', 'end', 'end']);
    expect(nextMark(book.marks, 1, 1)?.seq).toBe(2);
    expect(nextMark(book.marks, 2, -1)?.seq).toBe(1);
    expect(nextMark(book.marks, 3, 1)).toBeNull();
  });

  test('marks are bounded', async () => {
    const book = new LogBook('s', reader(longLog(MARKS_MAX * 2 + 400)).read);
    while (!book.atEnd) await book.readOn(signal);
    expect(book.marks).toHaveLength(MARKS_MAX);
  });
});
