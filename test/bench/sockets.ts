import type { Socket } from 'node:net';
import { connectRaw, type Upgrade } from './upgrade.ts';

export const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);

export interface Received {
  atUs: number;
  bytes: Buffer;
}

/**
 * A WebSocket client that costs next to nothing while it is measured: it keeps what arrives, with the time, and is read
 * afterwards. Client, source and daemon share the cores, so a client that parsed each frame would be what is measured.
 */
export interface BenchSocket {
  readonly received: Received[];
  readonly bytes: number;
  /** Resolves with the time when the bytes `marker` have arrived. */
  until(marker: string, deadlineMs: number): Promise<number>;
  /** Resolves with the time when `count` bytes have arrived since the upgrade. */
  untilBytes(count: number, deadlineMs: number): Promise<number>;
  close(): void;
}

export interface SocketOptions extends Upgrade {
  /** False: bytes are counted and forgotten. */
  keep?: boolean;
}

interface Wait {
  done: (bytes: Buffer, total: number) => boolean;
}

export const openSocket = async (options: SocketOptions): Promise<BenchSocket> => {
  const { socket, rest } = await connectRaw(options);
  const open = new OpenSocket(socket, options.keep !== false);
  open.take(rest);
  return open;
};

/** Longest marker that may lie across two chunks. */
const OVERLAP = 64;

class OpenSocket implements BenchSocket {
  readonly received: Received[] = [];
  bytes = 0;
  readonly #socket: Socket;
  readonly #keep: boolean;
  #wait: Wait | null = null;
  #tail: Buffer = Buffer.alloc(0);

  constructor(socket: Socket, keep: boolean) {
    this.#socket = socket;
    this.#keep = keep;
    socket.on('data', (chunk) => this.take(chunk));
    socket.on('error', () => socket.destroy());
  }

  take(chunk: Buffer): void {
    if (chunk.length === 0) return;
    if (this.#keep) this.received.push({ atUs: nowUs(), bytes: chunk });
    this.bytes += chunk.length;
    if (this.#wait?.done(chunk, this.bytes)) this.#wait = null;
  }

  until(marker: string, deadlineMs: number): Promise<number> {
    const wanted = Buffer.from(marker);
    const before = this.received.find(({ bytes }) => bytes.includes(wanted));
    if (before) return Promise.resolve(before.atUs);
    return this.#waitFor(`"${marker}"`, deadlineMs, (chunk) => {
      const found = chunk.includes(wanted) || Buffer.concat([this.#tail, chunk.subarray(0, OVERLAP)]).includes(wanted);
      this.#tail = Buffer.from(chunk.subarray(-OVERLAP));
      return found;
    });
  }

  untilBytes(count: number, deadlineMs: number): Promise<number> {
    if (this.bytes >= count) return Promise.resolve(nowUs());
    return this.#waitFor(`${count} bytes`, deadlineMs, (_chunk, total) => total >= count);
  }

  #waitFor(what: string, deadlineMs: number, met: (chunk: Buffer, total: number) => boolean): Promise<number> {
    this.#tail = Buffer.alloc(0);
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`${what} did not arrive within ${deadlineMs} ms; ${this.bytes} bytes did`)),
        deadlineMs,
      );
      this.#wait = {
        done: (chunk, total) => {
          if (!met(chunk, total)) return false;
          clearTimeout(late);
          resolve(nowUs());
          return true;
        },
      };
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}
