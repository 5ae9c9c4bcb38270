import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { STATUS_CODES } from 'node:http';
import type { Exchange, RequestHead, Response } from '../port.ts';

/** The request lives only inside its callback, so all of it is copied before anything else happens. */
export const copyHead = (req: HttpRequest): RequestHead => {
  const headers = new Map<string, string>();
  req.forEach((name, value) => {
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  });
  return { method: req.getMethod().toUpperCase(), path: req.getUrl(), query: req.getQuery() ?? '', headers };
};

export const writeResponse = (res: HttpResponse, response: Response, isHead: boolean, close: boolean): void => {
  res.writeStatus(`${response.status} ${STATUS_CODES[response.status] ?? 'Unknown'}`);
  for (const [name, value] of response.headers) res.writeHeader(name, value);
  if (response.status === 204 || response.status === 304) res.endWithoutBody();
  else if (isHead) {
    // Given a length, endWithoutBody() waits for that many bytes and the answer never leaves.
    res.writeHeader('content-length', String(Buffer.byteLength(response.body)));
    res.endWithoutBody();
  } else res.end(response.body, close);
};

/** What the exchanges of one adapter share. */
export interface ExchangePool {
  live: Set<UwsExchange>;
  bodiesBytes: number;
  bodiesBytesMax: number;
  closing: boolean;
  onFault(where: string, fault: unknown): void;
}

export class UwsExchange implements Exchange {
  readonly #res: HttpResponse;
  readonly #pool: ExchangePool;
  readonly #isHead: boolean;
  #open = true;
  #bodyBytes = 0;

  constructor(res: HttpResponse, isHead: boolean, pool: ExchangePool) {
    this.#res = res;
    this.#isHead = isHead;
    this.#pool = pool;
    pool.live.add(this);
    res.onAborted(() => this.#end());
  }

  body(bytesMax: number, done: (body: Uint8Array | 'too-large' | 'busy') => void): void {
    let chunks: Buffer[] | null = [];
    const finish = (result: Uint8Array | 'too-large' | 'busy'): void => {
      chunks = null;
      this.#release();
      try {
        done(result);
      } catch (fault) {
        this.#pool.onFault('body', fault);
        this.cut();
      }
    };
    this.#res.onData((chunk, isLast) => {
      if (!chunks || !this.#open) return;
      this.#bodyBytes += chunk.byteLength;
      this.#pool.bodiesBytes += chunk.byteLength;
      if (this.#bodyBytes > bytesMax) return finish('too-large');
      if (this.#pool.bodiesBytes > this.#pool.bodiesBytesMax) return finish('busy');
      // The chunk's memory is taken back when this callback returns.
      chunks.push(Buffer.from(Buffer.from(chunk)));
      if (isLast) finish(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
    });
  }

  reply(response: Response, close = false): void {
    if (!this.#open) return;
    this.#end();
    this.#res.cork(() => writeResponse(this.#res, response, this.#isHead, close || this.#pool.closing));
  }

  /** Ends the connection without an answer. */
  cut(): void {
    if (this.#open) this.#res.close();
  }

  #end(): void {
    this.#open = false;
    this.#release();
    this.#pool.live.delete(this);
  }

  #release(): void {
    this.#pool.bodiesBytes -= this.#bodyBytes;
    this.#bodyBytes = 0;
  }
}
