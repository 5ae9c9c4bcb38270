import type { InspectedActor } from '../client/http.ts';
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
  const states = statesOf(actor.mermaid ?? '').map(({ label, level, active }) => {
    const text = `${active ? '●' : '○'} ${label}`;
    return `${indent}   ${'   '.repeat(level)}${active ? colour.green(text) : colour.dim(text)}\n`;
  });
  return head + states.join('') + actor.children.map((child) => chartTree(child, depth + 1)).join('');
};

interface State {
  label: string;
  level: number;
  active: boolean;
}

/** `state "label" as id` lines with their nesting; `class a,b active` names the active ones. */
export const statesOf = (mermaid: string): State[] => {
  const lit = new Set(/^\s*class (\S+) active$/m.exec(mermaid)?.[1]?.split(',') ?? []);
  let level = 0;
  const out: State[] = [];
  for (const line of mermaid.split('\n')) {
    const state = /^\s*state "([^"]*)" as (\w+)$/.exec(line);
    if (state?.[1] !== undefined) out.push({ label: oneLine(state[1], 60), level, active: lit.has(state[2] ?? '') });
    else if (/^\s*state \w+ \{$/.test(line)) level += 1;
    else if (/^\s*\}$/.test(line)) level -= 1;
  }
  return out;
};
