import type { ServerResponse } from 'node:http';
import { BodyStream } from '../body-stream.ts';
import type { StreamEnd } from '../port.ts';
import type { ExchangePool } from './exchange.ts';

/** The body of one answer. Node keeps what the kernel does not take, and counts it. */
export class NodeStream extends BodyStream {
  readonly #res: ServerResponse;
  readonly #http: ExchangePool['http'];

  constructor(res: ServerResponse, pool: ExchangePool, end: StreamEnd) {
    super(pool, end);
    this.#res = res;
    this.#http = pool.http;
    // It may be quiet for as long as who writes to it likes.
    res.req.socket.setTimeout(0);
  }

  end(): void {
    if (!this.open || this.ending) return;
    this.flush();
    this.ending = true;
    this.#res.req.socket.setTimeout(this.#http.lingerMs);
    this.#res.end();
  }

  cut(): void {
    if (!this.open) return;
    this.ending = true;
    this.#res.destroy();
  }

  protected backlog(): number {
    return this.out.bytes + this.#res.writableLength;
  }

  protected flush(): void {
    const text = this.out.take().join('');
    if (this.open && !this.ending && text !== '') this.#res.write(text, this.tellDrained);
  }
}
