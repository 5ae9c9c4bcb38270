import { Agent, type IncomingMessage, request } from 'node:http';
import { WebSocket } from 'ws';
import { OptaError } from '../protocol/errors.ts';
import { authority, type DaemonAddress, type Exchange, type OpenSocket, type Platform } from './platform.ts';

const CONNECT_DEADLINE_MS = 5_000;
const FRAME_BYTES_MAX = 256 << 20;
/** ws waits 30 s for the answer to a goodbye, and keeps the process alive meanwhile. */
const GOODBYE_MS = 500;

/** Node: an agent that keeps connections, and `ws`, which can send the token in a header ([AC1]: a URL ends up in logs). */
export const nodePlatform = (): Platform => {
  // A connection that idles is given up before the daemon does so: a request must not meet it while it is being closed.
  const agent = new Agent({ keepAlive: true, maxSockets: 8, timeout: 3_000 });
  return {
    exchange: (address, request) => exchangeOver(agent)(address, request),
    openSocket: openNodeSocket,
    onWake: () => () => undefined,
    close: () => agent.destroy(),
  };
};

const exchangeOver =
  (agent: Agent): Exchange =>
  (address, { method, path, body, signal }) =>
    new Promise((resolve, reject) => {
      const { host, port } = address;
      const headers = {
        authorization: `Bearer ${address.token}`,
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      };
      const req = request({ host, port, method, path, agent, headers, signal });
      req.on('error', (cause: NodeJS.ErrnoException) => reject(unreachable(address, cause)));
      req.on('response', (res) => {
        const header = (name: string): string | null => res.headers[name]?.toString() ?? null;
        resolve({ status: res.statusCode ?? 0, header, body: textOf(res) });
      });
      req.end(body);
    });

const unreachable = (address: DaemonAddress, cause: NodeJS.ErrnoException): OptaError =>
  new OptaError('daemon-unreachable', `The daemon at ${authority(address)} does not answer: ${cause.message}`, {
    ...(cause.code === undefined ? {} : { cause: cause.code }),
  });

async function* textOf(res: IncomingMessage): AsyncIterable<string> {
  res.setEncoding('utf8');
  try {
    for await (const part of res) yield part as string;
  } catch (cause) {
    throw new OptaError('daemon-unreachable', `The connection broke in the middle of an answer: ${String(cause)}`);
  }
}

export const openNodeSocket: OpenSocket = (address, path, on) => {
  const socket = new WebSocket(`ws://${authority(address)}${path}`, {
    headers: { authorization: `Bearer ${address.token}` },
    perMessageDeflate: false,
    handshakeTimeout: CONNECT_DEADLINE_MS,
    maxPayload: FRAME_BYTES_MAX,
    followRedirects: false,
  });
  socket.on('open', () => on.opened());
  socket.on('message', (data) => on.received(data.toString()));
  socket.on('unexpected-response', (_req, res) => {
    res.resume();
    on.refused(res.statusCode ?? 0);
    socket.terminate();
  });
  socket.on('error', (cause) => on.failed(cause.message));
  socket.on('close', (code, reason) => on.closed(code, reason.toString()));
  return {
    raw: socket,
    send: (text) => socket.send(text),
    close: () => {
      if (socket.readyState !== WebSocket.OPEN) {
        socket.terminate();
        return;
      }
      socket.resume();
      socket.close(1000);
      setTimeout(() => socket.terminate(), GOODBYE_MS).unref();
    },
    abort: () => socket.terminate(),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
  };
};
