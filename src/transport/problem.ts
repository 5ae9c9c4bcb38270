import { LIMITS } from '../actors/limits.ts';
import { type ErrorFacts, errorBody, errorStatus, type OptaError } from '../protocol/errors.ts';
import type { RequestHead, Response } from './port.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const PROBLEM_TYPE = 'application/problem+json';

/** A failure as an HTTP answer, in the shape that the request asked for. `status` overrides the error table's. */
export const errorResponse = (head: RequestHead, error: OptaError, status = errorStatus(error)): Response => {
  const problem = wantsProblem(head.headers.get('accept') ?? '');
  const wait = waitSeconds(error, status);
  return {
    status,
    headers: [
      ['content-type', problem ? PROBLEM_TYPE : JSON_TYPE],
      ...(wait === null ? [] : ([['retry-after', String(wait)]] as const)),
    ],
    body: JSON.stringify(problem ? problemBody(head, error, status) : errorBody(error)),
  };
};

/** RFC 9457. The query stays out of `instance`: it may hold the token. */
const problemBody = (head: RequestHead, error: OptaError, status: number): object => {
  const { error: detail, code, ...facts } = errorBody(error);
  const title = `${code[0]?.toUpperCase()}${code.slice(1).replaceAll(/[-_]/g, ' ')}`;
  const members = { type: `urn:opta:error:${code}`, title, status, detail, instance: head.path, code };
  // A fact that has the name of a member gives way to it.
  return { ...members, ...facts, ...members };
};

/**
 * Whether the header asks for problem details by name and does not like plain JSON better. A wildcard range is
 * no request for them: it comes from clients that know only the older shape.
 */
export const wantsProblem = (accept: string): boolean => {
  const quality = (type: string): number | null => {
    for (const range of accept.toLowerCase().split(',')) {
      const [name, ...parameters] = range.split(';').map((part) => part.trim());
      if (name !== type) continue;
      const q = parameters.find((p) => p.startsWith('q='))?.slice(2);
      return q === undefined ? 1 : Number(q) || 0;
    }
    return null;
  };
  const problem = quality(PROBLEM_TYPE) ?? 0;
  return problem > 0 && problem >= (quality('application/json') ?? 0);
};

const waitSeconds = ({ code, facts }: OptaError, status: number): number | null => {
  if (code === 'shutting-down') return LIMITS.drainDeadlineMs / 1000;
  return status === 429 ? retryAfterSeconds(facts) : null;
};

const retryAfterSeconds = ({ retryAfterMs: ms }: ErrorFacts): number =>
  typeof ms === 'number' && ms > 0 ? Math.ceil(ms / 1000) : 1;
