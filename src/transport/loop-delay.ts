import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

/**
 * How late the event loop is, in seconds. Measured from the first look on, since it wakes the process 50 times a second; each
 * look covers the time since the one before.
 */
export class LoopDelay {
  readonly #histogram: IntervalHistogram = monitorEventLoopDelay({ resolution: 20 });

  read(): { p50: number; p99: number; max: number } {
    this.#histogram.enable();
    const seconds = (ns: number): number => (this.#histogram.count === 0 ? 0 : ns / 1e9);
    const { max } = this.#histogram;
    const facts = {
      p50: seconds(this.#histogram.percentile(50)),
      p99: seconds(this.#histogram.percentile(99)),
      max: seconds(max),
    };
    this.#histogram.reset();
    return facts;
  }

  close(): void {
    this.#histogram.disable();
  }
}
