import type { InspectedActor } from '../client/http.ts';
import { stateRows } from '../views/chart.ts';
import { colour, oneLine } from './output.ts';

/**
 * A live actor's chart as an indented tree with the active states marked, for terminals. The states are read from the chart's
 * Mermaid text, so that the terminal shows the very chart that the daemon runs.
 */
export const chartTree = (actor: InspectedActor, depth = 0): string => {
  const indent = '   '.repeat(depth);
  const facts = ['turnId', 'step', 'requestId', 'seq', 'queued']
    .flatMap((name) => (actor.facts[name] === undefined ? [] : [`${name} ${String(actor.facts[name])}`]))
    .join(', ');
  const head = `${indent}${colour.bold(actor.chart)}${facts === '' ? '' : `  ${colour.dim(oneLine(facts, 120))}`}\n`;
  const states = stateRows(actor.mermaid ?? '').map(({ label, level, active }) => {
    const text = `${active ? '●' : '○'} ${label}`;
    return `${indent}   ${'   '.repeat(level)}${active ? colour.green(text) : colour.dim(text)}\n`;
  });
  return head + states.join('') + actor.children.map((child) => chartTree(child, depth + 1)).join('');
};
