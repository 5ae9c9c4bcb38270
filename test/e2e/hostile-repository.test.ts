import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { checkedLog, openWorld, say, type World } from './world.ts';

/** A repository from a stranger, opened by somebody who has not trusted it. */
let world: World;
afterEach(() => world?.close());

const turn = async (tools: { name: string; args: object }[], more: object = {}) => {
  const { daemon, workspace } = world;
  const sessionId = await daemon.create({ workspace });
  const socket = await daemon.socket(sessionId);
  const { turnId } = await daemon.submit(sessionId, { content: say({ tools, text: 'done' }), mode: 'do', ...more });
  await socket.terminal(turnId, 30_000);
  expect(checkedLog(sessionId, await daemon.log(sessionId)).violations).toEqual([]);
  return socket.records.filter((r) => r.event === 'tool.end').map((r) => r.payload);
};

test('[PM10] --auto writes nothing into .git or .opta, by no name', async () => {
  // Nobody answers: what is asked about is refused at its deadline.
  world = await openWorld({ config: { permissions: { deadlineMs: 1_000 } } });
  const { workspace } = world;
  mkdirSync(join(workspace, '.git', 'hooks'), { recursive: true });
  mkdirSync(join(workspace, '.opta'));
  symlinkSync('.git', join(workspace, 'innocent'));
  symlinkSync('.opta', join(workspace, 'plain'));
  writeFileSync(join(workspace, '.git', 'config'), '[core]\n');
  const write = (path: string) => ({ name: 'write_file', args: { path, content: 'evil' } });
  const ends = await turn(
    [
      write('.git/hooks/post-checkout'),
      write('innocent/hooks/post-checkout'),
      write('plain/config.json'),
      { name: 'edit_file', args: { path: 'innocent/config', old_text: '[core]', new_text: '[core]\nhooksPath = .' } },
      { name: 'delete_file', args: { path: 'innocent/config' } },
      write('fine.txt'),
    ],
    { overrides: { auto: true } },
  );
  // The first was asked about, and never began.
  expect(ends.map(({ isError }) => isError)).toEqual([true, true, true, true, false]);
  expect(readdirSync(join(workspace, '.git', 'hooks'))).toEqual([]);
  expect(existsSync(join(workspace, '.opta', 'config.json'))).toBe(false);
  expect(existsSync(join(workspace, 'fine.txt'))).toBe(true);
}, 60_000);
