import type { AnyStateMachine, AnyStateNode } from 'xstate';
import type { ChartModel, ChartState, ChartTransition } from '../protocol/chart.ts';

/** A machine as plain facts: nested, parallel and final states, what they run and do, and every transition. No layout. */
export const toChart = (name: string, machine: AnyStateMachine): ChartModel => ({
  name,
  root: stateOf(machine.root),
  transitions: transitionsOf(machine.root),
});

const idOf = (node: AnyStateNode): string => node.path.join('.');

const stateOf = (node: AnyStateNode): ChartState => {
  const initial = node.type === 'compound' ? node.initial?.target[0] : undefined;
  return {
    id: idOf(node),
    key: node.key,
    type: node.type,
    ...(initial ? { initial: idOf(initial) } : {}),
    invokes: node.invoke.map(({ src }) => String(src)),
    entry: actionNames(node.entry),
    exit: actionNames(node.exit),
    children: Object.values(node.states).map(stateOf),
  };
};

type Transition = AnyStateNode['on'][string][number];

const transitionsOf = (node: AnyStateNode): ChartTransition[] => [
  ...[...node.transitions.values()].flat().flatMap((t) => ways(node, t)),
  ...(node.always ?? []).flatMap((t) => ways(node, t)),
  ...Object.values(node.states).flatMap(transitionsOf),
];

/** One for each target; of several that stay, one. */
const ways = (node: AnyStateNode, t: Transition): ChartTransition[] => {
  const type = String(t.eventType);
  const delay = delayOf(type);
  const base = {
    from: idOf(node),
    type,
    event: eventName(type) || 'always',
    ...(t.guard === undefined ? {} : { guard: guardName(t.guard) }),
    ...(delay === null ? {} : { delay }),
    actions: actionNames(t.actions),
  };
  return t.target ? t.target.map((to) => ({ ...base, to: idOf(to) })) : [{ ...base, to: null }];
};

export const actionNames = (actions: readonly unknown[]): string[] => actions.map(actionName).filter((a) => a !== '');

const actionName = (action: unknown): string =>
  typeof action === 'string' ? action : ((action as { type?: string }).type ?? '').replace(/^xstate\..*/, '');

export const guardName = (guard: unknown): string =>
  typeof guard === 'string' ? guard : ((guard as { type?: string }).type ?? 'guard');

const delayOf = (type: string): string | null => /^xstate\.after\.([^.]+)\./.exec(type)?.[1] ?? null;

/** `after` and `done` events carry internal names; what people read is the delay's or the child's. */
export const eventName = (type: string): string => {
  const delay = delayOf(type);
  if (delay !== null) return `after ${delay}`;
  const done = /^xstate\.done\.(actor|state)\.(.+)$/.exec(type);
  if (done) return `done ${done[2]?.replace(/\d+\.(.*)$/, '$1')}`;
  return type;
};
