import { homedir } from 'node:os';
import { describe, expect, test } from 'vitest';
import type { Frame } from './daemon.ts';
import { differs } from './differences.ts';
import {
  aWorld,
  eventsOf,
  everyDifferenceIsTold,
  ISO,
  NUMBER,
  opened,
  outline,
  refused,
  UNAUTHORIZED,
} from './world.ts';

/** What clients of the old daemon may rely on about background processes, over HTTP, against ours as users run it. */
const world = aWorld();

describe('20 background processes', () => {
  const post = (path: string, body?: unknown) => world.daemon.post(`/v3/background/${path}`, body);
  const get = (path: string) => world.daemon.get(`/v3/background${path}`);
  const begin = async (command: string, more: object = {}) => {
    const answer = await post('start', { sessionId: 'bg', command, ...more });
    expect(answer).toMatchObject({ status: 201, body: { process: { command, state: 'running', pid: NUMBER } } });
    return (answer.body as { process: { processId: string; cwd: string } }).process;
  };
  const ofProcess = async (processId: string) =>
    (await eventsOf(world.daemon, 'bg')).flatMap((f) => {
      const payload = f.payload as { process?: { processId: string }; processId?: string };
      return (payload.process?.processId ?? payload.processId) === processId ? [{ event: f.event, payload }] : [];
    });
  const ended = async (processId: string) => {
    const reader = await world.daemon.connect('/v3/ws?sessionId=bg&token=$TOKEN');
    const isEnd = (f: Frame): boolean => {
      const { process, reason } = f.payload as { process?: { processId: string }; reason?: string };
      return process?.processId === processId && reason !== 'started';
    };
    await reader.frame((f) => f.event === 'background.status' && isEnd(f), `the end of ${processId}`);
    await reader.close();
    return ofProcess(processId);
  };
  const running = { state: 'running', exitCode: null, endedAt: null, startedAt: ISO, runtimeMs: NUMBER };

  test('[BG1] one is started, listed, read by pages and killed, and its session tells all of it', async () => {
    await world.daemon.post('/v3/sessions', { sessionId: 'bg' });
    const command = "sh -c 'echo out; echo err >&2; sleep 30'";
    const { home } = world.daemon;
    const p = await begin(command, { label: 'lab', cwd: home, timeoutMs: 60_000 });
    const shown = { processId: p.processId, sessionId: 'bg', command, label: 'lab', cwd: home, timeoutMs: 60_000 };
    const process = { ...shown, pid: NUMBER, ...running };
    expect(p).toEqual(process);
    for (const path of ['', '?sessionId=bg']) {
      expect(await get(path)).toMatchObject({ status: 200, body: { processes: [process] } });
    }
    const { body } = await get(`/${p.processId}/status`);
    expect(body).toEqual({ process });

    const first = { seq: 1, ts: ISO, stream: 'stdout', text: 'out\n' };
    const second = { seq: 2, ts: ISO, stream: 'stderr', text: 'err\n' };
    await expect
      .poll(async () => (await get(`/${p.processId}/output`)).body, { timeout: 8_000 })
      .toEqual({
        process,
        chunks: [first, second],
        nextSeq: 2,
        hasMore: false,
      });
    const page = async (query: string) => (await get(`/${p.processId}/output${query}`)).body;
    expect(await page('?limit=1')).toMatchObject({ chunks: [first], nextSeq: 1, hasMore: true });
    expect(await page('?afterSeq=1&limit=1&stream=stderr')).toMatchObject({
      chunks: [second],
      nextSeq: 2,
      hasMore: false,
    });
    expect(await page('?afterSeq=9')).toMatchObject({ chunks: [], nextSeq: 9, hasMore: false });

    differs('kill-waits');
    differs('ends-with-leader');
    const over = { ...process, state: 'killed', endedAt: ISO };
    expect(await post(`${p.processId}/kill`, {})).toMatchObject({ status: 200, body: { killed: true, process: over } });
    expect(await post(`${p.processId}/kill`)).toMatchObject({ status: 200, body: { killed: false, process: over } });
    expect(await ofProcess(p.processId)).toEqual([
      { event: 'background.status', payload: { process, reason: 'started', identity: expect.anything() } },
      { event: 'background.output', payload: { processId: p.processId, sessionId: 'bg', pid: NUMBER, ...first } },
      { event: 'background.output', payload: { processId: p.processId, sessionId: 'bg', pid: NUMBER, ...second } },
      {
        event: 'background.status',
        payload: { process: over, reason: 'killed', previousState: 'running', signal: 'SIGTERM' },
      },
    ]);
  });

  test('what it names must be there, and what is wrong with a request is said', async () => {
    const gone = { status: 404, body: refused('Background process not found', 'background-not-found') };
    const p = await begin('true');
    for (const path of ['/nope/status', '/nope/output', `/${p.processId}/status?sessionId=other`]) {
      expect(await get(path)).toMatchObject(gone);
    }
    expect(await post('nope/kill', {})).toMatchObject(gone);
    const noSession = { status: 404, body: refused('Session not found: nope', 'session-not-found') };
    expect(await get('?sessionId=nope')).toMatchObject(noSession);
    expect(await post('start', { sessionId: 'nope', command: 'true' })).toMatchObject(noSession);
    for (const query of ['limit=0', 'limit=501', 'stream=x']) {
      const answer = await get(`/${p.processId}/output?${query}`);
      expect(answer).toMatchObject({
        status: 400,
        body: { error: 'Invalid query', details: [{ path: [query.split('=')[0]] }] },
      });
    }
    expect(await post(`${p.processId}/kill`, { signal: 'SIGBAD' })).toMatchObject({
      status: 400,
      body: { error: 'Invalid body', details: [{ path: ['signal'] }] },
    });
    expect(await post('start', {})).toMatchObject({
      status: 400,
      body: { error: 'Invalid body', details: [{ path: ['sessionId'] }, { path: ['command'] }] },
    });
    expect(await world.daemon.ask({ path: '/v3/background' })).toMatchObject({ status: 401, body: UNAUTHORIZED });
  });

  test('[BG1] each ends in its own way, once; without a folder it runs where the user is at home', async () => {
    const [good, bad, late] = [await begin('true'), await begin('false'), await begin('sleep 20', { timeoutMs: 200 })];
    differs('background-folder');
    expect(good.cwd).toBe(homedir());
    const ends = async ({ processId }: { processId: string }) => (await ended(processId)).slice(1);
    expect(await ends(good)).toMatchObject([{ payload: { reason: 'completed', process: { exitCode: 0 } } }]);
    expect(await ends(bad)).toMatchObject([{ payload: { reason: 'failed', process: { exitCode: 1 } } }]);
    differs('one-end');
    const end = { state: 'timeout', exitCode: null, endedAt: ISO };
    expect(await ends(late)).toMatchObject([
      { payload: { reason: 'timeout', previousState: 'running', process: end } },
    ]);
  });

  test('[BG5] five may run for a session, and those of another do not count', async () => {
    const five = [];
    for (let i = 0; i < 5; i++) five.push(await begin('sleep 20'));
    differs('background-limit');
    const more = { sessionId: 'bg', command: 'sleep 20' };
    expect(await post('start', more)).toMatchObject({
      status: 429,
      body: { error: 'Max concurrent processes (5) reached', code: 'too-many-requests', retryable: true },
    });
    await world.daemon.post('/v3/sessions', { sessionId: 'bg-2' });
    const other = await post('start', { ...more, sessionId: 'bg-2' });
    expect(other.status).toBe(201);
    const ids = [...five, (other.body as { process: { processId: string } }).process].map((p) => p.processId);
    for (const id of ids) {
      const killed = await post(`${id}/kill`, { signal: 'SIGKILL' });
      expect(killed).toMatchObject({ status: 200, body: { killed: true } });
    }
    expect(await ended(ids[0] as string)).toMatchObject([{}, { payload: { reason: 'killed', signal: 'SIGKILL' } }]);
  });

  test('20b: a command that does not exist is 500, and the daemon and its sockets live on', async () => {
    const reader = await opened(world.daemon, 'bg-bad');
    expect(await post('start', { sessionId: 'bg-bad', command: '/no/such/binary' })).toMatchObject({
      status: 500,
      body: refused('Background process failed to start: /no/such/binary', 'background-failed'),
    });
    expect((await world.daemon.get('/v3/health')).status).toBe(200);
    expect(outline(await eventsOf(world.daemon, 'bg-bad'))).toEqual(['session.snapshot']);
    expect(reader.closed).toBeNull();
    await reader.close();
  });
});

everyDifferenceIsTold('background');
