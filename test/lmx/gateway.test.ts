import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LMX_LIMITS } from '../../src/lmx/limits.ts';
import { LmxWorld, words } from './world.ts';

/** The self-test of a load has an answer; everybody else waits for ever. */
const stalls = ({ messages }: { messages: readonly { content?: unknown }[] }) =>
  messages.at(-1)?.content === 'Hello' ? words(1) : [{ text: 'a' }, { stall: true as const }];
const only = (id: string, over: object = {}) => ({ models: [{ id, ...over }] });

describe('a request', () => {
  test('goes from the queue to its end, with its tokens in order', async () => {
    const world = new LmxWorld(() => words(5, 10));
    await world.load();
    const { heard } = world.ask();
    world.run();
    expect(heard.log).toEqual(['started', 'done stop']);
    expect(heard.text_).toBe('w0 w1 w2 w3 w4 ');
    expect(world.gateway.status().counters).toMatchObject({ requests: 1, errors: 0, completionTokens: 5 });
  });

  test('[LG2] beyond the slots waits in order, and is told its place; high priority jumps the queue and not the limit', async () => {
    const world = new LmxWorld(() => words(3, 100), { slots: 1 });
    await world.load();
    const [a, b, c] = [world.ask(), world.ask(), world.ask({}, { priority: 'high' })];
    world.run(1);
    expect(world.gateway.status()).toMatchObject({ inFlight: 1, queued: 2 });
    expect([b.heard.log, c.heard.log]).toEqual([['queued 1', 'queued 2'], ['queued 1']]);
    world.run();
    expect(a.heard.outcome).toBe('done stop');
    expect(c.heard.log).toEqual(['queued 1', 'started', 'done stop']);
    expect(b.heard.log).toEqual(['queued 1', 'queued 2', 'queued 1', 'started', 'done stop']);
  });

  test('[LG2] whose wait expires, or that finds the queue full, is refused with a hint and never reaches the engine', async () => {
    const world = new LmxWorld(stalls, { slots: 1, limits: { queueMax: 1 } });
    await world.load();
    const asked = world.engine.requests.length;
    const [, waits, full] = [world.ask(), world.ask(), world.ask()];
    world.run(1);
    expect(full.heard.outcome).toBe('refused rate_limit_exceeded');
    world.run(LMX_LIMITS.slotWaitMs + 1);
    expect(waits.heard.outcome).toBe('refused rate_limit_exceeded');
    expect(waits.heard.error).toMatchObject({ status: 429, retryAfterMs: LMX_LIMITS.retryAfterMs });
    expect(world.engine.requests.length).toBe(asked + 1);
  });

  test('[LG3] stops the engine when it is cancelled: queued, before the first token, and in the middle', async () => {
    const world = new LmxWorld(() => words(50, 100), { slots: 2 });
    await world.load();
    const middle = world.ask();
    world.run(250);
    const early = world.ask();
    const queued = world.ask();
    world.run(50);
    expect([middle.handle.phase(), early.handle.phase(), queued.handle.phase()]).toEqual([
      'generating',
      'prefill',
      'queued',
    ]);
    for (const { handle } of [middle, early, queued]) handle.cancel(true);
    expect(world.engine.active()).toBe(0);
    world.run();
    for (const { heard } of [middle, early, queued]) {
      expect(heard.outcome).toBe('done cancelled');
      expect(heard.late).toBe(0);
    }
    expect(world.clock.armed(world.life)).toBe(0);
  });

  test('[LG3] whose caller has gone frees its slot without a word', async () => {
    const world = new LmxWorld(() => words(50, 100), { slots: 1 });
    await world.load();
    const [gone, next] = [world.ask(), world.ask()];
    world.run(150);
    gone.handle.cancel(false);
    world.run();
    expect(gone.heard.outcome).toBe(null);
    expect(next.heard.outcome).toBe('done stop');
  });

  test('that takes longer than the server allows fails with a timeout, and the engine is stopped', async () => {
    const world = new LmxWorld(stalls);
    await world.load();
    const { heard } = world.ask();
    world.run(LMX_LIMITS.answerMs + 1);
    expect(heard.outcome).toBe('failed timeout');
    expect(world.engine.active()).toBe(0);
  });

  test('with a listener that throws ends alone', async () => {
    const world = new LmxWorld(() => words(5, 10));
    await world.load();
    const bad = world.ask();
    const good = world.ask();
    bad.heard.text = () => {
      throw new Error('broken');
    };
    world.run();
    expect(good.heard.outcome).toBe('done stop');
    expect(world.gateway.status().inFlight).toBe(0);
  });
});

describe('a model', () => {
  test('is found by its name as callers write it, and never by a part of it', async () => {
    const world = new LmxWorld(() => words(1), {}, { models: [{ id: 'org/Small-7b' }, { id: 'org/small-70b' }] });
    await world.load('org/Small-7b');
    await world.load('org/small-70b');
    const named = (name: string) => world.gateway.resolve(name)?.id ?? null;
    expect(named('small-7B')).toBe('org/Small-7b');
    expect(named('ORG/SMALL-70B')).toBe('org/small-70b');
    expect(named('small-7')).toBe(null);
    expect(named('auto')).toBe('org/Small-7b');
  });

  test('with a name that fits several is asked about', async () => {
    const world = new LmxWorld(() => words(1), {}, { models: [{ id: 'a/m' }, { id: 'b/m' }] });
    await world.load('a/m');
    await world.load('b/m');
    expect(() => world.gateway.resolve('m')).toThrow(/fits several/);
  });

  test('[LG10] asked for twice at once is loaded once', async () => {
    const world = new LmxWorld(() => words(1), {}, only('m', { loadMs: 1_000 }));
    const answers: unknown[] = [];
    for (let i = 0; i < 3; i++) world.gateway.load('m', {}, (error, result) => answers.push(error ?? result?.id));
    world.run();
    world.gateway.load('m', {}, (error, result) => answers.push(error ?? result?.loadMs));
    world.run();
    expect(answers).toEqual(['m', 'm', 'm', null]);
    // The self-test of one load.
    expect(world.engine.requests).toHaveLength(1);
  });

  test('[LG10] that fails its self-test is quarantined, and its requests are refused', async () => {
    const world = new LmxWorld(() => [{ fail: { code: 'engine_failed', message: 'garbled' } }], {}, only('m'));
    await expect(world.load('m')).rejects.toMatchObject({ code: 'model_canary_failed' });
    expect(world.gateway.models()).toMatchObject([{ id: 'm', readiness: 'quarantined', crashCount: 1 }]);
    const { heard } = world.ask({ model: 'm' });
    world.run();
    expect(heard.outcome).toBe('refused model_unstable');
  });

  test('[LG10] that is unloaded lets its requests end; by force it does not', async () => {
    for (const force of [false, true]) {
      const world = new LmxWorld(() => words(5, 100), {}, only('m'));
      await world.load('m');
      const { heard } = world.ask({ model: 'm' });
      world.run(150);
      let unloaded = false;
      world.gateway.unload('m', { force }, () => {
        unloaded = true;
      });
      world.run(10);
      expect(unloaded).toBe(force);
      const late = world.ask({ model: 'm' });
      world.run(20_000);
      expect(late.heard.outcome).toBe('refused model_not_found');
      expect(heard.outcome).toBe(force ? 'failed model_not_found' : 'done stop');
      expect(unloaded).toBe(true);
      expect(world.gateway.models()).toEqual([]);
    }
  });

  test('[LG10] that is unloaded refuses at once those that wait for a slot', async () => {
    const world = new LmxWorld(() => words(5, 100), { slots: 1 }, only('m'));
    await world.load('m');
    const [runs, waits] = [world.ask({ model: 'm' }), world.ask({ model: 'm' })];
    world.run(150);
    world.gateway.unload('m', { force: false }, () => undefined);
    world.run(1);
    expect([runs.heard.outcome, waits.heard.outcome]).toEqual([null, 'refused model_not_found']);
    world.run();
    expect(runs.heard.outcome).toBe('done stop');
  });

  test('[LG13] that is lost fails its requests once, comes back by itself, and is quarantined when it is lost too often', async () => {
    const world = new LmxWorld(() => words(20, 100), {}, only('m'));
    await world.load('m');
    for (let crash = 1; crash < LMX_LIMITS.crashesMax; crash++) {
      const { heard } = world.ask({ model: 'm' });
      world.run(350);
      world.engine.crash('m', 'killed');
      expect(heard.outcome).toBe('failed engine_failed');
      expect(world.gateway.models()).toMatchObject([{ readiness: 'restarting', crashCount: crash }]);
      world.run(20_000);
      expect(world.gateway.models()).toMatchObject([{ readiness: 'routable' }]);
    }
    world.engine.crash('m', 'killed');
    world.run(60_000);
    expect(world.gateway.models()).toMatchObject([{ readiness: 'quarantined', reason: 'killed' }]);
    // Somebody who wants it all the same may have it.
    await world.load('m');
    expect(world.gateway.models()).toMatchObject([{ readiness: 'routable' }]);
  });

  test('that is not loaded in time is told so, and what hangs is killed', async () => {
    const world = new LmxWorld(() => words(1), {}, only('m', { loadMs: LMX_LIMITS.loadMs * 2 }));
    await expect(world.load('m')).rejects.toMatchObject({ code: 'model_load_timeout' });
  });
});

describe('the gateway', () => {
  test('drains: no new requests, those that wait are refused, those that run may end', async () => {
    const world = new LmxWorld(() => words(5, 100), { slots: 1 });
    await world.load();
    const [runs, waits] = [world.ask(), world.ask()];
    world.run(150);
    let drained = false;
    world.gateway.drain(() => {
      drained = true;
    });
    const late = world.ask();
    world.run();
    expect([runs, waits, late].map(({ heard }) => heard.outcome)).toEqual([
      'done stop',
      'refused shutting_down',
      'refused shutting_down',
    ]);
    expect(drained).toBe(true);
  });

  test('drains in a bounded time', async () => {
    const world = new LmxWorld(stalls);
    await world.load();
    const { heard } = world.ask();
    world.run(10);
    world.gateway.drain(() => undefined);
    world.run(LMX_LIMITS.drainMs + 1_000);
    expect(heard.outcome).toBe('failed shutting_down');
    expect(world.gateway.status().state).toBe('stopped');
  });

  test('[LG12] counts by client for a bounded number of names', async () => {
    const world = new LmxWorld(() => words(1));
    await world.load();
    for (let i = 0; i < LMX_LIMITS.clientNamesMax + 20; i++) world.ask({}, { client: `c${i}` });
    world.run();
    const { byClient } = world.gateway.status().counters;
    expect(byClient.size).toBe(LMX_LIMITS.clientNamesMax + 1);
    expect(byClient.get('other')?.requests).toBe(20);
  });

  const action = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('ask' as const),
        high: fc.boolean(),
        max: fc.integer({ min: 1, max: 9 }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('cancel' as const), who: fc.nat(), told: fc.boolean() }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 2_000 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('unload' as const), force: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('load' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('pause' as const), who: fc.nat() }) },
  );

  test('[LG14] whatever happens, every request has one outcome, the slots hold, and nothing is left', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), fc.integer({ min: 1, max: 4 }), async (actions, slots) => {
        const world = new LmxWorld(() => words(6, 150), { slots, limits: { queueMax: 4 } }, only('m'));
        await world.load('m');
        const asked: {
          heard: ReturnType<LmxWorld['ask']>['heard'];
          handle: ReturnType<LmxWorld['ask']>['handle'];
          silent: boolean;
        }[] = [];
        for (const a of actions) {
          if (a.do === 'ask')
            asked.push({
              ...world.ask({ model: 'm', maxTokens: a.max }, { priority: a.high ? 'high' : 'normal' }),
              silent: false,
            });
          else if (a.do === 'wait') world.run(a.ms);
          else if (a.do === 'crash') world.engine.crash('m', 'killed');
          else if (a.do === 'unload') world.gateway.unload('m', { force: a.force }, () => undefined);
          else if (a.do === 'load') world.gateway.load('m', {}, () => undefined);
          else {
            const one = asked[a.who % Math.max(1, asked.length)];
            if (!one) continue;
            if (a.do === 'pause') {
              one.handle.pause();
              one.handle.resume();
            } else {
              if (one.heard.outcome === null && !a.told) one.silent = true;
              one.handle.cancel(a.told);
            }
          }
          expect(world.gateway.status().inFlight).toBeLessThanOrEqual(slots);
          expect(world.engine.active()).toBeLessThanOrEqual(slots + 1);
        }
        world.run(300_000);
        for (const { heard, silent } of asked) {
          expect(heard.late).toBe(0);
          if (!silent) expect(heard.outcome).not.toBe(null);
        }
        expect(world.gateway.status()).toMatchObject({ inFlight: 0, queued: 0 });
        expect(world.engine.active()).toBe(0);
        let stopped = false;
        world.gateway.drain(() => {
          stopped = true;
        });
        world.run(300_000);
        expect(stopped).toBe(true);
        expect(world.clock.armed(world.life)).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
