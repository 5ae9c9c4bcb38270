import { type ActorRefFrom, createActor } from 'xstate';
import type { Clock, Log } from '../actors/ports.ts';
import type { Engine, GenerateEvents, GenerateRequest, Generation } from './engine.ts';
import { LmxError, toLmxError } from './errors.ts';
import type { Caller, RequestEvents, RequestHandle, RequestPhase } from './gateway.ts';
import type { LmxLimits } from './limits.ts';
import { type RequestEvent, type RequestOutcome, requestMachine } from './machines/request.ts';

export interface RunWorld {
  engine: Engine;
  clock: Clock;
  log: Log;
  limits: LmxLimits;
  /** Told once, before the caller hears of the end. */
  settled(run: RequestRun, outcome: RequestOutcome): void;
}

/**
 * One request: its actor, and the way of the tokens from the engine to the wire, which passes no machine. A listener that throws ends
 * its own request and no other.
 */
export class RequestRun implements RequestHandle {
  readonly id: string;
  readonly request: GenerateRequest;
  readonly caller: Caller;
  readonly arrivedAt: number;
  startedAt: number | null = null;
  firstAt: number | null = null;
  readonly #world: RunWorld;
  readonly #on: RequestEvents;
  readonly #actor: ActorRefFrom<typeof requestMachine>;
  #generation: Generation | null = null;
  #paused = false;
  #chars = 0;
  #over = false;

  constructor(id: string, request: GenerateRequest, caller: Caller, on: RequestEvents, world: RunWorld) {
    this.id = id;
    this.request = request;
    this.caller = caller;
    this.arrivedAt = world.clock.now();
    this.#world = world;
    this.#on = on;
    const effects = {
      startEngine: () => this.#start(),
      stopEngine: () => this.#stop(),
      settle: (outcome: RequestOutcome | null) => this.#settle(outcome),
    };
    this.#actor = createActor(requestMachine, {
      input: { id, model: request.model, limits: world.limits, effects },
      clock: world.clock as never,
    });
    this.#actor.start();
  }

  get model(): string {
    return this.request.model;
  }

  phase(): RequestPhase {
    const state = this.#actor.getSnapshot();
    if (state.matches({ working: 'generating' })) return 'generating';
    return state.matches('working') ? 'prefill' : 'queued';
  }

  cancel(told: boolean): void {
    this.#send({ type: 'cancel', told });
  }

  pause(): void {
    this.#paused = true;
    this.#generation?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#generation?.resume();
  }

  wait(position: number): void {
    this.#send({ type: 'wait' });
    this.moved(position);
  }

  moved(position: number): void {
    this.#give(() => this.#on.queued(position));
  }

  admit(): void {
    this.#send({ type: 'admit' });
  }

  refuse(error: LmxError): void {
    this.#send({ type: 'refuse', error });
  }

  fail(error: LmxError): void {
    this.#send({ type: 'fail', error });
  }

  /** Wherever it is: one that waits is refused. */
  end(error: LmxError): void {
    if (this.phase() === 'queued') this.refuse(error);
    else this.fail(error);
  }

  #start(): void {
    this.startedAt = this.#world.clock.now();
    this.#give(() => this.#on.started({ model: this.request.model }));
    if (this.#over) return;
    try {
      this.#generation = this.#world.engine.generate(this.request, this.#events());
      if (this.#paused) this.#generation.pause();
    } catch (cause) {
      this.#world.log.error('engine refused a request', { error: String(cause) });
      // In the middle of a transition: what is sent now is taken right after it.
      this.#send({ type: 'fail', error: toLmxError(cause) });
    }
  }

  #events(): GenerateEvents {
    const { answerCharsMax } = this.#world.limits;
    const piece = (chars: number, give: () => void): void => {
      if (this.#over) return;
      this.#chars += chars;
      if (this.#chars > answerCharsMax) return this.fail(tooLong(answerCharsMax));
      if (this.firstAt === null) {
        this.firstAt = this.#world.clock.now();
        this.#send({ type: 'first' });
      }
      this.#give(give);
    };
    return {
      text: (delta) => piece(delta.length, () => this.#on.text(delta)),
      reasoning: (delta) => piece(delta.length, () => this.#on.reasoning(delta)),
      call: (delta) => piece(delta.arguments.length, () => this.#on.call(delta)),
      end: ({ finishReason, usage, trimmed = 0 }) => this.#send({ type: 'end', finishReason, usage, trimmed }),
      fail: (error) => this.#send({ type: 'fail', error }),
    };
  }

  #stop(): void {
    const generation = this.#generation;
    this.#generation = null;
    try {
      generation?.cancel();
    } catch (cause) {
      this.#world.log.error('engine did not take a cancel', { error: String(cause) });
    }
  }

  #settle(outcome: RequestOutcome | null): void {
    this.#over = true;
    if (outcome === null) return;
    this.#world.settled(this, outcome);
    this.#guard(() => this.#tell(outcome));
  }

  #tell(outcome: RequestOutcome): void {
    switch (outcome.kind) {
      case 'done':
        return this.#on.done(outcome);
      case 'refused':
        return this.#on.refused(outcome.error);
      case 'failed':
        return this.#on.failed(outcome.error);
      case 'cancelled':
        // What the engine had counted is not known: it was stopped in the middle.
        if (outcome.told) this.#on.done({ finishReason: 'cancelled', usage: null, trimmed: 0 });
    }
  }

  #give(give: () => void): void {
    if (this.#over || this.#guard(give)) return;
    this.cancel(false);
  }

  #guard(give: () => void): boolean {
    try {
      give();
      return true;
    } catch (cause) {
      this.#world.log.error('the listener of a request failed', { id: this.id, error: String(cause) });
      return false;
    }
  }

  /** What comes after the end has nobody to go to. */
  #send(event: RequestEvent): void {
    if (this.#actor.getSnapshot().status === 'active') this.#actor.send(event);
  }
}

const tooLong = (max: number) => new LmxError('engine_failed', `The answer is longer than ${max} characters.`);
