import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { Step } from '../../src/lmx/engines/scripted.ts';
import { adapters } from '../support/adapters.ts';
import { type Answer, events, MODEL, request, type Served, serve } from './server-world.ts';
import { words } from './world.ts';

const open: Served[] = [];
afterEach(async () => {
  for (const served of open.splice(0)) await served.close();
});
const start: typeof serve = async (...args) => {
  const served = await serve(...args);
  open.push(served);
  return served;
};
const until = async (what: () => boolean, ms = 1_000): Promise<void> => {
  const end = Date.now() + ms;
  while (!what() && Date.now() < end) await sleep(2);
  expect(what()).toBe(true);
};

const TOOL = { type: 'function', function: { name: 'add', parameters: { type: 'object' } } };
const CALLS: Step[] = [
  { text: 'Let me see. ' },
  { call: { index: 0, id: 'c1', name: 'add', arguments: '{"a":' } },
  { call: { index: 0, arguments: ' 1}' } },
  { call: { index: 1, id: 'c2', name: 'add', arguments: '{"b"' } },
  { call: { index: 1, arguments: ':2}' } },
  { text: 'Done.' },
];

describe.each(adapters())('the inference server over %s', (adapter) => {
  test('[LG1] JSON, event stream and socket give the same answer', async () => {
    const s = await start(adapter, () => [{ reasoning: 'hm' }, ...words(5)]);
    for (const [fields, finish] of [
      [{}, 'stop'],
      [{ max_tokens: 3 }, 'length'],
    ] as const) {
      const json = (await s.post('/v1/chat/completions', request(fields))).json;
      const stream = events(
        (
          await s.post(
            '/v1/chat/completions',
            request({ ...fields, stream: true, stream_options: { include_usage: true } }),
          )
        ).text,
      );
      const socket = await s.socket();
      socket.request(fields);
      const done = await socket.last();
      const text = json.choices[0].message.content;
      expect(text).toBe(finish === 'stop' ? 'w0 w1 w2 w3 w4 ' : 'w0 w1 ');
      expect(stream.chunks.map((c) => c.choices[0]?.delta.content ?? '').join('')).toBe(text);
      expect(socket.frames.map((f) => (f.type === 'chat.token' ? f.content : '')).join('')).toBe(text);
      expect(stream.chunks.map((c) => c.choices[0]?.delta.reasoning_content ?? '').join('')).toBe('hm');
      expect(json.choices[0].message.reasoning_content).toBe('hm');
      expect(socket.frames.filter((f) => f.type === 'chat.reasoning')).toHaveLength(1);
      expect([json.choices[0].finish_reason, done.finish_reason]).toEqual([finish, finish]);
      expect(stream.chunks.map((c) => c.choices[0]?.finish_reason).filter(Boolean)).toEqual([finish]);
      expect([stream.chunks.at(-1).usage, done.usage]).toEqual([json.usage, json.usage]);
      expect(stream.done).toBe(true);
      expect(json.usage.total_tokens).toBe(json.usage.prompt_tokens + json.usage.completion_tokens);
    }
  });

  test('[LG2] who gets no slot has a real status with a hint, also where a stream was asked for', async () => {
    const s = await start(adapter, () => [{ text: 'a' }, { stall: true }], {
      gatewayConfig: { slots: 1, limits: { queueMax: 1, slotWaitMs: 60 } },
    });
    const socket = await s.socket();
    socket.request();
    await socket.find((f) => f.type === 'chat.token');
    const late = s.post('/v1/chat/completions', request({ stream: true }));
    await sleep(20);
    const full = await s.post('/v1/chat/completions', request({ stream: true }));
    for (const answer of [full, await late]) {
      expect(answer.status).toBe(429);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(answer.json.error.code).toBe('rate_limit_exceeded');
    }
    socket.request({ client_request_id: 'mine' });
    expect(await socket.find((f) => f.type === 'chat.error')).toMatchObject({
      client_request_id: 'mine',
      code: 'rate_limit_exceeded',
      status: 429,
      retryable: true,
      retry_after_ms: 2_000,
    });
  });

  test('[LG2] a failure before the first piece is a real status; after it the stream breaks off with an error and without an end', async () => {
    const fail: Step = { fail: { code: 'context_length_exceeded', message: 'too long' } };
    const s = await start(adapter, ({ messages }) =>
      messages.at(-1)?.content === 'early' ? [fail] : [{ text: 'a' }, fail],
    );
    const early = await s.post('/v1/chat/completions', {
      ...request({ stream: true }),
      messages: [{ role: 'user', content: 'early' }],
    });
    expect([early.status, early.json.error.code]).toEqual([400, 'context_length_exceeded']);
    const late = await s.post('/v1/chat/completions', request({ stream: true }));
    const read = events(late.text);
    expect([late.status, read.done]).toEqual([200, false]);
    expect(read.chunks.at(-1)).toMatchObject({ error: { code: 'context_length_exceeded' } });
  });

  test('[LG3] a cancel stops the engine before the first token and in the middle, and has one last frame', async () => {
    const s = await start(adapter, () => [{ text: 'a', afterMs: 300 }, ...words(500, 10)]);
    const socket = await s.socket();
    socket.request({ client_request_id: 'early' });
    await socket.find((f) => f.type === 'chat.accepted');
    socket.send({ type: 'chat.cancel', client_request_id: 'early' });
    await until(() => s.engine.active() === 0);
    socket.request({ client_request_id: 'middle' });
    const { request_id } = await socket.find((f) => f.type === 'chat.token');
    socket.send({ type: 'chat.cancel', request_id });
    await until(() => s.engine.active() === 0);
    await socket.find((f) => f.type === 'chat.done' && f.client_request_id === 'middle');
    await sleep(50);
    for (const id of ['early', 'middle'])
      expect(
        socket.frames
          .filter((f) => f.client_request_id === id && /done|error/.test(f.type))
          .map((f) => f.finish_reason),
      ).toEqual(['cancelled']);
    socket.send({ type: 'chat.cancel', request_id: 'nobody' });
    expect(await socket.find((f) => f.code === 'request_not_found')).toMatchObject({ request_id: 'nobody' });
    expect(socket.ws.readyState).toBe(1);
  });

  test('[LG3] a connection that ends stops the engine: socket, event stream and whole answer', async () => {
    const s = await start(adapter, () => words(500, 20));
    const socket = await s.socket();
    socket.request();
    await socket.find((f) => f.type === 'chat.token');
    socket.ws.terminate();
    await until(() => s.engine.active() === 0);
    for (const stream of [true, false]) {
      const gone = new AbortController();
      const answer = fetch(`${s.url}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify(request({ stream })),
        signal: gone.signal,
      }).then((r) => r.text());
      await until(() => s.engine.active() === 1);
      await sleep(60);
      gone.abort();
      await expect(answer).rejects.toThrow();
      await until(() => s.engine.active() === 0);
    }
  });

  test('[LG4] three requests on one socket do not mix, and malformed frames harm none', async () => {
    const s = await start(adapter, ({ messages }) =>
      Array.from({ length: 20 }, (_, i) => ({ text: `${messages.at(-1)?.content}${i} `, afterMs: 2 })),
    );
    const socket = await s.socket();
    for (const name of ['a', 'b', 'c']) {
      socket.request({ client_request_id: name, messages: [{ role: 'user', content: name }] });
      socket.send('{not json');
      socket.send({ type: 'what' });
      socket.send({ type: 'chat.request', client_request_id: `bad-${name}`, messages: 'no' });
      socket.ws.send(Buffer.from([1, 2, 3]));
    }
    for (const name of ['a', 'b', 'c']) {
      await socket.find((f) => f.type === 'chat.done' && f.client_request_id === name);
      const text = socket.frames
        .filter((f) => f.client_request_id === name && f.type === 'chat.token')
        .map((f) => f.content);
      expect(text).toEqual(Array.from({ length: 20 }, (_, i) => `${name}${i} `));
      expect(socket.frames.filter((f) => f.client_request_id === `bad-${name}`)).toMatchObject([
        { type: 'chat.error', code: 'invalid_request', status: 400 },
      ]);
    }
    expect(socket.frames.filter((f) => f.request_id === null)).toHaveLength(12);
  });

  test('[LG5] a request is accepted at once, and while its prompt is read it says that it is alive', async () => {
    const s = await start(adapter, () => [{ text: 'late', afterMs: 450 }], { limits: { keepaliveMs: 100 } });
    const socket = await s.socket();
    const sentAt = performance.now();
    socket.request({ client_request_id: 'x' });
    const accepted = await socket.find((f) => f.type === 'chat.accepted');
    expect(performance.now() - sentAt).toBeLessThan(100);
    expect(accepted).toMatchObject({ client_request_id: 'x', model: MODEL, queue_position: 0 });
    await socket.last();
    const kinds = socket.frames.map((f) => f.type);
    expect(kinds.filter((k) => k === 'chat.keepalive').length).toBeGreaterThanOrEqual(4);
    expect(new Set(kinds.slice(1, -2))).toEqual(new Set(['chat.keepalive']));
    expect(socket.frames[1]).toMatchObject({ phase: 'prefill' });
    const stream = await s.post('/v1/chat/completions', request({ stream: true }));
    expect(events(stream.text).comments).toBeGreaterThanOrEqual(3);
  });

  test('[LG6] a prompt of 8 MiB passes over a socket and over HTTP; a frame above the bound closes with 1009', async () => {
    const s = await start(adapter, ({ messages }) => [{ text: String(String(messages[0]?.content).length) }], {
      limits: { frameBytesMax: 9 << 20, bodyBytesMax: 9 << 20 },
    });
    const content = 'x'.repeat(8 << 20);
    const socket = await s.socket();
    socket.request({ messages: [{ role: 'user', content }] });
    expect(await socket.find((f) => f.type === 'chat.token')).toMatchObject({ content: String(content.length) });
    const answer = await s.post('/v1/chat/completions', request({ messages: [{ role: 'user', content }] }));
    expect(answer.json.choices[0].message.content).toBe(String(content.length));
    const over = await s.post(
      '/v1/chat/completions',
      request({ messages: [{ role: 'user', content: 'x'.repeat(10 << 20) }] }),
    );
    expect([over.status, over.json.error.code]).toEqual([413, 'payload_too_large']);
    socket.request({ messages: [{ role: 'user', content: 'x'.repeat(10 << 20) }] });
    // uWebSockets.js ends such a socket without a close frame (docs/decisions/0007).
    expect((await socket.closed).code).toBe(adapter === 'ws' ? 1009 : 1006);
  });

  test('[LG7] with keys nothing but health and discovery answers without one', async () => {
    const s = await start(adapter, () => words(2), { apiKey: 'inference-key', adminKey: 'admin-key' });
    for (const path of ['/healthz', '/readyz', '/.well-known/opta-lmx', '/v1/discovery'])
      expect((await s.get(path)).status).toBe(200);
    for (const path of ['/v1/models', `/v1/models/${MODEL}`]) expect((await s.get(path)).status).toBe(401);
    expect((await s.post('/v1/chat/completions', request())).status).toBe(401);
    await expect(s.socket()).rejects.toMatchObject({ status: 401 });
    await expect(s.socket({ headers: { authorization: 'Bearer wrong' } })).rejects.toMatchObject({ status: 401 });
    for (const headers of [
      { authorization: 'Bearer inference-key' },
      { 'x-api-key': 'inference-key' },
      { 'x-admin-key': 'admin-key' },
    ]) {
      expect((await s.get('/v1/models', headers)).status).toBe(200);
      const socket = await s.socket({ headers });
      socket.request();
      expect((await socket.last()).type).toBe('chat.done');
    }
    expect((await s.get('/admin/status', { 'x-api-key': 'inference-key' })).status).toBe(403);
    expect((await s.get('/admin/status', { 'x-admin-key': 'admin-key' })).status).toBe(200);
    expect((await s.get('/v1/models?key=inference-key')).status).toBe(401);
  });

  test('[LG7] a browser brings its key as a subprotocol or in its first frame, and a wrong one closes with 4401', async () => {
    const s = await start(adapter, () => words(2), { apiKey: 'k-1', limits: { authMs: 100 } });
    const key = `opta-lmx.key.${Buffer.from('k-1').toString('base64url')}`;
    const byProtocol = await s.socket({ protocols: ['opta-lmx.auth', key] });
    byProtocol.request();
    expect((await byProtocol.last()).type).toBe('chat.done');
    const byFrame = await s.socket({ protocols: ['opta-lmx.auth'] });
    byFrame.send({ type: 'auth', token: 'k-1' });
    byFrame.request();
    expect((await byFrame.last()).type).toBe('chat.done');
    const wrong = await s.socket({ protocols: ['opta-lmx.auth'] });
    wrong.send({ type: 'auth', token: 'nope' });
    expect((await wrong.closed).code).toBe(4401);
    const silent = await s.socket({ protocols: ['opta-lmx.auth'] });
    expect((await silent.closed).code).toBe(4401);
    const early = await s.socket({ protocols: ['opta-lmx.auth'] });
    early.request();
    expect((await early.closed).code).toBe(4401);
  });

  test('[LG7] a strange Origin and a strange Host are refused', async () => {
    const s = await start(adapter, () => words(2));
    const evil = { origin: 'https://evil.example' };
    expect((await s.post('/v1/chat/completions', request(), evil)).status).toBe(403);
    await expect(s.socket({ headers: evil })).rejects.toMatchObject({ status: 403 });
    const local = await s.post('/v1/chat/completions', request({ stream: true }), { origin: 'http://localhost:3000' });
    expect(local.headers.get('access-control-allow-origin')).toBe('http://localhost:3000');
  });

  test('[LG8] a tool call arrives whole, with the text around it, on all wires', async () => {
    const s = await start(adapter, ({ tools }) => (tools ? CALLS : [{ text: 'no tools' }]));
    const args = ['{"a": 1}', '{"b":2}'];
    const json = (await s.post('/v1/chat/completions', request({ tools: [TOOL] }))).json.choices[0];
    expect(json).toMatchObject({ finish_reason: 'tool_calls', message: { content: 'Let me see. Done.' } });
    expect(json.message.tool_calls.map((c: { function: { arguments: string } }) => c.function.arguments)).toEqual(args);
    const { chunks } = events((await s.post('/v1/chat/completions', request({ tools: [TOOL], stream: true }))).text);
    const pieces: { [index: number]: string } = {};
    for (const chunk of chunks)
      for (const c of chunk.choices[0]?.delta.tool_calls ?? [])
        pieces[c.index] = (pieces[c.index] ?? '') + c.function.arguments;
    expect(Object.values(pieces)).toEqual(args);
    const socket = await s.socket();
    socket.request({ tools: [TOOL] });
    expect((await socket.last()).finish_reason).toBe('tool_calls');
    const calls = socket.frames.filter((f) => f.type === 'chat.tool_call').map((f) => f.tool_call);
    expect(calls).toEqual([
      { index: 0, id: 'c1', name: 'add', arguments: args[0] },
      { index: 1, id: 'c2', name: 'add', arguments: args[1] },
    ]);
    const grows = await s.socket();
    grows.request({ tools: [TOOL], incremental_tools: true });
    await grows.last();
    expect(grows.frames.filter((f) => f.type === 'chat.tool_call')).toHaveLength(4);
    const none = await s.post('/v1/chat/completions', request({ tools: [TOOL], tool_choice: 'none' }));
    expect(none.json.choices[0].message).toMatchObject({ content: 'no tools', tool_calls: null });
  });

  test('[LG11] names with slashes are names, and every refusal has one shape', async () => {
    const s = await start(adapter, () => words(1));
    expect((await s.get(`/v1/models/${MODEL}`)).json).toMatchObject({ id: MODEL, context_length: 4_096 });
    expect((await s.get(`/v1/models/${encodeURIComponent(MODEL)}`)).status).toBe(200);
    const asked: (() => Promise<Answer>)[] = [
      () => s.get('/v1/models/no/such'),
      () => s.get('/nowhere'),
      () => s.get('/v1/chat/completions'),
      () => s.post('/v1/chat/completions', '{nope'),
      () => s.post('/v1/chat/completions', request({ model: 'nope' })),
      () => s.post('/v1/chat/completions', request({ temperature: 9 })),
      () => s.post('/v1/chat/completions', request({ n: 3 })),
      () => s.post('/v1/chat/completions', request(), { 'x-serving-lane': 'fast' }),
      () => s.post('/v1/embeddings', { input: 'x' }),
      () => s.post('/admin/models/load', { model_id: 'nope' }),
      () => s.post('/admin/models/load/confirm', { confirmation_token: 'x' }),
      () => s.post('/admin/models/unload', { model_id: 'nope' }),
      () => s.post('/admin/models/download', { repo_id: 'x' }),
      () => s.get('/admin/models/download/d1/progress'),
      () => s.get('/v1/models/%ff'),
    ];
    const refusals: Answer[] = [];
    for (const ask of asked) refusals.push(await ask());
    expect(refusals.map((r) => [r.status, r.json?.error?.code])).toEqual([
      [404, 'model_not_found'],
      [404, 'not_found'],
      [405, 'method_not_allowed'],
      [400, 'invalid_json'],
      [404, 'model_not_found'],
      [400, 'invalid_request'],
      [400, 'not_supported'],
      [400, 'invalid_header'],
      [400, 'not_supported'],
      [404, 'model_not_found'],
      [404, 'token_not_found'],
      [404, 'model_not_found'],
      [403, 'downloads_disabled'],
      [404, 'download_not_found'],
      [400, 'invalid_request'],
    ]);
    for (const { json } of refusals) {
      expect(Object.keys(json.error).sort()).toEqual(['code', 'message', 'param', 'type']);
      expect(json.detail).toBe(json.error.message);
    }
  });

  test('[LG10] models are loaded, listed, unloaded and counted as administrators of old expect it', async () => {
    const s = await start(adapter, () => words(3), {
      engine: {
        models: [
          { id: MODEL, memoryBytes: 1 << 30 },
          { id: 'org/other', cold: true },
        ],
      },
    });
    expect((await s.get('/admin/models/available')).json.map((m: { repo_id: string }) => m.repo_id)).toEqual([
      MODEL,
      'org/other',
    ]);
    const load = await s.post('/admin/models/load', { model_id: 'org/other', auto_download: false });
    expect(load.json).toMatchObject({ success: true, model_id: 'org/other' });
    expect((await s.get('/admin/models')).json).toMatchObject({ count: 2 });
    expect((await s.get('/v1/models')).json.data.map((m: { id: string }) => m.id)).toEqual([MODEL, 'org/other']);
    expect((await s.post('/admin/models/unload', { model_id: MODEL })).json).toEqual({
      success: true,
      model_id: MODEL,
      memory_freed_gb: 1,
    });
    expect((await s.get('/admin/status')).json).toMatchObject({
      loaded_models: 1,
      models: ['org/other'],
      in_flight_requests: 0,
    });
    expect((await s.get('/admin/memory')).json.models).toEqual({ 'org/other': { memory_gb: null, loaded: true } });
    expect((await s.get('/readyz')).json).toMatchObject({ status: 'ready', models_loaded: 1 });
    await s.post('/admin/models/unload', { model_id: 'org/other' });
    const unready = await s.get('/readyz');
    expect([unready.status, unready.json]).toEqual([503, { status: 'unavailable', reason: 'no models loaded' }]);
  });

  test('[LG12] what a caller calls itself cannot break the metrics', async () => {
    const s = await start(adapter, () => words(3));
    const name = 'a"} evil 1\\u';
    await s.post('/v1/chat/completions', request(), { 'x-client-id': name });
    const { text } = await s.get('/admin/metrics');
    for (const line of text.trim().split('\n'))
      expect(line).toMatch(/^(?:# (?:HELP|TYPE) .+|[a-z_]+(?:\{[a-z]+="(?:[^"\\\n]|\\.)*"\})? [\d.e+-]+)$/);
    expect(text).toContain('lmx_client_requests_total{client="a___evil_1_u"} 1');
    expect(text).toContain('lmx_first_token_seconds_count 1');
    expect((await s.get('/admin/metrics/json')).json).toMatchObject({ total_requests: 1, total_completion_tokens: 3 });
  });

  test('discovery tells who this is and what it can', async () => {
    const s = await start(adapter, () => words(1), { apiKey: 'k' });
    const page = (await s.get('/.well-known/opta-lmx')).json;
    expect(page).toMatchObject({
      service: 'opta-lmx',
      ready: true,
      loaded_models: [MODEL],
      auth: { inference_key_required: true },
      endpoints: { preferred_base_url: s.url, websocket_path: '/v1/chat/stream' },
    });
    expect(page.capabilities).toEqual(
      expect.arrayContaining(['accepted', 'keepalive', 'multiplex', 'incremental_tools']),
    );
    expect((await s.get('/v1/discovery')).json).toEqual(page);
  });

  test('events tell of models, and the number of listeners is bounded', async () => {
    const s = await start(adapter, () => words(1), { limits: { eventStreamsMax: 1 } });
    const gone = new AbortController();
    const res = await fetch(`${s.url}/admin/events`, { signal: gone.signal });
    expect((await s.get('/admin/events')).status).toBe(429);
    await s.post('/admin/models/unload', { model_id: MODEL });
    let text = '';
    for await (const bytes of res.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(bytes).toString();
      if (text.includes('event: model_unloaded')) break;
    }
    expect(text).toContain('event: model_readiness_changed');
    gone.abort();
  });

  test('[LG13] an engine that dies fails its requests once, with a code, and the server goes on', async () => {
    const s = await start(adapter, ({ messages }) =>
      messages.at(-1)?.content === 'die' ? [{ text: 'a' }, { crash: 'killed' }] : words(3),
    );
    const socket = await s.socket();
    socket.request({ messages: [{ role: 'user', content: 'die' }] });
    expect(await socket.last()).toMatchObject({ type: 'chat.error', code: 'engine_failed', status: 502 });
    const soon = await s.post('/v1/chat/completions', request());
    expect([soon.status, soon.json.error.code]).toEqual([503, 'engine_unavailable']);
    expect(soon.headers.get('retry-after')).toBe('2');
    await until(() => s.gateway.models()[0]?.readiness === 'routable', 5_000);
    expect((await s.post('/v1/chat/completions', request())).status).toBe(200);
  });

  test('a reader that takes nothing pauses its own answer, and is let go', async () => {
    const s = await start(adapter, () => Array.from({ length: 4_000 }, () => ({ text: 'x'.repeat(4_096) })), {
      limits: { readerMs: 200, backlogBytes: 64 * 1024 },
    });
    const socket = await s.socket();
    socket.ws.pause();
    socket.request();
    await until(() => s.engine.active() === 1);
    await sleep(100);
    const other = await s.socket();
    other.request({ max_tokens: 5 });
    expect((await other.last()).type).toBe('chat.done');
    await until(() => s.engine.active() === 0, 3_000);
    socket.ws.resume();
    expect((await socket.closed).code).not.toBe(1000);
  });

  test('a socket without a request is closed in time, and one with a request is not', async () => {
    const s = await start(adapter, () => [{ text: 'a', afterMs: 300 }], { limits: { socketIdleMs: 100 } });
    const [idle, busy] = [await s.socket(), await s.socket()];
    busy.request();
    expect((await idle.closed).code).toBe(1000);
    expect((await busy.last()).type).toBe('chat.done');
  });

  test('a socket has a bounded number of requests', async () => {
    const s = await start(adapter, () => [{ stall: true }], { limits: { requestsPerSocketMax: 2 } });
    const socket = await s.socket();
    for (let i = 0; i < 3; i++) socket.request({ client_request_id: `r${i}` });
    expect(await socket.find((f) => f.type === 'chat.error')).toMatchObject({
      client_request_id: 'r2',
      code: 'too_many_requests',
    });
  });

  test('ping is answered', async () => {
    const s = await start(adapter, () => words(1));
    const socket = await s.socket();
    socket.send({ type: 'ping', t: 7 });
    expect(await socket.find((f) => f.type === 'pong')).toEqual({ type: 'pong', t: 7 });
  });

  test('it drains: what runs ends, sockets are told', async () => {
    const s = await start(adapter, () => words(10, 30));
    const socket = await s.socket();
    socket.request();
    await socket.find((f) => f.type === 'chat.token');
    const closing = s.server.close();
    await sleep(20);
    socket.request({ client_request_id: 'late' });
    expect(await socket.find((f) => f.client_request_id === 'late')).toMatchObject({ code: 'shutting_down' });
    expect((await socket.find((f) => f.type === 'chat.done')).finish_reason).toBe('stop');
    expect((await socket.closed).code).toBe(1001);
    await closing;
  });

  test('it takes no address that others reach without keys', async () => {
    await expect(serve(adapter, () => words(1), { host: '0.0.0.0' })).rejects.toMatchObject({ code: 'forbidden-host' });
  });
});
