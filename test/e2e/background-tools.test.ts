import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hasSandbox, noSandboxHere } from '../tools/sandbox.support.ts';
import { checkedLog, openWorld, say, type World } from './world.ts';

/** The background processes of a model, through a daemon: the same ones as those of `/v3/background`. */
let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.close());

const auto = { overrides: hasSandbox ? { auto: true } : { dangerous: true } };

/** One turn after the other in one session, each with one call. */
const session = async () => {
  const { daemon } = world;
  const sessionId = await daemon.create({ workspace: world.workspace });
  const socket = await daemon.socket(sessionId);
  const call = async (name: string, args: object, more: object = auto): Promise<string> => {
    const { turnId } = await daemon.submit(sessionId, {
      content: say({ tools: [{ name, args }], text: 'ok' }),
      ...more,
    });
    await socket.terminal(turnId);
    const log = await daemon.log(sessionId);
    expect(checkedLog(sessionId, log, false).violations).toEqual([]);
    const body = world.lmx.requests.at(-1)?.body as { messages: { role: string; content: string }[] };
    return body.messages.findLast((m) => m.role === 'tool')?.content ?? '';
  };
  return { sessionId, call };
};

test('[BG6] a process outlives its turn; its state, its output since the last look, and its end are the session’s own', async () => {
  const { daemon } = world;
  const { sessionId, call } = await session();
  const command = 'echo one; echo two >&2; while [ ! -e go ]; do sleep 0.02; done; printf three; sleep 1000';
  const started = await call('bg_start', { command, label: 'server' });
  const id = /^Started (\S+) \(pid \d+\)/.exec(started)?.[1] ?? '';
  expect(id).not.toBe('');
  await sleep(200);
  expect(await call('bg_status', {})).toMatch(new RegExp(`^${id} \\(server\\): running, `));
  const first = await call('bg_output', { id });
  expect(first).toContain('one\n');
  expect(first).toContain('two\n');
  await call('write_file', { path: 'go', content: '' });
  await sleep(300);
  const second = await call('bg_output', { id });
  expect(second).toMatch(/^three\n\[/);
  expect(await call('bg_output', { id, since_last_read: false, lines: 1 })).toMatch(
    /^three\n\[.*characters before this are not shown/,
  );
  const listed = await daemon.get(`/v3/background?sessionId=${sessionId}`);
  expect(listed.json).toMatchObject({ processes: [{ processId: id, state: 'running', label: 'server' }] });
  expect(await call('bg_kill', { id })).toMatch(/killed/);
  expect(await call('bg_status', { id })).toMatch(/killed/);
  expect(await call('bg_kill', { id })).toMatch(/killed/);
});

test('[BG6] of another session it is not there; what cannot begin says so', async () => {
  const one = await session();
  const two = await session();
  const id = /^Started (\S+)/.exec(await one.call('bg_start', { command: 'sleep 1000' }))?.[1] ?? '';
  for (const tool of ['bg_status', 'bg_output', 'bg_kill'])
    expect(await two.call(tool, { id })).toMatch(/^Error \(background-not-found\)/);
  expect(await one.call('bg_kill', { id, signal: 'SIGKILL' })).toMatch(/killed/);
  for (let i = 0; i < 5; i++) expect(await two.call('bg_start', { command: 'sleep 1000' })).toMatch(/^Started/);
  expect(await two.call('bg_start', { command: 'sleep 1000' })).toMatch(/^Error \(too-many-requests\)/);
});

test('[PM4] [BG6] without a leave none is started, and nobody is asked who only looks', async () => {
  const { daemon } = world;
  const sessionId = await daemon.create({ workspace: world.workspace });
  // Nobody is attached, so what has to be asked about is refused at once.
  const tools = [
    { name: 'bg_start', args: { command: 'sleep 1000' } },
    { name: 'bg_status', args: {} },
  ];
  const { turnId } = await daemon.submit(sessionId, { content: say({ tools, text: 'ok' }) });
  let log: string[] = [];
  for (let i = 0; i < 200 && !log.some((t) => t.includes('"turn.done"')); i++) {
    await sleep(20);
    log = await daemon.log(sessionId);
  }
  const events = log.map((t) => JSON.parse(t) as { event: string; payload: { [field: string]: unknown } });
  expect(events.find((e) => e.event === 'permission.resolved')?.payload).toMatchObject({
    turnId,
    toolName: 'bg_start',
    reason: 'unattended',
  });
  expect(events.find((e) => e.event === 'tool.end')?.payload).toMatchObject({
    name: 'bg_status',
    result: 'There are no background processes.',
  });
});

test.skipIf(!hasSandbox)(`[TL5] [BG6] it is confined as a command is${noSandboxHere}`, async () => {
  const { call } = await session();
  const outside = join(world.workspace, '..', 'planted.txt');
  const id = /^Started (\S+)/.exec(
    await call('bg_start', { command: `echo no > ${outside}; echo yes > inside.txt; env` }),
  )?.[1];
  for (let i = 0; i < 100 && !existsSync(join(world.workspace, 'inside.txt')); i++) await sleep(20);
  expect(readFileSync(join(world.workspace, 'inside.txt'), 'utf8')).toBe('yes\n');
  expect(existsSync(outside)).toBe(false);
  await sleep(100);
  const said = await call('bg_output', { id });
  expect(said).not.toMatch(/OPTA_(?!BACKGROUND)/);
});
