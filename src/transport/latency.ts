const SAMPLES_MAX = 512;

/** How long requests took, from arrival to answer: quantiles of the newest, and the totals of all. */
export class Latency {
  readonly #samples = new Float64Array(SAMPLES_MAX);
  #count = 0;
  #sumMs = 0;

  add(ms: number): void {
    this.#samples[this.#count % SAMPLES_MAX] = ms;
    this.#count += 1;
    this.#sumMs += ms;
  }

  facts(): { p50Ms: number; p99Ms: number; samples: number } {
    const samples = Math.min(this.#count, SAMPLES_MAX);
    const sorted = this.#samples.slice(0, samples).sort();
    const at = (share: number): number => round(sorted[Math.min(samples - 1, Math.floor(samples * share))] ?? 0);
    return { p50Ms: at(0.5), p99Ms: at(0.99), samples };
  }

  totals(): { count: number; sumMs: number } {
    return { count: this.#count, sumMs: round(this.#sumMs) };
  }
}

const round = (ms: number): number => Math.round(ms * 1000) / 1000;
