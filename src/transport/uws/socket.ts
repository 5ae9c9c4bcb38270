import type { WebSocket } from 'uWebSockets.js';
import { errorRow } from '../../protocol/errors.ts';
import { Outbox } from '../outbox.ts';
import type { Socket, SocketEnd } from '../port.ts';

const DROPPED = 2;
const SLOW = { code: errorRow('slow-reader').close ?? 4008, reason: 'slow-reader' };

export interface SocketPool {
  live: Set<UwsSocket>;
  bytesMax: number;
  slowClosed: number;
  onFault(where: string, fault: unknown): void;
}

/**
 * One socket. Frames of one turn of the event loop leave together in one write.
 *
 * [EV2] The library skips frames of a slow peer in silence by default. Here it never can: its own bound is far above ours, each
 * frame's result is looked at, and a socket above its budget is closed with a reason, so its client resumes from its cursor.
 */
export class UwsSocket implements Socket {
  /** Set by the adapter once the plane has said what to do with the socket. */
  end: SocketEnd | null = null;
  readonly #pool: SocketPool;
  #ws: WebSocket<unknown> | null;
  readonly #out = new Outbox(() => this.#flush());
  /** What the library held when the first frame of the turn came: it changes only when we write or the event loop turns. */
  #heldBytes = 0;
  #watched = false;
  /** Close code and reason that wait for the backlog to leave. */
  #last: { code: number; reason: string } | null = null;

  constructor(ws: WebSocket<unknown>, pool: SocketPool) {
    this.#ws = ws;
    this.#pool = pool;
    pool.live.add(this);
  }

  send(text: string): void {
    if (!this.#ws || this.#last) return;
    if (this.#backlog(this.#ws) > this.#pool.bytesMax) this.#tooSlow();
    else this.#out.put(text);
  }

  bufferedBytes(): number {
    if (!this.#ws) return 0;
    const bytes = this.#backlog(this.#ws);
    if (bytes > 0) this.#watched = true;
    return bytes;
  }

  close(code: number, reason: string): void {
    if (!this.#ws) return;
    this.#flush();
    this.#ws?.end(code, reason);
  }

  /** Closes once the backlog has left; `cut` ends the wait. */
  closeWhenDrained(code: number, reason: string): void {
    if (!this.#ws || this.#last) return;
    this.#flush();
    if (!this.#ws) return;
    if (this.#ws.getBufferedAmount() === 0) this.#ws.end(code, reason);
    else this.#last = { code, reason };
  }

  cut(): void {
    this.#ws?.close();
  }

  /**
   * The peer took something. The plane is told a turn later and never inside the library's callback: a large frame that is cut
   * short there is forgotten, since the library then stops waiting for the socket to become writable, and its rest never leaves.
   */
  drained(): void {
    if (!this.#ws) return;
    if (this.#last) {
      if (this.#ws.getBufferedAmount() === 0) this.#ws.end(this.#last.code, this.#last.reason);
      return;
    }
    setImmediate(this.#tellDrained);
  }

  readonly #tellDrained = (): void => {
    if (!this.#ws || this.#last) return;
    this.#watched = false;
    this.#guard('drain', () => this.end?.drain());
  };

  closed(code: number, reason: string): void {
    if (!this.#ws) return;
    this.#ws = null;
    this.#out.take();
    this.#pool.live.delete(this);
    this.#guard('closed', () => this.end?.closed(code, reason));
  }

  message(text: string | null): void {
    if (this.#ws && !this.#last) this.#guard('message', () => this.end?.message(text));
  }

  /** [SV3] The library answers pings by itself. What its peer does not take of them counts like everything else. */
  answeredPing(): void {
    if (this.#ws && !this.#last && this.#backlog(this.#ws) > this.#pool.bytesMax) this.#tooSlow();
  }

  #backlog(ws: WebSocket<unknown>): number {
    if (this.#out.empty) this.#heldBytes = ws.getBufferedAmount();
    return this.#out.bytes + this.#heldBytes;
  }

  #flush(): void {
    const ws = this.#ws;
    const batch = this.#out.take();
    if (!ws || batch.length === 0) return;
    let dropped = false;
    const [only] = batch;
    if (batch.length === 1 && only !== undefined) dropped = ws.send(only) === DROPPED;
    else {
      ws.cork(() => {
        for (const text of batch) {
          dropped = ws.send(text) === DROPPED;
          if (dropped) return;
        }
      });
    }
    if (dropped) this.#tooSlow();
    // Whoever saw a backlog waits for its end, and the library speaks up only about what it had to keep.
    else if (this.#watched && this.#ws && this.#ws.getBufferedAmount() === 0) this.#tellDrained();
  }

  #tooSlow(): void {
    this.#pool.slowClosed += 1;
    this.#out.take();
    this.#ws?.end(SLOW.code, SLOW.reason);
  }

  #guard(where: string, run: () => void): void {
    try {
      run();
    } catch (fault) {
      this.#pool.onFault(where, fault);
      this.#ws?.end(1011, 'internal');
    }
  }
}
