import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

/** How often it looks. What is counted is the time between two looks, so as much of it is no delay. */
export const LOOK_EVERY_MS = 20;

/**
 * How late the event loop is, in seconds. Measured from the first look on, since it wakes the process 50 times a second; each
 * look covers the time since the one before.
 */
export class LoopDelay {
  readonly #histogram: IntervalHistogram;

  constructor(histogram = monitorEventLoopDelay({ resolution: LOOK_EVERY_MS })) {
    this.#histogram = histogram;
  }

  read(): { p50: number; p99: number; max: number } {
    this.#histogram.enable();
    const { count, max } = this.#histogram;
    const late = (ns: number): number => (count === 0 ? 0 : Math.max(0, ns / 1e6 - LOOK_EVERY_MS) / 1_000);
    const facts = {
      p50: late(this.#histogram.percentile(50)),
      p99: late(this.#histogram.percentile(99)),
      max: late(max),
    };
    this.#histogram.reset();
    return facts;
  }

  close(): void {
    this.#histogram.disable();
  }
}
