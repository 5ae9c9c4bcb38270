import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { AvailableModel, Engine, GenerateEvents, LoadedFacts } from '../../src/lmx/engine.ts';
import { createUpstream } from '../../src/lmx/engines/upstream.ts';
import type { LmxDone, LmxError } from '../../src/lmx/errors.ts';
import { createGateway } from '../../src/lmx/gateway-system.ts';
import { LMX_LIMITS } from '../../src/lmx/limits.ts';
import { realClock } from '../../src/platform.ts';
import { Heard, LmxWorld, SILENT, words } from './world.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const codeOf = (error: LmxError | null): string => error?.code ?? 'none';

describe('a gateway that ends', () => {
  test('[LG10] tells those who wait for a load or an unload', () => {
    const world = new LmxWorld(() => words(1), {}, { models: [{ id: 'm', loadMs: 60_000 }] });
    const heard: string[] = [];
    world.gateway.load('m', {}, (error) => heard.push(`load ${codeOf(error)}`));
    world.run(10);
    world.gateway.drain(() => heard.push('drained'));
    world.run(1_000);
    expect(heard).toEqual(['load shutting_down', 'drained']);
  });

  test('[LG13] ends although its engine does not, or throws', () => {
    for (const close of [() => undefined, () => broken()]) {
      const world = new LmxWorld(() => words(1));
      world.engine.close = close;
      let drained = false;
      world.gateway.drain(() => {
        drained = true;
      });
      world.run(LMX_LIMITS.closeMs + 1_000);
      expect(drained).toBe(true);
      expect(world.gateway.status().state).toBe('stopped');
    }
  });

  test('refuses whoever comes after it, without a word to the console', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    closing.push(() => warn.mockRestore());
    const world = new LmxWorld(() => words(1));
    world.gateway.drain(() => undefined);
    world.run();
    const { heard } = world.ask();
    world.run();
    expect(heard.outcome).toBe('refused shutting_down');
    expect(warn).not.toHaveBeenCalled();
  });
});

const broken = (): never => {
  throw new Error('broken');
};

describe('an answer', () => {
  test('[LG14] without an end is ended where the bound is, and the engine stops', async () => {
    const piece = 'x'.repeat(1_000);
    const world = new LmxWorld(
      function* ({ maxTokens }) {
        if (maxTokens === LMX_LIMITS.canaryTokens) yield { text: 'ok' };
        else while (true) yield { text: piece };
      },
      { limits: { answerCharsMax: 10_000 } },
    );
    await world.load();
    const { heard } = world.ask();
    world.run(10);
    expect(heard.outcome).toBe('failed engine_failed');
    expect(heard.text_.length).toBe(10_000);
    expect([world.engine.active(), world.gateway.status().inFlight]).toEqual([0, 0]);
  });
});

describe('a model', () => {
  test('[LG10] that is quarantined is loaded again as the new load says', async () => {
    let sick = true;
    const world = new LmxWorld(
      () => (sick ? [{ fail: { code: 'engine_failed', message: 'no memory' } }] : words(1)),
      {},
      { models: [{ id: 'm' }] },
    );
    const asked: (number | undefined)[] = [];
    const { load } = world.engine;
    world.engine.load = (id, options, done) => {
      asked.push(options.contextLength);
      load(id, options, done);
    };
    world.gateway.load('m', { contextLength: 1_000_000 }, () => undefined);
    world.run();
    expect(world.gateway.models()).toMatchObject([{ readiness: 'quarantined' }]);
    sick = false;
    world.gateway.load('m', { contextLength: 4_096 }, () => undefined);
    world.run();
    world.engine.crash('m', 'killed');
    world.run(30_000);
    expect(asked).toEqual([1_000_000, 4_096, 4_096]);
    expect(world.gateway.models()).toMatchObject([{ readiness: 'routable' }]);
  });

  test('[LG13] that leaves the list of its engine while it answers, and comes back to it, is there when the answer is over', () => {
    const engine = new Listing();
    const world = new LmxWorld(() => words(1));
    const clock = world.clock.for(world.life);
    const gateway = createGateway({}, { engine, clock, log: SILENT, newId: () => '1' });
    world.run(10);
    gateway.submit({ model: 'm', messages: [] }, { client: 'c', priority: 'normal' }, new Heard());
    world.run(10);
    for (const ids of [[], ['m']]) {
      engine.ids = ids;
      engine.listener?.changed?.();
      world.run(10);
    }
    expect(gateway.models()).toMatchObject([{ readiness: 'unloading', activeRequests: 1 }]);
    engine.on?.end({ finishReason: 'stop', usage: null });
    world.run(10);
    expect(gateway.models()).toMatchObject([{ id: 'm', readiness: 'routable' }]);
  });
});

const nothing = (): void => undefined;

/** Lists its models by itself, and answers when it is told to. */
class Listing implements Engine {
  readonly kind = 'upstream';
  readonly manages = false;
  readonly parallel = 4;
  ids: string[] = ['m'];
  listener: { changed?(): void } | null = null;
  on: GenerateEvents | null = null;
  available(done: LmxDone<AvailableModel[] | null>): void {
    done(
      null,
      this.ids.map((id) => ({ id, path: null, sizeBytes: null, modifiedAt: null })),
    );
  }
  load(_id: string, _options: object, done: LmxDone<LoadedFacts | null>): void {
    done(null, { contextLength: null, memoryBytes: null });
  }
  unload(_id: string, done: LmxDone<null>): void {
    done(null, null);
  }
  generate(_request: unknown, on: GenerateEvents) {
    this.on = on;
    return { cancel: nothing, pause: nothing, resume: nothing };
  }
  kill = nothing;
  listen(listener: { changed?(): void }): void {
    this.listener = listener;
  }
  facts() {
    return {};
  }
  close(done: () => void): void {
    done();
  }
}

test('[LG13] a model that came to the upstream is followed, also when somebody else read its list first', async () => {
  let ids = ['a'];
  const server = createServer((_, out) => void out.end(JSON.stringify({ data: ids.map((id) => ({ id })) })));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as AddressInfo;
  const config = { host: '127.0.0.1', port, loopbackOnly: true, refreshMs: 300 };
  const engine = createUpstream(config, { clock: realClock, log: SILENT });
  const gateway = createGateway({}, { engine, clock: realClock, log: SILENT, newId: () => '1' });
  closing.push(() => new Promise<void>((resolve) => gateway.drain(resolve)));
  const routable = () =>
    gateway
      .models()
      .filter((m) => m.readiness === 'routable')
      .map((m) => m.id);
  await expect.poll(routable).toEqual(['a']);
  ids = ['a', 'b'];
  await new Promise<void>((resolve) => gateway.available(() => resolve()));
  await expect.poll(routable, { timeout: 3_000 }).toEqual(['a', 'b']);
});
