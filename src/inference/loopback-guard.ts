import { type LookupAddress, type LookupOptions, lookup as resolve } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { OptaError } from '../protocol/errors.ts';

/**
 * Keeps an air-gapped installation air-gapped: with `loopbackOnly` no socket is opened to anything but this machine, and a name
 * that resolves elsewhere is as good as an address elsewhere.
 */
const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** The host as sockets take it: IPv6 without brackets. */
export const bareHost = (host: string): string =>
  host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;

/** The host as URLs and `Host` headers take it. */
export const urlHost = (host: string): string => (isIP(bareHost(host)) === 6 ? `[${bareHost(host)}]` : host);

const isLoopbackAddress = (address: string): boolean => {
  const family = isIP(address);
  return family !== 0 && LOOPBACK.check(address, family === 6 ? 'ipv6' : 'ipv4');
};

/** A loopback literal: 127.0.0.0/8, ::1 or `localhost`. Any other name is not, whatever it may resolve to today. */
export const isLoopbackHost = (host: string): boolean =>
  host.toLowerCase() === 'localhost' || isLoopbackAddress(bareHost(host));

const refusal = (host: string): OptaError =>
  new OptaError(
    'loopback-only',
    `${host} is not on this machine, and OPTA_LOOPBACK_ONLY allows connections to loopback only.`,
    { host },
  );

/** Throws `loopback-only` before a socket is opened, or `lmx-connection-refused` for something that is no host at all. */
export const assertReachable = (host: string, loopbackOnly: boolean): void => {
  if (loopbackOnly && !isLoopbackHost(host)) throw refusal(host);
  // A host never smuggles a port, a user or a path into the address that is built from it.
  if (isIP(bareHost(host)) === 0 && !/^[a-z0-9_]([a-z0-9._-]*[a-z0-9_.])?$/i.test(host))
    throw new OptaError('lmx-connection-refused', `"${host}" is not a host name or an IP address.`, { host });
};

/** The resolver for sockets: with `loopbackOnly` an answer that holds any other address is an error, not a connection. */
export const guardedLookup =
  (loopbackOnly: boolean, resolver: typeof resolve = resolve): LookupFunction =>
  (host, options: LookupOptions, done) => {
    resolver(host, options, (error: NodeJS.ErrnoException | null, found: string | LookupAddress[], family?: number) => {
      const addresses = typeof found === 'string' ? [found] : (found ?? []).map((a) => a.address);
      const refused = !error && loopbackOnly && !addresses.every(isLoopbackAddress) ? refusal(host) : null;
      done(error ?? refused, found as string, family);
    });
  };

/**
 * The path that a discovery document advertises for WebSockets, to be used on the host and port that were probed. What the
 * document says about the host is ignored: it may name another machine, or one that cannot be resolved from here.
 */
export const advertisedPath = (url: unknown): string | null => {
  if (typeof url !== 'string' || !URL.canParse(url, 'ws://host')) return null;
  const { pathname, search } = new URL(url, 'ws://host');
  return `/${pathname.replace(/^\/+/, '')}${search}`;
};

export const wsUrl = (host: string, port: number, path: string): URL => {
  const url = new URL(`ws://${urlHost(host)}:${port}`);
  const query = path.indexOf('?');
  url.pathname = query < 0 ? path : path.slice(0, query);
  url.search = query < 0 ? '' : path.slice(query);
  return url;
};
