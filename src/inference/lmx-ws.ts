import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import WebSocket, { type RawData } from 'ws';
import { LIMITS } from '../actors/limits.ts';
import type { Clock } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import type { Answer, Wire } from './answer.ts';
import { callPartOf, isObject, usageOf } from './chat-chunk.ts';
import { failureOf, fromServer, fromSocket } from './error-map.ts';
import type { LmxServer } from './lmx-endpoint.ts';
import { assertReachable, bareHost, guardedLookup, wsUrl } from './loopback-guard.ts';
import { parsed, placeOf, readBody, refusal } from './probe.ts';
import { type SilenceWatch, watchSilence } from './silence-watch.ts';

/** How long a socket that we closed may take to close before it is torn. */
const CLOSE_GRACE_MS = 1_000;
const TERMINAL = new Set(['chat.done', 'chat.complete', 'chat.completed', 'done']);

const garbage = (text: string) =>
  new OptaError(
    'lmx-protocol',
    `The inference server sent a frame that is no answer: ${JSON.stringify(text.slice(0, 80))}`,
  );

export interface FrameReader {
  /** One whole text frame. */
  take(text: string): void;
  /** The server's name for this request, once it said it. */
  requestId(): string | null;
  /** Some frame of this request has arrived. */
  begun(): boolean;
  /** The server sent its terminal frame: there is nothing left to cancel. */
  ended(): boolean;
}

/**
 * Reads the frames of one request. Frames of another request are not ours; unknown types are a newer server's. The end is
 * announced by a terminal frame only: a closed socket is never an end.
 */
export const createFrameReader = (answer: Answer, clientRequestId: string): FrameReader => {
  let requestId: string | null = null;
  let begun = false;
  let hasText = false;
  let ended = false;
  const ours = (frame: { [name: string]: unknown }): boolean => {
    if (frame.client_request_id !== undefined && frame.client_request_id !== clientRequestId) return false;
    if (typeof frame.request_id !== 'string') return true;
    requestId ??= frame.request_id;
    return requestId === frame.request_id;
  };
  const done = (frame: { [name: string]: unknown }): void => {
    // A server that does not stream puts the whole text here.
    if (!hasText && typeof frame.content === 'string') answer.text(frame.content);
    const usage = usageOf(frame.usage);
    if (usage) answer.usage(usage);
    answer.finish(typeof frame.finish_reason === 'string' ? frame.finish_reason : 'stop');
    answer.complete();
  };
  const apply = (type: string, frame: { [name: string]: unknown }) => {
    const content = typeof frame.content === 'string' ? frame.content : '';
    ended = type === 'chat.error' || TERMINAL.has(type);
    if (type === 'chat.error') return answer.fail(fromServer(failureOf(frame)));
    if (TERMINAL.has(type)) return done(frame);
    if (type === 'chat.accepted') return answer.accepted(typeof frame.model === 'string' ? frame.model : undefined);
    if (type === 'chat.keepalive') return answer.alive();
    if (type === 'chat.reasoning') return answer.thinking(content);
    if (type === 'chat.tool_call') return answer.call(callPartOf(isObject(frame.tool_call) ? frame.tool_call : frame));
    if (type === 'chat.token') {
      hasText ||= content !== '';
      answer.text(content);
    }
  };
  return {
    requestId: () => requestId,
    begun: () => begun,
    ended: () => ended,
    take: (text) => {
      if (answer.over) return;
      const frame = parsed(text);
      if (!isObject(frame) || typeof frame.type !== 'string') return answer.fail(garbage(text));
      if (!ours(frame)) return;
      begun = true;
      apply(frame.type, frame);
    },
  };
};

/** What a close without a terminal frame means. 1000 is no exception: it is never a substitute for an end. */
export const closeError = (code: number, reason: string): OptaError => {
  const facts = { closeCode: code };
  const said = reason ? `${code}, ${JSON.stringify(reason.slice(0, 120))}` : `${code}`;
  if (code === 4401) return new OptaError('lmx-unauthorized', `The inference server refused our key (${said}).`, facts);
  if (code === 4429)
    return new OptaError('lmx-busy', `The inference server has too many connections (${said}).`, facts);
  if (code === 1009)
    return new OptaError('lmx-request-rejected', `The prompt is too large for the server (${said}).`, facts);
  return new OptaError(
    'lmx-ws-closed',
    `The inference server closed the connection before the end of its answer (${said}).`,
    facts,
  );
};

/** Statuses by which a server says that it has no WebSockets. */
export const NO_WEBSOCKET = new Set([404, 426, 501]);

/** `refused`: the server has no WebSockets. `too-large`: it takes no frame of this size. It has worked on nothing yet. */
export type Elsewhere = (why: 'refused' | 'too-large') => void;

/** A socket to this server and no other. Throws `loopback-only` before one is opened. */
export const openSocket = (server: LmxServer, path: string): WebSocket => {
  assertReachable(server.host, server.loopbackOnly);
  const lookup = guardedLookup(server.loopbackOnly);
  return new WebSocket(wsUrl(server.host, server.port, path), {
    perMessageDeflate: false,
    followRedirects: false,
    maxPayload: LIMITS.inferenceFrameBytesMax,
    headers: server.apiKey ? { authorization: `Bearer ${server.apiKey}` } : {},
    // The address is ours to say, whatever stands in the URL.
    createConnection: (() => connect({ host: bareHost(server.host), port: server.port, lookup })) as typeof connect,
  });
};

/**
 * Sends one request over a socket of its own. `elsewhere` is called instead of a failure when the event stream may serve.
 * Throws `loopback-only` before a socket is opened.
 */
export const openWs = (
  server: LmxServer,
  path: string,
  frame: { client_request_id: string },
  answer: Answer,
  clock: Clock,
  elsewhere: Elsewhere,
): Wire => {
  const ws = openSocket(server, path);
  return new WsWire(ws, placeOf(server), frame, answer, clock, elsewhere);
};

class WsWire implements Wire {
  readonly #ws: WebSocket;
  readonly #place: string;
  readonly #frame: { client_request_id: string };
  readonly #answer: Answer;
  readonly #clock: Clock;
  readonly #elsewhere: Elsewhere;
  readonly #reader: FrameReader;
  readonly #connecting: unknown;
  readonly #watch: SilenceWatch;
  #beat: unknown;
  #misses = 0;
  #paused = false;
  #left = false;
  #closing: unknown;

  constructor(
    ws: WebSocket,
    place: string,
    frame: { client_request_id: string },
    answer: Answer,
    clock: Clock,
    elsewhere: Elsewhere,
  ) {
    this.#ws = ws;
    this.#place = place;
    this.#frame = frame;
    this.#answer = answer;
    this.#clock = clock;
    this.#elsewhere = elsewhere;
    this.#reader = createFrameReader(answer, frame.client_request_id);
    const late = (what: string) => () => this.#fail(new OptaError('lmx-timeout', `${place} ${what}.`));
    this.#connecting = clock.setTimeout(late('could not be reached in time'), LIMITS.inferenceConnectMs);
    this.#watch = watchSilence(clock, LIMITS.inferenceSilenceMs, late('sent nothing for too long'));
    this.#beat = clock.setTimeout(() => this.#ping(), LIMITS.inferencePingMs);
    ws.on('open', () => this.#opened());
    ws.on('message', (data, isBinary) => this.#took(data, isBinary));
    ws.on('pong', () => {
      this.#misses = 0;
    });
    ws.on('unexpected-response', (_req, res) => this.#refused(res));
    // After we left, what the socket still complains about concerns nobody.
    ws.on('error', (cause) => this.#fail(fromSocket(cause, place)));
    ws.on('close', (code, reason) => this.#closed(code, reason.toString()));
  }

  cancel(): void {
    if (this.#ws.readyState === WebSocket.OPEN && !this.#left && !this.#reader.ended()) {
      const id = this.#reader.requestId();
      const { client_request_id } = this.#frame;
      const named = id === null ? {} : { request_id: id };
      this.#ws.send(JSON.stringify({ type: 'chat.cancel', ...named, client_request_id }));
    }
    this.#leave();
  }

  pause(): void {
    this.#paused = true;
    this.#watch.pause(true);
    if (!this.#left) this.#ws.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#watch.pause(false);
    if (!this.#left) this.#ws.resume();
  }

  #opened(): void {
    this.#clock.clearTimeout(this.#connecting);
    if (this.#left) return;
    if (this.#paused) this.#ws.pause();
    this.#ws.send(JSON.stringify(this.#frame));
  }

  #took(data: RawData, isBinary: boolean): void {
    if (this.#answer.over || this.#left) return;
    this.#watch.touch();
    if (isBinary) this.#answer.fail(garbage('(binary)'));
    else this.#reader.take(data.toString());
    if (this.#answer.over) this.#leave();
  }

  #refused(res: IncomingMessage): void {
    const status = res.statusCode ?? 0;
    if (this.#left) res.resume();
    else if (NO_WEBSOCKET.has(status)) this.#goElsewhere('refused');
    else readBody(res, (body) => this.#fail(refusal(res, status, body, this.#clock.now())));
  }

  #closed(code: number, reason: string): void {
    this.#clock.clearTimeout(this.#closing);
    if (this.#left) return;
    if (code === 1009 && !this.#reader.begun()) this.#goElsewhere('too-large');
    else this.#fail(closeError(code, reason));
  }

  #fail(error: OptaError): void {
    if (this.#left) return;
    this.#answer.fail(error);
    this.#leave();
  }

  #goElsewhere(why: 'refused' | 'too-large'): void {
    this.#leave();
    this.#elsewhere(why);
  }

  /** Two pings without a pong mean that nobody is there. A pong says nothing about the request. */
  #ping(): void {
    // Nothing is read while paused, so no pong can be seen either.
    if (this.#paused) this.#misses = 0;
    if (this.#misses >= 2) {
      this.#fail(new OptaError('lmx-ws-closed', `${this.#place} no longer answers.`));
      return;
    }
    if (this.#ws.readyState === WebSocket.OPEN) {
      this.#misses++;
      this.#ws.ping();
    }
    this.#beat = this.#clock.setTimeout(() => this.#ping(), LIMITS.inferencePingMs);
  }

  /** Lets go of the socket: politely if it is open, and within a bound. */
  #leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#clock.clearTimeout(this.#connecting);
    this.#clock.clearTimeout(this.#beat);
    this.#watch.stop();
    if (this.#ws.readyState !== WebSocket.OPEN) {
      this.#ws.terminate();
      return;
    }
    this.#ws.resume();
    this.#ws.close(1000);
    this.#closing = this.#clock.setTimeout(() => this.#ws.terminate(), CLOSE_GRACE_MS);
  }
}
