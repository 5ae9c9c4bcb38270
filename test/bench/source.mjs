// The token source of the benchmark: an inference server whose answer is scripted by the prompt. It runs as a process of its own,
// so that daemon and relay are fed by the same code over the same kind of socket. Plain JavaScript: no loader beside it.
//
// The last user message holds words `name=number`:
//   tokens  how many tokens of text          tps  tokens a second; 0 sends as fast as it can
//   first   milliseconds before the first token
// A token is ` <index>:<birth>;`, where birth is CLOCK_MONOTONIC in microseconds, taken as it is handed to the socket.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

/** A flood gives way to its socket after this many tokens, as a server does that reads its cancels. */
const FLOOD_BURST = 20;
const BACKLOG_BYTES_MAX = 1 << 20;

const nowUs = () => process.hrtime.bigint() / 1000n;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const tick = () => new Promise((done) => setImmediate(done));

const scriptOf = (messages) => {
  const prompt = messages.findLast((m) => m.role === 'user')?.content ?? '';
  const script = { tokens: 10, tps: 0, first: 0 };
  for (const [, name, value] of prompt.matchAll(/\b(tokens|tps|first)=(\d+)/g)) script[name] = Number(value);
  return script;
};

/** The model's own time of the last answer: from the request to its terminal frame, in milliseconds. */
let lastAnswerMs = 0;

const answer = async (socket, request, live) => {
  const startedAt = performance.now();
  const { tokens, tps, first } = scriptOf(request.messages);
  const id = request.client_request_id;
  const frame = { client_request_id: id };
  const gone = () => !live.has(id) || socket.readyState !== socket.OPEN;
  const send = (fields) => socket.send(JSON.stringify({ ...frame, ...fields }));
  if (first > 0) await sleep(first);
  const firstAt = performance.now();
  for (let i = 0; i < tokens && !gone(); i++) {
    if (tps > 0) {
      const due = firstAt + (i * 1000) / tps;
      while (performance.now() < due && !gone()) await sleep(Math.min(50, due - performance.now()));
    } else if (i % FLOOD_BURST === 0) await tick();
    while (socket.bufferedAmount > BACKLOG_BYTES_MAX && !gone()) await sleep(1);
    if (!gone()) send({ type: 'chat.token', content: ` ${i}:${nowUs()};` });
  }
  const cancelled = !live.delete(id);
  lastAnswerMs = performance.now() - startedAt;
  if (socket.readyState !== socket.OPEN) return;
  const usage = { prompt_tokens: 1, completion_tokens: tokens };
  send({ type: 'chat.done', finish_reason: cancelled ? 'cancelled' : 'stop', usage });
};

const PAGES = {
  '/.well-known/opta-lmx': () => ({
    service: 'opta-lmx',
    loaded_models: ['bench'],
    endpoints: { websocket_path: '/v1/chat/stream' },
  }),
  '/v1/models': () => ({ object: 'list', data: [{ id: 'bench', object: 'model', owned_by: 'bench' }] }),
  '/last': () => ({ answerMs: lastAnswerMs }),
};

/** The same answer as an event stream, for whoever passes it on over HTTP. */
const streamed = async (req, res) => {
  let text = '';
  for await (const part of req) text += part;
  const { tokens, tps, first } = scriptOf(JSON.parse(text).messages);
  let gone = false;
  res.on('close', () => {
    gone = true;
  });
  const send = (fields) => res.write(`data: ${JSON.stringify({ model: 'bench', ...fields })}\n\n`);
  const delta = (content) => send({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
  if (first > 0) await sleep(first);
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  const firstAt = performance.now();
  for (let i = 0; i < tokens && !gone; i++) {
    if (tps > 0) {
      const due = firstAt + (i * 1000) / tps;
      while (performance.now() < due && !gone) await sleep(Math.min(50, due - performance.now()));
    } else if (i % FLOOD_BURST === 0) await tick();
    delta(` ${i}:${nowUs()};`);
  }
  send({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
  send({ choices: [], usage: { prompt_tokens: 1, completion_tokens: tokens } });
  res.end('data: [DONE]\n\n');
};

const server = createServer((req, res) => {
  if (req.method === 'POST') return void streamed(req, res);
  const page = PAGES[req.url];
  const body = JSON.stringify(page?.() ?? {});
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  res.writeHead(page ? 200 : 404, headers).end(body);
});
const sockets = new WebSocketServer({ server, path: '/v1/chat/stream', perMessageDeflate: false });
sockets.on('connection', (socket) => {
  const live = new Set();
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data));
    if (frame.type === 'chat.cancel') live.delete(frame.client_request_id);
    if (frame.type !== 'chat.request') return;
    live.add(frame.client_request_id);
    void answer(socket, frame, live);
  });
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`));
process.on('disconnect', () => process.exit(0));
