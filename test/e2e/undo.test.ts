import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { checkedLog, openWorld, say, type World } from './world.ts';

/** Undo and rollback through a daemon, over HTTP. */
let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.close());
const file = (name: string): string => join(world.workspace, name);
const text = (name: string): string | null => (existsSync(file(name)) ? readFileSync(file(name), 'utf8') : null);
beforeEach(() => {
  for (const name of ['a.txt', 'b.txt', 'new.txt']) rmSync(file(name), { force: true });
  writeFileSync(file('a.txt'), 'mine, not committed\n');
});

const auto = { overrides: { auto: true } };
const opened = async () => {
  const { daemon } = world;
  const sessionId = await daemon.create({ workspace: world.workspace });
  const socket = await daemon.socket(sessionId);
  const turn = async (tools: object[], more: object = auto): Promise<string> => {
    const { turnId } = await daemon.submit(sessionId, { content: say({ tools, text: 'ok' } as never), ...more });
    await socket.terminal(turnId);
    return turnId;
  };
  const undo = (body: object = {}) => daemon.post(`/v3/sessions/${sessionId}/undo`, { writerId: 'ada', ...body });
  return { sessionId, socket, turn, undo };
};
const edit = { name: 'edit_file', args: { path: 'a.txt', old_text: 'mine', new_text: 'theirs' } };
const create = { name: 'write_file', args: { path: 'new.txt', content: 'new' } };

test('[TL4] the newest turn, a named one, each once; the model is told', async () => {
  const { sessionId, turn, undo } = await opened();
  expect(await undo()).toMatchObject({ status: 404, json: { code: 'nothing-to-undo' } });
  const first = await turn([edit, create]);
  const second = await turn([{ name: 'write_file', args: { path: 'b.txt', content: 'b' } }]);
  expect(await undo({ dryRun: true })).toMatchObject({
    status: 200,
    json: { turnId: second, undone: false, restored: ['b.txt'] },
  });
  expect(text('b.txt')).toBe('b');
  expect(await undo()).toMatchObject({
    status: 200,
    json: { turnId: second, undone: true, restored: ['b.txt'], kept: [] },
  });
  expect(await undo({ turnId: first })).toMatchObject({ status: 200, json: { turnId: first, undone: true } });
  expect([text('a.txt'), text('b.txt'), text('new.txt')]).toEqual(['mine, not committed\n', null, null]);
  expect(await undo({ turnId: first })).toMatchObject({ status: 404, json: { code: 'nothing-to-undo' } });
  await turn([]);
  const asked = world.lmx.requests.at(-1)?.body as { messages: { content: string }[] } | undefined;
  const system = asked?.messages[0]?.content ?? '';
  expect(system).toContain(first);
  expect(system).toContain('taken back');
  const log = await world.daemon.log(sessionId);
  expect(checkedLog(sessionId, log).violations).toEqual([]);
  expect(log.filter((t) => t.includes('"event":"files.restored"'))).toHaveLength(2);
});

test('[TL4] what the user changed since is never touched, and then nothing is', async () => {
  const { turn, undo } = await opened();
  await turn([edit, create]);
  writeFileSync(file('a.txt'), 'mine again\n');
  expect(await undo()).toMatchObject({
    status: 409,
    json: { code: 'undo-conflict', kept: [{ path: 'a.txt', why: 'it was changed since' }] },
  });
  expect([text('a.txt'), text('new.txt')]).toEqual(['mine again\n', 'new']);
});

test('[TL4] a fork takes along what can be taken back: there, as here, and only what it knows of', async () => {
  const { turn, sessionId } = await opened();
  const { daemon } = world;
  const head = (await daemon.log(sessionId)).length;
  await turn([edit, create]);
  const fork = async (body: object): Promise<string> =>
    (await daemon.post(`/v3/sessions/${sessionId}/fork`, body)).json.sessionId;
  const [early, late] = [await fork({ atSeq: head }), await fork({})];
  const undo = (id: string) => daemon.post(`/v3/sessions/${id}/undo`, { writerId: 'ada' });
  expect(await undo(early)).toMatchObject({ status: 404 });
  expect(await undo(late)).toMatchObject({ status: 200, json: { undone: true } });
  expect([text('a.txt'), text('new.txt')]).toEqual(['mine, not committed\n', null]);
});

test('[TL4] while a turn runs there is no undo, and with noCheckpoints nothing is kept', async () => {
  const { turn, undo, sessionId, socket } = await opened();
  await turn([create], { overrides: { auto: true, noCheckpoints: true } });
  expect(text('new.txt')).toBe('new');
  expect(await undo()).toMatchObject({ status: 404 });
  const { turnId } = await world.daemon.submit(sessionId, {
    content: say({ tools: [{ name: 'ask_user', args: { question: 'wait?' } }], text: 'x' } as never),
  });
  await sleep(150);
  expect(await undo()).toMatchObject({ status: 409, json: { code: 'session-busy' } });
  await world.daemon.post(`/v3/sessions/${sessionId}/cancel`, { turnId });
  await socket.terminal(turnId);
});

test('[WP8] onBusy rollback: the running turn ends, what it did to files is taken back, and then the new one runs', async () => {
  const { sessionId, socket } = await opened();
  const { daemon } = world;
  const ask = { name: 'ask_user', args: { question: 'wait?' } };
  const first = await daemon.submit(sessionId, {
    content: say({ tools: [edit, create, ask], text: 'ok' } as never),
    ...auto,
  });
  for (let i = 0; i < 300 && text('new.txt') === null; i++) await sleep(10);
  await sleep(50);
  writeFileSync(file('new.txt'), 'kept by its owner');
  const second = await daemon.submit(sessionId, {
    content: say({ tools: [{ name: 'read_file', args: { path: 'a.txt' } }], text: 'ok' } as never),
    onBusy: 'rollback',
    writerId: 'bob',
  });
  await socket.terminal(second.turnId);
  expect([text('a.txt'), text('new.txt')]).toEqual(['mine, not committed\n', 'kept by its owner']);
  const log = await daemon.log(sessionId);
  expect(checkedLog(sessionId, log).violations).toEqual([]);
  const events = log.map((t) => JSON.parse(t) as { event: string; payload: { [field: string]: unknown } });
  const order = events.filter((e) => /^(turn\.(start|error|done)|files\.)/.test(e.event)).map((e) => e.event);
  expect(order).toEqual(['turn.start', 'turn.error', 'files.restored', 'turn.start', 'turn.done']);
  expect(events.find((e) => e.event === 'files.restored')?.payload).toEqual({
    ofTurn: first.turnId,
    how: 'rollback',
    by: 'bob',
    restored: ['a.txt'],
    kept: [{ path: 'new.txt', why: 'it was changed since' }],
  });
  expect(JSON.stringify(events.find((e) => e.event === 'tool.end' && e.payload.name === 'read_file'))).toContain(
    'mine, not committed',
  );
});
