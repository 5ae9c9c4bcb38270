import { createServer, type IncomingMessage, request, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Duplex, pipeline } from 'node:stream';
import { type ErrorCode, errorBody, errorRow, OptaError, toOptaError } from '../protocol/errors.ts';

/** Where the daemon is now; throws `daemon-unreachable` when there is none. */
export type FindDaemon = (again: boolean) => Promise<{ host: string; port: number }>;

export interface Relay {
  port: number;
  /** Stops listening and ends every connection. */
  close(): Promise<void>;
}

/** The daemon answers for its own bounds; these are what the relay itself may cost. */
const CONNECTIONS_MAX = 1_024;
const HEAD_MS = 10_000;
const CONNECT_MS = 5_000;
/** For the rest of a body that the daemon did not want. */
const REST_MS = 5_000;

/** For one hop only (RFC 9110, 7.6.1); each side of the relay has its own. */
const HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'te', 'trailer', 'upgrade']);

/**
 * A second port of the running daemon. Everything passes as it is, streams and sockets too, nothing is kept, and a side that goes
 * away takes the other one along: so a request that its client leaves is left at the daemon as well. It has no rights of its own:
 * the token is the daemon's, and is checked there.
 */
export const startRelay = async (
  host: string,
  port: number,
  find: FindDaemon,
  /** Header lines of the relay's own, for requests that do not have them. */
  also: { readonly [name: string]: string } = {},
): Promise<Relay> => {
  const server = createServer({ headersTimeout: HEAD_MS, requireHostHeader: false });
  server.maxConnections = CONNECTIONS_MAX;
  // An answer takes as long as its turn, and a body as long as its sender: the daemon bounds both.
  server.requestTimeout = 0;
  const open = new Set<Duplex>();
  const own = (): number => (server.address() as AddressInfo).port;
  server.on('connection', (socket) => {
    if (open.has(socket)) return;
    open.add(socket);
    socket.on('close', () => open.delete(socket));
  });
  server.on('request', (req, res) => {
    exchange(req, res, own(), find, also).catch((fault: unknown) => refuse(res, fault));
  });
  server.on('upgrade', (req, socket, head) => {
    if (!isHandshake(req)) return replay(server, req, socket, head);
    socket.on('error', () => socket.destroy());
    upgrade(req, socket, head, own(), find).catch((fault: unknown) => {
      const { status, body } = refusal(fault);
      socket.end(`${headOf(status, STATUS_CODES[status], refusalHead(body))}${body}`);
    });
  });
  await listen(server, host, port);
  return {
    port: own(),
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        for (const socket of open) socket.destroy();
      }),
  };
};

const listen = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (fault: NodeJS.ErrnoException) => {
      const taken = fault.code === 'EADDRINUSE' || fault.code === 'EACCES';
      const why = taken
        ? `Port ${port} of ${host} is ${fault.code === 'EACCES' ? 'not allowed' : 'in use'}`
        : fault.message;
      reject(new OptaError(taken ? 'no-port' : 'internal', why));
    });
    server.listen({ host, port, exclusive: true }, () => {
      // A connection that could not be accepted ends nothing else.
      server.removeAllListeners('error').on('error', () => undefined);
      resolve();
    });
  });

const isHandshake = ({ method, headers }: IncomingMessage): boolean =>
  method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket' && !hasBody(headers);

/**
 * Node takes every request that mentions an upgrade out of HTTP. One to a protocol that is not spoken here, as some clients ask for
 * HTTP/2 with each request, is answered as if it had not asked: it goes in again without the words that led it here.
 */
const replay = (server: Server, req: IncomingMessage, socket: Duplex, rest: Buffer): void => {
  const kept = lines(req).filter(([name]) => !/^(?:connection|upgrade)$/i.test(name));
  const head = [
    `${req.method} ${req.url} HTTP/${req.httpVersion}`,
    ...kept.map(([name, value]) => `${name}: ${value}`),
  ];
  socket.unshift(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), rest]));
  // Node adds its own once more, and not each of its versions takes all of them away before.
  for (const name of ['timeout', 'pause', 'resume']) socket.removeAllListeners(name);
  server.emit('connection', socket);
};

const hasBody = (headers: IncomingMessage['headers']): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/** Whether the body comes in chunks. Throws for an encoding that is not undone here: the daemon would be told of none. */
const isChunked = ({ 'transfer-encoding': encoding }: IncomingMessage['headers']): boolean => {
  if (encoding === undefined || encoding.toLowerCase() === 'chunked') return encoding !== undefined;
  throw new OptaError('invalid-request', 'Of the transfer encodings only chunked is understood');
};

const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::(\d{1,5}))?$/i;

/** [AC1] The daemon's check of `Host`, made here because it is this port that a page could have been bound to. */
const checkHost = (req: IncomingMessage, port: number): void => {
  // Of two, Node shows the first one only.
  const hosts = lines(req).filter(([name]) => name.toLowerCase() === 'host');
  const named = hosts.length === 1 ? LOOPBACK_HOST.exec(hosts[0]?.[1] ?? '') : null;
  if (named && Number(named[1] ?? 80) === port) return;
  throw new OptaError('forbidden-host', 'Forbidden: the Host header does not name this server');
};

/** Header lines as they came, one after another, without those that `drop` names and with the daemon's own `Host`. */
const passedOn = (req: IncomingMessage, drop: ReadonlySet<string>, to: { host: string; port: number }): string[] => [
  ...lines(req).flatMap(([name, value]) =>
    drop.has(name.toLowerCase()) || name.toLowerCase() === 'host' ? [] : [name, value],
  ),
  'host',
  `${to.host.includes(':') ? `[${to.host}]` : to.host}:${to.port}`,
];

const lines = ({ rawHeaders }: IncomingMessage): [string, string][] =>
  rawHeaders.flatMap((name, i): [string, string][] => (i % 2 === 0 ? [[name, rawHeaders[i + 1] as string]] : []));

/**
 * A connection to the daemon on which nothing was sent yet. A daemon that was restarted is looked for again: once, since nothing
 * was lost by the first attempt.
 */
const dial = async (
  find: FindDaemon,
  open: (to: { host: string; port: number }) => ReturnType<typeof request>,
): Promise<ReturnType<typeof request>> => {
  const once = async (again: boolean): Promise<ReturnType<typeof request>> => connected(open(await find(again)));
  try {
    return await once(false);
  } catch {
    return once(true);
  }
};

const connected = (req: ReturnType<typeof request>): Promise<ReturnType<typeof request>> =>
  new Promise((resolve, reject) => {
    const late = setTimeout(() => req.destroy(new Error(`no connection within ${CONNECT_MS} ms`)), CONNECT_MS);
    const failed = (fault: Error): void => {
      clearTimeout(late);
      reject(new OptaError('daemon-unreachable', `The daemon does not answer: ${fault.message}`));
    };
    req.once('error', failed);
    // One that is given up says so once more, when nobody waits for it.
    req.on('error', () => undefined);
    req.once('socket', (socket) => {
      const up = (): void => {
        clearTimeout(late);
        req.removeListener('error', failed);
        resolve(req);
      };
      if (socket.connecting) socket.once('connect', up);
      else up();
    });
  });

const exchange = async (
  req: IncomingMessage,
  res: ServerResponse,
  own: number,
  find: FindDaemon,
  also: { readonly [name: string]: string },
): Promise<void> => {
  checkHost(req, own);
  let left = false;
  const leave = (): void => {
    left = true;
  };
  res.once('close', leave);
  const chunked = isChunked(req.headers);
  const up = await dial(find, (to) =>
    request({
      ...to,
      method: req.method,
      path: req.url,
      headers: [
        ...passedOn(req, HOP, to),
        ...Object.entries(also).flatMap(([name, value]) => (req.headers[name] === undefined ? [name, value] : [])),
        ...(chunked ? ['transfer-encoding', 'chunked'] : []),
        // One that is to be closed would be closed on a body that is still on its way, and the refusal be lost with it.
        ...['connection', 'keep-alive'],
      ],
      agent: false,
    }),
  );
  // Whatever ends one side ends the other.
  res.removeListener('close', leave).once('close', () => up.destroy());
  if (left) return void up.destroy();
  await new Promise<void>((resolve, reject) => {
    up.once('error', (fault) => reject(new OptaError('daemon-unreachable', `The daemon broke off: ${fault.message}`)));
    up.once('response', (answer) => {
      const head = lines(answer).flatMap(([name, value]) => (HOP.has(name.toLowerCase()) ? [] : [name, value]));
      res.writeHead(answer.statusCode as number, head);
      // An event stream begins before it has anything to say.
      res.flushHeaders();
      pipeline(answer, res, () => resolve());
      if (!req.complete) forgetRest(req, up);
    });
    if (hasBody(req.headers)) req.on('error', () => undefined).pipe(up);
    else up.end();
  });
};

/** The answer came before the body had ended: the rest is taken for a while, so that the client gets to read the answer. */
const forgetRest = (req: IncomingMessage, up: ReturnType<typeof request>): void => {
  req.unpipe(up);
  req.resume();
  const late = setTimeout(() => req.socket.destroy(), REST_MS);
  req.once('close', () => clearTimeout(late));
};

const upgrade = async (
  req: IncomingMessage,
  socket: Duplex,
  rest: Buffer,
  own: number,
  find: FindDaemon,
): Promise<void> => {
  checkHost(req, own);
  const up = await dial(find, (to) =>
    request({ ...to, method: req.method, path: req.url, headers: passedOn(req, new Set(), to), agent: false }),
  );
  socket.once('close', () => up.destroy());
  if (socket.destroyed) return void up.destroy();
  await new Promise<void>((resolve, reject) => {
    up.once('error', (fault) => reject(new OptaError('daemon-unreachable', `The daemon broke off: ${fault.message}`)));
    up.once('response', (answer) => {
      socket.write(headOf(answer.statusCode as number, answer.statusMessage, lines(answer)));
      pipeline(answer, socket, () => resolve());
    });
    up.once('upgrade', (answer, upSocket, upRest) => {
      socket.write(headOf(101, answer.statusMessage, lines(answer)));
      socket.write(upRest);
      upSocket.write(rest);
      pipeline(upSocket, socket, () => socket.destroy());
      pipeline(socket, upSocket, () => upSocket.destroy());
      resolve();
    });
    up.end();
  });
};

const headOf = (status: number, text = '', headers: readonly (readonly [string, string])[]): string =>
  `${[`HTTP/1.1 ${status} ${text}`, ...headers.map(([name, value]) => `${name}: ${value}`)].join('\r\n')}\r\n\r\n`;

const refusal = (fault: unknown): { status: number; body: string } => {
  const error = toOptaError(fault);
  return { status: errorRow(error.code satisfies ErrorCode).status, body: JSON.stringify(errorBody(error)) };
};

const refusalHead = (body: string): [string, string][] => [
  ['content-type', 'application/json; charset=utf-8'],
  ['content-length', String(Buffer.byteLength(body))],
  ['connection', 'close'],
];

/** Before the answer has begun; after that the client sees it break, as it would at the daemon. */
const refuse = (res: ServerResponse, fault: unknown): void => {
  if (res.headersSent) return void res.destroy();
  const { status, body } = refusal(fault);
  res.writeHead(status, refusalHead(body).flat()).end(body);
};
