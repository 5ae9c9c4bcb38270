import { expect, test } from 'vitest';
import { CHARTS, toMermaid } from '../../src/actors/charts.ts';
import { stateRows } from '../../src/views/chart.ts';

test('[SV2] the tree of a chart has every state once, at its depth, with the active ones marked', () => {
  const states = stateRows(toMermaid(CHARTS.turn, { working: { acting: 'running' } }));
  expect(states.filter((s) => s.active).map((s) => [s.label, s.level])).toEqual([
    ['working', 0],
    ['acting (runs toolJob)', 1],
    ['running', 2],
  ]);
  expect(states.map((s) => s.label)).toContain('asking (runs permission)');
  expect(stateRows(toMermaid(CHARTS.turn)).some((s) => s.active)).toBe(false);
  expect(stateRows('')).toEqual([]);
});
