import type {
  RequestHead,
  Response,
  ResponseStream,
  StreamEnd,
  Transport,
  TransportAdapter,
  TransportHandlers,
} from '../../src/transport/port.ts';

/** What one request was answered with. */
export interface Asked {
  reply: Response | null;
  stream: MemoryStream | null;
  header(name: string): string | undefined;
  /** The client goes away. */
  leave(): void;
}

export interface MemoryAdapter extends TransportAdapter {
  /** Puts a request to the planes; the answer is there when `settle` returns. */
  ask(path: string, headers?: { [name: string]: string }, method?: string, body?: string): Asked;
}

const PORT = 9_999;

/** An adapter without sockets: requests are put by hand, what is written is kept, and backlogs are as deep as a test wants them. */
export const memoryAdapter = (): MemoryAdapter => {
  let handlers: TransportHandlers;
  const transport: Transport = {
    listen: async () => PORT,
    close: async () => undefined,
    usage: () => ({ connections: 0, sockets: 0, exchanges: 0, bodiesBytes: 0, slowClosed: 0 }),
  };
  return {
    name: 'ws',
    why: 'in memory',
    create: (h) => {
      handlers = h;
      return transport;
    },
    ask: (url, headers = {}, method = 'GET', body = '') => {
      const [path = '', query = ''] = url.split('?');
      const head: RequestHead = {
        method,
        path,
        query,
        headers: new Map(Object.entries({ host: `127.0.0.1:${PORT}`, ...headers })),
      };
      const asked = new MemoryExchange();
      handlers.http(head, {
        body: (_max, done) => setImmediate(() => done(Buffer.from(body))),
        reply: (response) => {
          asked.reply ??= response;
        },
        stream: (top, end) => asked.begin(top, end),
        whenGone: (told) => asked.whenGone(told),
      });
      return asked;
    },
  };
};

class MemoryExchange implements Asked {
  reply: Response | null = null;
  stream: MemoryStream | null = null;
  #gone = false;
  #told: (() => void) | null = null;

  begin(head: Omit<Response, 'body'>, end: StreamEnd): ResponseStream | null {
    if (this.#gone || this.reply) return null;
    this.reply = { ...head, body: '' };
    this.stream = new MemoryStream(end);
    return this.stream;
  }

  whenGone(told: () => void): void {
    this.#told = told;
    if (this.#gone) told();
  }

  header(name: string): string | undefined {
    const found = this.reply?.headers.filter(([n]) => n === name) ?? [];
    if (found.length > 1) throw new Error(`${name} was sent twice`);
    return found[0]?.[1];
  }

  leave(): void {
    this.#gone = true;
    if (!this.reply) this.#told?.();
    this.stream?.cut();
  }
}

/** The body of one answer. While it is `deaf`, what is written stays in the backlog. */
export class MemoryStream implements ResponseStream {
  text = '';
  state: 'open' | 'ended' | 'cut' = 'open';
  deaf = false;
  readonly #end: StreamEnd;
  #backlog = '';

  constructor(end: StreamEnd) {
    this.#end = end;
  }

  write(text: string): void {
    if (this.state !== 'open') return;
    if (this.deaf) this.#backlog += text;
    else this.text += text;
  }

  bufferedBytes(): number {
    return Buffer.byteLength(this.#backlog);
  }

  /** The client takes all that is there, and says so. */
  take(): void {
    this.text += this.#backlog;
    this.#backlog = '';
    if (this.state === 'open') this.#end.drain();
  }

  end(): void {
    if (this.state !== 'open') return;
    this.state = 'ended';
    this.text += this.#backlog;
    this.#end.closed();
  }

  cut(): void {
    if (this.state !== 'open') return;
    this.state = 'cut';
    this.#end.closed();
  }

  /** The events that came: comments are left out. */
  get events(): SseEvent[] {
    return parseEvents(this.text);
  }
}

export interface SseEvent {
  id?: string;
  event?: string;
  data: string;
}

/** What an EventSource would have dispatched, and the names and ids with it. */
export const parseEvents = (text: string): SseEvent[] =>
  text.split('\n\n').flatMap((block) => {
    const fields = block.split('\n').flatMap((line): [string, string][] => {
      const field = /^(id|event|data): (.*)$/.exec(line);
      return field ? [[field[1] as string, field[2] as string]] : [];
    });
    const data = fields.filter(([name]) => name === 'data').map(([, value]) => value);
    return data.length === 0 ? [] : [{ ...Object.fromEntries(fields), data: data.join('\n') }];
  });

/** What is ready now runs, the answers of the fake runtime among it. */
export const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await new Promise((turn) => setImmediate(turn));
};
