import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { createParser } from 'eventsource-parser';
import { LIMITS } from '../actors/limits.ts';
import type { Clock } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import type { AnswerSink, Wire } from './answer.ts';
import { applyChunk, isObject } from './chat-chunk.ts';
import { fromSocket } from './error-map.ts';
import type { LmxServer } from './lmx-endpoint.ts';
import { parsed, placeOf, readBody, refusal, requestTo } from './probe.ts';
import { type SilenceWatch, watchSilence } from './silence-watch.ts';

const CLOSE_GRACE_MS = 1_000;

const tooLong = () =>
  new OptaError(
    'lmx-protocol',
    `The inference server sent more than ${LIMITS.inferenceFrameBytesMax} bytes in one piece.`,
  );
const garbage = (text: string) =>
  new OptaError(
    'lmx-protocol',
    `The inference server sent something that is no answer: ${JSON.stringify(text.slice(0, 80))}`,
  );
const broken = (how: string) =>
  new OptaError('lmx-ws-closed', `The answer of the inference server broke off (${how}).`);

export interface SseReader {
  feed(bytes: Uint8Array): void;
  /** The body ended by itself, or (`how`) was torn. */
  end(how: 'ended' | string): void;
  /** The server has said all that it had to say. */
  ended(): boolean;
}

/**
 * Reads the body of a 200. Whatever the network does to its bytes, the same body gives the same events: text is decoded
 * across chunks, and a body is told apart (event stream, or the JSON of a server that does not stream) by its first character.
 */
export const createSseReader = (answer: AnswerSink): SseReader => {
  const decoder = new TextDecoder('utf-8');
  let kind: 'unknown' | 'events' | 'json' = 'unknown';
  let json = '';
  let ending = false;
  let said = false;
  const parser = createParser({
    maxBufferSize: LIMITS.inferenceFrameBytesMax,
    onEvent: ({ data }) => {
      if (answer.over) return;
      if (data.trim() === '[DONE]') {
        said = true;
        return answer.complete();
      }
      const chunk = parsed(data);
      if (isObject(chunk)) return applyChunk(chunk, answer);
      // Half a line is what a torn stream leaves: that is a broken connection and not garbage.
      if (!ending) answer.fail(garbage(data));
    },
    onError: (error) => {
      if (error.type === 'max-buffer-size-exceeded') answer.fail(tooLong());
    },
  });
  const take = (text: string) => {
    if (answer.over || text === '') return;
    if (kind === 'unknown') {
      const body = text.trimStart();
      if (body === '') return;
      if (body.startsWith('<')) return answer.fail(garbage(body));
      kind = body.startsWith('{') ? 'json' : 'events';
      return take(body);
    }
    if (kind === 'events') return parser.feed(text);
    json += text;
    if (json.length > LIMITS.inferenceFrameBytesMax) answer.fail(tooLong());
  };
  return {
    ended: () => said,
    feed: (bytes) => take(decoder.decode(bytes, { stream: true })),
    end: (how) => {
      take(decoder.decode());
      ending = true;
      said = how === 'ended';
      // A last event that lacks only its blank line is taken.
      if (kind === 'events' && !answer.over) parser.feed('\n\n');
      if (answer.over) return;
      if (kind === 'json' && how === 'ended') return wholeAnswer(json, answer);
      if (answer.finished) return answer.complete();
      answer.fail(broken(how === 'ended' ? 'no end was announced' : how));
    },
  };
};

const wholeAnswer = (json: string, answer: AnswerSink) => {
  const body = parsed(json);
  if (!isObject(body)) return answer.fail(garbage(json));
  applyChunk(body, answer);
  if (answer.over) return;
  if (!Array.isArray(body.choices) || body.choices.length === 0) return answer.fail(garbage(json));
  if (answer.finished) return answer.complete();
  answer.fail(broken('an answer without finish_reason'));
};

/** Sends the request and reads its answer. Throws `loopback-only` before a socket is opened. */
export const openSse = (server: LmxServer, body: string, answer: AnswerSink, clock: Clock): Wire =>
  new SseWire(server, body, answer, clock);

class SseWire implements Wire {
  readonly #answer: AnswerSink;
  readonly #clock: Clock;
  readonly #reader: SseReader;
  readonly #req: ClientRequest;
  readonly #connecting: unknown;
  readonly #watch: SilenceWatch;
  #response: IncomingMessage | null = null;
  #paused = false;
  /** Waits for the end of an answer, then for the end of its connection. */
  #settling: unknown;

  constructor(server: LmxServer, body: string, answer: AnswerSink, clock: Clock) {
    const place = placeOf(server);
    const late = (what: string) => () => {
      answer.fail(new OptaError('lmx-timeout', `${place} ${what}.`));
      this.#req.destroy();
    };
    this.#answer = answer;
    this.#clock = clock;
    this.#reader = createSseReader(answer);
    this.#req = request(requestTo(server, '/v1/chat/completions', 'POST', headersOf(server, body)));
    this.#connecting = clock.setTimeout(late('could not be reached in time'), LIMITS.inferenceConnectMs);
    this.#watch = watchSilence(clock, LIMITS.inferenceSilenceMs, late('sent nothing for too long'));
    this.#req.on('socket', (socket) => {
      if (socket.connecting) socket.once('connect', () => this.#connected(socket));
      else this.#connected(socket);
    });
    this.#req.on('response', (res) => this.#answered(res));
    this.#req.on('error', (cause) => {
      // After a torn body the reader has the word: it may have all it needs.
      if (this.#response === null) answer.fail(fromSocket(cause, place));
    });
    this.#req.on('close', () => {
      this.cancel();
      clock.clearTimeout(this.#settling);
    });
    this.#req.end(body);
  }

  cancel(): void {
    this.#clock.clearTimeout(this.#connecting);
    this.#clock.clearTimeout(this.#settling);
    this.#watch.stop();
    // A server that has said everything may close its side in peace; from any other the connection is taken away.
    if (!this.#reader.ended() || this.#req.destroyed) {
      this.#req.destroy();
      return;
    }
    this.#response?.resume();
    this.#settling = this.#clock.setTimeout(() => this.#req.destroy(), CLOSE_GRACE_MS);
  }

  pause(): void {
    this.#paused = true;
    this.#watch.pause(true);
    this.#response?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#watch.pause(false);
    this.#response?.resume();
  }

  #connected(socket: Socket): void {
    this.#clock.clearTimeout(this.#connecting);
    // A peer that vanished without a word is noticed below HTTP.
    socket.setKeepAlive(true, LIMITS.inferencePingMs);
  }

  #answered(res: IncomingMessage) {
    this.#response = res;
    this.#watch.touch();
    const status = res.statusCode ?? 0;
    if (status < 200 || status >= 300) return this.#refused(res, status);
    res.on('data', (bytes: Buffer) => {
      this.#watch.touch();
      this.#reader.feed(bytes);
      if (this.#answer.finished && !this.#answer.over)
        this.#settling ??= this.#clock.setTimeout(() => this.#reader.end('ended'), LIMITS.inferenceSettleMs);
    });
    res.on('end', () => this.#reader.end('ended'));
    res.on('error', (cause) => this.#reader.end(cause.message));
    res.on('close', () => this.#reader.end('closed'));
    if (this.#paused) res.pause();
  }

  /** A status instead of an answer: its body says why. */
  #refused(res: IncomingMessage, status: number): void {
    const tell = (body: string) => {
      this.#clock.clearTimeout(timer);
      this.#answer.fail(refusal(res, status, body, this.#clock.now()));
      this.cancel();
    };
    const timer = this.#clock.setTimeout(() => tell(''), LIMITS.inferenceProbeMs);
    readBody(res, tell);
  }
}

const headersOf = (server: LmxServer, body: string) => ({
  'content-type': 'application/json',
  'content-length': Buffer.byteLength(body),
  accept: 'text/event-stream, application/json',
  ...(server.apiKey ? { authorization: `Bearer ${server.apiKey}` } : {}),
});
