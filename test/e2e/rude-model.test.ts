import { existsSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { LIMITS } from '../../src/actors/limits.ts';
import { checkedLog, openWorld, type World } from './world.ts';

/** Models that do not keep to anything: each call gets a clear error and the turn goes on, or the turn ends with its reason. */
let world: World;
afterEach(() => world?.close());

interface Call {
  id?: string;
  name?: string;
  args: string;
}

/**
 * A server whose first answer holds these calls as they are, and whose second ends the turn. `always`: every answer is the first.
 * `parts`: arguments come in as many.
 */
const rude = async (calls: Call[], { mode = 'do', always = false, parts = 1 } = {}) => {
  let answers = 0;
  const onChat = (ws: WebSocket, { body }: { body: { [field: string]: unknown } }): boolean => {
    const ids = { request_id: `r${answers}`, client_request_id: body.client_request_id };
    const send = (frame: object): void => ws.send(JSON.stringify({ ...ids, ...frame }));
    if (answers++ === 0 || always) {
      calls.forEach(({ args, ...call }, index) => {
        const size = Math.ceil(args.length / parts) || 1;
        for (let at = 0; at === 0 || at < args.length; at += size)
          send({ type: 'chat.tool_call', tool_call: { index, ...call, arguments: args.slice(at, at + size) } });
      });
      send({ type: 'chat.done', finish_reason: 'tool_calls' });
    } else {
      send({ type: 'chat.token', content: 'went on' });
      send({ type: 'chat.done', finish_reason: 'stop' });
    }
    return true;
  };
  // No other way to the same server: what it sends over the socket is all there is.
  const onHttp = (req: IncomingMessage, res: ServerResponse): boolean => {
    if (req.url !== '/v1/chat/completions') return false;
    res.writeHead(404).end();
    return true;
  };
  world = await openWorld({
    lmx: { onChat, onHttp },
    config: { connection: { retry: { maxRetries: 1, backoffMs: 100 } } },
  });
  const { daemon, workspace } = world;
  writeFileSync(join(workspace, 'a.txt'), 'alpha\n');
  const sessionId = await daemon.create({ workspace });
  const socket = await daemon.socket(sessionId);
  const { turnId } = await daemon.submit(sessionId, { content: 'go', mode, overrides: { dangerous: true } });
  const end = await socket.terminal(turnId, 60_000);
  const log = await daemon.log(sessionId);
  expect(checkedLog(sessionId, log).violations).toEqual([]);
  expect((await daemon.get('/v3/health')).status).toBe(200);
  const ends = socket.records.filter((r) => r.event === 'tool.end').map((r) => r.payload as ToolEnd);
  const messages = (await daemon.get(`/v3/sessions/${sessionId}`)).json.messages as Message[];
  return { end: end.payload as { code?: string; stopReason?: string; outcome?: string }, ends, messages, answers };
};
interface ToolEnd {
  id: string;
  name: string;
  result: string;
  isError: boolean;
}
interface Message {
  role: string;
  content: string;
  tool_call_id?: string;
  tool_calls?: { id: string }[];
}
const told = ({ messages }: { messages: Message[] }): string[] =>
  messages.filter((m) => m.role === 'tool').map((m) => m.content);
const read = { name: 'read_file', args: '{"path":"a.txt"}' };

describe('calls that are wrong get an error, and the turn goes on', () => {
  test('[TL3] unknown tools, no name, arguments of other shapes', async () => {
    const found = await rude([
      { id: '1', name: 'no_such_tool', args: '{}' },
      { id: '2', name: 'read_file', args: '[]' },
      { id: '3', name: 'read_file', args: '"a.txt"' },
      { id: '4', name: 'read_file', args: '{"path":7}' },
      { id: '5', name: 'read_file', args: '{"path":"../../etc/passwd"}' },
      { id: '6', name: 'read_file', args: '{"path":"a\\u0000b"}' },
      { id: '7', name: 'constructor', args: '{"__proto__":{"x":1}}' },
      { id: '8', ...read },
    ]);
    expect(found.end).toMatchObject({ outcome: 'done', stopReason: 'completed' });
    const answers = told(found);
    expect(answers).toHaveLength(8);
    for (const text of answers.slice(0, 7)) expect(text).toMatch(/^Error|refused|outside|not a tool|unknown/i);
    expect(answers[7]).toContain('alpha');
  }, 60_000);

  test.each(['{bad json}', '{"path":"a.txt"', "{'path':'a.txt'}", '{"path":"a.txt"}{"path":"a.txt"}', 'a.txt'])(
    '[TL3] arguments that are no JSON: %s',
    async (args) => {
      const found = await rude([{ id: '1', name: 'read_file', args }], { always: true });
      expect(found.ends).toEqual([]);
      expect(found.end.code === 'lmx-protocol' || /invalid-json/.test(told(found)[0] ?? ''), found.end.code).toBe(true);
    },
    60_000,
  );

  test('[TL3] ids that are empty or repeated name one call each', async () => {
    const found = await rude([
      { id: '', ...read },
      { id: 'same', ...read },
      { id: 'same', ...read },
      { id: 'same', name: 'list_dir', args: '{}' },
    ]);
    expect(found.end).toMatchObject({ outcome: 'done' });
    const ids = found.messages.find((m) => m.tool_calls)?.tool_calls?.map(({ id }) => id) ?? [];
    expect(new Set(ids).size).toBe(4);
    expect(ids).not.toContain('');
    expect(found.messages.filter((m) => m.role === 'tool').map((m) => m.tool_call_id)).toEqual(ids);
  }, 60_000);

  test('[PM4] a tool that the mode hides is refused at execution', async () => {
    const found = await rude(
      [
        { id: 'w', name: 'write_file', args: '{"path":"w.txt","content":"x"}' },
        { id: 'c', name: 'run_command', args: '{"command":"touch c.txt"}' },
        { id: 's', name: 'spawn_agent', args: '{"task":"write w.txt"}' },
        { id: 'r', ...read },
      ],
      { mode: 'plan' },
    );
    expect(found.end).toMatchObject({ outcome: 'done' });
    expect(found.ends.map(({ id }) => id)).toEqual(['r']);
    for (const name of ['w.txt', 'c.txt']) expect(existsSync(join(world.workspace, name))).toBe(false);
    for (const text of told(found).slice(0, 3)) expect(text).toContain('Not allowed here (mode:plan)');
  }, 60_000);
});

describe('answers that cannot be used end the turn with its reason, and nothing of them runs', () => {
  test.each([
    ['in one frame', 1],
    ['in a thousand', 1_000],
  ])(
    '[SV3] thirty megabytes of arguments, %s',
    async (_, parts) => {
      const args = `{"path":"w.txt","content":"${'x'.repeat(30 << 20)}"}`;
      const found = await rude([{ id: '1', name: 'write_file', args }], { always: true, parts });
      expect(found.end).toMatchObject({ code: expect.stringMatching(/^lmx-/) });
      expect(found.ends).toEqual([]);
      expect(existsSync(join(world.workspace, 'w.txt'))).toBe(false);
    },
    120_000,
  );

  test('[TB1] more calls than a message may have', async () => {
    const found = await rude(
      Array.from({ length: LIMITS.stepCallsMax + 1 }, (_, i) => ({ id: `c${i}`, ...read })),
      {
        always: true,
      },
    );
    expect(found.end).toMatchObject({ code: 'lmx-protocol' });
    expect(found.ends).toEqual([]);
  }, 60_000);
});

test('[TB2] a model that asks for the same again and again is told, and then ended', async () => {
  const tools = [{ name: 'read_file', args: { path: 'a.txt' } }];
  world = await openWorld({ lmx: { reply: () => ({ tools, rounds: 1_000 }) } });
  const { daemon, workspace, lmx } = world;
  writeFileSync(join(workspace, 'a.txt'), 'alpha\n');
  const sessionId = await daemon.create({ workspace });
  const socket = await daemon.socket(sessionId);
  const { turnId } = await daemon.submit(sessionId, { content: 'go', mode: 'do' });
  const end = await socket.terminal(turnId, 60_000);
  expect(end.payload).toMatchObject({ stopReason: 'stagnation' });
  expect(lmx.requests).toHaveLength(LIMITS.turnRepeatsMax);
  expect(JSON.stringify(lmx.requests.at(-1)?.body.messages)).toMatch(/same (?:calls|steps)|repeat/i);
}, 60_000);
