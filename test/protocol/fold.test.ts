import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRunning } from '../../src/protocol/background.ts';
import { checkRecord } from '../../src/protocol/envelope.ts';
import { EVENTS, type EventName, type Fact, isTerminal, type LogRecord } from '../../src/protocol/events.ts';
import { type Message, SessionSnapshotSchema } from '../../src/protocol/session.ts';
import {
  emptySession,
  fold,
  foldAll,
  openRequests,
  type SessionState,
  toSnapshot,
} from '../../src/protocol/session-state.ts';
import { legalLog } from './legal-log.ts';
import { pageFold } from './page-fold.ts';
import { anyFact, anyLog, payloads } from './records.ts';

const throughJson = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
const folded = (log: readonly LogRecord[]): SessionState => foldAll(emptySession('s'), log);

/** What is wrong with the pairing of calls and results; null when nothing is. Calls may be open only at the very end. */
const unpaired = (messages: readonly Message[], openAtEnd: boolean): string | null => {
  let open: string[] = [];
  let passed: string[] = [];
  for (const [i, m] of messages.entries()) {
    if (m.role === 'tool') {
      const id = m.tool_call_id ?? '';
      if (passed.includes(id)) return `message ${i} answers ${id} behind a later call`;
      if (!open.includes(id)) return `message ${i} answers ${id}, which is not open`;
      const at = open.indexOf(id);
      passed = [...passed, ...open.slice(0, at)];
      open = open.slice(at + 1);
    } else {
      if (open.length + passed.length > 0)
        return `message ${i} comes before the results of ${[...passed, ...open].join(', ')}`;
      open = (m.tool_calls ?? []).map(({ id }) => id);
      passed = [];
      if (new Set(open).size !== open.length) return `message ${i} has one call twice`;
    }
  }
  const left = [...passed, ...open];
  return left.length > 0 && !openAtEnd ? `no result of ${left.join(', ')}` : null;
};

describe('any log that the event table allows', () => {
  test('[EV3] the records of these tests are valid, and each event comes up', () => {
    for (const event of Object.keys(EVENTS) as EventName[]) {
      fc.assert(
        fc.property(payloads[event], (payload) => checkRecord({ event, payload, seq: 1, ts: '' } as LogRecord)),
        { numRuns: 20 },
      );
    }
    const seen = new Set(fc.sample(anyFact, { numRuns: 2_000, seed: 1 }).map(({ event }) => event));
    expect(seen.size).toBe(Object.keys(EVENTS).length);
  });

  test('[CR2] the fold never throws, keeps its input as it was, and takes the seq of each record', () => {
    fc.assert(
      fc.property(anyLog, (log) => {
        let s = emptySession('s');
        for (const r of log) {
          const before = JSON.stringify(s);
          const record = JSON.stringify(r);
          const next = fold(s, r);
          expect(JSON.stringify(s)).toBe(before);
          expect(JSON.stringify(r)).toBe(record);
          expect(next.seq).toBe(s.seq + 1);
          s = next;
        }
      }),
      { numRuns: 150 },
    );
  });

  test('[CR2] the state is JSON: from a snapshot at any point the rest gives what the whole log gives', () => {
    fc.assert(
      fc.property(anyLog, fc.nat(), (log, n) => {
        const at = log.length === 0 ? 0 : n % (log.length + 1);
        const snapshot = folded(log.slice(0, at));
        expect(throughJson(snapshot)).toStrictEqual(snapshot);
        expect(foldAll(throughJson(snapshot), log.slice(at))).toStrictEqual(folded(log));
      }),
      { numRuns: 200 },
    );
  });

  test('[CR2] the revision moves with what changes the conversation and with nothing else', () => {
    fc.assert(
      fc.property(anyLog, (log) => {
        let s = emptySession('s');
        for (const r of log) {
          const next = fold(s, r);
          const moves = r.event === 'turn.queued' || isTerminal(r) || (r.event === 'session.snapshot' && s.seq === 0);
          expect(next.revision, r.event).toBe(moves ? r.seq : s.revision);
          s = next;
        }
      }),
      { numRuns: 150 },
    );
  });

  test('[CR2] toSnapshot fits its schema and has no undefined field', () => {
    fc.assert(
      fc.property(anyLog, (log) => {
        const snapshot = toSnapshot(folded(log));
        expect(throughJson(snapshot)).toStrictEqual(snapshot);
        expect(SessionSnapshotSchema.parse(snapshot)).toEqual(snapshot);
        expect(snapshot.writerCount).toBeLessThanOrEqual(
          snapshot.queuedTurns + (snapshot.activeTurnId === undefined ? 0 : 1),
        );
      }),
      { numRuns: 200 },
    );
  });

  test('[CR2] events of a turn that does not run change nothing but the seq', () => {
    const ofTurn = [
      'turn.progress',
      'turn.token',
      'turn.thinking',
      'permission.request',
      'tool.start',
      'tool.end',
    ] as const;
    const stray = fc
      .constantFrom(...ofTurn)
      .chain((event) =>
        payloads[event].map((payload) => ({ event, payload: { ...payload, turnId: 'nobody' } }) as Fact),
      );
    fc.assert(
      fc.property(anyLog, stray, (log, fact) => {
        const s = folded(log);
        expect(fold(s, { ...fact, seq: s.seq + 1, ts: '' })).toStrictEqual({ ...s, seq: s.seq + 1 });
      }),
      { numRuns: 100 },
    );
  });

  test('[CR2] an event with a name that this version does not know moves the seq and nothing else', () => {
    fc.assert(
      fc.property(anyLog, fc.jsonValue(), (log, payload) => {
        const s = folded(log);
        const unknown = { event: 'agent.phase', payload, seq: s.seq + 1, ts: '' } as unknown as LogRecord;
        expect(fold(s, unknown)).toStrictEqual({ ...s, seq: s.seq + 1 });
      }),
      { numRuns: 50 },
    );
  });
});

describe('any log that a session could write', () => {
  test('[TQ3] the generator reaches what it should', () => {
    const logs = fc.sample(legalLog, { numRuns: 200, seed: 1 });
    const seen = new Set(
      logs.flat().map((r) => (r.event === 'turn.error' ? `${r.event} ${r.payload.outcome}` : r.event)),
    );
    const wanted = Object.keys(EVENTS).filter((name) => !['session.updated', 'turn.error'].includes(name));
    expect(
      [...wanted, 'turn.error error', 'turn.error cancelled', 'turn.error interrupted'].filter(
        (name) => !seen.has(name),
      ),
    ).toEqual([]);
    // More than one call open when the turn ends: the interesting case.
    const cut = logs.some((log) =>
      log.some(
        (r, i) =>
          isTerminal(r) &&
          (folded(log.slice(0, i)).active?.calls ?? []).filter((c) => c.progress.state === 'waiting').length > 1,
      ),
    );
    expect(cut).toBe(true);
    // A call that is cancelled while an earlier one is open.
    const early = logs.flat().filter((r) => r.event === 'permission.resolved' && r.payload.cancelledBy !== undefined);
    expect(early.length).toBeGreaterThan(5);
    expect(logs.filter((log) => folded(log).remembered).length).toBeGreaterThan(5);
  });

  test('[PM6] what is not remembered leaves no mark in the state', () => {
    fc.assert(
      fc.property(legalLog, (log) => {
        const s = folded(log);
        expect('remembered' in s).toBe(s.remembered !== undefined && s.remembered.length > 0);
        expect(toSnapshot(s).remembered).toEqual(s.remembered);
      }),
      { numRuns: 100 },
    );
  });

  test('[TQ3] [CR2] each tool call has exactly one result once its turn has ended, in call order and before the next message', () => {
    fc.assert(
      fc.property(legalLog, (log) => {
        let s = emptySession('s');
        for (const r of log) {
          s = fold(s, r);
          expect(unpaired(s.messages, s.active !== null), `after ${r.seq} ${r.event}`).toBeNull();
        }
      }),
      { numRuns: 150 },
    );
  });

  test('[TQ1] [TQ3] a turn waits or runs until its terminal event and is gone after it', () => {
    fc.assert(
      fc.property(legalLog, (log) => {
        const alive = new Set<string>();
        let s = emptySession('s');
        for (const r of log) {
          s = fold(s, r);
          if (r.event === 'turn.queued') alive.add(r.payload.turnId);
          if (r.event === 'turn.done' || r.event === 'turn.error') alive.delete(r.payload.turnId);
          const held = [...s.queue.map((t) => t.turnId), ...(s.active ? [s.active.turnId] : [])];
          expect(held.length).toBe(alive.size);
          expect(new Set(held)).toEqual(alive);
        }
      }),
      { numRuns: 100 },
    );
  });

  test('[CR2] a client that follows the fold table of docs/PROTOCOL.md sees the same session', () => {
    fc.assert(
      fc.property(legalLog, (log) => {
        const s = folded(log);
        const page = pageFold(log);
        expect({
          seq: s.seq,
          revision: s.revision,
          messages: s.messages,
          queue: s.queue.map((t) => t.turnId),
          running: s.active?.turnId ?? null,
          cancelling: s.active?.cancelling ?? false,
          open: (s.active?.calls ?? [])
            .filter((c) => c.progress.state !== 'ended' && c.progress.state !== 'refused')
            .map((c) => c.id),
          asked: openRequests(s).map((o) => o.asked.requestId),
          toolCalls: s.toolCallCount,
          remembered: s.remembered ?? [],
          background: s.background.filter(isRunning).map((p) => p.processId),
        }).toEqual(page);
      }),
      { numRuns: 200 },
    );
  });

  test('[CR2] from a snapshot at any point the rest gives what the whole log gives', () => {
    fc.assert(
      fc.property(legalLog, fc.nat(), (log, n) => {
        const at = n % (log.length + 1);
        expect(foldAll(throughJson(folded(log.slice(0, at))), log.slice(at))).toStrictEqual(folded(log));
      }),
      { numRuns: 100 },
    );
  });

  test('[PM2] a decision is remembered once, with who took it, and only of a request that was open', () => {
    fc.assert(
      fc.property(legalLog, (log) => {
        const asked = new Set(log.flatMap((r) => (r.event === 'permission.request' ? [r.payload.requestId] : [])));
        const answers = log.flatMap((r) =>
          r.event === 'permission.resolved' && asked.has(r.payload.requestId) ? [r.payload] : [],
        );
        const taken = answers.map(({ requestId, decision, decidedBy }) => ({ requestId, decision, decidedBy }));
        expect(folded(log).decisions).toEqual(taken);
      }),
      { numRuns: 100 },
    );
  });
});

test('[TQ3] the oracle of pairing sees what it looks for', () => {
  const call = (id: string): Message => ({
    role: 'assistant',
    content: '',
    tool_calls: [{ id, type: 'function', function: { name: 'n', arguments: '' } }],
  });
  const result = (id: string): Message => ({ role: 'tool', content: '', tool_call_id: id });
  const user: Message = { role: 'user', content: '' };
  expect(unpaired([call('a'), result('a'), user, call('a'), result('a')], false)).toBeNull();
  expect(unpaired([call('a')], true)).toBeNull();
  for (const bad of [[call('a')], [result('a')], [call('a'), user, result('a')], [call('a'), result('a'), result('a')]])
    expect(unpaired(bad, false)).not.toBeNull();
});
