import { afterEach, expect, test } from 'vitest';
import { type FakeLmx, type FakeLmxOptions, startFakeLmx } from '../support/fake-lmx.ts';
import { type RealDaemon, startDaemon } from './daemon.ts';
import { expectLogAgrees, runDo } from './do.ts';

/** The real CLI, the real daemon, and an inference server on either of its wires. */
let lmx: FakeLmx;
let daemon: RealDaemon;
const start = async (options: FakeLmxOptions): Promise<void> => {
  lmx = await startFakeLmx({ models: ['served-model'], ...options });
  daemon = await startDaemon(lmx.port);
};
afterEach(async () => {
  await daemon?.stop();
  await lmx?.close();
});

const WIRES: [name: string, wire: 'ws' | 'sse', provider: string, options: FakeLmxOptions][] = [
  ['LMX over WebSocket', 'ws', 'lmx', {}],
  [
    'LMX that advertises a WebSocket and refuses it',
    'sse',
    'lmx',
    { ws: 404, discovery: { endpoints: { websocket_url: '/v1/chat/stream' } } },
  ],
  ['a plain OpenAI-compatible server', 'sse', 'openai-compatible', { discovery: false, ws: false }],
];

test.each(WIRES)('[AU1] opta do --format json answers in one line of JSON: %s', async (_, wire, provider, options) => {
  await start(options);
  const { code, body } = await runDo(daemon, 'say it @@{"text":"Grüße, “twice” said."}@@');
  expect(code).toBe(0);
  expect(Object.keys(body).slice(0, 4)).toEqual(['result', 'tool_calls', 'model', 'exit_code']);
  expect(body).toEqual({
    result: 'Grüße, “twice” said.',
    tool_calls: 0,
    model: 'served-model',
    exit_code: 0,
    session_id: expect.any(String),
    turn_id: expect.any(String),
    status: 'completed',
  });
  expect(lmx.requests.map((r) => r.channel)).toEqual([wire]);
  const events = await expectLogAgrees(daemon, body);
  expect(events.find((f) => f.event === 'turn.progress')?.payload).toMatchObject({ provider });
});

test('[AU1, AU2] a failure is one line of JSON too, with its exit code, on either wire', async () => {
  await start({});
  const broken = 'fail @@{"error":"out of luck","status":400,"code":"bad"}@@';
  for (const ws of [true, false]) {
    lmx.options.ws = ws;
    const { code, body } = await runDo(daemon, broken);
    expect(body).toMatchObject({ exit_code: code, error: expect.any(String), status: 'error' });
    expect(code).not.toBe(0);
    expect(body).not.toHaveProperty('result');
  }
});

test('[AU2] a value that the daemon refuses is named, with what is wrong with it', async () => {
  await start({});
  const { code, body } = await runDo(daemon, '-m', 'x'.repeat(300), 'hi');
  expect(code).toBe(2);
  expect(body).toMatchObject({ error: expect.stringMatching(/^Invalid request body \(model: .*256/), exit_code: 2 });
  expect(lmx.requests).toEqual([]);
});
