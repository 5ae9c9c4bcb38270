import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type WebSocket, WebSocketServer } from 'ws';
import { CAPABILITIES, decodeEnvelope } from '../../src/protocol/envelope.ts';
import { emptySession, foldAll, type SessionState } from '../../src/protocol/session-state.ts';

/**
 * A daemon of a few lines that speaks v3 as far as a client can see it, with faults to order. It keeps its sessions in memory
 * and lets a test write each turn's events by hand.
 */
export interface FakeTurn {
  turnId: string;
  content: string;
  body: { [field: string]: unknown };
  emit(event: string, payload: object): number;
  token(text: string, step?: number): void;
  done(more?: object): void;
  error(code: string, outcome: 'error' | 'cancelled' | 'interrupted', message?: string): void;
}

interface FakeSession {
  sessionId: string;
  title?: string;
  model: string;
  workspace?: string;
  messages: { role: string; content: string }[];
  log: { seq: number; text: string }[];
  sockets: Set<FakeSocket>;
  /** What was submitted with each idempotency key, and the answer to it. */
  keys: Map<string, { submitted: string; answer: { turnId: string; queued: number; seq: number } }>;
  /** Permission requests that were decided. */
  decided: Map<string, { decision: string; decidedBy: string }>;
}

type FakeSocket = WebSocket & { connection?: number; cursor?: number; hello?: Body; presence?: boolean };
type Body = { [field: string]: unknown };
type Reply = [status: number, body: unknown];
type Script = (turn: FakeTurn, daemon: FakeDaemon) => void | Promise<void>;

export class FakeDaemon {
  daemonId = 'fake-daemon';
  token = 'fake-token-0123456789';
  readonly sessions = new Map<string, FakeSession>();
  /** Bodies of what was asked, by path. */
  readonly asked: { method: string; path: string; body: unknown; headers: IncomingMessage['headers'] }[] = [];
  /** Runs for each accepted turn. */
  script: Script = (turn) => {
    turn.token('hello');
    turn.done();
  };
  onCancel: (turn: FakeTurn) => void = (turn) => turn.error('cancelled', 'cancelled', 'Turn cancelled');
  onPermission: (turn: FakeTurn, body: { requestId: string; decision: string; decidedBy: string }) => void = () =>
    undefined;
  /** Sees each record before any socket does. */
  onRecord: (record: { sessionId: string; seq: number; text: string }) => void = () => undefined;
  /** Changes each frame before it is sent to a socket; null drops it. */
  tamper: (frame: { seq: number; text: string }, connection: number) => string[] = ({ text }) => [text];
  /** Answers a request instead of the daemon when it returns true. */
  intercept: (req: IncomingMessage, res: ServerResponse, path: string) => boolean = () => false;
  version = (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string })
    .version;
  /** Sees each command that was carried out, before its answer leaves; true: the connection breaks in place of the answer. */
  swallow: (command: string, times: number) => boolean = () => false;
  /** Sends each frame to a socket; a test may hold some back. */
  deliver: (ws: WebSocket, text: string) => void = (ws, text) => ws.send(text);
  /** The same for acks and errors that answer a frame. */
  reply: (ws: WebSocket, text: string) => void = (ws, text) => ws.send(text);
  /** What sockets may ask for. */
  features: readonly string[] = ['snapshot', 'presence'];
  /** What `/v3/health` says it can do beyond the base. */
  capabilities: readonly string[] = CAPABILITIES;
  contract: unknown = { name: 'opta-daemon-v3', version: 1 };
  /** What `/v3/health` says of the engine. */
  engine: unknown = { engine: 'lmx' };
  connections = 0;
  port = 0;
  #server: Server;
  #wss = new WebSocketServer({ noServer: true });
  #turns = new Map<string, FakeTurn>();
  #ids = 0;
  #commands = new Map<string, number>();

  constructor() {
    this.#server = this.#listener();
  }

  #listener(): Server {
    const server = createServer((req, res) => void this.#http(req, res));
    server.on('upgrade', (req, socket, head) => {
      this.#wss.handleUpgrade(req, socket, head, (ws) => this.#socket(ws, req));
    });
    return server;
  }

  async start(port = 0): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    this.port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  async stop(): Promise<void> {
    for (const ws of this.#wss.clients) ws.terminate();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** The same log behind another daemon: new port, new token, new id. `keep`: a power cut leaves only so many records. */
  async restart(keep: { [sessionId: string]: number } = {}): Promise<void> {
    await this.stop();
    this.#ids += 1;
    this.daemonId = `fake-daemon-${this.#ids}`;
    this.token = `fake-token-${this.#ids}-${'x'.repeat(16)}`;
    for (const [sessionId, count] of Object.entries(keep)) this.session(sessionId).log.splice(count);
    this.#server = this.#listener();
    await this.start();
  }

  /** What every client of the session must show. */
  folded(sessionId: string): SessionState {
    return foldAll(
      emptySession(sessionId),
      this.session(sessionId).log.map((r) => decodeEnvelope(r.text).record),
    );
  }

  get address() {
    return { host: '127.0.0.1', port: this.port, token: this.token };
  }

  /** Writes `state.json` as the daemon of this `OPTA_HOME`. */
  writeState(home: string, more: object = {}): void {
    mkdirSync(join(home, 'daemon'), { recursive: true });
    writeFileSync(
      join(home, 'daemon', 'state.json'),
      JSON.stringify({
        pid: process.pid,
        daemonId: this.daemonId,
        host: '127.0.0.1',
        port: this.port,
        token: this.token,
        startedAt: '2026-01-01T00:00:00.000Z',
        logsPath: join(home, 'daemon', 'daemon.log'),
        ...more,
      }),
      { mode: 0o600 },
    );
  }

  session(sessionId: string, more: Partial<FakeSession> = {}): FakeSession {
    const found = this.sessions.get(sessionId);
    if (found) return found;
    const session: FakeSession = {
      sessionId,
      model: 'fake-model',
      messages: [],
      log: [],
      sockets: new Set(),
      keys: new Map(),
      decided: new Map(),
      ...more,
    };
    this.sessions.set(sessionId, session);
    this.emit(sessionId, 'session.snapshot', { snapshot: this.#snapshot(session), messages: [] });
    return session;
  }

  emit(sessionId: string, event: string, payload: object): number {
    const session = this.session(sessionId);
    const seq = session.log.length + 1;
    const ts = new Date(1_767_225_600_000 + seq).toISOString();
    const text = JSON.stringify({ v: '3', event, daemonId: this.daemonId, sessionId, seq, ts, payload });
    this.onRecord({ sessionId, seq, text });
    session.log.push({ seq, text });
    for (const ws of session.sockets) this.#send(ws, { seq, text });
    return seq;
  }

  /** Cuts every open socket, as a crash would. */
  cutSockets(): void {
    for (const ws of this.#wss.clients) ws.terminate();
  }

  #send(ws: FakeSocket, frame: { seq: number; text: string }): void {
    ws.cursor = frame.seq;
    for (const text of this.tamper(frame, ws.connection ?? 0)) this.deliver(ws, text);
  }

  #socket(ws: FakeSocket, req: IncomingMessage): void {
    const query = new URL(req.url ?? '', 'http://x').searchParams;
    this.asked.push({ method: 'WS', path: req.url ?? '', body: null, headers: req.headers });
    const offered = /opta\.token\.([\w-]+)/.exec(req.headers['sec-websocket-protocol'] ?? '')?.[1];
    const token = offered === undefined ? query.get('token') : Buffer.from(offered, 'base64url').toString();
    if ((req.headers.authorization ?? `Bearer ${token}`) !== `Bearer ${this.token}`) {
      ws.send('{"error":"Unauthorized","code":"unauthorized"}');
      ws.close(4001);
      return;
    }
    this.connections += 1;
    ws.connection = this.connections;
    ws.cursor = Number(query.get('afterSeq') ?? 0);
    const session = this.session(query.get('sessionId') ?? '');
    const wanted = (query.get('features') ?? '').split(',').filter((name) => this.features.includes(name));
    if (wanted.includes('snapshot')) {
      const state = this.folded(session.sessionId);
      ws.send(JSON.stringify({ type: 'snapshot', sessionId: session.sessionId, seq: state.seq, state }));
    }
    for (const frame of session.log) if (frame.seq > ws.cursor) this.#send(ws, frame);
    session.sockets.add(ws);
    ws.presence = wanted.includes('presence');
    this.#presence(session);
    ws.on('close', () => {
      session.sockets.delete(ws);
      this.#presence(session);
    });
    ws.on('message', (data) => this.#frame(ws, session, JSON.parse(data.toString())));
  }

  #presence(session: FakeSession): void {
    const present = [...session.sockets].map((ws) => ({
      attachmentId: `a${ws.connection}`,
      role: 'controller',
      ...(ws.hello?.writerId === undefined ? {} : { writerId: ws.hello.writerId }),
      via: 'ws',
      since: '2026-01-01T00:00:00.000Z',
      cursor: ws.cursor ?? 0,
      lag: 0,
    }));
    const text = JSON.stringify({ type: 'presence', sessionId: session.sessionId, present });
    for (const ws of session.sockets) if (ws.presence) ws.send(text);
  }

  #frame(ws: FakeSocket, session: FakeSession, frame: Body): void {
    const { type, requestId, sessionId: _, ...body } = frame as { type: string; requestId?: string } & Body;
    if (type === 'ping') {
      ws.send(JSON.stringify({ type: 'heartbeat', event: 'heartbeat', seq: ws.cursor }));
      return;
    }
    this.asked.push({ method: 'FRAME', path: type, body: frame, headers: {} });
    if (type === 'hello') {
      ws.hello = body;
      this.#presence(session);
      return;
    }
    const call = {
      'turn.submit': 'POST turns',
      'turn.cancel': 'POST cancel',
      'permission.resolve': 'POST permissions',
    }[type];
    const [status, reply] = this.#onSession(session, call ?? '', body, new URLSearchParams(), requestId);
    if (this.#swallowed(type)) {
      ws.terminate();
      return;
    }
    const said = reply as Body;
    const echo = type === 'permission.resolve' ? frame.ackId : requestId;
    const answer = (fields: object): void => this.reply(ws, JSON.stringify({ ...fields, requestId: echo }));
    const ack = (fields: object): void => answer({ type: 'ack', action: type, ...fields });
    if (type === 'permission.resolve') ack({ result: said });
    else if (status >= 300) answer(said);
    else if (type === 'turn.submit') ack(said);
    else ack({ cancelled: { cancelledQueued: said.cancelledQueued, cancelledActive: said.cancelledActive } });
  }

  #swallowed(command: string): boolean {
    const times = (this.#commands.get(command) ?? 0) + 1;
    this.#commands.set(command, times);
    return this.swallow(command, times);
  }

  async #http(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = new URL(req.url ?? '', 'http://x');
    let text = '';
    for await (const part of req) text += part;
    const body = text === '' ? {} : JSON.parse(text);
    this.asked.push({ method: req.method ?? '', path: url.pathname, body, headers: req.headers });
    if (this.intercept(req, res, url.pathname)) return;
    const [status, reply] = this.#route(req, url, body);
    if (req.method === 'POST' && this.#swallowed(url.pathname)) {
      res.destroy();
      return;
    }
    res.writeHead(status, { 'content-type': 'application/json' });
    res.end(JSON.stringify(reply));
  }

  #route(req: IncomingMessage, url: URL, body: { [field: string]: unknown }): Reply {
    if (req.headers.authorization !== `Bearer ${this.token}`) return [401, { error: 'Unauthorized' }];
    const [, , root, id, what, requestId] = url.pathname.split('/');
    if (root === 'health') return [200, this.#health()];
    if (root === 'inspect') return [200, this.#actor()];
    if (root === 'sessions' && id === undefined) {
      return req.method === 'POST' ? this.#create(body) : [200, this.#list(url.searchParams)];
    }
    const session = this.sessions.get(id ?? '');
    if (!session) return [404, { error: 'Session not found', code: 'session-not-found', retryable: false }];
    return this.#onSession(session, `${req.method} ${what ?? ''}`, body, url.searchParams, requestId);
  }

  #onSession(
    session: FakeSession,
    call: string,
    body: { [field: string]: unknown },
    query: URLSearchParams,
    requestId: string | undefined,
  ): Reply {
    switch (call) {
      case 'GET ':
        return [200, { ...this.#snapshot(session), messages: session.messages }];
      case 'GET events': {
        const after = Number(query.get('afterSeq') ?? 0);
        const events = session.log.filter((r) => r.seq > after).slice(0, Number(query.get('limit') ?? 10_000));
        return [200, { events: events.map((r) => JSON.parse(r.text)) }];
      }
      case 'GET queue':
        return [200, { turns: [], seq: session.log.length, revision: 0 }];
      case 'GET why':
        return [200, { sessionId: session.sessionId, state: 'idle', text: 'Nothing to do', since: 'now' }];
      case 'GET inspect':
        return [200, this.#actor()];
      case 'POST turns':
        return this.#submit(session, body);
      case 'POST cancel': {
        const turn = this.#turns.get(String(body.turnId));
        if (turn) this.onCancel(turn);
        return [
          200,
          {
            ok: true,
            cancelled: turn ? 1 : 0,
            cancelledQueued: 0,
            cancelledActive: Boolean(turn),
          },
        ];
      }
      case 'POST permissions':
        return this.#resolve(session, requestId ?? '', body as { decision: string; decidedBy: string });
      default:
        return [404, { error: 'Not Found', code: 'not-found' }];
    }
  }

  #create(body: { [field: string]: unknown }): Reply {
    this.#ids += 1;
    const metadata = body.metadata as { workspace?: string } | undefined;
    const session = this.session(String(body.sessionId ?? `s${this.#ids}`), {
      ...(typeof body.title === 'string' ? { title: body.title } : {}),
      ...(typeof body.model === 'string' ? { model: body.model } : {}),
      ...(metadata?.workspace === undefined ? {} : { workspace: metadata.workspace }),
    });
    return [201, this.#snapshot(session)];
  }

  /** [PM2] The first decision stands. */
  #resolve(session: FakeSession, requestId: string, body: { decision: string; decidedBy: string }): Reply {
    const stands = session.decided.get(requestId);
    if (stands) {
      const error = 'Permission request already resolved';
      return [409, { error, code: 'permission-resolved', retryable: false, ok: false, conflict: true, ...stands }];
    }
    session.decided.set(requestId, { decision: body.decision, decidedBy: `person:${body.decidedBy}` });
    const turn = [...this.#turns.values()].at(-1);
    if (turn) this.onPermission(turn, { ...body, requestId });
    return [200, { ok: true, conflict: false, decision: body.decision }];
  }

  /** [TQ5] The same key is the same turn; with another body it is refused. */
  #submit(session: FakeSession, { idempotencyKey, ...body }: Body): Reply {
    const submitted = JSON.stringify(body);
    const known = session.keys.get(String(idempotencyKey));
    if (known?.submitted === submitted) return [202, { ...known.answer, replayed: true }];
    if (known) return [409, { error: 'Key of another turn', code: 'idempotency-mismatch', retryable: false }];
    const turn = this.#turn(session, body);
    const seq = turn.emit('turn.queued', {
      queueSize: 0,
      position: 1,
      content: body.content,
      mode: body.mode,
      onBusy: 'enqueue',
      ...(body.metadata === undefined ? {} : { metadata: body.metadata }),
      ...(idempotencyKey === undefined ? {} : { idempotencyKey, digest: 'd' }),
    });
    const answer = { turnId: turn.turnId, queued: 0, seq };
    if (idempotencyKey !== undefined) session.keys.set(String(idempotencyKey), { submitted, answer });
    setImmediate(() => {
      turn.emit('turn.start', { mode: body.mode });
      void this.script(turn, this);
    });
    return [202, answer];
  }

  #turn(session: FakeSession, body: { [field: string]: unknown }): FakeTurn {
    this.#ids += 1;
    const turnId = `t${this.#ids}`;
    const who = { turnId, writerId: body.writerId, clientId: body.clientId };
    const emit = (event: string, payload: object): number =>
      this.emit(session.sessionId, event, { ...who, ...payload });
    const turn: FakeTurn = {
      turnId,
      content: String(body.content),
      body,
      emit,
      token: (text, step = 1) => void emit('turn.token', { text, step }),
      done: (more = {}) =>
        void emit('turn.done', {
          stats: {
            tokens: 1,
            promptTokens: 1,
            completionTokens: 1,
            toolCalls: 0,
            elapsed: 0.01,
            elapsedMs: 10,
            speed: 1,
            firstTokenLatencyMs: 1,
          },
          outcome: 'done',
          model: session.model,
          ...more,
        }),
      error: (code, outcome, message = code) => void emit('turn.error', { message, code, outcome, partial: false }),
    };
    this.#turns.set(turnId, turn);
    return turn;
  }

  #snapshot(session: FakeSession) {
    return {
      sessionId: session.sessionId,
      model: session.model,
      ...(session.title === undefined ? {} : { title: session.title }),
      ...(session.workspace === undefined ? {} : { workspace: session.workspace }),
      createdAt: '2026-01-01T00:00:00.000Z',
      updatedAt: '2026-01-01T00:00:00.000Z',
      queuedTurns: 0,
      toolCallCount: 0,
      writerCount: 0,
      seq: session.log.length,
    };
  }

  #list(query: URLSearchParams) {
    const all = [...this.sessions.values()].map((s) => ({
      ...this.#snapshot(s),
      messageCount: s.messages.length,
    }));
    const from = Number(query.get('cursor') ?? 0);
    const limit = Math.min(2, Number(query.get('limit') ?? 2));
    const next = from + limit;
    return {
      sessions: all.slice(from, next),
      total: all.length,
      ...(next < all.length ? { cursor: String(next) } : {}),
    };
  }

  #health() {
    return {
      status: 'ok',
      version: this.version,
      daemonId: this.daemonId,
      contract: this.contract,
      features: this.capabilities,
      runtime: {},
      engine: this.engine,
    };
  }

  #actor() {
    const child = {
      id: 'session:s1',
      chart: 'session',
      state: { ready: 'idle' },
      facts: {},
      mermaid: 'stateDiagram-v2',
      children: [],
    };
    return {
      id: 'daemon',
      chart: 'daemon',
      state: 'ready',
      facts: {},
      mermaid: 'stateDiagram-v2\n  ready',
      children: [child],
    };
  }
}
