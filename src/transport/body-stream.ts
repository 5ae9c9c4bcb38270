import { Outbox } from './outbox.ts';
import type { ResponseStream, StreamEnd } from './port.ts';

/** What the streams of one adapter share. */
export interface StreamPool {
  /** Bound of one stream's backlog. */
  readonly bytesMax: number;
  /** How many took too little and were cut. */
  slowClosed: number;
  onFault(where: string, fault: unknown): void;
}

/**
 * The body of one answer, whatever carries it: texts of one turn leave together, a backlog above its bound cuts the stream
 * ([SV3]), and who writes it is told once when it is over. An adapter adds how bytes leave and what of them is still here.
 */
export abstract class BodyStream implements ResponseStream {
  protected readonly out = new Outbox(() => this.flush());
  /** Its backlog was seen above 0, so that a `drain` is owed. */
  protected watched = false;
  /** Nothing more goes in; `closed` follows. */
  protected ending = false;
  protected open = true;
  readonly #pool: StreamPool;
  readonly #end: StreamEnd;

  constructor(pool: StreamPool, end: StreamEnd) {
    this.#pool = pool;
    this.#end = end;
  }

  abstract end(): void;
  abstract cut(): void;
  /** Sends what the outbox holds. */
  protected abstract flush(): void;
  /** Bytes that the client's side has not taken. */
  protected abstract backlog(): number;

  write(text: string): void {
    if (!this.open || this.ending) return;
    if (this.backlog() <= this.#pool.bytesMax) this.out.put(text);
    else {
      this.#pool.slowClosed += 1;
      this.cut();
    }
  }

  bufferedBytes(): number {
    const bytes = this.open ? this.backlog() : 0;
    if (bytes > 0) this.watched = true;
    return bytes;
  }

  /** The connection is gone, or the body has ended. Called by the exchange. */
  closed(): void {
    this.open = false;
    this.out.take();
    this.#guard(() => this.#end.closed());
  }

  protected readonly tellDrained = (): void => {
    if (!this.open || !this.watched || this.ending) return;
    this.watched = false;
    this.#guard(() => this.#end.drain());
  };

  #guard(run: () => void): void {
    try {
      run();
    } catch (fault) {
      this.#pool.onFault('stream', fault);
      this.cut();
    }
  }
}
