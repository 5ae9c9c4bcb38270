import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { endOf, startCli } from '../support/cli.ts';
import { startDaemon } from '../support/daemon.ts';
import { hasSandbox } from '../tools/sandbox.support.ts';
import { checkedLog, openWorld, say, type World } from './world.ts';

/**
 * A refactoring of some two hundred calls over a repository: edits, searches, commands, a background server, a question, an agent
 * and a server of tools from npm; then the same with a cancel and with a crash in the middle.
 */
const EVERYTHING = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js');
const MODULES = 30;

let world: World;
afterEach(() => world?.close());

const repository = (ws: string): void => {
  mkdirSync(join(ws, 'src'));
  for (let i = 0; i < MODULES; i++)
    writeFileSync(
      join(ws, 'src', `m${i}.mjs`),
      `export const oldName${i} = () => ${i};\nexport const twice${i} = () => 2 * oldName${i}();\n`,
    );
  const imports = Array.from({ length: MODULES }, (_, i) => `import { twice${i} } from '../src/m${i}.mjs';`);
  const sum = Array.from({ length: MODULES }, (_, i) => `twice${i}()`).join(' + ');
  mkdirSync(join(ws, 'test'));
  writeFileSync(
    join(ws, 'test', 'all.mjs'),
    `${imports.join('\n')}\nif (${sum} !== ${MODULES * (MODULES - 1)}) process.exit(1);\nconsole.log('good');\n`,
  );
  execFileSync('git', ['init', '-q', ws]);
  execFileSync('git', ['-C', ws, 'add', '.']);
  execFileSync('git', ['-C', ws, '-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '-qm', 'first']);
};

const each = <T>(make: (i: number) => T): T[] => Array.from({ length: MODULES }, (_, i) => make(i));
const file = (i: number): string => `src/m${i}.mjs`;
const call = (name: string, args: object) => ({ name, args });

/** Seven calls for each module, in messages of thirty, and what comes between. */
const steps = () => [
  each((i) => call('read_file', { path: file(i) })),
  [call('bg_start', { command: 'while :; do echo tick; sleep 0.2; done', label: 'ticker' }), call('git_status', {})],
  each((i) => call('edit_file', { path: file(i), old_text: `const oldName${i} =`, new_text: `const newName${i} =` })),
  [call('run_command', { command: 'node test/all.mjs' })],
  each((i) => call('multi_edit', { path: file(i), edits: [{ old_text: `oldName${i}()`, new_text: `newName${i}()` }] })),
  [call('run_command', { command: 'node test/all.mjs' }), call('search_files', { pattern: 'oldName' })],
  [call('ask_user', { question: 'Go on?', options: ['yes', 'no'] })],
  each((i) => call('write_file', { path: `docs/m${i}.md`, content: `# m${i}\n` })),
  [call('mcp__everything__echo', { message: 'through a server' })],
  each((i) => call('read_file', { path: `docs/m${i}.md` })),
  [call('spawn_agent', { task: say({ tools: [call('delete_file', { path: 'docs/m0.md' })], text: 'one is gone' }) })],
  each((i) => call('find_files', { pattern: `**/m${i}.*` })),
  [call('git_diff', {}), call('bg_status', {}), call('run_command', { command: 'ls docs | wc -l' })],
];
const CALLS = steps().flat().length;

const begin = async () => {
  world = await openWorld({
    config: {
      mcp: { servers: { everything: { command: process.execPath, args: [EVERYTHING, 'stdio'] } } },
      permissions: {
        rules: [
          { tool: 'mcp__everything__echo', action: 'allow' },
          ...(hasSandbox
            ? []
            : [
                { tool: 'run_command', action: 'allow' },
                { tool: 'bg_*', action: 'allow' },
              ]),
        ],
      },
    },
  } as never);
  const { daemon, workspace } = world;
  repository(workspace);
  const sessionId = await daemon.create({ workspace });
  const socket = await daemon.socket(sessionId);
  const { turnId } = await daemon.submit(sessionId, {
    content: say({ steps: steps(), text: 'Renamed.' } as never),
    mode: 'do',
    overrides: { auto: true },
  });
  return { daemon, workspace, sessionId, socket, turnId };
};
const events = (log: readonly string[]) =>
  log.map((t) => JSON.parse(t) as { event: string; payload: { [field: string]: unknown } });

/** Answers the one question of the turn. */
const answer = async (daemon: World['daemon'], sessionId: string): Promise<void> => {
  for (let i = 0; i < 2_000; i++) {
    const open = events(await daemon.log(sessionId)).find((e) => e.event === 'permission.request');
    if (open) {
      const requestId = String(open.payload.requestId);
      await daemon.post(`/v3/sessions/${sessionId}/permissions/${requestId}`, {
        decision: 'allow',
        decidedBy: 'ada',
        answer: 'yes',
      });
      return;
    }
    await sleep(25);
  }
  throw new Error('nothing was asked');
};

test(`[TL2] [TL3] [TL5] [MC4] [SA1] a turn of ${CALLS} calls ends as if they had run in their order`, async () => {
  const { daemon, workspace, sessionId, socket, turnId } = await begin();
  await Promise.all([answer(daemon, sessionId), socket.terminal(turnId, 120_000)]);
  const log = await daemon.log(sessionId);
  expect(checkedLog(sessionId, log, false).violations).toEqual([]);
  const all = events(log);
  expect(all.find((e) => e.event === 'turn.done')?.payload).toMatchObject({
    outcome: 'done',
    stopReason: 'completed',
    stats: { toolCalls: CALLS },
  });
  const ends = all
    .filter((e) => e.event === 'tool.end')
    .map((e) => e.payload as { name: string; result: string; isError: boolean });
  // The test is red between the two halves of the renaming, as it would be for anybody.
  expect(ends.filter((e) => e.isError).map((e) => e.name)).toEqual(['run_command']);
  const commands = ends.filter((e) => e.name === 'run_command').map((e) => e.result);
  expect(commands[1]).toMatch(/^good\n\[exit code 0/);
  expect(commands[2]).toMatch(/^29\n/);
  expect(ends.find((e) => e.name === 'mcp__everything__echo')?.result).toContain('through a server');
  expect(ends.find((e) => e.name === 'search_files')?.result).toMatch(/no match|nothing/i);
  for (let i = 0; i < MODULES; i++)
    expect(readFileSync(join(workspace, file(i)), 'utf8')).toBe(
      `export const newName${i} = () => ${i};\nexport const twice${i} = () => 2 * newName${i}();\n`,
    );
  expect(readdirSync(join(workspace, 'docs'))).toHaveLength(MODULES - 1);
  // And all of it can be taken back: what the agent deleted was not there before either.
  const undone = await daemon.post(`/v3/sessions/${sessionId}/undo`, { writerId: 'ada', turnId });
  expect(undone).toMatchObject({ status: 200, json: { undone: true, kept: [] } });
  expect(execFileSync('git', ['-C', workspace, 'status', '--porcelain'], { encoding: 'utf8' })).toBe('');
}, 180_000);

test('[CX2] [CX4] a cancel in the middle of it leaves nothing that runs, but the background process', async () => {
  const { daemon, workspace, sessionId, turnId } = await begin();
  await answerless(daemon, sessionId);
  const cancelled = await daemon.post(`/v3/sessions/${sessionId}/cancel`, { turnId });
  expect(cancelled.json).toMatchObject({ cancelledActive: true });
  const log = await daemon.log(sessionId);
  expect(checkedLog(sessionId, log, false).violations).toEqual([]);
  expect(events(log).find((e) => e.event === 'turn.error')?.payload).toMatchObject({ outcome: 'cancelled' });
  const { processes } = (await daemon.get(`/v3/background?sessionId=${sessionId}`)).json;
  expect(processes).toMatchObject([{ label: 'ticker', state: 'running' }]);
  const before = readdirSync(workspace).sort();
  await sleep(300);
  expect(readdirSync(workspace).sort()).toEqual(before);
  const undone = await daemon.post(`/v3/sessions/${sessionId}/undo`, { writerId: 'ada' });
  expect(undone).toMatchObject({ status: 200, json: { undone: true } });
  expect(execFileSync('git', ['-C', workspace, 'status', '--porcelain'], { encoding: 'utf8' })).toBe('');
}, 120_000);

test('[CR1] [BG3] a crash in the middle of it closes the turn, ends what it started, and what it did to files can still be taken back', async () => {
  const { daemon, workspace, sessionId } = await begin();
  await answerless(daemon, sessionId);
  await daemon.kill9();
  const again = await startDaemon({ home: daemon.home, lmxPort: world.lmx.port });
  const log = await again.log(sessionId);
  expect(checkedLog(sessionId, log, false).violations).toEqual([]);
  expect(events(log).find((e) => e.event === 'turn.error')?.payload).toMatchObject({ outcome: 'interrupted' });
  expect(events(log).findLast((e) => e.event === 'background.status')?.payload).toMatchObject({
    reason: 'interrupted',
  });
  expect(await again.post(`/v3/sessions/${sessionId}/undo`, { writerId: 'ada' })).toMatchObject({ status: 200 });
  expect(execFileSync('git', ['-C', workspace, 'status', '--porcelain'], { encoding: 'utf8' })).toBe('');
  await again.dispose();
}, 120_000);

test('[AU1] [PM3] the same through opta do --auto, without a terminal: what would have to be asked is refused, and all else is done', async () => {
  const { daemon, workspace, sessionId, turnId } = await begin();
  await daemon.cancel(sessionId, { turnId });
  await daemon.post(`/v3/sessions/${sessionId}/undo`, { writerId: 'ada' });
  const prompt = say({ steps: steps(), text: 'Renamed.' } as never);
  const child = startCli(daemon.home, ['do', '--auto', '--format', 'json', prompt], { cwd: workspace });
  child.stdin?.end();
  const { code, stdout } = await endOf(child, 150_000);
  const told = JSON.parse(stdout) as { result: string; session_id: string; tool_calls: number; exit_code: number };
  expect([code, told.exit_code, told.result]).toEqual([0, 0, 'Renamed.']);
  const log = await daemon.log(told.session_id);
  expect(checkedLog(told.session_id, log, false).violations).toEqual([]);
  const refused = events(log).filter((e) => e.event === 'permission.resolved' && e.payload.decision === 'deny');
  expect(refused.map((e) => e.payload.toolName)).toEqual(['ask_user']);
  expect(told.tool_calls).toBe(CALLS - 1);
  expect(readFileSync(join(workspace, file(7)), 'utf8')).toContain('newName7');
}, 180_000);

/** Until it asks: everything before the question is done, and nobody answers. */
const answerless = async (daemon: World['daemon'], sessionId: string): Promise<void> => {
  for (let i = 0; i < 2_000; i++) {
    if (events(await daemon.log(sessionId)).some((e) => e.event === 'permission.request')) return;
    await sleep(25);
  }
  throw new Error('nothing was asked');
};
