/**
 * The transport port: what an adapter offers and what it calls. Two adapters stand behind it, and one contract suite runs on
 * both, so nothing here knows which library carries the bytes.
 *
 * Rules for adapters
 * 1. Everything handed to a handler is copied; a handler may keep it.
 * 2. [EV2] A frame given to `send` reaches the peer in order, or the socket is closed. It is never skipped in silence.
 * 3. A handler that throws ends its own connection and no other; the fault goes to `onFault`.
 * 4. Nothing calls into a connection after its end: `reply`, `send` and `close` are then without effect.
 */
export interface RequestHead {
  /** Upper case. */
  method: string;
  /** As sent: not decoded, without the query. */
  path: string;
  /** As sent, without the question mark. */
  query: string;
  /** Names in lower case. A header sent twice is joined with `, `, so that it never passes a check made for one value. */
  headers: ReadonlyMap<string, string>;
}

export interface Response {
  status: number;
  headers: readonly (readonly [name: string, value: string])[];
  /** The adapter leaves it out for HEAD, 204 and 304. */
  body: string;
}

/** One request and its answer. */
export interface Exchange {
  /**
   * Collects the body. Must be called before the `http` handler returns, else the body is discarded. `done` is called at most
   * once, and never after the client went away. `too-large`: above `bytesMax`; `busy`: all bodies together are above their bound.
   */
  body(bytesMax: number, done: (body: Uint8Array | 'too-large' | 'busy') => void): void;
  /** The first answer counts. `close` ends the connection after it. */
  reply(response: Response, close?: boolean): void;
  /**
   * Answers with a body of unknown length, as an event stream needs. Counts as the answer: nothing but the stream can follow it.
   * The head leaves with the first text at the latest, since uWebSockets.js cannot end a head without one: whoever has nothing to
   * say yet writes something that means nothing in its format, such as a comment. Null when there is nobody to write to: the client
   * has gone, or asked for the head alone (HEAD).
   */
  stream(head: Omit<Response, 'body'>, end: StreamEnd): ResponseStream | null;
  /** `told` is called once when the client goes away before it has an answer, and at once when it is gone already. */
  whenGone(told: () => void): void;
}

/** The body of one answer, for as long as it takes. A stream whose backlog is above `socketBytesMax` is cut. */
export interface ResponseStream {
  write(text: string): void;
  /** Bytes given to `write` that the peer's side has not taken. Once it was seen above 0, a `drain` follows when it fell. */
  bufferedBytes(): number;
  /** The end of the body: what was written before is delivered first, if the peer takes it. */
  end(): void;
  /** Ends the connection in mid-body, so that the client sees a failure and not an end. */
  cut(): void;
}

/** The handlers of one open stream. */
export interface StreamEnd {
  drain(): void;
  /** Called exactly once: the client went away, or the body has ended. */
  closed(): void;
}

export interface Socket {
  send(text: string): void;
  /** Bytes given to `send` that the peer's side has not taken. Once it was seen above 0, a `drain` follows when it fell. */
  bufferedBytes(): number;
  /** What was sent before is delivered first, if the peer takes it. `reason` is at most 123 bytes. */
  close(code: number, reason: string): void;
}

/** The handlers of one open socket. */
export interface SocketEnd {
  /** `null` for a binary message, which no part of the protocol uses. */
  message(text: string | null): void;
  drain(): void;
  /** Called exactly once. */
  closed(code: number, reason: string): void;
}

/** What to do with an open socket, and the subprotocol of its offer that is answered; without one none is. */
export interface Accepted {
  open(socket: Socket): SocketEnd;
  protocol?: string;
}

export interface TransportHandlers {
  http(head: RequestHead, exchange: Exchange): void;
  /** A refusal, or what to do with the open socket. */
  upgrade(head: RequestHead): Response | Accepted;
  onFault(where: string, fault: unknown): void;
}

export interface TransportBounds {
  /** Largest inbound message; a larger one closes its socket. */
  frameBytesMax: number;
  bodiesBytesMax: number;
  /** A socket whose backlog is above this when more is sent is closed with `slow-reader`; a stream is cut. */
  socketBytesMax: number;
  /** A socket without any sign of life, pongs included, is closed. */
  socketIdleMs: number;
}

export interface TransportUsage {
  /** Connections held. An adapter that cannot see idle ones counts those that are at work. */
  connections: number;
  sockets: number;
  exchanges: number;
  bodiesBytes: number;
  /** Sockets and streams closed because they took too little. */
  slowClosed: number;
}

export interface Transport {
  /** The port that was bound (0 asks for any), or null when it is taken. Never shares a port with another process. */
  listen(host: string, port: number): Promise<number | null>;
  /** Stops listening, lets answers and backlogs out until the deadline, then cuts what is left. Sockets get 1001. */
  close(deadlineMs: number): Promise<void>;
  usage(): TransportUsage;
}

export interface TransportAdapter {
  name: 'uws' | 'ws';
  /** Why this one carries the planes; shown by health, `doctor` and the log. */
  why: string;
  create(handlers: TransportHandlers, bounds: TransportBounds): Transport;
}
