import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SessionView, type View } from '../../src/client/session-view.ts';
import { emptyTurn, foldTurn, itemsOf, type TurnView } from '../../src/client/turn-view.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { emptySession, foldAll } from '../../src/protocol/session-state.ts';
import { canonicalJson, sha256, stateHash } from '../../src/protocol/state-hash.ts';
import { legalLog } from '../protocol/legal-log.ts';

const TS = '2026-01-01T00:00:00.000Z';
const STATS = { tokens: 1, promptTokens: 1, completionTokens: 1, toolCalls: 0, elapsed: 0, elapsedMs: 1, speed: 1 };

/** Writes a log record by record. */
const writer = () => {
  const log: LogRecord[] = [];
  const add = (event: string, payload: object): void => {
    log.push({ seq: log.length + 1, ts: TS, event, payload } as LogRecord);
  };
  add('session.snapshot', { snapshot: { model: 'm', createdAt: TS, updatedAt: TS }, messages: [] });
  const turn = (turnId: string, writerId = 'ada') => {
    const who = { turnId, writerId, clientId: 'c' };
    const on = (event: string, payload: object = {}): void => add(event, { ...who, ...payload });
    return {
      on,
      queued: (content = `do ${turnId}`, more: object = {}) =>
        on('turn.queued', { queueSize: 1, position: 1, content, mode: 'chat', onBusy: 'enqueue', ...more }),
      start: () => on('turn.start', { mode: 'chat' }),
      token: (text: string, step = 1) => on('turn.token', { text, step }),
      request: (step: number) => on('turn.progress', { phase: 'model.request', message: null, provider: null, step }),
      calls: (step: number, ...calls: object[]) =>
        on('turn.progress', { phase: 'model.response', message: null, provider: null, step, calls }),
      done: (more: object = {}) => on('turn.done', { stats: STATS, outcome: 'done', ...more }),
      error: (outcome: string) => on('turn.error', { message: 'm', code: outcome, outcome, partial: false }),
    };
  };
  return { log, add, turn };
};

const shown = (log: readonly LogRecord[]): SessionView => {
  const view = new SessionView('s');
  for (const record of log) view.apply(record);
  return view;
};

describe('the transcript', () => {
  test('[CL3] says in a line that the conversation was shortened, and, once its turn is over, that files were taken back', () => {
    const { log, add, turn } = writer();
    const t = turn('t1');
    t.queued('write it');
    t.start();
    t.token('Let me ');
    const tokens = { tokensBefore: 900, tokensAfter: 300 };
    t.on('context.compacted', { step: 2, upTo: 4, summary: 's', by: 'model', ...tokens });
    t.token('see.', 2);
    t.done({ stopReason: 'length' });
    const restored = { ofTurn: 't1', how: 'undo', by: 'ada', restored: ['a.txt'] };
    add('files.restored', { ...restored, kept: [{ path: 'b.txt', why: 'it was changed since' }] });
    const { past, active } = shown(log).current;
    expect(active).toBe(null);
    expect(past[0]?.items).toMatchObject([
      { kind: 'user' },
      { kind: 'text', text: 'Let me ' },
      { kind: 'note', text: expect.stringMatching(/from about 900 to 300 tokens/) },
      { kind: 'text', text: 'see.' },
    ]);
    expect(past[0]?.end).toMatchObject({ outcome: 'done', cut: true });
    expect(past[1]?.items).toEqual([
      {
        kind: 'note',
        text: 'What turn t1 did to files was taken back by ada: a.txt; left as it is: b.txt (it was changed since).',
      },
    ]);
  });

  test('[CL3] shows a turn as its user text, thinking, text of each step, tool and permission cards, and its end', () => {
    const { log, turn } = writer();
    const t = turn('t1');
    t.queued('write it');
    t.start();
    t.on('turn.thinking', { text: 'hm', step: 1 });
    t.token('Let me ');
    t.token('look.');
    t.calls(1, { id: 'c1', name: 'read', args: '{}' }, { id: 'c2', name: 'write', args: '{"p":1}' });
    t.on('tool.start', { id: 'c1', name: 'read', args: '{}', decidedBy: 'rule:read' });
    t.on('tool.end', { id: 'c1', name: 'read', result: 'ok', isError: false, elapsedMs: 3 });
    const request = { requestId: 'r1', callId: 'c2', toolName: 'write', args: { p: 1 }, summary: 'write p' };
    t.on('permission.request', { ...request, expiresAt: TS });
    const asked = shown(log).current.active as TurnView;
    expect(asked.items.at(-1)).toMatchObject({
      kind: 'permission',
      requestId: 'r1',
      summary: 'write p',
      expiresAt: TS,
    });
    expect(asked.items.at(-1)).not.toHaveProperty('decision');
    expect(asked.items).toContainEqual(expect.objectContaining({ callId: 'c2', state: 'asked' }));
    t.on('permission.resolved', {
      requestId: 'r1',
      callId: 'c2',
      toolName: 'write',
      decision: 'deny',
      reason: 'person',
      decidedBy: 'person:eve',
      message: 'no',
    });
    t.token('Denied.', 2);
    t.done({ model: 'big' });
    const view = shown(log).current;
    expect(view.active).toBeNull();
    expect(view.past).toHaveLength(1);
    const [past] = view.past as [TurnView];
    expect(past).toMatchObject({
      content: 'write it',
      text: 'Denied.',
      step: 2,
      toolCalls: 1,
      model: 'big',
      open: null,
    });
    expect(past.end).toEqual({ outcome: 'done', stats: STATS });
    expect(past.items).toMatchObject([
      { kind: 'user', writerId: 'ada', text: 'write it' },
      { kind: 'thinking', step: 1, text: 'hm' },
      { kind: 'text', step: 1, text: 'Let me look.' },
      { kind: 'tool', callId: 'c1', state: 'done', decidedBy: 'rule:read', result: 'ok', elapsedMs: 3 },
      { kind: 'tool', callId: 'c2', state: 'refused', decidedBy: 'person:eve', result: 'no' },
      { kind: 'permission', requestId: 'r1', decision: 'deny', decidedBy: 'person:eve', reason: 'person' },
      { kind: 'text', step: 2, text: 'Denied.' },
    ]);
  });

  test('[CL3, CX5, PM6, PM7] shows a question with its answer, an allow for the session, and a call that somebody ended', () => {
    const { log, turn } = writer();
    const t = turn('t1');
    t.queued();
    t.start();
    const ids = ['c1', 'c2', 'c3', 'c4'];
    t.calls(1, ...ids.map((id) => ({ id, name: 'n', args: '{}' })));
    const question = { text: 'Which?', options: ['a', 'b'] };
    const first = { requestId: 'r1', callId: 'c1', toolName: 'n' };
    t.on('permission.request', { ...first, args: {}, summary: 's', question, expiresAt: TS });
    const view = shown(log);
    expect(view.current.active?.items.at(-1)).toMatchObject({ kind: 'permission', question });
    const late = new SessionView('s');
    late.load(view.state);
    expect(late.current.active?.items).toContainEqual(expect.objectContaining({ kind: 'permission', question }));
    const ada = { decision: 'allow', reason: 'person', decidedBy: 'person:ada' };
    t.on('permission.resolved', { ...first, ...ada, answer: 'b', remember: 'session' });
    t.on('tool.start', { id: 'c2', name: 'n', args: '{}', decidedBy: 'remembered:ada' });
    const by = { cancelledBy: 'person:eve' };
    t.on('tool.end', { id: 'c2', name: 'n', result: 'gone', isError: true, elapsedMs: 1, ...by });
    const denied = { toolName: 'n', decision: 'deny', reason: 'cancelled', decidedBy: 'person:eve', message: 'no' };
    t.on('permission.resolved', { requestId: 'c3', callId: 'c3', ...denied, ...by });
    const items = (shown(log).current.active as TurnView).items;
    expect(items).toContainEqual(expect.objectContaining({ kind: 'permission', answer: 'b', remember: 'session' }));
    expect(items.filter((i) => i.kind === 'tool')).toMatchObject([
      { callId: 'c1' },
      { callId: 'c2', state: 'cancelled', ...by, result: 'gone', decidedBy: 'remembered:ada' },
      { callId: 'c3', state: 'cancelled', ...by, result: 'no' },
      { callId: 'c4', state: 'waiting' },
    ]);
    const again = new SessionView('s');
    again.load(shown(log).state);
    expect(again.current.active?.items).toContainEqual(
      expect.objectContaining({ callId: 'c2', state: 'cancelled', ...by }),
    );
  });

  test('[CL3] shows who waits, turns that never ran, what was steered in, and calls that the end left behind', () => {
    const { log, turn } = writer();
    const [a, b, c, d] = [turn('a'), turn('b', 'bob'), turn('c', 'cyd'), turn('d', 'dan')];
    a.queued();
    a.start();
    b.queued();
    c.queued('and this too', { position: 2, steers: 'a' });
    d.queued('later', { position: 3 });
    a.token('so');
    expect(shown(log).current.state.queue.map((q) => q.writerId)).toEqual(['bob', 'cyd', 'dan']);
    b.error('cancelled');
    c.done({ steeredInto: 'a' });
    a.calls(1, { id: 'x', name: 'run', args: '{}' });
    a.error('interrupted');
    const view = shown(log).current;
    expect(view.past.map((t) => [t.turnId, t.end?.outcome])).toEqual([
      ['b', 'cancelled'],
      ['a', 'interrupted'],
    ]);
    expect(view.past[0]).toMatchObject({ content: 'do b', items: [{ kind: 'user', writerId: 'bob' }] });
    expect(view.past[1]?.items).toMatchObject([
      { kind: 'user', turnId: 'a' },
      { kind: 'text', text: 'so' },
      { kind: 'user', turnId: 'c', writerId: 'cyd', text: 'and this too' },
      { kind: 'tool', callId: 'x', state: 'not-run' },
    ]);
    expect(view.state.queue.map((q) => q.turnId)).toEqual(['d']);
  });

  test('[CL3] a turn alone and a turn in its session are one and the same fold', () => {
    const { log, turn } = writer();
    const t = turn('t1');
    t.queued();
    t.start();
    t.token('a');
    t.calls(1, { id: 'c', name: 'n', args: '{}' });
    t.on('tool.start', { id: 'c', name: 'n', args: '{}', decidedBy: 'rule:x' });
    t.on('tool.end', { id: 'c', name: 'n', result: 'r', isError: true, elapsedMs: 1 });
    t.done();
    expect(log.reduce(foldTurn, emptyTurn('t1'))).toEqual(shown(log).current.past[0]);
  });

  test('[CL3] begun in the middle of a turn from a snapshot, it goes on as one that saw everything', () => {
    const { log, turn } = writer();
    const t = turn('t1');
    t.queued();
    t.start();
    t.request(1);
    t.token('one');
    const middle = log.length;
    t.token(' two');
    t.calls(1, { id: 'c', name: 'n', args: '{}' });
    const whole = shown(log);
    const late = new SessionView('s');
    late.load(foldAll(emptySession('s'), log.slice(0, middle)));
    for (const record of log.slice(middle)) late.apply(record);
    expect(late.stateHash()).toBe(whole.stateHash());
    expect(late.current.seed).toMatchObject([{ role: 'user', content: 'do t1' }]);
    expect(itemsOf(late.current.active as TurnView)).toEqual(itemsOf(whole.current.active as TurnView).slice(1));
  });
});

/** Members of all objects of `next` that `before` does not share: what a change has cost, whatever the machine. */
const written = (next: View, before: View): number => {
  const known = new Set<unknown>();
  const visit = (value: unknown, found: (v: object) => void, stop: (v: object) => boolean): void => {
    if (typeof value !== 'object' || value === null || stop(value)) return;
    found(value);
    for (const member of Object.values(value)) visit(member, found, stop);
  };
  visit(
    before,
    (v) => known.add(v),
    (v) => known.has(v),
  );
  let cost = 0;
  const counted = new Set<object>();
  visit(
    next,
    (v) => {
      counted.add(v);
      cost += Object.keys(v).length;
    },
    (v) => known.has(v) || counted.has(v),
  );
  return cost;
};

describe('its cost', () => {
  const costOfToken = (turns: number, tokens: number, calls: number): number => {
    const { log, turn } = writer();
    for (let i = 0; i < turns; i++) {
      const t = turn(`t${i}`);
      t.queued();
      t.start();
      t.token('x');
      t.done();
    }
    const t = turn('last');
    t.queued();
    t.start();
    for (let i = 0; i < calls; i++) t.calls(i + 1, { id: `c${i}`, name: 'n', args: '{}' });
    for (let i = 0; i < tokens; i++) t.token('word ', calls + 1);
    const view = shown(log);
    const before = view.current;
    t.token('next', calls + 1);
    view.apply(log.at(-1) as LogRecord);
    return written(view.current, before);
  };

  test('[CL3] a token costs the same after a thousand turns, a thousand tokens or a hundred calls as at the beginning', () => {
    const first = costOfToken(0, 1, 0);
    expect(costOfToken(1_000, 1, 0)).toBe(first);
    expect(costOfToken(0, 1_000, 0)).toBe(first);
    expect(costOfToken(10, 1_000, 100) - first).toBeLessThanOrEqual(10);
    expect(first).toBeLessThan(100);
  });

  test('the count sees a list that was copied', () => {
    const view = shown(writer().log).current;
    const seed = Array.from({ length: 500 }, () => ({ role: 'user' as const, content: '' }));
    const before = { ...view, seed };
    expect(written({ ...before, seed: [...seed] }, before)).toBeGreaterThan(500);
  });
});

describe('the state hash', () => {
  test('[CL3] is SHA-256 as Node knows it, whatever the text and its length', () => {
    for (const length of [0, 1, 54, 55, 56, 63, 64, 65, 119, 120, 1_000]) {
      const text = 'a'.repeat(length);
      expect(sha256(text), String(length)).toBe(createHash('sha256').update(text).digest('hex'));
    }
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
        expect(sha256(text)).toBe(createHash('sha256').update(text, 'utf8').digest('hex'));
      }),
    );
  });

  test('[CL3] canonical JSON is JSON, and does not know in which order members were written', () => {
    expect(canonicalJson({ b: [1, { d: undefined, c: 'x' }], a: null, é: -0, A: 1e21 })).toBe(
      '{"A":1e+21,"a":null,"b":[1,{"c":"x"}],"é":0}',
    );
    fc.assert(
      fc.property(fc.json(), (text) => {
        const value = JSON.parse(text);
        const turned = (v: unknown): unknown =>
          Array.isArray(v)
            ? v.map(turned)
            : typeof v === 'object' && v !== null
              ? Object.fromEntries(
                  Object.entries(v)
                    .reverse()
                    .map(([name, member]) => [name, turned(member)]),
                )
              : v;
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
        expect(canonicalJson(turned(value))).toBe(canonicalJson(value));
      }),
    );
  });

  test('[CL3] is defined in PROTOCOL.md, with the state of a session of which nothing is known as the example', () => {
    const page = readFileSync(new URL('../../docs/PROTOCOL.md', import.meta.url), 'utf8');
    const text = canonicalJson(emptySession('s'));
    expect(page).toContain(`\`${text}\``);
    expect(stateHash(emptySession('s'))).toBe(createHash('sha256').update(text).digest('hex'));
  });

  test('[CL3] whoever folds the same log has the same hash, in one go or from any snapshot; another log has another', () => {
    fc.assert(
      fc.property(legalLog, fc.nat(), (log, n) => {
        const at = n % (log.length + 1);
        const whole = foldAll(emptySession('s'), log);
        const late = new SessionView('s');
        late.load(JSON.parse(JSON.stringify(foldAll(emptySession('s'), log.slice(0, at)))));
        for (const record of log.slice(at)) late.apply(record);
        expect(late.stateHash()).toBe(stateHash(whole));
        if (at < log.length) expect(stateHash(foldAll(emptySession('s'), log.slice(0, at)))).not.toBe(stateHash(whole));
      }),
      { numRuns: 50 },
    );
  });
});
