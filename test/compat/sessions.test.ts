import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { removeDir, tempDir } from '../support/cli.ts';
import type { Client, Frame } from './daemon.ts';
import { differs } from './differences.ts';
import {
  A_TURN,
  aWorld,
  eventsOf,
  everyDifferenceIsTold,
  ID,
  idle,
  isAck,
  isEvent,
  messagesOf,
  opened,
  outline,
  path,
  refused,
  settled,
  submit,
  textOf,
  turn,
  UNAUTHORIZED,
  withCursor,
} from './world.ts';

/** Reading sessions, thinking, permissions and conflicts: recordings 04, 07, 08 and 19 in our own words. */
const world = aWorld();
const workspace = tempDir();
afterAll(() => removeDir(workspace));

describe('04 reading sessions', () => {
  test('a known one, an unknown one, ids that are none, cursors that are none', async () => {
    await world.daemon.post('/v3/sessions', { sessionId: 'known' });
    const get = (at: string) => world.daemon.get(`/v3/sessions${at}`);
    expect(await get('/known')).toMatchObject({ status: 200, body: idle('known', { ...withCursor, messages: [] }) });
    const unknown = refused('Session not found', 'session-not-found');
    expect(await get('/nobody')).toMatchObject({ status: 404, body: unknown });
    differs('bad-session-id');
    const bad = { status: 400, body: { error: 'Invalid session id', code: 'invalid-request' } };
    expect(await get('/..%2F..%2Fetc')).toMatchObject(bad);
    expect(await get('/')).toMatchObject(bad);

    expect(await get('/nobody/events')).toMatchObject({ status: 200, body: { events: [] } });
    expect(await get('/known/events?afterSeq=1')).toMatchObject({ status: 200, body: { events: [] } });
    for (const afterSeq of ['-1', 'abc', '1.5', '1e3'])
      expect(await get(`/known/events?afterSeq=${afterSeq}`)).toMatchObject({
        status: 400,
        body: { error: 'Invalid query', code: 'invalid-request' },
      });
    const bare = await world.daemon.ask({ path: '/v3/sessions/known' });
    expect(bare).toMatchObject({ status: 401, body: UNAUTHORIZED });
  });

  test('what was no route then is one now: the list, and DELETE', async () => {
    differs('added-routes');
    await world.daemon.post('/v3/sessions', { sessionId: 'passing' });
    const list = await world.daemon.get('/v3/sessions');
    expect(list).toMatchObject({ status: 200, body: { sessions: expect.any(Array) } });
    const gone = await world.daemon.authed({ method: 'DELETE', path: '/v3/sessions/passing' });
    expect(gone).toMatchObject({ status: 200, body: { sessionId: 'passing', cancelled: 0 } });
    expect(outline(await eventsOf(world.daemon, 'passing', 1))).toEqual(['session.updated']);
  });
});

describe('07 an answer that thinks', () => {
  test('[EV3] thinking and text are told apart, and the conversation holds the text alone', async () => {
    const client = await opened(world.daemon, 'thinker');
    client.send(submit('thinker', 'think @@{"think":"is it odd ","text":"it is even","tps":400}@@'));
    await client.frame(isEvent('session.updated'), 'the end');
    const thought = client.frames.filter(isEvent('turn.thinking')).map((f) => f.payload?.text);
    expect(thought.join('').trim()).toBe('is it odd');
    expect(textOf(client.frames)).toBe('it is even');
    const last = (f: Frame) => f.event === 'turn.thinking';
    expect(client.frames.findLastIndex(last)).toBeLessThan(client.frames.findIndex(isEvent('turn.token')));
    expect(await messagesOf(world.daemon, 'thinker')).toEqual([
      { role: 'user', content: expect.any(String) },
      { role: 'assistant', content: 'it is even' },
    ]);
    await client.close();
  });
});

describe('08 permissions', () => {
  const asking = async (sessionId: string): Promise<[Client, Client, Frame]> => {
    const metadata = { workspace };
    expect((await world.daemon.post('/v3/sessions', { sessionId, metadata })).status).toBe(201);
    const [one, two] = [await world.daemon.connect(path(sessionId)), await world.daemon.connect(path(sessionId))];
    const args = { path: `${sessionId}.txt`, content: 'by a tool' };
    const script = { preText: 'I will write. ', tools: [{ name: 'write_file', args }], text: 'all done' };
    one.send(submit(sessionId, `write @@${JSON.stringify(script)}@@`));
    const request = await one.frame(isEvent('permission.request'), 'the question');
    await two.frame(isEvent('permission.request'), 'the question there too');
    expect(request.payload).toMatchObject({ turnId: ID, requestId: expect.any(String), toolName: 'write_file', args });
    return [one, two, request];
  };
  const resolve = (client: Client, sessionId: string, request: Frame, decision: string, decidedBy: string) =>
    client.send({
      type: 'permission.resolve',
      sessionId,
      requestId: request.payload?.requestId,
      decision,
      decidedBy,
    });

  for (const decision of ['allow', 'deny']) {
    test(`[PM2][PM4] ${decision}: the first answer counts, a second is a conflict on socket and HTTP alike`, async () => {
      const id = `asks-${decision}`;
      const file = join(workspace, `${id}.txt`);
      const [one, two, request] = await asking(id);
      differs('messages-live');
      const running = await world.daemon.get(`/v3/sessions/${id}`);
      expect(running.body).toMatchObject({ activeTurnId: ID, toolCallCount: 0, messages: [{ role: 'user' }, {}] });
      expect(existsSync(file)).toBe(false);

      resolve(one, id, request, decision, 'desk');
      const first = await one.frame(isAck('permission.resolve'), 'the answer');
      expect(first).toMatchObject({ result: { ok: true, conflict: false } });
      resolve(two, id, request, 'deny', 'sofa');
      const conflict = { ok: false, conflict: true, message: 'Permission request already resolved' };
      const second = await two.frame(isAck('permission.resolve'), 'the conflict');
      expect(second).toMatchObject({ result: conflict });
      const { requestId } = request.payload as { requestId: string };
      const body = { requestId, decision: 'allow', decidedBy: 'script' };
      const third = await world.daemon.post(`/v3/sessions/${id}/permissions/${requestId}`, body);
      expect(third).toMatchObject({ status: 409, body: conflict });

      await one.frame(isEvent('session.updated'), 'the end');
      const events = await eventsOf(world.daemon, id);
      const ran = decision === 'allow';
      const told = outline(events).filter((e) => /^(permission|tool)\./.test(e));
      const tool = ran ? ['tool.start', 'tool.end'] : [];
      expect(told).toEqual(['permission.request', 'permission.resolved', ...tool]);
      expect(events.find(isEvent('permission.resolved'))?.payload).toMatchObject({ requestId, decision });
      expect(ran ? readFileSync(file, 'utf8') : existsSync(file)).toBe(ran ? 'by a tool' : false);
      expect(textOf(events)).toBe('I will write. all done');
      const messages = (await messagesOf(world.daemon, id)) as { role: string; content: string }[];
      expect(messages.map((m) => m.role)).toEqual(['user', 'assistant', 'tool', 'assistant']);
      if (!ran) expect(messages[2]?.content).toBe('User declined this action.');
      await one.close();
      await two.close();
    });
  }

  test('[PM4] a command is asked about, and runs when it is allowed', async () => {
    await world.daemon.post('/v3/sessions', { sessionId: 'commands', metadata: { workspace } });
    const client = await world.daemon.connect(path('commands'));
    const script = { tools: [{ name: 'run_command', args: { command: 'echo hi; exit 3' } }], text: 'seen' };
    client.send(submit('commands', `run @@${JSON.stringify(script)}@@`));
    const request = await client.frame(isEvent('permission.request'), 'the question');
    expect(request.payload).toMatchObject({ toolName: 'run_command', args: { command: 'echo hi; exit 3' } });
    resolve(client, 'commands', request, 'allow', 'desk');
    const done = await client.frame(isEvent('turn.done'), 'the end');
    const events = await settled(world.daemon, 'commands', done.payload?.turnId);
    const end = events.find(isEvent('tool.end'))?.payload;
    expect(end).toMatchObject({
      name: 'run_command',
      isError: true,
      result: expect.stringMatching(/^hi\n\[exit code 3;/),
    });
    expect(textOf(events)).toBe('seen');
    await client.close();
  });
});

describe('19 a writer that saw too little', () => {
  const CONFLICT = refused('Session state conflict: context has been modified since last seen', 'state-conflict');

  test('[TQ6] behind the conversation is 409, level with it or ahead of it is accepted, below 0 is 400', async () => {
    await world.daemon.post('/v3/sessions', { sessionId: 'stale' });
    const content = 'one word @@{"tokens":1}@@';
    const seenTo = (lastSeenSeq: number) =>
      world.daemon.post('/v3/sessions/stale/turns', turn(content, { lastSeenSeq }));
    expect(await seenTo(0)).toMatchObject({ status: 409, body: CONFLICT });
    const taken = await seenTo(1);
    expect(taken.status).toBe(202);
    await settled(world.daemon, 'stale', (taken.body as { turnId: string }).turnId);
    expect(await seenTo(1)).toMatchObject({ status: 409, body: CONFLICT });
    expect((await seenTo(9_999)).status).toBe(202);
    expect(await seenTo(-1)).toMatchObject({
      status: 400,
      body: { error: 'Invalid request body', details: [{ path: ['lastSeenSeq'], code: 'too_small' }] },
    });
  });

  test('[TQ6] the socket is as strict as HTTP', async () => {
    differs('ws-last-seen');
    const client = await opened(world.daemon, 'stale-ws');
    client.send(submit('stale-ws', 'x', { lastSeenSeq: 0 }));
    expect(await client.frame((f) => f.event === undefined, 'the answer')).toMatchObject(CONFLICT);
    client.send(submit('stale-ws', 'one word @@{"tokens":1}@@', { lastSeenSeq: 1 }));
    await client.frame(isEvent('session.updated'), 'the end');
    expect(outline(client.frames)).toEqual(['session.snapshot', ...A_TURN]);
    await client.close();
  });
});

everyDifferenceIsTold('sessions');
