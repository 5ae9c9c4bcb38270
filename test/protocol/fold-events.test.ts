import { describe, expect, test } from 'vitest';
import { ENDED_KEPT_MAX, MARK_EVERY } from '../../src/protocol/background.ts';
import { DECISIONS_KEPT_MAX } from '../../src/protocol/decisions.ts';
import { EVENTS, type EventName, type Fact } from '../../src/protocol/events.ts';
import {
  emptySession,
  foldAll,
  openRequests,
  type SessionState,
  toSnapshot,
} from '../../src/protocol/session-state.ts';
import { number } from './records.ts';

/** The fold, event by event: what each does to a session, in a row. */
const AT = '2026-01-01T00:00:00.000Z';
const snap = {
  sessionId: 's',
  model: 'm',
  createdAt: AT,
  updatedAt: AT,
  queuedTurns: 0,
  toolCallCount: 0,
  writerCount: 0,
};
const made: Fact = { event: 'session.snapshot', payload: { snapshot: snap, messages: [] } };
const by = (turnId: string, writerId = 'ada') => ({ turnId, writerId, clientId: 'c' });
const queued = (turnId: string, position = 9, writerId = 'ada'): Fact => ({
  event: 'turn.queued',
  payload: { ...by(turnId, writerId), queueSize: 1, position, content: `do ${turnId}`, mode: 'do', onBusy: 'enqueue' },
});
const start = (turnId: string): Fact => ({ event: 'turn.start', payload: { ...by(turnId), mode: 'do' } });
const wrote = (turnId: string, id: string, was: string | null, is: string): Fact => {
  const version = (blob: string) => ({ blob, bytes: 1, mode: 420 });
  const changes = [{ path: 'f', before: was === null ? null : version(was), after: version(is) }];
  return { event: 'tool.end', payload: { turnId, id, name: 'n', result: 'r', isError: false, elapsedMs: 1, changes } };
};
const token = (turnId: string, text: string): Fact => ({ event: 'turn.token', payload: { turnId, text, step: 1 } });
const calls = (turnId: string, ...ids: string[]): Fact => ({
  event: 'turn.progress',
  payload: {
    turnId,
    phase: 'model.response',
    message: null,
    provider: null,
    step: 1,
    calls: ids.map((id) => ({ id, name: `n_${id}`, args: '{"a":1}' })),
  },
});
const request = (turnId: string, callId: string, requestId: string): Fact => ({
  event: 'permission.request',
  payload: { turnId, callId, requestId, toolName: 'n', args: {}, summary: 'sum', expiresAt: AT },
});
const resolved = (
  turnId: string,
  callId: string,
  requestId: string,
  decision: 'allow' | 'deny',
  message?: string,
): Fact => ({
  event: 'permission.resolved',
  payload: {
    turnId,
    callId,
    requestId,
    toolName: 'n',
    decision,
    reason: 'person',
    decidedBy: 'person:ada',
    ...(message === undefined ? {} : { message }),
  },
});
const toolStart = (turnId: string, id: string): Fact => ({
  event: 'tool.start',
  payload: { turnId, id, name: 'n', args: '{}', decidedBy: 'rule:read' },
});
const toolEnd = (turnId: string, id: string, result: string): Fact => ({
  event: 'tool.end',
  payload: { turnId, id, name: 'n', result, isError: false, elapsedMs: 1 },
});
const stats = {
  tokens: 1,
  promptTokens: 1,
  completionTokens: 1,
  toolCalls: 0,
  elapsed: 1,
  elapsedMs: 1,
  speed: 1,
  firstTokenLatencyMs: 1,
};
const done = (turnId: string): Fact => ({ event: 'turn.done', payload: { ...by(turnId), stats, outcome: 'done' } });
const failed = (turnId: string): Fact => ({
  event: 'turn.error',
  payload: { ...by(turnId), message: 'm', code: 'internal', outcome: 'error', partial: false },
});
const status = (processId: string, state: 'running' | 'failed'): Fact => {
  const endedAt = state === 'running' ? null : AT;
  const [exitCode, reason] = state === 'running' ? ([null, 'started'] as const) : ([1, 'failed'] as const);
  const facts = { sessionId: 's', pid: 7, command: 'x', cwd: '/w', startedAt: AT, runtimeMs: 0, timeoutMs: 0 };
  const process = { processId, ...facts, state, exitCode, endedAt };
  return {
    event: 'background.status',
    payload: { process, reason, ...(state === 'running' ? { identity: 'id' } : { previousState: 'running' }) },
  };
};
const output = (processId: string, seq: number): Fact => ({
  event: 'background.output',
  payload: { processId, sessionId: 's', pid: 7, seq, ts: AT, stream: 'stdout', text: 'x' },
});
const running = [made, queued('t'), start('t')];
const NOT_RUN = 'The call was not run: the turn ended before it.';

const session = (...facts: Fact[]): SessionState => foldAll(emptySession('s'), number(facts, AT));
const ids = (s: SessionState): string[] => s.queue.map((t) => t.turnId);
const said = (s: SessionState): string[] =>
  s.messages.map((m) => `${m.role}${m.tool_call_id === undefined ? '' : ` ${m.tool_call_id}`}: ${m.content}`);
const places = (s: SessionState): string[] => (s.active?.calls ?? []).map((c) => `${c.id} ${c.progress.state}`);

type Row = [event: EventName, what: string, facts: Fact[], seen: (s: SessionState) => unknown, expected: unknown];

describe('event by event', () => {
  const ROWS: Row[] = [
    [
      'session.snapshot',
      'seeds the conversation',
      [
        {
          event: 'session.snapshot',
          payload: {
            snapshot: { ...snap, title: 'T', workspace: '/w', metadata: { k: 1 } },
            messages: [{ role: 'system', content: 'x' }],
          },
        },
      ],
      (s) => [s.model, s.title, s.workspace, s.metadata, said(s), s.revision],
      ['m', 'T', '/w', { k: 1 }, ['system: x'], 1],
    ],
    [
      'session.snapshot',
      'a second one changes nothing',
      [
        made,
        queued('t'),
        { event: 'session.snapshot', payload: { snapshot: { ...snap, model: 'other' }, messages: [] } },
      ],
      (s) => [s.model, ids(s), s.revision, s.seq],
      ['m', ['t'], 2, 3],
    ],
    [
      'session.updated',
      'changes nothing',
      [made, { event: 'session.updated', payload: { snapshot: { ...snap, model: 'other' } } }],
      (s) => [s.model, s.revision, s.seq],
      ['m', 1, 2],
    ],
    ['turn.queued', 'goes to the end', [made, queued('a', 1), queued('b', 2), queued('c', 3)], ids, ['a', 'b', 'c']],
    [
      'turn.queued',
      'goes to the head at position 1',
      [made, queued('a', 1), queued('b', 2), queued('c', 1)],
      ids,
      ['c', 'a', 'b'],
    ],
    [
      'turn.start',
      'moves the turn out of the queue and asks for it',
      [made, queued('a', 1), queued('b', 2), start('b')],
      (s) => [ids(s), s.active?.turnId, said(s)],
      [['a'], 'b', ['user: do b']],
    ],
    [
      'turn.start',
      'of a turn that does not wait changes nothing',
      [made, start('x')],
      (s) => [s.active, said(s)],
      [null, []],
    ],
    [
      'turn.progress',
      'model.request notes step and model',
      [
        ...running,
        {
          event: 'turn.progress',
          payload: { turnId: 't', phase: 'model.request', message: null, provider: 'p', step: 3, model: 'big' },
        },
      ],
      (s) => [s.active?.step, s.active?.model],
      [3, 'big'],
    ],
    [
      'turn.progress',
      'model.response moves the text and opens the calls in order',
      [...running, token('t', 'hm'), calls('t', 'b', 'a')],
      (s) => [said(s), s.messages.at(-1)?.tool_calls?.[0], s.active?.text, places(s)],
      [
        ['user: do t', 'assistant: hm'],
        { id: 'b', type: 'function', function: { name: 'n_b', arguments: '{"a":1}' } },
        '',
        ['b waiting', 'a waiting'],
      ],
    ],
    [
      'context.compacted',
      'says what is sent in place of the beginning, and leaves the conversation as it is',
      [
        ...running,
        {
          event: 'context.compacted',
          payload: { turnId: 't', step: 1, upTo: 1, summary: 's', by: 'digest', tokensBefore: 9, tokensAfter: 2 },
        },
      ],
      (s) => [said(s), s.compaction],
      [['user: do t'], { upTo: 1, summary: 's' }],
    ],
    [
      'turn.token',
      'appends, byte for byte',
      [...running, token('t', 'a\u0000'), token('t', '\ud83d'), token('t', '\ude00')],
      (s) => [s.active?.text, s.active?.hasText],
      ['a\u0000\u{1f600}', true],
    ],
    [
      'turn.thinking',
      'is not part of the conversation',
      [...running, { event: 'turn.thinking', payload: { turnId: 't', text: 'hm', step: 1 } }, done('t')],
      said,
      ['user: do t', 'assistant: '],
    ],
    [
      'permission.request',
      'is open until it is resolved',
      [...running, calls('t', 'a'), request('t', 'a', 'p')],
      (s) => openRequests(s).map((o) => [o.call.id, o.asked.requestId, o.asked.summary]),
      [['a', 'p', 'sum']],
    ],
    [
      'permission.resolved',
      'an allow waits for the start of the tool',
      [...running, calls('t', 'a'), request('t', 'a', 'p'), resolved('t', 'a', 'p', 'allow'), toolStart('t', 'a')],
      (s) => [places(s), openRequests(s), s.decisions],
      [['a started'], [], [{ requestId: 'p', decision: 'allow', decidedBy: 'person:ada' }]],
    ],
    [
      'permission.resolved',
      'a deny is the result of the call',
      [...running, calls('t', 'a', 'b'), request('t', 'a', 'p'), resolved('t', 'a', 'p', 'deny', 'no')],
      (s) => [places(s), said(s).at(-1)],
      [['a refused', 'b waiting'], 'tool a: no'],
    ],
    [
      'permission.resolved',
      'a rule needs no request, and is nobody’s decision',
      [...running, calls('t', 'a'), resolved('t', 'a', 'a', 'deny')],
      (s) => [places(s), said(s).at(-1), s.decisions],
      [['a refused'], 'tool a: The call was not allowed (person).', []],
    ],
    [
      'tool.start',
      'counts',
      [...running, calls('t', 'a'), toolStart('t', 'a')],
      (s) => [places(s), s.toolCallCount, s.active?.toolCalls],
      [['a started'], 1, 1],
    ],
    [
      'tool.end',
      'is the result of the call',
      [...running, calls('t', 'a'), toolStart('t', 'a'), toolEnd('t', 'a', 'r')],
      (s) => [places(s), said(s).at(-1)],
      [['a ended'], 'tool a: r'],
    ],
    [
      'files.restored',
      'marks what the turn did to files, of which the first before and the last after count',
      [
        ...running,
        calls('t', 'a', 'b'),
        toolStart('t', 'a'),
        wrote('t', 'a', null, 'one'),
        toolStart('t', 'b'),
        wrote('t', 'b', 'one', 'two'),
        done('t'),
        {
          event: 'files.restored',
          payload: { ofTurn: 't', how: 'undo', by: 'ada', restored: ['f'], kept: [] },
        },
      ],
      (s) => s.files,
      [
        {
          turnId: 't',
          undone: true,
          changes: [{ path: 'f', before: null, after: { blob: 'two', bytes: 1, mode: 420 } }],
        },
      ],
    ],
    [
      'files.committed',
      'is news, and changes nothing',
      [...running, done('t'), { event: 'files.committed', payload: { ofTurn: 't', commit: 'abc', paths: ['f'] } }],
      (s) => [s.files, s.messages.length],
      [undefined, 2],
    ],
    [
      'session.cancelled',
      'with a rollback: what the turn did to files is due when it has ended, and no longer',
      [
        ...running,
        calls('t', 'a'),
        toolStart('t', 'a'),
        wrote('t', 'a', null, 'one'),
        { event: 'session.cancelled', payload: { cancelled: 1, turnId: 't', rollback: 'ada' } },
        done('t'),
      ],
      (s) => s.rollback,
      { turnId: 't', by: 'ada' },
    ],
    [
      'session.cancelled',
      'of the turn',
      [...running, { event: 'session.cancelled', payload: { cancelled: 1, turnId: 't' } }],
      (s) => s.active?.cancelling,
      true,
    ],
    [
      'session.cancelled',
      'of the writer',
      [...running, { event: 'session.cancelled', payload: { cancelled: 1, writerId: 'ada' } }],
      (s) => s.active?.cancelling,
      true,
    ],
    [
      'session.cancelled',
      'the turn outranks the writer',
      [...running, { event: 'session.cancelled', payload: { cancelled: 1, turnId: 'x', writerId: 'ada' } }],
      (s) => s.active?.cancelling,
      false,
    ],
    [
      'session.cancelled',
      'without a target hits nothing',
      [...running, { event: 'session.cancelled', payload: { cancelled: 0 } }],
      (s) => s.active?.cancelling,
      false,
    ],
    [
      'turn.done',
      'leaves an answer, even an empty one',
      [...running, done('t')],
      (s) => [s.active, said(s), s.revision],
      [null, ['user: do t', 'assistant: '], 4],
    ],
    [
      'turn.error',
      'keeps what there was of the answer',
      [...running, token('t', 'par'), failed('t')],
      (s) => [s.active, said(s)],
      [null, ['user: do t', 'assistant: par']],
    ],
    ['turn.error', 'leaves nothing where there was nothing', [...running, failed('t')], said, ['user: do t']],
    [
      'turn.error',
      'answers the calls that it cut off',
      [
        ...running,
        calls('t', 'a', 'b', 'c'),
        toolStart('t', 'a'),
        toolEnd('t', 'a', 'r'),
        toolStart('t', 'b'),
        failed('t'),
      ],
      said,
      ['user: do t', 'assistant: ', 'tool a: r', `tool b: ${NOT_RUN}`, `tool c: ${NOT_RUN}`],
    ],
    [
      'turn.error',
      'takes a queued turn out and leaves the running one alone',
      [...running, queued('q'), failed('q')],
      (s) => [ids(s), s.active?.turnId, s.revision],
      [[], 't', 5],
    ],
    [
      'background.status',
      'keeps the process, while it runs and after its end, and moves no revision',
      [made, status('b1', 'running'), status('b2', 'running'), status('b1', 'failed')],
      (s) => [s.background.map((p) => `${p.processId} ${p.state} ${p.identity}`), s.revision],
      [['b1 failed id', 'b2 running id'], 1],
    ],
    [
      'background.status',
      'forgets the oldest of many that ended, and none that runs',
      [
        made,
        status('runs', 'running'),
        ...Array.from({ length: ENDED_KEPT_MAX + 2 }, (_, i) => [
          status(`b${i}`, 'running'),
          status(`b${i}`, 'failed'),
        ]).flat(),
      ],
      (s) => [s.background.length, s.background[0]?.processId, s.background[1]?.processId],
      [ENDED_KEPT_MAX + 1, 'runs', 'b2'],
    ],
    [
      'background.output',
      'counts the chunks of its process and keeps the place of every 256th, but no text',
      [
        made,
        status('b1', 'running'),
        ...Array.from({ length: MARK_EVERY + 1 }, (_, i) => output('b1', i + 1)),
        output('x', 1),
      ],
      (s) => s.background.map((p) => [p.chunks, p.marks]),
      [[MARK_EVERY + 1, [3, 3 + MARK_EVERY]]],
    ],
  ];
  test.each(ROWS)('[CR2] %s %s', (_event, _what, facts, seen, expected) => {
    expect(seen(session(...facts))).toEqual(expected);
  });

  test('[CR2] each event has a row above, and its facts hold that event', () => {
    expect([...new Set(ROWS.map(([event]) => event))].sort()).toEqual(Object.keys(EVENTS).sort());
    expect(
      ROWS.filter(([event, , facts]) => !facts.some((fact) => fact.event === event)).map(([event]) => event),
    ).toEqual([]);
  });

  test('[CR2] a call of another turn with the same id is another call', () => {
    const open = [...running, calls('t', 'a')];
    const stray = [toolStart('x', 'a'), toolEnd('x', 'a', 'r'), resolved('x', 'a', 'a', 'deny')];
    const s = session(...open, ...stray);
    expect([said(s), places(s), s.toolCallCount]).toEqual([said(session(...open)), ['a waiting'], 0]);
  });

  test('[PM2] [SV3] decisions are kept up to their bound, the oldest go first', () => {
    const rounds = DECISIONS_KEPT_MAX + 5;
    const facts = Array.from({ length: rounds }, (_, i) => [
      calls('t', `c${i}`),
      request('t', `c${i}`, `p${i}`),
      resolved('t', `c${i}`, `p${i}`, 'deny'),
    ]).flat();
    const { decisions } = session(...running, ...facts);
    expect(decisions.length).toBe(DECISIONS_KEPT_MAX);
    expect([decisions[0]?.requestId, decisions.at(-1)?.requestId]).toEqual(['p5', `p${rounds - 1}`]);
  });

  test('[CR2] toSnapshot counts writers and leaves out what is unset', () => {
    expect(toSnapshot(session(...running, queued('a', 9, 'bob'), queued('b', 9, 'ada')))).toStrictEqual({
      sessionId: 's',
      model: 'm',
      createdAt: AT,
      updatedAt: AT,
      activeTurnId: 't',
      queuedTurns: 2,
      toolCallCount: 0,
      writerCount: 2,
      seq: 5,
      revision: 5,
    });
    expect(Object.keys(toSnapshot(emptySession('s')))).not.toContain('title');
  });
});
