import type { Log } from '../../src/actors/ports.ts';
import type { GenerateRequest } from '../../src/lmx/engine.ts';
import {
  createScriptedEngine,
  type ScriptedConfig,
  type ScriptedEngine,
  type Step,
} from '../../src/lmx/engines/scripted.ts';
import type { LmxError } from '../../src/lmx/errors.ts';
import type { Caller, Gateway, RequestEvents, RequestHandle } from '../../src/lmx/gateway.ts';
import { createGateway, type GatewayConfig } from '../../src/lmx/gateway-system.ts';
import { VirtualClock } from '../sim/clock.ts';

export const SILENT: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };

export const words = (n: number, afterMs = 0): Step[] =>
  Array.from({ length: n }, (_, i) => ({ text: `w${i} `, ...(afterMs > 0 ? { afterMs } : {}) }));

/** What one caller has heard, in order. */
export class Heard implements RequestEvents {
  readonly log: string[] = [];
  text_ = '';
  outcome: string | null = null;
  error: LmxError | null = null;
  /** Words after the last: there must be none. */
  late = 0;

  #note(what: string, last = false): void {
    if (this.outcome !== null) this.late++;
    this.log.push(what);
    if (last) this.outcome = what;
  }
  queued(position: number): void {
    this.#note(`queued ${position}`);
  }
  started(): void {
    this.#note('started');
  }
  text(delta: string): void {
    if (this.outcome !== null) this.late++;
    this.text_ += delta;
  }
  reasoning(): void {
    this.#note('reasoning');
  }
  call(): void {
    this.#note('call');
  }
  done({ finishReason }: { finishReason: string }): void {
    this.#note(`done ${finishReason}`, true);
  }
  refused(error: LmxError): void {
    this.error = error;
    this.#note(`refused ${error.code}`, true);
  }
  failed(error: LmxError): void {
    this.error = error;
    this.#note(`failed ${error.code}`, true);
  }
}

/** A gateway over the scripted engine, in virtual time. */
export class LmxWorld {
  readonly clock = new VirtualClock();
  readonly life = { alive: true };
  readonly engine: ScriptedEngine;
  readonly gateway: Gateway;
  #ids = 0;

  constructor(
    script: (request: GenerateRequest) => Iterable<Step>,
    config: GatewayConfig = {},
    engine: Partial<ScriptedConfig> = {},
  ) {
    const clock = this.clock.for(this.life);
    this.engine = createScriptedEngine({ clock, models: [{ id: 'org/small-1b' }], script, ...engine });
    this.gateway = createGateway(config, { engine: this.engine, clock, log: SILENT, newId: () => `r${++this.#ids}` });
  }

  /** Runs until nothing is ready, or `ms` of virtual time have passed. */
  run(ms = Number.POSITIVE_INFINITY): void {
    const until = this.clock.time + ms;
    for (let i = 0; i < 500_000; i++) {
      const next = this.clock.nextAt();
      if (this.clock.idle && (next === null || next > until)) break;
      if (!this.clock.step()) break;
    }
    if (ms !== Number.POSITIVE_INFINITY) this.clock.time = Math.max(this.clock.time, until);
  }

  async load(id = 'org/small-1b'): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.gateway.load(id, {}, (error) => (error ? reject(error) : resolve()));
      this.run(600_000);
    });
  }

  ask(request: Partial<GenerateRequest> = {}, caller: Partial<Caller> = {}): { heard: Heard; handle: RequestHandle } {
    const heard = new Heard();
    const handle = this.gateway.submit(
      { model: 'org/small-1b', messages: [{ role: 'user', content: 'go' }], ...request },
      { client: 'anonymous', priority: 'normal', ...caller },
      heard,
    );
    return { heard, handle };
  }
}
