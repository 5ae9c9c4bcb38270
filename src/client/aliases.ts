import type { OperationOutput } from '../protocol/operations.ts';
import type { CancelTarget } from '../protocol/turn.ts';
import type {
  Cancelled,
  Health,
  NewSession,
  NewTurn,
  PermissionAnswer,
  SessionPage,
  Snapshot,
  Submitted,
} from './control.ts';
import { authority, type DaemonAddress, type OpenSocket } from './platform.ts';

/**
 * The names of `@opta/daemon-client`, for programs written against it: one method, one request, nothing repeated, and failures as
 * that package words them, since its users match on the status in the text. New programs use `connect`.
 */
export type DaemonConnectionOptions = DaemonAddress;

interface Route<T> {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  body?: unknown;
  deadlineMs: number;
  /** Only in the type. */
  answer?: T;
}
type Fields = { [name: string]: string | number | boolean | undefined };

const DEADLINE_MS = { plain: 8_000, output: 20_000, lmxRead: 30_000, lmxWrite: 120_000, cancel: 30_000 };

const query = (fields: Fields): string => {
  const given = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as [string, string]],
  );
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
};
const get = <T = unknown>(path: string, fields: Fields = {}, deadlineMs = DEADLINE_MS.plain): Route<T> => ({
  method: 'GET',
  path: path + query(fields),
  deadlineMs,
});
const post = <T = unknown>(path: string, body: unknown = {}, deadlineMs = DEADLINE_MS.plain): Route<T> => ({
  method: 'POST',
  path,
  body,
  deadlineMs,
});
const lmxGet = <T = unknown>(path: string, fields?: Fields): Route<T> =>
  get<T>(`/v3/lmx/${path}`, fields, DEADLINE_MS.lmxRead);
const lmxPost = (path: string, body: object): Route<unknown> => post(`/v3/lmx/${path}`, body, DEADLINE_MS.lmxWrite);
const id = encodeURIComponent;

/** Routes that this daemon does not have are asked for all the same: its 404 is the answer. */
const ROUTES = {
  health: () => get<Health>('/v3/health'),
  metrics: () => get<OperationOutput<'v3.metrics'>>('/v3/metrics'),
  createSession: (request: NewSession = {}) => post<Snapshot>('/v3/sessions', request),
  listSessions: (page: { limit?: number; cursor?: string } = {}) => get<SessionPage>('/v3/sessions', page),
  getSession: (sessionId: string) => get<OperationOutput<'sessions.get'>>(`/v3/sessions/${id(sessionId)}`),
  submitTurn: (sessionId: string, turn: NewTurn) => post<Submitted>(`/v3/sessions/${id(sessionId)}/turns`, turn),
  cancel: (sessionId: string, target: { turnId?: string; writerId?: string } = {}) =>
    post<Cancelled>(`/v3/sessions/${id(sessionId)}/cancel`, target, DEADLINE_MS.cancel),
  resolvePermission: (sessionId: string, decision: PermissionAnswer) =>
    post<OperationOutput<'permissions.resolve'>>(
      `/v3/sessions/${id(sessionId)}/permissions/${id(decision.requestId)}`,
      decision,
    ),
  events: (sessionId: string, afterSeq = 0) =>
    get<OperationOutput<'events.read'>>(`/v3/sessions/${id(sessionId)}/events`, { afterSeq }),
  listOperations: () => get('/v3/operations'),
  runOperation: (operationId: string, payload: { input?: unknown; confirmDangerous?: boolean } = {}) =>
    post(`/v3/operations/${id(operationId)}`, payload),
  listBackground: (sessionId?: string) => get('/v3/background', { sessionId }),
  startBackground: (request: {
    sessionId: string;
    command: string;
    label?: string;
    cwd?: string;
    timeoutMs?: number;
  }) => post('/v3/background/start', request),
  backgroundStatus: (processId: string, sessionId?: string) =>
    get(`/v3/background/${id(processId)}/status`, { sessionId }),
  backgroundOutput: (processId: string, options: { afterSeq?: number; limit?: number; stream?: string } = {}) =>
    get(`/v3/background/${id(processId)}/output`, options, DEADLINE_MS.output),
  killBackground: (processId: string, signal?: string) =>
    post(`/v3/background/${id(processId)}/kill`, signal === undefined ? {} : { signal }),
  lmxStatus: () => lmxGet('status'),
  lmxModels: () => lmxGet('models'),
  lmxMemory: () => lmxGet('memory'),
  lmxAvailable: () => lmxGet<unknown[]>('models/available'),
  lmxDiscovery: () => lmxGet('discovery'),
  lmxDownloads: (includeInactive?: boolean) => lmxGet('models/downloads', { includeInactive }),
  lmxDownloadProgress: (downloadId: string) => lmxGet(`models/download/${id(downloadId)}/progress`),
  lmxLoad: (modelId: string, options: object = {}) => lmxPost('models/load', { modelId, ...options }),
  lmxConfirmLoad: (confirmationToken: string) => lmxPost('models/load/confirm', { confirmationToken }),
  lmxUnload: (modelId: string) => lmxPost('models/unload', { modelId }),
  lmxDownload: (repoId: string) => lmxPost('models/download', { repoId }),
  lmxDelete: (modelId: string): Route<unknown> => ({
    method: 'DELETE',
    path: `/v3/lmx/models/${id(modelId)}`,
    deadlineMs: DEADLINE_MS.lmxWrite,
  }),
  bridgeStatus: () => get('/v3/bridge/status'),
  bridgeConnect: (request: object = {}) => post('/v3/bridge/connect', request),
  bridgeDisconnect: () => post('/v3/bridge/disconnect'),
  deviceBootstrap: (request: object = {}) => post('/v3/device/bootstrap', request),
  deviceExecute: (request: object = {}) => post('/v3/device/execute', request),
};

type Methods = {
  [N in keyof typeof ROUTES]: (typeof ROUTES)[N] extends (...args: infer A) => Route<infer T>
    ? (...args: A) => Promise<T>
    : never;
};
export interface DaemonHttpClient extends Methods {}

export const DaemonHttpClient = class {
  constructor(connection: DaemonConnectionOptions, fetchImpl?: typeof fetch) {
    for (const [name, route] of Object.entries(ROUTES) as [string, (...args: unknown[]) => Route<unknown>][]) {
      Object.assign(this, { [name]: (...args: unknown[]) => request(connection, fetchImpl, route(...args)) });
    }
  }
} as unknown as new (
  connection: DaemonConnectionOptions,
  fetchImpl?: typeof fetch,
) => DaemonHttpClient;

const request = async (
  connection: DaemonConnectionOptions,
  fetchImpl: typeof fetch | undefined,
  { method, path, body, deadlineMs }: Route<unknown>,
): Promise<unknown> => {
  const { protocol = 'http', token } = connection;
  const text = body === undefined ? undefined : JSON.stringify(body);
  // Not kept in a field and called as a method: browsers refuse that.
  const call = fetchImpl ?? fetch;
  const res = await call(`${protocol}://${authority(connection)}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(text === undefined ? {} : { 'content-type': 'application/json' }),
    },
    signal: AbortSignal.timeout(deadlineMs),
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
  cancel(frame: Partial<CancelTarget> & { sessionId?: string }): void;
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
      const token = includeTokenInQuery ? { token: this.connection.token } : {};
      let open = false;
      const socket = openSocket(this.connection, `/v3/ws${query({ sessionId, afterSeq, ...token })}`, {
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
