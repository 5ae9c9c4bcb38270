import { Agent, type IncomingMessage, request } from 'node:http';
import { z } from 'zod';
import { type ErrorCode, isErrorCode, OptaError } from '../protocol/errors.ts';
import type { ResolvePermission } from '../protocol/frames.ts';
import { OPERATIONS, type OperationId, type OperationOutput } from '../protocol/operations.ts';
import type { Mode, OnBusy, Overrides } from '../protocol/turn.ts';

export interface DaemonAddress {
  host: string;
  port: number;
  token: string;
}

/** The control plane as typed calls. Each has a deadline; every failure is an `OptaError` with the daemon's code. */
export interface DaemonHttp {
  health(deadlineMs?: number): Promise<Health>;
  createSession(input: NewSession): Promise<Session>;
  getSession(sessionId: string): Promise<OperationOutput<'sessions.get'>>;
  listSessions(page?: { limit?: number; cursor?: string }): Promise<SessionPage>;
  /** One attempt: a submit is never repeated by the client ([AU3]). */
  submitTurn(sessionId: string, turn: NewTurn, idempotencyKey?: string): Promise<OperationOutput<'turns.submit'>>;
  cancel(sessionId: string, target: { turnId?: string; writerId?: string }): Promise<OperationOutput<'turns.cancel'>>;
  /** Throws `permission-resolved` when somebody was first. */
  resolvePermission(sessionId: string, decision: PermissionAnswer): Promise<void>;
  /** Committed events after `afterSeq`, oldest first; `more` says that the answer's bound was reached. */
  events(sessionId: string, afterSeq: number, limit?: number): Promise<OperationOutput<'events.read'>>;
  why(sessionId: string): Promise<OperationOutput<'sessions.why'>>;
  /** The chart of one session's actors, or of the daemon's. */
  inspect(sessionId?: string): Promise<InspectedActor>;
  close(): void;
}

export type Session = OperationOutput<'sessions.create'>;
export type SessionPage = OperationOutput<'sessions.list'>;
export type InspectedActor = OperationOutput<'inspect'>;

export interface NewSession {
  sessionId?: string;
  model?: string;
  title?: string;
  metadata?: { [key: string]: unknown };
}
export interface NewTurn {
  clientId: string;
  writerId: string;
  content: string;
  mode: Mode;
  metadata?: { [key: string]: unknown };
  lastSeenSeq?: number;
  overrides?: Overrides;
  onBusy?: OnBusy;
}
export type PermissionAnswer = Omit<ResolvePermission, 'requestId'> & { requestId: string };

/** Looser than the operation table: it is how a client finds out that the other side speaks another contract. */
const HealthSchema = z.looseObject({
  status: z.string(),
  version: z.string().optional(),
  daemonId: z.string().optional(),
  contract: z.object({ name: z.string(), version: z.number() }).optional(),
  runtime: z.unknown(),
});
export type Health = z.infer<typeof HealthSchema>;

/** Milliseconds a call may take, whatever happens. A cancel is answered when its turns have ended. */
const DEADLINE_MS = { call: 25_000, health: 800, cancel: 30_000 };
const ANSWER_BYTES_MAX = 256 << 20;

export const daemonHttp = (address: DaemonAddress): DaemonHttp => {
  // A connection that idles is given up before the daemon does so: a request must not meet it while it is being closed.
  const agent = new Agent({ keepAlive: true, maxSockets: 8, timeout: 3_000 });
  const call = async <K extends OperationId>(id: K, options: CallOptions = {}): Promise<OperationOutput<K>> => {
    const { method, paths, response } = OPERATIONS[id];
    const path = fill(paths[0], options.params) + query(options.query);
    const body = await exchange(address, agent, method, path, options);
    return checked(response as unknown as z.ZodType<OperationOutput<K>>, body, `${method} ${path}`);
  };
  return {
    health: async (deadlineMs = DEADLINE_MS.health) => {
      const body = await exchange(address, agent, 'GET', OPERATIONS['v3.health'].paths[0], { deadlineMs });
      return checked(HealthSchema, body, 'GET /v3/health');
    },
    createSession: (body) => call('sessions.create', { body }),
    getSession: (id) => call('sessions.get', { params: { id } }),
    listSessions: (page = {}) => call('sessions.list', { query: page }),
    submitTurn: (id, body, key) =>
      call('turns.submit', {
        params: { id },
        body,
        ...(key === undefined ? {} : { headers: { 'idempotency-key': key } }),
      }),
    cancel: (id, body) => call('turns.cancel', { params: { id }, body, deadlineMs: DEADLINE_MS.cancel }),
    resolvePermission: async (id, body) => {
      await call('permissions.resolve', { params: { id, requestId: body.requestId }, body });
    },
    events: (id, afterSeq, limit) => call('events.read', { params: { id }, query: { afterSeq, limit } }),
    why: (id) => call('sessions.why', { params: { id } }),
    inspect: (id) => (id === undefined ? call('inspect') : call('sessions.inspect', { params: { id } })),
    close: () => agent.destroy(),
  };
};

const fill = (path: string, params: { [name: string]: string } = {}): string =>
  path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ''));

const checked = <T>(schema: z.ZodType<T>, body: unknown, what: string): T => {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new OptaError('internal', `${what}: the daemon's answer is not of contract v3`, {
    details: parsed.error.issues,
  });
};

interface CallOptions {
  params?: { [name: string]: string };
  query?: { [name: string]: string | number | undefined };
  body?: unknown;
  headers?: { [name: string]: string };
  deadlineMs?: number;
}

const query = (fields: { [name: string]: string | number | undefined } = {}): string => {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) q.set(name, String(value));
  const text = q.toString();
  return text === '' ? '' : `?${text}`;
};

const exchange = (
  address: DaemonAddress,
  agent: Agent,
  method: string,
  path: string,
  { body, headers = {}, deadlineMs = DEADLINE_MS.call }: CallOptions,
): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const req = request({
      host: address.host,
      port: address.port,
      method,
      path,
      agent,
      headers: {
        authorization: `Bearer ${address.token}`,
        ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': text.length }),
        ...headers,
      },
    });
    const fail = (error: OptaError): void => {
      clearTimeout(timer);
      reject(error);
      req.destroy();
    };
    const timer = setTimeout(
      () => fail(new OptaError('timeout', `${method} ${path}: no answer within ${deadlineMs} ms`)),
      deadlineMs,
    );
    req.on('error', (cause: NodeJS.ErrnoException) =>
      fail(
        new OptaError(
          'daemon-unreachable',
          `The daemon at ${address.host}:${address.port} does not answer: ${cause.message}`,
          {
            ...(cause.code === undefined ? {} : { cause: cause.code }),
          },
        ),
      ),
    );
    req.on('response', (res) => {
      gather(res).then((answer) => {
        clearTimeout(timer);
        if (answer.status >= 200 && answer.status < 300) resolve(answer.body);
        else reject(failure(answer));
      }, fail);
    });
    req.end(text);
  });

interface Answer {
  status: number;
  body: unknown;
}

const gather = (res: IncomingMessage): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    res.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes > ANSWER_BYTES_MAX) reject(new OptaError('payload-too-large', 'The answer of the daemon is too large'));
      else parts.push(part);
    });
    const cut = (): void =>
      reject(new OptaError('daemon-unreachable', 'The connection broke in the middle of an answer'));
    res.on('error', cut);
    res.on('aborted', cut);
    res.on('end', () => {
      const status = res.statusCode ?? 0;
      try {
        const text = Buffer.concat(parts).toString('utf8');
        resolve({ status, body: text === '' ? undefined : JSON.parse(text) });
      } catch {
        reject(new OptaError('internal', `The daemon answered ${status} with something that is not JSON`));
      }
    });
  });

/** The server's own code if it gave one, else the closest to the status. */
const failure = ({ status, body }: Answer): OptaError => {
  const facts = typeof body === 'object' && body !== null ? (body as { [name: string]: unknown }) : {};
  const { error, code, retryable: _, ...rest } = facts;
  const message = typeof error === 'string' ? error : `The daemon answered ${status}`;
  return new OptaError(typeof code === 'string' && isErrorCode(code) ? code : byStatus(status), message, {
    ...rest,
    status,
  });
};

const BY_STATUS: { [status: number]: ErrorCode } = {
  400: 'invalid-request',
  401: 'unauthorized',
  403: 'forbidden-origin',
  404: 'not-found',
  409: 'state-conflict',
  413: 'payload-too-large',
  429: 'too-many-requests',
  503: 'shutting-down',
  504: 'timeout',
  507: 'storage',
};
const byStatus = (status: number): ErrorCode => BY_STATUS[status] ?? 'internal';
