import { describe, expect, test } from 'vitest';
import { drawChart } from '../../scripts/lib/chart-layout.mjs';
import { toChart } from '../../src/actors/chart-model.ts';
import { CHARTS } from '../../src/actors/charts.ts';
import type { DrawnChart } from '../../src/protocol/chart.ts';
import {
  fitted,
  followed,
  kept,
  linePath,
  litStates,
  takenEdge,
  tipPath,
  zoomed,
} from '../../src/web/pages/inspector/chart-view.ts';
import type { Change } from '../../src/web/pages/inspector/live-actors.ts';

const session: DrawnChart = await drawChart(toChart('session', CHARTS.session));
const turn: DrawnChart = await drawChart(toChart('turn', CHARTS.turn));
const change = (event: string, from: unknown, to: unknown, end: Change['end'] = null): Change => ({
  n: 1,
  atMs: 0,
  id: 'x',
  chart: 'x',
  event,
  from,
  to,
  end,
  skipped: 0,
});

describe('the part of a chart that is seen', () => {
  const chart = { width: 1_000, height: 500 };

  test('all of it, in the middle, and not blown up', () => {
    expect(fitted(chart, { width: 516, height: 516 })).toEqual({ scale: 0.5, x: 8, y: 133 });
    expect(fitted({ width: 10, height: 10 }, { width: 4_000, height: 4_000 }).scale).toBe(1.6);
  });

  test('on a small screen it is readable and around the innermost active state, not the chart', () => {
    const screen = { width: 320, height: 320 };
    const sight = followed(session, screen, litStates({ running: 'stopping' }));
    expect(sight.scale).toBeGreaterThan(0.6);
    const stopping = session.states.find((s) => s.id === 'running.stopping') as DrawnChart['states'][number];
    const middle = {
      x: (stopping.x + stopping.width / 2) * sight.scale + sight.x,
      y: (stopping.y + stopping.height / 2) * sight.scale + sight.y,
    };
    expect(Math.abs(middle.x - 160)).toBeLessThan(40);
    expect(Math.abs(middle.y - 160)).toBeLessThan(40);
    expect(followed(session, { width: 2_000, height: 2_000 }, litStates('idle'))).toEqual(
      fitted(session, { width: 2_000, height: 2_000 }),
    );
  });

  test('zoom leaves the point under the hand where it is, and ends at its bounds', () => {
    const at = { x: 120, y: 80 };
    const sight = zoomed({ scale: 1, x: 20, y: 30 }, 2, at);
    expect([(at.x - sight.x) / sight.scale, (at.y - sight.y) / sight.scale]).toEqual([100, 50]);
    expect(zoomed({ scale: 1, x: 0, y: 0 }, 1_000, at).scale).toBe(3);
    expect(zoomed({ scale: 1, x: 0, y: 0 }, 0.0001, at).scale).toBe(0.15);
  });

  test('it cannot be lost from sight', () => {
    const screen = { width: 400, height: 400 };
    for (const x of [-99_999, 0, 99_999]) {
      const sight = kept({ scale: 1, x, y: x }, chart, screen);
      expect(sight.x).toBeLessThanOrEqual(8);
      expect(sight.x + chart.width).toBeGreaterThanOrEqual(392);
      expect(sight.y + chart.height).toBeGreaterThanOrEqual(392);
    }
    const small = kept({ scale: 0.1, x: -500, y: 900 }, chart, screen);
    expect([small.x, small.y]).toEqual([8, 342]);
  });
});

describe('the line that was taken last', () => {
  test.each([
    [session, change('turn.submit', 'idle', { running: 'active' }), 'idle running'],
    [
      session,
      change('turn.cancel', { running: 'active' }, { running: 'cancelling' }),
      'running.active running.cancelling',
    ],
    [session, change('xstate.done.actor.turn', { running: 'active' }, 'idle'), 'running idle'],
    [
      turn,
      change('call.granted', { working: 'asking' }, { working: { acting: 'running' } }),
      'working.asking working.acting',
    ],
    [
      turn,
      change('stop', { working: { acting: 'running' } }, { working: { acting: 'dying' } }),
      'working.acting.running working.acting.dying',
    ],
    [turn, change('stop', { working: 'asking' }, 'over', 'done'), 'working over'],
  ])('%#: is that of its event, from what was active to what is', (chart, taken, edge) => {
    const found = takenEdge(chart, taken);
    expect(`${found?.from} ${found?.to}`).toBe(edge);
  });

  test('none of a beginning, of an event that is no transition, of a stop from above, or across several states at once', () => {
    expect(takenEdge(session, change('begins', null, 'idle'))).toBeNull();
    expect(takenEdge(session, change('delta', { running: 'active' }, { running: 'active' }))).toBeNull();
    expect(takenEdge(turn, change('stop', { working: 'asking' }, 'over', 'stopped'))).toBeNull();
    expect(
      takenEdge(turn, change('xstate.done.actor.stream', { working: 'generating' }, { working: 'asking' })),
    ).toBeNull();
    expect(takenEdge(turn, undefined)).toBeNull();
  });
});

test('a line has round corners and ends in a tip that points along its last part', () => {
  expect(
    linePath([
      [0, 0],
      [0, 100],
    ]),
  ).toBe('M0 0L0 100');
  expect(
    linePath([
      [0, 0],
      [0, 100],
      [50, 100],
    ]),
  ).toBe('M0 0L0 95Q0 100 5 100L50 100');
  // No room for a corner of that size.
  expect(
    linePath([
      [0, 0],
      [0, 4],
      [50, 4],
    ]),
  ).toBe('M0 0L0 2Q0 4 2 4L50 4');
  expect(linePath([])).toBe('');
  expect(
    tipPath([
      [0, 0],
      [0, 100],
    ]),
  ).toBe('M0 100L-3.5 92L3.5 92Z');
});
