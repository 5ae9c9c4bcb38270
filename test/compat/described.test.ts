import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { OUTBOUND_FRAMES, STREAM_MESSAGES } from '../../src/protocol/describe/outbound.ts';
import { EVENTS } from '../../src/protocol/events.ts';
import { OPERATION_IDS, operation } from '../../src/protocol/operations.ts';
import { removeDir, tempDir, until } from '../support/cli.ts';
import { fakeAdmin } from '../support/fake-lmx-admin.ts';
import type { Answer, Client } from './daemon.ts';
import { closed } from './described.ts';
import { aWorld, isAck, isEvent, path, submit, turn, UNAUTHORIZED } from './world.ts';

/**
 * The descriptions against the daemon. All compatibility tests hold what they see against them (`described.ts`); here it is shown
 * that this finds something, and everything that is described is brought about at least once.
 */
const admin = fakeAdmin();
const world = aWorld(admin.options);
const workspace = tempDir();
afterAll(() => removeDir(workspace));

const DOCUMENTS = [
  ['openapi', '/v3/openapi.json'],
  ['asyncapi', '/v3/asyncapi.json'],
] as const;

describe('serving', () => {
  test.each(DOCUMENTS)('[DS5] %s needs a token, the observer’s will do, and is not sent twice', async (_, at) => {
    expect(await world.daemon.ask({ path: at })).toMatchObject({ status: 401, body: UNAUTHORIZED });
    const { observerToken } = JSON.parse(readFileSync(join(world.daemon.home, 'daemon', 'state.json'), 'utf8'));
    const first = await world.daemon.ask({ path: at, headers: { authorization: `Bearer ${observerToken}` } });
    expect(first.status).toBe(200);
    expect(first.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-cache',
    });
    const etag = String(first.headers.etag);
    expect(etag).toMatch(/^"[0-9a-f]{16}"$/);
    for (const known of [etag, `W/${etag}`, '*']) {
      const again = await world.daemon.authed({ path: at, headers: { 'if-none-match': known } });
      expect([again.status, again.text, again.headers.etag]).toEqual([304, '', etag]);
    }
    const other = await world.daemon.authed({ path: at, headers: { 'if-none-match': '"other"' } });
    expect([other.status, other.text === first.text]).toEqual([200, true]);
  });

  test.each(DOCUMENTS)('[DS1] %s is what docs/api holds', async (name, at) => {
    const stored = readFileSync(new URL(`../../docs/api/${name}.json`, import.meta.url), 'utf8');
    expect((await world.daemon.get(at)).body).toEqual(JSON.parse(stored));
  });
});

describe('the check', () => {
  test('[DS3] finds a member, a status, a type and a path that are not described', async () => {
    const { described } = world.daemon;
    const answer = await world.daemon.get('/v3/health');
    const wrong = (changed: Partial<Answer>, at = '/v3/health') =>
      described.answer('GET', at, { ...answer, ...changed });
    expect(wrong({})).toEqual([]);
    const body = answer.body as { runtime: object };
    expect(wrong({ text: JSON.stringify({ ...body, colour: 'red' }) })[0]).toContain('colour');
    expect(wrong({ text: JSON.stringify({ ...body, runtime: { ...body.runtime, deep: 1 } }) })[0]).toContain('deep');
    expect(wrong({ text: JSON.stringify({ ...body, version: 7 }) })[0]).toContain('/version must be string');
    expect(wrong({ text: '{}' })[0]).toContain('daemonId');
    expect(wrong({ status: 201 })[0]).toContain('does not declare this status');
    expect(wrong({ headers: { 'content-type': 'text/html' } })[0]).toContain('does not declare the type');
    expect(wrong({}, '/v3/wealth')[0]).toContain('no operation');
    const failure = (code: string) => JSON.stringify({ error: 'x', code, retryable: false });
    const notFound = (code: string) => wrong({ status: 404, text: failure(code) }, '/v3/sessions/x');
    expect(notFound('session-not-found')).toEqual([]);
    expect(notFound('background-not-found')[0]).toContain('/code must be equal to one of the allowed values');
    const schemas = { A: { properties: { a: {} } }, B: { properties: { b: { properties: {} } } } };
    const both = { allOf: [{ $ref: '#/schemas/A' }, { oneOf: [{ $ref: '#/schemas/B' }] }] };
    const shut = { additionalProperties: false };
    expect(closed({ schemas, both }, { schemas, both })).toEqual({
      schemas: { A: { ...schemas.A, ...shut }, B: { properties: { b: { properties: {}, ...shut } }, ...shut } },
      both: {
        allOf: [schemas.A, { oneOf: [{ properties: { b: { properties: {}, ...shut } } }] }],
        unevaluatedProperties: false,
      },
    });
  });

  test('[DS3] finds a frame that fits no message, and one that stands where it may not', async () => {
    const { described } = world.daemon;
    const client = await world.daemon.connect(path('described-none'));
    const frame = await client.frame((f) => f.code === 'session-not-found', 'to be told');
    await client.close();
    const wrong = (value: object, channel: 'socket' | 'events' | 'health' = 'socket') =>
      described.frame(channel, JSON.stringify(value));
    expect(wrong(frame)).toEqual([]);
    const token = { v: '3', event: 'turn.token', daemonId: 'd', sessionId: 's', seq: 1, ts: 't' };
    const payload = { turnId: 't', text: 'x', step: 1 };
    expect(wrong({ ...token, payload })).toEqual([]);
    expect(wrong({ ...token, payload: { ...payload, colour: 'red' } })[0]).toContain('colour');
    expect(wrong({ ...token, payload: { ...payload, text: 7 } })[0]).toContain('/payload/text must be string');
    expect(wrong({ ...token, event: 'turn.dance', payload })[0]).toContain('fits no message');
    const beat = { type: 'heartbeat', event: 'heartbeat', sessionId: 's', seq: 1, ts: 't' };
    expect(wrong(beat)).toEqual([]);
    expect(wrong(beat, 'events')[0]).toContain('fits no message');
    expect(wrong({ type: 'turn.submit', sessionId: 's' })[0]).toContain('fits no message');
    expect([described.closed(4001), described.closed(4999)]).toEqual([[], ['a socket was closed with 4999']]);
    const stream = {
      status: 200,
      headers: { 'content-type': 'text/event-stream' },
      text: ': connected\n\nevent: x\n\n',
    };
    expect(described.stream('/v3/sse/events', stream)[0]).toContain('no event of a stream');
  });
});

// --- everything once

interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  example: string;
}
interface DescribedOperation {
  operationId: string;
  parameters?: Parameter[];
  requestBody?: { content: { 'application/json': { example: unknown } } };
  responses: { [status: string]: { content?: { [type: string]: unknown } } };
}

/** The request that the description shows as an example. */
const exampleOf = (template: string, method: string, op: DescribedOperation) => {
  const those = (where: Parameter['in']) => (op.parameters ?? []).filter((p) => p.in === where);
  const encoded = (p: Parameter): string => encodeURIComponent(String(p.example));
  const filled = those('path').reduce((at, p) => at.replace(`{${p.name}}`, encoded(p)), template);
  const query = those('query').map((p) => `${p.name}=${encoded(p)}`);
  const body = op.requestBody?.content['application/json'].example;
  return {
    method: method.toUpperCase(),
    path: query.length > 0 ? `${filled}?${query.join('&')}` : filled,
    ...(body === undefined ? {} : { body }),
  };
};

const isStream = (op: DescribedOperation): boolean =>
  Object.values(op.responses).some((r) => 'text/event-stream' in (r.content ?? {}));

test('[DS3] every operation answers the example of its description as it is described to', async () => {
  const { paths } = (await world.daemon.get('/v3/openapi.json')).body as {
    paths: { [template: string]: { [method: string]: DescribedOperation } };
  };
  const called: string[] = [];
  const malformed: string[] = [];
  for (const [template, methods] of Object.entries(paths)) {
    for (const [method, op] of Object.entries(methods)) {
      const request = exampleOf(template, method, op);
      called.push(op.operationId);
      if (!isStream(op)) {
        const { status, text } = await world.daemon.authed(request);
        if (status === 400) malformed.push(`${op.operationId} ${JSON.stringify(request)}: ${text}`);
        continue;
      }
      const headers = { authorization: 'Bearer $TOKEN' };
      const stream = await world.daemon.listen({ path: request.path, headers });
      await until(() => stream.text().includes('\n\n'), `${op.operationId} to begin`);
      stream.close();
    }
  }
  expect(called.length).toBeGreaterThanOrEqual(OPERATION_IDS.length);
  expect(malformed).toEqual([]);
}, 120_000);

const SCRIPT = {
  think: 'is it odd ',
  preText: 'I will write. ',
  tools: [{ name: 'write_file', args: { path: 'note.txt', content: 'x' } }],
  text: 'done',
};
const LONG = '@@{"tokens":400,"tps":40}@@';

const asked = async (client: Client, sessionId: string): Promise<unknown> => {
  const from = client.frames.length;
  client.send(submit(sessionId, `write @@${JSON.stringify(SCRIPT)}@@`, { requestId: 'r' }));
  const fits = (f: Client['frames'][number]) => isEvent('permission.request')(f) && client.frames.indexOf(f) >= from;
  return (await client.frame(fits, 'the question')).payload?.requestId;
};

describe('a walk through all of it', () => {
  const at = '/v3/sessions/walk';
  const expectStatus = async (answer: Promise<Answer>, status: number): Promise<Answer['body']> => {
    const { status: is, text, body } = await answer;
    expect(is, text).toBe(status);
    return body;
  };
  const get = (more: string, status = 200) => expectStatus(world.daemon.get(more), status);
  const post = (more: string, body: unknown, status = 200) => expectStatus(world.daemon.post(more, body), status);
  const send = (method: string, more: string, body?: unknown) =>
    expectStatus(world.daemon.authed({ method, path: more, ...(body === undefined ? {} : { body }) }), 200);

  test('[DS4] a session, with tools and permissions', async () => {
    await post('/v3/sessions', { sessionId: 'walk', metadata: { workspace } }, 201);
    const client = await world.daemon.connect(path('walk', '&features=snapshot,presence&clientId=desk&writerId=ada'));
    await client.frame((f) => f.type === 'snapshot', 'the snapshot');
    await client.frame((f) => f.type === 'presence', 'the presence');
    client.send({ type: 'hello', requestId: 'h', features: ['presence', 'snapshot'], role: 'automation' });
    await client.frame(isAck('hello'), 'the ack of the hello');
    client.send({ type: 'ping', requestId: 'p' });
    await client.frame((f) => f.type === 'heartbeat', 'the heartbeat');

    const first = await asked(client, 'walk');
    client.send({ type: 'hello', requestId: 'h2', features: ['snapshot'] });
    await client.frame((f) => f.type === 'snapshot' && f.requestId === 'h2', 'a snapshot in mid-turn');
    const decision = { decision: 'allow', decidedBy: 'ada' };
    await post(`${at}/permissions/${first}`, decision);
    client.send({ type: 'permission.resolve', sessionId: 'walk', requestId: first, ...decision, ackId: 'late' });
    await client.frame((f) => isAck('permission.resolve')(f) && f.requestId === 'late', 'the refusal');
    await client.frame(isEvent('session.updated'), 'the end');
    const second = await asked(client, 'walk');
    await post(`${at}/permission`, { requestId: second, ...decision });
    const third = await asked(client, 'walk');
    client.send({
      type: 'permission.resolve',
      sessionId: 'walk',
      requestId: third,
      decision: 'deny',
      decidedBy: 'ada',
    });
    await client.frame((f) => isEvent('permission.resolved')(f) && f.payload?.requestId === third, 'the deny');
    for (const more of ['', '/inspect', '/why', '/events', '/presence', '/export', '/export?format=jsonl', '/queue'])
      await get(`${at}${more}`);
    await get(`${at}/export?format=markdown`);
    await client.close();
  }, 60_000);

  test('[DS4] turns that wait, and their ends', async () => {
    const client = await world.daemon.connect(path('walk', '&afterSeq=0'));
    client.send(submit('walk', `on and on ${LONG}`, { requestId: 'long' }));
    const { turnId } = await client.frame((f) => f.requestId === 'long', 'its ack');
    const keyed = turn('behind it', { idempotencyKey: 'one' });
    const { turnId: waiting } = (await post(`${at}/turns`, keyed, 202)) as { turnId: string };
    await post(`${at}/turns`, keyed, 202);
    await get(`${at}/queue`);
    await send('PATCH', `${at}/queue/${waiting}`, { writerId: 'ada', content: 'else', before: null });
    await send('DELETE', `${at}/queue/${waiting}?writerId=ada`);
    client.send({ type: 'turn.cancel', sessionId: 'walk', turnId, requestId: 'stop' });
    await client.frame((f) => f.requestId === 'stop', 'the ack of the cancel');
    await post(`${at}/cancel`, { writerId: 'ada' });
    client.send({ type: 'turn.submit', sessionId: 'walk' });
    await client.frame((f) => f.code === 'invalid-request', 'the error');
    await send('PATCH', at, { title: 'A walk', onBusy: 'reject' });
    await post(`${at}/fork`, { title: 'Another' }, 201);
    await send('DELETE', at);
    await post(`${at}/undelete`, {});
    await client.close();
  }, 60_000);

  test('[DS4] files that are taken back, and a conversation that outgrows its model', async () => {
    await post('/v3/sessions', { sessionId: 'outgrown', metadata: { workspace } }, 201);
    const client = await world.daemon.connect(path('outgrown'));
    const script = JSON.stringify({ tools: [{ name: 'write_file', args: { path: 'back.txt', content: 'x' } }] });
    client.send(submit('outgrown', `write @@${script}@@`, { overrides: { dangerous: true } }));
    await client.frame(isEvent('turn.done'), 'the end');
    await post('/v3/sessions/outgrown/undo', { writerId: 'ada' });
    await client.frame(isEvent('files.restored'), 'the files');
    // What the server lists for its model, and nearly all of it in one message.
    await get('/v3/lmx/models');
    for (const n of [1, 2]) client.send(submit('outgrown', `${n} ${'word '.repeat(12_000)} @@{"text":"ok"}@@`));
    await client.frame(isEvent('context.compacted'), 'a summary');
    await client.close();
    const stream = await world.daemon.listen({ path: '/v3/sse/events?sessionId=outgrown&afterSeq=0&token=$TOKEN' });
    await until(() => stream.text().includes('context.compacted'), 'the same in a stream');
    stream.close();
  }, 60_000);

  test('[DS4] background processes', async () => {
    const { process: one } = (await post(
      '/v3/background/start',
      { sessionId: 'walk', command: 'echo out; echo err >&2; sleep 20', shell: true },
      201,
    )) as { process: { processId: string } };
    const place = `/v3/background/${one.processId}`;
    const chunks = async () => ((await get(`${place}/output`)) as { chunks: unknown[] }).chunks.length;
    let seen = 0;
    const end = Date.now() + 10_000;
    while (seen < 2 && Date.now() < end) seen = await chunks();
    expect(seen).toBe(2);
    await get(`${place}/status`);
    await post(`${place}/kill`, { signal: 'SIGKILL' });
    await get('/v3/background?sessionId=walk');
    const client = await world.daemon.connect(path('walk'));
    await client.frame((f) => isEvent('background.status')(f) && f.payload?.reason === 'killed', 'its end');
    await client.close();
    const stream = await world.daemon.listen({ path: '/v3/sse/events?sessionId=walk&token=$TOKEN' });
    await until(() => stream.text().includes('"killed"'), 'the same in a stream');
    stream.close();
  }, 60_000);

  test('[DS4] what pages get in with, and what they watch', async () => {
    const { ticket } = (await post('/v3/web/tickets', {}, 201)) as { ticket: string };
    const { key } = (await post('/v3/web/keys', { ticket }, 201)) as { key: string };
    await post('/v3/web/keys', { ticket }, 401);
    const headers = { authorization: `Bearer ${key}` };
    const out = await world.daemon.ask({ method: 'DELETE', path: '/v3/web/keys/current', headers });
    expect(out).toMatchObject({ status: 200, body: { revoked: 1 } });
    await send('DELETE', '/v3/web/keys');
    await get('/v3/overview');
    const overview = await world.daemon.listen({ path: '/v3/overview/stream?token=$TOKEN' });
    const actors = await world.daemon.listen({ path: '/v3/inspect/stream?sessionId=walk&token=$TOKEN' });
    await until(() => overview.text().includes('"sessions"') && actors.text().includes('@opta.picture'), 'both feeds');
    const why = world.daemon.get(`${at}/why`);
    await post(`${at}/cancel`, { writerId: 'nobody' });
    await why;
    await until(() => actors.text().includes('"@xstate.snapshot"'), 'what an actor did');
    overview.close();
    actors.close();
  }, 60_000);

  test('[DS4] the inference host and the named operations', async () => {
    for (const more of ['status', 'discovery', 'models', 'memory', 'models/available', 'models/downloads'])
      await get(`/v3/lmx/${more}`);
    for (const more of ['models/download/dl_1/progress', 'models/fake-model/performance', 'quantize/q_1'])
      await get(`/v3/lmx/${more}`);
    for (const more of ['agents/r_1', 'skills/shout']) await get(`/v3/lmx/${more}`);
    await post('/v3/lmx/models/load', { modelId: 'org/other-model' });
    await post('/v3/lmx/models/load/confirm', { confirmationToken: 't' });
    await post('/v3/lmx/models/unload', { modelId: 'fake-model' });
    await post('/v3/lmx/models/download', { repoId: 'org/other-model' });
    await send('DELETE', '/v3/lmx/models/org%2Fother-model');
    await post('/v3/sessions', { sessionId: 'put-away' }, 201);
    await post('/v3/operations/sessions.delete', { input: { id: 'put-away' } });
    await post('/v3/operations/sessions.delete', { input: { id: 'nobody' } }, 404);
    await post('/v3/device/execute', { operationId: 'sessions.delete', input: { id: 'put-away' } });
    await post('/v3/operations/none', {}, 400);
  }, 60_000);
});

/** What nothing above brings about, and why not. An entry that is seen after all has to go. */
const UNSEEN: { readonly [operationOrMessage: string]: string } = {
  'bridge.connect': 'There is no bridge in this build: it is refused, always.',
  'files.committed': 'It comes with `git.autoCommit` alone, which is off here: test/e2e/auto-commit.test.ts has it.',
};

test('[DS4] each operation was seen to succeed, and each message was seen, or its absence has a reason', () => {
  const { operations, messages } = world.daemon.described.seen;
  const all = [
    ...OPERATION_IDS.map((id) => [id, operations.has(`${id} ${operation(id).status}`)] as const),
    ...[...Object.keys(EVENTS), ...Object.keys(OUTBOUND_FRAMES), 'health', ...Object.keys(STREAM_MESSAGES)].map(
      (m) => [m, messages.has(m)] as const,
    ),
  ];
  const unseen = all.filter(([, wasSeen]) => !wasSeen).map(([name]) => name);
  expect(unseen, 'call it in the walk above, or give the reason in UNSEEN').toEqual(Object.keys(UNSEEN));
});
