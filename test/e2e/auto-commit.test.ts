import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { until } from '../support/daemon.ts';
import { hasSandbox } from '../tools/sandbox.support.ts';
import { checkedLog, openWorld, say, type World } from './world.ts';

/** `git.autoCommit`: what a turn wrote, and nothing else. */
let world: World;
afterEach(() => world?.close());

const IDENTITY = ['-c', 'user.name=ada', '-c', 'user.email=ada@localhost'];
const git = (...args: string[]): string =>
  execFileSync('git', ['-C', world.workspace, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
const file = (name: string): string => join(world.workspace, name);

const open = async (config: object = { git: { autoCommit: true } }) => {
  world = await openWorld({ config } as never);
  git('init', '-q', '-b', 'main');
  git('config', 'user.name', 'ada');
  git('config', 'user.email', 'ada@localhost');
  for (const name of ['a.txt', 'b.txt', 'gone.txt']) writeFileSync(file(name), `${name} of before\n`);
  writeFileSync(file('.gitignore'), 'ignored.txt\n');
  git('add', '.');
  git(...IDENTITY, 'commit', '-qm', 'before');
  const { daemon } = world;
  const sessionId = await daemon.create({ workspace: world.workspace });
  const socket = await daemon.socket(sessionId);
  const turn = async (tools: object[], overrides: object = {}) => {
    const { turnId } = await daemon.submit(sessionId, {
      content: say({ tools, text: 'ok' } as never, 'Tidy up\nand more'),
      mode: 'do',
      overrides: { auto: true, ...overrides },
    });
    await socket.terminal(turnId);
    return turnId;
  };
  const found = async (turnId: string) => {
    const of = () => socket.records.flatMap((r) => (r.event === 'files.committed' ? [r.payload] : []));
    await until('to be told', () => of().some((p) => p.ofTurn === turnId));
    expect(checkedLog(sessionId, await daemon.log(sessionId)).violations).toEqual([]);
    return of().find((p) => p.ofTurn === turnId);
  };
  return { turn, found, socket, sessionId };
};
const write = (path: string, content = 'new\n') => ({ name: 'write_file', args: { path, content } });
const log = (): string[] => git('log', '--format=%s').trim().split('\n');

test.skipIf(!hasSandbox)(
  '[TL11] its files alone, in one commit that says what was asked for; what others changed stays theirs',
  async () => {
    const { turn, found, sessionId } = await open();
    writeFileSync(file('b.txt'), 'changed by ada and not committed\n');
    writeFileSync(file('mine.txt'), 'not tracked\n');
    const turnId = await turn([
      { name: 'edit_file', args: { path: 'a.txt', old_text: 'before', new_text: 'after' } },
      { name: 'edit_file', args: { path: 'b.txt', old_text: 'changed', new_text: 'touched' } },
      write('dir/with space *.txt'),
      write('ignored.txt'),
      { name: 'delete_file', args: { path: 'gone.txt' } },
    ]);
    const told = await found(turnId);
    expect(told).toMatchObject({ commit: git('rev-parse', '--short', 'HEAD').trim() });
    expect([...(told?.paths ?? [])].sort()).toEqual(['a.txt', 'dir/with space *.txt', 'gone.txt']);
    expect(log()).toEqual(['Tidy up', 'before']);
    expect(git('log', '-1', '--format=%b')).toContain(`Opta-Session: ${sessionId}\nOpta-Turn: ${turnId}`);
    expect(git('show', '--name-status', '--format=', 'HEAD').trim().split('\n').sort()).toEqual([
      'A\tdir/with space *.txt',
      'D\tgone.txt',
      'M\ta.txt',
    ]);
    expect(git('status', '--porcelain').trimEnd().split('\n')).toEqual([' M b.txt', '?? mine.txt']);
  },
);

test.skipIf(!hasSandbox)(
  '[TL11] the next turn begins with it done, and an undo of a committed turn is a change like any other',
  async () => {
    const { turn, found, socket, sessionId } = await open();
    const first = await turn([write('one.txt')]);
    const second = await turn([{ name: 'git_status', args: {} }, write('two.txt')]);
    // What the second turn saw of the repository: the first one's file is committed.
    const status = socket.records.find((r) => r.event === 'tool.end' && r.payload.name === 'git_status');
    expect(status?.event === 'tool.end' ? status.payload.result : '').not.toContain('one.txt');
    await found(second);
    expect(log()).toEqual(['Tidy up', 'Tidy up', 'before']);
    const undone = await world.daemon.post(`/v3/sessions/${sessionId}/undo`, { writerId: 'ada', turnId: first });
    expect(undone).toMatchObject({ status: 200, json: { undone: true } });
    expect(git('status', '--porcelain').trimEnd()).toBe(' D one.txt');
    expect(log()).toEqual(['Tidy up', 'Tidy up', 'before']);
  },
);

test.skipIf(!hasSandbox)(
  '[TL11] nothing with something staged, in a merge, without a repository, or when the turn was not done',
  async () => {
    const { turn, found, socket } = await open();
    writeFileSync(file('staged.txt'), 'x');
    git('add', 'staged.txt');
    expect(await found(await turn([write('a.txt')]))).toMatchObject({ commit: null, why: 'something is staged' });
    expect(git('diff', '--cached', '--name-only').trim()).toBe('staged.txt');
    git('reset', '-q');
    writeFileSync(file('.git/MERGE_HEAD'), `${git('rev-parse', 'HEAD')}`);
    expect(await found(await turn([write('b.txt')]))).toMatchObject({
      commit: null,
      why: expect.stringContaining('merge'),
    });
    execFileSync('rm', [file('.git/MERGE_HEAD')]);
    const not = [
      await turn([write('c.txt')], { noCommit: true }),
      await turn([{ name: 'list_dir', args: {} }]),
      await turn([write('d.txt')], { noCheckpoints: true }),
    ];
    const last = await turn([write('e.txt')]);
    expect(await found(last)).toMatchObject({ paths: ['e.txt'] });
    const of = socket.records.flatMap((r) => (r.event === 'files.committed' ? [r.payload.ofTurn] : []));
    expect(not.slice(0, 2).some((turnId) => of.includes(turnId))).toBe(false);
    expect(log()).toEqual(['Tidy up', 'before']);
    execFileSync('rm', ['-r', file('.git')]);
    expect(await found(await turn([write('f.txt')]))).toMatchObject({ commit: null, why: 'it is no git repository' });
  },
);

test.skipIf(!hasSandbox)(
  '[TL11] a hook that refuses is told, nothing stays staged, and a hostile one reaches nothing outside',
  async () => {
    const { turn, found } = await open();
    const outside = join(world.daemon.home, 'reached');
    mkdirSync(file('.git/hooks'), { recursive: true });
    writeFileSync(
      file('.git/hooks/pre-commit'),
      `#!/bin/sh\ntouch "${outside}" 2>/dev/null\necho "no commits on fridays"\nexit 1\n`,
    );
    chmodSync(file('.git/hooks/pre-commit'), 0o755);
    const told = await found(await turn([write('a.txt')]));
    expect(told).toMatchObject({ commit: null, why: expect.stringContaining('no commits on fridays') });
    expect(git('diff', '--cached', '--name-only')).toBe('');
    expect(readFileSync(file('a.txt'), 'utf8')).toBe('new\n');
    expect(() => readFileSync(outside)).toThrow();
    expect(log()).toEqual(['before']);
  },
);

test('[TL11] off, as it is when nobody says anything, nothing is committed and nothing said', async () => {
  const { turn, socket } = await open({});
  await turn([write('a.txt')]);
  await turn([{ name: 'list_dir', args: {} }]);
  expect(socket.records.some((r) => r.event === 'files.committed')).toBe(false);
  expect(log()).toEqual(['before']);
});
