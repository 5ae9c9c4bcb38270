import { createHash } from 'node:crypto';
import { mkdirSync, realpathSync, statSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { OptaError } from '../protocol/errors.ts';

/**
 * One daemon for one data folder, for as long as the process lives.
 *
 * The lock is a listening socket, because the kernel gives it to exactly one process and takes it back however that process
 * ends: no stale file, no pid that was reused, no race between two that start at once. On Linux it is an abstract socket named
 * after the folder's device and inode; elsewhere a socket file, which a dead holder leaves behind and nobody answers on.
 * Whoever connects is told the holder's pid.
 */
export interface InstanceLock {
  release(): void;
}

const ASK_MS = 500;
const FILE = 'daemon.lock';

/** Throws `daemon-already-running`, with the holder's `pid` where it can be learnt, when another live process has the lock. */
export const acquireInstanceLock = async (folder: string, platform = process.platform): Promise<InstanceLock> => {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const name = platform === 'linux' ? abstractName(folder) : join(folder, FILE);
  let server = await listen(name);
  if (!server && platform !== 'linux' && (await holder(name)) === 'dead') {
    unlinkSync(name);
    server = await listen(name);
  }
  if (server) return { release: () => server.close() };
  const pid = await holder(name);
  const who = typeof pid === 'number' ? ` (pid ${pid})` : '';
  throw new OptaError('daemon-already-running', `A daemon already uses ${folder}${who}.`, typeof pid === 'number' ? { pid } : {});
};

const abstractName = (folder: string): string => {
  const { dev, ino } = statSync(realpathSync(folder));
  const user = process.getuid?.() ?? 0;
  return `\0opta-${createHash('sha256').update(`${user}:${dev}:${ino}`).digest('hex').slice(0, 32)}`;
};

const listen = (name: string): Promise<Server | null> =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(String(process.pid));
    });
    // The lock must not keep a process alive that has nothing else to do.
    server.unref();
    server.once('error', (cause: NodeJS.ErrnoException) =>
      cause.code === 'EADDRINUSE' ? resolve(null) : reject(new OptaError('storage', `The lock cannot be taken: ${cause.message}`)),
    );
    server.listen(name, () => resolve(server));
  });

const holder = (name: string): Promise<number | 'dead' | 'silent'> =>
  new Promise((resolve) => {
    const socket = connect(name);
    let text = '';
    const timer = setTimeout(() => {
      socket.destroy();
      resolve('silent');
    }, ASK_MS);
    const finish = (answer: number | 'dead' | 'silent'): void => {
      clearTimeout(timer);
      resolve(answer);
    };
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1').slice(0, 16);
    });
    socket.on('error', (cause: NodeJS.ErrnoException) => finish(cause.code === 'ECONNREFUSED' ? 'dead' : 'silent'));
    socket.on('close', () => finish(/^\d+$/.test(text) ? Number(text) : 'silent'));
  });
