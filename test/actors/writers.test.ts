import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { movedOrder } from '../../src/actors/domain/arbitration.ts';
import { digestOf } from '../../src/actors/domain/submit-digest.ts';
import type { OptaError } from '../../src/protocol/errors.ts';
import { emptySession, type QueuedTurn } from '../../src/protocol/session-state.ts';
import { type EditQueued, EditQueuedSchema, SubmitTurnSchema } from '../../src/protocol/turn.ts';
import { Harness } from './harness.ts';

/** Calls the runtime and keeps the answer, or the code of the refusal. */
const ask = <T>(call: (done: (error: OptaError | null, value: T) => void) => void): { answer: T | string } => {
  const out: { answer: T | string } = { answer: 'none' };
  call((error, value) => {
    out.answer = error ? error.code : value;
  });
  return out;
};
const edit = (h: Harness, turnId: string, change: object) =>
  ask((done) => h.system.editQueued('s', turnId, EditQueuedSchema.parse({ writerId: 'w', ...change }), done));
const turnOf = (out: { answer: unknown }): string => (out.answer as { turnId: string }).turnId;

describe('steer', () => {
  test('[WP4] the running turn takes it in before its next model call, and its own turn ends there', () => {
    const h = new Harness();
    h.create('s');
    h.submit('s', 'call read');
    const steer = h.submit('s', 'say changed', { writerId: 'b', onBusy: 'steer' });
    const behind = h.submit('s', 'say behind');
    h.run(200);
    expect([steer.answer, behind.answer]).toMatchObject([{ queued: 1 }, { queued: 2 }]);
    const done = h.log('s').find((r) => r.event === 'turn.done' && r.payload.turnId === turnOf(steer));
    expect(done?.payload).toMatchObject({ steeredInto: 't1', outcome: 'done', writerId: 'b' });
    expect(h.log('s').some((r) => r.event === 'turn.start' && r.payload.turnId === turnOf(steer))).toBe(false);
    expect(h.ends('s')).toEqual([
      ['say changed', 'done'],
      ['call read', 'done'],
      ['say behind', 'done'],
    ]);
  });

  test('[WP4] the conversation has it after the results of the step, so that each call keeps its one result', () => {
    const h = new Harness();
    h.create('s');
    h.submit('s', 'call read');
    h.run(7);
    h.submit('s', 'say changed', { onBusy: 'steer' });
    h.run(200);
    const got = ask<{ messages: { role: string; content: string }[] }>((d) => h.system.get('s', d as never));
    h.run(20);
    const { messages } = got.answer as { messages: { role: string; content: string }[] };
    expect(messages.map((m) => m.role)).toEqual(['user', 'assistant', 'tool', 'user', 'assistant']);
    expect(messages[4]?.content).toBe('changed');
  });

  test('[WP4] a running turn that makes no further model call leaves it to run next, ahead of what was queued', () => {
    const h = new Harness();
    h.create('s');
    h.submit('s', 'say one');
    h.submit('s', 'say queued');
    h.run(4);
    const steer = h.submit('s', 'say late', { onBusy: 'steer' });
    h.run(300);
    expect(steer.answer).toMatchObject({ queued: 1 });
    expect(h.ends('s').map(([content]) => content)).toEqual(['say one', 'say late', 'say queued']);
    expect(h.log('s').filter((r) => r.event === 'turn.start')).toHaveLength(3);
  });

  test('[WP4] it brings text and nothing else: a mode or an override of its own does not reach the running turn', () => {
    const h = new Harness();
    h.create('s');
    h.attach('s');
    h.submit('s', 'call read', { mode: 'plan' });
    h.submit('s', 'call write', { onBusy: 'steer', overrides: { dangerous: true } });
    h.run(400);
    expect(h.ran).toEqual(['read']);
  });

  test('[WP4] while a cancel is under way it waits behind what is queued, and while none runs it starts', () => {
    const h = new Harness();
    h.create('s');
    h.submit('s', 'call slow', { onBusy: 'steer', overrides: { dangerous: true } });
    h.run(60);
    h.submit('s', 'say queued');
    h.cancel('s', { turnId: 't1' });
    const steer = h.submit('s', 'say steer', { onBusy: 'steer' });
    h.run(300);
    expect(steer.answer).toMatchObject({ queued: 2 });
    expect(h.ends('s').map(([content]) => content)).toEqual(['call slow', 'say queued', 'say steer']);
  });

  test('[WP6] the session’s own policy holds for a submit that names none, and a named one outranks it', () => {
    const h = new Harness();
    h.create('s');
    ask((done) => h.system.patch('s', { onBusy: 'reject' }, done));
    h.submit('s', 'hang');
    const silent = h.submit('s', 'say no');
    const named = h.submit('s', 'say yes', { onBusy: 'enqueue' });
    h.run(30);
    expect([silent.answer, named.answer]).toMatchObject(['session-busy', { queued: 1 }]);
  });
});

describe('idempotency', () => {
  const key = { idempotencyKey: 'k-1' };

  test('[TQ5] one key is one turn: while it runs, when it is done, and after a restart', () => {
    const h = new Harness();
    h.create('s');
    const first = h.submit('s', 'say a', key);
    const again = h.submit('s', 'say a', key);
    h.run(200);
    const done = h.submit('s', 'say a', key);
    h.run(1_000);
    const passivated = h.submit('s', 'say a', key);
    h.run(50);
    h.boot();
    const restarted = h.submit('s', 'say a', key);
    h.run(50);
    const { turnId, seq } = first.answer as { turnId: string; seq: number };
    for (const { answer } of [again, done, passivated, restarted]) {
      expect(answer).toEqual({ turnId, seq, queued: 0, replayed: true });
    }
    expect(h.log('s').filter((r) => r.event === 'turn.queued')).toHaveLength(1);
  });

  test('[TQ5] the same key with another request is refused, and the order of members is no difference', () => {
    const h = new Harness();
    h.create('s');
    h.submit('s', 'say a', { ...key, metadata: { x: 1, y: { a: 1, b: 2 } } });
    const same = h.submit('s', 'say a', { metadata: { y: { b: 2, a: 1 }, x: 1 }, ...key });
    const other = h.submit('s', 'say b', { ...key, metadata: { x: 1, y: { a: 1, b: 2 } } });
    const elsewhere = h.submit('t', 'say a', key);
    h.run(50);
    expect(same.answer).toMatchObject({ replayed: true });
    expect(other.answer).toBe('idempotency-mismatch');
    expect(elsewhere.answer).toBe('session-not-found');
  });

  test('[TQ5] the key is looked at before anything that could refuse', () => {
    const h = new Harness({ queueTurnsMax: 1 });
    h.create('s');
    const first = h.submit('s', 'hang', { ...key, lastSeenSeq: 1, onBusy: 'reject' });
    h.submit('s', 'say full');
    const again = h.submit('s', 'hang', { ...key, lastSeenSeq: 1, onBusy: 'reject' });
    h.run(30);
    expect(again.answer).toMatchObject({ turnId: turnOf(first), replayed: true });
  });

  test('[TQ6] a refused submit uses up no key', () => {
    const h = new Harness();
    h.create('s');
    h.submit('s', 'hang');
    expect(h.submit('s', 'say a', { ...key, onBusy: 'reject' })).toBeDefined();
    h.run(20);
    h.cancel('s', { turnId: 't1' });
    h.run(50);
    const again = h.submit('s', 'say a', { ...key, onBusy: 'reject' });
    h.run(100);
    expect(again.answer).toMatchObject({ queued: 0 });
    expect(again.answer).not.toHaveProperty('replayed');
  });

  test('[TQ5, SV3] above its bound of keys a session refuses a new one rather than forget an old one', () => {
    const h = new Harness({ idempotencyKeysMax: 2 });
    h.create('s');
    const answers = ['a', 'b', 'c', 'a'].map((k) => h.submit('s', `say ${k}`, { idempotencyKey: k }));
    const bare = h.submit('s', 'say d');
    h.run(100);
    expect(answers.map(({ answer }) => answer)).toMatchObject([{}, {}, 'session-full', { replayed: true }]);
    expect(bare.answer).toMatchObject({ queued: 2 });
  });

  test('[TQ5] the digest is of everything but the key', () => {
    const turn = (more: object) =>
      digestOf(SubmitTurnSchema.parse({ clientId: 'c', writerId: 'w', content: 'x', mode: 'do', ...more }));
    const all = [
      {},
      { content: 'y' },
      { mode: 'chat' },
      { writerId: 'v' },
      { onBusy: 'steer' },
      { lastSeenSeq: 1 },
      { metadata: {} },
    ];
    expect(new Set(all.map(turn)).size).toBe(all.length);
    expect(turn({ idempotencyKey: 'k' })).toBe(turn({}));
  });
});

describe('the queue', () => {
  const queued = (): Harness => {
    const h = new Harness();
    h.create('s');
    h.submit('s', 'hang');
    h.submit('s', 'say a1', { writerId: 'a' });
    h.submit('s', 'say b1', { writerId: 'b' });
    h.submit('s', 'say a2', { writerId: 'a' });
    h.run(20);
    return h;
  };

  test('[WP5] its writer edits a waiting turn, and what runs is what was written last', () => {
    const h = queued();
    const out = edit(h, 't2', { writerId: 'a', content: 'say new', mode: 'plan' });
    h.run(10);
    h.cancel('s', { turnId: 't1' });
    h.run(300);
    expect(out.answer).toMatchObject({ turnId: 't2', position: 1 });
    const got = ask<{ messages: { content: string }[] }>((d) => h.system.get('s', d as never));
    h.run(20);
    expect((got.answer as { messages: { content: string }[] }).messages.map((m) => m.content)).toContain('say new');
    expect(
      h.log('s').some((r) => r.event === 'turn.start' && r.payload.turnId === 't2' && r.payload.mode === 'plan'),
    ).toBe(true);
  });

  test('[WP5] nobody else may, nobody may once it runs, and a refusal changes nothing', () => {
    const h = queued();
    const before = h.log('s').length;
    const foreign = edit(h, 't2', { writerId: 'b', content: 'x' });
    const running = edit(h, 't1', { content: 'x' });
    const unknown = edit(h, 'nope', { content: 'x' });
    const taken = ask((d) => h.system.withdraw('s', 't2', 'b', d));
    const across = edit(h, 't2', { writerId: 'a', before: 't3' });
    h.run(20);
    expect([foreign, running, unknown, taken, across].map(({ answer }) => answer)).toEqual([
      'not-your-turn',
      'turn-not-queued',
      'turn-not-queued',
      'not-your-turn',
      'invalid-request',
    ]);
    expect(h.log('s')).toHaveLength(before);
  });

  test('[WP5] a writer moves its own turns past its own, and those of others keep their places', () => {
    const h = queued();
    const out = edit(h, 't4', { writerId: 'a', before: 't2' });
    h.run(10);
    h.cancel('s', { turnId: 't1' });
    h.run(400);
    expect(out.answer).toMatchObject({ position: 1 });
    expect(h.ends('s').map(([content]) => content)).toEqual(['hang', 'say a2', 'say b1', 'say a1']);
  });

  test('[TQ2, WP5] whatever is moved, the turns of others stay where they are and none is lost', () => {
    const writer = fc.constantFrom('a', 'b', 'c');
    fc.assert(
      fc.property(
        fc.array(writer, { minLength: 1, maxLength: 12 }),
        fc.nat(),
        fc.option(fc.nat()),
        (writers, which, target) => {
          const queue = writers.map((writerId, i) => ({ turnId: `t${i}`, writerId }) as QueuedTurn);
          const s = { ...emptySession('s'), queue };
          const turn = queue[which % queue.length] as QueuedTurn;
          const own = queue.filter((t) => t.writerId === turn.writerId && t !== turn);
          const before = target === null || own.length === 0 ? null : (own[target % own.length] as QueuedTurn).turnId;
          const order = movedOrder(s, turn.turnId, { writerId: turn.writerId, before } as EditQueued);
          expect([...order].sort()).toEqual(queue.map((t) => t.turnId).sort());
          queue.forEach((t, i) => {
            if (t.writerId !== turn.writerId) expect(order[i]).toBe(t.turnId);
          });
          if (before !== null) expect(order.indexOf(turn.turnId)).toBeLessThan(order.indexOf(before));
        },
      ),
    );
  });

  test('[CX1, TQ3] a withdrawn turn ends as cancelled, once, and never runs', () => {
    const h = queued();
    const out = ask((d) => h.system.withdraw('s', 't3', 'b', d));
    h.cancel('s', { turnId: 't1' });
    h.run(300);
    expect(out.answer).toMatchObject({ turnId: 't3' });
    expect(h.ends('s')).toEqual([
      ['say b1', 'cancelled'],
      ['hang', 'cancelled'],
      ['say a1', 'done'],
      ['say a2', 'done'],
    ]);
  });

  test('[CR1] an edited and reordered queue is the same after a restart', () => {
    const h = queued();
    edit(h, 't2', { writerId: 'a', content: 'say edited' });
    edit(h, 't4', { writerId: 'a', before: 't2' });
    h.run(20);
    h.boot();
    h.run(400);
    const said = h.log('s').flatMap((r) => (r.event === 'turn.token' ? [r.payload.text] : []));
    expect(said.join(' ')).toBe('a2 b1 edited');
  });
});
