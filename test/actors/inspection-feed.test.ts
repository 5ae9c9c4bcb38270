import type { createBrowserInspector } from '@statelyai/inspect';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { type InspectMessage, InspectMessageSchema } from '../../src/protocol/feeds/inspection.ts';
import type { InspectedActor } from '../../src/protocol/inspection.ts';
import { Harness } from './harness.ts';

type Options = NonNullable<Parameters<typeof createBrowserInspector>[0]>;
/** What a tool for the package is sent. */
type Stately = Parameters<NonNullable<Options['filter']>>[0];
type Of<T extends string> = Extract<InspectMessage, { type: T }>;
type StatelyOf<T extends string> = Extract<Stately, { type: T }>;

const watching = (h: Harness, sessionId: string | null = null) => {
  const got: InspectMessage[] = [];
  const parsed = (text: string): InspectMessage => InspectMessageSchema.parse(JSON.parse(text));
  const inspection = h.system.observe(sessionId, (text) => void got.push(parsed(text)));
  return {
    got,
    texts: () => JSON.stringify(got),
    picture: () => inspection.picture().map(parsed),
    end: () => inspection.end(),
    states: (id: string) =>
      got.flatMap((m) => (m.type === '@xstate.snapshot' && m.id === id ? [m.snapshot.value ?? m.snapshot.status] : [])),
    of: <T extends InspectMessage['type']>(type: T): Of<T>[] => got.filter((m): m is Of<T> => m.type === type),
  };
};

const idsOf = (tree: InspectedActor): string[] => [tree.id, ...tree.children.flatMap(idsOf)];
const inspected = (h: Harness): InspectedActor => {
  let tree: InspectedActor | null = null;
  h.system.inspect(null, (_error, value) => {
    tree = value;
  });
  return tree as unknown as InspectedActor;
};
const actorsOf = (messages: readonly InspectMessage[]): Of<'@xstate.actor'>[] =>
  messages.filter((m): m is Of<'@xstate.actor'> => m.type === '@xstate.actor');

describe('the inspection feed', () => {
  test('[FD1] while nobody looks there is no observer, on no system', () => {
    const h = new Harness();
    h.create('a');
    const daemonObservers = (): number => h.system.parts.feed.observed;
    expect(daemonObservers()).toBe(0);
    const slot = h.system.parts.registry.slots.get('a');
    if (slot?.state !== 'live') throw new Error('it is loaded');
    // What XState itself does with an event of inspection: nothing, unless somebody observes.
    const { system } = slot.actor as unknown as { system: { _sendInspectionEvent(event: object): void } };
    const seen: unknown[] = [];
    const probe = Object.defineProperty({}, 'type', {
      get: () => {
        seen.push('read');
        return '@xstate.event';
      },
      enumerable: true,
    });
    system._sendInspectionEvent(probe);
    expect(seen).toEqual([]);
    const [all, one] = [watching(h), watching(h, 'a')];
    expect(h.system.parts.feed.observed).toBe(2);
    all.end();
    expect(h.system.parts.feed.observed).toBe(1);
    one.end();
    expect(h.system.parts.feed.observed).toBe(0);
    system._sendInspectionEvent(probe);
    expect(seen).toEqual([]);
    h.submit('a', 'say hello');
    h.run(100);
    expect([all.got.length, one.got.length]).toEqual([0, 0]);
  });

  test('[FD2] a picture has all actors that live, by the ids of the tree', () => {
    const h = new Harness();
    h.create('a');
    h.create('b');
    h.submit('a', 'hang');
    h.run(10);
    const w = watching(h);
    const [begin, ...actors] = w.picture();
    expect(begin).toMatchObject({ type: '@opta.picture', actors: actors.length });
    expect(
      actorsOf(actors)
        .map((m) => m.id)
        .sort(),
    ).toEqual(idsOf(inspected(h)).sort());
    expect(new Set(actorsOf(actors).map((m) => m.sessionId)).size).toBe(actors.length);
    const turn = actorsOf(actors).find((m) => m.id === 'a/turn');
    expect(turn).toMatchObject({
      chart: 'turn',
      snapshot: { status: 'active', context: { turnId: expect.any(String) } },
      parentId: actorsOf(actors).find((m) => m.id === 'a')?.sessionId,
      rootId: actorsOf(actors).find((m) => m.id === 'a')?.sessionId,
    });
    const one = watching(h, 'b');
    expect(actorsOf(one.picture()).map((m) => m.id)).toEqual(['b']);
  });

  test('[FD2] a turn is told from its first actor to its last state', () => {
    const h = new Harness();
    h.create('a');
    const w = watching(h, 'a');
    w.picture();
    h.submit('a', 'say hello');
    h.run(300);
    const begun = w.of('@xstate.actor').map((m) => m.id);
    expect(begun).toContain('a/turn');
    expect(begun.some((id) => id.startsWith('a/turn/stream'))).toBe(true);
    const ends = w.of('@xstate.snapshot').filter((m) => m.id === 'a/turn' && m.snapshot.status !== 'active');
    expect(ends).toHaveLength(1);
    expect(w.states('a').at(-1)).toBe('idle');
    expect(w.of('@xstate.event').some((m) => m.event.type === 'turn.submit' && m.id === 'a')).toBe(true);
  });

  test('[FD2] a session that is loaded while it is watched is there, and one that sleeps again has ended', () => {
    const h = new Harness({ passivateAfterMs: 50 });
    h.create('a');
    h.run(5_000);
    expect(h.system.parts.registry.slots.has('a')).toBe(false);
    const w = watching(h, 'a');
    expect(w.picture()).toHaveLength(1);
    h.submit('a', 'say hello');
    h.run(30);
    expect(w.of('@xstate.actor')[0]?.id).toBe('a');
    h.run(5_000);
    expect(
      w
        .of('@xstate.snapshot')
        .filter((m) => m.id === 'a')
        .at(-1)?.snapshot.status,
    ).toBe('stopped');
    expect(h.system.parts.feed.observed).toBe(0);
  });

  test('[FD2] a session that fails says so, and its restart is there', () => {
    const h = new Harness();
    h.create('a');
    const w = watching(h, 'a');
    h.submit('a', 'poison write');
    h.run(2_000);
    const statuses = w
      .of('@xstate.snapshot')
      .filter((m) => m.id === 'a')
      .map((m) => m.snapshot.status);
    expect(statuses).toContain('error');
    expect(w.of('@xstate.actor').some((m) => m.id === 'a')).toBe(true);
  });

  test('[SV1] a fault of who watches reaches no actor', () => {
    const h = new Harness();
    h.create('a');
    h.system.observe('a', () => {
      throw new Error('a watcher that is broken');
    });
    const { answer } = h.submit('a', 'say hello');
    h.run(100);
    expect(answer).not.toBe('storage');
    const w = watching(h, 'a');
    expect(actorsOf(w.picture()).map((m) => [m.id, m.snapshot.value])).toEqual([['a', 'idle']]);
  });

  test('[FD3] nothing of prompts, answers and arguments is in it', () => {
    const h = new Harness();
    h.create('a');
    const w = watching(h);
    const secrets = ['PROMPT-OF-ADA', 'ANSWER-OF-MODEL', '"path"'];
    h.submit('a', 'say PROMPT-OF-ADA ANSWER-OF-MODEL');
    h.run(200);
    h.submit('a', 'call write PROMPT-OF-ADA');
    h.run(400);
    expect(w.got.length).toBeGreaterThan(20);
    const all = w.texts() + JSON.stringify(w.picture());
    for (const secret of secrets) expect(all).not.toContain(secret);
    const events = w.of('@xstate.event').map((m) => m.event);
    for (const event of events) {
      for (const value of Object.values(event)) expect(['string', 'number']).toContain(typeof value);
    }
  });

  test('[FD2] of a flood some twenty messages a second come, the last state among them, and the rest is counted', () => {
    const h = new Harness({ passivateAfterMs: 60_000, firstDeltaDeadlineMs: 60_000, turnDurationMs: 60_000 });
    h.create('a');
    h.submit('a', 'hang');
    h.run(10);
    const slot = h.system.parts.registry.slots.get('a');
    if (slot?.state !== 'live') throw new Error('it is loaded');
    const w = watching(h, 'a');
    for (let i = 0; i < 1_000; i++) {
      slot.actor.send({ type: 'no.such.event', seq: i } as never);
      h.run(2);
    }
    h.run(1_000);
    const mine = w.got.filter((m) => 'id' in m && m.id === 'a');
    expect(mine.length).toBeLessThanOrEqual(3 * 21);
    expect(mine.length).toBeGreaterThan(20);
    const snapshots = w.of('@xstate.snapshot').filter((m) => m.id === 'a');
    expect(snapshots.at(-1)?.event).toMatchObject({ type: 'no.such.event', seq: 999 });
    const skipped = snapshots.reduce((n, m) => n + (m.skipped ?? 0), 0);
    // Each of the thousand was an event and a state.
    expect(skipped + mine.length).toBeGreaterThanOrEqual(1_900);
    w.end();
    h.run(1_000);
    expect(h.clock.nextAt() === null || h.system.parts.feed.observed === 0).toBe(true);
  });
});

test('[FD3] the messages have the shape that tools for @statelyai/inspect take', () => {
  expectTypeOf<Omit<Of<'@xstate.event'>, 'chart'>>().toExtend<Omit<StatelyOf<'@xstate.event'>, 'sourceId'>>();
  expectTypeOf<Omit<Of<'@xstate.snapshot'>, 'snapshot'>>().toExtend<Omit<StatelyOf<'@xstate.snapshot'>, 'snapshot'>>();
  expectTypeOf<Of<'@xstate.actor'>['snapshot']>().toExtend<StatelyOf<'@xstate.actor'>['snapshot']>();
  type Actor = Omit<StatelyOf<'@xstate.actor'>, 'definition' | 'parentId'>;
  expectTypeOf<Of<'@xstate.actor'>>().toExtend<Actor>();
  const h = new Harness();
  h.create('a');
  const w = watching(h);
  h.submit('a', 'say hello');
  h.run(100);
  for (const m of [...w.picture(), ...w.got]) {
    if (m.type === '@opta.picture') continue;
    expect(m).toMatchObject({
      _version: '0.7.2',
      createdAt: expect.stringMatching(/^\d+$/),
      rootId: expect.stringMatching(/^x:\d+$/),
    });
  }
});
