/**
 * The texts of one turn of the event loop, on their way out together. Whoever is sent a hundred small frames in a turn costs one
 * write to the kernel: that is where the speed of an adapter is, whatever library carries the bytes.
 */
export class Outbox {
  readonly #flush: () => void;
  #texts: string[] = [];
  #bytes = 0;
  #scheduled = false;

  /** `flush` runs at the end of the turn in which the first text was put in. It is to `take` them. */
  constructor(flush: () => void) {
    this.#flush = flush;
  }

  /** UTF-8 bytes that wait for the end of the turn. */
  get bytes(): number {
    return this.#bytes;
  }

  get empty(): boolean {
    return this.#texts.length === 0;
  }

  put(text: string): void {
    this.#texts.push(text);
    this.#bytes += Buffer.byteLength(text);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** Empties it. */
  take(): string[] {
    const texts = this.#texts;
    this.#texts = [];
    this.#bytes = 0;
    return texts;
  }
}
