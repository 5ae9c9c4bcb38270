import { connect, type Socket } from 'node:net';

export interface Reply {
  status: number;
  body: string;
}

/** A server may close a connection that was idle for longer, in the very moment in which a request is written to it. */
const IDLE_MS_MAX = 2_000;

/** One keep-alive connection with one request in flight; requests wait for their turn. */
export class Connection {
  readonly #port: number;
  readonly #token: string | undefined;
  #socket: Socket | null = null;
  #buffer = '';
  #take: ((reply: Reply) => void) | null = null;
  #fail: ((cause: Error) => void) | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #usedAt = 0;

  constructor(port: number, token?: string) {
    this.#port = port;
    this.#token = token;
  }

  request(method: string, path: string, body?: string): Promise<Reply> {
    const next = this.#turn.then(() => this.#send(method, path, body));
    this.#turn = next.catch(() => undefined);
    return next;
  }

  #send(method: string, path: string, body: string | undefined): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#take = resolve;
      this.#fail = reject;
      if (performance.now() - this.#usedAt > IDLE_MS_MAX) this.#hangUp();
      this.#socket ??= this.#connect();
      const auth = this.#token === undefined ? '' : `Authorization: Bearer ${this.#token}\r\n`;
      const head = `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${this.#port}\r\n${auth}`;
      const rest =
        body === undefined
          ? '\r\n'
          : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
      this.#socket.write(head + rest);
    });
  }

  #connect(): Socket {
    const socket = connect(this.#port, '127.0.0.1');
    socket.setNoDelay(true);
    const lost = (cause: Error): void => {
      if (this.#socket !== socket) return;
      this.#hangUp();
      this.#fail?.(cause);
    };
    socket.on('error', lost);
    socket.on('close', () => lost(new Error('connection closed')));
    socket.on('data', (chunk) => this.#read(chunk.toString('latin1')));
    return socket;
  }

  #read(text: string): void {
    this.#buffer += text;
    const head = this.#buffer.indexOf('\r\n\r\n');
    if (head < 0) return;
    const length = Number(/content-length: (\d+)/i.exec(this.#buffer.slice(0, head))?.[1] ?? 0);
    if (this.#buffer.length < head + 4 + length) return;
    const reply = { status: Number(this.#buffer.slice(9, 12)), body: this.#buffer.slice(head + 4, head + 4 + length) };
    this.#buffer = this.#buffer.slice(head + 4 + length);
    const take = this.#take;
    this.#usedAt = performance.now();
    this.#take = null;
    this.#fail = null;
    take?.(reply);
  }

  #hangUp(): void {
    this.#socket?.destroy();
    this.#socket = null;
    this.#buffer = '';
  }

  close(): void {
    this.#fail = null;
    this.#hangUp();
  }
}

/** Runs `work` once for each item, over `width` connections at a time. */
export const overConnections = async <T>(
  connections: readonly Connection[],
  items: readonly T[],
  work: (connection: Connection, item: T) => Promise<void>,
): Promise<void> => {
  let next = 0;
  await Promise.all(
    connections.map(async (connection) => {
      while (next < items.length) await work(connection, items[next++] as T);
    }),
  );
};
