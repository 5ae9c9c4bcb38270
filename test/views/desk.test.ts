import { describe, expect, test } from 'vitest';
import type { SessionLink } from '../../src/client/session-link.ts';
import { SessionView } from '../../src/client/session-view.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { activityOf } from '../../src/views/activity.ts';
import { secondsLeft } from '../../src/views/cards.ts';
import { diffLines, isDiff } from '../../src/views/diff.ts';
import { deskStore, SessionDesk } from '../../src/views/session-desk.ts';
import { argsText, durationText, toolHead } from '../../src/views/tool-card.ts';

const TS = '2026-01-01T00:00:00.000Z';
const LATER = '2026-01-01T00:01:00.000Z';

/** A session whose turn has asked about two calls, as a desk sees it. */
const asking = () => {
  const view = new SessionView('s');
  const store = deskStore(view.current);
  let seq = 0;
  let nowMs = 1_000;
  const add = (event: string, payload: object): void => {
    seq += 1;
    nowMs += 10;
    const record = { seq, ts: TS, event, payload } as LogRecord;
    view.apply(record);
    store.trigger.viewed({ view: view.current, record, nowMs });
  };
  const who = { turnId: 't1', writerId: 'ada', clientId: 'c' };
  add('session.snapshot', { snapshot: { model: 'm', createdAt: TS, updatedAt: TS }, messages: [] });
  add('turn.queued', { ...who, queueSize: 1, position: 1, content: 'go', mode: 'chat', onBusy: 'enqueue' });
  add('turn.start', { ...who, mode: 'chat' });
  add('turn.progress', {
    ...who,
    phase: 'model.response',
    message: null,
    provider: null,
    step: 1,
    calls: [
      { id: 'c1', name: 'write_file', args: '{"path":"a"}' },
      { id: 'c2', name: 'run_command', args: '{"command":"ls"}' },
    ],
  });
  const ask = (requestId: string, callId: string, toolName: string): void =>
    add('permission.request', {
      turnId: 't1',
      requestId,
      callId,
      toolName,
      args: {},
      summary: callId,
      expiresAt: LATER,
    });
  ask('r1', 'c1', 'write_file');
  ask('r2', 'c2', 'run_command');
  const resolve = (requestId: string, callId: string, decision: string, decidedBy: string): void =>
    add('permission.resolved', {
      turnId: 't1',
      requestId,
      callId,
      toolName: 'write_file',
      decision,
      decidedBy,
      reason: 'user',
    });
  const desk = () => store.getSnapshot().context;
  return { store, desk, add, resolve, now: () => nowMs, view };
};

describe('the desk', () => {
  test('deals the request that waits longest, and the next when it was decided', () => {
    const { desk, resolve } = asking();
    expect(desk().card).toMatchObject({ requestId: 'r1', toolName: 'write_file', writerId: 'ada' });
    expect(desk().cards).toHaveLength(2);
    resolve('r1', 'c1', 'allow', 'ben');
    expect(desk().card?.requestId).toBe('r2');
    resolve('r2', 'c2', 'deny', 'ben');
    expect(desk().card).toBeNull();
  });

  test("[PM2] says by whom, when somebody else decides what is on the table, and nothing of one's own decision", () => {
    const { store, desk, resolve, now } = asking();
    resolve('r1', 'c1', 'allow', 'ben');
    expect(desk().notices.map((n) => n.text)).toEqual(['write_file: allowed by ben']);
    store.trigger.deciding({ requestId: 'r2', nowMs: now() });
    expect(desk().card).toBeNull();
    resolve('r2', 'c2', 'deny', 'me');
    expect(desk().notices).toHaveLength(1);
    expect(desk().deciding).toEqual([]);
  });

  test('[PM2] a question that somebody else answered is said to be answered', () => {
    const { desk, add } = asking();
    const of = { turnId: 't1', requestId: 'r1', callId: 'c1', toolName: 'ask_user' };
    add('permission.resolved', { ...of, decision: 'allow', decidedBy: 'ben', reason: 'person', answer: 'green' });
    expect(desk().notices.map((n) => n.text)).toEqual(['ask_user: answered by ben']);
  });

  test('what was decided before somebody came is no news to them', () => {
    const view = new SessionView('s');
    const link = { view, on: () => () => undefined, close: () => undefined } as unknown as SessionLink;
    const desk = new SessionDesk(link, () => Date.parse(LATER));
    let seq = 0;
    const add = (ts: string, event: string, payload: object): void =>
      view.apply({ seq: ++seq, ts, event, payload } as LogRecord);
    const decide = (ts: string, requestId: string, callId: string): void => {
      const of = { turnId: 't1', requestId, callId, toolName: 'write_file' };
      add(ts, 'permission.request', { ...of, args: {}, summary: '', expiresAt: LATER });
      add(ts, 'permission.resolved', { ...of, decision: 'allow', decidedBy: 'ben', reason: 'person' });
    };
    const who = { turnId: 't1', writerId: 'ada', clientId: 'c' };
    const calls = [1, 2].map((n) => ({ id: `c${n}`, name: 'write_file', args: '{}' }));
    add(TS, 'session.snapshot', { snapshot: { model: 'm', createdAt: TS, updatedAt: TS }, messages: [] });
    add(TS, 'turn.queued', { ...who, queueSize: 1, position: 1, content: 'go', mode: 'chat', onBusy: 'enqueue' });
    add(TS, 'turn.start', { ...who, mode: 'chat' });
    add(TS, 'turn.progress', { ...who, phase: 'model.response', message: null, provider: null, step: 1, calls });
    decide(TS, 'r1', 'c1');
    expect(desk.desk.notices).toEqual([]);
    decide(LATER, 'r2', 'c2');
    expect(desk.desk.notices.map((n) => n.text)).toEqual(['write_file: allowed by ben']);
    desk.close();
  });

  test('a card that was put off comes back when it is asked for, and one whose answer was lost by itself', () => {
    const { store, desk, now } = asking();
    store.trigger.putOff({ nowMs: now() });
    expect(desk().card?.requestId).toBe('r2');
    store.trigger.putOff({ nowMs: now() });
    expect([desk().card, desk().cards.length]).toEqual([null, 2]);
    store.trigger.broughtBack({ nowMs: now() });
    expect(desk().card?.requestId).toBe('r1');
    store.trigger.deciding({ requestId: 'r1', nowMs: now() });
    expect(desk().card?.requestId).toBe('r2');
    store.trigger.undecided({ requestId: 'r1', nowMs: now() });
    expect(desk().card?.requestId).toBe('r1');
  });

  test('a card keeps the moment since which it is shown while other things happen', () => {
    const { desk, add } = asking();
    const since = desk().cardSinceMs;
    add('turn.token', { turnId: 't1', writerId: 'ada', clientId: 'c', text: 'x', step: 1 });
    expect(desk().cardSinceMs).toBe(since);
  });

  test('remembers what was folded, and a bounded number of notices', () => {
    const { store, desk } = asking();
    store.trigger.folded({ id: 'c1', open: true });
    expect(desk().folds).toEqual({ c1: true });
    for (let i = 0; i < 100; i++) store.trigger.said({ text: `n${i}`, tone: 'note' });
    expect(desk().notices).toHaveLength(20);
    const last = desk().notices.at(-1);
    store.trigger.unsaid({ id: last?.id ?? -1 });
    expect(desk().notices).toHaveLength(19);
  });

  test('says what the session does', () => {
    const { view } = asking();
    expect(activityOf(view.current)).toMatchObject({ kind: 'asking', writerId: 'ada', queued: 0 });
    expect(activityOf(new SessionView('t').current)).toMatchObject({ kind: 'idle', text: 'ready' });
  });

  test('counts a deadline in whole seconds and never below zero', () => {
    const { desk } = asking();
    const card = desk().card;
    if (!card) throw new Error('no card');
    expect(secondsLeft(card, Date.parse(LATER) - 1_500)).toBe(2);
    expect(secondsLeft(card, Date.parse(LATER) + 1_500)).toBe(0);
  });
});

describe('a tool card', () => {
  const tool = (name: string, args: string, more: object = {}) =>
    ({ kind: 'tool', callId: 'c', name, args, state: 'done', ...more }) as const;

  test('names what the call is about, the state in a word and the time', () => {
    expect(toolHead(tool('run_command', '{"command":"npm  test","cwd":"/x"}', { elapsedMs: 1_234 }))).toEqual({
      name: 'run_command',
      about: 'npm test',
      state: 'done',
      took: '1.2 s',
    });
    expect(toolHead(tool('x', 'not json')).about).toBe('not json');
    expect(toolHead(tool('x\u001b[31m', '{"path":"\u202eevil"}'))).toMatchObject({
      name: 'x\uFFFD[31m',
      about: '\uFFFDevil',
    });
  });

  test('shows arguments as a person reads them', () => {
    expect(argsText('{"a":1}')).toBe('{\n  "a": 1\n}');
    expect(argsText('{"a":')).toBe('{"a":');
  });

  test('durations', () => {
    expect([420, 3_210, 250_000].map(durationText)).toEqual(['420 ms', '3.2 s', '4 min 10 s']);
  });
});

describe('a diff', () => {
  test('is told from other text, and its lines by what happens to them', () => {
    expect(isDiff('--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y')).toBe(true);
    expect(isDiff('npm test')).toBe(false);
    expect(diffLines('@@ 1\n-x\n+y\n z')).toEqual([
      { kind: 'place', text: '@@ 1' },
      { kind: 'removed', text: 'x' },
      { kind: 'added', text: 'y' },
      { kind: 'same', text: 'z' },
    ]);
  });
});
