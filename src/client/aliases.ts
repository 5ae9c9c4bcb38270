import type { OperationOutput } from '../protocol/operations.ts';
import type { Cancelled, Health, SessionPage, Snapshot, Submitted } from './control.ts';
import { authority, type DaemonAddress, type OpenSocket } from './platform.ts';

/**
 * The names of `@opta/daemon-client`, for programs written against it: one method, one request, nothing repeated, and failures as
 * that package words them, since its users match on the status in the text. New programs use `connect`.
 */
export type DaemonConnectionOptions = DaemonAddress;

/**
 * Method → request, then what its arguments are. `:name` in the path takes an argument, or that field of the last one; a word is a
 * field of the query (GET) or of the body; `...` is an object of such fields. Routes that this daemon does not have are asked for
 * all the same: its 404 is the answer.
 */
const ROUTES = {
  health: 'GET /v3/health',
  metrics: 'GET /v3/metrics',
  createSession: 'POST /v3/sessions ...',
  listSessions: 'GET /v3/sessions ...',
  getSession: 'GET /v3/sessions/:id',
  submitTurn: 'POST /v3/sessions/:id/turns ...',
  cancel: 'POST /v3/sessions/:id/cancel ...',
  resolvePermission: 'POST /v3/sessions/:id/permissions/:requestId ...',
  events: 'GET /v3/sessions/:id/events afterSeq',
  listOperations: 'GET /v3/operations',
  runOperation: 'POST /v3/operations/:id ...',
  listBackground: 'GET /v3/background sessionId',
  startBackground: 'POST /v3/background/start ...',
  backgroundStatus: 'GET /v3/background/:id/status sessionId',
  backgroundOutput: 'GET /v3/background/:id/output ...',
  killBackground: 'POST /v3/background/:id/kill signal',
  lmxStatus: 'GET /v3/lmx/status',
  lmxModels: 'GET /v3/lmx/models',
  lmxMemory: 'GET /v3/lmx/memory',
  lmxAvailable: 'GET /v3/lmx/models/available',
  lmxDiscovery: 'GET /v3/lmx/discovery',
  lmxDownloads: 'GET /v3/lmx/models/downloads includeInactive',
  lmxDownloadProgress: 'GET /v3/lmx/models/download/:id/progress',
  lmxLoad: 'POST /v3/lmx/models/load modelId ...',
  lmxConfirmLoad: 'POST /v3/lmx/models/load/confirm confirmationToken',
  lmxUnload: 'POST /v3/lmx/models/unload modelId',
  lmxDownload: 'POST /v3/lmx/models/download repoId',
  lmxDelete: 'DELETE /v3/lmx/models/:id',
  bridgeStatus: 'GET /v3/bridge/status',
  bridgeConnect: 'POST /v3/bridge/connect ...',
  bridgeDisconnect: 'POST /v3/bridge/disconnect',
  deviceBootstrap: 'POST /v3/device/bootstrap ...',
  deviceExecute: 'POST /v3/device/execute ...',
} as const;

/** The answers that this daemon's own table describes. */
interface Answers {
  health: Health;
  metrics: OperationOutput<'v3.metrics'>;
  createSession: Snapshot;
  listSessions: SessionPage;
  getSession: OperationOutput<'sessions.get'>;
  submitTurn: Submitted;
  cancel: Cancelled;
  resolvePermission: OperationOutput<'permissions.resolve'>;
  events: OperationOutput<'events.read'>;
}
type Argument = string | number | boolean | object | undefined;
type Methods = {
  [N in keyof typeof ROUTES]: (...args: Argument[]) => Promise<N extends keyof Answers ? Answers[N] : unknown>;
};
export interface DaemonHttpClient extends Methods {}

export const DaemonHttpClient = class {
  constructor(connection: DaemonConnectionOptions, fetchImpl?: typeof fetch) {
    for (const [name, route] of Object.entries(ROUTES)) {
      Object.assign(this, { [name]: (...args: Argument[]) => request(connection, fetchImpl, route, args) });
    }
  }
} as unknown as new (
  connection: DaemonConnectionOptions,
  fetchImpl?: typeof fetch,
) => DaemonHttpClient;

/** Milliseconds: what the inference server does for us may take its time. */
const deadlineOf = (method: string, path: string): number => {
  if (path.startsWith('/v3/lmx/')) return method === 'GET' ? 30_000 : 120_000;
  if (path.endsWith('/cancel')) return 30_000;
  return path.endsWith('/output') ? 20_000 : 8_000;
};

const request = async (
  connection: DaemonConnectionOptions,
  fetchImpl: typeof fetch | undefined,
  route: string,
  args: Argument[],
): Promise<unknown> => {
  const [method = '', pattern = '', ...words] = route.split(' ');
  const rest = [...args];
  const last = args.at(-1) as { [name: string]: string } | undefined;
  const path = pattern.replace(/:(\w+)/g, (_, name: string) =>
    encodeURIComponent(typeof rest[0] === 'object' ? (last?.[name] ?? '') : String(rest.shift())),
  );
  const given = words.flatMap((word): [string, unknown][] =>
    word === '...' ? Object.entries(rest.shift() ?? {}) : [[word, rest.shift()]],
  );
  const fields = given.filter(([, value]) => value !== undefined);
  const query = new URLSearchParams(fields.map(([name, value]): [string, string] => [name, String(value)])).toString();
  const text = method === 'POST' ? JSON.stringify(Object.fromEntries(fields)) : undefined;
  // Not kept in a field and called as a method: browsers refuse that.
  const call = fetchImpl ?? fetch;
  const { protocol = 'http', token } = connection;
  const target = method === 'GET' && query !== '' ? `${path}?${query}` : path;
  const res = await call(`${protocol}://${authority(connection)}${target}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(text === undefined ? {} : { 'content-type': 'application/json' }),
    },
    signal: AbortSignal.timeout(deadlineOf(method, path)),
    ...(text === undefined ? {} : { body: text }),
  });
  const answer = await res.text();
  if (!res.ok) throw new Error(`Daemon request failed (${res.status}): ${answer}`);
  return JSON.parse(answer);
};

export interface DaemonWsHandlers {
  onOpen?(): void;
  onClose?(code: number, reason: string): void;
  onError?(error: Error): void;
  /** Events alone: what has every field of an envelope. */
  onEvent?(envelope: { [field: string]: unknown }): void;
  /** Every frame that is a JSON object, events included. */
  onMessage?(message: { [field: string]: unknown }): void;
}

export interface DaemonWsConnection {
  readonly socket: unknown;
  close(): void;
  /** Throws unless the socket is open. */
  send(frame: object): void;
  sendHello(frame?: object): void;
  submitTurn(frame: object): void;
  resolvePermission(frame: object): void;
  cancel(frame: { turnId?: string; writerId?: string; sessionId?: string }): void;
}

const isEnvelope = (m: { [field: string]: unknown }): boolean =>
  [m.v, m.event, m.daemonId, m.ts].every((field) => typeof field === 'string') &&
  typeof m.seq === 'number' &&
  'payload' in m;

/** One socket, for as long as it lasts: no reconnect, no signs of life, no hello of its own. */
export const daemonWsClient = (openSocket: OpenSocket) =>
  class DaemonWsClient {
    readonly connection: DaemonConnectionOptions;

    constructor(connection: DaemonConnectionOptions) {
      this.connection = connection;
    }

    connect(
      {
        sessionId,
        afterSeq = 0,
        includeTokenInQuery,
      }: { sessionId: string; afterSeq?: number; includeTokenInQuery?: boolean },
      on: DaemonWsHandlers = {},
    ): DaemonWsConnection {
      const query = new URLSearchParams({ sessionId, afterSeq: String(afterSeq) });
      if (includeTokenInQuery) query.set('token', this.connection.token);
      let open = false;
      const socket = openSocket(this.connection, `/v3/ws?${query}`, {
        opened: () => {
          open = true;
          on.onOpen?.();
        },
        received: (text) => received(text, on),
        refused: (status) => on.onError?.(new Error(`Unexpected server response: ${status}`)),
        failed: (message) => on.onError?.(new Error(message)),
        closed: (code, reason) => {
          open = false;
          on.onClose?.(code, reason);
        },
      });
      const send = (frame: object): void => {
        if (!open) throw new Error('Daemon socket is not open');
        socket.send(JSON.stringify(frame));
      };
      const as =
        (type: string) =>
        (frame: object = {}) =>
          send({ sessionId, ...frame, type });
      return {
        socket: socket.raw,
        close: () => socket.close(),
        send,
        sendHello: as('hello'),
        submitTurn: as('turn.submit'),
        resolvePermission: as('permission.resolve'),
        cancel: as('turn.cancel'),
      };
    }
  };

const received = (text: string, on: DaemonWsHandlers): void => {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch (cause) {
    on.onError?.(new Error(`A frame was not JSON: ${String(cause)}`));
    return;
  }
  if (typeof message !== 'object' || message === null) return;
  const fields = message as { [field: string]: unknown };
  if (isEnvelope(fields)) on.onEvent?.(fields);
  on.onMessage?.(fields);
};
