import { createHash, timingSafeEqual } from 'node:crypto';
import { OptaError } from '../protocol/errors.ts';
import type { RequestHead } from './port.ts';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** [AC1] Compares in constant time: both sides are hashed, so neither length nor a common prefix shows. */
export const tokenCheck = (token: string): ((candidate: string | null) => boolean) => {
  if (token === '') throw new RangeError('the token is empty');
  const expected = digest(token);
  return (candidate) => candidate !== null && timingSafeEqual(digest(candidate), expected);
};

/** The token of an `Authorization: Bearer` header, or null. The scheme's case and the spaces around the token do not count. */
export const bearerToken = (head: RequestHead): string | null => {
  const match = /^bearer\s+(\S+)\s*$/i.exec(head.headers.get('authorization')?.trim() ?? '');
  return match?.[1] ?? null;
};

/** The token of the query; null when it is absent or given twice, since nobody can say which one is meant. */
export const queryToken = (query: URLSearchParams): string | null => {
  const tokens = query.getAll('token');
  return tokens.length === 1 ? (tokens[0] as string) : null;
};

/** The subprotocol that the daemon speaks, and answers when it is offered: Chrome drops a socket whose offer is not answered. */
export const SUBPROTOCOL = 'opta.v3';
const TOKEN_PROTOCOL = 'opta.token.';

const offered = (head: RequestHead): string[] =>
  (head.headers.get('sec-websocket-protocol') ?? '').split(',').map((name) => name.trim());

export const speaksOurs = (head: RequestHead): boolean => offered(head).includes(SUBPROTOCOL);

/**
 * The token that a browser offers beside the subprotocol, as `opta.token.` and its base64url: the one place for it that no URL shows.
 * It is never answered. Null when it is absent, given twice or not base64url.
 */
export const protocolToken = (head: RequestHead): string | null => {
  const [token, ...more] = offered(head).filter((name) => name.startsWith(TOKEN_PROTOCOL));
  const text = token?.slice(TOKEN_PROTOCOL.length) ?? '';
  return more.length > 0 || !/^[\w-]{1,1024}$/.test(text) ? null : Buffer.from(text, 'base64url').toString('utf8');
};

/** What a token allows: everything, or to look on ([AC2]). */
export type Right = 'full' | 'observer';

export interface Grant {
  right: Right;
  /** The page's key that gave it, by its hash: what is opened with it ends with it. Absent when a token gave it. */
  key?: string;
}

/** The keys of pages, which count as the token does. */
export interface Keys {
  /** The hash of a key that counts now, or null. */
  use(candidate: string): string | null;
  /** `end` is called when the key ends. Returns the undo. */
  hold(hash: string, end: () => void): () => void;
  /** Whether this hash is still one of a key. */
  has(hash: string): boolean;
}

export const NO_KEYS: Keys = { use: () => null, hold: () => () => undefined, has: () => false };

export interface Auth {
  /** Either place may hold a right token, and the better one counts: existing clients send a stale header beside a fresh query. */
  http(head: RequestHead, query: URLSearchParams): Grant | null;
  /** A bearer header wins over a subprotocol, and that over the query, right or wrong. */
  socket(head: RequestHead, query: URLSearchParams): Grant | null;
  /** As `Keys.hold`, for what was opened with this grant. When that counts no more, `end` is called at once. */
  hold(grant: Grant | null, end: () => void): () => void;
  /** False when the key behind it has ended since it was given. */
  counts(grant: Grant | null): boolean;
}

/** Without `observerToken` nobody is let in as an observer. Throws when a token is empty or both are the same. */
export const auth = (token: string, observerToken?: string, keys: Keys = NO_KEYS): Auth => {
  if (token === observerToken) throw new RangeError('the two tokens are the same');
  const isFull = tokenCheck(token);
  const isObserver = observerToken === undefined ? () => false : tokenCheck(observerToken);
  /** Every comparison is made, whatever the others say. A page's key in a URL is none ([WB4]): pages have better places. */
  const grantOf = (unseen: string | null, fromUrl: string | null): Grant | null => {
    const candidates = [unseen, fromUrl];
    const full = candidates.map(isFull).includes(true);
    const observer = candidates.map(isObserver).includes(true);
    const key = unseen === null ? null : keys.use(unseen);
    if (full) return { right: 'full' };
    if (key !== null) return { right: 'full', key };
    return observer ? { right: 'observer' } : null;
  };
  return {
    http: (head, query) => grantOf(bearerToken(head), queryToken(query)),
    socket: (head, query) => {
      const unseen = bearerToken(head) ?? protocolToken(head);
      return grantOf(unseen, unseen === null ? queryToken(query) : null);
    },
    hold: (grant, end) => (grant?.key === undefined ? () => undefined : keys.hold(grant.key, end)),
    counts: (grant) => grant?.key === undefined || keys.has(grant.key),
  };
};

export const readOnly = (): OptaError => new OptaError('read-only-token', 'Read only: an observer changes nothing');
