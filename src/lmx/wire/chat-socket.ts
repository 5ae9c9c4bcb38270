import type { Clock } from '../../actors/ports.ts';
import type { Socket, SocketEnd } from '../../transport/port.ts';
import { LmxError, toLmxError } from '../errors.ts';
import type { Gateway } from '../gateway.ts';
import type { LmxLimits } from '../limits.ts';
import { clientName } from './caller.ts';
import { generateRequest, readChat } from './chat-schema.ts';
import { modelFor } from './model-for.ts';
import { type ClientFrame, clientIdOf, readFrame } from './socket-frames.ts';
import { errorFrame, ids, SocketRequest } from './socket-request.ts';

export interface ChatSocketWorld {
  gateway: Gateway;
  clock: Clock;
  limits: LmxLimits;
  onFault(where: string, fault: unknown): void;
  closing(): boolean;
}

export interface ChatSocketStart {
  /** False: the first frame has to bring the key. */
  isAllowed: boolean;
  /** The key of the socket is the admin key. */
  isAdmin: boolean;
  client: string | null;
  /** What a key that comes in a frame allows. */
  rightOf(token: string): { isAllowed: boolean; isAdmin: boolean };
}

const AUTH_FRAME_CHARS_MAX = 8_192;

/**
 * `/v1/chat/stream`: many requests on one socket. A frame that is wrong harms no other request; the socket is closed only when its
 * client is silent, too slow, without a key, or gone, and then everything that it asked for is cancelled.
 */
export class ChatSocket implements SocketEnd {
  readonly #world: ChatSocketWorld;
  readonly #socket: Socket;
  readonly #start: ChatSocketStart;
  readonly #requests = new Set<SocketRequest>();
  #isAllowed: boolean;
  #isAdmin: boolean;
  #paused = false;
  #closed = false;
  #idle: unknown;
  #slow: unknown;
  #late: unknown;

  constructor(world: ChatSocketWorld, socket: Socket, start: ChatSocketStart) {
    this.#world = world;
    this.#socket = socket;
    this.#start = start;
    this.#isAllowed = start.isAllowed;
    this.#isAdmin = start.isAdmin;
    const { clock, limits } = world;
    if (!this.#isAllowed) this.#late = clock.setTimeout(() => this.#refuse('no key in time'), limits.authMs);
    this.#rest();
  }

  message(text: string | null): void {
    let value: unknown;
    try {
      // Of somebody unknown nothing large is read.
      if (!this.#isAllowed && (text?.length ?? 0) > AUTH_FRAME_CHARS_MAX)
        return this.#refuse('the first frame is to bring the key');
      if (text === null) throw new LmxError('invalid_request', 'Frames are text.');
      value = parsed(text);
      this.#take(readFrame(value), value);
    } catch (cause) {
      if (!(cause instanceof LmxError)) this.#world.onFault('socket', cause);
      this.#send({ ...errorFrame(toLmxError(cause)), request_id: null, ...ids(clientIdOf(value)) });
    }
  }

  drain(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#world.clock.clearTimeout(this.#slow);
    for (const request of this.#requests) request.resume();
  }

  closed(): void {
    this.#closed = true;
    for (const timer of [this.#idle, this.#slow, this.#late]) this.#world.clock.clearTimeout(timer);
    // [LG3] Nobody reads it any more.
    for (const request of [...this.#requests]) request.cancel(false);
  }

  #take(frame: ClientFrame, value: unknown): void {
    if (frame.type === 'auth') return this.#auth(frame.token);
    if (!this.#isAllowed) return this.#refuse('the first frame is to bring the key');
    switch (frame.type) {
      case 'ping':
        return this.#send({ type: 'pong', ...(frame.t === undefined ? {} : { t: frame.t }) });
      case 'chat.cancel':
        return this.#cancel(frame.request_id ?? null, frame.client_request_id ?? null);
      case 'chat.request':
        return this.#request(frame, value);
    }
  }

  #auth(token: string): void {
    const { isAllowed, isAdmin } = this.#start.rightOf(token);
    if (!isAllowed) return this.#refuse('the key is not right');
    this.#isAllowed = true;
    this.#isAdmin ||= isAdmin;
    this.#world.clock.clearTimeout(this.#late);
  }

  #refuse(why: string): void {
    this.#isAllowed = false;
    this.#socket.close(4401, why);
  }

  #request(frame: ClientFrame & { type: 'chat.request' }, value: unknown): void {
    const { gateway, clock, limits } = this.#world;
    if (this.#world.closing()) throw new LmxError('shutting_down', 'The inference server is shutting down.');
    if (this.#requests.size >= limits.requestsPerSocketMax)
      throw new LmxError('too_many_requests', `More than ${limits.requestsPerSocketMax} requests on one socket.`, {
        retryAfterMs: limits.retryAfterMs,
      });
    const clientRequestId = frame.client_request_id ?? null;
    if (clientRequestId !== null && this.#find(null, clientRequestId))
      throw new LmxError('invalid_request', `The id ${JSON.stringify(clientRequestId)} is in use on this socket.`);
    const body = readChat(value);
    const model = modelFor(gateway, body.model);
    const request = new SocketRequest(
      {
        clientRequestId,
        model,
        stream: body.stream ?? true,
        incrementalTools: frame.incremental_tools ?? false,
      },
      {
        clock,
        keepaliveMs: limits.keepaliveMs,
        send: (out) => this.#send(out),
        over: (r) => this.#over(r),
      },
    );
    this.#requests.add(request);
    clock.clearTimeout(this.#idle);
    const priority = frame.priority === 'high' && this.#isAdmin ? 'high' : 'normal';
    const client = clientName(frame.client_id ?? this.#start.client ?? body.user);
    request.begin(
      gateway.submit(generateRequest(body, model), { client, priority, stream: body.stream ?? true }, request),
    );
    if (this.#paused) request.pause();
  }

  #cancel(requestId: string | null, clientRequestId: string | null): void {
    const request = this.#find(requestId, clientRequestId);
    if (request) return request.cancel(true);
    this.#send({
      ...errorFrame(new LmxError('request_not_found', 'There is no such request on this socket.')),
      request_id: requestId,
      ...ids(clientRequestId),
    });
  }

  #find(requestId: string | null, clientRequestId: string | null): SocketRequest | undefined {
    for (const r of this.#requests)
      if (requestId === null ? clientRequestId !== null && r.clientRequestId === clientRequestId : r.id === requestId)
        return r;
    return undefined;
  }

  #over(request: SocketRequest): void {
    this.#requests.delete(request);
    if (this.#requests.size === 0) this.#rest();
  }

  #send(frame: object): void {
    if (this.#closed) return;
    this.#socket.send(JSON.stringify(frame));
    if (!this.#paused && this.#socket.bufferedBytes() > this.#world.limits.backlogBytes) this.#pause();
  }

  #pause(): void {
    this.#paused = true;
    for (const request of this.#requests) request.pause();
    const { clock, limits } = this.#world;
    this.#slow = clock.setTimeout(() => this.#socket.close(1008, 'the client does not read'), limits.readerMs);
  }

  #rest(): void {
    const { clock, limits } = this.#world;
    clock.clearTimeout(this.#idle);
    if (this.#closed) return;
    this.#idle = clock.setTimeout(() => this.#socket.close(1000, 'idle'), limits.socketIdleMs);
  }
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw new LmxError('invalid_request', 'The frame is not JSON.');
  }
};
