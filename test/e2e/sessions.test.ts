import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli } from '../support/cli.ts';
import { openWorld, say, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const opta = async (...args: string[]) => {
  const run = await cli(world.daemon.home, args);
  return { ...run, json: args.includes('--json') ? JSON.parse(run.stdout) : undefined };
};

// Each command is a process of its own, from source.
test('[CR2, AU1] a session is found, forked, exported, put away and taken back from the command line, and its log is whole', async () => {
  const { daemon } = world;
  const sessionId = await daemon.create({ title: 'Water the beans' });
  const socket = await daemon.socket(sessionId);
  const { turnId } = await daemon.submit(sessionId, { content: say({ text: 'forty litres' }, 'how much water') });
  await socket.terminal(turnId);
  const head = (await daemon.log(sessionId)).length;

  expect((await opta('sessions', 'search', 'BEANS', 'water', '--json')).json).toMatchObject([{ id: sessionId }]);
  expect((await opta('sessions', 'search', 'nothing', '--json')).json).toEqual([]);

  const fork = await opta('sessions', 'fork', sessionId, '--at', String(head - 1), '--json');
  expect(fork.json).toMatchObject({ forkedFrom: { sessionId, atSeq: head - 1 } });
  const exported = await opta('sessions', 'export', fork.json.id);
  expect(JSON.parse(exported.stdout).messages.map((m: { content: string }) => m.content)).toContain('forty litres');

  const deleted = await opta('sessions', 'delete', sessionId);
  expect(deleted).toMatchObject({ code: 0, stdout: expect.stringContaining(`undelete ${sessionId}`) });
  const refused = await cli(daemon.home, ['do', '--session', sessionId, '--format', 'json', 'more']);
  expect(JSON.parse(refused.stdout)).toMatchObject({ code: 'session-deleted', exit_code: 127 });
  expect((await opta('sessions', 'list', '--json')).json.map((s: { id: string }) => s.id)).toEqual([fork.json.id]);
  expect((await opta('sessions', 'list', '--deleted', '--json')).json).toMatchObject([{ id: sessionId }]);
  expect((await opta('sessions', 'undelete', sessionId, '--json')).json).toEqual({ id: sessionId });
  expect((await opta('sessions', 'list', '--json')).json).toHaveLength(2);

  const lines = await daemon.get(`/v3/sessions/${sessionId}/export?format=jsonl`);
  expect(lines.text.trimEnd().split('\n')).toEqual(await daemon.log(sessionId));
  const markdown = await daemon.get(`/v3/sessions/${sessionId}/export?format=markdown`);
  expect(markdown.text).toContain('# Water the beans');
  expect(markdown.text).toContain('forty litres');
}, 120_000);
