import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import WebSocket, { type RawData } from 'ws';
import { LIMITS } from '../actors/limits.ts';
import type { Clock } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import type { Answer, Wire } from './answer.ts';
import { callPartOf, isObject, usageOf } from './chat-chunk.ts';
import { failureOf, fromServer, fromSocket, retryAfterOf } from './error-map.ts';
import type { LmxServer } from './lmx-endpoint.ts';
import { assertReachable, bareHost, guardedLookup, wsUrl } from './loopback-guard.ts';
import { parsed, placeOf, readBody } from './probe.ts';
import { watchSilence } from './silence-watch.ts';

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
const NO_WEBSOCKET = new Set([404, 426, 501]);

/**
 * Sends one request over a socket of its own. `elsewhere` is called instead of a failure when the server has no WebSockets
 * (`refused`) or takes no frame of this size (`too-large`): then it has worked on nothing yet, and the event stream may serve.
 */
export const openWs = (
  server: LmxServer,
  path: string,
  frame: { client_request_id: string },
  answer: Answer,
  clock: Clock,
  elsewhere: (why: 'refused' | 'too-large') => void,
): Wire => {
  assertReachable(server.host, server.loopbackOnly);
  const place = placeOf(server);
  const reader = createFrameReader(answer, frame.client_request_id);
  const lookup = guardedLookup(server.loopbackOnly);
  const ws = new WebSocket(wsUrl(server.host, server.port, path), {
    perMessageDeflate: false,
    followRedirects: false,
    maxPayload: LIMITS.inferenceFrameBytesMax,
    headers: server.apiKey ? { authorization: `Bearer ${server.apiKey}` } : {},
    // The address is ours to say, whatever stands in the URL.
    createConnection: (() => connect({ host: bareHost(server.host), port: server.port, lookup })) as typeof connect,
  });
  let paused = false;
  let left = false;
  let closing: unknown;
  const late = (what: string) => () => {
    answer.fail(new OptaError('lmx-timeout', `${place} ${what}.`));
    leave();
  };
  const connecting = clock.setTimeout(late('could not be reached in time'), LIMITS.inferenceConnectMs);
  const watch = watchSilence(clock, LIMITS.inferenceSilenceMs, late('sent nothing for too long'));
  const link = watchLink(
    ws,
    clock,
    () => paused,
    () => {
      answer.fail(new OptaError('lmx-ws-closed', `${place} no longer answers.`));
      leave();
    },
  );
  /** Lets go of the socket: politely if it is open, and within a bound. */
  const leave = () => {
    if (left) return;
    left = true;
    clock.clearTimeout(connecting);
    watch.stop();
    link.stop();
    if (ws.readyState !== WebSocket.OPEN) return ws.terminate();
    ws.resume();
    ws.close(1000);
    closing = clock.setTimeout(() => ws.terminate(), CLOSE_GRACE_MS);
  };
  const goElsewhere = (why: 'refused' | 'too-large') => {
    leave();
    elsewhere(why);
  };

  ws.on('open', () => {
    clock.clearTimeout(connecting);
    if (left) return;
    if (paused) ws.pause();
    ws.send(JSON.stringify(frame));
  });
  ws.on('message', (data: RawData, isBinary: boolean) => {
    if (answer.over || left) return;
    watch.touch();
    if (isBinary) answer.fail(garbage('(binary)'));
    else reader.take(data.toString());
    if (answer.over) leave();
  });
  ws.on('unexpected-response', (_req, res: IncomingMessage) => {
    if (left) return void res.resume();
    const status = res.statusCode ?? 0;
    if (NO_WEBSOCKET.has(status)) return goElsewhere('refused');
    readBody(res, (text) => {
      const after = retryAfterOf(res.headers['retry-after'], clock.now());
      const failure = { ...failureOf(parsed(text) ?? text, status), status };
      answer.fail(fromServer({ ...(after === undefined ? {} : { retryAfterMs: after }), ...failure }));
      leave();
    });
  });
  ws.on('error', (cause) => {
    // After we left, what the socket still complains about concerns nobody.
    if (!left) answer.fail(fromSocket(cause, place));
    leave();
  });
  ws.on('close', (code, reason) => {
    clock.clearTimeout(closing);
    if (left) return;
    if (code === 1009 && !reader.begun()) return goElsewhere('too-large');
    answer.fail(closeError(code, reason.toString()));
    leave();
  });

  return {
    cancel: () => {
      if (ws.readyState === WebSocket.OPEN && !left && !reader.ended()) {
        const id = reader.requestId();
        const { client_request_id } = frame;
        ws.send(JSON.stringify({ type: 'chat.cancel', ...(id === null ? {} : { request_id: id }), client_request_id }));
      }
      leave();
    },
    pause: () => {
      paused = true;
      watch.pause(true);
      if (!left) ws.pause();
    },
    resume: () => {
      paused = false;
      watch.pause(false);
      if (!left) ws.resume();
    },
  };
};

/** Pings the peer; two pings without a pong mean that nobody is there. It says nothing about the request. */
const watchLink = (ws: WebSocket, clock: Clock, paused: () => boolean, dead: () => void): { stop(): void } => {
  let misses = 0;
  ws.on('pong', () => {
    misses = 0;
  });
  const beat = () => {
    // Nothing is read while paused, so no pong can be seen either.
    if (paused()) misses = 0;
    else if (misses >= 2) return dead();
    if (ws.readyState === WebSocket.OPEN) {
      misses++;
      ws.ping();
    }
    timer = clock.setTimeout(beat, LIMITS.inferencePingMs);
  };
  let timer = clock.setTimeout(beat, LIMITS.inferencePingMs);
  return { stop: () => clock.clearTimeout(timer) };
};
