import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { removeDir, tempDir, until } from '../support/cli.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { hasProcessTable } from '../support/process-table.ts';
import { type Client, type Frame, type RealDaemon, startDaemon } from './daemon.ts';
import { differs } from './differences.ts';
import {
  aWorld,
  eventsOf,
  everyDifferenceIsTold,
  expectGapless,
  isAck,
  isEvent,
  isTerminal,
  messagesOf,
  opened,
  outline,
  path,
  settled,
  submit,
  textOf,
  words,
} from './world.ts';

/**
 * What clients of the old daemon find here when something is refused, cancelled or dies: the scenarios of the recordings 10, 10b,
 * 11, 20b, 25 to 29, 31, 31b, 32 and 35, in our own words.
 */
const folders: string[] = [];
const folder = (): string => {
  const dir = tempDir();
  folders.push(dir);
  return dir;
};
afterAll(() => folders.forEach(removeDir));

const asking = (tools: { name: string; args: unknown }[]): string =>
  `go @@${JSON.stringify({ tools, text: 'all done' })}@@`;
const turnIdOf = async (client: Client): Promise<unknown> =>
  (await client.frame(isAck('turn.submit'), 'the ack')).turnId;
const failed = (code: string, more: object = {}) => ({
  event: 'turn.error',
  payload: { code, outcome: 'error', message: expect.any(String), ...more },
});

describe('tools', () => {
  const world = aWorld();
  /** What happened to the calls of one turn, in order. */
  const calls = (frames: readonly Frame[]): string[] =>
    frames.flatMap(({ event, payload }) => {
      const tool = payload?.toolName ?? payload?.name;
      return typeof tool === 'string' ? [`${event} ${tool}${payload?.decision ? ` ${payload.decision}` : ''}`] : [];
    });
  const inFolder = async (sessionId: string): Promise<{ client: Client; workspace: string }> => {
    const workspace = folder();
    await world.daemon.post('/v3/sessions', { sessionId, metadata: { workspace } });
    return { client: await world.daemon.connect(path(sessionId)), workspace };
  };
  const decide = async (client: Client, sessionId: string, decision: string): Promise<void> => {
    const asked = await client.frame(isEvent('permission.request'), 'a question');
    const { requestId } = asked.payload as { requestId: string };
    client.send({ type: 'permission.resolve', sessionId, requestId, decision, decidedBy: 'a' });
  };

  test('10 [PM4] dangerous asks about nothing, and reading is asked about in no mode', async () => {
    const { client, workspace } = await inFolder('danger');
    writeFileSync(join(workspace, 'hello.txt'), 'line one\n');
    const tools = [
      { name: 'read_file', args: { path: 'hello.txt' } },
      { name: 'write_file', args: { path: 'w.txt', content: 'x' } },
    ];
    client.send(submit('danger', asking(tools), { overrides: { dangerous: true } }));
    const turnId = await turnIdOf(client);
    await client.frame(isTerminal(turnId), 'the end');
    differs('dangerous-allows');
    differs('reads-free');
    expect(calls(client.frames)).toEqual([
      'tool.start read_file',
      'tool.end read_file',
      'tool.start write_file',
      'tool.end write_file',
    ]);
    expect(readFileSync(join(workspace, 'w.txt'), 'utf8')).toBe('x');
    await client.close();
  });

  test('10 [CX2] a cancel while a permission is pending ends the turn, and a later decision finds a deny', async () => {
    const { client, workspace } = await inFolder('pending');
    const tools = [{ name: 'write_file', args: { path: 'hello.txt', content: 'hi' } }];
    client.send(submit('pending', asking(tools)));
    const turnId = await turnIdOf(client);
    await client.frame(isEvent('permission.request'), 'a question');
    const answer = await world.daemon.post('/v3/sessions/pending/cancel', { turnId });
    expect(answer.body).toEqual({ ok: true, cancelled: 1, cancelledQueued: 0, cancelledActive: true });
    differs('cancel-releases');
    expect(outline(await eventsOf(world.daemon, 'pending')).slice(-3)).toEqual([
      'session.cancelled',
      'permission.resolved',
      'turn.error',
    ]);
    await decide(client, 'pending', 'allow');
    const ack = await client.frame(isAck('permission.resolve'), 'the ack');
    expect(ack.result).toMatchObject({ ok: false, conflict: true, decision: 'deny', decidedBy: 'daemon' });
    expect(existsSync(join(workspace, 'hello.txt'))).toBe(false);
    await client.close();
  });

  test('10b [TL2] [PM5] a level changes nothing, an unknown tool is no question, and calls come one after another', async () => {
    const { client, workspace } = await inFolder('level');
    writeFileSync(join(workspace, 'edit-me.txt'), 'alpha\n');
    const tools = [
      { name: 'read_file', args: { path: 'edit-me.txt' } },
      { name: 'edit_file', args: { path: 'edit-me.txt', old_text: 'alpha', new_text: 'beta' } },
      { name: 'no_such_tool', args: {} },
    ];
    client.send(submit('level', asking(tools), { overrides: { autonomyLevel: 4 } }));
    const turnId = await turnIdOf(client);
    await decide(client, 'level', 'allow');
    await client.frame(isTerminal(turnId), 'the end');
    for (const id of ['levels-noted', 'unknown-tool', 'one-call-at-a-time'] as const) differs(id);
    expect(calls(client.frames)).toEqual([
      'tool.start read_file',
      'tool.end read_file',
      'permission.request edit_file',
      'permission.resolved edit_file allow',
      'tool.start edit_file',
      'tool.end edit_file',
      'permission.resolved no_such_tool deny',
    ]);
    expect(client.frames.findLast(isEvent('permission.resolved'))?.payload).toMatchObject({ reason: 'invalid' });
    expect(client.frames.find(isEvent('turn.queued'))?.payload).toMatchObject({ overrides: { autonomyLevel: 4 } });
    differs('no-supervisor');
    const roles = ((await messagesOf(world.daemon, 'level')) as { role: string }[]).map(({ role }) => role);
    expect(roles).toEqual(['user', 'assistant', 'tool', 'tool', 'tool', 'assistant']);
    expect(client.frames.filter((f) => f.event?.startsWith('atpo'))).toEqual([]);
    expect(textOf(client.frames, turnId)).toBe('all done');
    expect(readFileSync(join(workspace, 'edit-me.txt'), 'utf8')).toBe('beta\n');
    await client.close();
  });

  test('10b [PM7] ask_user is a request in every mode, and the answer of a person is its result', async () => {
    const { client } = await inFolder('asks-people');
    const tools = [{ name: 'ask_user', args: { question: 'Which one?', options: ['this', 'that'] } }];
    client.send(submit('asks-people', asking(tools), { overrides: { dangerous: true } }));
    const turnId = await turnIdOf(client);
    const request = await client.frame(isEvent('permission.request'), 'a question');
    const { requestId } = request.payload as { requestId: string };
    client.send({
      type: 'permission.resolve',
      sessionId: 'asks-people',
      requestId,
      decision: 'allow',
      answer: 'that',
      decidedBy: 'a',
    });
    await client.frame(isTerminal(turnId), 'the end');
    differs('questions-asked');
    expect(client.frames.findLast(isEvent('tool.end'))?.payload).toMatchObject({ name: 'ask_user', result: 'that' });
    await client.close();
  });

  test('10b arguments that break off are never acted on: the turn ends', async () => {
    const { client } = await inFolder('torn');
    client.send(submit('torn', asking([{ name: 'list_dir', args: '{bad json' }])));
    const end = await client.frame(isTerminal(await turnIdOf(client)), 'the end', 20_000);
    differs('torn-arguments');
    expect(end).toMatchObject(failed('lmx-protocol'));
    expect(calls(client.frames)).toEqual([]);
    await client.close();
  }, 30_000);

  test('11 [PM4] mode do asks before it writes', async () => {
    const { client, workspace } = await inFolder('modedo');
    const tools = [{ name: 'write_file', args: { path: 'w.txt', content: 'x' } }];
    client.send(submit('modedo', asking(tools), { mode: 'do' }));
    const turnId = await turnIdOf(client);
    await decide(client, 'modedo', 'allow');
    await client.frame(isTerminal(turnId), 'the end');
    expect(client.frames.find(isEvent('turn.start'))?.payload).toMatchObject({ mode: 'do' });
    expect(readFileSync(join(workspace, 'w.txt'), 'utf8')).toBe('x');
    await client.close();
  });
});

describe('bad commands and sizes', () => {
  const world = aWorld();

  test('20b [SV1] a background command that does not exist is 500, and daemon and sockets live on', async () => {
    const client = await opened(world.daemon, 'bgbad');
    const answer = await world.daemon.post('/v3/background/start', { sessionId: 'bgbad', command: '/no/such/binary' });
    expect(answer).toMatchObject({
      status: 500,
      body: { error: 'Background process failed to start: /no/such/binary', code: 'background-failed' },
    });
    differs('survives-bad-command');
    expect((await world.daemon.get('/v3/health')).status).toBe(200);
    client.send({ type: 'ping' });
    await client.frame((f) => f.type === 'heartbeat', 'a sign of life');
    await client.close();
  });

  test('25 [SV3] unknown routes are 404 with or without the token, and sizes have their bounds', async () => {
    const missing = { message: 'Route GET:/no/such not found', error: 'Not Found', statusCode: 404 };
    for (const answer of [await world.daemon.get('/no/such'), await world.daemon.ask({ path: '/no/such' })])
      expect(answer).toMatchObject({ status: 404, body: missing });
    const put = await world.daemon.authed({ method: 'PUT', path: '/v3/sessions', body: {} });
    expect(put).toMatchObject({ status: 404, body: { message: 'Route PUT:/v3/sessions not found' } });
    expect((await world.daemon.get('/v3/health/')).status).toBe(404);

    const title = JSON.stringify({ title: 'x'.repeat(10 << 20) });
    const json = { 'content-type': 'application/json' };
    for (const ask of [world.daemon.authed, world.daemon.ask]) {
      const answer = await ask({ method: 'POST', path: '/v3/sessions', headers: json, body: title });
      expect(answer).toMatchObject({ status: 413, body: { code: 'payload-too-large', bytesMax: 10 << 20 } });
    }
    await world.daemon.post('/v3/sessions', { sessionId: 'big' });
    const turn = { clientId: 'c', writerId: 'w', mode: 'chat' };
    differs('content-bound');
    const long = await world.daemon.post('/v3/sessions/big/turns', { ...turn, content: 'x'.repeat((4 << 20) + 1) });
    expect(long).toMatchObject({ status: 413, body: { code: 'payload-too-large' } });
    const most = await world.daemon.post('/v3/sessions/big/turns', { ...turn, content: 'x'.repeat(4 << 20) });
    expect(most.status).toBe(202);
    expect((await world.daemon.get(`/v3/sessions/${'a'.repeat(101)}`)).status).toBe(414);
    expect((await world.daemon.get('/v3/sessions/%ff')).status).toBe(400);
  }, 30_000);
});

describe('an inference server that fails', () => {
  let lmx: FakeLmx;
  let daemon: RealDaemon;
  const start = async (): Promise<void> => {
    lmx = await startFakeLmx();
    daemon = await startDaemon(lmx.port, { OPTA_MODEL: 'fake-model' });
  };
  afterEach(async () => {
    await daemon?.stop();
    await lmx?.close();
  });

  test('26, 27 down from the start, or from one turn to the next: turn.error lmx-connection-refused', async () => {
    await start();
    const client = await opened(daemon, 'down');
    client.send(submit('down', 'ok @@{"tokens":1}@@'));
    const first = await turnIdOf(client);
    expect(await client.frame(isTerminal(first), 'the end')).toMatchObject({ event: 'turn.done' });
    await lmx.close();
    client.send(submit('down', 'x'));
    const end = await client.frame(isEvent('turn.error'), 'the error', 20_000);
    expect(end).toMatchObject(failed('lmx-connection-refused', { partial: false }));
    differs('start-first');
    const last = (await eventsOf(daemon, 'down')).filter((f) => f.payload?.turnId === end.payload?.turnId);
    expect(outline(last)).toEqual(['turn.queued', 'turn.start', 'turn.error']);
    await client.close();
  }, 40_000);

  test('28, 29 a stream that breaks off, once or always, ends its turn with what had come', async () => {
    await start();
    differs('never-spliced');
    for (const [id, times] of [
      ['once', 1],
      ['always', -1],
    ] as const) {
      const client = await opened(daemon, id);
      const content = `x @@{"think":"hm","tokens":12,"dieAfter":5,"dieTimes":${times},"tps":100}@@`;
      client.send(submit(id, content));
      const turnId = await turnIdOf(client);
      const end = await client.frame(isTerminal(turnId), 'the end');
      expect(end).toMatchObject(failed('lmx-ws-closed', { partial: true }));
      expect(textOf(client.frames, turnId)).toBe(words(5));
      expect(await messagesOf(daemon, id)).toEqual([
        { role: 'user', content },
        { role: 'assistant', content: words(5) },
      ]);
      await client.close();
    }
    expect(lmx.requests).toHaveLength(2);
  }, 40_000);
});

describe('a daemon that dies', () => {
  const LONG = (who: string) => `${who} @@{"tokens":100,"tps":50}@@`;
  const own = async (run: (daemon: RealDaemon) => Promise<void>): Promise<void> => {
    const lmx = await startFakeLmx();
    const daemon = await startDaemon(lmx.port, { OPTA_MODEL: 'fake-model' });
    try {
      await run(daemon);
    } finally {
      await daemon.stop();
      await lmx.close();
    }
  };
  /** A turn that is streaming and one that waits. */
  const busy = async (daemon: RealDaemon, id: string): Promise<{ client: Client; turnIds: unknown[] }> => {
    const client = await opened(daemon, id);
    for (const who of ['w1', 'w2']) client.send(submit(id, LONG(who), { writerId: who }));
    await until(() => client.frames.filter(isAck('turn.submit')).length === 2, 'both acks');
    await until(() => client.frames.filter(isEvent('turn.token')).length > 3, 'some text');
    return { client, turnIds: client.frames.filter(isAck('turn.submit')).map((f) => f.turnId) };
  };
  const expectSurvived = async (daemon: RealDaemon, id: string, seen: readonly string[], turnIds: unknown[]) => {
    differs('turns-survive');
    const events = await settled(daemon, id, turnIds[1]);
    expectGapless(events, 1);
    // Everything that was seen is there, byte for byte.
    expect(events.slice(0, seen.length).map((f) => JSON.stringify(f))).toEqual(seen);
    expect(events.find(isTerminal(turnIds[0]))?.payload).toMatchObject({ outcome: 'interrupted', partial: true });
    expect(events.find(isTerminal(turnIds[1]))?.event).toBe('turn.done');
    expect(textOf(events, turnIds[1])).toBe(words(100));
  };
  const envelopes = (client: Client) => client.texts.filter((text) => text.includes('"event"'));

  test('31 [CR1] [EV1] kill -9 in the middle of a turn: what was seen is kept, what ran is closed, what waited runs', async () => {
    await own(async (daemon) => {
      const { client, turnIds } = await busy(daemon, 'k9');
      const { token, daemonId } = daemon;
      await daemon.end('SIGKILL');
      await until(() => client.closed !== null, 'the socket to close');
      expect(client.closed?.code).toBe(1006);
      for (const file of ['state.json', 'daemon.pid', 'token', 'daemon.log'])
        expect(existsSync(join(daemon.home, 'daemon', file)), file).toBe(true);
      await daemon.restart();
      expect([daemon.token === token, daemon.daemonId === daemonId]).toEqual([false, false]);
      // A reader that comes back with its last seq misses nothing of what follows.
      const seen = client.frames.findLast((f) => f.seq !== undefined)?.seq as number;
      const again = await daemon.connect(path('k9', `&afterSeq=${seen}`));
      await again.frame(isTerminal(turnIds[1]), 'the end of what waited', 20_000);
      expectGapless(again.frames, seen + 1);
      await again.close();
      await expectSurvived(daemon, 'k9', envelopes(client), turnIds);
    });
  }, 60_000);

  test.skipIf(!hasProcessTable)(
    '31b [BG3] kill -9 with a background process: it dies too, and its end is told',
    async () => {
      await own(async (daemon) => {
        await daemon.post('/v3/sessions', { sessionId: 'k9bg' });
        const started = await daemon.post('/v3/background/start', { sessionId: 'k9bg', command: 'sleep 60' });
        const { processId, pid } = (started.body as { process: { processId: string; pid: number } }).process;
        const alive = (): boolean => {
          try {
            process.kill(pid, 0);
            return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
          } catch {
            // Gone is what it should be.
            return false;
          }
        };
        expect(alive()).toBe(true);
        await daemon.end('SIGKILL');
        await until(() => !alive(), 'the process to die');
        await daemon.restart();
        differs('background-dies');
        const status = await daemon.get(`/v3/background/${processId}/status?sessionId=k9bg`);
        expect(status).toMatchObject({ status: 200, body: { process: { processId, endedAt: expect.any(String) } } });
        const last = (await eventsOf(daemon, 'k9bg')).findLast(isEvent('background.status'));
        expect(last?.payload).toMatchObject({ reason: 'interrupted' });
      });
    },
    60_000,
  );

  test('32, 35 [CR1] SIGTERM in the middle of a turn: exit 0, sockets told, files as promised, and the rest as after kill -9', async () => {
    await own(async (daemon) => {
      const { client, turnIds } = await busy(daemon, 'term');
      expect(await daemon.end('SIGTERM')).toEqual({ code: 0, signal: null });
      differs('stop-told');
      expect(client.closed).toEqual({ code: 1001, reason: 'shutting-down' });
      const left = ['state.json', 'daemon.pid', 'token', 'daemon.log'];
      expect(left.map((file) => existsSync(join(daemon.home, 'daemon', file)))).toEqual([false, false, true, true]);

      const text = readFileSync(join(daemon.home, 'daemon', 'daemon.log'), 'utf8');
      const lines = text.trimEnd().split('\n');
      for (const line of lines.map((one) => JSON.parse(one))) {
        const { daemonId } = daemon;
        expect(line).toMatchObject({
          ts: expect.any(String),
          level: expect.any(String),
          daemonId,
          msg: expect.any(String),
        });
        const known = ['level', 'ts', 'daemonId', 'sessionId', 'traceId', 'data', 'msg'];
        expect(Object.keys(line).filter((name) => !known.includes(name))).toEqual([]);
      }
      expect(lines.filter((line) => line.includes('"daemon stopping"'))).toHaveLength(1);
      expect(text).not.toContain(daemon.token);

      await daemon.restart();
      await expectSurvived(daemon, 'term', envelopes(client), turnIds);
    });
  }, 60_000);
});

everyDifferenceIsTold('failures');
