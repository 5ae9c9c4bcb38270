import { mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { judge, turnPolicy } from '../../src/actors/domain/permission-policy.ts';
import { optaPaths } from '../../src/config/paths.ts';
import { forgetAllowed, readRemembered, rememberAllowed, rememberedRules } from '../../src/config/remembered.ts';

let home: string;
let repo: string;
beforeEach(() => {
  home = realpathSync(mkdtempSync(join(tmpdir(), 'opta-remembered-')));
  repo = join(home, 'repo');
  mkdirSync(repo);
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const paths = () => optaPaths({ OPTA_HOME: join(home, 'opta'), HOME: home });
const never = (reason: string): never => {
  throw new Error(reason);
};

test('[PM11] it is a rule of this folder alone, by whatever name, until it is taken back', async () => {
  symlinkSync(repo, join(home, 'link'));
  await rememberAllowed(paths(), { workspace: join(home, 'link'), tool: 'run_command', decidedBy: 'person:ada' });
  await rememberAllowed(paths(), { workspace: repo, tool: 'write_file', decidedBy: 'person:ada' });
  await rememberAllowed(paths(), { workspace: repo, tool: 'run_command', decidedBy: 'person:ben' });
  const rule = (tool: string) => ({ tool, action: 'allow', from: 'remembered' });
  expect(rememberedRules(paths(), repo, never)).toEqual([rule('write_file'), rule('run_command')]);
  expect(rememberedRules(paths(), home, never)).toEqual([]);
  expect(rememberedRules(paths(), undefined, never)).toEqual([]);
  expect(readRemembered(paths()).map((one) => one.decidedBy)).toEqual(['person:ada', 'person:ben']);
  expect(statSync(paths().rememberedFile).mode & 0o777).toBe(0o600);
  expect(await forgetAllowed(paths(), repo, 'run_command')).toMatchObject([{ tool: 'run_command' }]);
  expect(await forgetAllowed(paths(), repo, 'run_command')).toEqual([]);
  expect(rememberedRules(paths(), repo, never)).toEqual([rule('write_file')]);
  expect(await forgetAllowed(paths(), join(home, 'link'))).toHaveLength(1);
  expect(rememberedRules(paths(), repo, never)).toEqual([]);
});

test('[PM11] a command is remembered as that command, and read as a rule that is no glob', async () => {
  for (const command of ['npm test', 'rm *', 'a && b'])
    await rememberAllowed(paths(), { workspace: repo, tool: 'run_command', command, decidedBy: 'person:a' });
  await rememberAllowed(paths(), { workspace: repo, tool: 'run_command', command: 'npm test', decidedBy: 'person:b' });
  const rules = rememberedRules(paths(), repo, never);
  expect(rules.map((one) => [one.command, one.exact])).toEqual([
    ['rm *', true],
    ['a && b', true],
    ['npm test', true],
  ]);
  const may = (command: string) =>
    judge(turnPolicy('do', {}, rules), 'run_command', { toolClass: 'exec', command }).action;
  expect(['npm test', 'rm *', 'a && b'].map(may)).toEqual(['allow', 'allow', 'allow']);
  expect(['npm test ', 'npm test; x', 'rm a', 'a', ''].map(may)).toEqual(['ask', 'ask', 'ask', 'ask', 'ask']);
});

test('[PM11] many at once are all kept, and a damaged file allows nothing and is said', async () => {
  const tools = Array.from({ length: 12 }, (_, i) => `tool_${i}`);
  await Promise.all(tools.map((tool) => rememberAllowed(paths(), { workspace: repo, tool, decidedBy: 'person:a' })));
  expect(rememberedRules(paths(), repo, never)).toHaveLength(12);
  writeFileSync(paths().rememberedFile, '{"allowed": "all"}');
  const said: string[] = [];
  expect(rememberedRules(paths(), repo, (reason) => said.push(reason))).toEqual([]);
  expect(said).toEqual([expect.stringContaining('damaged')]);
  await expect(rememberAllowed(paths(), { workspace: repo, tool: 'x', decidedBy: 'a' })).rejects.toThrow('damaged');
});
