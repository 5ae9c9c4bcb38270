import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { adapters, transportEnv } from '../support/adapters.ts';
import { removeDir, tempDir, until } from '../support/cli.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { fakeAdmin } from '../support/fake-lmx-admin.ts';
import { type Answer, type Client, type Frame, type RealDaemon, startDaemon } from './daemon.ts';
import { eventsOf, expectGapless, isEvent, isTerminal, messagesOf, path, refused, settled, textOf } from './world.ts';

/**
 * The three clients that were written against the old daemon, by what they send and read, in the order in which they do so: the web
 * client, the shared client package, and the desktop client. A letter names the line of the suite that their contract suggests.
 */
const BEARER = { authorization: 'Bearer $TOKEN' };
const JSON_TYPE = { 'content-type': 'application/json' };
const say = (text: string): string => `x @@${JSON.stringify({ text, tps: 200 })}@@`;

/** It says that it sends JSON with every call, whether or not it sends anything, and writes ids into paths as they are. */
const webCall = async (daemon: RealDaemon, method: string, at: string, body?: object): Promise<Answer> => {
  const text = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await daemon.ask({ method, path: at, headers: { ...BEARER, ...JSON_TYPE }, ...text });
  expect(answer.status, answer.text).toBeLessThan(300);
  return answer;
};

interface WebTurn {
  turnId: string;
  /** What its bubble holds: text of this turn, and of any while it does not know which is its own. */
  bubble: string;
  /** Text of this turn alone. */
  text: string;
  /** Whether an end came before it knew its turn. */
  early: boolean;
  frames: Frame[];
}

/** One message of the web client: create with the whole history, socket from 0, submit, and its own writer each time. */
const webTurn = async (daemon: RealDaemon, sessionId: string, history: object[], content: string): Promise<WebTurn> => {
  const messages = [...history, { role: 'user', content }];
  await webCall(daemon, 'POST', '/v3/sessions', { sessionId, model: 'fake-model', messages });
  const socket = await daemon.connect(path(sessionId, '&afterSeq=0'));
  const ids = { clientId: randomUUID(), writerId: randomUUID() };
  const submitted = webCall(daemon, 'POST', `/v3/sessions/${sessionId}/turns`, { ...ids, content, mode: 'chat' });
  const { turnId } = (await submitted).body as { turnId: string };
  const before = [...socket.frames];
  await socket.frame(isTerminal(turnId), 'the end of its turn');
  const { frames } = socket;
  // It filters by turn where both sides name one, so what came before the answer to its submit passes.
  const passed = frames.filter((f) => before.includes(f) || f.payload?.turnId === turnId);
  await socket.close();
  return {
    turnId,
    bubble: textOf(passed),
    text: textOf(frames, turnId),
    early: before.some((f) => isEvent('turn.done')(f) && f.payload?.turnId !== turnId),
    frames,
  };
};

describe.each(adapters())('over %s', { timeout: 60_000 }, (adapter) => {
  const admin = fakeAdmin();
  let workspace: string;
  let lmx: FakeLmx;
  let daemon: RealDaemon;
  beforeAll(async () => {
    workspace = tempDir();
    lmx = await startFakeLmx(admin.options);
    daemon = await startDaemon(lmx.port, { OPTA_MODEL: 'fake-model', ...transportEnv(adapter) });
  }, 60_000);
  afterAll(async () => {
    await daemon?.stop();
    await lmx?.close();
    removeDir(workspace);
  });

  /** A turn that asks to write a file, on a socket that has seen the question. */
  const asking = async (sessionId: string): Promise<{ socket: Client; requestId: string; turnId: unknown }> => {
    await daemon.post('/v3/sessions', { sessionId, metadata: { workspace } });
    const socket = await daemon.connect(path(sessionId, '&afterSeq=0'));
    const script = { tools: [{ name: 'write_file', args: { path: `${sessionId}.txt`, content: 'hi' } }], text: 'done' };
    const content = `write @@${JSON.stringify(script)}@@`;
    await daemon.post(`/v3/sessions/${sessionId}/turns`, { clientId: 'c', writerId: 'w', content, mode: 'do' });
    const { payload } = await socket.frame(isEvent('permission.request'), 'the question');
    expect(payload).toMatchObject({ toolName: 'write_file', args: { content: 'hi' }, turnId: expect.any(String) });
    return { socket, requestId: payload?.requestId as string, turnId: payload?.turnId };
  };

  describe('the web client', () => {
    test('[OC1] (a, c) two messages in one session: create with the history, socket from 0, submit', async () => {
      const one = await webTurn(daemon, 'web', [], say('one.'));
      expect([one.text, one.bubble, one.early]).toEqual(['one.', 'one.', false]);
      const history = (await webCall(daemon, 'GET', '/v3/sessions/web')).body as { messages: object[] };
      // It sends its message with the history and once more as a turn. What it was answered stands once.
      expect(history.messages.map((m) => (m as { role: string }).role)).toEqual(['user', 'user', 'assistant']);

      const two = await webTurn(daemon, 'web', history.messages, say('two.'));
      expect(two.text).toBe('two.');
      expect(two.turnId).not.toBe(one.turnId);
      // The history that it sends along is not taken a second time.
      expect(((await messagesOf(daemon, 'web')) as object[]).length).toBe(5);
      expectGapless(two.frames, 1);
      for (const { turnId } of [one, two]) expect(two.frames.filter(isTerminal(turnId))).toHaveLength(1);
      // The replay that it asks for holds the end of its first turn: what it makes of that is in its own hands.
      expect(two.frames.slice(0, one.frames.length).map((f) => f.seq)).toEqual(one.frames.map((f) => f.seq));
    });

    test('[OC1] (b, g) its answer to a question goes to a route of its own, and the loser of two is told', async () => {
      for (const [id, mine, theirs] of [
        ['web-asks', (r: string) => ['permission', r], (r: string) => [`permissions/${r}`, r]],
        ['web-asks-2', (r: string) => [`permissions/${r}`, r], (r: string) => ['permission', r]],
      ] as const) {
        const { socket, requestId, turnId } = await asking(id);
        const answer = ([at, request]: string[], decision: string, decidedBy: string) =>
          daemon.ask({
            method: 'POST',
            path: `/v3/sessions/${id}/${at}`,
            headers: { ...BEARER, ...JSON_TYPE },
            body: JSON.stringify({ requestId: request, decision, decidedBy }),
          });
        expect(await answer(mine(requestId), 'allow', 'web')).toMatchObject({
          status: 200,
          body: { ok: true, conflict: false },
        });
        expect(await answer(theirs(requestId), 'deny', 'desk')).toMatchObject({
          status: 409,
          body: { ok: false, conflict: true },
        });
        expect((await answer(theirs('perm_nobody'), 'deny', 'desk')).status).toBe(404);
        await socket.frame(isTerminal(turnId), 'the end');
        expect(readFileSync(join(workspace, `${id}.txt`), 'utf8')).toBe('hi');
        const resolved = socket.frames.filter(isEvent('permission.resolved'));
        expect(resolved.map((f) => f.payload)).toMatchObject([{ requestId, decision: 'allow' }]);
        await socket.close();
      }
    });

    test('[OC1] (i) a cancel by turn or by writer, of the turn that runs and of one that waits, ends each with its own error', async () => {
      await daemon.post('/v3/sessions', { sessionId: 'web-stops' });
      const socket = await daemon.connect(path('web-stops', '&afterSeq=0'));
      const submit = async (writerId: string): Promise<string> => {
        const body = { clientId: writerId, writerId, content: 'x @@{"tokens":2000,"tps":20}@@', mode: 'chat' };
        return ((await webCall(daemon, 'POST', '/v3/sessions/web-stops/turns', body)).body as { turnId: string })
          .turnId;
      };
      const running = await submit('a');
      const waiting = await submit('b');
      await socket.frame(isEvent('turn.token', running), 'text');
      const cancel = async (body: object) =>
        (await webCall(daemon, 'POST', '/v3/sessions/web-stops/cancel', body)).body as { cancelled: number };
      for (const [body, turnId] of [
        [{ writerId: 'b' }, waiting],
        [{ turnId: running }, running],
      ] as const) {
        expect((await cancel(body)).cancelled).toBe(1);
        const { payload } = await socket.frame(isEvent('turn.error', turnId), 'its end');
        expect(String(payload?.message).toLowerCase()).toContain('cancel');
      }
      expect((await cancel({ turnId: running })).cancelled).toBe(0);
      await socket.close();
    });

    test('[OC1] (d) from its own page: preflights, and the header on refusals and event streams', async () => {
      const origins = ['http://localhost:3004', 'http://127.0.0.1:3003', 'http://localhost:5173', 'tauri://localhost'];
      for (const origin of origins) {
        const named = { 'access-control-allow-origin': origin, vary: expect.stringContaining('Origin') };
        const preflight = await daemon.ask({
          method: 'OPTIONS',
          path: '/v3/sessions/web/turns',
          headers: {
            origin,
            'access-control-request-method': 'POST',
            'access-control-request-headers': 'authorization,content-type,if-none-match',
          },
        });
        expect(preflight).toMatchObject({ status: 204, headers: named });
        const allowed = String(preflight.headers['access-control-allow-headers']).toLowerCase();
        for (const name of ['authorization', 'content-type', 'if-none-match']) expect(allowed).toContain(name);
        const bare = await daemon.ask({ path: '/v3/sessions/web', headers: { origin } });
        expect(bare).toMatchObject({ status: 401, headers: named });
        const stream = await daemon.listen({
          path: '/v3/sse/events?sessionId=web&afterSeq=0&token=$TOKEN',
          headers: { origin },
        });
        expect(stream.headers).toMatchObject(named);
        stream.close();
      }
    });

    test('[OC1] (e) a token that is none: a frame with an error, then 4001; the stream that it falls back to is 401', async () => {
      const socket = await daemon.connect('/v3/ws?sessionId=web&afterSeq=0&token=nonsense');
      await until(() => socket.closed !== null, 'the socket to close');
      expect(socket.frames).toEqual([refused('Unauthorized', 'unauthorized')]);
      expect(socket.closed?.code).toBe(4001);
      expect((await daemon.listen({ path: '/v3/sse/events?sessionId=web&token=nonsense' })).status).toBe(401);
    });

    test('[OC1] its page of operations: an id with dots as it is, and no body at all', async () => {
      const { operations } = (await webCall(daemon, 'GET', '/v3/operations')).body as { operations: object[] };
      expect(operations[0]).toEqual({
        id: expect.any(String),
        title: expect.any(String),
        description: expect.any(String),
        safety: expect.stringMatching(/^(read|write|dangerous)$/),
      });
      const ran = (await webCall(daemon, 'POST', '/v3/operations/version.check')).body;
      expect(ran).toMatchObject({ ok: true, id: 'version.check', safety: 'read', result: {} });
    });
  });

  describe('the client package', () => {
    /** What it shows as events: anything else is passed over by whoever listens for events. */
    const isShown = (f: Frame): boolean =>
      [f.v, f.event, f.daemonId, f.ts].every((v) => typeof v === 'string') &&
      typeof f.seq === 'number' &&
      'payload' in f;

    test('[OC2] (j) the contract, then health and metrics as it reads them', async () => {
      const health = await daemon.ask({ path: '/v3/health', headers: BEARER });
      expect(health.body).toMatchObject({
        status: 'ok',
        version: expect.any(String),
        daemonId: daemon.daemonId,
        contract: { name: 'opta-daemon-v3', version: 1 },
      });
      const counts = Object.fromEntries(
        ['sessionCount', 'activeTurnCount', 'queuedTurnCount', 'subscriberCount'].map((n) => [n, expect.any(Number)]),
      );
      const metrics = await daemon.ask({ path: '/v3/metrics', headers: BEARER });
      expect(metrics.body).toMatchObject({ daemonId: daemon.daemonId, runtime: counts, ts: expect.any(String) });
    });

    test('[OC2] hello, submit, decide and cancel over a socket with the token in its header', async () => {
      const id = 'package';
      const created = await daemon.post('/v3/sessions', { sessionId: id, metadata: { workspace } });
      expect(created).toMatchObject({
        status: 201,
        body: { sessionId: id, queuedTurns: 0, toolCallCount: 0, writerCount: 0 },
      });
      const socket = await daemon.connect(`/v3/ws?sessionId=${id}&afterSeq=0`, BEARER);
      const who = { clientId: 'pkg', writerId: 'pkg' };
      socket.send({ type: 'hello', clientId: 'pkg', sessionId: id });
      const script = { tools: [{ name: 'write_file', args: { path: 'package.txt', content: 'no' } }], text: 'done' };
      socket.send({
        type: 'turn.submit',
        sessionId: id,
        ...who,
        content: `x @@${JSON.stringify(script)}@@`,
        mode: 'do',
      });
      const { payload } = await socket.frame(isEvent('permission.request'), 'the question');
      const { requestId, turnId } = payload as { requestId: string; turnId: string };
      socket.send({ type: 'permission.resolve', sessionId: id, requestId, decision: 'deny', decidedBy: 'pkg' });
      await socket.frame(isTerminal(turnId), 'the end');
      socket.send({ type: 'turn.cancel', sessionId: id, turnId });
      // A hello is taken and never answered.
      const acks = ['turn.submit', 'permission.resolve', 'turn.cancel'];
      for (const action of acks)
        await socket.frame((f) => f.type === 'ack' && f.action === action, `the ack of ${action}`);
      expect(existsSync(join(workspace, 'package.txt'))).toBe(false);
      // Each frame is an event as it shows them, or an ack without an event's name.
      expect(socket.frames.filter((f) => isShown(f) === (f.type === 'ack') || 'error' in f)).toEqual([]);
      expectGapless(socket.frames, 1);
      await socket.close();
    });

    test('[OC2] (f) two that join in the middle have the log, byte for byte, whoever was first', async () => {
      const id = 'joined';
      await daemon.post('/v3/sessions', { sessionId: id });
      const first = await daemon.connect(path(id, '&afterSeq=0'));
      const body = { clientId: 'c', writerId: 'w', content: 'x @@{"tokens":300,"tps":300}@@', mode: 'chat' };
      const { turnId } = (await daemon.post(`/v3/sessions/${id}/turns`, body)).body as { turnId: string };
      const late: Client[] = [];
      for (let n = 0; n < 5; n++) {
        await sleep(100);
        late.push(await daemon.connect(path(id, `&afterSeq=${n}`)));
      }
      for (const socket of [first, ...late]) await socket.frame(isTerminal(turnId), 'the end');
      await settled(daemon, id, turnId);
      const log = ((await daemon.get(`/v3/sessions/${id}/events?afterSeq=0`)).body as { events: Frame[] }).events;
      const told = (socket: Client): string[] => socket.texts.filter((text) => text.includes('"seq"'));
      for (const [n, socket] of [first, ...late].entries()) {
        const from = n === 0 ? 0 : n - 1;
        await until(() => told(socket).length === log.length - from, 'all of the log');
        expect(told(socket)).toEqual(log.slice(from).map((event) => JSON.stringify(event)));
        await socket.close();
      }
    });

    test('[OC2] (k, l) models: a bare array of what is on disk; an id with a slash, encoded, in DELETE', async () => {
      const available = await daemon.get('/v3/lmx/models/available');
      expect(available.body).toEqual([expect.objectContaining({ repo_id: 'org/other-model' })]);
      const removed = await daemon.ask({
        method: 'DELETE',
        path: `/v3/lmx/models/${encodeURIComponent('org/other-model')}`,
        headers: BEARER,
      });
      expect(removed).toMatchObject({ status: 200, headers: { 'content-type': expect.stringContaining('json') } });
      expect(admin.lines()).toContain('DELETE /admin/models/org%2Fother-model null');
      expect((await daemon.get('/v3/lmx/status')).body).toMatchObject({ models: [{ model_id: 'fake-model' }] });
      expect((await daemon.get('/v3/lmx/models')).body).toMatchObject({ models: [{ model_id: 'fake-model' }] });
    });
  });

  describe('the desktop client', () => {
    test('[OC3] its start: health, metrics, the list of sessions, and health as a stream with the token in its URL', async () => {
      await daemon.post('/v3/sessions', { sessionId: 'desk-0', title: 'Desk' });
      for (const at of ['/v3/health', '/v3/metrics']) expect((await daemon.get(at)).status).toBe(200);
      const list = await daemon.post('/v3/operations/sessions.list', { input: { limit: 250 } });
      expect(list).toMatchObject({ status: 200, body: { ok: true, id: 'sessions.list', result: expect.any(Array) } });
      const rows = (list.body as { result: { id: string }[] }).result;
      expect(rows.find(({ id }) => id === 'desk-0')).toMatchObject({
        title: 'Desk',
        model: 'fake-model',
        created: expect.any(String),
        messageCount: 0,
      });
      const stream = await daemon.listen({ path: '/v3/health/stream?token=$TOKEN' });
      await until(() => stream.messages().length > 0, 'the health of the moment');
      expect(stream.messages()[0]).toMatchObject({ status: 'ok', daemonId: daemon.daemonId });
      stream.close();
    });

    test('[OC3] (h) its ping is answered on that socket alone, by a frame that is no card and moves no cursor', async () => {
      const id = 'desk-1';
      await daemon.post('/v3/sessions', { sessionId: id });
      const body = { clientId: 'desk', writerId: 'desk', content: say('hello.'), mode: 'do' };
      const { turnId } = (await daemon.post(`/v3/sessions/${id}/turns`, body)).body as { turnId: string };
      await settled(daemon, id, turnId);
      const [pings, other] = [
        await daemon.connect(path(id, '&afterSeq=0')),
        await daemon.connect(path(id, '&afterSeq=0')),
      ];
      const length = (await eventsOf(daemon, id)).length;
      for (const socket of [pings, other]) await until(() => socket.frames.length === length, 'the replay');
      for (let n = 1; n <= 3; n++) {
        pings.send({ type: 'ping' });
        await until(() => pings.frames.length === length + n, 'the answer', 5_000);
      }
      const answers = pings.frames.slice(length);
      // Its cursor is the highest number that it saw; none at all would make it none.
      for (const f of answers) {
        expect(['heartbeat', 'ping']).toContain(f.event);
        expect(f.seq).toBe(pings.frames[length - 1]?.seq);
        expect(f).not.toHaveProperty('error');
      }
      expect(other.frames).toHaveLength(length);
      // Any name besides these would be a card that says nothing.
      const cards = new Set(pings.frames.slice(0, length).map((f) => f.event));
      const known = [
        'session.snapshot',
        'session.updated',
        'turn.queued',
        'turn.start',
        'turn.progress',
        'turn.token',
        'turn.done',
      ];
      expect([...cards].filter((event) => !known.includes(String(event)))).toEqual([]);
      const number = expect.any(Number);
      expect(pings.frames.find(isEvent('turn.done', turnId))?.payload).toMatchObject({
        stats: { tokens: number, speed: number, elapsed: number, toolCalls: 0 },
      });
      await pings.close();
      await other.close();
    });

    test('[OC3] a close of its own and a new start at its cursor: nothing twice, nothing lost', async () => {
      const id = 'desk-2';
      await daemon.post('/v3/sessions', { sessionId: id });
      const one = await daemon.connect(path(id, '&afterSeq=0'));
      const body = { clientId: 'desk', writerId: 'desk', content: 'x @@{"tokens":60,"tps":60}@@', mode: 'chat' };
      const { turnId } = (await daemon.post(`/v3/sessions/${id}/turns`, body)).body as { turnId: string };
      await one.frame(isEvent('turn.token', turnId), 'text');
      await one.cut();
      const cursor = Math.max(...one.frames.map((f) => f.seq as number));
      const two = await daemon.connect(path(id, `&afterSeq=${cursor}`));
      await two.frame(isTerminal(turnId), 'the end');
      expectGapless([...one.frames, ...two.frames], 1);
      await two.close();
    });

    test('[OC3] its page of jobs: a start without a session is 400, the rest is as it reads it', async () => {
      const start = (body: object) => daemon.post('/v3/background/start', body);
      expect(await start({ command: 'echo hi' })).toMatchObject({ status: 400, body: { code: 'invalid-request' } });
      const { process } = (await start({ sessionId: 'desk-2', command: 'echo hi' })).body as {
        process: { processId: string };
      };
      const at = `/v3/background/${process.processId}`;
      const output = async () =>
        (await daemon.get(`${at}/output?afterSeq=0&limit=200`)).body as { chunks: { text: string }[] };
      for (const end = Date.now() + 10_000; (await output()).chunks.length === 0 && Date.now() < end; ) await sleep(50);
      expect((await output()).chunks.map(({ text }) => text).join('')).toBe('hi\n');
      expect((await daemon.get('/v3/background')).body).toMatchObject({
        processes: [{ processId: process.processId }],
      });
      expect((await daemon.post(`${at}/kill`, {})).status).toBe(200);
    });
  });
});
