import { type Agent, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { LIMITS } from '../actors/limits.ts';
import type { Clock, Done } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import { failureOf, fromServer, fromSocket, retryAfterOf } from './error-map.ts';
import { assertReachable, bareHost, guardedLookup, urlHost } from './loopback-guard.ts';

/** Where a server is and how it is reached. */
export interface Address {
  host: string;
  port: number;
  loopbackOnly: boolean;
  /** Keeps connections to this address for the next request. Without it each has its own. */
  agent?: Agent;
}

export const placeOf = (at: Address): string => `${urlHost(at.host)}:${at.port}`;

/**
 * Options of a request that goes to this address and to no other: the resolver is guarded, and neither Node's shared agent nor
 * a proxy from the environment has a say. Redirects are not followed by anyone. Throws `loopback-only`.
 */
export const requestTo = (
  at: Address,
  path: string,
  method: string,
  headers: RequestOptions['headers'],
): RequestOptions => {
  assertReachable(at.host, at.loopbackOnly);
  const lookup = guardedLookup(at.loopbackOnly);
  return {
    host: bareHost(at.host),
    port: at.port,
    path,
    method,
    headers: { ...headers },
    agent: at.agent ?? false,
    lookup,
  };
};

export interface Probed {
  status: number;
  /** Undefined when the body is not JSON, or longer than its bound. */
  body: unknown;
  /** The server's hint, in milliseconds. */
  retryAfterMs?: number;
}

export interface Question {
  method: string;
  path: string;
  headers?: { [name: string]: string };
  /** Sent as JSON. */
  body?: object | undefined;
  deadlineMs: number;
  answerBytesMax: number;
  signal?: AbortSignal;
}

/** One request and its whole answer. Fails with `lmx-timeout`, or with the code of what the socket said. */
export const exchange = (at: Address, asked: Question, clock: Clock, done: Done<Probed | null>): void => {
  const { method, path, deadlineMs, signal } = asked;
  let settled = false;
  const settle = (error: OptaError | null, value: Probed | null) => {
    if (settled) return;
    settled = true;
    clock.clearTimeout(timer);
    req.destroy();
    done(error, value);
  };
  const text = asked.body === undefined ? undefined : JSON.stringify(asked.body);
  const length = text === undefined ? {} : { 'content-length': Buffer.byteLength(text) };
  const type = text === undefined ? {} : { 'content-type': 'application/json' };
  const options = requestTo(at, path, method, { accept: 'application/json', ...type, ...length, ...asked.headers });
  const req = request({ ...options, ...(signal ? { signal } : {}) }, (res) => {
    const after = retryAfterOf(res.headers['retry-after'], clock.now());
    const hint = after === undefined ? {} : { retryAfterMs: after };
    const gathered = (body: string) => settle(null, { status: res.statusCode ?? 0, body: parsed(body), ...hint });
    readBody(res, gathered, asked.answerBytesMax);
  });
  const late = new OptaError('lmx-timeout', `${placeOf(at)} did not answer ${path} in time.`, { deadlineMs });
  const timer = clock.setTimeout(() => settle(late, null), deadlineMs);
  req.on('error', (cause) => settle(fromSocket(cause, placeOf(at)), null));
  req.end(text);
};

/** One GET, answered within `inferenceProbeMs`. */
export const probe = (
  at: Address,
  path: string,
  apiKey: string | undefined,
  clock: Clock,
  done: Done<Probed | null>,
): void => {
  const headers = apiKey ? { authorization: `Bearer ${apiKey}` } : {};
  const { inferenceProbeMs: deadlineMs, inferenceProbeBytesMax: answerBytesMax } = LIMITS;
  exchange(at, { method: 'GET', path, headers, deadlineMs, answerBytesMax }, clock, done);
};

/** The body, or as much of it as the bound allows; called once. A body that breaks off counts as it came. */
export const readBody = (
  res: IncomingMessage,
  done: (text: string) => void,
  bytesMax: number = LIMITS.inferenceProbeBytesMax,
): void => {
  const parts: Buffer[] = [];
  let bytes = 0;
  let ended = false;
  const end = () => {
    if (ended) return;
    ended = true;
    done(Buffer.concat(parts).toString('utf8'));
  };
  res.on('data', (part: Buffer) => {
    bytes += part.length;
    if (bytes > bytesMax) return end();
    parts.push(part);
  });
  res.on('end', end);
  res.on('error', end);
  res.on('close', end);
};

export const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

/** What a status other than 2xx means. A redirect is an answer that we do not understand, not a way to somewhere else. */
export const refusal = (res: IncomingMessage, status: number, body: string, nowMs: number): OptaError => {
  if (status < 400)
    return new OptaError(
      'lmx-protocol',
      `The inference server answered with status ${status}; redirects are not followed.`,
    );
  const after = retryAfterOf(res.headers['retry-after'], nowMs);
  return fromServer({
    ...(after === undefined ? {} : { retryAfterMs: after }),
    ...failureOf(parsed(body) ?? body, status),
  });
};
