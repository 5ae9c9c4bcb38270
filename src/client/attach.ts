import { WebSocket } from 'ws';
import { decodeEnvelope, type Envelope } from '../protocol/envelope.ts';
import { type ErrorCode, errorRow, isErrorCode, OptaError } from '../protocol/errors.ts';
import type { LogRecord } from '../protocol/events.ts';
import type { DaemonAddress } from './http.ts';

/**
 * An attachment that outlives its connections: it holds a cursor, and whatever happens to sockets and daemons it hands over
 * each event of the session once, in order.
 *
 * Invariants: 1. `onEnvelope` sees exactly cursor+1 each time ([EV2]). 2. What was seen before is dropped, what is ahead of
 * the cursor is never shown: the connection is given up and the log is read again from the cursor. 3. At most one socket is
 * open, and events of an old one are ignored. 4. `ended` settles once, with the reason, or null after `close()`.
 */
export interface AttachOptions {
  sessionId: string;
  /** Exclusive: the last `seq` that is already known. */
  afterSeq: number;
  /** Asked before each connection, since a restarted daemon has another port and token. */
  address: () => Promise<DaemonAddress>;
  /** `text` is the frame as it came, byte for byte. What this throws ends the attachment. */
  onEnvelope(envelope: Envelope & { record: LogRecord }, text: string): void;
  onState?(state: AttachState): void;
  /** An error frame that did not end the attachment. */
  onNotice?(error: OptaError): void;
  features?: string[];
  /** Without a connection for this long the attachment ends with `daemon-unreachable`. Default: never. */
  retryForMs?: number;
  backoff?: { baseMs: number; maxMs: number };
  /** A silent connection is asked for a sign of life after this, and given up after twice as long. */
  pingEveryMs?: number;
  /** For tests: what the jitter draws from. */
  random?: () => number;
}

export type AttachState = 'connecting' | 'open' | 'waiting' | 'ended';

const CONNECT_DEADLINE_MS = 5_000;
const FRAME_BYTES_MAX = 256 << 20;
/** Times the same cursor may meet a gap before the log itself is called broken. */
const GAPS_MAX = 3;

/** A connection that lasted this long counts as one, even if nothing was said on it. */
const SETTLED_MS = 2_000;

/** Errors that trying again with the same request cannot cure. */
const FATAL: ReadonlySet<ErrorCode> = new Set([
  'missing-session',
  'session-not-found',
  'not-found',
  'invalid-request',
  'forbidden-host',
  'forbidden-origin',
]);

export class Attachment {
  readonly ended: Promise<OptaError | null>;
  #options: AttachOptions;
  #cursor: number;
  #state: AttachState = 'connecting';
  #socket: WebSocket | null = null;
  #timers = new Map<'retry' | 'ping', NodeJS.Timeout>();
  #settle: (error: OptaError | null) => void = () => undefined;
  #attempts = 0;
  #gaps = 0;
  #paused = false;
  #heardAt = 0;
  #openedAt = 0;
  /** This connection brought something: losing it is a new loss, not one more failed attempt. */
  #fruitful = false;
  #disconnectedAt = Date.now();
  #lastToken = '';
  #refusals = 0;
  #lastError: OptaError | null = null;

  constructor(options: AttachOptions) {
    this.#options = options;
    this.#cursor = options.afterSeq;
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    void this.#connect();
  }

  /** `seq` of the last event handed over. */
  get cursor(): number {
    return this.#cursor;
  }

  get state(): AttachState {
    return this.#state;
  }

  close(): void {
    this.#end(null);
  }

  /** Back-pressure: nothing is read until `resume()`. The daemon feeds from the log, or closes us, and we go on by cursor. */
  pause(): void {
    this.#paused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#heardAt = Date.now();
    this.#socket?.resume();
  }

  async #connect(): Promise<void> {
    this.#become('connecting');
    let address: DaemonAddress;
    try {
      address = await this.#options.address();
    } catch (cause) {
      this.#lost(cause instanceof OptaError ? cause : new OptaError('daemon-unreachable', String(cause)));
      return;
    }
    if (this.#state === 'ended') return;
    if (address.token !== this.#lastToken) this.#refusals = 0;
    this.#lastToken = address.token;
    this.#open(address);
  }

  #open(address: DaemonAddress): void {
    const { sessionId, features } = this.#options;
    const query = new URLSearchParams({ sessionId, afterSeq: String(this.#cursor) });
    if (features?.length) query.set('features', features.join(','));
    const host = address.host.includes(':') && !address.host.startsWith('[') ? `[${address.host}]` : address.host;
    const socket = new WebSocket(`ws://${host}:${address.port}/v3/ws?${query}`, {
      // [AC1] The token travels in a header: a URL ends up in logs.
      headers: { authorization: `Bearer ${address.token}` },
      perMessageDeflate: false,
      handshakeTimeout: CONNECT_DEADLINE_MS,
      maxPayload: FRAME_BYTES_MAX,
      followRedirects: false,
    });
    this.#socket = socket;
    this.#lastError = null;
    this.#fruitful = false;
    const mine = (): boolean => this.#socket === socket;
    socket.on('open', () => mine() && this.#opened(socket));
    socket.on('message', (data) => mine() && this.#received(data.toString()));
    socket.on('unexpected-response', (_req, res) => {
      res.resume();
      if (mine()) this.#refused(res.statusCode ?? 0);
      socket.terminate();
    });
    socket.on('error', (cause) => {
      this.#lastError ??= new OptaError('daemon-unreachable', cause.message);
    });
    socket.on('close', (code) => mine() && this.#closed(code));
  }

  #opened(socket: WebSocket): void {
    this.#heardAt = Date.now();
    this.#openedAt = this.#heardAt;
    if (this.#paused) socket.pause();
    this.#become('open');
    const everyMs = this.#options.pingEveryMs ?? 15_000;
    this.#every('ping', everyMs, () => {
      if (this.#paused) return;
      const silentMs = Date.now() - this.#heardAt;
      if (silentMs >= 2 * everyMs) this.#drop(new OptaError('timeout', 'the daemon fell silent'));
      else socket.send('{"type":"ping"}');
    });
  }

  #received(text: string): void {
    this.#heardAt = Date.now();
    let frame: { [field: string]: unknown };
    try {
      frame = JSON.parse(text);
    } catch {
      this.#drop(new OptaError('internal', 'a frame was not JSON'));
      return;
    }
    this.#fruitful ||= typeof frame.error !== 'string';
    if (frame.type === 'heartbeat' || frame.event === 'heartbeat') {
      // The socket's cursor is ahead of ours: a frame was lost on the way, and only reading again brings it back.
      if (typeof frame.seq === 'number' && frame.seq > this.#cursor) this.#gap(frame.seq);
      return;
    }
    if (typeof frame.event === 'string' && typeof frame.seq === 'number') this.#event(frame.seq, text);
    else if (typeof frame.error === 'string') this.#errorFrame(frame.error, frame.code);
  }

  #event(seq: number, text: string): void {
    if (seq <= this.#cursor) return;
    if (seq > this.#cursor + 1) {
      this.#gap(seq);
      return;
    }
    this.#gaps = 0;
    this.#refusals = 0;
    try {
      const envelope = decodeEnvelope(text);
      this.#cursor = seq;
      this.#options.onEnvelope(envelope, text);
    } catch (cause) {
      this.#end(cause instanceof OptaError ? cause : new OptaError('internal', `Event ${seq}: ${String(cause)}`));
    }
  }

  #gap(seq: number): void {
    this.#gaps += 1;
    const error = new OptaError('internal', `Event ${this.#cursor + 1} is missing: ${seq} came instead`);
    if (this.#gaps > GAPS_MAX) this.#end(error);
    else this.#drop(error);
  }

  #errorFrame(message: string, code: unknown): void {
    const error = new OptaError(typeof code === 'string' && isErrorCode(code) ? code : 'internal', message);
    this.#lastError = error;
    this.#options.onNotice?.(error);
  }

  #refused(status: number): void {
    const code = ([400, 403, 404] as const).includes(status as 400) ? STATUS_CODES[status as 400] : undefined;
    if (status === 401) this.#lastError = new OptaError('unauthorized', 'the daemon refused the token');
    else this.#lastError = new OptaError(code ?? 'daemon-unreachable', `the daemon refused the socket (${status})`);
  }

  #closed(closeCode: number): void {
    const error = this.#lastError ?? byCloseCode(closeCode);
    const refused = closeCode === 4001 || error.code === 'unauthorized';
    if (refused) this.#refusals += 1;
    // Once may be a restart that has not yet written its new token; twice with the same one is an answer.
    if (refused && this.#refusals >= 2) this.#end(new OptaError('unauthorized', 'The daemon refused the token'));
    else if (FATAL.has(error.code)) this.#end(error);
    else this.#lost(error);
  }

  /** Gives up this connection and tries again from the cursor. */
  #drop(error: OptaError): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.terminate();
    this.#lost(error);
  }

  #lost(error: OptaError): void {
    if (this.#state === 'ended') return;
    if (this.#state === 'open' && (this.#fruitful || Date.now() - this.#openedAt >= SETTLED_MS)) {
      this.#disconnectedAt = Date.now();
      this.#attempts = 0;
    }
    this.#socket = null;
    this.#stop('ping');
    const { retryForMs = Number.POSITIVE_INFINITY, backoff = { baseMs: 100, maxMs: 5_000 } } = this.#options;
    if (Date.now() - this.#disconnectedAt >= retryForMs) {
      const told = errorRow(error.code).status === 503 ? error.message : `${error.code}: ${error.message}`;
      this.#end(new OptaError('daemon-unreachable', `The connection to the daemon was lost: ${told}`));
      return;
    }
    // Full jitter above a floor: a hundred clients of one restarted daemon do not knock at once, and none waits for nothing.
    const ceilingMs = Math.min(backoff.maxMs, backoff.baseMs * 2 ** Math.min(this.#attempts, 16));
    const delayMs = ceilingMs * (0.25 + 0.75 * (this.#options.random ?? Math.random)());
    this.#attempts += 1;
    this.#become('waiting');
    this.#stop('retry');
    this.#timers.set(
      'retry',
      setTimeout(() => void this.#connect(), delayMs),
    );
  }

  #end(error: OptaError | null): void {
    if (this.#state === 'ended') return;
    this.#become('ended');
    this.#stop('ping');
    this.#stop('retry');
    const socket = this.#socket;
    this.#socket = null;
    if (socket?.readyState === WebSocket.OPEN) {
      socket.resume();
      socket.close(1000);
      // A peer that never answers the close would keep this process alive for ws's own 30 seconds.
      setTimeout(() => socket.terminate(), 500).unref();
    } else socket?.terminate();
    this.#settle(error);
  }

  #become(state: AttachState): void {
    if (this.#state === state && state !== 'connecting') return;
    this.#state = state;
    this.#options.onState?.(state);
  }

  #every(name: 'ping', ms: number, tick: () => void): void {
    this.#stop(name);
    this.#timers.set(name, setInterval(tick, ms));
  }

  #stop(name: 'retry' | 'ping'): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}

const STATUS_CODES = { 400: 'invalid-request', 403: 'forbidden-host', 404: 'not-found' } as const;

const byCloseCode = (code: number): OptaError => {
  if (code === 4000) return new OptaError('missing-session', 'The daemon asked for a session id');
  if (code === 4008) return new OptaError('slow-reader', 'the daemon let go of a reader that was behind');
  return new OptaError('daemon-unreachable', `the socket closed (${code})`);
};

export const attach = (options: AttachOptions): Attachment => new Attachment(options);
