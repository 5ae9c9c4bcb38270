import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hasGit } from '../tools/git.support.ts';
import { checkedLog, openWorld, say, type World } from './world.ts';

/** The tools of a workspace as a model has them, through a daemon. */
let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.close());

const TEXT = 'a line\n';

/** What the model was offered, and what it was told of its one call. */
const turn = async (
  name: string,
  args: object,
  overrides: object = {},
): Promise<{ offered: string[]; told: string }> => {
  const { daemon, lmx } = world;
  const sessionId = await daemon.create({ workspace: world.workspace });
  const socket = await daemon.socket(sessionId);
  const content = say({ tools: [{ name, args }], text: 'finished' });
  const { turnId } = await daemon.submit(sessionId, { content, ...overrides });
  await socket.terminal(turnId);
  expect(checkedLog(sessionId, await daemon.log(sessionId)).violations).toEqual([]);
  const body = lmx.requests.at(-1)?.body as {
    messages?: { role: string; content?: string }[];
    tools?: { function: { name: string } }[];
  };
  return {
    offered: (body.tools ?? []).map((t) => t.function.name),
    told: body.messages?.findLast((m) => m.role === 'tool')?.content ?? '',
  };
};

test('[TL8] a daemon under loopback-only neither offers web_fetch nor carries it out, whatever is allowed', async () => {
  const { offered, told } = await turn(
    'web_fetch',
    { url: 'https://example.com/' },
    { overrides: { dangerous: true } },
  );
  expect(offered).toContain('git_diff');
  expect(offered).not.toContain('web_fetch');
  expect(told).toMatch(/^Error \(loopback-only\): web_fetch is off here/);
});

test('[TL9] what is remembered stands in the workspace', async () => {
  const { told } = await turn('save_memory', { content: 'Tests are quick.' }, { overrides: { auto: true } });
  expect(told).toMatch(/^Added a line to \.opta\/memory\.md/);
  expect(readFileSync(join(world.workspace, '.opta/memory.md'), 'utf8')).toMatch(
    /^- \d{4}-\d\d-\d\d Tests are quick\.$/m,
  );
});

test.skipIf(!hasGit)('[TL7] git is read without a question (skipped where git is not installed)', async () => {
  execFileSync('git', ['init', '-q'], { cwd: world.workspace });
  writeFileSync(join(world.workspace, 'new.txt'), TEXT);
  expect((await turn('git_status', {})).told).toContain('?? new.txt\n');
  expect((await turn('git_diff', {})).told).toBe('[no unstaged changes]');
  expect((await turn('git_log', {})).told).toBe('[there are no commits yet]');
});
