import { type ActorRefFrom, createActor } from 'xstate';
import type { Clock, Log } from '../actors/ports.ts';
import { type Admission, emptyAdmission, enter, leave, positionOf } from './admission.ts';
import type { Engine, GenerateRequest } from './engine.ts';
import { LmxError, toLmxError } from './errors.ts';
import { Figures } from './figures.ts';
import type {
  Caller,
  Gateway,
  GatewayEvent,
  GatewayStatus,
  ModelRecord,
  RequestEvents,
  RequestHandle,
} from './gateway.ts';
import { LMX_LIMITS, type LmxLimits } from './limits.ts';
import { type GatewayMachineEvent, gatewayMachine } from './machines/gateway.ts';
import type { RequestOutcome } from './machines/request.ts';
import { ModelBook, shuttingDown } from './model-book.ts';
import { RequestRun } from './request-run.ts';

export interface GatewayConfig {
  /** Requests that are answered at once. The engine's own `parallel` without it. */
  slots?: number;
  limits?: Partial<LmxLimits>;
  /** What `auto` means, where it is loaded. */
  defaultModel?: string;
}

export interface GatewayWorld {
  engine: Engine;
  clock: Clock;
  log: Log;
  /** Unguessable, never given twice. */
  newId(): string;
}

export const createGateway = (config: GatewayConfig, world: GatewayWorld): Gateway => new System(config, world);

class System implements Gateway {
  readonly engine: Engine['kind'];
  readonly #world: GatewayWorld;
  readonly #limits: LmxLimits;
  readonly #root: ActorRefFrom<typeof gatewayMachine>;
  readonly #requests = new Map<string, RequestRun>();
  readonly #models: ModelBook;
  readonly #listeners = new Set<(event: GatewayEvent) => void>();
  readonly #drained: (() => void)[] = [];
  readonly #figures: Figures;
  readonly #startedAt: number;
  #admission: Admission;

  constructor(config: GatewayConfig, world: GatewayWorld) {
    this.#world = world;
    this.#limits = { ...LMX_LIMITS, ...config.limits };
    this.engine = world.engine.kind;
    this.#figures = new Figures(this.#limits.clientNamesMax);
    this.#startedAt = world.clock.now();
    this.#admission = emptyAdmission(Math.max(1, config.slots ?? world.engine.parallel), this.#limits.queueMax);
    const machine = gatewayMachine.provide({
      actions: {
        refuseQueued: () => {
          for (const run of [...this.#requests.values()]) if (run.phase() === 'queued') run.refuse(shuttingDown());
        },
        tellIfEmpty: () => this.#soonEmpty(),
        cancelAll: () => {
          for (const run of [...this.#requests.values()]) run.fail(shuttingDown());
        },
        closeEngine: () => {
          this.#models.stop();
          const closed = () => world.clock.soon(() => this.#tell({ type: 'closed' }));
          try {
            world.engine.close(closed);
          } catch (cause) {
            world.log.error('the engine was not closed', { error: toLmxError(cause).message });
            closed();
          }
        },
        stopped: () => {
          for (const done of this.#drained.splice(0)) world.clock.soon(done);
        },
      },
    });
    this.#root = createActor(machine, { input: { limits: this.#limits }, clock: world.clock as never });
    this.#root.start();
    this.#models = new ModelBook({
      ...world,
      limits: this.#limits,
      defaultModel: config.defaultModel ?? null,
      isServing: () => this.#isServing(),
      publish: (event) => this.#publish(event),
      activeRequests: (id) => this.#active(id),
      cancelRequests: (id) => this.#endAll(id, (run) => run.end(unloaded(id))),
      refuseQueued: (id) => this.#endAll(id, (run) => run.phase() === 'queued' && run.refuse(unloaded(id))),
    });
  }

  #endAll(modelId: string, end: (run: RequestRun) => unknown): void {
    for (const run of [...this.#requests.values()]) if (run.model === modelId) end(run);
  }

  // --- requests ----------------------------------------------------------------------------------------------------

  submit(request: GenerateRequest, caller: Caller, on: RequestEvents): RequestHandle {
    const { clock, log, engine, newId } = this.#world;
    const run = new RequestRun(`chatcmpl-${newId()}`, request, caller, on, {
      engine,
      clock,
      log,
      limits: this.#limits,
      settled: (run, outcome) => this.#settled(run, outcome),
    });
    this.#requests.set(run.id, run);
    clock.soon(() => this.#admit(run));
    return run;
  }

  #admit(run: RequestRun): void {
    // A caller may have gone before its turn came.
    if (!this.#requests.has(run.id)) return;
    if (!this.#isServing()) return run.refuse(shuttingDown());
    const refusal = this.#refusalOf(run);
    if (refusal) return run.refuse(refusal);
    const [admission, verdict] = enter(this.#admission, { id: run.id, priority: run.caller.priority });
    this.#admission = admission;
    const retryAfterMs = this.#limits.retryAfterMs;
    if (verdict.kind === 'full')
      run.refuse(new LmxError('rate_limit_exceeded', 'The server is busy: its queue is full.', { retryAfterMs }));
    else if (verdict.kind === 'wait') {
      run.wait(verdict.position);
      // One that may jump moves others back.
      if (run.caller.priority === 'high') this.#tellPositions(run.id);
    } else this.#begin(run);
  }

  /** Has a slot. The model may have gone while it waited. */
  #begin(run: RequestRun): void {
    const refusal = this.#refusalOf(run);
    if (refusal) return run.refuse(refusal);
    const model = this.#models.get(run.model);
    if (model) {
      model.requestCount++;
      model.lastUsedAt = this.#world.clock.now();
    }
    this.#figures.queueWait.add((this.#world.clock.now() - run.arrivedAt) / 1_000);
    run.admit();
  }

  #refusalOf({ model }: RequestRun): LmxError | null {
    const known = this.#models.get(model);
    const param = { param: 'model' };
    if (!known) return new LmxError('model_not_found', `The model ${JSON.stringify(model)} is not loaded.`, param);
    const { readiness, reason } = known.record();
    const retryAfterMs = this.#limits.retryAfterMs;
    switch (readiness) {
      case 'routable':
        return null;
      case 'quarantined':
        return new LmxError('model_unstable', `The model ${model} is quarantined: ${reason ?? 'it failed'}`, param);
      case 'unloading':
        return new LmxError('model_not_found', `The model ${model} is not loaded: it is being unloaded.`, param);
      default: {
        const why = reason === null ? '' : ` (${reason})`;
        return new LmxError('engine_unavailable', `The model ${model} does not answer yet: ${readiness}${why}`, {
          ...param,
          retryAfterMs,
        });
      }
    }
  }

  #settled(run: RequestRun, outcome: RequestOutcome): void {
    this.#requests.delete(run.id);
    const [admission, next] = leave(this.#admission, run.id);
    const moved = this.#admission.queue.length !== admission.queue.length;
    this.#admission = admission;
    this.#count(run, outcome);
    const { clock } = this.#world;
    for (const id of next)
      clock.soon(() => {
        const waiting = this.#requests.get(id);
        if (waiting) this.#begin(waiting);
      });
    if (moved) clock.soon(() => this.#tellPositions(null));
    if (this.#requests.size === 0 && !this.#isServing()) this.#soonEmpty();
    if (this.#active(run.model) === 0) clock.soon(() => this.#tellIdle(run.model));
  }

  #tellIdle(modelId: string): void {
    if (this.#active(modelId) === 0) this.#models.get(modelId)?.idle();
  }

  #tellPositions(except: string | null): void {
    for (const { id } of this.#admission.queue)
      if (id !== except) this.#requests.get(id)?.moved(positionOf(this.#admission, id));
  }

  #count(run: RequestRun, outcome: RequestOutcome): void {
    const now = this.#world.clock.now();
    const usage = (outcome.kind === 'done' ? outcome.usage : null) ?? { promptTokens: 0, completionTokens: 0 };
    const failed = outcome.kind === 'failed' || outcome.kind === 'refused';
    const durationMs = now - run.arrivedAt;
    // Names that callers make up for models do not become rows.
    const model = this.#models.get(run.model) ? run.model : 'unknown';
    const { client, stream = false } = run.caller;
    this.#figures.over({ model, client, stream, failed, durationMs, ...usage });
    if (run.firstAt !== null) this.#figures.firstToken.add((run.firstAt - run.arrivedAt) / 1_000);
    const said = failed ? outcome.error.code : outcome.kind === 'done' ? outcome.finishReason : 'cancelled';
    this.#publish({
      type: 'request_completed',
      request_id: run.id,
      model_id: run.model,
      outcome: said,
      duration_ms: durationMs,
    });
  }

  /** Requests of a model that hold a slot. */
  #active(modelId: string): number {
    let n = 0;
    for (const run of this.#requests.values()) if (run.model === modelId && run.phase() !== 'queued') n++;
    return n;
  }

  // --- models ------------------------------------------------------------------------------------------------------

  models = (): ModelRecord[] => this.#models.records();
  resolve = (name: string): ModelRecord | null => this.#models.resolve(name);
  available: Gateway['available'] = (done) => this.#world.engine.available(done);
  load: Gateway['load'] = (modelId, options, done) => this.#models.load(modelId, options, done);
  unload: Gateway['unload'] = (modelId, options, done) => this.#models.unload(modelId, options, done);
  remove: Gateway['remove'] = (modelId, done) => this.#models.remove(modelId, done);

  // --- the whole ---------------------------------------------------------------------------------------------------

  subscribe(listener: (event: GatewayEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #publish(event: GatewayEvent): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (cause) {
        this.#listeners.delete(listener);
        this.#world.log.error('a listener of events failed', { error: toLmxError(cause).message });
      }
    }
  }

  status(): GatewayStatus {
    const { engine, clock } = this.#world;
    return {
      state: this.#state(),
      uptimeMs: clock.now() - this.#startedAt,
      inFlight: this.#admission.running.size,
      queued: this.#admission.queue.length,
      slots: this.#admission.slots,
      engine: { kind: engine.kind, ...engine.facts() },
      counters: this.#figures,
    };
  }

  drain(done: () => void): void {
    if (this.#state() === 'stopped') return this.#world.clock.soon(done);
    this.#drained.push(done);
    this.#root.send({ type: 'drain' });
  }

  #state(): GatewayStatus['state'] {
    const value = this.#root.getSnapshot().value;
    return value === 'serving' ? 'serving' : value === 'stopped' ? 'stopped' : 'draining';
  }

  #isServing(): boolean {
    return this.#state() === 'serving';
  }

  #soonEmpty(): void {
    this.#world.clock.soon(() => {
      if (this.#requests.size === 0) this.#tell({ type: 'empty' });
    });
  }

  /** What comes after the end has nobody to go to. */
  #tell(event: GatewayMachineEvent): void {
    if (this.#root.getSnapshot().status === 'active') this.#root.send(event);
  }
}

const unloaded = (id: string) => new LmxError('model_not_found', `The model ${id} was unloaded.`);
