import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { OptaError } from '../../src/protocol/errors.ts';
import { httpPlane } from '../../src/transport/http-plane.ts';
import { AUTH, raw, TOKEN, type World, world } from './world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());
beforeEach(() => {
  w.runtime.fail = null;
  w.runtime.state = 'ready';
});

const SUBMIT = { clientId: 'client-a', writerId: 'writer-a', content: 'hello', mode: 'chat' };

describe('health', () => {
  test('[AC1] /health and /readyz answer without a token', async () => {
    const health = await w.get('/health', { headers: {} });
    const body = { status: 'ok', version: '1.2.3', daemon: true, model: '', uptime: expect.any(Number) };
    expect([health.status, health.json]).toEqual([200, body]);
    const ready = await w.get('/readyz', { headers: {} });
    expect([ready.status, ready.json]).toEqual([200, { ready: true, state: 'ready' }]);
  });

  test.each([
    ['starting', 'daemon-unreachable', true],
    ['read-only', 'storage-read-only', true],
    ['draining', 'shutting-down', true],
  ] as const)('[SV3] /readyz is 503 while %s', async (state, code, retryable) => {
    w.runtime.state = state;
    const r = await w.get('/readyz');
    expect([r.status, r.json]).toEqual([503, { error: `Not ready: ${state}`, code, retryable, ready: false, state }]);
    const health = await w.get('/v3/health');
    expect([health.status, health.json.status]).toEqual([200, state]);
  });

  test('[SV3] /v3/health has the shape that existing clients check, and says which transport runs and why', async () => {
    const { status, json } = await w.get('/v3/health');
    expect(status).toBe(200);
    expect(json).toMatchObject({
      status: 'ok',
      version: '1.2.3',
      daemonId: w.runtime.daemonId,
      contract: { name: 'opta-daemon-v3', version: 1 },
      runtime: { sessionCount: 0, subscriberCount: 0, toolWorkers: { workers: 4, busy: 1, queued: 2 } },
      transport: { adapter: w.adapter.name, why: w.adapter.why },
      engine: { name: 'scripted' },
      storage: { state: 'ok' },
    });
    expect(json.runtime.latency.samples).toBeGreaterThan(0);
  });

  test('[SV3] /v3/metrics lists the bounds of the runtime and of the transport', async () => {
    const { json } = await w.get('/v3/metrics');
    expect(json.limits.map((g: { name: string }) => g.name)).toEqual(
      expect.arrayContaining(['tailBytes', 'sockets', 'requestBodiesBytes']),
    );
    expect(Date.parse(json.ts)).toBeGreaterThan(0);
  });

  test('[AU1] HEAD answers like GET, without a body, and the connection goes on', async () => {
    const head = `HEAD /v3/health HTTP/1.1\r\nHost: 127.0.0.1:${w.server.port}\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`;
    const get = `GET /health HTTP/1.1\r\nHost: 127.0.0.1:${w.server.port}\r\n\r\n`;
    const { text } = await raw(w.server.port, [head, get], { enough: (t) => t.includes('daemon') });
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(text).toMatch(/content-length: [1-9]\d*\r\n/);
    expect(text).toMatch(/\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*\{"status":"ok"/);
  });
});

describe('sessions', () => {
  test.each([
    ['{}', '{}'],
    ['no body', undefined],
    ['an empty body with a JSON type', ''],
    ['null', 'null'],
  ])('[AU1] create takes %s', async (_name, body) => {
    const r = await w.post('/v3/sessions', body);
    expect(r.status).toBe(201);
    expect(r.json).toMatchObject({ model: 'fake-model', queuedTurns: 0, toolCallCount: 0, writerCount: 0 });
  });

  test('[AU1] create with everything, then again with another title: the old one stays', async () => {
    const messages = [{ role: 'user', content: 'hi' }, 'junk', { nope: 1 }];
    const first = await w.post('/v3/sessions', { sessionId: 'full-1', title: 'A', messages, metadata: { k: 'v' } });
    expect([first.status, first.json.title]).toEqual([201, 'A']);
    const again = await w.post('/v3/sessions', { sessionId: 'full-1', title: 'B', foo: 1 });
    expect([again.status, again.json.title]).toEqual([201, 'A']);
    const got = await w.get('/v3/sessions/full-1');
    expect(got.json).toMatchObject({ sessionId: 'full-1', messages: [{ role: 'user', content: 'hi' }] });
  });

  test.each([
    ['wrong types', { sessionId: 7, messages: 'x', metadata: [] }, 3],
    ['an array', [], 1],
    ['a string', '"x"', 1],
    ['an unsafe id', { sessionId: '../evil' }, 1],
    ['an empty id', { sessionId: '' }, 1],
    ['an id of 65', { sessionId: 'x'.repeat(65) }, 1],
  ])('[AU1] create refuses %s with the issues', async (_name, body, issues) => {
    const r = await w.post('/v3/sessions', body);
    expect([r.status, r.json.error, r.json.code, r.json.retryable]).toEqual([
      400,
      'Invalid request body',
      'invalid-request',
      false,
    ]);
    expect(r.json.details).toHaveLength(issues);
  });

  test('[AU1] malformed JSON, broken UTF-8 and foreign media types', async () => {
    const bad = await w.post('/v3/sessions', '{nope');
    expect([bad.status, bad.json.code]).toEqual([400, 'invalid-json']);
    const utf8 = await w.get('/v3/sessions', { method: 'POST', headers: AUTH, body: Buffer.from([0x7b, 0xff, 0x7d]) });
    expect([utf8.status, utf8.json.code]).toEqual([400, 'invalid-json']);
    for (const type of ['text/plain', 'application/xml', 'application/jsonp', 'multipart/form-data; boundary=x']) {
      const r = await w.post('/v3/sessions', '{}', { 'content-type': type });
      expect([type, r.status, r.json.code]).toEqual([type, 415, 'unsupported-media-type']);
    }
    const typed = await w.post('/v3/sessions', '{}', { 'content-type': 'Application/JSON; charset=utf-8' });
    expect(typed.status).toBe(201);
  });

  test('[AU1] bad and unknown session ids', async () => {
    const id = (r: { status: number; json: { error: string; code: string } }) => [r.status, r.json.error, r.json.code];
    expect(id(await w.get('/v3/sessions/nope'))).toEqual([404, 'Session not found', 'session-not-found']);
    for (const bad of ['', 'a%20b', '%2e%2e%2fx', 'x'.repeat(65)]) {
      expect(id(await w.get(`/v3/sessions/${bad}`))).toEqual([400, 'Invalid session id', 'invalid-request']);
    }
    expect(id(await w.get('/v3/sessions/%ff'))).toEqual([400, expect.any(String), 'invalid-request']);
    expect(id(await w.get(`/v3/sessions/${'a'.repeat(101)}`))).toEqual([414, expect.any(String), 'uri-too-long']);
    expect(id(await w.get(`/v3/sessions?cursor=${'a'.repeat(9000)}`))).toEqual([
      414,
      expect.any(String),
      'uri-too-long',
    ]);
  });

  test('[AU1] list pages', async () => {
    const first = await w.get('/v3/sessions?limit=2');
    expect([first.status, first.json.sessions.length, typeof first.json.cursor]).toEqual([200, 2, 'string']);
    const rest = await w.get(`/v3/sessions?limit=500&cursor=${first.json.cursor}`);
    expect(rest.json.sessions.length).toBe(first.json.total - 2);
    expect(rest.json.cursor).toBeUndefined();
    for (const bad of ['limit=0', 'limit=-1', 'limit=x', 'limit=1e2', 'limit=2&limit=3', 'cursor=']) {
      expect([bad, (await w.get(`/v3/sessions?${bad}`)).status]).toEqual([bad, 400]);
    }
  });
});

describe('turns', () => {
  beforeAll(() => w.runtime.seed('t'));

  test('[AU1] submit answers 202, and errors as recorded', async () => {
    const ok = await w.post('/v3/sessions/t/turns', SUBMIT);
    expect([ok.status, ok.json]).toEqual([202, { turnId: 'turn-1', queued: 0, seq: 2 }]);
    const gone = await w.post('/v3/sessions/nope/turns', SUBMIT);
    expect([gone.status, gone.json]).toEqual([
      404,
      { error: 'Session not found: nope', code: 'session-not-found', retryable: false },
    ]);
    for (const body of [
      {},
      { ...SUBMIT, content: '' },
      { ...SUBMIT, mode: 'bogus' },
      { ...SUBMIT, lastSeenSeq: -1 },
      null,
    ]) {
      const r = await w.post('/v3/sessions/t/turns', body);
      expect([r.status, r.json.error]).toEqual([400, 'Invalid request body']);
    }
  });

  test('[TQ4] a full queue is 429 with Retry-After and the error table decides the rest', async () => {
    w.runtime.fail = new OptaError('queue-full', 'The queue is full', { retryAfterMs: 2_400 });
    const full = await w.post('/v3/sessions/t/turns', SUBMIT);
    expect([full.status, full.headers.get('retry-after'), full.json.retryable]).toEqual([429, '3', true]);
    w.runtime.fail = new OptaError('state-conflict', 'Session state conflict', { seq: 9, revision: 7 });
    const conflict = await w.post('/v3/sessions/t/turns', SUBMIT);
    expect([conflict.status, conflict.json]).toEqual([
      409,
      { error: 'Session state conflict', code: 'state-conflict', retryable: false, seq: 9, revision: 7 },
    ]);
    w.runtime.fail = new OptaError('storage-full', 'disk full');
    expect((await w.post('/v3/sessions/t/turns', SUBMIT)).status).toBe(507);
  });

  test('[SV1] a bug inside the runtime is a 500 that tells nothing, and the log tells all', async () => {
    w.runtime.fail = new TypeError('secret path /x/y');
    const r = await w.post('/v3/sessions/t/turns', SUBMIT);
    expect([r.status, r.json]).toEqual([500, { error: 'Internal error', code: 'internal', retryable: false }]);
    expect(JSON.stringify(w.faults.pop())).toContain('secret path');
  });

  test('[CX1] cancel', async () => {
    const zero = { ok: true, cancelled: 0, cancelledQueued: 0, cancelledActive: false };
    for (const body of [{}, undefined, { turnId: 'other' }]) {
      const r = await w.post('/v3/sessions/t/cancel', body);
      expect([r.status, r.json]).toEqual([200, zero]);
    }
    expect((await w.post('/v3/sessions/t/cancel', 'null')).status).toBe(400);
    const hit = await w.post('/v3/sessions/t/cancel', { turnId: 'active' });
    expect(hit.json).toEqual({ ok: true, cancelled: 1, cancelledQueued: 0, cancelledActive: true });
    const gone = await w.post('/v3/sessions/nope/cancel', {});
    expect([gone.status, gone.json.error]).toEqual([404, 'Session not found']);
  });

  test('[PM2] permissions: first decision wins, on both paths', async () => {
    w.runtime.openRequests.add('perm_1').add('perm_2');
    const body = { requestId: 'perm_1', decision: 'allow', decidedBy: 'a' };
    const ok = await w.post('/v3/sessions/t/permissions/perm_1', body);
    expect([ok.status, ok.json]).toEqual([200, { ok: true, conflict: false, decision: 'allow' }]);
    const late = await w.post('/v3/sessions/t/permissions/perm_1', { ...body, decision: 'deny', decidedBy: 'b' });
    expect([late.status, late.json]).toEqual([
      409,
      {
        ok: false,
        conflict: true,
        message: 'Permission request already resolved',
        decision: 'allow',
        decidedBy: 'a',
        error: 'Permission request already resolved',
        code: 'permission-resolved',
        retryable: false,
      },
    ]);
    const unknown = await w.post('/v3/sessions/t/permissions/perm_9', { decision: 'allow', decidedBy: 'a' });
    expect([unknown.status, unknown.json]).toMatchObject([
      404,
      { ok: false, conflict: false, message: 'Unknown permission request', code: 'permission-not-found' },
    ]);
    const alias = await w.post('/v3/sessions/t/permission', { requestId: 'perm_2', decision: 'deny', decidedBy: 'a' });
    expect([alias.status, alias.json.decision]).toEqual([200, 'deny']);
    const differ = await w.post('/v3/sessions/t/permissions/perm_2', body);
    expect([differ.status, differ.json.ok]).toEqual([400, false]);
    expect((await w.post('/v3/sessions/t/permission', { decision: 'deny', decidedBy: 'a' })).status).toBe(400);
    expect((await w.post('/v3/sessions/t/permissions/a%20b', body)).json.error).toBe('Invalid request id');
  });
});

describe('events', () => {
  test('[EV3] the stored bytes are the bytes of the answer', async () => {
    w.runtime.seed('e');
    // Key order, spacing, escapes and number forms that parsing and writing again would change.
    const odd =
      '{"v":"3" ,"seq":2,"event":"turn.token","daemonId":"d","sessionId":"e","ts":"t","payload":{"b":1.0,"a":"\\u00e9é\\/","n":1e3,"b":2}}';
    w.runtime.record('e', 'turn.token', {}, odd);
    for (let i = 0; i < 30; i++) w.runtime.token('e', `ü${i}`);
    const stored = w.runtime.records('e').map((r) => r.text);
    const all = await w.get('/v3/sessions/e/events?afterSeq=0');
    expect(all.text).toBe(`{"events":[${stored.join(',')}]}`);
    expect((await w.get('/v3/sessions/e/events')).text).toBe(all.text);
    const tail = await w.get('/v3/sessions/e/events?afterSeq=30');
    expect(tail.text).toBe(`{"events":[${stored.slice(30).join(',')}]}`);
    const page = await w.get('/v3/sessions/e/events?afterSeq=1&limit=9');
    expect(page.text).toBe(`{"events":[${stored.slice(1, 10).join(',')}]}`);
  });

  test('[EV1] cursors that are none, beyond the head, and unknown sessions', async () => {
    for (const bad of ['-1', 'abc', 'NaN', '1.5', '1e3', '99999999999999999999', '', '1&afterSeq=2']) {
      const r = await w.get(`/v3/sessions/e/events?afterSeq=${bad}`);
      expect([bad, r.status, r.json.error]).toEqual([bad, 400, 'Invalid query']);
    }
    expect((await w.get('/v3/sessions/e/events?afterSeq=9999')).text).toBe('{"events":[]}');
    expect((await w.get('/v3/sessions/unknown/events?afterSeq=0')).text).toBe('{"events":[]}');
  });
});

describe('inspection', () => {
  test('[SV1] the daemon, one session, and why it waits', async () => {
    w.runtime.seed('i');
    expect((await w.get('/v3/inspect')).json).toMatchObject({ chart: 'daemon', children: [{ id: 'x' }] });
    expect((await w.get('/v3/sessions/i/inspect')).json).toMatchObject({ chart: 'session' });
    expect((await w.get('/v3/sessions/i/why')).json).toMatchObject({ state: 'idle', text: 'Nothing to do.' });
    expect((await w.get('/v3/sessions/nope/why')).status).toBe(404);
    expect((await w.get('/v3/sessions/nope/inspect')).json.error).toBe('Session not found');
  });
});

test('[SV1] an answer that cannot be written is an error of its own request, and is told', async () => {
  const faults: string[] = [];
  const sent: number[] = [];
  const plane = httpPlane({
    dispatch: async () => ({ ok: true, status: 200, answer: { body: { n: 1n } } }) as never,
    auth: { http: () => ({ right: 'full' }), counts: () => true } as never,
    access: { check: () => undefined, cors: () => [] } as never,
    closing: () => false,
    onFault: (where) => void faults.push(where),
    files: { built: false, find: () => null },
    timers: { setTimeout, clearTimeout } as never,
  });
  const head = { method: 'GET', path: '/health', query: '', headers: new Map() };
  plane(head, { reply: (r: { status: number }) => void sent.push(r.status) } as never);
  await expect.poll(() => sent).toEqual([500]);
  expect(faults).toEqual(['answer']);
});

describe('no such route', () => {
  test.each([
    ['GET', '/no/such'],
    ['PUT', '/v3/sessions'],
    ['GET', '/v3/health/'],
    ['GET', '/v3/ws'],
    ['DELETE', '/health'],
    ['GET', '/v3/../health'],
    ['HEAD', '/v3/sessions/x/turns'],
  ])('[AU1] %s %s', async (method, path) => {
    const ask = `${method} ${path}?token=${TOKEN} HTTP/1.1\r\nHost: 127.0.0.1:${w.server.port}\r\n\r\n`;
    const { text } = await raw(w.server.port, [ask], { enough: (t) => t.includes('\r\n\r\n') });
    expect(text).toMatch(/^HTTP\/1\.1 404 Not Found/);
    expect(text).not.toContain(TOKEN);
    if (method === 'HEAD') return;
    expect(JSON.parse(text.split('\r\n\r\n')[1] as string)).toEqual({
      message: `Route ${method}:${path} not found`,
      error: 'Not Found',
      statusCode: 404,
      code: 'not-found',
      retryable: false,
    });
  });
});
