import { createHash, timingSafeEqual } from 'node:crypto';
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

export interface Auth {
  /** Either place may hold the right token: existing clients send a stale header beside a fresh query. */
  http(head: RequestHead, query: URLSearchParams): boolean;
  /** A bearer header wins over the query, right or wrong. */
  socket(head: RequestHead, query: URLSearchParams): boolean;
}

export const auth = (token: string): Auth => {
  const right = tokenCheck(token);
  return {
    http: (head, query) => {
      const bearer = right(bearerToken(head));
      return right(queryToken(query)) || bearer;
    },
    socket: (head, query) => {
      const bearer = bearerToken(head);
      return right(bearer ?? queryToken(query));
    },
  };
};
