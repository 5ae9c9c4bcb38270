import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { ToolResult, Tools } from '../../src/actors/ports.ts';
import type { McpServer } from '../../src/config/schema.ts';
import { realClock } from '../../src/platform.ts';
import { namesOf } from '../../src/services/mcp-names.ts';
import { type WorkspaceTools, withServices } from '../../src/services/workspace-tools.ts';

/** Servers of tools as turns have them: real processes that speak MCP. */
const SERVER = join(import.meta.dirname, '..', 'support', 'mcp-tools.mjs');
const base: Tools = {
  offered: () => [{ name: 'read_file', description: '', parameters: {} }],
  plan: (name) => `there is no tool ${name}`,
  start: (_run, done) => {
    done({ result: 'base', isError: false });
    return { kill: (dead) => dead() };
  },
};
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

let top: string;
let pids: string;
let open: WorkspaceTools[] = [];
beforeEach(() => {
  top = fs.mkdtempSync(join(tmpdir(), 'opta-services-'));
  pids = join(top, 'pids');
  fs.writeFileSync(pids, '');
});
afterEach(async () => {
  await Promise.all(open.map((tools) => tools.close()));
  open = [];
  fs.rmSync(top, { recursive: true, force: true });
});

const stdio = (...more: string[]): McpServer => ({ command: process.execPath, args: [SERVER, pids, ...more], env: {} });
const toolsOf = (servers: { [name: string]: McpServer }): WorkspaceTools => {
  const world = { clock: realClock, log: quiet, version: '1', loopbackOnly: true, servers: () => servers };
  const tools = withServices(base, world);
  open.push(tools);
  return tools;
};
const scope = () => ({ mode: 'do', workspace: top });
const opened = (tools: WorkspaceTools): Promise<string[]> =>
  new Promise((resolve) => {
    tools.open(scope(), resolve);
  });
const begin = (tools: WorkspaceTools, name: string, args: object = {}) => {
  const plan = tools.plan(name, JSON.stringify(args), scope());
  if (typeof plan === 'string') throw new Error(plan);
  const run = { sessionId: 's', turnId: 't', callId: 'c', name, args: plan.args, workspace: top, deniedPaths: [] };
  let kill = (_dead: () => void): void => undefined;
  const done = new Promise<ToolResult>((resolve) => {
    kill = tools.start({ ...run, deadlineMs: 5_000 }, resolve).kill;
  });
  return { done, kill: () => new Promise<void>((resolve) => kill(resolve)) };
};
const started = (): number[] =>
  fs
    .readFileSync(pids, 'utf8')
    .split('\n')
    .filter((l) => /^\d+$/.test(l))
    .map(Number);
const isAlive = (pid: number): boolean => {
  try {
    return !fs.readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z');
  } catch {
    return false;
  }
};

describe('the tools of a server', () => {
  test('[MC4] [CF3] one that is no longer configured, or trusted, ends when the next turn begins', async () => {
    let servers: { [name: string]: McpServer } = { a: stdio(), b: stdio('b') };
    const world = { clock: realClock, log: quiet, version: '1', loopbackOnly: true, servers: () => servers };
    const tools = withServices(base, world);
    open.push(tools);
    await opened(tools);
    const both = started();
    expect(both.filter(isAlive)).toHaveLength(2);
    servers = { b: stdio('b') };
    await opened(tools);
    for (let i = 0; i < 300 && both.filter(isAlive).length > 1; i++) await sleep(10);
    expect(both.filter(isAlive)).toHaveLength(1);
    expect(tools.offered(scope()).some(({ name }) => name.startsWith('mcp__a__'))).toBe(false);
    expect(tools.offered(scope()).some(({ name }) => name.startsWith('mcp__b__'))).toBe(true);
  });

  test('[MC4] it is started when a turn needs it, once for all of them, and ended at the end', async () => {
    const tools = toolsOf({ one: stdio() });
    expect(tools.offered(scope())).toHaveLength(1);
    expect(started()).toEqual([]);
    expect((await Promise.all(Array.from({ length: 20 }, () => opened(tools)))).flat()).toEqual([]);
    expect(started()).toHaveLength(1);
    expect(tools.offered(scope()).map((t) => t.name)).toContain('mcp__one__echo');
    expect(tools.offered({ ...scope(), mode: 'plan' })).toHaveLength(1);
    expect((await begin(tools, 'mcp__one__echo', { text: 'hi' }).done).result).toBe('{"text":"hi"}');
    await tools.close();
    expect(started().filter(isAlive)).toEqual([]);
  });

  test('[MC6] it is of the class exec whatever it says; an unknown one is nobody’s; arguments must be an object', async () => {
    const tools = toolsOf({ one: stdio() });
    await opened(tools);
    expect(tools.plan('mcp__one__echo', '{"text":"a"}', scope())).toMatchObject({
      toolClass: 'exec',
      summary: 'one: echo {"text":"a"}',
    });
    expect(tools.plan('mcp__one__nope', '{}', scope())).toBe('there is no tool mcp__one__nope');
    expect(tools.plan('mcp__one__echo', '[1]', scope())).toMatch(/must be an object/);
    expect(tools.plan('mcp__one__echo', '{bad', scope())).toMatch(/^Error \(invalid-json\)/);
    expect(tools.plan('mcp__one__echo', '{}', { mode: 'do', workspace: '/elsewhere' })).toMatch(/no tool/);
  });

  test('[MC5] what it answers is bounded and is text; what is none is named', async () => {
    const tools = toolsOf({ one: stdio() });
    await opened(tools);
    const big = await begin(tools, 'mcp__one__big').done;
    expect(Buffer.byteLength(big.result)).toBeLessThanOrEqual(LIMITS.toolOutputBytesMax);
    expect(big.truncatedFrom).toBe(2_000_000);
    expect((await begin(tools, 'mcp__one__picture').done).result).toBe('[image image/png, 4 characters: not shown]');
    expect(await begin(tools, 'mcp__one__fail').done).toMatchObject({ result: 'it did not work', isError: true });
    process.env.OPTA_TEST_TOKEN = 'secret';
    expect((await begin(tools, 'mcp__one__pid').done).result).toMatch(/^\d+ OPTA_BACKGROUND$/);
    delete process.env.OPTA_TEST_TOKEN;
  });

  test('[MC5] a call that breaks off is not made again, and says that nobody knows; the next one finds a new server', async () => {
    const tools = toolsOf({ one: stdio() });
    await opened(tools);
    const lost = await begin(tools, 'mcp__one__crash').done;
    expect(lost).toMatchObject({
      isError: true,
      result: expect.stringMatching(/whether the call took effect is not known/),
    });
    expect(await opened(tools)).toEqual(['The tools of one cannot be had: the server has ended.']);
    await sleep(1_200);
    expect(await opened(tools)).toEqual([]);
    expect((await begin(tools, 'mcp__one__echo').done).isError).toBe(false);
    expect(started()).toHaveLength(2);
  });

  test('[MC5] [CX4] a cancelled call is over at once, the server is told, and serves on', async () => {
    const tools = toolsOf({ one: stdio() });
    await opened(tools);
    const { kill } = begin(tools, 'mcp__one__hang');
    await sleep(50);
    await kill();
    expect((await begin(tools, 'mcp__one__echo').done).isError).toBe(false);
    for (let i = 0; i < 100 && !fs.readFileSync(pids, 'utf8').includes('cancelled'); i++) await sleep(10);
    expect(fs.readFileSync(pids, 'utf8')).toContain('cancelled');
    expect(started()).toHaveLength(1);
  });

  test('[MC4] [SV2] one that cannot start, or does not answer, holds a turn no longer than its time, and the model is told', async () => {
    const tools = toolsOf({ gone: { command: '/no/such/program', args: [], env: {} }, one: stdio() });
    const [note, ...more] = await opened(tools);
    expect(note).toMatch(/^The tools of gone cannot be had: /);
    expect(more).toEqual([]);
    expect(tools.offered(scope()).map((t) => t.name)).toContain('mcp__one__echo');
  });

  test('[MC4] it dies with the daemon, whatever it does', async () => {
    const script = `
      const { withServices } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/services/workspace-tools.ts'))});
      const { realClock } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/platform.ts'))});
      const log = { info() {}, warn: console.error, error: console.error };
      const servers = () => ({ one: ${JSON.stringify(stdio('deaf'))} });
      const tools = withServices({}, { clock: realClock, log, version: '1', loopbackOnly: true, servers });
      tools.open({ mode: 'do', workspace: ${JSON.stringify(top)} }, () => console.log('open'));
      setInterval(() => undefined, 1_000);
    `;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const [pid = 0] = started();
    expect(isAlive(pid)).toBe(true);
    child.kill('SIGKILL');
    const until = Date.now() + 5_000;
    while (isAlive(pid) && Date.now() < until) await sleep(20);
    expect(isAlive(pid)).toBe(false);
  });
});

test('[MC6] names are what every server of models takes, one for each tool, and the same for the same list', () => {
  const word = fc.oneof(fc.string({ maxLength: 80 }), fc.constantFrom('a', 'a b', 'a_b', 'x'.repeat(70)));
  fc.assert(
    fc.property(fc.array(fc.record({ server: word, tool: word }), { maxLength: 40 }), (tools) => {
      const names = namesOf(tools);
      expect(new Set(names).size).toBe(tools.length);
      for (const name of names) expect(name).toMatch(/^mcp__[A-Za-z0-9_-]{0,59}$/);
      expect(namesOf(tools)).toEqual(names);
    }),
  );
});
