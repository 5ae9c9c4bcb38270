import type { GatewayCounters, Histogram } from './gateway.ts';

const OTHER = 'other';

/** Counts what has happened. Names are bounded: a client that makes up a name for each request fills no memory. */
export class Figures implements GatewayCounters {
  requests = 0;
  errors = 0;
  streams = 0;
  promptTokens = 0;
  completionTokens = 0;
  readonly byModel = new Map<string, { requests: number; errors: number; completionTokens: number }>();
  readonly byClient = new Map<string, { requests: number; errors: number; completionTokens: number }>();
  readonly duration = new Buckets([0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]);
  readonly queueWait = new Buckets([0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30]);
  readonly firstToken = new Buckets([0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]);
  readonly #namesMax: number;

  constructor(namesMax: number) {
    this.#namesMax = namesMax;
  }

  /** Milliseconds. `promptTokens` and `completionTokens` are the engine's own, 0 when it gave none. */
  over(facts: {
    model: string;
    client: string;
    stream: boolean;
    failed: boolean;
    promptTokens: number;
    completionTokens: number;
    durationMs: number;
  }): void {
    const { failed, promptTokens, completionTokens } = facts;
    this.requests++;
    if (facts.stream) this.streams++;
    if (failed) this.errors++;
    this.promptTokens += promptTokens;
    this.completionTokens += completionTokens;
    this.duration.add(facts.durationMs / 1_000);
    for (const [rows, name] of [
      [this.byModel, facts.model],
      [this.byClient, facts.client],
    ] as const) {
      const key = rows.has(name) || rows.size < this.#namesMax ? name : OTHER;
      const row = rows.get(key) ?? { requests: 0, errors: 0, completionTokens: 0 };
      row.requests++;
      if (failed) row.errors++;
      row.completionTokens += completionTokens;
      rows.set(key, row);
    }
  }
}

/** A histogram. `counts` are cumulative, one for each bound; what is above all bounds is in `count` alone. */
export class Buckets implements Histogram {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = bounds.map(() => 0);
  }

  add(value: number): void {
    this.sum += value;
    this.count++;
    for (const [i, bound] of this.bounds.entries()) if (value <= bound) this.counts[i] = (this.counts[i] ?? 0) + 1;
  }
}
