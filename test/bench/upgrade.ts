import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

export interface Upgrade {
  port: number;
  path: string;
  token?: string;
}

/** A WebSocket as the bare connection, once the daemon has agreed to it. `rest` is what came right behind its answer. */
export const connectRaw = (options: Upgrade): Promise<{ socket: Socket; rest: Buffer }> =>
  new Promise((resolve, reject) => {
    const socket = connect(options.port, '127.0.0.1');
    socket.setNoDelay(true);
    socket.on('error', reject);
    const early = (): void => reject(new Error('closed before the upgrade'));
    socket.once('close', early);
    socket.once('connect', () => socket.write(upgradeOf(options)));
    let head: Buffer = Buffer.alloc(0);
    const onHead = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      socket.off('data', onHead);
      socket.off('close', early);
      if (!head.subarray(0, 12).equals(Buffer.from('HTTP/1.1 101'))) {
        socket.destroy();
        reject(new Error(`upgrade refused: ${head.subarray(0, end).toString()}`));
        return;
      }
      resolve({ socket, rest: head.subarray(end + 4) });
    };
    socket.on('data', onHead);
  });

export const upgradeOf = ({ port, path, token }: Upgrade): string =>
  [
    `GET ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    'Sec-WebSocket-Version: 13',
    ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
    '\r\n',
  ].join('\r\n');
