import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { WebSocket } from 'ws';
import type { Json } from './matcher.ts';

/** Where a daemon is, and with which tokens. Changes with a restart. */
export interface Place {
  url: string;
  token: string;
  observerToken?: string;
}

export type TokenName = 'writer' | 'observer' | 'wrong' | 'none';

export interface HttpAnswer {
  status: number;
  headers: { [name: string]: Json };
  text: string;
  body: Json | undefined;
}

export const WAIT_MS = 30_000;
const FRAME_BYTES_MAX = 64 << 20;

export const headersFor = (place: Place, token: TokenName = 'writer'): { [name: string]: string } => {
  const tokens = { writer: place.token, observer: place.observerToken ?? '', wrong: `x${place.token.slice(1)}` };
  return token === 'none' ? {} : { authorization: `Bearer ${tokens[token]}` };
};

export const callHttp = (
  place: Place,
  call: { method: string; path: string; headers: { [name: string]: string }; body?: Json },
): Promise<HttpAnswer> =>
  new Promise((resolve, reject) => {
    const payload = call.body === undefined ? undefined : JSON.stringify(call.body);
    const headers = {
      ...(payload === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(payload)) }),
      ...call.headers,
    };
    const url = new URL(call.path, place.url);
    const req = request(url, { method: call.method, headers, timeout: WAIT_MS }, (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.on('error', reject);
      res.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({
          status: res.statusCode ?? 0,
          headers: res.headers as HttpAnswer['headers'],
          text,
          body: parsed(text),
        });
      });
    });
    req.on('timeout', () => req.destroy(new Error(`${call.method} ${call.path}: no answer in ${WAIT_MS} ms`)));
    req.on('error', reject);
    req.end(payload);
  });

const parsed = (text: string): Json | undefined => {
  try {
    return JSON.parse(text) as Json;
  } catch {
    // What is no JSON has no members.
    return undefined;
  }
};

export interface Seen {
  text: string;
  json: Json;
}

interface Envelope {
  seq: number;
}

/**
 * One WebSocket of a vector. It holds [EV2] against the daemon by itself: an event that does not follow the one before it is kept
 * as a problem, which every later step of the vector meets.
 */
export class Wire {
  readonly events: Seen[] = [];
  /** Acks, errors, heartbeats and whatever else is no event. */
  readonly frames: Seen[] = [];
  readonly opened: Promise<void>;
  closeCode: number | null = null;
  problem: string | null = null;
  /** Events and frames up to here have been looked at by a step. */
  eventsRead = 0;
  framesRead = 0;
  readonly afterSeq: number;
  readonly #ws: WebSocket;
  readonly #watchers = new Set<() => void>();

  constructor(url: string, headers: { [name: string]: string }, afterSeq: number) {
    this.afterSeq = afterSeq;
    this.#ws = new WebSocket(url, { headers, perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX });
    this.opened = new Promise((resolve, reject) => {
      this.#ws.once('open', resolve);
      this.#ws.once('error', reject);
    });
    this.opened.catch(() => undefined);
    this.#ws.on('error', () => this.#ws.terminate());
    this.#ws.on('message', (data) => this.#take(data.toString()));
    this.#ws.on('close', (code) => {
      this.closeCode = code;
      this.#look();
    });
  }

  #take(text: string): void {
    const json = JSON.parse(text) as Json;
    const { v, seq } = json as unknown as { v?: string } & Envelope;
    if (v !== '3') this.frames.push({ text, json });
    else {
      const before = this.events.at(-1);
      const wanted = (before ? (before.json as unknown as Envelope).seq : this.afterSeq) + 1;
      if (seq !== wanted) this.problem ??= `seq ${seq} came where ${wanted} was to come`;
      this.events.push({ text, json });
    }
    this.#look();
  }

  /** Sends a command under an id of its own and returns the one answer that repeats it. */
  async ask(frame: { [name: string]: Json }): Promise<Json> {
    const id = `conf-${randomBytes(6).toString('hex')}`;
    this.#ws.send(JSON.stringify({ ...frame, [frame.type === 'permission.resolve' ? 'ackId' : 'requestId']: id }));
    const answers = (): Seen[] =>
      this.frames.filter((f) => (f.json as { requestId?: string } | null)?.requestId === id);
    await this.until(`the answer to ${String(frame.type)}`, () => answers().length > 0);
    return (answers()[0] as Seen).json;
  }

  until(what: string, holds: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (why?: string): void => {
        clearTimeout(late);
        this.#watchers.delete(look);
        if (why === undefined) resolve();
        else reject(new Error(why));
      };
      const look = (): void => {
        if (this.problem !== null) finish(this.problem);
        else if (holds()) finish();
        else if (this.closeCode !== null) finish(`the socket was closed (${this.closeCode}) before ${what}`);
      };
      const late = setTimeout(() => finish(`${what} did not come within ${WAIT_MS} ms${this.#tail()}`), WAIT_MS);
      this.#watchers.add(look);
      look();
    });
  }

  close(): void {
    this.#ws.close(1000);
  }

  end(): void {
    this.#ws.terminate();
  }

  #look(): void {
    for (const look of [...this.#watchers]) look();
  }

  #tail(): string {
    const last = this.events.slice(-4).map(({ json }) => {
      const { seq, event } = json as unknown as Envelope & { event: string };
      return `${seq} ${event}`;
    });
    return `; the last events: ${last.join(', ')}`;
  }
}

/** The members of a JSON array as they stand in the text: stored bytes, whatever a parser would make of them. */
export const membersOf = (text: string, name: string): string[] => {
  const from = text.indexOf('[', text.indexOf(`"${name}"`)) + 1;
  if (from === 0) throw new Error(`the answer has no ${name}`);
  const members: string[] = [];
  let depth = 0;
  let quoted = false;
  let start = from;
  for (let i = from; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c === '\\') i++;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === '{' || c === '[') depth++;
    else if ((c === ',' || c === ']') && depth === 0) {
      const member = text.slice(start, i).trim();
      if (member !== '') members.push(member);
      if (c === ']') return members;
      start = i + 1;
    } else if (c === '}' || c === ']') depth--;
  }
  throw new Error('the answer ends in the middle');
};
