import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { upgradeOf } from '../bench/upgrade.ts';

/** Bytes to a daemon, with no client in between that would keep to the rules. */
export interface Talk {
  /** All that came, as Latin-1. */
  text: string;
  /** The daemon ended the connection. */
  closed: boolean;
}

const TALK_MS = 8_000;

/** Sends the parts one after another and takes what comes until the daemon closes, `enough` holds, or `waitMs` are over. */
export const talk = (
  port: number,
  parts: readonly (string | Uint8Array)[],
  { waitMs = TALK_MS, enough = () => false }: { waitMs?: number; enough?: (text: string) => boolean } = {},
): Promise<Talk> =>
  new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => {
      for (const part of parts) socket.write(part);
    });
    const finish = (closed: boolean): void => {
      clearTimeout(late);
      socket.destroy();
      resolve({ text, closed });
    };
    const late = setTimeout(() => finish(false), waitMs);
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (enough(text)) finish(false);
    });
    socket.on('error', () => finish(true));
    socket.on('end', () => finish(true));
    socket.on('close', () => finish(true));
  });

/**
 * The same on an open socket: the parts follow once the daemon has agreed to the upgrade, as the standard wants it ([RFC 6455] 4.1).
 */
export const talkSocket = async (
  port: number,
  open: string,
  parts: readonly Uint8Array[],
  { waitMs = TALK_MS, enough = () => false }: { waitMs?: number; enough?: (text: string) => boolean } = {},
): Promise<Talk> => {
  const socket = await dial(port);
  const said: Talk = { text: '', closed: false };
  socket.on('data', (bytes) => {
    said.text += bytes.toString('latin1');
  });
  for (const name of ['end', 'close'] as const) {
    socket.on(name, () => {
      said.closed = true;
    });
  }
  const end = performance.now() + waitMs;
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds() && !said.closed && performance.now() < end) await sleep(5);
  };
  socket.write(open);
  await until(() => said.text.includes('\r\n\r\n'));
  for (const part of parts) socket.write(part);
  await until(() => enough(said.text));
  socket.destroy();
  return said;
};

/** Until one of these happens on a connection, or `waitMs` are over; false: they were over. */
export const happens = (socket: Socket, names: readonly string[], waitMs = TALK_MS): Promise<boolean> =>
  new Promise((resolve) => {
    const finish = (came: boolean) => (): void => {
      clearTimeout(late);
      for (const name of names) socket.off(name, yes);
      resolve(came);
    };
    const yes = finish(true);
    const late = setTimeout(finish(false), waitMs);
    for (const name of names) socket.on(name, yes);
    if (socket.destroyed) yes();
  });

/** Opens a socket and waits for the daemon's word on it. */
export const openSocket = async (port: number, open: string): Promise<Socket> => {
  const socket = await dial(port);
  socket.write(open);
  await happens(socket, ['readable', 'close']);
  return socket;
};

export const statusOf = (text: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);

/** Opens a connection and leaves it to the caller. Errors only end it. */
export const dial = (port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      socket.on('error', () => socket.destroy());
      resolve(socket);
    });
  });

export interface Door {
  port: number;
  token: string;
}

/** A request's head up to and with the empty line. */
export const head = ({ port, token }: Door, line: string, more = '', host = `127.0.0.1:${port}`): string =>
  `${line} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n${more}\r\n`;

/** Without more of a query: attached far ahead of the log, so that nothing comes. */
export const upgrade = ({ port, token }: Door, sessionId: string, more = 'afterSeq=1000000'): string =>
  upgradeOf({ port, token, path: `/v3/ws?sessionId=${sessionId}&${more}` });

/** A client's frame. The mask is zeros, which leave the payload as it is. `length` lies about it. */
export const frame = (
  first: number,
  payload: string | Uint8Array = '',
  { masked = true, length }: { masked?: boolean; length?: bigint } = {},
): Buffer => {
  const bytes = Buffer.from(payload);
  const mask = masked ? 0x80 : 0;
  const told = length ?? BigInt(bytes.length);
  const size = Buffer.alloc(told < 126n ? 1 : told < 65_536n ? 3 : 9);
  if (size.length === 1) size[0] = Number(told) | mask;
  else if (size.length === 3) {
    size[0] = 126 | mask;
    size.writeUInt16BE(Number(told), 1);
  } else {
    size[0] = 127 | mask;
    size.writeBigUInt64BE(told, 1);
  }
  return Buffer.concat([Buffer.from([first]), size, Buffer.alloc(masked ? 4 : 0), bytes]);
};

/** Runs `count` pieces of work, so many at once. */
export const inTurn = async (count: number, atOnce: number, run: (i: number) => Promise<void>): Promise<void> => {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await run(next++);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, lane));
};

export { sleep };
