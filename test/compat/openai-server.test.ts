import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RealDaemon, startDaemon } from './daemon.ts';
import { expectLogAgrees, runDo } from './do.ts';

/**
 * Against an OpenAI-compatible server that somebody else wrote. `node scripts/real-server.mjs check` installs one, starts it
 * where there is no network but loopback, and runs this; any other that listens on loopback will do.
 */
const given = process.env.OPTA_TEST_OPENAI_SERVER ?? '';
const absent = given === '' ? ' (skipped: OPTA_TEST_OPENAI_SERVER names no server)' : '';
// The reporter counts what was skipped; the reason is told here.
if (absent !== '') process.stderr.write(`openai-server.test.ts${absent}\n`);

const placeOf = (url: string): { port: number } => {
  const { protocol, hostname, port, pathname } = new URL(url);
  if (protocol !== 'http:' || !['127.0.0.1', 'localhost', '[::1]'].includes(hostname)) {
    throw new Error(`OPTA_TEST_OPENAI_SERVER must be http on loopback, not ${url}`);
  }
  if (!['/', '/v1', '/v1/'].includes(pathname)) throw new Error('its paths must begin with /v1');
  return { port: Number(port) };
};

// A model on a busy processor takes its time over a long prompt.
describe.skipIf(given === '')(`somebody else's OpenAI-compatible server${absent}`, { timeout: 180_000 }, () => {
  let daemon: RealDaemon;
  let models: string[];
  /** Ours may stand in front of it, or have the model itself. */
  let provider: string;
  beforeAll(async () => {
    const { port } = placeOf(given);
    const listed = (await (await fetch(`http://127.0.0.1:${port}/v1/models`)).json()) as { data: { id: string }[] };
    models = listed.data.map((m) => m.id);
    provider = (await fetch(`http://127.0.0.1:${port}/.well-known/opta-lmx`)).ok ? 'lmx' : 'openai-compatible';
    daemon = await startDaemon(port);
  });
  afterAll(() => daemon?.stop());

  test('[AU1] opta do --format json gives one correct line of JSON', async () => {
    const { code, body } = await runDo(daemon, 'Name', 'three', 'trees');
    process.stderr.write(`stdout was: ${JSON.stringify(body)}\n`);
    expect(code).toBe(0);
    expect(body).toMatchObject({ tool_calls: expect.any(Number), exit_code: 0, status: 'completed' });
    expect(models).toContain(body.model);
    expect(body.result.trim()).not.toBe('');
    const events = await expectLogAgrees(daemon, body);
    expect(events.filter((f) => f.event === 'turn.token').length).toBeGreaterThan(0);
    expect(events.find((f) => f.event === 'turn.progress')?.payload).toMatchObject({ provider });
    expect(events.at(-1)?.payload).toMatchObject({ stats: { completionTokens: expect.any(Number) } });
  });

  test('a second turn of the same session sends the first along', async () => {
    const first = await runDo(daemon, 'One');
    const second = await runDo(daemon, '--session', first.body.session_id, 'Two');
    expect(second).toMatchObject({ code: 0, body: { session_id: first.body.session_id, status: 'completed' } });
    const done = (await expectLogAgrees(daemon, second.body)).at(-1);
    expect(done?.payload).toMatchObject({ stats: { promptTokens: expect.any(Number) } });
    const { messages } = (await daemon.get(`/v3/sessions/${first.body.session_id}`)).body as { messages: unknown[] };
    expect(messages).toMatchObject([
      { role: 'user', content: 'One' },
      { role: 'assistant', content: first.body.result },
      { role: 'user', content: 'Two' },
      { role: 'assistant', content: second.body.result },
    ]);
  });

  test('[IN6] a model that it does not have is a failure with its own exit code, never another model', async () => {
    const { code, body } = await runDo(daemon, '--model', 'no-such-model-anywhere', 'Hello');
    expect(code).toBe(body.exit_code);
    expect(code).not.toBe(0);
    expect(body).toMatchObject({ error: expect.any(String), code: expect.any(String) });
    expect(body).not.toHaveProperty('result');
  });
});
