/** What the bodies of one adapter share. */
export interface BodyPool {
  bodiesBytes: number;
  bodiesBytesMax: number;
  onFault(where: string, fault: unknown): void;
}

export type BodyResult = Uint8Array | 'too-large' | 'busy';

/** One request body while it comes in, within its own bound and the one over all of them ([SV3]). */
export class Body {
  readonly #pool: BodyPool;
  readonly #bytesMax: number;
  readonly #done: (result: BodyResult) => void;
  #chunks: Buffer[] | null = [];
  #bytes = 0;

  /** `cut` ends the connection, for a `done` that throws. */
  constructor(pool: BodyPool, bytesMax: number, done: (result: BodyResult) => void, cut: () => void) {
    this.#pool = pool;
    this.#bytesMax = bytesMax;
    this.#done = (result) => {
      try {
        done(result);
      } catch (fault) {
        pool.onFault('body', fault);
        cut();
      }
    };
  }

  /** `chunk` is kept, so its memory must be ours. What comes after the result is known is dropped. */
  take(chunk: Buffer, isLast: boolean): void {
    if (!this.#chunks) return;
    this.#bytes += chunk.byteLength;
    this.#pool.bodiesBytes += chunk.byteLength;
    if (this.#bytes > this.#bytesMax) this.#finish('too-large');
    else if (this.#pool.bodiesBytes > this.#pool.bodiesBytesMax) this.#finish('busy');
    else {
      if (chunk.byteLength > 0) this.#chunks.push(chunk);
      const [first] = this.#chunks;
      if (isLast) this.#finish(first && this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks));
    }
  }

  /** Forgets what came so far; `done` is not called any more. */
  drop(): void {
    this.#chunks = null;
    this.#pool.bodiesBytes -= this.#bytes;
    this.#bytes = 0;
  }

  #finish(result: BodyResult): void {
    this.drop();
    this.#done(result);
  }
}
