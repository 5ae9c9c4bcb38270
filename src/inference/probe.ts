import { type IncomingMessage, type RequestOptions, request } from 'node:http';
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
}

export const placeOf = (at: Address): string => `${urlHost(at.host)}:${at.port}`;

/**
 * Options of a request that goes to this address and to no other: the resolver is guarded, and neither a shared agent nor
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
  return { host: bareHost(at.host), port: at.port, path, method, headers: { ...headers }, agent: false, lookup };
};

export interface Probed {
  status: number;
  /** Undefined when the body is not JSON. */
  body: unknown;
}

/** One GET, answered within `inferenceProbeMs`. Fails with `lmx-timeout`, or with the code of what the socket said. */
export const probe = (
  at: Address,
  path: string,
  apiKey: string | undefined,
  clock: Clock,
  done: Done<Probed | null>,
): void => {
  let settled = false;
  const settle = (error: OptaError | null, value: Probed | null) => {
    if (settled) return;
    settled = true;
    clock.clearTimeout(timer);
    req.destroy();
    done(error, value);
  };
  const headers = { accept: 'application/json', ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}) };
  const req = request(requestTo(at, path, 'GET', headers), (res) => {
    readBody(res, (text) => settle(null, { status: res.statusCode ?? 0, body: parsed(text) }));
  });
  const late = new OptaError('lmx-timeout', `${placeOf(at)} did not answer ${path} in time.`);
  const timer = clock.setTimeout(() => settle(late, null), LIMITS.inferenceProbeMs);
  req.on('error', (cause) => settle(fromSocket(cause, placeOf(at)), null));
  req.end();
};

/** The body, or as much of it as the bound allows; called once. A body that breaks off counts as it came. */
export const readBody = (res: IncomingMessage, done: (text: string) => void): void => {
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
    if (bytes > LIMITS.inferenceProbeBytesMax) return end();
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
