import { type ActorRefFrom, createActor } from 'xstate';
import type { Clock, Log } from '../actors/ports.ts';
import type { Engine, Generation } from './engine.ts';
import { LmxError, toLmxError } from './errors.ts';
import type { ModelRecord, Readiness } from './gateway.ts';
import type { LmxLimits } from './limits.ts';
import { type ModelEvent, modelMachine } from './machines/model.ts';

export interface ModelWorld {
  engine: Engine;
  clock: Clock;
  log: Log;
  limits: LmxLimits;
  changed(run: ModelRun, before: Readiness, now: Readiness): void;
  gone(run: ModelRun): void;
  cancelRequests(modelId: string): void;
  activeRequests(modelId: string): number;
}

const READINESS: { [state: string]: Readiness } = {
  loading: 'loading',
  canary: 'canary_pending',
  routable: 'routable',
  emptying: 'unloading',
  unloading: 'unloading',
  restarting: 'restarting',
  quarantined: 'quarantined',
  gone: 'unloading',
};

/** One model's actor with what it does to the engine. */
export class ModelRun {
  readonly id: string;
  requestCount = 0;
  lastUsedAt: number | null = null;
  loadedAt: number | null = null;
  loadMs: number | null = null;
  readonly #world: ModelWorld;
  readonly #actor: ActorRefFrom<typeof modelMachine>;
  #before: Readiness = 'loading';
  #canary: Generation | null = null;
  #loadStartedAt = 0;
  /** Answers to an earlier load count no more. */
  #epoch = 0;

  constructor(id: string, contextLength: number | undefined, world: ModelWorld) {
    this.id = id;
    this.#world = world;
    const machine = modelMachine.provide({
      actions: {
        startLoad: ({ context }) => this.#load(context.contextLength),
        startCanary: () => this.#test(),
        stopCanary: () => this.#stopTest(),
        startUnload: () => this.#unload(),
        cancelRequests: () => world.cancelRequests(id),
        tellIfIdle: () => {
          if (world.activeRequests(id) === 0) this.#soon(() => this.#send({ type: 'idle' }));
        },
        killEngine: () => world.engine.kill(id, 'it did not answer in time'),
        gone: () => this.#soon(() => world.gone(this)),
      },
    });
    this.#actor = createActor(machine, {
      input: { modelId: id, contextLength, manages: world.engine.manages, limits: world.limits },
      clock: world.clock as never,
    });
    this.#actor.subscribe(() => this.#look());
  }

  /** Apart from the constructor, so that whoever made it knows it when the first word comes. */
  start(): void {
    this.#actor.start();
  }

  get readiness(): Readiness {
    return READINESS[String(this.#actor.getSnapshot().value)] ?? 'unloading';
  }

  get error(): LmxError | null {
    return this.#actor.getSnapshot().context.error;
  }

  record(): ModelRecord {
    const { facts, reason, crashes } = this.#actor.getSnapshot().context;
    return {
      id: this.id,
      ...facts,
      readiness: this.readiness,
      reason,
      crashCount: crashes,
      loadedAt: this.loadedAt,
      lastUsedAt: this.lastUsedAt,
      requestCount: this.requestCount,
      activeRequests: this.#world.activeRequests(this.id),
    };
  }

  load(contextLength: number | undefined): void {
    this.#send({ type: 'load', contextLength });
  }

  unload(force: boolean): void {
    this.#send({ type: 'unload', force });
  }

  lost(reason: string): void {
    this.#epoch++;
    this.#send({ type: 'lost', reason, at: this.#world.clock.now() });
  }

  idle(): void {
    this.#send({ type: 'idle' });
  }

  stop(): void {
    this.#epoch++;
    this.#actor.stop();
    this.#stopTest();
  }

  #look(): void {
    const now = this.readiness;
    if (now === this.#before) return;
    const before = this.#before;
    this.#before = now;
    const { clock } = this.#world;
    if (now === 'routable') {
      this.loadedAt = clock.now();
      this.loadMs = clock.now() - this.#loadStartedAt;
    } else if (now !== 'unloading') this.loadedAt = null;
    this.#world.changed(this, before, now);
  }

  #load(contextLength: number | undefined): void {
    const epoch = ++this.#epoch;
    this.#loadStartedAt = this.#world.clock.now();
    this.#try(
      () =>
        this.#world.engine.load(this.id, contextLength === undefined ? {} : { contextLength }, (error, facts) => {
          if (epoch !== this.#epoch) return;
          if (error || facts === null) {
            const why = error ?? new LmxError('internal_error', 'The engine gave no facts about the model.');
            this.#send({ type: 'load.failed', error: why });
          } else this.#send({ type: 'loaded', facts, at: this.#world.clock.now() });
        }),
      (error) => this.#send({ type: 'load.failed', error }),
    );
  }

  /** A few tokens of a first answer: a model that gives none is not offered to anybody. */
  #test(): void {
    const { engine, limits } = this.#world;
    const passed = () => this.#send({ type: 'canary.passed' });
    let heard = false;
    const hear = () => {
      heard = true;
    };
    this.#try(
      () => {
        this.#canary = engine.generate(
          {
            model: this.id,
            messages: [{ role: 'user', content: 'Hello' }],
            maxTokens: limits.canaryTokens,
            temperature: 0,
          },
          {
            text: hear,
            reasoning: hear,
            call: hear,
            // Tokens that make no text yet are an answer as well.
            end: ({ usage }) =>
              heard || (usage?.completionTokens ?? 0) > 0
                ? passed()
                : this.#send({ type: 'canary.failed', reason: 'The self-test had an empty answer.' }),
            fail: (error) => this.#send({ type: 'canary.failed', reason: `The self-test failed: ${error.message}` }),
          },
        );
      },
      (error) => this.#send({ type: 'canary.failed', reason: error.message }),
    );
  }

  #stopTest(): void {
    const canary = this.#canary;
    this.#canary = null;
    canary?.cancel();
  }

  #unload(): void {
    const epoch = ++this.#epoch;
    this.#try(
      () =>
        this.#world.engine.unload(this.id, () => {
          if (epoch === this.#epoch) this.#send({ type: 'unloaded' });
        }),
      () => this.#send({ type: 'unloaded' }),
    );
  }

  #try(act: () => void, failed: (error: LmxError) => void): void {
    try {
      act();
    } catch (cause) {
      this.#world.log.error('engine failed', { model: this.id, error: String(cause) });
      this.#soon(() => failed(toLmxError(cause)));
    }
  }

  #soon(fn: () => void): void {
    this.#world.clock.soon(fn);
  }

  /** What comes after the end has nobody to go to. */
  #send(event: ModelEvent): void {
    if (this.#actor.getSnapshot().status === 'active') this.#actor.send(event);
  }
}
