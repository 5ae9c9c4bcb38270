import { LIMITS } from '../actors/limits.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { type OperationId, operation } from '../protocol/operations.ts';
import type { Timers } from './ask.ts';
import { type Auth, type Grant, readOnly } from './auth.ts';
import type { Caller, Dispatch, RawInput, StreamAnswer } from './dispatch.ts';
import { withHeaderFields } from './header-fields.ts';
import type { Access } from './origin.ts';
import type { Exchange, RequestHead, Response, ResponseStream, StreamEnd } from './port.ts';
import { errorResponse } from './problem.ts';
import { type Match, route } from './router.ts';
import type { WebFile, WebFiles } from './web/files.ts';
import { asksForFile } from './web/files.ts';
import { serveFile } from './web/serve.ts';

export interface HttpPlaneDeps {
  dispatch: Dispatch;
  auth: Auth;
  access: Access;
  closing(): boolean;
  onFault(where: string, fault: unknown): void;
  files: WebFiles;
  timers: Timers;
}

const SECURITY: readonly (readonly [string, string])[] = [
  ['x-content-type-options', 'nosniff'],
  ['cache-control', 'no-store'],
];
/** Of a body on a route that needs no right: strangers fill no memory that others wait for. */
const OPEN_BODY_BYTES_MAX = 4_096;
const JSON_TYPE = ['content-type', 'application/json; charset=utf-8'] as const;

/** The control plane: one request in, one answer out. */
export const httpPlane =
  (deps: HttpPlaneDeps) =>
  (head: RequestHead, exchange: Exchange): void => {
    const cors = deps.access.cors(head);
    const reply = (r: Response, close = false): void => exchange.reply(complete(r, cors), close);
    const fail = (fault: unknown, close = false): void => reply(errorResponse(head, toOptaError(fault)), close);
    const run = (call: Admitted, body: unknown): void => {
      const raw = withHeaderFields(call.id, head.headers, { ...call, body });
      const broken = (fault: unknown): Response => {
        deps.onFault('answer', fault);
        return errorResponse(head, new OptaError('internal', 'Internal error'));
      };
      const caller: Caller = {
        whenGone: (told) => exchange.whenGone(told),
        webKey: () => call.grant?.key ?? null,
      };
      const answered: Promise<Response | Streamed> = answer(deps, head, call.id, raw, caller).catch(broken);
      void answered.then((r) => {
        // [WB3] The key may have ended while the answer was made. What a command did is told all the same: it was done.
        const isOwed = deps.auth.counts(call.grant) || !('open' in r || operation(call.id).safety === 'read');
        if (!isOwed) fail(unauthorized());
        else if (!('open' in r)) reply(r);
        else if (head.method === 'HEAD') reply({ ...r, body: '' });
        else stream(deps, exchange, complete(r, cors), call.grant);
      });
    };
    try {
      const call = admit(deps, head);
      if (call === 'preflight') reply({ status: 204, headers: deps.access.preflight(head), body: '' });
      else if ('text' in call) serveFile(exchange, head, call, (top) => complete(top, cors), deps.timers);
      else if (operation(call.id).body === null) run(call, undefined);
      else {
        exchange.body(bytesMaxOf(call.id), (bytes) => {
          try {
            // [WB3] A key may have ended while the body was on its way.
            if (!deps.auth.counts(call.grant)) throw unauthorized();
            run(call, parseBody(head, bytes, call.id));
          } catch (fault) {
            // The rest of a body that is too large is still on its way, and nobody will read it.
            fail(fault, bytes === 'too-large');
          }
        });
      }
    } catch (fault) {
      fail(fault);
    }
  };

/** With the headers that every answer has. Its own come first, and one that it has is not sent a second time. */
const complete = <T extends Pick<Response, 'headers'>>(r: T, cors: Response['headers']): T => {
  const own = new Set(r.headers.map(([name]) => name));
  return { ...r, headers: [...r.headers, ...cors, ...SECURITY.filter(([name]) => !own.has(name))] };
};

interface Admitted extends Match {
  query: { [name: string]: unknown };
  /** Null on a route that is open. */
  grant: Grant | null;
}

/**
 * Each check comes before the next one's cost: URL, host and origin, route, size, token. A request without the token never has
 * its body read ([AC1]).
 */
const admit = (deps: HttpPlaneDeps, head: RequestHead): Admitted | WebFile | 'preflight' => {
  checkUrl(head);
  deps.access.check(head);
  if (head.method === 'OPTIONS') return 'preflight';
  const file = asksForFile(head) ? deps.files.find(head.path) : null;
  if (file && !deps.closing()) return file;
  const match = route(head.method, head.path);
  if (!match) throw noRoute(head);
  if (Number(head.headers.get('content-length') ?? 0) > bytesMaxOf(match.id)) throw tooLarge(match.id);
  const query = new URLSearchParams(head.query);
  const row = operation(match.id);
  const grant = row.open ? null : deps.auth.http(head, query);
  if (!row.open) checkRight(row.safety, grant);
  if (deps.closing()) throw new OptaError('shutting-down', 'The daemon is shutting down');
  return { ...match, query: queryObject(query), grant };
};

const checkRight = (safety: 'read' | 'write', grant: Grant | null): void => {
  if (grant === null) throw unauthorized();
  if (safety === 'write' && grant.right !== 'full') throw readOnly();
};

type Streamed = Omit<Response, 'body'> & Pick<StreamAnswer, 'open'>;

const answer = async (
  deps: HttpPlaneDeps,
  head: RequestHead,
  id: OperationId,
  raw: RawInput,
  caller: Caller,
): Promise<Response | Streamed> => {
  const outcome = await deps.dispatch(id, raw, caller);
  if (!outcome.ok) return errorResponse(head, outcome.error, operation(id).failureStatus);
  const { answer: a, status } = outcome;
  const type = 'type' in a ? (['content-type', a.type] as const) : JSON_TYPE;
  // 304 has no body to say the type of.
  const top = { status: a.status ?? status, headers: [...(a.status === 304 ? [] : [type]), ...(a.headers ?? [])] };
  if ('open' in a) return { ...top, open: a.open };
  return { ...top, body: 'text' in a ? a.text : 'json' in a ? a.json : JSON.stringify(a.body) };
};

/** The head leaves first; only then does the handler begin to write. One that throws ends its own connection and no other. */
const stream = (deps: HttpPlaneDeps, exchange: Exchange, { open, ...head }: Streamed, grant: Grant | null): void => {
  let end: StreamEnd | null = null;
  let over = false;
  let out: ResponseStream | null = null;
  const release = deps.auth.hold(grant, () => out?.cut());
  try {
    out = exchange.stream(head, {
      drain: () => end?.drain(),
      closed: () => {
        over = true;
        release();
        end?.closed();
      },
    });
    if (!out) return release();
    end = open(out);
    if (over) end.closed();
  } catch (fault) {
    deps.onFault('stream', fault);
    out?.cut();
  }
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

const unauthorized = (): OptaError => new OptaError('unauthorized', 'Unauthorized');

const bytesMaxOf = (id: OperationId): number => (operation(id).open ? OPEN_BODY_BYTES_MAX : LIMITS.requestBytesMax);

const tooLarge = (id: OperationId): OptaError =>
  new OptaError('payload-too-large', 'Request body is too large', { bytesMax: bytesMaxOf(id) });

const queryObject = (query: URLSearchParams): { [name: string]: unknown } => {
  const names = [...new Set(query.keys())].filter((name) => name !== 'token');
  return Object.fromEntries(
    names.map((name) => {
      const values = query.getAll(name);
      return [name, values.length === 1 ? values[0] : values];
    }),
  );
};

const utf8 = new TextDecoder('utf-8', { fatal: true });

const parseBody = (head: RequestHead, bytes: Uint8Array | 'too-large' | 'busy', id: OperationId): unknown => {
  if (bytes === 'too-large') throw tooLarge(id);
  if (bytes === 'busy') throw new OptaError('too-many-requests', 'Too many request bodies at once');
  if (bytes.byteLength === 0) return undefined;
  const type = head.headers.get('content-type');
  if (
    !operation(id).looseType &&
    type !== undefined &&
    !/^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(type.trim())
  ) {
    throw new OptaError('unsupported-media-type', 'Unsupported media type: send application/json');
  }
  try {
    const text = utf8.decode(bytes);
    return text.trim() === '' ? undefined : JSON.parse(text);
  } catch {
    throw new OptaError('invalid-json', 'The body is not valid JSON');
  }
};
