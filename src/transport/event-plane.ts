import { LIMITS } from '../actors/limits.ts';
import type { Attachment, Reader, Runtime } from '../actors/runtime.ts';
import { errorBody, errorRow, OptaError, toOptaError } from '../protocol/errors.ts';
import { SessionIdSchema } from '../protocol/ids.ts';
import type { Auth } from './auth.ts';
import type { Dispatch } from './dispatch.ts';
import { errorResponse } from './http-plane.ts';
import type { Access } from './origin.ts';
import type { RequestHead, Response, Socket, SocketEnd } from './port.ts';
import { type CommandFrame, echoOf, parseFrame, runCommand } from './socket-commands.ts';

export const SOCKET_PATH = '/v3/ws';

export interface EventPlaneDeps {
  runtime: Runtime;
  dispatch: Dispatch;
  auth: Auth;
  access: Access;
  closing(): boolean;
  /** Sockets open now. */
  sockets(): number;
  onFault(where: string, fault: unknown): void;
  now(): number;
}

/**
 * Upgrades are refused only for what a page could abuse or the daemon cannot carry; a bad token and a missing session are told on
 * the open socket, with a close code, because a browser hides the status of a refused upgrade from its page.
 */
export const eventPlane =
  (deps: EventPlaneDeps) =>
  (head: RequestHead): Response | ((socket: Socket) => SocketEnd) => {
    try {
      if (head.path.length + head.query.length > LIMITS.urlCharsMax)
        throw new OptaError('uri-too-long', 'URI too long');
      deps.access.check(head);
      if (head.path !== SOCKET_PATH) throw new OptaError('not-found', 'Not Found');
      if (deps.closing()) throw new OptaError('shutting-down', 'The daemon is shutting down');
      if (deps.sockets() >= LIMITS.attachmentsMax) throw new OptaError('too-many-requests', 'Too many sockets');
    } catch (fault) {
      const refusal = errorResponse(toOptaError(fault));
      return { ...refusal, headers: [...refusal.headers, ...deps.access.cors(head)] };
    }
    const query = new URLSearchParams(head.query);
    return (socket) => open(deps, head, query, socket);
  };

const CLOSED: SocketEnd = { message: () => undefined, drain: () => undefined, closed: () => undefined };

const open = (deps: EventPlaneDeps, head: RequestHead, query: URLSearchParams, socket: Socket): SocketEnd => {
  if (!deps.auth.socket(head, query)) {
    return refuse(socket, new OptaError('unauthorized', 'Unauthorized'), 'unauthorized');
  }
  const ids = query.getAll('sessionId');
  if (ids.length !== 1 || ids[0] === '') {
    return refuse(socket, new OptaError('missing-session', 'Missing sessionId query parameter'), 'missing session id');
  }
  const id = SessionIdSchema.safeParse(ids[0]);
  if (!id.success) {
    const error = new OptaError('missing-session', 'Invalid session id', { details: id.error.issues });
    return refuse(socket, error, 'invalid session id');
  }
  return new SocketAttachment(deps, socket, id.data, afterSeqOf(query));
};

const refuse = (socket: Socket, error: OptaError, reason: string): SocketEnd => {
  socket.send(JSON.stringify(errorBody(error)));
  socket.close(errorRow(error.code).close ?? 1011, reason);
  return CLOSED;
};

/** What is not a whole number counts as 0: existing clients send `NaN` after a frame without `seq`. */
const afterSeqOf = (query: URLSearchParams): number => {
  const text = query.get('afterSeq') ?? '';
  return /^\d{1,15}$/.test(text) ? Number(text) : 0;
};

/** One socket on one session: the runtime's reader on one side, commands on the other. */
class SocketAttachment implements SocketEnd, Reader {
  readonly #deps: EventPlaneDeps;
  readonly #socket: Socket;
  readonly #sessionId: string;
  #attachment: Attachment | null = null;
  #unanswered = 0;
  #open = true;

  constructor(deps: EventPlaneDeps, socket: Socket, sessionId: string, afterSeq: number) {
    this.#deps = deps;
    this.#socket = socket;
    this.#sessionId = sessionId;
    try {
      const attachment = deps.runtime.attach(sessionId, afterSeq, this);
      // The runtime may have closed this end before it gave the attachment out.
      if (this.#open) this.#attachment = attachment;
      else attachment.detach();
    } catch (fault) {
      if (!(fault instanceof OptaError)) deps.onFault('attach', fault);
      const error = fault instanceof OptaError ? fault : new OptaError('internal', 'Internal error');
      this.close(error.code, error.message);
    }
  }

  // --- what the runtime calls

  send(frame: string): void {
    if (this.#open) this.#socket.send(frame);
  }

  bufferedBytes(): number {
    return this.#socket.bufferedBytes();
  }

  warn(code: OptaError['code'], message: string): void {
    this.#error(new OptaError(code, message));
  }

  close(code: OptaError['code'], message: string): void {
    if (!this.#open) return;
    // A stop is not a failure of this client's doing: it finds the next daemon by itself.
    if (code !== 'shutting-down') this.#error(new OptaError(code, message));
    this.#finish();
    this.#socket.close(closeCode(code), code);
  }

  // --- what the socket calls

  message(text: string | null): void {
    if (!this.#open) return;
    let frame: ReturnType<typeof parseFrame>;
    try {
      frame = parseFrame(text);
    } catch (fault) {
      this.#error(toOptaError(fault));
      return;
    }
    if (frame.type === 'hello') return;
    if (frame.type === 'ping') this.#heartbeat(frame.requestId);
    else if (this.#unanswered >= LIMITS.socketCommandsMax) this.#tooMany(frame);
    else this.#run(frame);
  }

  #tooMany(frame: CommandFrame): void {
    const text = `More than ${LIMITS.socketCommandsMax} commands of this socket wait for an answer`;
    this.#error(new OptaError('too-many-requests', text, echoOf(frame)));
  }

  #run(frame: CommandFrame): void {
    this.#unanswered += 1;
    void runCommand(this.#deps.dispatch, frame).then((answer) => {
      this.#unanswered -= 1;
      if (this.#open) this.#socket.send(JSON.stringify(answer));
    });
  }

  drain(): void {
    this.#attachment?.drained();
  }

  closed(): void {
    this.#finish();
  }

  #finish(): void {
    this.#open = false;
    const attachment = this.#attachment;
    this.#attachment = null;
    attachment?.detach();
  }

  #error(error: OptaError): void {
    if (this.#open) this.#socket.send(JSON.stringify(errorBody(error)));
  }

  /**
   * Shaped for the clients that exist: `event` because one of them shows any other frame as a card, the socket's own cursor as
   * `seq` because another takes the largest `seq` it sees as its cursor, and no `payload`, so that none takes it for a record.
   */
  #heartbeat(requestId: string | undefined): void {
    const frame = {
      type: 'heartbeat',
      event: 'heartbeat',
      sessionId: this.#sessionId,
      seq: this.#attachment?.cursor ?? 0,
      ts: new Date(this.#deps.now()).toISOString(),
      ...(requestId === undefined ? {} : { requestId }),
    };
    this.#socket.send(JSON.stringify(frame));
  }
}

/** 1001 going away, 1013 try again later, 1011 internal; or the table's own code. */
const closeCode = (code: OptaError['code']): number => {
  const row = errorRow(code);
  if (row.close !== undefined) return row.close;
  if (code === 'shutting-down') return 1001;
  return row.retryable ? 1013 : 1011;
};
