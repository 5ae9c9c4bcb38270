import { describe, expect, test } from 'vitest';
import { until } from '../support/cli.ts';
import { differs } from './differences.ts';
import {
  A_TURN,
  aWorld,
  eventsOf,
  everyDifferenceIsTold,
  expectGapless,
  ID,
  ISO,
  idle,
  isEvent,
  NUMBER,
  outline,
  refused,
  runtimeFacts,
  settled,
  textOf,
  turn,
  UNAUTHORIZED,
  withCursor,
  words,
} from './world.ts';

/**
 * The promises that clients written against the old daemon rely on, over HTTP, against ours as users run it. Each
 * scenario carries the number of the recording whose requests it sends, in the same order; where ours deliberately differs, the
 * line beside it names the row of `differences.ts`.
 */
const world = aWorld();

describe('01 health and token', () => {
  test('[AC1] /health is open; /v3/health takes the token in header or query, and nothing else', async () => {
    const open = await world.daemon.ask({ path: '/health' });
    expect(open).toMatchObject({ status: 200, body: { status: 'ok', version: expect.any(String), daemon: true } });
    expect(open.headers['content-type']).toBe('application/json; charset=utf-8');

    const asked = (authorization?: string, query = '') =>
      world.daemon.ask({ path: `/v3/health${query}`, headers: authorization === undefined ? {} : { authorization } });
    const good = await asked('Bearer $TOKEN');
    differs('added-fields');
    expect(good.body).toEqual({
      status: 'ok',
      version: expect.any(String),
      daemonId: expect.stringMatching(/^daemon_[\w-]{8}$/),
      uptime: expect.any(Number),
      contract: { name: 'opta-daemon-v3', version: 1 },
      features: expect.arrayContaining(['idempotency', 'observer']),
      runtime: runtimeFacts,
      state: 'ready',
      quarantined: [],
      transport: { adapter: expect.any(String), why: expect.any(String) },
      engine: expect.objectContaining({ engine: 'lmx' }),
      storage: expect.anything(),
    });
    const table: [authorization: string | undefined, query: string, status: number][] = [
      [undefined, '', 401],
      ['Bearer not-it', '', 401],
      ['bearer   $TOKEN', '', 200],
      ['Bearer $TOKEN', '', 200],
      [undefined, '?token=$TOKEN', 200],
      [undefined, '?token=not-it', 401],
      // A stale header beside a fresh query: a client that reconnects sends both.
      ['Bearer not-it', '?token=$TOKEN', 200],
      [undefined, '?token=$TOKEN&token=other', 401],
      ['Basic $TOKEN', '', 401],
    ];
    for (const [authorization, query, status] of table) {
      const answer = await asked(authorization, query);
      expect([authorization, query, answer.status]).toEqual([authorization, query, status]);
      if (status === 401) expect(answer.body).toEqual(UNAUTHORIZED);
    }
    const head = await world.daemon.authed({ method: 'HEAD', path: '/v3/health' });
    expect(head).toMatchObject({ status: 200, text: '' });
    expect(Number(head.headers['content-length'])).toBeGreaterThan(0);
  });
});

describe('02 metrics', () => {
  test('/v3/metrics has the runtime facts', async () => {
    expect(await world.daemon.ask({ path: '/v3/metrics' })).toMatchObject({ status: 401, body: UNAUTHORIZED });
    const metrics = await world.daemon.get('/v3/metrics');
    expect(metrics.status).toBe(200);
    expect(metrics.body).toEqual({
      daemonId: world.daemon.daemonId,
      runtime: runtimeFacts,
      ts: ISO,
      limits: expect.any(Array),
      settings: expect.any(Object),
    });
  });

  test('/v3/health/stream begins with the health of the moment, as an unnamed message', async () => {
    const path = '/v3/health/stream';
    expect(await world.daemon.ask({ path })).toMatchObject({ status: 401, body: UNAUTHORIZED });
    const headers = { authorization: 'Bearer $TOKEN', origin: 'http://localhost:3000' };
    const stream = await world.daemon.listen({ path, headers });
    expect(stream).toMatchObject({
      status: 200,
      headers: {
        'content-type': 'text/event-stream',
        'cache-control': 'no-cache, no-transform',
        'x-accel-buffering': 'no',
        'access-control-allow-origin': 'http://localhost:3000',
      },
    });
    await until(() => stream.messages().length > 0, 'the first message');
    stream.close();
    const health = await world.daemon.get('/v3/health');
    expect(stream.messages()[0]).toMatchObject({
      status: 'ok',
      daemonId: world.daemon.daemonId,
      contract: { name: 'opta-daemon-v3', version: 1 },
      runtime: runtimeFacts,
      ts: expect.any(Number),
    });
    expect(Object.keys(stream.messages()[0] as object)).toEqual([...Object.keys(health.body as object), 'ts']);
  });
});

describe('03 creating sessions', () => {
  const create = (body?: unknown, headers: { [name: string]: string } = {}) =>
    world.daemon.authed({ method: 'POST', path: '/v3/sessions', headers, ...(body === undefined ? {} : { body }) });
  const asJson = { 'content-type': 'application/json' };

  test('an empty object, no body, null and unknown members all make a session', async () => {
    for (const answer of [await create({}), await create(), await create('null', asJson)]) {
      expect(answer).toMatchObject({ status: 201, body: idle(ID, withCursor) });
      expect(Object.keys(answer.body as object)).not.toContain('title');
    }
    const stripped = await create({ sessionId: 'with-more', colour: 'red' });
    expect(stripped).toMatchObject({ status: 201, body: idle('with-more') });
    expect(stripped.body).not.toHaveProperty('colour');
    differs('empty-json');
    expect((await create('', asJson)).status).toBe(201);
  });

  test('everything given is kept; a second POST opens what is there and changes nothing', async () => {
    const given = [
      { role: 'system', content: 'be brief' },
      { role: 'user', content: 'hello' },
    ];
    const first = await create({
      sessionId: 'whole',
      model: 'fake-model',
      title: 'Plans',
      messages: [...given, 'not a message', { role: 7 }],
      metadata: { source: 'desk' },
    });
    expect(first.status).toBe(201);
    differs('metadata-kept');
    const kept = { title: 'Plans', metadata: { source: 'desk' } };
    expect(first.body).toEqual(idle('whole', { ...kept, ...withCursor }));
    const read = await world.daemon.get('/v3/sessions/whole');
    expect(read.body).toEqual(idle('whole', { ...kept, ...withCursor, messages: given }));

    const again = await create({ sessionId: 'whole', model: 'another', title: 'Else' });
    expect(again.status).toBe(201);
    expect(again.body).toEqual(first.body);
    differs('no-second-snapshot');
    expect(await eventsOf(world.daemon, 'whole')).toEqual([
      {
        v: '3',
        event: 'session.snapshot',
        daemonId: world.daemon.daemonId,
        sessionId: 'whole',
        seq: 1,
        ts: ISO,
        payload: { snapshot: idle('whole', kept), messages: given },
      },
    ]);
  });

  test('what is not a session is refused, with the path of each problem', async () => {
    const wrong = await create({ sessionId: 42, messages: 'none', metadata: ['k'] });
    expect(wrong).toMatchObject({ status: 400, body: refused('Invalid request body', 'invalid-request') });
    differs('issue-shapes');
    const issues = (wrong.body as { details: { path: string[]; code: string; message: string }[] }).details;
    expect(issues.map((d) => d.path)).toEqual([['sessionId'], ['messages'], ['metadata']]);
    expect(issues.map((d) => d.code)).toEqual(['invalid_type', 'invalid_type', 'invalid_type']);
    for (const { message } of issues) expect(message).toMatch(/expected \w+, received \w+/i);
    expect(await create([])).toMatchObject({ status: 400, body: { error: 'Invalid request body' } });

    differs('bad-session-id');
    for (const sessionId of ['../up', 'two words', 'y'.repeat(65), '', 'naïve']) {
      expect(await create({ sessionId })).toMatchObject({
        status: 400,
        body: { error: 'Invalid request body', details: [{ path: ['sessionId'] }] },
      });
    }
    expect((await create({ sessionId: 'y'.repeat(64) })).status).toBe(201);
  });

  test('bodies that are no JSON are refused in the shape of every other failure; no token, no session', async () => {
    differs('framework-errors');
    const broken = await create('{oops', asJson);
    expect(broken).toMatchObject({ status: 400, body: refused(expect.any(String), 'invalid-json') });
    const xml = await create('<s/>', { 'content-type': 'application/xml' });
    expect(xml).toMatchObject({ status: 415, body: refused(expect.any(String), 'unsupported-media-type') });
    differs('plain-text-body');
    expect((await create('{}', { 'content-type': 'text/plain' })).status).toBe(415);
    const bare = await world.daemon.ask({ method: 'POST', path: '/v3/sessions', body: {} });
    expect(bare).toMatchObject({ status: 401, body: UNAUTHORIZED });
  });
});

describe('05 a turn over HTTP', () => {
  test('[EV5] 202 with its id; then the log and the conversation hold it, text included', async () => {
    await world.daemon.post('/v3/sessions', { sessionId: 'by-http' });
    const content = 'five words @@{"tokens":5}@@';
    const taken = await world.daemon.post('/v3/sessions/by-http/turns', turn(content));
    expect(taken).toMatchObject({ status: 202, body: { turnId: ID, queued: 0, seq: 2 } });
    const { turnId } = taken.body as { turnId: string };

    const events = await settled(world.daemon, 'by-http', turnId);
    differs('text-stored');
    expect(outline(events)).toEqual(['session.snapshot', ...A_TURN]);
    expectGapless(events, 1);
    const who = { turnId, writerId: 'ada', clientId: 'desk' };
    expect(events[1]?.payload).toMatchObject({ ...who, queueSize: 1, position: 1, content });
    expect(events[2]?.payload).toEqual({ ...who, mode: 'chat' });
    differs('progress-phases');
    expect(events[3]?.payload).toMatchObject({ turnId, phase: 'model.request', message: null, provider: 'lmx' });
    expect(textOf(events, turnId)).toBe(words(5));
    const done = events.find(isEvent('turn.done'))?.payload;
    expect(done).toMatchObject({
      ...who,
      stats: { toolCalls: 0, elapsed: NUMBER, speed: NUMBER, promptTokens: NUMBER },
    });
    differs('stats-from-usage');
    expect(done).toMatchObject({ stats: { tokens: 5, completionTokens: 5, firstTokenLatencyMs: NUMBER } });

    differs('text-byte-for-byte');
    expect((await world.daemon.get('/v3/sessions/by-http')).body).toEqual(
      idle('by-http', {
        ...withCursor,
        messages: [
          { role: 'user', content },
          { role: 'assistant', content: words(5) },
        ],
      }),
    );
  });

  test('[TQ6] a turn that is refused names its problem and leaves no event', async () => {
    await world.daemon.post('/v3/sessions', { sessionId: 'refusing' });
    const to = (body: unknown, id = 'refusing') => world.daemon.post(`/v3/sessions/${id}/turns`, body);
    expect(await to(turn('x'), 'nobody')).toMatchObject({
      status: 404,
      body: refused('Session not found: nobody', 'session-not-found'),
    });
    const paths = async (body: unknown) => {
      const answer = await to(body);
      expect(answer).toMatchObject({ status: 400, body: refused('Invalid request body', 'invalid-request') });
      return (answer.body as { details: { path: string[] }[] }).details.map((d) => d.path.join('.')).sort();
    };
    expect(await paths({})).toEqual(['clientId', 'content', 'mode', 'writerId']);
    expect(await paths(turn(''))).toEqual(['content']);
    expect(await paths(turn('x', { mode: 'shout' }))).toEqual(['mode']);
    const { mode: _, ...modeless } = turn('x');
    expect(await paths(modeless)).toEqual(['mode']);
    const overrides = { autonomyLevel: 12, format: 'yaml' };
    expect(await paths(turn('x', { overrides }))).toEqual(['overrides.autonomyLevel', 'overrides.format']);
    const bare = await world.daemon.ask({ method: 'POST', path: '/v3/sessions/refusing/turns', body: turn('x') });
    expect(bare).toMatchObject({ status: 401, body: UNAUTHORIZED });
    expect(outline(await eventsOf(world.daemon, 'refusing'))).toEqual(['session.snapshot']);
  });
});

everyDifferenceIsTold('control');
