import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type AnyStateNode, createMachine, fromCallback } from 'xstate';
import { drawChart, writeCharts } from '../../scripts/lib/chart-layout.mjs';
import { toChart } from '../../src/actors/chart-model.ts';
import { CHARTS } from '../../src/actors/charts.ts';
import type { ChartState, DrawnChart, DrawnState } from '../../src/protocol/chart.ts';

const machine = createMachine({
  id: 'm',
  initial: 'calm',
  states: {
    calm: {
      entry: 'rest',
      exit: ['rise', { type: 'look' }],
      on: { go: { target: 'both', guard: 'isUp', actions: 'start' }, poke: { actions: 'note' } },
      after: { 500: 'end', soon: { target: 'calm', reenter: true } },
    },
    both: {
      type: 'parallel',
      invoke: { id: 'job', src: fromCallback(() => undefined), onDone: 'end' },
      states: { left: { initial: 'a', states: { a: {}, b: {} } }, right: {} },
    },
    end: { type: 'final' },
  },
});

const all = (state: ChartState): ChartState[] => [state, ...state.children.flatMap(all)];
const nodes = (node: AnyStateNode): AnyStateNode[] => [node, ...Object.values(node.states).flatMap(nodes)];

describe('a machine as a model', () => {
  const model = toChart('m', machine);

  test('has every state with its kind, what it runs, and what it does on the way in and out', () => {
    expect(all(model.root).map((s) => [s.id, s.key, s.type, s.initial ?? null])).toEqual([
      ['', 'm', 'compound', 'calm'],
      ['calm', 'calm', 'atomic', null],
      ['both', 'both', 'parallel', null],
      ['both.left', 'left', 'compound', 'both.left.a'],
      ['both.left.a', 'a', 'atomic', null],
      ['both.left.b', 'b', 'atomic', null],
      ['both.right', 'right', 'atomic', null],
      ['end', 'end', 'final', null],
    ]);
    const [, calm, both] = all(model.root);
    expect(calm).toMatchObject({ entry: ['rest'], exit: ['rise', 'look'], invokes: [] });
    expect(both?.invokes).toHaveLength(1);
  });

  test('has every transition with its event, guard, delay and actions', () => {
    expect(model.transitions.map(({ type: _, ...t }) => t)).toEqual([
      { from: 'calm', to: 'both', event: 'go', guard: 'isUp', actions: ['start'] },
      { from: 'calm', to: null, event: 'poke', actions: ['note'] },
      { from: 'calm', to: 'end', event: 'after 500', delay: '500', actions: [] },
      { from: 'calm', to: 'calm', event: 'after soon', delay: 'soon', actions: [] },
      { from: 'both', to: 'end', event: 'done job', actions: [] },
    ]);
    // As an actor tells it, so that the last one taken is found again.
    expect(model.transitions.map((t) => t.type)).toContain('xstate.done.actor.job');
  });

  test.each(Object.entries(CHARTS))(
    'of %s leaves nothing out, and every end of a transition is a state',
    (name, chart) => {
      const made = toChart(name, chart);
      const ids = all(made.root).map((s) => s.id);
      expect(ids).toEqual(nodes(chart.root).map((n) => n.path.join('.')));
      const taken = nodes(chart.root).flatMap((n) => [...[...n.transitions.values()].flat(), ...(n.always ?? [])]);
      expect(made.transitions).toHaveLength(taken.length);
      for (const { from, to } of made.transitions) {
        expect(ids).toContain(from);
        if (to !== null) expect(ids).toContain(to);
      }
      expect(JSON.parse(JSON.stringify(made))).toEqual(made);
    },
  );
});

const inside = (a: DrawnState, b: DrawnState): boolean =>
  a.x >= b.x && a.y >= b.y && a.x + a.width <= b.x + b.width && a.y + a.height <= b.y + b.height;
const apart = (a: DrawnState, b: DrawnState): boolean =>
  a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
const parentOf = (id: string): string => id.split('.').slice(0, -1).join('.');
/** On the rim, a pixel of rounding allowed. */
const touches = ([x, y]: [number, number], s: DrawnState): boolean => {
  const within = x >= s.x - 1 && x <= s.x + s.width + 1 && y >= s.y - 1 && y <= s.y + s.height + 1;
  const nearest = Math.min(
    Math.abs(x - s.x),
    Math.abs(x - s.x - s.width),
    Math.abs(y - s.y),
    Math.abs(y - s.y - s.height),
  );
  return within && nearest <= 1;
};

describe('a picture of a model', () => {
  test.each([...Object.entries(CHARTS), ['m', machine] as const])(
    'of %s: boxes in boxes, lines from rim to rim, labels within',
    async (name, chart) => {
      const model = toChart(name, chart);
      const drawn: DrawnChart = await drawChart(model);
      const at = (id: string): DrawnState => drawn.states.find((s) => s.id === id) as DrawnState;
      expect(drawn.states.map((s) => s.id)).toEqual(all(model.root).map((s) => s.id));
      for (const s of drawn.states) {
        if (s.id !== '') expect(inside(s, at(parentOf(s.id))), s.id).toBe(true);
        for (const other of drawn.states) {
          const siblings = other.id !== s.id && s.id !== '' && other.id !== '' && parentOf(s.id) === parentOf(other.id);
          if (siblings) expect(apart(s, other), `${s.id} and ${other.id}`).toBe(true);
        }
      }
      const wanted = new Set(
        model.transitions.flatMap((t) => (t.to === null || t.to === t.from ? [] : [`${t.from} ${t.to}`])),
      );
      expect(new Set(drawn.edges.map((e) => `${e.from} ${e.to}`))).toEqual(wanted);
      for (const edge of drawn.edges) {
        expect(touches(edge.points[0] as [number, number], at(edge.from)), `${edge.from} → ${edge.to}`).toBe(true);
        expect(touches(edge.points.at(-1) as [number, number], at(edge.to)), `${edge.from} → ${edge.to}`).toBe(true);
        expect(edge.label.lines.length).toBeGreaterThan(0);
        expect(
          edge.label.x >= 0 && edge.label.x <= drawn.width && edge.label.y >= 0 && edge.label.y <= drawn.height,
        ).toBe(true);
      }
      expect(await drawChart(model), 'the same every time').toEqual(drawn);
    },
  );

  test('loops of a state to itself stand in its box, and many words of one line are cut short', async () => {
    const on = Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f'].map((event) => [event, 'there']));
    const busy = createMachine({
      initial: 'here',
      states: { here: { on: { ...on, again: { target: 'here', reenter: true } } }, there: {} },
    });
    const drawn = await drawChart(toChart('busy', busy));
    expect(drawn.states.find((s) => s.id === 'here')?.notes).toEqual(['↻ again']);
    expect(drawn.edges.map((e) => e.label.lines)).toEqual([['a', 'b', 'c', 'and 3 more']]);
  });

  test('is laid out once: the same machines are taken from what was made before', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'opta-charts-'));
    try {
      const dist = join(dir, 'dist');
      mkdirSync(join(dist, 'actors'), { recursive: true });
      writeFileSync(join(dist, 'package.json'), '{"type":"module"}');
      writeFileSync(join(dist, 'actors', 'charts.js'), 'export const CHARTS = { one: 1 };\n');
      const model = JSON.stringify(toChart('one', machine));
      writeFileSync(join(dist, 'actors', 'chart-model.js'), `export const toChart = () => (${model});\n`);
      const where = { dist, out: join(dir, 'charts.json'), cache: join(dir, 'cache') };
      await writeCharts(where);
      const first = readFileSync(where.out, 'utf8');
      expect(JSON.parse(first)).toEqual({ one: await drawChart(JSON.parse(model)) });
      const [kept] = readdirSync(where.cache);
      writeFileSync(join(where.cache, kept as string), '{"kept":true}');
      await writeCharts(where);
      expect(readFileSync(where.out, 'utf8')).toBe('{"kept":true}');
      // Other machines: laid out anew, and what is of no use any more goes.
      writeFileSync(
        join(dist, 'actors', 'chart-model.js'),
        `export const toChart = () => (${model.replaceAll('"calm"', '"still"')});\n`,
      );
      await writeCharts(where);
      expect(readFileSync(where.out, 'utf8')).toContain('still');
      expect(readdirSync(where.cache)).toHaveLength(1);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
