// The peer of the benchmark: the least that can carry the same tokens. It reads the source over a WebSocket, as the daemon does,
// and publishes each token to its sockets with uWebSockets.js: no storage, no sessions, no numbering, no replay, no token check.
//
//   node relay.mjs <file of load-uws.js> <port of the source>
// GET /health · POST /run/<topic> with the prompt as body, answered at once · WebSocket /<topic>
import WebSocket from 'ws';

const [loader, sourcePort] = process.argv.slice(2);
const { loadUws } = await import(loader);
const loaded = loadUws();
if ('reasons' in loaded) throw new Error(loaded.reasons.join('; '));
const { uws } = loaded;

const START = '{"type":"chat.token"';
let serial = 0;

const run = (topic, prompt) => {
  const id = `relay-${++serial}`;
  const source = new WebSocket(`ws://127.0.0.1:${sourcePort}/v1/chat/stream`, { perMessageDeflate: false });
  source.on('open', () =>
    source.send(
      JSON.stringify({ type: 'chat.request', client_request_id: id, messages: [{ role: 'user', content: prompt }] }),
    ),
  );
  source.on('message', (data) => {
    const frame = JSON.parse(data.toString());
    if (frame.type === 'chat.token') app.publish(topic, `${START},"text":${JSON.stringify(frame.content)}}`);
    else if (frame.type === 'chat.done') {
      app.publish(topic, '{"event":"turn.done"}');
      source.close();
    }
  });
};

const app = uws.App();
app.ws('/*', {
  idleTimeout: 120,
  maxBackpressure: 64 << 20,
  upgrade: (res, req, context) => {
    const key = req.getHeader('sec-websocket-key');
    res.upgrade({ topic: req.getUrl().slice(1) }, key, '', '', context);
  },
  open: (ws) => {
    ws.subscribe(ws.getUserData().topic);
  },
});
app.get('/health', (res) => {
  res.end('{"status":"ok"}');
});
app.post('/run/:topic', (res, req) => {
  const topic = req.getParameter(0);
  let prompt = '';
  res.onAborted(() => undefined);
  res.onData((chunk, isLast) => {
    prompt += Buffer.from(chunk).toString();
    if (!isLast) return;
    run(topic, prompt);
    res.cork(() => res.writeStatus('202 Accepted').end('{}'));
  });
});
app.listen('127.0.0.1', 0, (listening) => {
  process.stdout.write(`${JSON.stringify({ port: uws.us_socket_local_port(listening) })}\n`);
});
process.on('disconnect', () => process.exit(0));
