import type { Clock } from '../../actors/ports.ts';
import type {
  AvailableModel,
  CallDelta,
  Engine,
  EngineListener,
  FinishReason,
  GenerateEvents,
  GenerateRequest,
  Generation,
  TokenUsage,
} from '../engine.ts';
import { LmxError, type LmxErrorCode, toLmxError } from '../errors.ts';

/**
 * One thing that the scripted engine does, `afterMs` after the one before it. A script that runs out ends properly. Each text and
 * each piece of a call counts as one token.
 */
export type Step = { afterMs?: number } & (
  | { text: string }
  | { reasoning: string }
  | { call: CallDelta }
  | { end: { finishReason?: FinishReason; usage?: TokenUsage; trimmed?: number } }
  | { fail: { code: LmxErrorCode; message: string } }
  /** The process of the model dies: every answer of it fails. */
  | { crash: string }
  /** Nothing more, until it is cancelled. */
  | { stall: true }
);

export interface ScriptedModel {
  id: string;
  contextLength?: number;
  memoryBytes?: number;
  loadMs?: number;
  /** Its loading fails with this. */
  loadFails?: { code: LmxErrorCode; message: string };
  /** Not loaded at the start. */
  cold?: boolean;
}

export interface ScriptedConfig {
  clock: Clock;
  models: readonly ScriptedModel[];
  /** May be a generator: steps are asked for one at a time. A script that throws is a failed answer. */
  script(request: GenerateRequest): Iterable<Step>;
  parallel?: number;
}

export interface ScriptedEngine extends Engine {
  readonly requests: GenerateRequest[];
  /** Cancels that reached it, self-tests aside. */
  cancelled: number;
  active(): number;
  /** As if the process of the model had died. */
  crash(modelId: string, reason: string): void;
}

/** For tests, demonstrations and measurements: no model, and every answer is said beforehand. */
export const createScriptedEngine = (config: ScriptedConfig): ScriptedEngine => {
  const { clock, models } = config;
  const live = new Map<Playing, string>();
  let listener: EngineListener | null = null;
  const shut = (modelId: string | null, error: LmxError) => {
    for (const [playing, of] of [...live]) if (modelId === null || of === modelId) playing.fail(error);
  };
  const engine: ScriptedEngine = {
    kind: 'scripted',
    manages: true,
    parallel: config.parallel ?? 16,
    requests: [],
    cancelled: 0,
    active: () => live.size,
    available: (done) => clock.soon(() => done(null, models.map(asAvailable))),
    load: (modelId, _options, done) => {
      const model = models.find((m) => m.id === modelId);
      clock.setTimeout(() => {
        if (!model) return done(new LmxError('model_not_found', `There is no model ${modelId}.`), null);
        if (model.loadFails) return done(new LmxError(model.loadFails.code, model.loadFails.message), null);
        done(null, { contextLength: model.contextLength ?? null, memoryBytes: model.memoryBytes ?? null });
      }, model?.loadMs ?? 0);
    },
    unload: (_modelId, done) => clock.soon(() => done(null, null)),
    generate: (request, on) => {
      engine.requests.push(request);
      if (engine.requests.length > 10_000) engine.requests.shift();
      const playing = new Playing(config, request, on, {
        over: () => live.delete(playing),
        crash: (reason) => engine.crash(request.model, reason),
      });
      live.set(playing, request.model);
      return {
        cancel: () => {
          if (live.delete(playing)) engine.cancelled++;
          playing.cancel();
        },
        pause: () => playing.pause(),
        resume: () => playing.resume(),
      };
    },
    crash: (modelId, reason) => {
      shut(modelId, new LmxError('engine_failed', `The engine lost the model ${modelId}: ${reason}`));
      listener?.lost(modelId, reason);
    },
    kill: (modelId, reason) => engine.crash(modelId, reason),
    listen: (l) => {
      listener = l;
    },
    facts: () => ({ models: models.length, active: live.size }),
    close: (done) => {
      shut(null, new LmxError('shutting_down', 'The engine is closed.'));
      clock.soon(done);
    },
  };
  return engine;
};

const asAvailable = ({ id, memoryBytes }: ScriptedModel): AvailableModel => ({
  id,
  path: null,
  sizeBytes: memoryBytes ?? null,
  modifiedAt: null,
});

interface Ends {
  over(): void;
  crash(reason: string): void;
}

class Playing implements Generation {
  readonly #config: ScriptedConfig;
  readonly #on: GenerateEvents;
  readonly #request: GenerateRequest;
  readonly #world: Ends;
  #steps: Iterator<Step> | null = null;
  #due: Step = { end: {} };
  #timer: unknown;
  /** When the step before was due: what the event loop was late is caught up. */
  #at: number;
  #tokens = 0;
  #calls = 0;
  #over = false;
  #paused = false;
  #held = false;

  constructor(config: ScriptedConfig, request: GenerateRequest, on: GenerateEvents, world: Ends) {
    this.#config = config;
    this.#request = request;
    this.#on = on;
    this.#world = world;
    this.#at = config.clock.now();
    this.#next();
  }

  cancel(): void {
    this.#over = true;
    this.#config.clock.clearTimeout(this.#timer);
  }

  fail(error: LmxError): void {
    this.#last(() => this.#on.fail(error));
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    if (!this.#held) return;
    this.#held = false;
    this.#at = this.#config.clock.now();
    this.#config.clock.soon(() => this.#play());
  }

  #next(): void {
    const { clock, script } = this.#config;
    try {
      this.#steps ??= script(this.#request)[Symbol.iterator]();
      const next = this.#steps.next();
      this.#due = next.done ? { end: {} } : next.value;
    } catch (cause) {
      const { code, message } = toLmxError(cause);
      this.#due = { fail: { code, message } };
    }
    this.#at += this.#due.afterMs ?? 0;
    const waitMs = this.#at - clock.now();
    if (waitMs > 0) this.#timer = clock.setTimeout(() => this.#play(), waitMs);
    else clock.soon(() => this.#play());
  }

  #play(): void {
    if (this.#over) return;
    if (this.#paused) {
      this.#held = true;
      return;
    }
    const step = this.#due;
    const { maxTokens } = this.#request;
    if ('stall' in step) return;
    if ('crash' in step) return this.#world.crash(step.crash);
    if ('fail' in step) return this.fail(new LmxError(step.fail.code, step.fail.message));
    if ('end' in step) return this.#end(step.end.finishReason, step.end.usage, step.end.trimmed);
    if (maxTokens !== undefined && this.#tokens >= maxTokens) return this.#end('length');
    this.#tokens++;
    if ('text' in step) this.#on.text(step.text);
    else if ('reasoning' in step) this.#on.reasoning(step.reasoning);
    else {
      this.#calls++;
      this.#on.call(step.call);
    }
    if (!this.#over) this.#next();
  }

  #end(finishReason?: FinishReason, usage?: TokenUsage, trimmed?: number): void {
    const reason = finishReason ?? (this.#calls > 0 ? 'tool_calls' : 'stop');
    const promptTokens = this.#request.messages.length;
    this.#last(() =>
      this.#on.end({
        finishReason: reason,
        usage: usage ?? { promptTokens, completionTokens: this.#tokens },
        ...(trimmed === undefined ? {} : { trimmed }),
      }),
    );
  }

  #last(give: () => void): void {
    if (this.#over) return;
    this.cancel();
    this.#world.over();
    give();
  }
}
