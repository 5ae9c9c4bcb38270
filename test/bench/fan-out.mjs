// A transport without a daemon behind it: what an adapter alone can send to many sockets.
//
//   node fan-out.mjs <folder of dist> <uws | ws | send>      `send`: the library of `ws`, with one send for each frame and socket
// WebSocket /, and POST /<frames>/<frames a turn>/<bytes of a frame>, answered when all frames are with the sockets.
import { createServer } from 'node:http';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';

const [dist, kind] = process.argv.slice(2);
const BACKLOG_BYTES_MAX = 4 << 20;
const sockets = new Set();

const publish = async (path) => {
  const [frames, perTurn, bytes] = path.slice(1).split('/').map(Number);
  for (let sent = 0; sent < frames; ) {
    for (let i = 0; i < perTurn && sent < frames; i++, sent++) {
      // A new text for each frame, as a daemon has; the same one for all sockets.
      const text = String(sent).padEnd(bytes, 'x');
      for (const socket of sockets) socket.send(text);
    }
    do await new Promise((turn) => setImmediate(turn));
    while ([...sockets].some((socket) => socket.backlog() > BACKLOG_BYTES_MAX));
  }
};

const serveAdapter = async () => {
  const { chooseTransport } = await import(join(dist, 'transport', 'choose.js'));
  const transport = chooseTransport(kind).create(
    {
      http: (head, exchange) =>
        void publish(head.path).then(() => exchange.reply({ status: 200, headers: [], body: '{}' })),
      upgrade: () => (socket) => {
        const one = { send: (text) => socket.send(text), backlog: () => socket.bufferedBytes() };
        sockets.add(one);
        return { message: () => undefined, drain: () => undefined, closed: () => sockets.delete(one) };
      },
      onFault: (where, fault) => process.stderr.write(`${where}: ${fault}\n`),
    },
    { frameBytesMax: 1 << 20, bodiesBytesMax: 1 << 20, socketBytesMax: 64 << 20, socketIdleMs: 120_000 },
  );
  return transport.listen('127.0.0.1', 0);
};

const servePlain = () =>
  new Promise((resolve) => {
    const server = createServer((req, res) => void publish(req.url).then(() => res.end('{}')));
    new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (ws) => {
      const one = { send: (text) => ws.send(text), backlog: () => ws.bufferedAmount };
      sockets.add(one);
      ws.on('close', () => sockets.delete(one));
    });
    server.listen(0, '127.0.0.1', () => resolve(server.address().port));
  });

const port = await (kind === 'send' ? servePlain() : serveAdapter());
process.stdout.write(`${JSON.stringify({ port })}\n`);
process.on('disconnect', () => process.exit(0));
