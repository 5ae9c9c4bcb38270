import { isIP } from 'node:net';
import { OptaError } from '../../protocol/errors.ts';
import { printable } from '../outcome.ts';
import { isPublicAddress } from './public-address.ts';

/** What of the outside decides where a fetch may go. Tests have another. */
export interface Reach {
  mayConnect(address: string): boolean;
  mayUsePort(port: number): boolean;
}

export const PUBLIC: Reach = { mayConnect: isPublicAddress, mayUsePort: (port) => port === 80 || port === 443 };

const refused = (message: string): OptaError => new OptaError('tool-failed', message);

/** Names that never mean a place on the open internet. */
const OWN_NAME = /^[^.]+$|\.(?:localhost|local|internal|intranet|lan|home|home\.arpa|corp|onion)$/;

/** Without brackets, as sockets take it. */
export const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '');

export const portOf = (url: URL): number => Number(url.port) || (url.protocol === 'https:' ? 443 : 80);

/**
 * Where a URL leads, if it may: checked for each redirect as for the first ([TL8]). `written` is the URL as it came, `from` where it
 * came from. What a name means is checked when it is resolved. Throws an `OptaError`.
 */
export const targetOf = (written: string, from: URL | null, reach: Reach): URL => {
  const shown = printable(written.slice(0, 300));
  if (!URL.canParse(written, from?.href)) throw refused(`${shown} is not a URL`);
  const url = new URL(written, from?.href);
  url.hash = '';
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refused(`${shown}: only http and https are fetched`);
  if (from?.protocol === 'https:' && url.protocol === 'http:')
    throw refused(`${from.href} leads to ${shown}, which is not encrypted; ask for that itself if it is meant`);
  if (url.username !== '' || url.password !== '') throw refused('a URL with a user or a password in it is not fetched');
  if (!reach.mayUsePort(portOf(url))) throw refused(`${shown}: only the ports 80 and 443 are fetched from`);
  const host = hostOf(url);
  if (isIP(host) === 0) {
    if (OWN_NAME.test(host.replace(/\.$/, ''))) throw notPublic(host);
    return url;
  }
  // A number, octal or hexadecimal: the parser has understood it, people would not.
  if (isIP(host) === 4 && from?.hostname !== host && !written.includes(host))
    throw refused(`${shown}: an address is to be written in its usual form (${host})`);
  if (!reach.mayConnect(host)) throw notPublic(host);
  return url;
};

export const notPublic = (host: string): OptaError =>
  refused(`${printable(host)} is not on the open internet: this machine and private networks are not fetched from`);
