import type { IncomingMessage } from 'node:http';
import type WebSocket from 'ws';
import type { RawData } from 'ws';
import { LIMITS } from '../actors/limits.ts';
import type { Clock } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import type { Answer, Wire } from './answer.ts';
import { isObject } from './chat-chunk.ts';
import { fromSocket } from './error-map.ts';
import type { LmxServer } from './lmx-endpoint.ts';
import type { Capabilities } from './lmx-identity.ts';
import { closeError, createFrameReader, type Elsewhere, type FrameReader, NO_WEBSOCKET, openSocket } from './lmx-ws.ts';
import { parsed, placeOf, readBody, refusal } from './probe.ts';
import { type SilenceWatch, watchSilence } from './silence-watch.ts';

const OPEN = 1;
const CLOSE_GRACE_MS = 1_000;

/**
 * One socket to one server, for all requests that go there: no handshake for each answer. A request that is cancelled, or whose session
 * does not keep up, does not concern the others; a socket that breaks ends them all, each with its one failure.
 */
export class LmxLink {
  readonly #server: LmxServer;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #can: Capabilities;
  readonly #ws: WebSocket;
  readonly #place: string;
  readonly #requests = new Map<string, LinkRequest>();
  /** Some servers say our id once, with their own, and then theirs alone. */
  readonly #byServerId = new Map<string, LinkRequest>();
  readonly #connecting: unknown;
  #beat: unknown;
  #idle: unknown;
  #misses = 0;
  #isReadingPaused = false;
  #over = false;

  /** Throws `loopback-only` before a socket is opened. */
  constructor(server: LmxServer, path: string, can: Capabilities, clock: Clock) {
    this.#server = server;
    this.#path = path;
    this.#can = can;
    this.#clock = clock;
    this.#place = placeOf(server);
    this.#ws = openSocket(server, path);
    const late = new OptaError('lmx-timeout', `${this.#place} could not be reached in time.`);
    this.#connecting = clock.setTimeout(() => this.#fail(late), LIMITS.inferenceConnectMs);
    this.#beat = clock.setTimeout(() => this.#ping(), LIMITS.inferencePingMs);
    this.#ws.on('open', () => this.#opened());
    this.#ws.on('message', (data, isBinary) => this.#took(data, isBinary));
    this.#ws.on('pong', () => {
      this.#misses = 0;
    });
    this.#ws.on('unexpected-response', (_req, res) => this.#refused(res));
    this.#ws.on('error', (cause) => this.#fail(fromSocket(cause, this.#place)));
    this.#ws.on('close', (code, reason) => this.#closed(code, reason.toString()));
  }

  /** Whether another request may go this way. */
  serves(server: LmxServer, path: string): boolean {
    return !this.#over && server === this.#server && path === this.#path;
  }

  get active(): number {
    return this.#requests.size;
  }

  /** `frame.client_request_id` tells it from all others of this socket. */
  request(frame: { client_request_id: string }, answer: Answer, elsewhere: Elsewhere): Wire {
    this.#clock.clearTimeout(this.#idle);
    const request = new LinkRequest(frame, answer, elsewhere, {
      clock: this.#clock,
      place: this.#place,
      keepsAlive: this.#can.keepalive,
      send: (out) => this.#send(out),
      left: (r) => this.#left(r),
      heldChanged: () => this.#balance(),
    });
    this.#requests.set(frame.client_request_id, request);
    if (this.#ws.readyState === OPEN) request.begin();
    return request;
  }

  /** No request is on it any more, or none of it matters. */
  close(): void {
    this.#end();
  }

  #opened(): void {
    this.#clock.clearTimeout(this.#connecting);
    for (const request of [...this.#requests.values()]) request.begin();
  }

  #send(frame: object): void {
    if (this.#ws.readyState === OPEN) this.#ws.send(JSON.stringify(frame));
  }

  #took(data: RawData, isBinary: boolean): void {
    if (this.#over) return;
    const text = isBinary ? '' : data.toString();
    const frame = isBinary ? null : parsed(text);
    if (!isObject(frame)) {
      // Nobody knows for whom it was.
      const shown = JSON.stringify(isBinary ? '(binary)' : text.slice(0, 80));
      return this.#fail(new OptaError('lmx-protocol', `The inference server sent a frame that is no answer: ${shown}`));
    }
    const { client_request_id: ours, request_id: theirs } = frame;
    const named = typeof ours === 'string' ? this.#requests.get(ours) : undefined;
    if (named && typeof theirs === 'string') this.#byServerId.set(theirs, named);
    const request = typeof ours === 'string' ? named : this.#byServerId.get(String(theirs));
    request?.took(text);
  }

  #refused(res: IncomingMessage): void {
    const status = res.statusCode ?? 0;
    if (NO_WEBSOCKET.has(status)) {
      res.resume();
      const all = [...this.#requests.values()];
      this.#end();
      for (const request of all) request.goElsewhere('refused');
    } else readBody(res, (body) => this.#fail(refusal(res, status, body, this.#clock.now())));
  }

  #closed(code: number, reason: string): void {
    if (this.#over) return;
    const all = [...this.#requests.values()];
    if (code !== 1009) return this.#fail(closeError(code, reason));
    // Only the largest can have been too large; what had begun had been read.
    this.#end();
    for (const request of all)
      if (request.begun) request.fail(closeError(code, reason));
      else request.goElsewhere('too-large');
  }

  #fail(error: OptaError): void {
    if (this.#over) return;
    const all = [...this.#requests.values()];
    this.#end();
    for (const request of all) request.fail(error);
  }

  #left(request: LinkRequest): void {
    if (this.#requests.get(request.id) === request) this.#requests.delete(request.id);
    for (const [id, of] of this.#byServerId) if (of === request) this.#byServerId.delete(id);
    this.#balance();
    if (this.#requests.size > 0 || this.#over) return;
    this.#clock.clearTimeout(this.#idle);
    this.#idle = this.#clock.setTimeout(() => this.#end(), LIMITS.inferenceLinkIdleMs);
  }

  /** One session that holds too much stops the reading for all: memory is worth more than their time. */
  #balance(): void {
    const isFull = [...this.#requests.values()].some((r) => r.heldBytes > LIMITS.inferenceHeldBytesMax);
    if (isFull === this.#isReadingPaused || this.#over) return;
    this.#isReadingPaused = isFull;
    if (isFull) this.#ws.pause();
    else this.#ws.resume();
  }

  /** Two pings without a pong mean that nobody is there. A pong says nothing about any request. */
  #ping(): void {
    if (this.#isReadingPaused) this.#misses = 0;
    if (this.#misses >= 2) return this.#fail(new OptaError('lmx-ws-closed', `${this.#place} no longer answers.`));
    if (this.#ws.readyState === OPEN) {
      this.#misses++;
      this.#ws.ping();
    }
    this.#beat = this.#clock.setTimeout(() => this.#ping(), LIMITS.inferencePingMs);
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    for (const timer of [this.#connecting, this.#beat, this.#idle]) this.#clock.clearTimeout(timer);
    if (this.#ws.readyState !== OPEN) {
      this.#ws.terminate();
      return;
    }
    this.#ws.resume();
    this.#ws.close(1000);
    const torn = this.#clock.setTimeout(() => this.#ws.terminate(), CLOSE_GRACE_MS);
    this.#ws.once('close', () => this.#clock.clearTimeout(torn));
  }
}

interface RequestWorld {
  clock: Clock;
  place: string;
  keepsAlive: boolean;
  send(frame: object): void;
  left(request: LinkRequest): void;
  heldChanged(): void;
}

class LinkRequest implements Wire {
  readonly id: string;
  heldBytes = 0;
  readonly #frame: { client_request_id: string };
  readonly #answer: Answer;
  readonly #elsewhere: Elsewhere;
  readonly #world: RequestWorld;
  readonly #reader: FrameReader;
  readonly #watch: SilenceWatch;
  readonly #accepting: unknown;
  #held: string[] = [];
  #isPaused = false;
  #isSent = false;
  #isLeft = false;

  constructor(frame: { client_request_id: string }, answer: Answer, elsewhere: Elsewhere, world: RequestWorld) {
    this.id = frame.client_request_id;
    this.#frame = frame;
    this.#answer = answer;
    this.#elsewhere = elsewhere;
    this.#world = world;
    this.#reader = createFrameReader(answer, this.id);
    const { clock, place, keepsAlive } = world;
    const late = (what: string) => () => {
      // It may still be at work there.
      this.#cancelThere();
      this.fail(new OptaError('lmx-timeout', `${place} ${what}.`));
    };
    const gapMs = keepsAlive ? LIMITS.inferenceFrameGapMs : LIMITS.inferenceSilenceMs;
    this.#watch = watchSilence(clock, gapMs, late('sent nothing for too long'));
    this.#accepting = keepsAlive
      ? clock.setTimeout(late('did not take the request in time'), LIMITS.inferenceAcceptMs)
      : null;
  }

  get begun(): boolean {
    return this.#reader.begun();
  }

  begin(): void {
    if (this.#isSent || this.#isLeft) return;
    this.#isSent = true;
    this.#world.send(this.#frame);
  }

  took(text: string): void {
    if (this.#isLeft) return;
    this.#watch.touch();
    if (this.#accepting !== null) this.#world.clock.clearTimeout(this.#accepting);
    if (!this.#isPaused) return this.#read(text);
    this.#held.push(text);
    this.heldBytes += text.length;
    this.#world.heldChanged();
  }

  cancel(): void {
    this.#cancelThere();
    this.#leave();
  }

  pause(): void {
    this.#isPaused = true;
    this.#watch.pause(true);
  }

  resume(): void {
    this.#isPaused = false;
    this.#watch.pause(false);
    const held = this.#held;
    this.#held = [];
    this.heldBytes = 0;
    for (const [i, text] of held.entries()) {
      // What was taken may have paused it again.
      if (this.#isPaused) {
        this.#held = held.slice(i);
        this.heldBytes = this.#held.reduce((n, t) => n + t.length, 0);
        break;
      }
      this.#read(text);
    }
    this.#world.heldChanged();
  }

  fail(error: OptaError): void {
    if (this.#isLeft) return;
    // What had arrived is part of the answer, also where its session had not taken it yet.
    this.#isPaused = false;
    for (const text of this.#held.splice(0)) this.#read(text);
    this.#answer.fail(error);
    this.#leave();
  }

  goElsewhere(why: 'refused' | 'too-large'): void {
    if (this.#isLeft) return;
    this.#leave();
    this.#elsewhere(why);
  }

  #read(text: string): void {
    if (!this.#isLeft && !this.#answer.over) this.#reader.take(text);
    if (this.#answer.over) this.#leave();
  }

  #cancelThere(): void {
    if (!this.#isSent || this.#isLeft || this.#reader.ended()) return;
    const id = this.#reader.requestId();
    this.#world.send({ type: 'chat.cancel', ...(id === null ? {} : { request_id: id }), client_request_id: this.id });
  }

  #leave(): void {
    if (this.#isLeft) return;
    this.#isLeft = true;
    this.#held = [];
    this.heldBytes = 0;
    this.#watch.stop();
    if (this.#accepting !== null) this.#world.clock.clearTimeout(this.#accepting);
    this.#world.left(this);
  }
}
