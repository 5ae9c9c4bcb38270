import { LIMITS } from '../actors/limits.ts';
import { type ErrorFacts, errorBody, errorStatus, OptaError, toOptaError } from '../protocol/errors.ts';
import { type Operation, operation } from '../protocol/operations.ts';
import type { Auth } from './auth.ts';
import type { Dispatch, StreamAnswer } from './dispatch.ts';
import type { Access } from './origin.ts';
import type { Exchange, RequestHead, Response, StreamEnd } from './port.ts';
import { type Match, route } from './router.ts';

export interface HttpPlaneDeps {
  dispatch: Dispatch;
  auth: Auth;
  access: Access;
  closing(): boolean;
}

const SECURITY: readonly (readonly [string, string])[] = [
  ['x-content-type-options', 'nosniff'],
  ['cache-control', 'no-store'],
];
const JSON_TYPE = ['content-type', 'application/json; charset=utf-8'] as const;

/** The control plane: one request in, one answer out. */
export const httpPlane =
  (deps: HttpPlaneDeps) =>
  (head: RequestHead, exchange: Exchange): void => {
    const headers = [...deps.access.cors(head), ...SECURITY];
    const reply = (r: Response, close = false): void =>
      exchange.reply({ ...r, headers: [...r.headers, ...headers] }, close);
    const run = (call: Admitted, body: unknown): void =>
      void answer(deps, call, body).then((r) => {
        if ('open' in r) stream(exchange, { ...r, headers: [...r.headers, ...headers] });
        else reply(r);
      });
    try {
      const call = admit(deps, head);
      if (call === 'preflight') reply({ status: 204, headers: deps.access.preflight(head), body: '' });
      else if (operation(call.id).body === null) run(call, undefined);
      else {
        exchange.body(LIMITS.requestBytesMax, (bytes) => {
          try {
            run(call, withHeaders(head, operation(call.id), parseBody(head, bytes)));
          } catch (fault) {
            // The rest of a body that is too large is still on its way, and nobody will read it.
            reply(errorResponse(toOptaError(fault)), bytes === 'too-large');
          }
        });
      }
    } catch (fault) {
      reply(errorResponse(toOptaError(fault)));
    }
  };

interface Admitted extends Match {
  query: { [name: string]: unknown };
}

/**
 * Each check comes before the next one's cost: URL, host and origin, route, size, token. A request without the token never has
 * its body read ([AC1]).
 */
const admit = (deps: HttpPlaneDeps, head: RequestHead): Admitted | 'preflight' => {
  checkUrl(head);
  deps.access.check(head);
  if (head.method === 'OPTIONS') return 'preflight';
  const match = route(head.method, head.path);
  if (!match) throw noRoute(head);
  if (Number(head.headers.get('content-length') ?? 0) > LIMITS.requestBytesMax) throw tooLarge();
  const query = new URLSearchParams(head.query);
  if (!operation(match.id).open && !deps.auth.http(head, query)) throw new OptaError('unauthorized', 'Unauthorized');
  if (deps.closing()) throw new OptaError('shutting-down', 'The daemon is shutting down');
  const row = operation(match.id);
  const fields = queryObject(query);
  return { ...match, query: (row.body === null ? withHeaders(head, row, fields) : fields) as Admitted['query'] };
};

type Streamed = Omit<Response, 'body'> & Pick<StreamAnswer, 'open'>;

const answer = async (
  deps: HttpPlaneDeps,
  { id, params, query }: Admitted,
  body: unknown,
): Promise<Response | Streamed> => {
  const outcome = await deps.dispatch(id, { params, query, body });
  if (!outcome.ok) return errorResponse(outcome.error, operation(id).failureStatus);
  const { answer: a, status } = outcome;
  const type = 'type' in a ? (['content-type', a.type] as const) : JSON_TYPE;
  // 304 has no body to say the type of.
  const head = { status: a.status ?? status, headers: [...(a.status === 304 ? [] : [type]), ...(a.headers ?? [])] };
  if ('open' in a) return { ...head, open: a.open };
  return { ...head, body: 'text' in a ? a.text : 'json' in a ? a.json : JSON.stringify(a.body) };
};

/** The head leaves first; only then does the handler begin to write. */
const stream = (exchange: Exchange, { open, ...head }: Streamed): void => {
  let end: StreamEnd | null = null;
  let over = false;
  const out = exchange.stream(head, {
    drain: () => end?.drain(),
    closed: () => {
      over = true;
      end?.closed();
    },
  });
  if (!out) return;
  end = open(out);
  if (over) end.closed();
};

export const errorResponse = (error: OptaError, status = errorStatus(error)): Response => {
  const wait: [string, string][] = status === 429 ? [['retry-after', String(retryAfterSeconds(error.facts))]] : [];
  return { status, headers: [JSON_TYPE, ...wait], body: JSON.stringify(errorBody(error)) };
};

const retryAfterSeconds = (facts: ErrorFacts): number => {
  const ms = facts.retryAfterMs;
  return typeof ms === 'number' && ms > 0 ? Math.ceil(ms / 1000) : 1;
};

const checkUrl = (head: RequestHead): void => {
  if (head.path.length + head.query.length > LIMITS.urlCharsMax) {
    throw new OptaError('uri-too-long', `The URL is longer than ${LIMITS.urlCharsMax} characters`);
  }
};

/** The body that existing clients know. The query stays out of it: it may hold the token. */
const noRoute = (head: RequestHead): OptaError =>
  new OptaError('not-found', 'Not Found', {
    message: `Route ${head.method}:${head.path} not found`,
    statusCode: 404,
  });

const tooLarge = (): OptaError =>
  new OptaError('payload-too-large', 'Request body is too large', { bytesMax: LIMITS.requestBytesMax });

const queryObject = (query: URLSearchParams): { [name: string]: unknown } => {
  const names = [...new Set(query.keys())].filter((name) => name !== 'token');
  return Object.fromEntries(
    names.map((name) => {
      const values = query.getAll(name);
      return [name, values.length === 1 ? values[0] : values];
    }),
  );
};

/** Headers that the operation takes as fields. What is no object is left to the schema. */
const withHeaders = (head: RequestHead, { headers = {} }: Operation, fields: unknown): unknown => {
  const own = fields ?? {};
  if (typeof own !== 'object' || Array.isArray(own)) return fields;
  const merged: { [name: string]: unknown } = { ...own };
  for (const [header, field] of Object.entries(headers)) {
    const value = head.headers.get(header);
    if (value === undefined) continue;
    if (Object.hasOwn(merged, field) && merged[field] !== value)
      throw new OptaError('invalid-request', `The header ${header} and the field ${field} differ`);
    merged[field] = value;
  }
  return Object.keys(merged).length === 0 ? fields : merged;
};

const utf8 = new TextDecoder('utf-8', { fatal: true });

const parseBody = (head: RequestHead, bytes: Uint8Array | 'too-large' | 'busy'): unknown => {
  if (bytes === 'too-large') throw tooLarge();
  if (bytes === 'busy') throw new OptaError('too-many-requests', 'Too many request bodies at once');
  if (bytes.byteLength === 0) return undefined;
  const type = head.headers.get('content-type');
  if (type !== undefined && !/^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(type.trim())) {
    throw new OptaError('unsupported-media-type', 'Unsupported media type: send application/json');
  }
  try {
    const text = utf8.decode(bytes);
    return text.trim() === '' ? undefined : JSON.parse(text);
  } catch {
    throw new OptaError('invalid-json', 'The body is not valid JSON');
  }
};
