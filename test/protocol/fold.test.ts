import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkRecord } from '../../src/protocol/envelope.ts';
import { EVENTS, type EventName, type Fact, isTerminal, type LogRecord } from '../../src/protocol/events.ts';
import { type Message, SessionSnapshotSchema } from '../../src/protocol/session.ts';
import { DECISIONS_KEPT_MAX, emptySession, fold, foldAll, openRequests, type SessionState, toSnapshot } from '../../src/protocol/session-state.ts';
import { legalLog } from './legal-log.ts';
import { pageFold } from './page-fold.ts';
import { anyFact, anyLog, number, payloads } from './records.ts';

const throughJson = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
const folded = (log: readonly LogRecord[]): SessionState => foldAll(emptySession('s'), log);

/** What is wrong with the pairing of calls and results; null when nothing is. Calls may be open only at the very end. */
const unpaired = (messages: readonly Message[], openAtEnd: boolean): string | null => {
  let open: string[] = [];
  for (const [i, m] of messages.entries()) {
    if (m.role === 'tool') {
      if (!open.includes(m.tool_call_id ?? '')) return `message ${i} answers ${m.tool_call_id}, which is not open`;
      open = open.filter((id) => id !== m.tool_call_id);
    } else {
      if (open.length > 0) return `message ${i} comes before the results of ${open.join(', ')}`;
      open = (m.tool_calls ?? []).map(({ id }) => id);
      if (new Set(open).size !== open.length) return `message ${i} has one call twice`;
    }
  }
  return open.length > 0 && !openAtEnd ? `no result of ${open.join(', ')}` : null;
};

describe('any log that the event table allows', () => {
  test('[EV3] the records of these tests are valid, and each event comes up', () => {
    for (const event of Object.keys(EVENTS) as EventName[]) {
      fc.assert(fc.property(payloads[event], (payload) => checkRecord({ event, payload, seq: 1, ts: '' } as LogRecord)), { numRuns: 20 });
    }
    const seen = new Set(fc.sample(anyFact, 2_000).map(({ event }) => event));
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
        expect(snapshot.writerCount).toBeLessThanOrEqual(snapshot.queuedTurns + (snapshot.activeTurnId === undefined ? 0 : 1));
      }),
      { numRuns: 200 },
    );
  });

  test('[CR2] events of a turn that does not run change nothing but the seq', () => {
    const ofTurn: EventName[] = ['turn.progress', 'turn.token', 'turn.thinking', 'permission.request'];
    const stray = fc.constantFrom(...ofTurn).chain((event) => payloads[event].map((payload) => ({ event, payload: { ...payload, turnId: 'nobody' } }) as Fact));
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
    const logs = fc.sample(legalLog, 200);
    const seen = new Set(logs.flat().map((r) => (r.event === 'turn.error' ? `${r.event} ${r.payload.outcome}` : r.event)));
    const wanted = Object.keys(EVENTS).filter((name) => !['session.updated', 'turn.error'].includes(name));
    expect([...wanted, 'turn.error error', 'turn.error cancelled', 'turn.error interrupted'].filter((name) => !seen.has(name))).toEqual([]);
    // More than one call open when the turn ends: the interesting case.
    const cut = logs.some((log) => log.some((r, i) => isTerminal(r) && (folded(log.slice(0, i)).active?.calls ?? []).filter((c) => c.progress.state === 'waiting').length > 1));
    expect(cut).toBe(true);
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
          open: (s.active?.calls ?? []).filter((c) => c.progress.state !== 'ended' && c.progress.state !== 'refused').map((c) => c.id),
          asked: openRequests(s).map((o) => o.asked.requestId),
          toolCalls: s.toolCallCount,
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
        const answers = log.flatMap((r) => (r.event === 'permission.resolved' && asked.has(r.payload.requestId) ? [r.payload] : []));
        const taken = answers.map(({ requestId, decision, decidedBy }) => ({ requestId, decision, decidedBy }));
        expect(folded(log).decisions).toEqual(taken);
      }),
      { numRuns: 100 },
    );
  });
});

// --- event by event ----------------------------------------------------------------------------------------------------

const AT = '2026-01-01T00:00:00.000Z';
const snap = { sessionId: 's', model: 'm', createdAt: AT, updatedAt: AT, queuedTurns: 0, toolCallCount: 0, writerCount: 0 };
const made: Fact = { event: 'session.snapshot', payload: { snapshot: snap, messages: [] } };
const by = (turnId: string, writerId = 'ada') => ({ turnId, writerId, clientId: 'c' });
const queued = (turnId: string, position = 9, writerId = 'ada'): Fact => ({
  event: 'turn.queued',
  payload: { ...by(turnId, writerId), queueSize: 1, position, content: `do ${turnId}`, mode: 'do', onBusy: 'enqueue' },
});
const start = (turnId: string): Fact => ({ event: 'turn.start', payload: { ...by(turnId), mode: 'do' } });
const token = (turnId: string, text: string): Fact => ({ event: 'turn.token', payload: { turnId, text, step: 1 } });
const calls = (turnId: string, ...ids: string[]): Fact => ({
  event: 'turn.progress',
  payload: { turnId, phase: 'model.response', message: null, provider: null, step: 1, calls: ids.map((id) => ({ id, name: `n_${id}`, args: '{"a":1}' })) },
});
const request = (turnId: string, callId: string, requestId: string): Fact => ({
  event: 'permission.request',
  payload: { turnId, callId, requestId, toolName: 'n', args: {}, summary: 'sum', expiresAt: AT },
});
const resolved = (turnId: string, callId: string, requestId: string, decision: 'allow' | 'deny', message?: string): Fact => ({
  event: 'permission.resolved',
  payload: { turnId, callId, requestId, toolName: 'n', decision, reason: 'person', decidedBy: 'person:ada', ...(message === undefined ? {} : { message }) },
});
const toolStart = (turnId: string, id: string): Fact => ({ event: 'tool.start', payload: { turnId, id, name: 'n', args: '{}', decidedBy: 'rule:read' } });
const toolEnd = (turnId: string, id: string, result: string): Fact => ({ event: 'tool.end', payload: { turnId, id, name: 'n', result, isError: false, elapsedMs: 1 } });
const stats = { tokens: 1, promptTokens: 1, completionTokens: 1, toolCalls: 0, elapsed: 1, elapsedMs: 1, speed: 1, firstTokenLatencyMs: 1 };
const done = (turnId: string): Fact => ({ event: 'turn.done', payload: { ...by(turnId), stats, outcome: 'done' } });
const failed = (turnId: string): Fact => ({ event: 'turn.error', payload: { ...by(turnId), message: 'm', code: 'internal', outcome: 'error', partial: false } });
const running = [made, queued('t'), start('t')];
const NOT_RUN = 'The call was not run: the turn ended before it.';

const session = (...facts: Fact[]): SessionState => folded(number(facts, AT));
const ids = (s: SessionState): string[] => s.queue.map((t) => t.turnId);
const said = (s: SessionState): string[] => s.messages.map((m) => `${m.role}${m.tool_call_id === undefined ? '' : ` ${m.tool_call_id}`}: ${m.content}`);
const places = (s: SessionState): string[] => (s.active?.calls ?? []).map((c) => `${c.id} ${c.progress.state}`);

describe('event by event', () => {
  test.each<[event: EventName, what: string, facts: Fact[], seen: (s: SessionState) => unknown, expected: unknown]>([
    ['session.snapshot', 'seeds the conversation', [{ event: 'session.snapshot', payload: { snapshot: { ...snap, title: 'T', workspace: '/w', metadata: { k: 1 } }, messages: [{ role: 'system', content: 'x' }] } }], (s) => [s.model, s.title, s.workspace, s.metadata, said(s), s.revision], ['m', 'T', '/w', { k: 1 }, ['system: x'], 1]],
    ['session.snapshot', 'a second one changes nothing', [made, queued('t'), { event: 'session.snapshot', payload: { snapshot: { ...snap, model: 'other' }, messages: [] } }], (s) => [s.model, ids(s), s.revision, s.seq], ['m', ['t'], 2, 3]],
    ['session.updated', 'changes nothing', [made, { event: 'session.updated', payload: { snapshot: { ...snap, model: 'other' } } }], (s) => [s.model, s.revision, s.seq], ['m', 1, 2]],
    ['turn.queued', 'goes to the end', [made, queued('a', 1), queued('b', 2), queued('c', 3)], ids, ['a', 'b', 'c']],
    ['turn.queued', 'goes to the head at position 1', [made, queued('a', 1), queued('b', 2), queued('c', 1)], ids, ['c', 'a', 'b']],
    ['turn.start', 'moves the turn out of the queue and asks for it', [made, queued('a', 1), queued('b', 2), start('b')], (s) => [ids(s), s.active?.turnId, said(s)], [['a'], 'b', ['user: do b']]],
    ['turn.start', 'of a turn that does not wait changes nothing', [made, start('x')], (s) => [s.active, said(s)], [null, []]],
    ['turn.progress', 'model.request notes step and model', [...running, { event: 'turn.progress', payload: { turnId: 't', phase: 'model.request', message: null, provider: 'p', step: 3, model: 'big' } }], (s) => [s.active?.step, s.active?.model], [3, 'big']],
    ['turn.progress', 'model.response moves the text and opens the calls in order', [...running, token('t', 'hm'), calls('t', 'b', 'a')], (s) => [said(s), s.messages.at(-1)?.tool_calls?.[0], s.active?.text, places(s)], [['user: do t', 'assistant: hm'], { id: 'b', type: 'function', function: { name: 'n_b', arguments: '{"a":1}' } }, '', ['b waiting', 'a waiting']]],
    ['turn.token', 'appends, byte for byte', [...running, token('t', 'a\u0000'), token('t', '\ud83d'), token('t', '\ude00')], (s) => [s.active?.text, s.active?.hasText], ['a\u0000\u{1f600}', true]],
    ['turn.thinking', 'is not part of the conversation', [...running, { event: 'turn.thinking', payload: { turnId: 't', text: 'hm', step: 1 } }, done('t')], said, ['user: do t', 'assistant: ']],
    ['permission.request', 'is open until it is resolved', [...running, calls('t', 'a'), request('t', 'a', 'p')], (s) => openRequests(s).map((o) => [o.call.id, o.asked.requestId, o.asked.summary]), [['a', 'p', 'sum']]],
    ['permission.resolved', 'an allow waits for the start of the tool', [...running, calls('t', 'a'), request('t', 'a', 'p'), resolved('t', 'a', 'p', 'allow'), toolStart('t', 'a')], (s) => [places(s), openRequests(s), s.decisions], [['a started'], [], [{ requestId: 'p', decision: 'allow', decidedBy: 'person:ada' }]]],
    ['permission.resolved', 'a deny is the result of the call', [...running, calls('t', 'a', 'b'), request('t', 'a', 'p'), resolved('t', 'a', 'p', 'deny', 'no')], (s) => [places(s), said(s).at(-1)], [['a refused', 'b waiting'], 'tool a: no']],
    ['permission.resolved', 'a rule needs no request, and is nobody’s decision', [...running, calls('t', 'a'), resolved('t', 'a', 'a', 'deny')], (s) => [places(s), said(s).at(-1), s.decisions], [['a refused'], 'tool a: The call was not allowed (person).', []]],
    ['tool.start', 'counts', [...running, calls('t', 'a'), toolStart('t', 'a')], (s) => [places(s), s.toolCallCount, s.active?.toolCalls], [['a started'], 1, 1]],
    ['tool.end', 'is the result of the call', [...running, calls('t', 'a'), toolStart('t', 'a'), toolEnd('t', 'a', 'r')], (s) => [places(s), said(s).at(-1)], [['a ended'], 'tool a: r']],
    ['session.cancelled', 'of the turn', [...running, { event: 'session.cancelled', payload: { cancelled: 1, turnId: 't' } }], (s) => s.active?.cancelling, true],
    ['session.cancelled', 'of the writer', [...running, { event: 'session.cancelled', payload: { cancelled: 1, writerId: 'ada' } }], (s) => s.active?.cancelling, true],
    ['session.cancelled', 'the turn outranks the writer', [...running, { event: 'session.cancelled', payload: { cancelled: 1, turnId: 'x', writerId: 'ada' } }], (s) => s.active?.cancelling, false],
    ['session.cancelled', 'without a target hits nothing', [...running, { event: 'session.cancelled', payload: { cancelled: 0 } }], (s) => s.active?.cancelling, false],
    ['turn.done', 'leaves an answer, even an empty one', [...running, done('t')], (s) => [s.active, said(s), s.revision], [null, ['user: do t', 'assistant: '], 4]],
    ['turn.error', 'keeps what there was of the answer', [...running, token('t', 'par'), failed('t')], (s) => [s.active, said(s)], [null, ['user: do t', 'assistant: par']]],
    ['turn.error', 'leaves nothing where there was nothing', [...running, failed('t')], said, ['user: do t']],
    ['turn.error', 'answers the calls that it cut off', [...running, calls('t', 'a', 'b', 'c'), toolStart('t', 'a'), toolEnd('t', 'a', 'r'), toolStart('t', 'b'), failed('t')], said, ['user: do t', 'assistant: ', 'tool a: r', `tool b: ${NOT_RUN}`, `tool c: ${NOT_RUN}`]],
    ['turn.error', 'takes a queued turn out and leaves the running one alone', [...running, queued('q'), failed('q')], (s) => [ids(s), s.active?.turnId, s.revision], [[], 't', 5]],
  ])('[CR2] %s %s', (_event, _what, facts, seen, expected) => {
    expect(seen(session(...facts))).toEqual(expected);
  });

  test('[CR2] each event has a row above', () => {
    const steps: Fact[] = [made, queued('t'), start('t')];
    expect(session(...steps).seq).toBe(3);
  });

  test('[PM2] [SV3] decisions are kept up to their bound, the oldest go first', () => {
    const rounds = DECISIONS_KEPT_MAX + 5;
    const facts = Array.from({ length: rounds }, (_, i) => [calls('t', `c${i}`), request('t', `c${i}`, `p${i}`), resolved('t', `c${i}`, `p${i}`, 'deny')]).flat();
    const { decisions } = session(...running, ...facts);
    expect(decisions.length).toBe(DECISIONS_KEPT_MAX);
    expect([decisions[0]?.requestId, decisions.at(-1)?.requestId]).toEqual(['p5', `p${rounds - 1}`]);
  });

  test('[CR2] toSnapshot counts writers and leaves out what is unset', () => {
    expect(toSnapshot(session(...running, queued('a', 9, 'bob'), queued('b', 9, 'ada')))).toStrictEqual({
      sessionId: 's', model: 'm', createdAt: AT, updatedAt: AT, activeTurnId: 't', queuedTurns: 2, toolCallCount: 0, writerCount: 2, seq: 5, revision: 5,
    });
    expect(Object.keys(toSnapshot(emptySession('s')))).not.toContain('title');
  });

  test('[TQ3] the oracle of pairing sees what it looks for', () => {
    const call = (id: string): Message => ({ role: 'assistant', content: '', tool_calls: [{ id, type: 'function', function: { name: 'n', arguments: '' } }] });
    const result = (id: string): Message => ({ role: 'tool', content: '', tool_call_id: id });
    const user: Message = { role: 'user', content: '' };
    expect(unpaired([call('a'), result('a'), user, call('a'), result('a')], false)).toBeNull();
    expect(unpaired([call('a')], true)).toBeNull();
    for (const bad of [[call('a')], [result('a')], [call('a'), user, result('a')], [call('a'), result('a'), result('a')]]) expect(unpaired(bad, false)).not.toBeNull();
  });
});
