import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { STATUS_CODES } from 'node:http';
import { Body, type BodyPool, type BodyResult } from '../body.ts';
import { Gone } from '../gone.ts';
import type { Exchange, RequestHead, Response, ResponseStream, StreamEnd } from '../port.ts';
import { UwsStream } from './stream.ts';

/** The request lives only inside its callback, so all of it is copied before anything else happens. */
export const copyHead = (req: HttpRequest): RequestHead => {
  const headers = new Map<string, string>();
  req.forEach((name, value) => {
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  });
  return { method: req.getMethod().toUpperCase(), path: req.getUrl(), query: req.getQuery() ?? '', headers };
};

const writeHead = (res: HttpResponse, { status, headers }: Omit<Response, 'body'>): void => {
  res.writeStatus(`${status} ${STATUS_CODES[status] ?? 'Unknown'}`);
  for (const [name, value] of headers) res.writeHeader(name, value);
};

/**
 * What the library takes and should not: it reads chunks whatever the encoding is called, and a length by its digits. Two readings
 * of one request are two requests to whoever stands between.
 */
export const isAmbiguous = ({ headers }: RequestHead): boolean => {
  const encoding = headers.get('transfer-encoding');
  const length = headers.get('content-length');
  if (encoding !== undefined) return encoding.toLowerCase() !== 'chunked' || length !== undefined;
  return length !== undefined && !/^\d+$/.test(length);
};

export const writeResponse = (res: HttpResponse, response: Response, isHead: boolean, close: boolean): void => {
  writeHead(res, response);
  if (response.status === 204 || response.status === 304) res.endWithoutBody();
  else if (isHead) {
    // Given a length, endWithoutBody() waits for that many bytes and the answer never leaves.
    res.writeHeader('content-length', String(Buffer.byteLength(response.body)));
    res.endWithoutBody();
  } else res.end(response.body, close);
};

/** What the exchanges of one adapter share. */
export interface ExchangePool extends BodyPool {
  live: Set<UwsExchange>;
  /** Bound of one stream's backlog. */
  bytesMax: number;
  slowClosed: number;
  closing: boolean;
}

export class UwsExchange implements Exchange {
  readonly #res: HttpResponse;
  readonly #pool: ExchangePool;
  readonly #isHead: boolean;
  /** Until it is answered or the client is gone. */
  #open = true;
  #body: Body | null = null;
  #stream: UwsStream | null = null;
  readonly #gone: Gone;

  constructor(res: HttpResponse, isHead: boolean, pool: ExchangePool) {
    this.#res = res;
    this.#isHead = isHead;
    this.#pool = pool;
    this.#gone = new Gone(pool);
    pool.live.add(this);
    res.onAborted(() => {
      const waited = this.#open;
      this.#end();
      if (waited) this.#gone.happen();
    });
  }

  body(bytesMax: number, done: (body: BodyResult) => void): void {
    const body = new Body(this.#pool, bytesMax, done, () => this.cut());
    this.#body = body;
    this.#res.onData((chunk, isLast) => {
      // The chunk's memory is taken back when this callback returns.
      if (this.#open) body.take(Buffer.from(Buffer.from(chunk)), isLast);
    });
  }

  reply(response: Response, close = false): void {
    if (!this.#open) return;
    this.#end();
    this.#res.cork(() => writeResponse(this.#res, response, this.#isHead, close || this.#pool.closing));
  }

  stream(head: Omit<Response, 'body'>, end: StreamEnd): ResponseStream | null {
    if (!this.#open) return null;
    this.#open = false;
    this.#body?.drop();
    if (this.#isHead) this.#end();
    else this.#stream = new UwsStream(this.#res, this.#pool, end, () => this.#end());
    this.#res.cork(() => {
      writeHead(this.#res, head);
      if (this.#isHead) this.#res.endWithoutBody();
    });
    return this.#stream;
  }

  whenGone(told: () => void): void {
    this.#gone.when(told);
  }

  /** Ends the connection without an answer, or in the middle of it. */
  cut(): void {
    if (this.#open || this.#stream) this.#res.close();
  }

  #end(): void {
    this.#open = false;
    this.#body?.drop();
    this.#pool.live.delete(this);
    const stream = this.#stream;
    this.#stream = null;
    stream?.closed();
  }
}
