import { lookup } from 'node:dns/promises';
import { type ClientRequest, type IncomingMessage, request as plainly } from 'node:http';
import { request as encrypted } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { LIMITS } from '../../actors/limits.ts';
import { OptaError } from '../../protocol/errors.ts';
import { printable } from '../outcome.ts';
import { hostOf, notPublic, portOf, type Reach, targetOf } from './target.ts';

export interface Address {
  address: string;
  family: number;
}

/** What a fetch needs of the world. */
export interface Net extends Reach {
  resolve(host: string): Promise<Address[]>;
}

export const systemResolve = (host: string): Promise<Address[]> => lookup(host, { all: true });

export interface Page {
  url: URL;
  status: number;
  /** As the server says it; '' when it does not. */
  type: string;
  body: Buffer;
  /** There was more than `toolFetchBytesMax`. */
  cut: boolean;
}

const refused = (message: string): OptaError => new OptaError('tool-failed', message);
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** One page, redirects followed. Throws an `OptaError` for everything that is no answer. */
export const get = async (
  written: string,
  net: Net,
  takes: (type: string) => boolean,
  timeMs: number,
): Promise<Page> => {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeMs);
  try {
    return await follow(written, net, takes, late.signal);
  } catch (error) {
    if (late.signal.aborted)
      throw new OptaError('tool-timeout', `no whole answer within ${Math.round(timeMs / 1_000)} s`);
    throw error;
  } finally {
    clearTimeout(timer);
  }
};

const follow = async (
  written: string,
  net: Net,
  takes: (type: string) => boolean,
  signal: AbortSignal,
): Promise<Page> => {
  let url = targetOf(written, null, net);
  for (let left: number = LIMITS.toolFetchRedirectsMax; ; left--) {
    const answer = await ask(url, await addressesOf(url, net, signal), net, signal);
    const status = answer.statusCode ?? 0;
    const { location } = answer.headers;
    if (REDIRECTS.has(status) && location !== undefined) {
      answer.destroy();
      if (left === 0) throw refused(`more than ${LIMITS.toolFetchRedirectsMax} redirects`);
      url = targetOf(location, url, net);
      continue;
    }
    const type = answer.headers['content-type'] ?? '';
    if (!takes(type)) {
      answer.destroy();
      throw refused(`${url.href} is ${printable(type.slice(0, 100))}, not text (status ${status})`);
    }
    return { url, status, type, ...(await bodyOf(answer, signal)) };
  }
};

/** A name is asked for once, and what it meant then is where the socket goes: nobody can give another answer later. */
const addressesOf = async (url: URL, net: Net, signal: AbortSignal): Promise<Address[]> => {
  const host = hostOf(url);
  if (isIP(host) !== 0) return [{ address: host, family: isIP(host) }];
  const found = await Promise.race([resolved(host, net), aborted(signal)]);
  if (found.length === 0) throw refused(`${host} has no address`);
  // One address of its own among others is no accident.
  if (!found.every(({ address }) => net.mayConnect(address))) throw notPublic(host);
  return found;
};

const resolved = async (host: string, net: Net): Promise<Address[]> => {
  try {
    return await net.resolve(host);
  } catch (cause) {
    throw refused(`${host} cannot be resolved${codeOf(cause)}`);
  }
};

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(refused('too late')), { once: true });
  });

const codeOf = (cause: unknown): string =>
  cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? ` (${cause.code})` : '';

const ask = (url: URL, addresses: Address[], net: Net, signal: AbortSignal): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const known: LookupFunction = (_host, options, done) => {
      if (options.all === true) done(null, addresses);
      else done(null, addresses[0]?.address ?? '', addresses[0]?.family);
    };
    const fail = (why: string): void => reject(refused(`${url.host}: ${why}`));
    const request: ClientRequest = (url.protocol === 'https:' ? encrypted : plainly)({
      host: hostOf(url),
      port: portOf(url),
      path: `${url.pathname}${url.search}`,
      method: 'GET',
      agent: false,
      lookup: known,
      signal,
      maxHeaderSize: 16 << 10,
      headers: {
        host: url.host,
        accept: 'text/html, text/*;q=0.9, application/json;q=0.9, application/xml;q=0.8, */*;q=0.1',
        'accept-encoding': 'gzip, br',
        'user-agent': 'opta',
      },
    });
    request.on('socket', (socket) => {
      // Whatever chose the address: nothing is said to one that may not be.
      socket.once('connect', () => {
        const at = socket.remoteAddress ?? '';
        if (!net.mayConnect(at) || !addresses.some(({ address }) => sameAddress(address, at))) {
          request.destroy();
          reject(notPublic(url.hostname));
        }
      });
    });
    request.on('response', resolve);
    request.on('upgrade', () => request.destroy(new Error('it changes the protocol')));
    request.on('error', (error) => fail(`no answer: ${printable(error.message.slice(0, 200))}${codeOf(error)}`));
    request.end();
  });

/** One IPv6 address has many spellings. */
const sameAddress = (a: string, b: string): boolean =>
  a === b || (isIP(a) === 6 && isIP(b) === 6 && new URL(`http://[${a}]`).host === new URL(`http://[${b}]`).host);

/** Small input can unpack to anything: what comes out is counted, and what goes in as well. */
const bodyOf = (answer: IncomingMessage, signal: AbortSignal): Promise<{ body: Buffer; cut: boolean }> =>
  new Promise((resolve, reject) => {
    const bytesMax = LIMITS.toolFetchBytesMax;
    const unpacked = unpack(answer);
    if (unpacked === null) {
      answer.destroy();
      reject(refused('the answer is packed in a way that is not known here'));
      return;
    }
    const parts: Buffer[] = [];
    let kept = 0;
    let came = 0;
    // The first of the two counts: an answer that is let go of says that it broke off.
    const end = (cut: boolean): void => {
      resolve({ body: Buffer.concat(parts), cut });
      answer.destroy();
      unpacked.destroy();
    };
    const fail = (error: Error): void => {
      reject(refused(`the answer broke off: ${printable(error.message.slice(0, 200))}`));
      answer.destroy();
      unpacked.destroy();
    };
    answer.on('data', (part: Buffer) => {
      came += part.length;
      if (came > bytesMax && unpacked !== answer) end(true);
    });
    unpacked.on('data', (part: Buffer) => {
      parts.push(part.subarray(0, bytesMax - kept));
      kept = Math.min(bytesMax, kept + part.length);
      if (kept === bytesMax) end(true);
    });
    unpacked.on('end', () => end(false));
    for (const stream of new Set<Readable>([answer, unpacked])) stream.on('error', fail);
    answer.on('aborted', () => fail(new Error('the connection was closed')));
    signal.addEventListener('abort', () => fail(new Error('too late')), { once: true });
  });

const unpack = (answer: IncomingMessage): Readable | null => {
  const how = (answer.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (how === 'identity' || how === '') return answer;
  if (how === 'gzip' || how === 'x-gzip') return answer.pipe(createGunzip());
  if (how === 'br') return answer.pipe(createBrotliDecompress());
  return how === 'deflate' ? answer.pipe(createInflate()) : null;
};
