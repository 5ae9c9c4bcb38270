import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server of tools over HTTP on loopback, in a few lines; `behave` answers in its place when it returns true. */
export interface McpHttp {
  readonly url: string;
  readonly seen: { method: string | undefined; headers: IncomingMessage['headers'] }[];
  behave: (req: IncomingMessage, res: ServerResponse) => boolean;
  close(): Promise<void>;
}

interface Asked {
  id?: number;
  method?: string;
  params?: { protocolVersion?: string };
}

const resultOf = ({ method, params }: Asked): object | undefined => {
  if (method === 'tools/list')
    return { tools: [{ name: 'look', description: 'Looks', inputSchema: { type: 'object' } }] };
  if (method !== 'initialize') return undefined;
  const serverInfo = { name: 'over http', version: '2.0.0' };
  return { protocolVersion: params?.protocolVersion, capabilities: { tools: {} }, serverInfo };
};

export const startMcpHttp = async (): Promise<McpHttp> => {
  const seen: McpHttp['seen'] = [];
  const server: Server = createServer(async (req, res) => {
    let text = '';
    for await (const part of req) text += part;
    const asked = (text === '' ? {} : JSON.parse(text)) as Asked;
    seen.push({ method: asked.method, headers: req.headers });
    if (self.behave(req, res)) return;
    if (req.method !== 'POST') {
      res.writeHead(405).end();
      return;
    }
    if (asked.id === undefined) {
      res.writeHead(202).end();
      return;
    }
    const result = resultOf(asked);
    const body = result ? { result } : { error: { code: -32601, message: 'Method not found' } };
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(JSON.stringify({ jsonrpc: '2.0', id: asked.id, ...body }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const self: McpHttp = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    seen,
    behave: () => false,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return self;
};
