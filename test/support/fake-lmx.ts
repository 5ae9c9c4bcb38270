import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Message } from '../../src/protocol/session.ts';

/**
 * An inference server inside the test: WebSocket and event stream, discovery and the list of models. How it answers is said by
 * the prompt, as `@@{json}@@` in the last user message, or by `reply`.
 */
export interface Directive {
  /** Words of text: ` tok0 tok1 …`. Default 12. */
  tokens?: number;
  /** Tokens a second; 0 sends as fast as it can. */
  tps?: number;
  /** The whole text, sent word by word. */
  text?: string;
  /** Pads each token to this many characters. */
  size?: number;
  /** Asked for in the first `rounds` rounds after the user's message; then comes text. */
  tools?: { name: string; args: unknown }[];
  rounds?: number;
  /** The calls of each round, in place of `tools`. */
  steps?: { name: string; args: unknown }[][];
  preText?: string;
  delayMs?: number;
  /** Tears the connection after this many tokens; `dieTimes` prompts long (-1: always), then the same prompt succeeds. */
  dieAfter?: number;
  dieTimes?: number;
  error?: string;
  code?: string;
  status?: number;
  retryAfter?: number;
  /** Sent first, in think tags; with `reasoning` in frames of its own. */
  think?: string;
  reasoning?: boolean;
  finish?: string;
  /** WebSocket: closes with this code (true: 1000) and no terminal frame. */
  closeNoDone?: boolean | number;
}

export interface SeenRequest {
  channel: 'ws' | 'sse' | 'json';
  headers: IncomingHttpHeaders;
  body: { model?: string; messages?: Message[]; tools?: unknown[]; [field: string]: unknown };
}

export interface SeenCancel {
  channel: 'ws' | 'sse';
  how: 'frame' | 'closed';
  requestId?: string;
  clientRequestId?: string;
}

export interface FakeLmxOptions {
  /** Any free one when it is absent. */
  port?: number;
  models?: string[];
  /** False: the upgrade is answered with 404. A number: with that status. */
  ws?: boolean | number;
  /** False: no discovery page. An object: its members replace the usual ones. */
  discovery?: boolean | object;
  /** False: no list of models (404). */
  listsModels?: boolean;
  /** Sends `chat.accepted`, as a new server does. */
  accepts?: boolean;
  /** Sends `chat.keepalive` this often while it has nothing else to say. */
  keepAliveMs?: number;
  /** Wanted in `Authorization`, by everything but discovery. */
  apiKey?: string;
  /** Answers a request, over what the prompt says. */
  reply?: (request: SeenRequest) => Directive | undefined;
  /** Takes an HTTP request over completely. */
  onHttp?: (req: IncomingMessage, res: ServerResponse, body: string) => boolean;
  /** Takes a chat over a WebSocket over completely. */
  onChat?: (ws: WebSocket, request: SeenRequest) => boolean;
}

export interface FakeLmx {
  readonly port: number;
  readonly url: string;
  /** Chat requests, in order. Other requests are in `paths`. */
  readonly requests: SeenRequest[];
  readonly cancels: SeenCancel[];
  /** `GET /v1/models`, `UPGRADE /v1/chat/stream` … */
  readonly paths: string[];
  /** May be changed at any time. */
  readonly options: FakeLmxOptions;
  /** Connections that are open now. */
  connections(): number;
  close(): Promise<void>;
}

/** The first directive of a text, whole: one may stand in another's text. A summary is asked for with parts of several: none. */
const saidIn = (text: string): Directive => {
  const from = text.indexOf('@@{');
  for (let to = from; from >= 0; ) {
    to = text.indexOf('}@@', to + 1);
    if (to < 0) break;
    try {
      return JSON.parse(text.slice(from + 2, to + 1)) as Directive;
    } catch {
      // It goes on: this was the end of one within it.
    }
  }
  return {};
};

type Part =
  | { text: string }
  | { reasoning: string }
  | { call: { index: number; id: string; name: string; arguments: string } };

export const startFakeLmx = async (options: FakeLmxOptions = {}): Promise<FakeLmx> => {
  const requests: SeenRequest[] = [];
  const cancels: SeenCancel[] = [];
  const paths: string[] = [];
  const sockets = new Set<Socket>();
  const died = new Map<string, number>();
  let serial = 0;

  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (c: Buffer) => chunks.push(c));
    req.on('end', () => route(req, res, Buffer.concat(chunks).toString()));
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  });
  const wss = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  server.on('upgrade', (req, socket, head) => {
    paths.push(`UPGRADE ${req.url}`);
    const { ws = true, apiKey } = options;
    const locked = apiKey !== undefined && req.headers.authorization !== `Bearer ${apiKey}`;
    const status = locked ? 401 : typeof ws === 'number' ? ws : ws && req.url === '/v1/chat/stream' ? 0 : 404;
    if (status !== 0) {
      socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\nRetry-After: 3\r\nConnection: close\r\n\r\n`);
      return;
    }
    wss.handleUpgrade(req, socket, head, (peer) => onSocket(peer, req.headers));
  });
  await new Promise<void>((ready, failed) => {
    server.once('error', failed);
    server.listen(options.port ?? 0, '127.0.0.1', ready);
  });
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;

  const json = (res: ServerResponse, status: number, body: unknown, headers: object = {}) =>
    res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

  const route = (req: IncomingMessage, res: ServerResponse, body: string) => {
    paths.push(`${req.method} ${req.url}`);
    if (options.onHttp?.(req, res, body)) return;
    const { discovery = true, listsModels = true, models = ['fake-model'], apiKey } = options;
    if (req.url === '/.well-known/opta-lmx' && discovery !== false) return json(res, 200, describe(models, discovery));
    if (apiKey !== undefined && req.headers.authorization !== `Bearer ${apiKey}`)
      return json(res, 401, { detail: 'Invalid or missing API key' });
    if (req.url === '/v1/models' && listsModels)
      return json(res, 200, { object: 'list', data: models.map((id) => ({ id, object: 'model', owned_by: 'local' })) });
    if (req.url === '/v1/chat/completions') return void chat(req, res, JSON.parse(body) as SeenRequest['body']);
    return json(res, 404, { error: { message: `Not found: ${req.url}`, code: 'not_found' } });
  };
  const describe = (models: string[], over: boolean | object) => ({
    service: 'opta-lmx',
    loaded_models: models,
    endpoints: { websocket_url: (options.ws ?? true) ? `ws://127.0.0.1:${port}/v1/chat/stream` : null },
    ...(typeof over === 'object' ? over : {}),
  });

  const directiveOf = (seen: SeenRequest): Directive & { key: string; round: number } => {
    const messages = seen.body.messages ?? [];
    const at = messages.findLastIndex((m) => m.role === 'user');
    const key = messages[at]?.content ?? '';
    const round = messages.slice(at + 1).filter((m) => m.role === 'assistant' && m.tool_calls?.length).length;
    return { ...saidIn(key), ...options.reply?.(seen), key, round };
  };

  /** The parts of an answer in order; null where the connection is to be torn. */
  async function* parts(d: Directive & { key: string; round: number }): AsyncGenerator<Part | null> {
    if (d.delayMs) await sleep(d.delayMs);
    if (d.think !== undefined && d.reasoning) yield { reasoning: d.think };
    else if (d.think !== undefined) for (const text of [...words(`<think>${d.think}`), '</think>']) yield { text };
    const calls = d.steps ? d.steps[d.round] : d.round < (d.rounds ?? 1) ? d.tools : undefined;
    if (calls) {
      for (const text of words(d.preText ?? '')) yield { text };
      for (const [index, { name, args }] of calls.entries()) {
        const text = typeof args === 'string' ? args : JSON.stringify(args ?? {});
        yield { call: { index, id: `call_${++serial}`, name, arguments: text } };
      }
      return;
    }
    const said = d.text === undefined ? null : words(d.text);
    const times = died.get(d.key) ?? 0;
    const dies = d.dieAfter !== undefined && ((d.dieTimes ?? 1) < 0 || times < (d.dieTimes ?? 1));
    if (dies) died.set(d.key, times + 1);
    for (let i = 0; i < (said?.length ?? d.tokens ?? 12); i++) {
      if (dies && i === d.dieAfter) yield null;
      if (d.tps) await sleep(1000 / d.tps);
      else if (i % 20 === 0) await new Promise<void>((next) => setImmediate(next));
      yield { text: (said?.[i] ?? ` tok${i}`).padEnd(d.size ?? 0, 'x') };
    }
  }
  const failure = (d: Directive) => ({ error: { message: d.error, type: 'server_error', code: d.code ?? 'scripted' } });
  const usage = (seen: SeenRequest, completion_tokens: number) => ({
    prompt_tokens: Math.ceil(JSON.stringify(seen.body.messages ?? []).length / 4),
    completion_tokens,
  });

  const chat = async (req: IncomingMessage, res: ServerResponse, body: SeenRequest['body']) => {
    const seen: SeenRequest = { channel: body.stream ? 'sse' : 'json', headers: req.headers, body };
    requests.push(seen);
    const d = directiveOf(seen);
    res.on('close', () => {
      if (!res.writableFinished) cancels.push({ channel: 'sse', how: 'closed' });
    });
    if (d.error !== undefined)
      return json(res, d.status ?? 500, failure(d), d.retryAfter === undefined ? {} : { 'retry-after': d.retryAfter });
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    const base = { id: `chatcmpl-${++serial}`, object: 'chat.completion.chunk', created: 0, model: body.model };
    const send = (delta: object, finish_reason: string | null = null) =>
      res.write(`data: ${JSON.stringify({ ...base, choices: [{ index: 0, delta, finish_reason }], usage: null })}\n\n`);
    send({ role: 'assistant', content: '' });
    let tokens = 0;
    let called = false;
    for await (const part of parts(d)) {
      if (res.destroyed) return;
      if (part === null) {
        await new Promise<void>((sent) => res.write(': torn\n\n', () => sent()));
        return void res.socket?.destroy();
      }
      tokens++;
      called ||= 'call' in part;
      if ('text' in part) await drained(res, send({ content: part.text }));
      else if ('reasoning' in part) send({ reasoning_content: part.reasoning });
      else {
        const { index, id, name, arguments: args } = part.call;
        send({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: args } }] });
      }
    }
    send({}, d.finish ?? (called ? 'tool_calls' : 'stop'));
    if (body.stream_options)
      res.write(`data: ${JSON.stringify({ ...base, choices: [], usage: usage(seen, tokens) })}\n\n`);
    res.end('data: [DONE]\n\n');
  };

  const onSocket = (ws: WebSocket, headers: IncomingHttpHeaders) => {
    const live = new Map<string, { cancelled: boolean }>();
    ws.on('close', () => {
      for (const request of live.values()) request.cancelled = true;
      if (live.size > 0) cancels.push({ channel: 'ws', how: 'closed' });
    });
    ws.on('message', (data) => {
      const frame = JSON.parse(String(data)) as SeenRequest['body'] & {
        type: string;
        request_id?: string;
        client_request_id?: string;
      };
      if (frame.type === 'chat.cancel') {
        const { request_id, client_request_id } = frame;
        cancels.push({
          channel: 'ws',
          how: 'frame',
          ...(request_id === undefined ? {} : { requestId: request_id }),
          ...(client_request_id === undefined ? {} : { clientRequestId: client_request_id }),
        });
        const request = live.get(request_id ?? '');
        if (request) request.cancelled = true;
        return;
      }
      const seen: SeenRequest = { channel: 'ws', headers, body: frame };
      requests.push(seen);
      if (options.onChat?.(ws, seen)) return;
      void answer(ws, seen, live);
    });
  };
  const answer = async (ws: WebSocket, seen: SeenRequest, live: Map<string, { cancelled: boolean }>) => {
    const d = directiveOf(seen);
    const request_id = `chatcmpl-${++serial}`;
    const state = { cancelled: false };
    live.set(request_id, state);
    const send = (frame: object) => {
      if (ws.readyState === ws.OPEN) ws.send(JSON.stringify({ request_id, ...frame }));
    };
    if (options.accepts)
      send({ type: 'chat.accepted', client_request_id: seen.body.client_request_id, model: seen.body.model });
    const { keepAliveMs } = options;
    const beat = keepAliveMs && setInterval(() => send({ type: 'chat.keepalive', phase: 'prefill' }), keepAliveMs);
    let tokens = 0;
    let called = false;
    const finished = () => {
      live.delete(request_id);
      if (beat) clearInterval(beat);
    };
    if (d.error !== undefined) {
      finished();
      const extra = d.code === undefined ? {} : { code: d.code, status: d.status };
      return send({
        type: 'chat.error',
        error: d.error,
        ...extra,
        ...(d.retryAfter === undefined ? {} : { retry_after_ms: d.retryAfter * 1000 }),
      });
    }
    for await (const part of parts(d)) {
      if (state.cancelled || ws.readyState !== ws.OPEN) break;
      if (part === null) {
        finished();
        await new Promise<void>((sent) => ws.ping('', false, () => sent()));
        return ws.terminate();
      }
      tokens++;
      called ||= 'call' in part;
      if ('text' in part) send({ type: 'chat.token', content: part.text });
      else if ('reasoning' in part) send({ type: 'chat.reasoning', content: part.reasoning });
      else send({ type: 'chat.tool_call', tool_call: part.call });
      while (ws.bufferedAmount > 1 << 20 && ws.readyState === ws.OPEN) await sleep(1);
    }
    finished();
    if (d.closeNoDone !== undefined && d.closeNoDone !== false)
      return ws.close(d.closeNoDone === true ? 1000 : d.closeNoDone);
    const finish_reason = state.cancelled ? 'cancelled' : (d.finish ?? (called ? 'tool_calls' : 'stop'));
    send({ type: 'chat.done', finish_reason, usage: usage(seen, tokens) });
  };

  return {
    port,
    url,
    requests,
    cancels,
    paths,
    options,
    connections: () => sockets.size,
    close: () =>
      new Promise((closed) => {
        for (const peer of wss.clients) peer.terminate();
        for (const socket of sockets) socket.destroy();
        wss.close();
        server.close(() => closed());
      }),
  };
};

const words = (text: string): string[] => text.split(/(?<= )/).filter((w) => w !== '');
const sleep = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
const drained = (res: ServerResponse, flowing: boolean): Promise<void> | undefined =>
  flowing || res.destroyed
    ? undefined
    : new Promise((go) => {
        res.once('drain', go);
        res.once('close', go);
      });
