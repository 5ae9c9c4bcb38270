import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/cli.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { type Client, type Frame, type RealDaemon, startDaemon } from './daemon.ts';
import { DIFFERENCES, differs, namedDifferences } from './differences.ts';

/**
 * The promises that clients written against the old daemon rely on, played against ours as users run it. Each scenario carries
 * the number of the recording whose requests it sends, in the same order; where ours deliberately differs, the line beside it
 * names the row of `differences.ts`.
 */
let lmx: FakeLmx;
let daemon: RealDaemon;
beforeAll(async () => {
  lmx = await startFakeLmx();
  daemon = await startDaemon(lmx.port, { OPTA_MODEL: 'fake-model' });
});
afterAll(async () => {
  await daemon?.stop();
  await lmx?.close();
});

const ID = expect.stringMatching(/^[A-Za-z0-9_-]{12}$/);
const ISO = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const NUMBER = expect.any(Number);

/** A session that nothing has happened to. `seq` and `revision` are ours. */
const idle = (sessionId: unknown, more: object = {}) => ({
  sessionId,
  model: 'fake-model',
  createdAt: ISO,
  updatedAt: ISO,
  queuedTurns: 0,
  toolCallCount: 0,
  writerCount: 0,
  ...more,
});
const withCursor = { seq: NUMBER, revision: NUMBER };

const refused = (error: unknown, code: string, more: object = {}) => ({ error, code, retryable: false, ...more });
const UNAUTHORIZED = refused('Unauthorized', 'unauthorized');

const runtimeFacts = {
  sessionCount: NUMBER,
  activeTurnCount: NUMBER,
  queuedTurnCount: NUMBER,
  subscriberCount: NUMBER,
  ingressSeq: NUMBER,
  toolWorkers: { workers: NUMBER, busy: NUMBER, queued: NUMBER },
  latency: { p50Ms: NUMBER, p99Ms: NUMBER, samples: NUMBER },
};

const turn = (content: string, more: object = {}) => ({
  clientId: 'desk',
  writerId: 'ada',
  content,
  mode: 'chat',
  ...more,
});
const submit = (sessionId: string, content: string, more: object = {}) => ({
  type: 'turn.submit',
  sessionId,
  ...turn(content, more),
});
const path = (sessionId: string, more = '') => `/v3/ws?sessionId=${sessionId}${more}&token=$TOKEN`;
const opened = async (sessionId: string, more = ''): Promise<Client> => {
  expect((await daemon.post('/v3/sessions', { sessionId })).status).toBe(201);
  return daemon.connect(path(sessionId, more));
};

const isAck = (action: string) => (f: Frame) => f.type === 'ack' && f.action === action;
const isEvent = (event: string, turnId?: unknown) => (f: Frame) =>
  f.event === event && (turnId === undefined || f.payload?.turnId === turnId);
const isTerminal = (turnId: unknown) => (f: Frame) =>
  isEvent('turn.done', turnId)(f) || isEvent('turn.error', turnId)(f);

const eventsOf = async (sessionId: string, afterSeq = 0): Promise<Frame[]> => {
  const answer = await daemon.get(`/v3/sessions/${sessionId}/events?afterSeq=${afterSeq}`);
  expect(answer.status).toBe(200);
  return (answer.body as { events: Frame[] }).events;
};
/** The stored events once the turn has ended and the session says so. */
const settled = async (sessionId: string, turnId: unknown): Promise<Frame[]> => {
  const watcher = await daemon.connect(path(sessionId));
  await watcher.frame(isTerminal(turnId), 'the end of the turn');
  await watcher.close();
  return eventsOf(sessionId);
};
/** Names in order, with each run of text as one entry: how text is split is nobody's promise. */
const outline = (frames: readonly Frame[]): string[] =>
  frames
    .flatMap((f) => (f.event === undefined ? [] : [f.event]))
    .filter((e, i, all) => e !== 'turn.token' || all[i - 1] !== e);
const textOf = (frames: readonly Frame[], turnId?: unknown): string =>
  frames
    .filter(isEvent('turn.token', turnId))
    .map((f) => f.payload?.text)
    .join('');
const expectGapless = (frames: readonly Frame[], from: number): void => {
  const seqs = frames.flatMap((f) => (f.event === undefined ? [] : [f.seq as number]));
  expect(seqs).toEqual(seqs.map((_, i) => from + i));
};
const messagesOf = async (sessionId: string): Promise<unknown> =>
  ((await daemon.get(`/v3/sessions/${sessionId}`)).body as { messages: unknown }).messages;

const A_TURN = ['turn.queued', 'turn.start', 'turn.progress', 'turn.token', 'turn.done', 'session.updated'];
const words = (count: number) => Array.from({ length: count }, (_, i) => ` tok${i}`).join('');

describe('01 health and token', () => {
  test('[AC1] /health is open; /v3/health takes the token in header or query, and nothing else', async () => {
    const open = await daemon.ask({ path: '/health' });
    expect(open).toMatchObject({ status: 200, body: { status: 'ok', version: expect.any(String), daemon: true } });
    expect(open.headers['content-type']).toBe('application/json; charset=utf-8');

    const asked = (authorization?: string, query = '') =>
      daemon.ask({ path: `/v3/health${query}`, headers: authorization === undefined ? {} : { authorization } });
    const good = await asked('Bearer $TOKEN');
    differs('added-fields');
    expect(good.body).toEqual({
      status: 'ok',
      version: expect.any(String),
      daemonId: expect.stringMatching(/^daemon_[\w-]{8}$/),
      contract: { name: 'opta-daemon-v3', version: 1 },
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
    const head = await daemon.authed({ method: 'HEAD', path: '/v3/health' });
    expect(head).toMatchObject({ status: 200, text: '' });
    expect(Number(head.headers['content-length'])).toBeGreaterThan(0);
  });
});

describe('02 metrics', () => {
  test('/v3/metrics has the runtime facts; the health stream is not there yet', async () => {
    expect(await daemon.ask({ path: '/v3/metrics' })).toMatchObject({ status: 401, body: UNAUTHORIZED });
    const metrics = await daemon.get('/v3/metrics');
    expect(metrics.status).toBe(200);
    expect(metrics.body).toEqual({
      daemonId: daemon.daemonId,
      runtime: runtimeFacts,
      ts: ISO,
      limits: expect.any(Array),
    });
    differs('health-stream');
    expect((await daemon.get('/v3/health/stream')).status).toBe(404);
  });
});

describe('03 creating sessions', () => {
  const create = (body?: unknown, headers: { [name: string]: string } = {}) =>
    daemon.authed({ method: 'POST', path: '/v3/sessions', headers, ...(body === undefined ? {} : { body }) });
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
    const read = await daemon.get('/v3/sessions/whole');
    expect(read.body).toEqual(idle('whole', { ...kept, ...withCursor, messages: given }));

    const again = await create({ sessionId: 'whole', model: 'another', title: 'Else' });
    expect(again.status).toBe(201);
    expect(again.body).toEqual(first.body);
    differs('no-second-snapshot');
    expect(await eventsOf('whole')).toEqual([
      {
        v: '3',
        event: 'session.snapshot',
        daemonId: daemon.daemonId,
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
    const bare = await daemon.ask({ method: 'POST', path: '/v3/sessions', body: {} });
    expect(bare).toMatchObject({ status: 401, body: UNAUTHORIZED });
  });
});

describe('05 a turn over HTTP', () => {
  test('[EV5] 202 with its id; then the log and the conversation hold it, text included', async () => {
    await daemon.post('/v3/sessions', { sessionId: 'by-http' });
    const content = 'five words @@{"tokens":5}@@';
    const taken = await daemon.post('/v3/sessions/by-http/turns', turn(content));
    expect(taken).toMatchObject({ status: 202, body: { turnId: ID, queued: 0, seq: 2 } });
    const { turnId } = taken.body as { turnId: string };

    const events = await settled('by-http', turnId);
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
    expect((await daemon.get('/v3/sessions/by-http')).body).toEqual(
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
    await daemon.post('/v3/sessions', { sessionId: 'refusing' });
    const to = (body: unknown, id = 'refusing') => daemon.post(`/v3/sessions/${id}/turns`, body);
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
    const bare = await daemon.ask({ method: 'POST', path: '/v3/sessions/refusing/turns', body: turn('x') });
    expect(bare).toMatchObject({ status: 401, body: UNAUTHORIZED });
    expect(outline(await eventsOf('refusing'))).toEqual(['session.snapshot']);
  });
});

describe('06 a turn over the socket', () => {
  test('[EV3] snapshot, queued, ack, start, progress, text, done, updated; the log says the same, byte for byte', async () => {
    const client = await opened('by-socket', '&afterSeq=0');
    await client.frame(isEvent('session.snapshot'), 'the snapshot');
    client.send(submit('by-socket', 'eight words @@{"tokens":8,"tps":100}@@'));
    const updated = await client.frame(isEvent('session.updated'), 'the end');
    const { frames } = client;
    const ack = frames.find(isAck('turn.submit')) as Frame;
    expect(ack).toEqual({ type: 'ack', action: 'turn.submit', turnId: ID, queued: 0, seq: 2 });

    expect(outline(frames)).toEqual(['session.snapshot', ...A_TURN]);
    expectGapless(frames, 1);
    const at = (fits: (f: Frame) => boolean) => frames.findIndex(fits);
    differs('ack-after-flush');
    expect(at(isEvent('turn.queued'))).toBeLessThan(at(isAck('turn.submit')));
    differs('no-thinking-double');
    expect(frames.some(isEvent('turn.thinking'))).toBe(false);
    expect(textOf(frames, ack.turnId)).toBe(words(8));
    expect(frames.filter(isEvent('turn.token')).length).toBeGreaterThan(1);
    differs('updated-after-end');
    expect(updated.payload).toEqual({ snapshot: idle('by-socket', withCursor) });

    expect(await messagesOf('by-socket')).toEqual([
      { role: 'user', content: 'eight words @@{"tokens":8,"tps":100}@@' },
      { role: 'assistant', content: words(8) },
    ]);
    const stored = await daemon.get('/v3/sessions/by-socket/events?afterSeq=0');
    expect(stored.text).toBe(`{"events":[${client.texts.filter((t) => t.includes('"v":"3"')).join(',')}]}`);
    await client.close();
    expect(client.closed).toEqual({ code: 1005, reason: '' });
  });
});

const LONG = '@@{"tokens":400,"tps":50}@@';

describe('12 cancelling the running turn', () => {
  test('[CX2] it ends at once, says so once, and the next turn runs', async () => {
    const client = await opened('stopped');
    client.send(submit('stopped', `on and on ${LONG}`));
    const { turnId } = await client.frame(isAck('turn.submit'), 'the ack');
    await client.frame(isEvent('turn.token', turnId), 'text');
    const cancel = (body?: unknown, id = 'stopped') => daemon.post(`/v3/sessions/${id}/cancel`, body);
    const counts = (cancelled: number) => ({
      ok: true,
      cancelled,
      cancelledQueued: 0,
      cancelledActive: cancelled === 1,
    });

    expect(await cancel({ turnId })).toMatchObject({ status: 200, body: counts(1) });
    const failed = await client.frame(isEvent('turn.error', turnId), 'its end');
    expect(outline(client.frames).slice(-2)).toEqual(['session.cancelled', 'turn.error']);
    expect(client.frames.find(isEvent('session.cancelled'))?.payload).toEqual({ cancelled: 1, turnId });
    differs('cancel-code');
    expect(failed.payload).toMatchObject({
      turnId,
      writerId: 'ada',
      clientId: 'desk',
      message: 'Turn cancelled',
      code: 'cancelled',
      outcome: 'cancelled',
    });

    for (const body of [{ turnId }, {}, undefined]) {
      expect(await cancel(body)).toMatchObject({ status: 200, body: counts(0) });
    }
    expect(await cancel({}, 'nobody')).toMatchObject({
      status: 404,
      body: refused('Session not found', 'session-not-found'),
    });
    differs('messages-kept');
    const before = [
      { role: 'user', content: `on and on ${LONG}` },
      { role: 'assistant', content: textOf(client.frames, turnId) },
    ];
    expect(await messagesOf('stopped')).toEqual(before);
    expect((await eventsOf('stopped')).at(-1)?.event).toBe('turn.error');

    client.send(submit('stopped', 'two words @@{"tokens":2}@@'));
    await client.frame(isEvent('session.updated'), 'the end of the next');
    expect(outline(client.frames.filter((f) => (f.seq ?? 0) > (failed.seq as number)))).toEqual(A_TURN);
    expectGapless(client.frames, 1);
    const sent = lmx.requests.at(-1)?.body.messages?.filter((m) => m.role !== 'system');
    expect(sent?.slice(0, 2)).toEqual(before);
    await client.close();
  });
});

describe('13 cancelling what is not there', () => {
  test('[CX1] an empty body and a foreign id cancel nothing; the socket cancels by name, and acks', async () => {
    const client = await opened('going');
    client.send(submit('going', `on and on ${LONG}`));
    const { turnId } = await client.frame(isAck('turn.submit'), 'the ack');
    await client.frame(isEvent('turn.token', turnId), 'text');
    const nothing = { ok: true, cancelled: 0, cancelledQueued: 0, cancelledActive: false };
    for (const body of [{}, { turnId: 'nobodys' }]) {
      expect(await daemon.post('/v3/sessions/going/cancel', body)).toMatchObject({ status: 200, body: nothing });
    }
    const seen = client.frames.length;
    await client.frame((f) => isEvent('turn.token')(f) && client.frames.indexOf(f) >= seen, 'more text: it still runs');

    client.send({ type: 'turn.cancel', sessionId: 'going', turnId });
    const ack = await client.frame(isAck('turn.cancel'), 'the ack of the cancel');
    expect(ack).toEqual({
      type: 'ack',
      action: 'turn.cancel',
      cancelled: { cancelledQueued: 0, cancelledActive: true },
    });
    // As ever, the events of a cancel come before its ack.
    expect(outline(client.frames.slice(0, client.frames.indexOf(ack))).slice(-2)).toEqual([
      'session.cancelled',
      'turn.error',
    ]);
    client.send({ type: 'turn.cancel', sessionId: 'nobody' });
    const second = await client.frame((f) => isAck('turn.cancel')(f) && f !== ack, 'the ack for an unknown session');
    expect(second).toMatchObject({ cancelled: { cancelledQueued: 0, cancelledActive: false } });
    await client.close();
  });
});

describe('15 two writers', () => {
  test('[TQ2] turns run one after another in the order of acceptance, and both sockets see the same bytes', async () => {
    await daemon.post('/v3/sessions', { sessionId: 'shared' });
    const [a, b] = await Promise.all([daemon.connect(path('shared')), daemon.connect(path('shared'))]);
    for (const n of [0, 1, 2]) {
      a.send(submit('shared', `a${n} @@{"tokens":3}@@`, { clientId: 'a', writerId: 'ada' }));
      b.send(submit('shared', `b${n} @@{"tokens":3}@@`, { clientId: 'b', writerId: 'bob' }));
    }
    const ended = (c: Client) => () => c.frames.filter(isEvent('session.updated')).length === 6;
    for (const client of [a, b]) await client.frame(ended(client), 'six turns to end');

    differs('no-lost-events');
    const eventTexts = (c: Client) => c.texts.filter((t) => t.includes('"v":"3"'));
    expect(eventTexts(a)).toEqual(eventTexts(b));
    expectGapless(a.frames, 1);
    expect(a.frames.filter(isEvent('turn.progress'))).toHaveLength(6);

    const ids = (event: string) => a.frames.filter(isEvent(event)).map((f) => f.payload?.turnId);
    expect(ids('turn.queued')).toHaveLength(6);
    expect(ids('turn.start')).toEqual(ids('turn.queued'));
    expect(ids('turn.done')).toEqual(ids('turn.queued'));
    // One at a time: each turn's events stand together.
    const runs = a.frames.filter((f) => f.payload?.turnId && f.event !== 'turn.queued').map((f) => f.payload?.turnId);
    expect(runs.filter((id, i) => id !== runs[i - 1])).toEqual(ids('turn.queued'));

    const contents = a.frames.filter(isEvent('turn.queued')).map((f) => String(f.payload?.content).slice(0, 2));
    expect(contents.filter((c) => c.startsWith('a'))).toEqual(['a0', 'a1', 'a2']);
    expect(contents.filter((c) => c.startsWith('b'))).toEqual(['b0', 'b1', 'b2']);
    // An ack names no request, so a socket gets them in the order of its frames.
    for (const [client, writer] of [
      [a, 'ada'],
      [b, 'bob'],
    ] as const) {
      const mine = client.frames.filter(isEvent('turn.queued')).filter((f) => f.payload?.writerId === writer);
      const acks = client.frames.filter(isAck('turn.submit'));
      expect(acks.map((f) => f.turnId)).toEqual(mine.map((f) => f.payload?.turnId));
      differs('queued-count');
      expect(acks.map((f) => f.queued)).toEqual(mine.map((f) => acceptedBehind(a.frames, f)));
    }
    expect(await messagesOf('shared')).toEqual(
      contents.flatMap((c) => [
        { role: 'user', content: `${c} @@{"tokens":3}@@` },
        { role: 'assistant', content: words(3) },
      ]),
    );
    await Promise.all([a.close(), b.close()]);
  });
});

/** Turns that were accepted before this one and had not ended. */
const acceptedBehind = (frames: readonly Frame[], queued: Frame): number => {
  const before = frames.filter((f) => f.event !== undefined && (f.seq as number) < (queued.seq as number));
  return before.filter(isEvent('turn.queued')).length - before.filter((f) => isTerminal(f.payload?.turnId)(f)).length;
};

describe('16 reconnecting', () => {
  test('[EV2] a reader that was cut off in mid-turn resumes at its cursor and misses nothing', async () => {
    const first = await opened('resumed');
    first.send(submit('resumed', 'thirty words @@{"tokens":30,"tps":60}@@'));
    const { turnId } = await first.frame(isAck('turn.submit'), 'the ack');
    await first.frame(() => textOf(first.frames).length > 20, 'some text');
    await first.cut();
    const cursor = first.frames.findLast((f) => f.event !== undefined)?.seq as number;

    const second = await daemon.connect(path('resumed', `&afterSeq=${cursor}`));
    const done = await second.frame(isEvent('session.updated'), 'the end');
    expectGapless(second.frames, cursor + 1);
    differs('text-stored');
    expect(textOf(first.frames, turnId) + textOf(second.frames, turnId)).toBe(words(30));
    await second.close();

    const whole = await daemon.connect(path('resumed', '&afterSeq=0'));
    await whole.frame(isEvent('session.updated'), 'the whole log');
    const live = [...first.texts, ...second.texts].filter((t) => t.includes('"v":"3"'));
    expect(whole.texts).toEqual(live);
    expect(outline(whole.frames)).toEqual(['session.snapshot', ...A_TURN]);

    // A cursor beyond the head: nothing but acks, until the log has passed it.
    const ahead = await daemon.connect(path('resumed', '&afterSeq=99999'));
    ahead.send(submit('resumed', 'two words @@{"tokens":2}@@'));
    const ack = await ahead.frame(isAck('turn.submit'), 'its ack');
    await whole.frame(isTerminal(ack.turnId), 'the end of the second turn');
    expect(ahead.frames).toEqual([ack]);

    // Not a number counts as 0: a client that has no cursor yet sends that.
    const odd = await daemon.connect(path('resumed', '&afterSeq=soon'));
    await odd.frame(isTerminal(ack.turnId), 'the whole log again');
    expectGapless(odd.frames, 1);
    expect(odd.frames.length).toBeGreaterThan(done.seq as number);
    await Promise.all([whole.close(), ahead.close(), odd.close()]);
  });
});

describe('sockets that cannot be served', () => {
  const refusedWith = async (at: string): Promise<[frames: Frame[], closed: Client['closed']]> => {
    const client = await daemon.connect(at);
    await until(() => client.closed !== null, 'the socket to be closed');
    return [client.frames, client.closed];
  };

  test('[AC1] a wrong token and a missing session id are told on the open socket, then it is closed: 4001, 4000', async () => {
    expect(await refusedWith('/v3/ws?sessionId=x&token=not-it')).toEqual([
      [UNAUTHORIZED],
      { code: 4001, reason: 'unauthorized' },
    ]);
    expect(await refusedWith('/v3/ws?token=$TOKEN')).toEqual([
      [refused('Missing sessionId query parameter', 'missing-session')],
      { code: 4000, reason: expect.any(String) },
    ]);
  });

  test('a frame that is none is answered and the socket stays; so is a session that is not there yet', async () => {
    const client = await daemon.connect(path('made-later'));
    differs('unknown-session-told');
    await client.frame((f) => f.code === 'session-not-found', 'to be told');
    client.send({ type: 'turn.dance' });
    const invalid = await client.frame((f) => f.code === 'invalid-request', 'the answer to a wrong frame');
    expect(invalid).toMatchObject(refused('Invalid WS payload', 'invalid-request', { details: expect.any(Array) }));
    client.send(submit('made-later', 'x'));
    const missing = (f: Frame) => f.error === 'Session not found: made-later' && f !== client.frames[0];
    await client.frame(missing, 'the answer to a submit');

    await daemon.post('/v3/sessions', { sessionId: 'made-later' });
    client.send(submit('made-later', 'two words @@{"tokens":2}@@'));
    await client.frame(isEvent('session.updated'), 'the end of the turn');
    expect(outline(client.frames)).toEqual(['session.snapshot', ...A_TURN]);
    expectGapless(client.frames, 1);
    await client.close();
  });
});

test('every difference that is claimed is asserted above', () => {
  expect(Object.keys(DIFFERENCES).filter((id) => !(namedDifferences as Set<string>).has(id))).toEqual([]);
});
