import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { OptaError } from '../protocol/errors.ts';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

const isLoopback = (address: string): boolean => LOOPBACK.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** [IN1] Throws `loopback-only` for a host that is not this machine: by address, as `localhost`, and after it was resolved. */
const requireLoopback = async (url: URL): Promise<void> => {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const refused = new OptaError(
    'loopback-only',
    `${host} is not on this machine, and OPTA_LOOPBACK_ONLY allows connections to loopback only.`,
    { host },
  );
  if (isIP(host) !== 0 ? !isLoopback(host) : host !== 'localhost') throw refused;
  if (isIP(host) === 0 && !(await lookup(host, { all: true })).every(({ address }) => isLoopback(address)))
    throw refused;
};

const ANSWER_BYTES_MAX = 8 << 20;

type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/** `fetch` for servers of tools: nothing beyond loopback where that is forbidden, redirects included, and no endless answers. */
export const guardedFetch =
  (loopbackOnly: boolean, onRefused: (error: OptaError) => void): Fetch =>
  async (url, init) => {
    if (loopbackOnly)
      await requireLoopback(new URL(url)).catch((cause: OptaError) => {
        onRefused(cause);
        throw cause;
      });
    // A redirect is not followed here: whoever follows it comes by this door again.
    const response = await fetch(url, { ...init, redirect: 'manual' });
    if (response.body === null) return response;
    const { status, statusText, headers } = response;
    return new Response(response.body.pipeThrough(bounded()), { status, statusText, headers });
  };

const bounded = (): TransformStream<Uint8Array, Uint8Array> => {
  let bytes = 0;
  return new TransformStream({
    transform: (chunk, out) => {
      bytes += chunk.length;
      if (bytes > ANSWER_BYTES_MAX) out.error(new Error(`the answer is larger than ${ANSWER_BYTES_MAX} bytes`));
      else out.enqueue(chunk);
    },
  });
};
