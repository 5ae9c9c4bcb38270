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

/** What a token allows: everything, or to look on ([AC2]). */
export type Right = 'full' | 'observer';

export interface Auth {
  /** Either place may hold a right token, and the better one counts: existing clients send a stale header beside a fresh query. */
  http(head: RequestHead, query: URLSearchParams): Right | null;
  /** A bearer header wins over the query, right or wrong. */
  socket(head: RequestHead, query: URLSearchParams): Right | null;
}

/** Without `observerToken` nobody is let in as an observer. Throws when a token is empty or both are the same. */
export const auth = (token: string, observerToken?: string): Auth => {
  if (token === observerToken) throw new RangeError('the two tokens are the same');
  const isFull = tokenCheck(token);
  const isObserver = observerToken === undefined ? () => false : tokenCheck(observerToken);
  /** Every comparison is made, whatever the others say. */
  const rightOf = (candidates: (string | null)[]): Right | null => {
    const full = candidates.map(isFull).includes(true);
    const observer = candidates.map(isObserver).includes(true);
    return full ? 'full' : observer ? 'observer' : null;
  };
  return {
    http: (head, query) => rightOf([bearerToken(head), queryToken(query)]),
    socket: (head, query) => rightOf([bearerToken(head) ?? queryToken(query)]),
  };
};

export const readOnly = (): OptaError => new OptaError('read-only-token', 'Read only: an observer changes nothing');
