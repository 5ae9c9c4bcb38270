import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket as NetSocket } from 'node:net';
import { Body, type BodyPool, type BodyResult } from '../body.ts';
import { Gone } from '../gone.ts';
import type { Exchange, RequestHead, Response, ResponseStream, StreamEnd } from '../port.ts';
import type { HttpBounds } from './adapter.ts';
import { NodeStream } from './stream.ts';

/** From the header lines as they came: Node's own view joins, drops or lists duplicates as the name has it. */
export const headOf = (req: IncomingMessage): RequestHead => {
  const headers = new Map<string, string>();
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const name = (req.rawHeaders[i] as string).toLowerCase();
    const value = req.rawHeaders[i + 1] as string;
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  const url = req.url ?? '';
  const mark = url.indexOf('?');
  const [path, query] = mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)];
  return { method: req.method ?? '', path, query, headers };
};

/** An answer as it goes over the wire, for a connection that nothing follows on. */
export const rawResponse = (response: Response): string =>
  [
    `HTTP/1.1 ${response.status} ${STATUS_CODES[response.status] ?? 'Unknown'}`,
    ...response.headers.map(([name, value]) => `${name}: ${value}`),
    `content-length: ${Buffer.byteLength(response.body)}`,
    'connection: close',
    '',
    response.body,
  ].join('\r\n');

/** What the exchanges of one adapter share. */
export interface ExchangePool extends BodyPool {
  live: Set<NodeExchange>;
  http: HttpBounds;
  /** Bound of one stream's backlog. */
  bytesMax: number;
  slowClosed: number;
  closing: boolean;
}

export class NodeExchange implements Exchange {
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #pool: ExchangePool;
  /** Until it is answered or the client is gone. */
  #open = true;
  #body: Body | null = null;
  #stream: NodeStream | null = null;
  readonly #gone: Gone;

  constructor(req: IncomingMessage, res: ServerResponse, pool: ExchangePool) {
    this.#req = req;
    this.#res = res;
    this.#pool = pool;
    this.#gone = new Gone(pool);
    pool.live.add(this);
    // A client that breaks off is no fault; `close` follows.
    res.on('error', () => undefined);
    req.on('error', () => undefined);
    res.on('close', () => this.over());
  }

  body(bytesMax: number, done: (body: BodyResult) => void): void {
    const body = new Body(this.#pool, bytesMax, done, () => this.cut());
    this.#body = body;
    this.#req.on('data', (chunk: Buffer) => body.take(chunk, false));
    this.#req.on('end', () => body.take(Buffer.alloc(0), true));
  }

  /** A body that nobody asked for is read and forgotten, so that the connection stays usable. */
  discardBody(): void {
    if (!this.#body) this.#req.resume();
  }

  reply(response: Response, close = false): void {
    if (!this.#open) return;
    const last = close || this.#pool.closing;
    const length: [string, string] = ['content-length', String(Buffer.byteLength(response.body))];
    if (!this.#begin(response, [...([204, 304].includes(response.status) ? [] : [length]), ...lastHeader(last)]))
      return;
    if (!last || this.#req.complete) this.#res.end(response.body);
    else this.#linger(response.body);
  }

  stream(head: Omit<Response, 'body'>, end: StreamEnd): ResponseStream | null {
    if (!this.#open || !this.#begin(head, lastHeader(this.#pool.closing))) return null;
    if (this.#req.method === 'HEAD') {
      this.#res.end();
      return null;
    }
    this.#res.flushHeaders();
    this.#stream = new NodeStream(this.#res, this.#pool, end);
    return this.#stream;
  }

  whenGone(told: () => void): void {
    this.#gone.when(told);
  }

  isOn(net: NetSocket): boolean {
    return this.#req.socket === net;
  }

  cut(): void {
    this.#res.destroy();
  }

  /** Writes the head. A value that no header may have is its plane's fault, and ends this connection alone. */
  #begin({ status, headers }: Omit<Response, 'body'>, more: readonly (readonly [string, string])[]): boolean {
    this.#open = false;
    this.#body?.drop();
    this.#req.socket.setTimeout(this.#pool.http.stallMs);
    try {
      this.#res.writeHead(status, [...headers, ...more].flat());
      return true;
    } catch (fault) {
      this.#pool.onFault('http', fault);
      this.cut();
      return false;
    }
  }

  /** Closing on a peer that still sends would throw away the answer with it, so the rest of its body is taken for a moment. */
  #linger(body: string): void {
    this.#res.flushHeaders();
    this.#res.write(body);
    const end = (): void => void this.#res.end();
    const late = setTimeout(end, this.#pool.http.refusedBodyMs);
    this.#res.once('close', () => clearTimeout(late));
    this.#req.once('end', end);
    this.#req.resume();
  }

  /** The exchange is over, whatever became of it. */
  over(): void {
    if (!this.#pool.live.has(this)) return;
    const waited = this.#open;
    this.#open = false;
    this.#body?.drop();
    this.#pool.live.delete(this);
    const stream = this.#stream;
    this.#stream = null;
    stream?.closed();
    if (waited) this.#gone.happen();
  }
}

const lastHeader = (last: boolean): [string, string][] => (last ? [['connection', 'close']] : []);
