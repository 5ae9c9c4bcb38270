/**
 * What the SDK needs of the platform that it runs on: two small factories and a sign that a sleep may be over. Everything else
 * in this folder is the same in Node and in a browser.
 */
export interface DaemonAddress {
  host: string;
  port: number;
  token: string;
  /** `http` unless said otherwise; `https` only where something in front of the daemon ends TLS. */
  protocol?: 'http' | 'https';
}

export interface Platform {
  exchange: Exchange;
  openSocket: OpenSocket;
  /** Calls `wake` when the machine, the page or the network is back: a connection may be dead without a word. Returns the undo. */
  onWake(wake: () => void): () => void;
  close(): void;
}

/** One HTTP request. Rejects with `daemon-unreachable` when no answer begins; `body` throws it when the answer is cut. */
export type Exchange = (address: DaemonAddress, request: HttpRequest) => Promise<HttpAnswer>;

export interface HttpRequest {
  method: string;
  path: string;
  body?: string;
  signal: AbortSignal;
}

export interface HttpAnswer {
  status: number;
  header(name: string): string | null;
  /** Decoded text, in pieces as they arrive. */
  body: AsyncIterable<string>;
}

/** Opens a WebSocket at `path`, which holds everything but the token. Never throws: a failure is a `closed`. */
export type OpenSocket = (address: DaemonAddress, path: string, on: SocketEvents) => PlatformSocket;

export interface SocketEvents {
  opened(): void;
  received(text: string): void;
  /** The upgrade was answered with this HTTP status. Browsers do not say; `closed` follows either way. */
  refused(status: number): void;
  failed(message: string): void;
  closed(code: number, reason: string): void;
}

export interface PlatformSocket {
  /** The platform's own object, for clients that want it. */
  readonly raw: unknown;
  send(text: string): void;
  /** Says goodbye, and lets go if that is not answered. */
  close(): void;
  abort(): void;
  /** Absent where a socket cannot be held back; then it is closed, and reading goes on from the cursor. */
  pause?(): void;
  resume?(): void;
}

/** `host:port` as a URL has it. */
export const authority = ({ host, port }: Pick<DaemonAddress, 'host' | 'port'>): string =>
  `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;
