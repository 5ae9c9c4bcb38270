import type { ServerResponse } from 'node:http';
import { Outbox } from '../outbox.ts';
import type { ResponseStream, StreamEnd } from '../port.ts';
import type { ExchangePool } from './exchange.ts';

/** The body of one answer. Node keeps what the kernel does not take, and counts it. */
export class NodeStream implements ResponseStream {
  readonly #res: ServerResponse;
  readonly #pool: ExchangePool;
  readonly #end: StreamEnd;
  readonly #out = new Outbox(() => this.#flush());
  #watched = false;
  /** Nothing more goes in; `closed` follows. */
  #ending = false;
  #open = true;

  constructor(res: ServerResponse, pool: ExchangePool, end: StreamEnd) {
    this.#res = res;
    this.#pool = pool;
    this.#end = end;
    // It may be quiet for as long as who writes to it likes.
    res.req.socket.setTimeout(0);
  }

  write(text: string): void {
    if (!this.#open || this.#ending) return;
    if (this.#backlog() <= this.#pool.bytesMax) this.#out.put(text);
    else {
      this.#pool.slowClosed += 1;
      this.cut();
    }
  }

  bufferedBytes(): number {
    const bytes = this.#open ? this.#backlog() : 0;
    if (bytes > 0) this.#watched = true;
    return bytes;
  }

  end(): void {
    if (!this.#open || this.#ending) return;
    this.#flush();
    this.#ending = true;
    this.#res.req.socket.setTimeout(this.#pool.http.lingerMs);
    this.#res.end();
  }

  cut(): void {
    if (!this.#open) return;
    this.#ending = true;
    this.#res.destroy();
  }

  /** The connection is gone, or the body has ended. Called by the exchange. */
  closed(): void {
    this.#open = false;
    this.#out.take();
    this.#guard(() => this.#end.closed());
  }

  #backlog(): number {
    return this.#out.bytes + this.#res.writableLength;
  }

  #flush(): void {
    const text = this.#out.take().join('');
    if (this.#open && !this.#ending && text !== '') this.#res.write(text, this.#written);
  }

  readonly #written = (): void => {
    if (!this.#open || !this.#watched || this.#ending) return;
    this.#watched = false;
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
