import { describe, expect, test } from 'vitest';
import { CHARTS, toMermaid } from '../../src/actors/charts.ts';
import type { InspectedActor } from '../../src/protocol/inspection.ts';
import {
  activePaths,
  actorAt,
  actorRows,
  changeWords,
  factRows,
  leafWords,
  SIGNS,
  stateRows,
  stateWords,
  toneOf,
  whyRows,
} from '../../src/views/chart.ts';

const actor = (id: string, state: unknown, children: InspectedActor[] = []): InspectedActor => ({
  id,
  chart: 'session',
  state,
  facts: {},
  children,
});

describe('a state value', () => {
  test.each([
    ['idle', ['idle'], 'idle'],
    [{ running: 'active' }, ['running', 'running.active'], 'running › active'],
    [{ a: { x: 'one' }, b: 'two' }, ['a', 'a.x', 'a.x.one', 'b', 'b.two'], 'a › x › one + b › two'],
    [{ done: {} }, ['done'], 'done'],
    [null, [], ''],
    [7, [], ''],
  ])('%j is lit at %j and reads "%s"', (value, paths, words) => {
    expect(activePaths(value)).toEqual(paths);
    expect(stateWords(value)).toBe(words);
  });

  test.each([
    [null, 'idle', 'idle'],
    ['idle', { running: 'active' }, 'idle → running › active'],
    [{ working: 'generating' }, { working: 'deciding' }, 'generating → deciding'],
    [{ working: 'deciding' }, { working: { acting: 'running' } }, 'deciding → acting › running'],
    ['idle', 'idle', 'idle'],
  ])('a change from %j to %j reads "%s"', (from, to, words) => {
    expect(changeWords(from, to)).toBe(words);
  });

  test('its innermost states alone are the short form', () => {
    expect(leafWords({ working: { acting: 'running' } })).toBe('running');
    expect(leafWords({ a: { x: 'one' }, b: 'two' })).toBe('one + two');
    expect(leafWords(null)).toBe('');
  });

  test('every state of every chart and every word of `why` has a tone with a sign of its own', () => {
    expect(new Set(Object.values(SIGNS)).size).toBe(Object.keys(SIGNS).length);
    expect(
      [
        'idle',
        'streaming',
        'waiting-for-permission',
        'open',
        'running › cancelling',
        'quarantined',
        'readOnly',
        '',
      ].map(toneOf),
    ).toEqual(['rest', 'work', 'asks', 'asks', 'ending', 'bad', 'bad', 'rest']);
  });
});

describe('the tree of actors', () => {
  const root = actor('daemon', 'ready', [
    actor('s1', { running: 'active' }, [actor('s1/turn', { working: 'asking' })]),
    actor('s2', 'idle'),
  ]);

  test('is rows with depth, name, state and tone; what is below a folded one is left out', () => {
    const rows = actorRows(root);
    expect(rows.map((r) => [r.name, r.depth, r.state, r.tone, r.open])).toEqual([
      ['daemon', 0, 'ready', 'rest', true],
      ['s1', 1, 'running › active', 'work', true],
      ['turn', 2, 'working › asking', 'asks', null],
      ['s2', 1, 'idle', 'rest', null],
    ]);
    expect(actorRows(root, (id) => id === 's1').map((r) => [r.id, r.open])).toEqual([
      ['daemon', true],
      ['s1', false],
      ['s2', null],
    ]);
  });

  test('finds an actor by its id, or none', () => {
    expect(actorAt(root, 's1/turn')?.state).toEqual({ working: 'asking' });
    expect(actorAt(root, 's3')).toBeNull();
  });

  test('names and facts of a stranger cannot carry control characters', () => {
    const [row] = actorRows({ ...actor('a\u001b[2Jb', 'idle'), chart: 'x\u202ey' });
    expect(row?.name).toBe('a\uFFFD[2Jb');
    expect(row?.chart).toBe('x\uFFFDy');
    expect(
      factRows({ facts: { reason: 'gone\u0007', model: '', activeTurnId: null, step: 2, call: { id: 'c' } } }),
    ).toEqual([
      ['reason', 'gone\uFFFD'],
      ['step', '2'],
      ['call', '{"id":"c"}'],
    ]);
  });
});

test('the states of a chart as rows, each once, the active ones marked', () => {
  const rows = stateRows(toMermaid(CHARTS.turn, { working: { acting: 'running' } }));
  expect(rows.filter((r) => r.active).map((r) => [r.label, r.level])).toEqual([
    ['working', 0],
    ['acting (runs toolJob)', 1],
    ['running', 2],
  ]);
  expect(stateRows('')).toEqual([]);
});

test('why: what it waits for, since when, until when and who can end it', () => {
  const nowMs = Date.parse('2026-01-01T00:00:10.000Z');
  const why = {
    sessionId: 's1',
    state: 'waiting-for-permission',
    text: 'Turn t1 of ann waits for permission: run ls.',
    since: '2026-01-01T00:00:00.000Z',
    until: '2026-01-01T00:02:00.000Z',
    unblock: 'anybody attached',
  };
  expect(whyRows(why, nowMs)).toEqual([
    ['waits for', why.text],
    ['since', '10 s ago'],
    ['until', '1:50 left'],
    ['unblocked by', 'anybody attached'],
  ]);
  expect(whyRows({ ...why, until: '2026-01-01T00:00:09.000Z' }, nowMs)[2]).toEqual(['until', 'now']);
  const { until: _, unblock: __, ...bare } = why;
  expect(whyRows(bare, nowMs).map(([name]) => name)).toEqual(['waits for', 'since']);
});
