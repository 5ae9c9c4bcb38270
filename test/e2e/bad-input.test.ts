import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ERRORS, errorRow, isErrorCode } from '../../src/protocol/errors.ts';
import { OPERATION_IDS, operation } from '../../src/protocol/operations.ts';
import { type CallOptions, type Daemon, type Reply, type TestSocket, turnBody } from '../support/daemon.ts';
import { checkedLog, openWorld, say, type World } from './world.ts';

/**
 * Everything that a broken or hostile client may send, while a turn streams to a reader. Each is answered with a code of the
 * table; at the end the reader has every byte, and the daemon is the same process.
 */
let world: World;
let daemon: Daemon;
let sessionId: string;
let reader: TestSocket;
let turnId: string;

beforeAll(async () => {
  world = await openWorld();
  daemon = world.daemon;
  sessionId = await daemon.create();
  reader = await daemon.socket(sessionId);
  turnId = (await daemon.submit(sessionId, { content: say({ tokens: 1_000_000, tps: 100 }) })).turnId;
});

afterAll(async () => {
  try {
    expect(daemon.alive).toBe(true);
    expect((await daemon.get('/v3/health')).json).toMatchObject({ status: 'ok', daemonId: daemon.daemonId });
    expect(await daemon.cancel(sessionId, { turnId })).toMatchObject({ cancelled: 1 });
    await reader.terminal(turnId);
    const stored = await daemon.log(sessionId);
    expect(reader.frames).toEqual(stored);
    expect(checkedLog(sessionId, stored).violations).toEqual([]);
  } finally {
    await world?.close();
  }
});

/** A failed answer is one that a program can act on. */
const refused = (reply: Reply, code: keyof typeof ERRORS): void => {
  expect(reply.headers['content-type']).toMatch(/^application\/json/);
  expect(reply.json, reply.text.slice(0, 300)).toMatchObject({ code, retryable: errorRow(code).retryable });
  expect(reply.status).toBe(errorRow(code).status);
  expect(typeof reply.json.error).toBe('string');
  expect(reply.text).not.toContain(daemon.token);
};

const turns = (): string => `/v3/sessions/${sessionId}/turns`;
const post = (path: string, options: CallOptions): Promise<Reply> => daemon.call('POST', path, options);
const health = async (): Promise<void> => expect((await daemon.get('/health')).status).toBe(200);

describe('HTTP bodies', () => {
  test('[AC1] what is not JSON is refused with invalid-json, on every route that reads a body', async () => {
    const broken = ['{', '{"a":}', 'nonsense', '"\\u12"', '{"a":1}{"b":2}', '\u0000'];
    const paths = [
      '/v3/sessions',
      turns(),
      `/v3/sessions/${sessionId}/cancel`,
      `/v3/sessions/${sessionId}/permissions/p1`,
    ];
    for (const path of paths) for (const raw of broken) refused(await post(path, { raw }), 'invalid-json');
    refused(await post('/v3/sessions', { raw: Buffer.from([0x22, 0xff, 0xfe, 0x22]) }), 'invalid-json');
  });

  test('[AC1] wrong types, missing fields and JSON that is no object are refused with invalid-request', async () => {
    const bodies: unknown[] = [
      null,
      [],
      'text',
      7,
      {},
      { ...turnBody({ content: '' }) },
      { ...turnBody({ content: 'x' }), content: 7 },
      { ...turnBody({ content: 'x' }), writerId: '' },
      { ...turnBody({ content: 'x' }), clientId: 'c'.repeat(300) },
      { ...turnBody({ content: 'x' }), mode: 'root' },
      { ...turnBody({ content: 'x' }), onBusy: 'explode' },
      { ...turnBody({ content: 'x' }), lastSeenSeq: -1 },
      { ...turnBody({ content: 'x' }), lastSeenSeq: 1.5 },
      { ...turnBody({ content: 'x' }), overrides: { autonomyLevel: 99 } },
      { ...turnBody({ content: 'x' }), metadata: 'none' },
    ];
    for (const body of bodies) refused(await post(turns(), { body }), 'invalid-request');
    for (const body of [{ turnId: 7 }, { turnId: '../x' }, { writerId: '' }]) {
      refused(await post(`/v3/sessions/${sessionId}/cancel`, { body }), 'invalid-request');
    }
    for (const body of [
      { decision: 'perhaps', decidedBy: 'a' },
      { decision: 'allow' },
      { decision: 'allow', decidedBy: 7 },
    ]) {
      refused(await post(`/v3/sessions/${sessionId}/permissions/p1`, { body }), 'invalid-request');
    }
    for (const body of [{ sessionId: '../../x' }, { sessionId: '' }, { model: '' }, { title: 7 }, { metadata: [] }]) {
      refused(await post('/v3/sessions', { body }), 'invalid-request');
    }
  });

  test('[SV3] nesting without end and keys of the prototype do no harm', async () => {
    refused(await post(turns(), { raw: `${'['.repeat(200_000)}${']'.repeat(200_000)}` }), 'invalid-request');
    const polluted = '{"metadata":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}}';
    const reply = await post('/v3/sessions', { raw: polluted });
    expect(reply.status).toBe(201);
    expect((await daemon.get(`/v3/sessions/${reply.json.sessionId}`)).json.polluted).toBeUndefined();
  });

  test('[SV1][SV3] metadata nested without end is refused and harms no session', async () => {
    const nested = `{"a":${'{"b":'.repeat(20_000)}1${'}'.repeat(20_000)}}`;
    const pending = async (): Promise<number> =>
      ((await daemon.get('/v3/metrics')).json.limits as { name: string; value: number }[]).find(
        (g) => g.name === 'answers_pending',
      )?.value ?? 0;
    const before = await pending();
    const created = await post('/v3/sessions', { raw: `{"metadata":${nested}}` });
    const other = await daemon.create();
    const turn = JSON.stringify(turnBody({ content: 'x' }));
    const replies = [];
    for (let i = 0; i < 5; i++) {
      replies.push(await post(`/v3/sessions/${other}/turns`, { raw: `${turn.slice(0, -1)},"metadata":${nested}}` }));
    }
    expect((await daemon.get('/v3/health')).json.quarantined).toEqual([]);
    expect(await pending()).toBe(before);
    for (const reply of [created, ...replies]) refused(reply, 'invalid-request');
  });

  test('[SV3] a body, a text, an id or an address that is too long is refused before it costs anything', async () => {
    refused(await post(turns(), { raw: 'x'.repeat((10 << 20) + 1) }).catch(cut), 'payload-too-large');
    refused(await post(turns(), { body: turnBody({ content: 'x'.repeat((4 << 20) + 1) }) }), 'payload-too-large');
    refused(await daemon.get(`/v3/sessions/${'x'.repeat(65)}`), 'invalid-request');
    refused(await daemon.get(`/v3/sessions/${'x'.repeat(101)}`), 'uri-too-long');
    refused(await daemon.get(`/v3/health?q=${'x'.repeat(8_200)}`), 'uri-too-long');
    refused(
      await post('/v3/sessions', { raw: '<a/>', headers: { 'content-type': 'text/xml' } }),
      'unsupported-media-type',
    );
    await health();
  });

  /** The daemon may close the connection while the rest of a body that it will not read is on its way. */
  const cut = async (): Promise<Reply> =>
    post(turns(), { raw: ' ', headers: { 'content-length': String((10 << 20) + 1) } });
});

describe('ids and routes', () => {
  test('[TL1][AC1] an id that is a path is no id, in any spelling', async () => {
    const ids = [
      '..%2f..%2fx',
      '%2e%2e%2f%2e%2e%2fx',
      '..%5c..%5cx',
      '%00',
      'a%20b',
      'a%0d%0ab',
      '%2e',
      '%c3%bc',
      '%ff',
      "'--",
    ];
    for (const id of ids) {
      for (const tail of ['', '/events', '/why', '/inspect'])
        refused(await daemon.get(`/v3/sessions/${id}${tail}`), 'invalid-request');
    }
    refused(await daemon.get('/v3/sessions/%zz'), 'invalid-request');
    // Dots alone are taken for path segments by whoever normalizes; here they name no route.
    for (const path of [
      '/v3/sessions/../../etc/passwd',
      '/../etc/passwd',
      '//etc/passwd',
      '/v3',
      '/v3/nothing',
      '/V3/health',
    ]) {
      refused(await daemon.get(path), 'not-found');
    }
    refused(await daemon.call('DELETE', '/v3/health'), 'not-found');
    refused(await daemon.call('PUT', turns(), { body: {} }), 'not-found');
  });

  test('[AC1] queries that are no numbers are refused', async () => {
    for (const query of [
      'afterSeq=-1',
      'afterSeq=1e3',
      'afterSeq=NaN',
      'limit=0',
      'limit=x',
      'afterSeq=1&afterSeq=2',
      'afterSeq=99999999999999999999',
    ]) {
      refused(await daemon.get(`/v3/sessions/${sessionId}/events?${query}`), 'invalid-request');
    }
    for (const query of ['limit=501', 'cursor=', 'cursor=../x', `cursor=${'9'.repeat(600)}`]) {
      refused(await daemon.get(`/v3/sessions?${query}`), 'invalid-request');
    }
  });

  test('[TQ6] an unknown session on every route', async () => {
    const bodies: { [id: string]: unknown } = {
      'turns.submit': turnBody({ content: 'x' }),
      'turns.cancel': { turnId: 'x' },
      'permissions.resolve': { requestId: 'p1', decision: 'allow', decidedBy: 'a' },
      'queue.edit': { writerId: 'a', content: 'x' },
      'turns.undo': { writerId: 'a' },
    };
    const places: { [name: string]: string } = { ':id': 'nobody', ':requestId': 'p1', ':turnId': 't1' };
    // The inference host's ids are no sessions.
    const routes = OPERATION_IDS.filter((id) => operation(id).paths[0].includes('/sessions/:id'));
    expect(routes.length).toBeGreaterThan(5);
    for (const id of routes) {
      const { method, paths } = operation(id);
      for (const path of paths) {
        const options = { ...(bodies[id] === undefined ? {} : { body: bodies[id] }) };
        const url =
          path.replace(/:\w+/g, (name) => places[name] ?? name) + (id === 'queue.withdraw' ? '?writerId=a' : '');
        const reply = await daemon.call(method, url, options);
        if (id === 'events.read') expect([reply.status, reply.text]).toEqual([200, '{"events":[]}']);
        else refused(reply, 'session-not-found');
      }
    }
    expect((await daemon.get('/v3/sessions/nobody')).status).toBe(404);
  });
});

describe('access', () => {
  const routes = OPERATION_IDS.filter((id) => !operation(id).open);
  const pathOf = (id: (typeof OPERATION_IDS)[number]): string =>
    operation(id).paths[0].replace(':id', sessionId).replace(':requestId', 'p1');

  test('[AC1] no token, a wrong one, a part of it or one in the wrong place opens nothing', async () => {
    const tokens = [null, '', 'x', daemon.token.slice(1), `${daemon.token}0`, daemon.token.toUpperCase()];
    for (const id of routes) {
      const { method, body } = operation(id);
      for (const token of tokens)
        refused(await daemon.call(method, pathOf(id), { token, ...(body ? { body: {} } : {}) }), 'unauthorized');
    }
    refused(await daemon.get('/v3/health', { token: null, headers: { authorization: daemon.token } }), 'unauthorized');
    refused(
      await daemon.get('/v3/health', { token: null, headers: { authorization: `Basic ${daemon.token}` } }),
      'unauthorized',
    );
    refused(
      await daemon.get('/v3/health', { token: null, headers: { cookie: `token=${daemon.token}` } }),
      'unauthorized',
    );
  });

  test('[AC1] a foreign Host or Origin is refused with the right token, on every route and on the socket', async () => {
    const hosts = [
      'evil.example',
      `evil.example:${daemon.port}`,
      '127.0.0.1',
      '127.0.0.1:1',
      `127.0.0.1.evil.example:${daemon.port}`,
      `localhost:${daemon.port}@evil.example`,
    ];
    const origins = [
      'https://evil.example',
      'null',
      'http://127.0.0.1.evil.example',
      `http://evil.example:${daemon.port}`,
      'file://',
    ];
    for (const host of hosts) refused(await daemon.get('/v3/health', { headers: { host } }), 'forbidden-host');
    for (const id of routes) {
      const { method, body } = operation(id);
      for (const origin of origins.slice(0, 2)) {
        const reply = await daemon.call(method, pathOf(id), { headers: { origin }, ...(body ? { body: {} } : {}) });
        refused(reply, 'forbidden-origin');
        expect(reply.headers['access-control-allow-origin']).toBeUndefined();
      }
    }
    const url = `/v3/ws?sessionId=${sessionId}`;
    const authorization = `Bearer ${daemon.token}`;
    for (const headers of [
      ...origins.map((origin) => ({ origin, authorization })),
      ...hosts.map((host) => ({ host, authorization })),
    ]) {
      const socket = daemon.rawSocket(url, headers as { [name: string]: string });
      await socket.closed;
      expect(socket.refusedWith, JSON.stringify(headers)).toBe(403);
      expect(socket.frames).toEqual([]);
    }
  });

  test('[AC1] a socket without the token or the session is told so and closed with its code', async () => {
    const cases: [path: string, headers: { [name: string]: string }, code: number, error: string][] = [
      [`/v3/ws?sessionId=${sessionId}`, {}, 4001, 'unauthorized'],
      [`/v3/ws?sessionId=${sessionId}&token=wrong`, {}, 4001, 'unauthorized'],
      [`/v3/ws?sessionId=${sessionId}&token=${daemon.token}`, { authorization: 'Bearer wrong' }, 4001, 'unauthorized'],
      [`/v3/ws?token=${daemon.token}`, {}, 4000, 'missing-session'],
      [`/v3/ws?sessionId=..%2F..%2Fx&token=${daemon.token}`, {}, 4000, 'missing-session'],
      [`/v3/ws?sessionId=a&sessionId=b&token=${daemon.token}`, {}, 4000, 'missing-session'],
    ];
    for (const [path, headers, code, error] of cases) {
      const socket = daemon.rawSocket(path, headers);
      expect((await socket.closed).code).toBe(code);
      expect(socket.answers).toMatchObject([{ code: error }]);
      expect(socket.frames).toEqual([]);
    }
  });
});

describe('frames', () => {
  test('[EV2] broken, unknown and wrong frames are answered with an error and leave the socket open and in step', async () => {
    const socket = await daemon.socket(sessionId);
    const submit = { type: 'turn.submit', sessionId, clientId: 'c', writerId: 'w', content: 'x' };
    const frames: [frame: object | string, code: string][] = [
      ['{', 'invalid-json'],
      ['', 'invalid-json'],
      ['null', 'invalid-request'],
      ['[]', 'invalid-request'],
      [{ type: 'turn.destroy', sessionId }, 'invalid-request'],
      [{ ...submit, sessionId: '../../x' }, 'invalid-request'],
      [{ ...submit, content: '' }, 'invalid-request'],
      [{ ...submit, content: 7 }, 'invalid-request'],
      [{ ...submit, mode: 'root' }, 'invalid-request'],
      [{ ...submit, sessionId: 'nobody' }, 'session-not-found'],
      [{ type: 'turn.cancel', sessionId, turnId: '../x' }, 'invalid-request'],
      [
        { type: 'permission.resolve', sessionId, requestId: 'p1', decision: 'perhaps', decidedBy: 'a' },
        'invalid-request',
      ],
    ];
    for (const [frame, code] of frames) {
      const before = socket.answers.length;
      socket.send(frame);
      await socket.wait(`an answer to ${JSON.stringify(frame)}`, () => socket.answers.length > before);
      expect(socket.answers.at(-1), JSON.stringify(frame)).toMatchObject({ code, error: expect.any(String) });
      expect(isErrorCode(socket.answers.at(-1)?.code ?? '')).toBe(true);
    }
    const cancel = await socket.ask({ type: 'turn.cancel', sessionId: 'nobody', turnId: 'x' });
    expect(cancel).toMatchObject({ type: 'ack', cancelled: { cancelledQueued: 0, cancelledActive: false } });
    const decide = await socket.ask({
      type: 'permission.resolve',
      sessionId: 'nobody',
      requestId: 'p',
      decision: 'allow',
      decidedBy: 'a',
    });
    expect(decide).toMatchObject({ type: 'ack', result: { ok: false, code: 'session-not-found' } });
    const seqs = socket.records.map((r) => r.seq);
    expect(seqs).toEqual(seqs.map((_, i) => i + 1));
    socket.close();
  });

  test('[SV3] a frame above the bound ends its own socket and no other', async () => {
    const socket = await daemon.socket(sessionId);
    socket.send(`"${'x'.repeat(11 << 20)}"`);
    const { code } = await socket.closed;
    expect([1006, 1009]).toContain(code);
    const seen = reader.frames.length;
    await reader.wait('the stream to go on', () => reader.frames.length > seen);
  });

  test('[SV3] a session that is unknown is told as a notice, and the socket sees it when it is made', async () => {
    const socket = await daemon.socket('made-later');
    await socket.wait('the notice', () => socket.answers.length > 0);
    expect(socket.answers[0]).toMatchObject({ code: 'session-not-found' });
    await daemon.create({ sessionId: 'made-later' });
    expect((await socket.record('session.snapshot')).seq).toBe(1);
    socket.close();
  });
});

test('[SV2] what is no HTTP at all, or only half of it, holds up nobody', async () => {
  const texts = [
    '\r\n\r\n',
    'GARBAGE\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    'POST /v3/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: nine\r\n\r\n',
    '\x16\x03\x01\x02\x00',
    `GET /v3/health HTTP/1.1\r\nHost: 127.0.0.1:${daemon.port}\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`,
    'POST /v3/sessions HTTP/1.1\r\n',
  ];
  const sockets = texts.map((text) => {
    const socket = connect(daemon.port, '127.0.0.1', () => socket.write(text));
    socket.on('error', () => socket.destroy());
    socket.resume();
    return socket;
  });
  await health();
  const seen = reader.frames.length;
  await reader.wait('the stream to go on', () => reader.frames.length > seen);
  for (const socket of sockets) socket.destroy();
});
