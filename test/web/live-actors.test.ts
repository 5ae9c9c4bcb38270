import { describe, expect, test } from 'vitest';
import { type InspectMessage, InspectMessageSchema } from '../../src/protocol/feeds/inspection.ts';
import {
  CHANGES_MAX,
  LiveActors,
  RAW_CHARS_MAX,
  RAW_MAX,
  sessionOf,
} from '../../src/web/pages/inspector/live-actors.ts';

const of = (id: string, chart: string, key = id) => ({
  rootId: id.split('/')[0] as string,
  sessionId: key,
  id,
  chart,
  createdAt: '1700000000000',
  _version: '0.7.2',
});
const checked = (message: object): InspectMessage => InspectMessageSchema.parse(message);
const picture = (actors: number): InspectMessage =>
  checked({ type: '@opta.picture', actors, createdAt: '1700000000000' });
const actor = (id: string, chart: string, value: unknown, context: object = {}, key?: string): InspectMessage =>
  checked({ type: '@xstate.actor', name: id, snapshot: { status: 'active', value, context }, ...of(id, chart, key) });
const moved = (id: string, chart: string, value: unknown, event: string, more: object = {}): InspectMessage =>
  checked({
    type: '@xstate.snapshot',
    event: { type: event },
    snapshot: { status: 'active', value, context: {}, ...(more as { snapshot?: object }).snapshot },
    ...of(id, chart, (more as { key?: string }).key),
  });

const started = (): LiveActors => {
  const live = new LiveActors();
  for (const m of [
    picture(4),
    actor('daemon', 'daemon', 'ready'),
    actor('s1', 'session', { running: 'active' }),
    actor('s1/turn', 'turn', { working: 'asking' }),
    actor('s2', 'session', 'idle'),
  ])
    live.take(m);
  return live;
};

describe('the feed of live actors', () => {
  test('is a tree: turns below their sessions, sessions below the daemon; what was there has not begun now', () => {
    const { root, count, changes } = started().picture;
    expect(count).toBe(4);
    expect(changes).toEqual([]);
    expect(root?.id).toBe('daemon');
    expect(root?.children.map((c) => [c.id, c.children.map((d) => d.id)])).toEqual([
      ['s1', ['s1/turn']],
      ['s2', []],
    ]);
  });

  test('of one session begins at the session; a child whose name has a slash stands below what is known of its path', () => {
    const live = new LiveActors();
    for (const m of [picture(2), actor('s1', 'session', 'idle'), actor('s1/job/a/b', 'background-job', 'live')])
      live.take(m);
    expect(live.picture.root?.id).toBe('s1');
    expect(live.picture.root?.children.map((c) => c.id)).toEqual(['s1/job/a/b']);
  });

  test('a picture of nothing is a session that sleeps, which is not the same as nothing told', () => {
    const live = new LiveActors();
    expect([live.picture.root, live.picture.isTold]).toEqual([null, false]);
    live.take(picture(0));
    expect([live.picture.root, live.picture.isTold]).toEqual([null, true]);
    live.take(actor('s1', 'session', 'recovering'));
    expect(live.picture.changes.map((c) => c.event)).toEqual(['begins']);
  });

  test('a change of state is told with its event; a step that changes none is not', () => {
    const live = started();
    expect(live.take(moved('s1', 'session', { running: 'active' }, 'delta'))).toBeNull();
    expect(live.take(moved('s1', 'session', { running: 'cancelling' }, 'turn.cancel'))).toBe('s1');
    expect(live.picture.changes).toMatchObject([
      { id: 's1', event: 'turn.cancel', from: { running: 'active' }, to: { running: 'cancelling' }, end: null },
    ]);
    expect(live.picture.last.get('s1')?.event).toBe('turn.cancel');
    expect(live.picture.root?.children[0]?.state).toEqual({ running: 'cancelling' });
  });

  test('facts that move with each piece of text are no news; others are', () => {
    const live = started();
    const facts = (context: object) => live.take(moved('s2', 'session', 'idle', 'x', { snapshot: { context } }));
    expect(facts({ queued: 1, seq: 5 })).toBe('s2');
    expect(facts({ queued: 1, seq: 6 })).toBeNull();
    expect(facts({ queued: 2, seq: 7 })).toBe('s2');
    expect(live.picture.changes).toEqual([]);
  });

  test('an actor that ends leaves the tree and is kept as it looked last; the next of the same path takes its place', () => {
    const live = started();
    live.take(moved('s1/turn', 'turn', 'over', 'stop', { snapshot: { status: 'done' } }));
    expect(live.picture.root?.children[0]?.children).toEqual([]);
    expect(live.picture.changes[0]).toMatchObject({ id: 's1/turn', to: 'over', end: 'done' });
    expect(live.picture.ended.get('s1/turn')?.state).toBe('over');
    live.take(actor('s1/turn', 'turn', { working: 'preparing' }, {}, 'x:2'));
    expect(live.picture.root?.children[0]?.children.map((c) => c.state)).toEqual([{ working: 'preparing' }]);
    expect(live.picture.changes[0]).toMatchObject({ event: 'begins', from: null });
    expect(live.picture.ended.has('s1/turn')).toBe(false);
  });

  test('its first state stands in the row of its beginning', () => {
    const live = started();
    live.take(actor('s2/turn', 'turn', undefined));
    expect(live.take(moved('s2/turn', 'turn', { working: 'preparing' }, 'xstate.init'))).toBe('s2/turn');
    expect(live.picture.changes.map((c) => [c.event, c.to])).toEqual([['begins', { working: 'preparing' }]]);
    live.take(moved('s2/turn', 'turn', { working: 'generating' }, 'step.go'));
    expect(live.picture.changes.map((c) => c.event)).toEqual(['step.go', 'begins']);
  });

  test('the end of an older actor does not take away the newer one of the same path', () => {
    const live = started();
    live.take(actor('s1/turn', 'turn', { working: 'preparing' }, {}, 'x:2'));
    live.take(moved('s1/turn', 'turn', 'over', 'stop', { snapshot: { status: 'stopped' } }));
    expect(live.picture.root?.children[0]?.children.map((c) => c.state)).toEqual([{ working: 'preparing' }]);
  });

  test('a new picture replaces everything but what was told', () => {
    const live = started();
    live.take(moved('s2', 'session', 'deleted', 'session.delete'));
    for (const m of [picture(1), actor('s9', 'session', 'idle')]) live.take(m);
    expect(live.picture.root?.id).toBe('s9');
    expect(live.picture.count).toBe(1);
    expect(live.picture.changes.map((c) => c.event)).toEqual(['session.delete']);
  });

  test('is bounded whatever comes: changes, messages, characters', () => {
    const live = started();
    for (let i = 0; i < 5_000; i++) live.take(moved('s2', 'session', i % 2 ? 'idle' : 'deleted', `e${i}`));
    const { changes, messages } = live.picture;
    expect(changes).toHaveLength(CHANGES_MAX);
    expect(changes[0]?.event).toBe('e4999');
    expect(messages).toBe(5_005);
    expect(live.raw.length).toBeLessThanOrEqual(RAW_MAX);
    expect(JSON.parse(live.raw.at(-1) as string).event.type).toBe('e4999');
    const long = 'x'.repeat(100_000);
    for (let i = 0; i < 60; i++) live.take(moved('s2', 'session', 'idle', long));
    expect(live.raw.join('').length).toBeLessThanOrEqual(RAW_CHARS_MAX);
    for (let i = 0; i < 500; i++) live.take(moved(`s2/t${i}`, 'turn', 'over', 'end', { snapshot: { status: 'done' } }));
    expect(live.picture.ended.size).toBeLessThanOrEqual(50);
    expect(live.picture.last.size).toBeLessThanOrEqual(live.picture.count);
  });

  test('the same picture is the same object until something is told', () => {
    const live = started();
    const before = live.picture;
    expect(live.picture).toBe(before);
    live.take(moved('s2', 'session', 'deleted', 'session.delete'));
    expect(live.picture).not.toBe(before);
  });
});

test.each([
  ['daemon', null],
  ['s1', 's1'],
  ['s1/turn/stream', 's1'],
  ['', null],
])('the actor %s is of session %s', (id, session) => {
  expect(sessionOf(id)).toBe(session);
});
