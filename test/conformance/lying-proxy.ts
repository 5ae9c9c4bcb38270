import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import type { Json } from './matcher.ts';
import type { Place } from './wire.ts';

/** Stands between the runner and a good daemon and makes of it a daemon that breaks one rule. */
export interface Lie {
  /** A body or a frame on its way in. */
  command?(command: { [name: string]: Json }): void;
  header?(name: string): boolean;
  query?(query: URLSearchParams): void;
  /** An event on its way out: what is sent in its place; null sends nothing. */
  event?(text: string, seq: number): string | null;
}

export interface LyingDaemon {
  place: Place;
  close(): Promise<void>;
}

export const lyingDaemon = async (honest: () => Place, lie: Lie): Promise<LyingDaemon> => {
  const server = createServer((req, res) => passRequest(honest(), lie, req, res));
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (req, net, head) => {
    sockets.handleUpgrade(req, net, head, (near) => passSocket(honest(), lie, near, req));
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as AddressInfo;
  return {
    place: { ...honest(), url: `http://127.0.0.1:${port}` },
    close: () =>
      new Promise((closed) => {
        for (const near of sockets.clients) near.terminate();
        server.closeAllConnections();
        server.close(() => closed());
      }),
  };
};

const passRequest = (place: Place, lie: Lie, req: IncomingMessage, res: ServerResponse): void => {
  const chunks: Buffer[] = [];
  req.on('data', (chunk: Buffer) => chunks.push(chunk));
  req.on('end', () => {
    const body = altered(Buffer.concat(chunks).toString('utf8'), lie);
    const kept = Object.entries(req.headers).filter(([name]) => lie.header?.(name) !== false && !/^host$/.test(name));
    const headers = { ...Object.fromEntries(kept), 'content-length': Buffer.byteLength(body) };
    const onward = request(new URL(req.url ?? '/', place.url), { method: req.method ?? 'GET', headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(res);
    });
    onward.on('error', () => res.destroy());
    onward.end(body);
  });
};

const altered = (text: string, lie: Lie): string => {
  if (text === '' || !lie.command) return text;
  const command = JSON.parse(text) as { [name: string]: Json };
  lie.command(command);
  return JSON.stringify(command);
};

const passSocket = (place: Place, lie: Lie, near: WebSocket, req: IncomingMessage): void => {
  const url = new URL(req.url ?? '/', place.url.replace(/^http/, 'ws'));
  lie.query?.(url.searchParams);
  const far = new WebSocket(url, { headers: { authorization: req.headers.authorization ?? '' } });
  const early: string[] = [];
  const inward = (text: string): void => {
    if (far.readyState === WebSocket.CONNECTING) early.push(text);
    else far.send(altered(text, lie));
  };
  near.on('message', (data) => inward(data.toString()));
  far.on('open', () => early.forEach(inward));
  far.on('message', (data) => {
    const text = data.toString();
    const { v, seq } = JSON.parse(text) as { v?: string; seq: number };
    const told = v === '3' && lie.event ? lie.event(text, seq) : text;
    if (told !== null) near.send(told);
  });
  far.on('close', (code) => near.close(code === 1006 ? 1011 : code));
  far.on('error', () => near.terminate());
  near.on('close', () => far.terminate());
};
