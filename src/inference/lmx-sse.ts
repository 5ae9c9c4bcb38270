import { type IncomingMessage, request } from 'node:http';
import { createParser } from 'eventsource-parser';
import { LIMITS } from '../actors/limits.ts';
import type { Clock } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import type { Answer, Wire } from './answer.ts';
import { applyChunk, isObject } from './chat-chunk.ts';
import { failureOf, fromServer, fromSocket, retryAfterOf } from './error-map.ts';
import type { LmxServer } from './lmx-endpoint.ts';
import { parsed, placeOf, readBody, requestTo } from './probe.ts';
import { watchSilence } from './silence-watch.ts';

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
export const createSseReader = (answer: Answer): SseReader => {
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

const wholeAnswer = (json: string, answer: Answer) => {
  const body = parsed(json);
  if (!isObject(body)) return answer.fail(garbage(json));
  applyChunk(body, answer);
  if (answer.over) return;
  if (!Array.isArray(body.choices) || body.choices.length === 0) return answer.fail(garbage(json));
  if (answer.finished) return answer.complete();
  answer.fail(broken('an answer without finish_reason'));
};

/** Sends the request and reads its answer. Throws `loopback-only` before a socket is opened. */
export const openSse = (server: LmxServer, body: string, answer: Answer, clock: Clock): Wire => {
  const reader = createSseReader(answer);
  let response: IncomingMessage | null = null;
  let paused = false;
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    accept: 'text/event-stream, application/json',
    ...(server.apiKey ? { authorization: `Bearer ${server.apiKey}` } : {}),
  };
  const req = request(requestTo(server, '/v1/chat/completions', 'POST', headers));
  const give = (error: OptaError) => {
    answer.fail(error);
    req.destroy();
  };
  const late = (what: string) => () => give(new OptaError('lmx-timeout', `${placeOf(server)} ${what}.`));
  const connecting = clock.setTimeout(late('could not be reached in time'), LIMITS.inferenceConnectMs);
  const watch = watchSilence(clock, LIMITS.inferenceSilenceMs, late('sent nothing for too long'));
  let settling: unknown;
  const over = () => {
    clock.clearTimeout(connecting);
    clock.clearTimeout(settling);
    watch.stop();
    // A server that has said everything may close its side in peace; from any other the connection is taken away.
    if (!reader.ended() || req.destroyed) return void req.destroy();
    response?.resume();
    settling = clock.setTimeout(() => req.destroy(), CLOSE_GRACE_MS);
  };

  req.on('socket', (socket) => {
    const connected = () => {
      clock.clearTimeout(connecting);
      // A peer that vanished without a word is noticed below HTTP.
      socket.setKeepAlive(true, LIMITS.inferencePingMs);
    };
    if (socket.connecting) socket.once('connect', connected);
    else connected();
  });
  req.on('error', (cause) => {
    // After a torn body the reader has the word: it may have all it needs.
    if (response === null) answer.fail(fromSocket(cause, placeOf(server)));
  });
  req.on('close', () => {
    over();
    clock.clearTimeout(settling);
  });
  req.on('response', (res) => {
    response = res;
    watch.touch();
    const status = res.statusCode ?? 0;
    if (status < 200 || status >= 300) return refused(res, answer, clock, over);
    res.on('data', (bytes: Buffer) => {
      watch.touch();
      reader.feed(bytes);
      if (answer.finished && !answer.over)
        settling ??= clock.setTimeout(() => reader.end('ended'), LIMITS.inferenceSettleMs);
    });
    res.on('end', () => reader.end('ended'));
    res.on('error', (cause) => reader.end(cause.message));
    res.on('close', () => reader.end('closed'));
    if (paused) res.pause();
  });
  req.end(body);

  return {
    cancel: over,
    pause: () => {
      paused = true;
      watch.pause(true);
      response?.pause();
    },
    resume: () => {
      paused = false;
      watch.pause(false);
      response?.resume();
    },
  };
};

/** A status instead of an answer: its body says why. */
const refused = (res: IncomingMessage, answer: Answer, clock: Clock, over: () => void): void => {
  const status = res.statusCode ?? 0;
  let text = '';
  const tell = () => {
    if (status < 400)
      answer.fail(
        new OptaError(
          'lmx-protocol',
          `The inference server answered with status ${status}; redirects are not followed.`,
        ),
      );
    else {
      const after = retryAfterOf(res.headers['retry-after'], clock.now());
      const failure = failureOf(parsed(text) ?? text, status);
      answer.fail(fromServer({ ...(after === undefined ? {} : { retryAfterMs: after }), ...failure }));
    }
    clock.clearTimeout(timer);
    over();
  };
  const timer = clock.setTimeout(tell, LIMITS.inferenceProbeMs);
  readBody(res, (body) => {
    text = body;
    tell();
  });
};
