import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkedLog, openWorld, say, type World } from './world.ts';

/** A task that is handed on, through a daemon. */
let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.close());

const hand = (task: object, more: object = {}) => ({
  name: 'spawn_agent',
  args: { task: say(task as never), ...more },
});
const opened = async () => {
  const { daemon } = world;
  const sessionId = await daemon.create({ workspace: world.workspace });
  const socket = await daemon.socket(sessionId);
  const submit = (directive: object, more: object = {}) =>
    daemon.submit(sessionId, { content: say(directive as never), ...more });
  const results = async (): Promise<{ name: string; result: string; isError: boolean }[]> => {
    const log = await daemon.log(sessionId);
    expect(checkedLog(sessionId, log).violations).toEqual([]);
    return log
      .map((t) => JSON.parse(t) as { event: string; payload: { name: string; result: string; isError: boolean } })
      .filter((e) => e.event === 'tool.end')
      .map((e) => e.payload);
  };
  return { sessionId, socket, submit, results };
};
const auto = { overrides: { auto: true } };
const childOf = (result: string): string => /\[agent (\S+):/.exec(result)?.[1] ?? '';

test('[SA1] it works in the same workspace under the same policy, in a session of its own, and its answer is the result', async () => {
  const { sessionId, socket, submit, results } = await opened();
  const write = { name: 'write_file', args: { path: 'by-child.txt', content: 'x' } };
  const { turnId } = await submit({ tools: [hand({ tools: [write], text: 'written' })], text: 'ok' }, auto);
  await socket.terminal(turnId);
  const [end] = await results();
  expect(end).toMatchObject({
    name: 'spawn_agent',
    isError: false,
    result: expect.stringMatching(/^written\n\[agent .*: done, 1 tool calls\]$/),
  });
  expect(readFileSync(join(world.workspace, 'by-child.txt'), 'utf8')).toBe('x');
  const child = await world.daemon.get(`/v3/sessions/${childOf(end?.result ?? '')}`);
  expect(child.json).toMatchObject({
    workspace: world.workspace,
    metadata: { parent: { sessionId, turnId, depth: 1 } },
  });
});

test('[SA1] [PM4] a read-only child writes nothing, and what has to be asked about is refused where nobody can answer', async () => {
  const { socket, submit, results } = await opened();
  const write = (path: string) => ({ name: 'write_file', args: { path, content: 'x' } });
  const plan = hand({ tools: [write('no1.txt')], text: 'a' }, { mode: 'plan' });
  const first = await submit({ tools: [plan], text: 'ok' }, auto);
  await socket.terminal(first.turnId);
  expect(existsSync(join(world.workspace, 'no1.txt'))).toBe(false);
  // The parent may hand on by the leave of a rule; the child then asks for itself.
  const second = await submit(
    { tools: [hand({ tools: [write('no2.txt')], text: 'b' })], text: 'ok' },
    { overrides: { dangerous: true }, mode: 'plan' },
  );
  await socket.terminal(second.turnId);
  expect(existsSync(join(world.workspace, 'no2.txt'))).toBe(false);
  expect(await results()).toHaveLength(1);
});

test('[SA1] [PM3] what nobody could be asked about in it is told with its answer', async () => {
  const { socket, submit, results } = await opened();
  const write = (path: string) => ({ name: 'write_file', args: { path, content: 'x' } });
  const task = hand({ tools: [write('.git/config'), write('allowed.txt')], text: 'as far as I could' });
  const { turnId } = await submit({ tools: [task], text: 'ok' }, auto);
  await socket.terminal(turnId);
  const [end] = await results();
  expect(end?.result).toMatch(/: done, 1 tool calls; refused, since nobody was attached .*: 1\]$/);
});

test('[SA1] it is handed on twice at most', async () => {
  const { socket, submit, results } = await opened();
  const third = hand({ text: 'third' });
  const second = hand({ tools: [third], text: 'second' });
  const { turnId } = await submit({ tools: [hand({ tools: [second], text: 'first' })], text: 'ok' }, auto);
  await socket.terminal(turnId, 20_000);
  const [end] = await results();
  const logOf = async (id: string): Promise<string> => (await world.daemon.log(id)).join('\n');
  const one = await logOf(childOf(end?.result ?? ''));
  const two = await logOf(/\[agent (\S+?):/.exec(one)?.[1] ?? '');
  expect(two).toContain('cannot be handed on any further');
});

test('[SA1] [CX4] a cancel ends the child too, and is answered when it has ended', async () => {
  const { sessionId, socket, submit } = await opened();
  const hang = { name: 'run_command', args: { command: 'echo begun > begun.txt; sleep 1000' } };
  const { turnId } = await submit(
    { tools: [hand({ tools: [hang], text: 'x' })], text: 'ok' },
    { overrides: { dangerous: true } },
  );
  for (let i = 0; i < 300 && !existsSync(join(world.workspace, 'begun.txt')); i++) await sleep(20);
  const { json } = await world.daemon.post(`/v3/sessions/${sessionId}/cancel`, { turnId });
  expect(json).toMatchObject({ cancelledActive: true });
  await socket.terminal(turnId);
  const health = await world.daemon.get('/v3/health');
  expect(health.json.runtime.activeTurnCount).toBe(0);
});

test('[SA2] several tasks are handed on one after another, and what depends on an answer is told it', async () => {
  const { socket, submit, results } = await opened();
  const write = (path: string, content: string) => ({ name: 'write_file', args: { path, content } });
  const task = (directive: object, depends_on?: number[]) => ({
    task: say(directive as never),
    ...(depends_on ? { depends_on } : {}),
  });
  const subtasks = [
    task({ tools: [write('second.txt', '2')], text: 'two' }, [1]),
    task({ tools: [write('first.txt', '1')], text: 'one' }),
    task({ error: 'broken' }),
    task({ tools: [write('never.txt', 'x')], text: 'three' }, [2]),
  ];
  const before = world.lmx.requests.length;
  const { turnId } = await submit({ tools: [{ name: 'delegate_task', args: { plan: 'all', subtasks } }] }, auto);
  await socket.terminal(turnId, 60_000);
  const [end] = await results();
  expect(end).toMatchObject({ name: 'delegate_task', isError: true });
  expect(end?.result).toMatch(/^Task 1: one\n.*\n\nTask 0: two\n.*\n\nTask 2: [\s\S]*\n\nTask 3: left out/);
  expect(readFileSync(join(world.workspace, 'second.txt'), 'utf8')).toBe('2');
  expect(existsSync(join(world.workspace, 'never.txt'))).toBe(false);
  const asked = world.lmx.requests.slice(before).map(({ body }) => JSON.stringify(body.messages));
  expect(asked.some((text) => text.includes('The answer of task 1:') && text.includes('one'))).toBe(true);
}, 90_000);

test('[SA2] [CX5] a cancel of the call ends the agent that runs, and begins no other', async () => {
  const { socket, submit, sessionId } = await opened();
  const subtasks = [{ task: say({ tokens: 1_000, tps: 20 }) }, { task: say({ text: 'never' }) }];
  const { turnId } = await submit({ tools: [{ name: 'delegate_task', args: { plan: 'all', subtasks } }] }, auto);
  const { payload } = await socket.record('tool.start', (p) => p.turnId === turnId);
  const before = world.lmx.requests.length;
  await sleep(500);
  const reply = await world.daemon.post(`/v3/sessions/${sessionId}/cancel`, { turnId, callId: payload.id });
  expect(reply.json).toMatchObject({ cancelledCalls: 1 });
  await socket.terminal(turnId);
  const sessions = (await world.daemon.get('/v3/sessions')).json.sessions as { activeTurnId?: string }[];
  expect(sessions.filter((s) => s.activeTurnId)).toEqual([]);
  const tasks = world.lmx.requests.slice(before).map(({ body }) => body.messages?.findLast((m) => m.role === 'user'));
  expect(tasks.filter((m) => m?.content.startsWith(subtasks[1]?.task ?? '-'))).toEqual([]);
}, 60_000);
