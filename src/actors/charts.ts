import type { AnyStateMachine, AnyStateNode, StateValue } from 'xstate';
import { actionNames, eventName, guardName } from './chart-model.ts';
import { backgroundMachine } from './machines/background-job.ts';
import { daemonMachine } from './machines/daemon.ts';
import { permissionMachine } from './machines/permission.ts';
import { sessionMachine } from './machines/session.ts';
import { streamMachine } from './machines/stream.ts';
import { toolJobMachine } from './machines/tool-job.ts';
import { turnMachine } from './machines/turn.ts';

/** Every statechart of the runtime by name; `docs/statecharts` is generated from this. */
export const CHARTS = {
  daemon: daemonMachine,
  session: sessionMachine,
  turn: turnMachine,
  stream: streamMachine,
  'tool-job': toolJobMachine,
  permission: permissionMachine,
  'background-job': backgroundMachine,
} as const satisfies { [name: string]: AnyStateMachine };

export type ChartName = keyof typeof CHARTS;
export const isChartName = (name: string): name is ChartName => Object.hasOwn(CHARTS, name);

/** The chart as a Mermaid state diagram; the states of `active` are marked. */
export const toMermaid = (machine: AnyStateMachine, active?: StateValue): string => {
  const lines = ['stateDiagram-v2'];
  states(machine.root, lines, 1);
  transitions(machine.root, lines);
  const lit = active === undefined ? [] : activeIds(machine.root, active);
  if (lit.length > 0) {
    lines.push('  classDef active fill:#16a34a,stroke:#052e16,color:#fff,font-weight:bold');
    lines.push(`  class ${lit.join(',')} active`);
  }
  return `${lines.join('\n')}\n`;
};

const name = (node: AnyStateNode): string => node.path.join('_') || 'root';

const states = (node: AnyStateNode, lines: string[], depth: number): void => {
  const pad = '  '.repeat(depth);
  const first = node.initial?.target[0];
  if (first) lines.push(`${pad}[*] --> ${name(first)}`);
  for (const child of Object.values(node.states)) {
    const runs = child.invoke.map((i) => String(i.src)).join(', ');
    const label = runs === '' ? child.key : `${child.key} (runs ${runs})`;
    lines.push(`${pad}state "${label}" as ${name(child)}`);
    if (Object.keys(child.states).length > 0) {
      lines.push(`${pad}state ${name(child)} {`);
      states(child, lines, depth + 1);
      lines.push(`${pad}}`);
    }
    if (child.type === 'final') lines.push(`${pad}${name(child)} --> [*]`);
  }
};

/** What a state does on the way in and out. */
const note = (node: AnyStateNode): string[] => {
  const named = (actions: readonly unknown[]): string => actionNames(actions).join(', ');
  const both = [
    ...(named(node.entry) === '' ? [] : [`entry ${named(node.entry)}`]),
    ...(named(node.exit) === '' ? [] : [`exit ${named(node.exit)}`]),
  ];
  return both.length === 0 || node.path.length === 0 ? [] : [`  note right of ${name(node)} : ${both.join(', ')}`];
};

const transitions = (node: AnyStateNode, lines: string[]): void => {
  lines.push(...note(node));
  for (const t of node.transitions.values()) for (const one of t) lines.push(...edge(node, one));
  for (const one of node.always ?? []) lines.push(...edge(node, one));
  for (const child of Object.values(node.states)) transitions(child, lines);
};

const edge = (node: AnyStateNode, t: AnyStateNode['on'][string][number]): string[] => {
  const guard = t.guard === undefined ? '' : ` [${guardName(t.guard)}]`;
  const actions = actionNames(t.actions);
  const label =
    `${eventName(String(t.eventType))}${guard}${actions.length === 0 ? '' : ` / ${actions.join(', ')}`}`.trim();
  const from = name(node);
  if (!t.target) {
    if (node.path.length === 0) return [`  note left of ${name(firstChild(node))} : anywhere - ${label}`];
    return actions.length === 0 ? [] : [`  ${from} --> ${from} : ${label}`];
  }
  const source = node.path.length === 0 ? name(firstChild(node)) : from;
  return t.target.map((to) => `  ${source} --> ${name(to)} : ${label || 'always'}`);
};

const firstChild = (node: AnyStateNode): AnyStateNode => Object.values(node.states)[0] ?? node;

const activeIds = (node: AnyStateNode, value: StateValue): string[] => {
  if (typeof value === 'string') {
    const child = node.states[value];
    return child ? [name(child)] : [];
  }
  return Object.entries(value).flatMap(([key, below]) => {
    const child = node.states[key];
    return child ? [name(child), ...(below ? activeIds(child, below) : [])] : [];
  });
};
