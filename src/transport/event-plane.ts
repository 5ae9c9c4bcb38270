import type { z } from 'zod';
import { LIMITS } from '../actors/limits.ts';
import { type ErrorCode, errorBody, errorRow, OptaError, toOptaError } from '../protocol/errors.ts';
import { SocketWhoSchema } from '../protocol/frames.ts';
import { SessionIdSchema } from '../protocol/ids.ts';
import { cursorOf } from '../protocol/operations.ts';
import { type Auth, type Right, SUBPROTOCOL, speaksOurs } from './auth.ts';
import type { Access } from './origin.ts';
import type { Accepted, RequestHead, Response, Socket, SocketEnd } from './port.ts';
import { errorResponse } from './problem.ts';
import { SocketAttachment, type SocketDeps, type SocketStart } from './socket-attachment.ts';

export const SOCKET_PATH = '/v3/ws';

export interface EventPlaneDeps extends SocketDeps {
  auth: Auth;
  access: Access;
  closing(): boolean;
  /** Sockets open now. */
  sockets(): number;
}

/**
 * Upgrades are refused only for what a page could abuse or the daemon cannot carry; a bad token and a missing session are told on
 * the open socket, with a close code, because a browser hides the status of a refused upgrade from its page.
 */
export const eventPlane =
  (deps: EventPlaneDeps) =>
  (head: RequestHead): Response | Accepted => {
    try {
      if (head.path.length + head.query.length > LIMITS.urlCharsMax)
        throw new OptaError('uri-too-long', 'URI too long');
      deps.access.check(head);
      if (head.path !== SOCKET_PATH) throw new OptaError('not-found', 'Not Found');
      if (deps.closing()) throw new OptaError('shutting-down', 'The daemon is shutting down');
      if (deps.sockets() >= LIMITS.attachmentsMax) throw new OptaError('too-many-requests', 'Too many sockets');
    } catch (fault) {
      const refusal = errorResponse(head, toOptaError(fault));
      return { ...refusal, headers: [...refusal.headers, ...deps.access.cors(head)] };
    }
    const query = new URLSearchParams(head.query);
    const protocol = speaksOurs(head) ? { protocol: SUBPROTOCOL } : {};
    return { open: (socket) => open(deps, head, query, socket), ...protocol };
  };

const CLOSED: SocketEnd = { message: () => undefined, drain: () => undefined, closed: () => undefined };

const open = (deps: EventPlaneDeps, head: RequestHead, query: URLSearchParams, socket: Socket): SocketEnd => {
  const grant = deps.auth.socket(head, query);
  if (grant === null) return refuse(socket, new OptaError('unauthorized', 'Unauthorized'), 'unauthorized');
  const ids = query.getAll('sessionId');
  if (ids.length !== 1 || ids[0] === '') {
    return refuse(socket, new OptaError('missing-session', 'Missing sessionId query parameter'), 'missing session id');
  }
  const id = SessionIdSchema.safeParse(ids[0]);
  if (!id.success) {
    const error = new OptaError('missing-session', 'Invalid session id', { details: id.error.issues });
    return refuse(socket, error, 'invalid session id');
  }
  const who = SocketWhoSchema.safeParse(Object.fromEntries(WHO.flatMap((name) => given(query, name))));
  if (!who.success) {
    const error = new OptaError('invalid-request', 'Invalid query', { details: who.error.issues });
    return refuse(socket, error, 'invalid query', 'missing-session');
  }
  const attached = new SocketAttachment(deps, socket, startOf(id.data, query, who.data, grant.right));
  // [WB3] What a page's key has opened ends with the key.
  const release = deps.auth.hold(
    grant,
    () => void refuse(socket, new OptaError('unauthorized', 'The key of this page has ended'), 'unauthorized'),
  );
  return {
    message: (text) => attached.message(text),
    drain: () => attached.drain(),
    closed: () => {
      release();
      attached.closed();
    },
  };
};

const WHO = ['role', 'clientId', 'writerId'] as const;

/** An empty parameter counts as absent. */
const given = (query: URLSearchParams, name: string): [string, string][] => {
  const value = query.get(name);
  return value === null || value === '' ? [] : [[name, value]];
};

/** [AC2] An observer's token makes an observer, whatever the URL says. */
const startOf = (
  sessionId: string,
  query: URLSearchParams,
  { role, clientId, writerId }: z.infer<typeof SocketWhoSchema>,
  right: Right,
): SocketStart => ({
  sessionId,
  afterSeq: cursorOf(query.get('afterSeq')),
  features: (query.get('features') ?? '').split(',').map((name) => name.trim()),
  looksOn: right === 'observer',
  who: {
    role: right === 'observer' ? 'observer' : (role ?? 'controller'),
    via: 'ws',
    ...(clientId === undefined ? {} : { clientId }),
    ...(writerId === undefined ? {} : { writerId }),
  },
});

/** `as`: the code whose close code is used, when the error's own has none. */
const refuse = (socket: Socket, error: OptaError, reason: string, as: ErrorCode = error.code): SocketEnd => {
  socket.send(JSON.stringify(errorBody(error)));
  socket.close(errorRow(as).close ?? 1011, reason);
  return CLOSED;
};
