import { existsSync, readFileSync } from 'node:fs';
import { type ClientRequest, request } from 'node:http';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { removeDir, tempDir, until } from '../support/cli.ts';
import { startFakeLmx } from '../support/fake-lmx.ts';
import { type Answer, type RealDaemon, startDaemon } from './daemon.ts';
import { differs } from './differences.ts';
import { aWorld, eventsOf, everyDifferenceIsTold, isEvent, isTerminal, messagesOf, path, settled } from './world.ts';

/** `POST /v1/chat`: the promises of docs/COMPATIBILITY.md for scripts from before v3, against the daemon as users run it. */
const world = aWorld();
const folders: string[] = [];
const folder = (): string => {
  const dir = tempDir();
  folders.push(dir);
  return dir;
};
afterEach(() => {
  delete world.lmx.options.reply;
});
afterAll(() => folders.forEach(removeDir));

interface Said {
  session_id: string;
  turn_id: string;
  response: string;
}
const chat = (body: object, headers: { [name: string]: string } = {}): Promise<Answer> =>
  world.daemon.authed({ method: 'POST', path: '/v1/chat', body, headers });
const said = async (body: object): Promise<Said> => {
  const answer = await chat(body);
  expect(answer.status, answer.text).toBe(200);
  return answer.body as Said;
};
const LONG = 'long @@{"tokens":2000,"tps":20}@@';

/** A request that is left by its client when the test says so. */
const leaving = ({ port, token }: RealDaemon, body: object): ClientRequest => {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const req = request({ host: '127.0.0.1', port, method: 'POST', path: '/v1/chat', headers, agent: false });
  req.on('error', () => undefined);
  req.end(JSON.stringify(body));
  return req;
};
/** The turns of a session as its log has them. */
const turnsOf = async (daemon: RealDaemon, id: string) => (await eventsOf(daemon, id)).filter(isEvent('turn.queued'));

describe('an answer', () => {
  test('[SH1] is {session_id, response, stats, model}, of a turn in mode do by legacy-http; turn_id is added', async () => {
    differs('legacy-chat');
    const answer = await chat({ message: 'Grüß @@{"text":"Guten Tag, 世界 👋 ."}@@' });
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/json; charset=utf-8' } });
    const { session_id, turn_id } = answer.body as Said;
    expect(answer.body).toEqual({
      session_id: expect.stringMatching(/^[\w-]{12}$/),
      response: 'Guten Tag, 世界 👋 .',
      stats: expect.objectContaining({ toolCalls: 0, elapsed: expect.any(Number) }),
      model: 'fake-model',
      turn_id: expect.any(String),
    });
    const [queued] = await turnsOf(world.daemon, session_id);
    expect(queued?.payload).toMatchObject({
      turnId: turn_id,
      clientId: 'legacy-http',
      writerId: 'legacy-http',
      mode: 'do',
    });
    const session = await world.daemon.get(`/v3/sessions/${session_id}`);
    expect(session.body).toMatchObject({ metadata: { source: 'v1/chat' } });
    expect(session.body).not.toHaveProperty('workspace');
  });

  test('[SH1] session_id goes on with a session, or makes it; what is no text counts as absent', async () => {
    const first = await said({ message: 'one @@{"text":"1"}@@', session_id: 'script' });
    const second = await said({ message: 'two @@{"text":"2"}@@', session_id: 'script' });
    expect([first.session_id, second.session_id, second.response]).toEqual(['script', 'script', '2']);
    expect((await messagesOf(world.daemon, 'script')) as object[]).toHaveLength(4);
    expect(world.lmx.requests.at(-1)?.body.messages?.map((m) => m.role)).toEqual(
      expect.arrayContaining(['user', 'assistant', 'user']),
    );
    const fresh = await Promise.all(
      [undefined, null, 7, '', {}].map((session_id) => said({ message: 'x @@{"text":"y"}@@', session_id })),
    );
    expect(new Set(fresh.map((f) => f.session_id)).size).toBe(5);
    expect(await chat({ message: 'x', session_id: '../x' })).toMatchObject({
      status: 400,
      body: { error: 'Invalid session id', code: 'invalid-request' },
    });
  });

  test('[SH1] response is the last assistant message alone, and empty when that has no text', async () => {
    const workspace = folder();
    const asked =
      '@@{"preText":"let me look","tools":[{"name":"list_dir","args":{"path":"."}}],"text":"nothing there"}@@';
    const body = await said({ message: asked, workspace });
    expect(body).toMatchObject({ response: 'nothing there', stats: { toolCalls: 1 } });
    world.lmx.options.reply = ({ body: { messages } }) =>
      messages?.some((m) => m.role === 'tool')
        ? { text: '' }
        : { preText: 'looking', tools: [{ name: 'list_dir', args: { path: '.' } }] };
    expect(await said({ message: 'x', workspace })).toMatchObject({ response: '' });
  });

  test('[SH1] a body is JSON whatever it is called, as curl -d calls it a form', async () => {
    for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'application/json']) {
      const answer = await chat({ message: 'x @@{"text":"fine"}@@' }, { 'content-type': type });
      expect([type, answer.status, (answer.body as Said).response]).toEqual([type, 200, 'fine']);
    }
  });

  test('[SH1] a wrong body is 400 in the known words, and a missing token 401', async () => {
    const bad = [{}, { message: '' }, { message: 7 }, { message: null, session_id: 'x' }, [], 'text', null];
    for (const body of bad) {
      expect(await world.daemon.authed({ method: 'POST', path: '/v1/chat', body: JSON.stringify(body) })).toMatchObject(
        {
          status: 400,
          body: { error: 'Missing required field: message (string)', code: 'invalid-request' },
        },
      );
    }
    const other = await chat({ message: 'x', workspace: 'not/absolute' });
    expect(other).toMatchObject({ status: 400, body: { error: 'Invalid request body' } });
    const broken = await world.daemon.authed({ method: 'POST', path: '/v1/chat', body: '{"message":' });
    expect(broken).toMatchObject({ status: 400, body: { code: 'invalid-json' } });
    const stranger = await world.daemon.ask({ method: 'POST', path: '/v1/chat', body: { message: 'x' } });
    expect(stranger).toMatchObject({ status: 401, body: { error: 'Unauthorized' } });
    expect(await world.daemon.authed({ path: '/v1/chat' })).toMatchObject({ status: 404 });
  });

  test('[SH1] 10 MB of three-byte characters arrive whole', async () => {
    const text = `${'€'.repeat(1_199)} `.repeat(3_000);
    expect(Buffer.byteLength(text)).toBeGreaterThan(10 << 20);
    world.lmx.options.reply = () => ({ text });
    const { response } = await said({ message: 'much' });
    expect(response.length).toBe(text.length);
    expect(response === text).toBe(true);
  }, 60_000);

  test('[SH1] a hundred at once each get their own answer, and those to one session one after another', async () => {
    const asks = Array.from({ length: 100 }, (_, i) => ({
      message: `n${i} @@{"text":"answer ${i}.","tps":200}@@`,
      ...(i % 4 === 0 ? { session_id: 'shared' } : {}),
    }));
    const answers = await Promise.all(asks.map(said));
    expect(answers.map((a) => a.response)).toEqual(asks.map((_, i) => `answer ${i}.`));
    expect(new Set(answers.map((a) => a.turn_id)).size).toBe(100);
    const shared = answers.filter((a) => a.session_id === 'shared');
    expect(shared).toHaveLength(25);
    expect(await turnsOf(world.daemon, 'shared')).toHaveLength(25);
  }, 60_000);
});

describe('a permission', () => {
  const WRITE = '@@{"tools":[{"name":"write_file","args":{"path":"a.txt","content":"hi"}}],"text":"written"}@@';

  test('[SH2] that nobody can give is 409 at once: the turn is cancelled and nothing was written', async () => {
    const workspace = folder();
    const startedAt = performance.now();
    const slowly = WRITE.replace('{', '{"delayMs":400,');
    const answer = await chat({ message: slowly, workspace });
    expect(performance.now() - startedAt).toBeLessThan(8_000);
    expect(answer).toMatchObject({
      status: 409,
      body: { code: 'permission-unattended', tool: 'write_file', outcome: 'cancelled' },
    });
    const { session_id, turn_id } = answer.body as Said;
    const events = await eventsOf(world.daemon, session_id);
    expect(events.find(isTerminal(turn_id))?.payload).toMatchObject({ outcome: 'cancelled' });
    expect(existsSync(join(workspace, 'a.txt'))).toBe(false);

    // A turn that was quicker than its cancel has said something: that is in the answer, which is no success all the same.
    const quick = await chat({ message: WRITE, workspace });
    expect(quick).toMatchObject({ status: 409, body: { code: 'permission-unattended' } });
    const { outcome, response } = quick.body as { outcome: string; response?: string };
    expect([outcome, response]).toEqual(outcome === 'done' ? ['done', 'written'] : ['cancelled', undefined]);
    expect(existsSync(join(workspace, 'a.txt'))).toBe(false);
  });

  test('[SH2] is given by overrides, or by who is attached', async () => {
    const workspace = folder();
    expect(await said({ message: WRITE, workspace, overrides: { auto: true } })).toMatchObject({ response: 'written' });
    expect(readFileSync(join(workspace, 'a.txt'), 'utf8')).toBe('hi');

    const other = folder();
    await world.daemon.post('/v3/sessions', { sessionId: 'attended', metadata: { workspace: other } });
    const person = await world.daemon.connect(path('attended'));
    const answer = said({ message: WRITE, session_id: 'attended' });
    const asked = await person.frame(isEvent('permission.request'), 'a question');
    const { requestId } = asked.payload as { requestId: string };
    person.send({ type: 'permission.resolve', sessionId: 'attended', requestId, decision: 'allow', decidedBy: 'ada' });
    expect(await answer).toMatchObject({ response: 'written' });
    expect(readFileSync(join(other, 'a.txt'), 'utf8')).toBe('hi');
    await person.close();
  });

  test('[SH2] a session keeps its folder: another one is 409', async () => {
    const workspace = folder();
    const { session_id } = await said({ message: 'x @@{"text":"y"}@@', workspace });
    expect((await said({ message: 'x @@{"text":"y"}@@', session_id, workspace: `${workspace}/` })).response).toBe('y');
    const answer = await chat({ message: 'x', session_id, workspace: '/elsewhere' });
    expect(answer).toMatchObject({ status: 409, body: { code: 'state-conflict', session_id } });
    expect(await turnsOf(world.daemon, session_id)).toHaveLength(2);
  });
});

describe('a turn that does not end well', () => {
  test('[SH3] is 502 with the code of its error, session and turn', async () => {
    const answer = await chat({ message: 'x @@{"error":"out of luck","status":400,"code":"bad"}@@' });
    expect(answer).toMatchObject({
      status: 502,
      body: {
        error: expect.stringContaining('out of luck'),
        code: 'lmx-request-rejected',
        outcome: 'error',
        session_id: expect.any(String),
        turn_id: expect.any(String),
      },
    });
    expect(answer.body).not.toHaveProperty('cause');
  });

  test('[SH3] cancelled by somebody else is 502 with code cancelled', async () => {
    const answer = chat({ message: LONG, session_id: 'ended-by-other' });
    await until(() => world.lmx.requests.some((r) => r.body.messages?.at(-1)?.content === LONG), 'the turn to run');
    const cancel = { writerId: 'legacy-http' };
    await world.daemon.post('/v3/sessions/ended-by-other/cancel', cancel);
    expect(await answer).toMatchObject({
      status: 502,
      body: { code: 'cancelled', outcome: 'cancelled', session_id: 'ended-by-other' },
    });
  });

  test('[SH3] not ended in time is 504, and the turn goes on', async () => {
    const answer = await chat({ message: 'x @@{"tokens":20,"tps":20}@@', timeout_ms: 100 });
    expect(answer).toMatchObject({ status: 504, body: { code: 'timeout', retryable: false } });
    const { session_id, turn_id } = answer.body as Said;
    const events = await settled(world.daemon, session_id, turn_id);
    expect(events.find(isTerminal(turn_id))?.event).toBe('turn.done');
  });
});

describe('an idempotency key', () => {
  test('[SH4] is one turn and one answer, also without a session, also as a header', async () => {
    const body = { message: 'once @@{"text":"only once"}@@' };
    const first = await chat(body, { 'idempotency-key': 'k-1' });
    const again = await chat({ ...body, idempotency_key: 'k-1' });
    expect([first.status, again.status]).toEqual([200, 200]);
    expect(again.body).toEqual(first.body);
    expect(await turnsOf(world.daemon, (first.body as Said).session_id)).toHaveLength(1);
    const other = await chat({ message: 'another' }, { 'idempotency-key': 'k-1' });
    expect(other).toMatchObject({ status: 409, body: { code: 'idempotency-mismatch' } });
  });

  test('[SH4] keeps the turn alive when its caller goes away, and gets the answer later', async () => {
    const body = {
      message: 'slow @@{"text":"it is done now .","tps":10}@@',
      session_id: 'kept',
      idempotency_key: 'k-2',
    };
    const req = leaving(world.daemon, body);
    await until(() => world.lmx.requests.some((r) => r.body.messages?.at(-1)?.content === body.message), 'it to run');
    req.destroy();
    expect(await said(body)).toMatchObject({ response: 'it is done now .' });
    expect(await turnsOf(world.daemon, 'kept')).toHaveLength(1);
  });
});

describe.each(['uws', 'ws'])('over %s', (transport) => {
  const own = async (run: (daemon: RealDaemon, lmx: Awaited<ReturnType<typeof startFakeLmx>>) => Promise<void>) => {
    const lmx = await startFakeLmx();
    const daemon = await startDaemon(lmx.port, { OPTA_MODEL: 'fake-model', OPTA_TRANSPORT: transport });
    try {
      await run(daemon, lmx);
    } finally {
      await daemon.stop();
      await lmx.close();
    }
  };
  const post = (daemon: RealDaemon, body: object) => daemon.post('/v1/chat', body);

  test('[SH5] who goes away takes its turn along, whether it runs or waits, and no other', async () => {
    await own(async (daemon, lmx) => {
      const running = leaving(daemon, { message: LONG, session_id: 's' });
      await until(() => lmx.requests.length === 1, 'the first to run');
      const waiting = leaving(daemon, { message: 'waits', session_id: 's' });
      const stays = post(daemon, { message: 'stays @@{"text":"here"}@@', session_id: 's' });
      const watcher = await daemon.connect(path('s'));
      await until(() => watcher.frames.filter(isEvent('turn.queued')).length === 3, 'all three to be there');
      const idOf = (text: string) => watcher.frames.find((f) => f.payload?.content === text)?.payload?.turnId;
      waiting.destroy();
      const gone = await watcher.frame(isTerminal(idOf('waits')), 'the end of the waiting one');
      expect(gone.payload).toMatchObject({ outcome: 'cancelled' });
      await watcher.frame(isEvent('turn.token', idOf(LONG)), 'some text');
      running.destroy();
      const ended = await watcher.frame(isTerminal(idOf(LONG)), 'the end of the running one');
      expect(ended.payload).toMatchObject({ outcome: 'cancelled', partial: true });
      expect(await stays).toMatchObject({ status: 200, body: { response: 'here' } });
      await until(() => lmx.cancels.length > 0, 'the inference server to be told');
      // Nothing is kept for those that left.
      await until(() => watcher.frames.some(isEvent('turn.done')), 'the last one to be done');
      const { limits } = (await daemon.get('/v3/metrics')).body as { limits: { name: string; value: number }[] };
      expect(limits.find((l) => l.name === 'chatWaits')?.value).toBe(0);
      await watcher.close();
    });
  }, 40_000);

  test('[SH5] a wait that is longer than any timer of the transport is answered', async () => {
    await own(async (daemon) => {
      // Longer than the twelve seconds after which uWebSockets.js gives up an idle connection; and no byte passes meanwhile.
      const req = leaving(daemon, { message: 'x @@{"delayMs":16000,"text":"late"}@@' });
      const answer = await new Promise<string>((resolve, reject) => {
        req.on('error', reject);
        req.on('response', (res) => {
          let text = '';
          res.on('data', (part) => {
            text += part;
          });
          res.on('end', () => resolve(text));
        });
      });
      expect(JSON.parse(answer)).toMatchObject({ response: 'late' });
    });
  }, 60_000);

  test('[SH6] a daemon that stops answers 503: the running turn is interrupted, the waiting one told to wait', async () => {
    await own(async (daemon, lmx) => {
      const running = post(daemon, { message: LONG, session_id: 's' });
      await until(() => lmx.requests.length === 1, 'the first to run');
      const waiting = post(daemon, { message: 'waits', session_id: 's' });
      const watcher = await daemon.connect(path('s'));
      await until(() => watcher.frames.filter(isEvent('turn.queued')).length === 2, 'the second to wait');
      await daemon.end('SIGTERM');
      const [first, second] = await Promise.all([running, waiting]);
      expect(first).toMatchObject({ status: 503, body: { code: 'interrupted', session_id: 's' } });
      expect(second).toMatchObject({
        status: 503,
        body: { code: 'shutting-down', retryable: false, session_id: 's', turn_id: expect.any(String) },
      });
      // As it was told: the one that waited runs with the next daemon, and the other does not come back.
      await daemon.restart();
      const events = await settled(daemon, 's', (second.body as Said).turn_id);
      expect(events.filter(isTerminal((first.body as Said).turn_id)).map((f) => f.payload?.outcome)).toEqual([
        'interrupted',
      ]);
      expect(events.find(isTerminal((second.body as Said).turn_id))?.event).toBe('turn.done');
    });
  }, 60_000);
});

test('[SH1] GET /health has what the old server and the old daemon had', async () => {
  expect((await world.daemon.ask({ path: '/health' })).body).toEqual({
    status: 'ok',
    version: expect.any(String),
    daemon: true,
    model: 'fake-model',
    uptime: expect.any(Number),
  });
});

everyDifferenceIsTold('legacy');
