import type { Case, Family, Rule, World } from '../case.ts';

/** The chart itself is told by docs/statecharts. */
const NOW: readonly Rule[] = [
  [/stateDiagram-v2\n[\s\S]*?class \S+ active/g, 'stateDiagram-v2 <chart>'],
  [/("mermaid": )"(?:[^"\\]|\\.)*"/g, '$1<chart>'],
  [/("(?:since|at|bootedAt)": )\d+/g, '$1<n>'],
];
const CASES: Case[] = [
  { name: 'inspect-session', args: ['inspect', 'still-water'], stable: NOW },
  { name: 'inspect-session-tree', args: ['inspect', 'still-water', '--tree'] },
  { name: 'inspect-session-json', args: ['inspect', 'still-water', '--json'], stable: NOW },
  { name: 'inspect-missing', args: ['inspect', 'nobody-here'] },
  { name: 'inspect-missing-json', args: ['inspect', 'nobody-here', '--json'] },
  { name: 'inspect-no-daemon', args: ['inspect'], in: 'empty' },
  { name: 'inspect-no-daemon-json', args: ['inspect', '--json'], in: 'empty' },
  { name: 'why', args: ['why', 'still-water'] },
  { name: 'why-json', args: ['why', 'still-water', '--json'] },
  { name: 'why-missing-json', args: ['why', 'nobody-here', '--json'] },
  { name: 'why-needs-a-session', args: ['why', '--json'] },
  { name: 'why-no-daemon', args: ['why', 'x'], in: 'empty' },
  { name: 'inspect-help', args: ['inspect', '--help'] },
  { name: 'why-help', args: ['why', '--help'] },
];

export default {
  prepare: ({ daemon }: World) => daemon.post('/v3/sessions', { sessionId: 'still-water', title: 'still water' }),
  cases: CASES,
} satisfies Family;
