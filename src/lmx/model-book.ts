import type { Clock, Log } from '../actors/ports.ts';
import type { Engine, LoadedFacts } from './engine.ts';
import { type LmxDone, LmxError } from './errors.ts';
import type { GatewayEvent, LoadResult, ModelRecord, Readiness } from './gateway.ts';
import type { LmxLimits } from './limits.ts';
import { modelNamed } from './model-name.ts';
import { ModelRun } from './model-run.ts';

export interface BookWorld {
  engine: Engine;
  clock: Clock;
  log: Log;
  limits: LmxLimits;
  defaultModel: string | null;
  isServing(): boolean;
  publish(event: GatewayEvent): void;
  activeRequests(modelId: string): number;
  cancelRequests(modelId: string): void;
  refuseQueued(modelId: string): void;
}

const GIB = 1024 ** 3;

/** The models of a gateway, and who waits for one to come or to go. */
export class ModelBook {
  readonly #world: BookWorld;
  readonly #models = new Map<string, ModelRun>();
  readonly #loads = new Map<string, LmxDone<LoadResult | null>[]>();
  readonly #unloads = new Map<string, LmxDone<{ memoryBytes: number | null } | null>[]>();

  constructor(world: BookWorld) {
    this.#world = world;
    world.engine.listen({
      changed: () => this.#follow(),
      lost: (modelId, reason) => this.#models.get(modelId)?.lost(reason),
    });
    if (!world.engine.manages) world.clock.soon(() => this.#follow());
  }

  get(modelId: string): ModelRun | undefined {
    return this.#models.get(modelId);
  }

  stop(): void {
    for (const model of this.#models.values()) model.stop();
    const waiting = [...this.#loads.values(), ...this.#unloads.values()].flat();
    this.#loads.clear();
    this.#unloads.clear();
    for (const done of waiting) this.#world.clock.soon(() => done(shuttingDown(), null));
  }

  records(): ModelRecord[] {
    return [...this.#models.values()].map((m) => m.record());
  }

  resolve(name: string): ModelRecord | null {
    const routable = [...this.#models.values()].filter((m) => m.readiness === 'routable').map((m) => m.id);
    const id =
      name === 'auto' && routable.length > 0
        ? modelNamed(name, routable, this.#world.defaultModel)
        : modelNamed(name, [...this.#models.keys()], this.#world.defaultModel);
    return id === null ? null : (this.#models.get(id)?.record() ?? null);
  }

  load(modelId: string, options: { contextLength?: number }, done: LmxDone<LoadResult | null>): void {
    this.#world.clock.soon(() => this.#load(modelId, options, done));
  }

  #load(modelId: string, options: { contextLength?: number }, done: LmxDone<LoadResult | null>): void {
    if (!this.#world.isServing()) return done(shuttingDown(), null);
    const known = this.#models.get(modelId);
    if (known?.readiness === 'routable') {
      const { contextLength, memoryBytes } = known.record();
      return done(null, { id: modelId, contextLength, memoryBytes, loadMs: null });
    }
    if (known?.readiness === 'unloading')
      return done(new LmxError('model_in_use', `The model ${modelId} is being unloaded.`), null);
    const waiting = this.#loads.get(modelId);
    if (waiting) {
      waiting.push(done);
      return;
    }
    if (!this.#world.engine.manages)
      return done(
        new LmxError('not_supported', `The ${this.#world.engine.kind} engine loads its models by its own means.`, {
          param: 'model_id',
        }),
        null,
      );
    if (!known && this.#models.size >= this.#world.limits.modelsMax)
      return done(new LmxError('insufficient_memory', 'There are too many models.'), null);
    this.#loads.set(modelId, [done]);
    if (known) known.load(options.contextLength);
    else this.#add(modelId, options.contextLength);
  }

  #add(modelId: string, contextLength?: number): void {
    const { clock, log, engine } = this.#world;
    const model = new ModelRun(modelId, contextLength, {
      engine,
      clock,
      log,
      limits: this.#world.limits,
      changed: (run, before, now) => this.#changed(run, before, now),
      gone: (run) => this.#gone(run),
      cancelRequests: this.#world.cancelRequests,
      activeRequests: this.#world.activeRequests,
    });
    this.#models.set(modelId, model);
    model.start();
  }

  #changed(model: ModelRun, before: Readiness, now: Readiness): void {
    const record = model.record();
    this.#world.log.info('model', { model: model.id, from: before, to: now, reason: record.reason });
    this.#world.publish({
      type: 'model_readiness_changed',
      model_id: model.id,
      previous_state: before,
      state: now,
      reason: record.reason,
      crash_count: record.crashCount,
      updated_at: this.#world.clock.now() / 1_000,
    });
    if (now === 'routable') {
      const memory_gb = record.memoryBytes === null ? null : record.memoryBytes / GIB;
      const duration_sec = (model.loadMs ?? 0) / 1_000;
      this.#world.publish({ type: 'model_loaded', model_id: model.id, memory_gb, duration_sec });
      const { contextLength, memoryBytes } = record;
      this.#answerLoads(model.id, null, { contextLength, memoryBytes }, model.loadMs);
    }
    // Who waits for a slot waits for nothing.
    if (now === 'unloading') this.#world.refuseQueued(model.id);
    // Whoever waits for the load hears of the first failure; the model may still come back.
    if (now === 'quarantined' || now === 'restarting') this.#answerLoads(model.id, model.error ?? unstable(model.id));
  }

  #gone(model: ModelRun): void {
    if (this.#models.get(model.id) === model) this.#models.delete(model.id);
    const { memoryBytes } = model.record();
    model.stop();
    this.#answerLoads(model.id, model.error ?? new LmxError('model_in_use', `The model ${model.id} was unloaded.`));
    const memory_freed_gb = memoryBytes === null ? null : memoryBytes / GIB;
    const reason = model.error === null ? 'manual' : model.error.code;
    this.#world.publish({ type: 'model_unloaded', model_id: model.id, memory_freed_gb, reason });
    const waiting = this.#unloads.get(model.id) ?? [];
    this.#unloads.delete(model.id);
    for (const done of waiting) done(null, { memoryBytes });
    // It may have come back to the engine's list while its last answers were made.
    if (!this.#world.engine.manages && this.#world.isServing()) this.#follow();
  }

  #answerLoads(modelId: string, error: LmxError | null, facts?: LoadedFacts, loadMs: number | null = null): void {
    const waiting = this.#loads.get(modelId);
    if (!waiting) return;
    this.#loads.delete(modelId);
    for (const done of waiting)
      this.#world.clock.soon(() => done(error, error || !facts ? null : { id: modelId, ...facts, loadMs }));
  }

  unload(modelId: string, { force }: { force: boolean }, done: LmxDone<{ memoryBytes: number | null } | null>): void {
    this.#world.clock.soon(() => {
      const model = this.#models.get(modelId);
      if (!model) return done(new LmxError('model_not_found', `The model ${modelId} is not loaded.`), null);
      if (!this.#world.engine.manages)
        return done(
          new LmxError('not_supported', `The ${this.#world.engine.kind} engine unloads its models by its own means.`),
          null,
        );
      this.#unloads.set(modelId, [...(this.#unloads.get(modelId) ?? []), done]);
      model.unload(force);
    });
  }

  remove(modelId: string, done: LmxDone<{ freedBytes: number } | null>): void {
    this.#world.clock.soon(() => {
      if (this.#models.has(modelId))
        return done(new LmxError('model_in_use', `The model ${modelId} is loaded; unload it first.`), null);
      const { engine } = this.#world;
      if (!engine.remove)
        return done(
          new LmxError('not_supported', `Files of the ${this.#world.engine.kind} engine are not deleted from here.`),
          null,
        );
      engine.remove(modelId, done);
    });
  }

  /** An engine that manages its models by itself: ours follow its list. */
  #follow(): void {
    this.#world.engine.available((error, listed) => {
      if (error || listed === null || !this.#world.isServing()) return;
      const ids = new Set(listed.slice(0, this.#world.limits.modelsMax).map((m) => m.id));
      for (const id of ids) if (!this.#models.has(id)) this.#add(id);
      for (const [id, model] of [...this.#models]) if (!ids.has(id)) model.unload(false);
    });
  }
}

export const shuttingDown = () =>
  new LmxError('shutting_down', 'The inference server is shutting down.', { retryAfterMs: 5_000 });
const unstable = (id: string) => new LmxError('model_unstable', `The model ${id} failed.`);
