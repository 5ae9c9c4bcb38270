import type { Socket as NetSocket } from 'node:net';
import type { WebSocket } from 'ws';
import { errorRow } from '../../protocol/errors.ts';
import { Outbox } from '../outbox.ts';
import type { Socket, SocketEnd } from '../port.ts';
import type { FrameCache } from './frames.ts';

const SLOW = { code: errorRow('slow-reader').close ?? 4008, reason: 'slow-reader' };
/** For a closing handshake whose backlog has left; the peer has everything by then. */
const HANDSHAKE_MS = 200;

export interface SocketPool {
  live: Set<WsSocket>;
  /** Closed for the plane; what was sent before is still on its way. */
  leaving: Set<WsSocket>;
  bytesMax: number;
  idleMs: number;
  slowClosed: number;
  frames: FrameCache;
  onFault(where: string, fault: unknown): void;
}

/**
 * One socket. The library reads, checks and closes; text frames are built here and written past it, a turn's frames in one write.
 * That is safe because both write whole frames and the library, without compression, keeps none back.
 *
 * [EV2] The kernel is given everything in order, and what it does not take waits in Node, which skips nothing. A socket above its
 * budget is closed with a reason, so its client resumes from its cursor.
 */
export class WsSocket implements Socket {
  end: SocketEnd | null = null;
  readonly #ws: WebSocket;
  readonly #net: NetSocket;
  readonly #pool: SocketPool;
  readonly #out = new Outbox(() => this.#flush());
  #open = true;
  #watched = false;
  #closedAt = 0;
  #bytesRead = 0;
  #seenAt = performance.now();

  constructor(ws: WebSocket, net: NetSocket, pool: SocketPool) {
    this.#ws = ws;
    this.#net = net;
    this.#pool = pool;
    pool.live.add(this);
    ws.on('message', (data, isBinary) => {
      if (this.#open) this.#guard('message', () => this.end?.message(isBinary ? null : data.toString()));
    });
    ws.on('close', (code, reason) => {
      this.#leave(code, reason.toString());
      pool.leaving.delete(this);
    });
    // The library closes with the code that fits; nothing may follow its close frame.
    ws.on('error', (fault: Error & { code?: string }) => {
      this.#leave(fault.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 1009 : 1002, fault.message);
    });
  }

  send(text: string): void {
    if (!this.#open) return;
    if (this.#backlog() <= this.#pool.bytesMax) this.#out.put(text);
    else {
      this.#pool.slowClosed += 1;
      this.#out.take();
      this.close(SLOW.code, SLOW.reason);
    }
  }

  bufferedBytes(): number {
    const bytes = this.#open ? this.#backlog() : 0;
    if (bytes > 0) this.#watched = true;
    return bytes;
  }

  /** The library waits `closeTimeout` for the peer's answer, and then cuts. */
  close(code: number, reason: string): void {
    if (!this.#open) return;
    this.#flush();
    this.#ws.close(code, reason);
    this.#leave(code, reason);
  }

  cut(): void {
    this.#ws.terminate();
  }

  /** Whether a stop should wait for this closed socket: its backlog, and a moment for its handshake. */
  isOwed(now: number): boolean {
    return this.#net.writableLength > 0 || now - this.#closedAt < HANDSHAKE_MS;
  }

  /** Called every now and then: pings a socket that is silent for half its time, and cuts one that is silent for all of it. */
  checkAlive(now: number): void {
    if (this.#net.bytesRead !== this.#bytesRead) {
      this.#bytesRead = this.#net.bytesRead;
      this.#seenAt = now;
    }
    const silentMs = now - this.#seenAt;
    if (silentMs >= this.#pool.idleMs) this.cut();
    else if (silentMs >= this.#pool.idleMs / 2) this.#ws.ping();
  }

  #leave(code: number, reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    this.#closedAt = performance.now();
    this.#out.take();
    this.#pool.live.delete(this);
    this.#pool.leaving.add(this);
    this.#guard('closed', () => this.end?.closed(code, reason));
  }

  #backlog(): number {
    return this.#out.bytes + this.#net.writableLength;
  }

  #flush(): void {
    const texts = this.#out.take();
    // The peer's close frame may be answered already, and nothing follows that.
    if (!this.#open || texts.length === 0 || this.#ws.readyState !== this.#ws.OPEN) return;
    this.#net.write(this.#pool.frames.framesOf(texts), this.#written);
  }

  /** The kernel has taken a batch. */
  readonly #written = (): void => {
    if (!this.#open || !this.#watched) return;
    this.#watched = false;
    this.#guard('drain', () => this.end?.drain());
  };

  #guard(where: string, run: () => void): void {
    try {
      run();
    } catch (fault) {
      this.#pool.onFault(where, fault);
      this.close(1011, 'internal');
    }
  }
}
