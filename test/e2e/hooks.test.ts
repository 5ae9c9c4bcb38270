import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { descendants, until } from '../support/daemon.ts';
import { checkedLog, openWorld, say, type World } from './world.ts';

/** Hooks of the user's own settings, in a real daemon, with real commands. */
let world: World;
afterEach(() => world?.close());

const dangerous = { overrides: { dangerous: true } };
type Hook = { event: string; command: string; matcher?: string; timeout?: number; background?: boolean };

const open = async (hooks: Hook[]) => {
  world = await openWorld({ config: { hooks } as never });
  const sessionId = await world.daemon.create({ workspace: world.workspace });
  return {
    ...world,
    sessionId,
    socket: await world.daemon.socket(sessionId),
    at: (n: string) => join(world.workspace, n),
  };
};
type Opened = Awaited<ReturnType<typeof open>>;

const turn = async ({ daemon, sessionId, socket }: Opened, tools: { name: string; args: object }[]) => {
  const { turnId } = await daemon.submit(sessionId, {
    content: say({ tools, text: 'done' }),
    mode: 'do',
    ...dangerous,
  });
  await socket.terminal(turnId, 30_000);
  expect(checkedLog(sessionId, await daemon.log(sessionId)).violations).toEqual([]);
  return socket.records
    .filter((r) => r.event === 'tool.end' && r.payload.turnId === turnId)
    .map((r) => r.payload as { name: string; result: string; isError: boolean; vetoedBy?: string });
};
const write = (path: string, content = 'x') => ({ name: 'write_file', args: { path, content } });

test('[HK2] one before a tool refuses by an exit code, and says why; what it is not for runs', async () => {
  const opened = await open([
    {
      event: 'tool.pre',
      matcher: 'write_file|edit_*',
      command: `jq -r .args.path | grep -q '^allowed' || { echo "only allowed*"; exit 3; }`,
    },
  ]);
  const ends = await turn(opened, [write('no.txt'), write('allowed.txt'), { name: 'list_dir', args: {} }]);
  expect(ends[0]).toMatchObject({ isError: true, vetoedBy: 'hook:user:1' });
  expect(ends[0]?.result).toContain('only allowed*');
  expect(ends.slice(1).map(({ isError }) => isError)).toEqual([false, false]);
  expect([existsSync(opened.at('no.txt')), existsSync(opened.at('allowed.txt'))]).toEqual([false, true]);
}, 30_000);

test('[HK2] time that runs out refuses, and so does a command that is not there', async () => {
  const opened = await open([
    { event: 'tool.pre', matcher: 'write_file', command: 'sleep 30', timeout: 300 },
    { event: 'tool.pre', matcher: 'delete_file', command: 'no-such-program-here' },
  ]);
  writeFileSync(opened.at('stays.txt'), 'x');
  const [late, missing] = await turn(opened, [
    write('never.txt'),
    { name: 'delete_file', args: { path: 'stays.txt' } },
  ]);
  expect(late).toMatchObject({ isError: true, vetoedBy: 'hook:user:1' });
  expect(late?.result).toContain('did not end in its time');
  expect(missing).toMatchObject({ isError: true, vetoedBy: 'hook:user:2' });
  expect([existsSync(opened.at('never.txt')), existsSync(opened.at('stays.txt'))]).toEqual([false, true]);
}, 30_000);

test('[HK1] it reads all of the call, however long, and is given no secret', async () => {
  process.env.OPTA_API_KEY = 'key-of-the-user';
  process.env.AWS_SECRET_ACCESS_KEY = 'other-secret';
  const opened = await open([
    { event: 'tool.pre', matcher: 'write_file', command: 'cat > "$OPTA_CWD/seen.json"; env > "$OPTA_CWD/seen.env"' },
  ]).finally(() => {
    delete process.env.OPTA_API_KEY;
    delete process.env.AWS_SECRET_ACCESS_KEY;
  });
  const content = 'y'.repeat(300_000);
  const [end] = await turn(opened, [write('long.txt', content)]);
  expect(end).toMatchObject({ isError: false });
  const seen = JSON.parse(readFileSync(opened.at('seen.json'), 'utf8'));
  expect(seen).toMatchObject({
    event: 'tool.pre',
    tool: 'write_file',
    sessionId: opened.sessionId,
    cwd: opened.workspace,
  });
  expect(seen.args.content === content).toBe(true);
  const env = readFileSync(opened.at('seen.env'), 'utf8');
  expect(env).toMatch(/^OPTA_TOOL_NAME=write_file$/m);
  expect(env).not.toMatch(/key-of-the-user|other-secret/);
  for (const name of ['OPTA_API_KEY', 'OPTA_TOKEN', 'OPTA_TOOL_ARGS'])
    expect(env).not.toMatch(new RegExp(`^${name}=`, 'm'));
}, 30_000);

test('[HK1] one after a tool is over before the next call begins, and what it says changes nothing', async () => {
  const opened = await open([
    { event: 'tool.post', matcher: 'write_file', command: 'sleep 0.4; echo formatted >> "$OPTA_CWD/a.txt"; exit 1' },
  ]);
  const ends = await turn(opened, [write('a.txt', 'raw\n'), { name: 'read_file', args: { path: 'a.txt' } }]);
  expect(ends[0]).toMatchObject({ isError: false });
  expect(ends[1]?.result).toContain('formatted');
}, 30_000);

test('[HK1] what is handed on, and background processes, pass the same gate', async () => {
  const opened = await open([{ event: 'tool.pre', matcher: 'bg_start|delete_*', command: 'echo not here; exit 1' }]);
  writeFileSync(opened.at('keep.txt'), 'x');
  const task = say({ tools: [{ name: 'delete_file', args: { path: 'keep.txt' } }], text: 'tried' });
  const ends = await turn(opened, [
    { name: 'bg_start', args: { command: 'touch started' } },
    { name: 'spawn_agent', args: { task } },
  ]);
  expect(ends[0]).toMatchObject({ isError: true, vetoedBy: 'hook:user:1' });
  expect(ends[1]).toMatchObject({ isError: false });
  expect([existsSync(opened.at('started')), existsSync(opened.at('keep.txt'))]).toEqual([false, true]);
}, 30_000);

test('[CX4] a cancel ends the hook that a call waits for, and everything it started', async () => {
  const opened = await open([{ event: 'tool.pre', command: 'sh -c "sleep 300 & sleep 301"', timeout: 60_000 }]);
  const { daemon, sessionId, socket } = opened;
  const content = say({ tools: [write('never.txt')], text: 'x' });
  const { turnId } = await daemon.submit(sessionId, { content, mode: 'do', ...dangerous });
  const sleeping = () => descendants(daemon.pid).filter((p) => /^sleep 30[01]/.test(p.command));
  await until('the hook to run', () => sleeping().length === 2);
  expect(await daemon.cancel(sessionId, { turnId })).toMatchObject({ cancelledActive: true });
  expect(sleeping()).toEqual([]);
  await socket.terminal(turnId);
  expect(existsSync(opened.at('never.txt'))).toBe(false);
}, 30_000);

test('[HK1] sessions and turns have theirs: start, end, done, error', async () => {
  const note = (event: string) => ({
    event,
    command: 'echo "$OPTA_EVENT $OPTA_SESSION_ID $OPTA_ERROR" >> "$HOME/notes"',
  });
  const opened = await open(['session.start', 'session.end', 'turn.done', 'error'].map(note));
  const { daemon, sessionId, socket } = opened;
  await turn(opened, []);
  const { turnId } = await daemon.submit(sessionId, { content: say({ error: 'broken' } as never), mode: 'do' });
  await socket.terminal(turnId, 30_000);
  await daemon.call('DELETE', `/v3/sessions/${sessionId}`);
  const notes = () => {
    const file = join(daemon.home, 'notes');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  };
  for (const event of ['session.start', 'turn.done', 'error', 'session.end'])
    await until(event, () => notes().includes(`${event} ${sessionId}`));
}, 30_000);
