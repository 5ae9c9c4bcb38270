import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type AnyStateNode, assign, createActor, createMachine, fromCallback } from 'xstate';
import { CHARTS, toMermaid } from '../../src/actors/charts.ts';
import { halt } from '../../src/actors/effects/halt.ts';

test('[SV1] docs/statecharts is what the machines are (npm run charts)', () => {
  const files = readdirSync('docs/statecharts').filter((f) => f.endsWith('.mmd'));
  expect(files.sort()).toEqual(
    Object.keys(CHARTS)
      .map((n) => `${n}.mmd`)
      .sort(),
  );
  for (const [name, machine] of Object.entries(CHARTS)) {
    expect(readFileSync(`docs/statecharts/${name}.mmd`, 'utf8'), name).toBe(toMermaid(machine));
  }
});

const nodes = (node: AnyStateNode): AnyStateNode[] => [node, ...Object.values(node.states).flatMap(nodes)];
const eventsOf = (node: AnyStateNode): string[] => nodes(node).flatMap((n) => [...n.transitions.keys()]);

/** The command table of messages.ts, with the states in which a session must say what it does with each. */
const COMMANDS = [
  'turn.submit',
  'turn.cancel',
  'permission.resolve',
  'queue.edit',
  'queue.withdraw',
  'session.patch',
  'session.delete',
  'session.undelete',
  'session.undo',
  'session.committed',
  'session.drain',
  'background.start',
  'background.kill',
  'session.stop',
];
const REPORTS = [
  'step.ready',
  'step.accepted',
  'step.compacted',
  'delta',
  'step.calls',
  'call.allow',
  'call.ask',
  'call.refuse',
  'call.expire',
  'call.result',
  'background.spawned',
  'background.failed',
  'background.wrote',
  'background.ended',
  'background.left',
  'restore.done',
];

test('[TQ2] every command and report is an event of the session chart, and nothing else is', () => {
  const known = new Set([...COMMANDS, ...REPORTS]);
  const events = new Set(eventsOf(CHARTS.session.root).filter((e) => !e.startsWith('xstate.') && e !== ''));
  expect([...events].sort()).toEqual([...known].sort());
  const source = readFileSync('src/actors/messages.ts', 'utf8');
  const session = source.slice(
    source.indexOf('export type SessionCommand'),
    source.indexOf('export type SessionEvent'),
  );
  expect([...session.matchAll(/type: '([^']+)'/g)].map((m) => m[1]).sort()).toEqual([...known].sort());
});

test('[TQ4] every policy is a guarded transition of its own', () => {
  const submit = (path: string[]): string[] => {
    let node: AnyStateNode = CHARTS.session.root;
    for (const key of path) node = node.states[key] as AnyStateNode;
    return (node.transitions.get('turn.submit') ?? []).map((t) => String(t.guard ?? 'otherwise'));
  };
  const key = ['isReplay', 'isMismatch', 'isKeysFull'];
  const busy = [...key, 'isConflict', 'isFull', 'rejects'];
  expect(submit(['running', 'active'])).toEqual([...busy, 'interrupts', 'rollsBack', 'steers', 'otherwise']);
  expect(submit(['running', 'cancelling'])).toEqual(['isDeleted', ...busy, 'otherwise']);
  expect(submit(['idle'])).toEqual([...key, 'isConflict', 'otherwise']);
  expect(submit(['deleted'])).toEqual(['otherwise']);
});

test('[SV2] every state that waits has a deadline of its own, a child, or an owner above it with one', () => {
  const bare: string[] = [];
  for (const [name, machine] of Object.entries(CHARTS)) {
    for (const node of nodes(machine.root)) {
      if (Object.keys(node.states).length > 0 || node.type === 'final' || (node.always ?? []).length > 0) continue;
      const chain: AnyStateNode[] = [];
      for (let n: AnyStateNode | undefined = node; n; n = n.parent) chain.push(n);
      if (!chain.some((n) => n.after.length > 0 || n.invoke.length > 0)) bare.push(`${name}.${node.path.join('.')}`);
    }
  }
  // At rest or at the end; `starting.reading` waits for reads, each of which has the store's deadline.
  expect(bare).toEqual(['daemon.starting.reading', 'daemon.ready', 'session.stopped']);
});

test('[SV1] halt stops what a failed actor left running, which XState does not', () => {
  const stopped: string[] = [];
  const tick = fromCallback(() => () => {
    stopped.push('tick');
  });
  const child = createMachine({ invoke: { src: tick } });
  const make = () =>
    createMachine({
      invoke: { id: 'child', src: child },
      on: {
        boom: {
          actions: assign(() => {
            throw new Error('boom');
          }),
        },
      },
    });
  const actor = createActor(make());
  actor.subscribe({ error: () => undefined });
  actor.start();
  actor.send({ type: 'boom' });
  expect(actor.getSnapshot().status).toBe('error');
  expect(stopped).toEqual([]);
  halt(actor);
  expect(stopped).toEqual(['tick']);
});
