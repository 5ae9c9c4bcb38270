import { closeSync, constants, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';

/** The reading end of a named pipe of which others may take over the reading. */
export interface NamedPipe {
  pause(): void;
  resume(): void;
  /** No writer is left and everything was read. */
  readonly ended: boolean;
  onEnd(then: () => void): void;
  /** Tells what was read and not told yet, and puts the beginning of a character that was parted beside the pipe. */
  leave(): void;
  destroy(): void;
}

/** `told` gets whole characters, in order. Throws when there is no such pipe. */
export const readNamedPipe = (path: string, told: (text: string) => void): NamedPipe => {
  const rest = `${path}.rest`;
  let open: Buffer = Buffer.alloc(0);
  if (existsSync(rest)) {
    open = readFileSync(rest);
    rmSync(rest);
  }
  // Not waited for: there is a writer, or there was one.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  // Linux tells of an end only to a reader in whose time there was a writer (poll(2), pipe_poll): here is one.
  closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
  const socket = socketOf(fd);
  let ended = false;
  let ends: (() => void)[] = [];

  const take = (piece: Buffer): void => {
    const all = open.length === 0 ? piece : Buffer.concat([open, piece]);
    const whole = all.length - openBytes(all);
    open = all.subarray(whole);
    if (whole > 0) told(all.toString('utf8', 0, whole));
  };
  socket.on('data', take);
  socket.on('error', () => undefined);
  socket.on('close', () => {
    if (ended) return;
    ended = true;
    if (open.length > 0) told(open.toString('utf8'));
    for (const then of ends) then();
    ends = [];
  });
  return {
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    get ended() {
      return ended;
    },
    onEnd: (then) => (ended ? then() : void ends.push(then)),
    leave() {
      if (ended) return;
      ended = true;
      socket.off('data', take).pause();
      for (let piece = socket.read(); piece !== null; piece = socket.read()) take(piece);
      if (open.length > 0) writeFileSync(rest, open, { mode: 0o600 });
      socket.destroy();
    },
    destroy() {
      ended = true;
      socket.destroy();
    },
  };
};

const socketOf = (fd: number): Socket => {
  try {
    return new Socket({ fd, readable: true, writable: false });
  } catch (cause) {
    closeSync(fd);
    throw cause;
  }
};

/** Bytes at the end that are the beginning of a character (RFC 3629). */
export const openBytes = (bytes: Uint8Array): number => {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    if ((byte & 0xc0) === 0x80) continue;
    const wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return wanted > back ? back : 0;
  }
  return 0;
};
