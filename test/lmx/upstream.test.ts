import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { CallDelta, GenerateRequest, TokenUsage } from '../../src/lmx/engine.ts';
import { createUpstream } from '../../src/lmx/engines/upstream.ts';
import type { LmxError } from '../../src/lmx/errors.ts';
import { createGateway } from '../../src/lmx/gateway-system.ts';
import { newId, realClock } from '../../src/platform.ts';
import { MODEL, type Served, serve } from './server-world.ts';
import { Heard, SILENT, words } from './world.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Said {
  text: string;
  reasoning: string;
  calls: CallDelta[];
  end: { finishReason: string; usage: TokenUsage | null } | null;
  error: LmxError | null;
  cancel(): void;
  over: Promise<void>;
}

const upstreamOf = (port: number, more: object = {}) => {
  const engine = createUpstream(
    { host: '127.0.0.1', port, loopbackOnly: true, ...more },
    { clock: realClock, log: SILENT },
  );
  closing.push(() => new Promise<void>((resolve) => engine.close(resolve)));
  return engine;
};

const ask = (engine: ReturnType<typeof upstreamOf>, fields: Partial<GenerateRequest> = {}): Said => {
  let finish = (): void => undefined;
  const said: Said = {
    text: '',
    reasoning: '',
    calls: [],
    end: null,
    error: null,
    cancel: () => generation.cancel(),
    over: new Promise((resolve) => {
      finish = resolve;
    }),
  };
  const generation = engine.generate(
    { model: MODEL, messages: [{ role: 'user', content: 'go' }], ...fields },
    {
      text: (delta) => {
        said.text += delta;
      },
      reasoning: (delta) => {
        said.reasoning += delta;
      },
      call: (delta) => void said.calls.push(delta),
      end: (result) => {
        said.end = result;
        finish();
      },
      fail: (error) => {
        said.error = error;
        finish();
      },
    },
  );
  return said;
};

/** A server that says to each request what it is told to. */
const raw = async (
  answer: (path: string, body: string) => { status?: number; headers?: object; text: string; tear?: boolean },
): Promise<number> => {
  const server: Server = createServer((req, res) => {
    const parts: Buffer[] = [];
    req.on('data', (b) => parts.push(b));
    req.on('end', () => {
      const { status = 200, headers = {}, text, tear } = answer(req.url ?? '', Buffer.concat(parts).toString());
      res.writeHead(status, { 'content-type': 'text/event-stream', ...headers });
      res.write(text);
      if (tear) setTimeout(() => res.destroy(), 20);
      else res.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
};
const chunk = (delta: object, more: object = {}) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null }], ...more })}\n\n`;
const end = (reason: string, usage?: object) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: reason }], ...(usage ? { usage } : {}) })}\n\ndata: [DONE]\n\n`;

describe('an upstream', () => {
  const ours = async (
    script: Parameters<typeof serve>[1],
    options: Parameters<typeof serve>[2] = {},
  ): Promise<Served> => {
    const served = await serve('ws', script, options);
    closing.push(() => served.close());
    return served;
  };

  test('[LG1] passes on text, reasoning, pieces of calls, usage and the reason to stop', async () => {
    const s = await ours(() => [
      { reasoning: 'hm ' },
      ...words(3),
      { call: { index: 0, id: 'c1', name: 'add', arguments: '{"a":' } },
      { call: { index: 0, arguments: '1}' } },
      { call: { index: 1, id: 'c2', name: 'sub', arguments: '{}' } },
    ]);
    const said = ask(upstreamOf(s.server.port), { temperature: 0, seed: 7, stop: ['x'], maxTokens: 50 });
    await said.over;
    expect(said).toMatchObject({ text: 'w0 w1 w2 ', reasoning: 'hm ', error: null });
    expect(said.calls).toEqual([
      { index: 0, id: 'c1', name: 'add', arguments: '{"a":' },
      { index: 0, arguments: '1}' },
      { index: 1, id: 'c2', name: 'sub', arguments: '{}' },
    ]);
    expect(said.end).toEqual({ finishReason: 'tool_calls', usage: { promptTokens: 1, completionTokens: 7 } });
    expect(s.engine.requests.at(-1)).toMatchObject({ temperature: 0, seed: 7, stop: ['x'], maxTokens: 50 });
  });

  test('[LG3] is left at once when the answer is not wanted any more', async () => {
    const s = await ours(() => words(500, 10));
    const said = ask(upstreamOf(s.server.port));
    while (said.text === '') await sleep(5);
    said.cancel();
    const at = performance.now();
    while (s.engine.active() > 0 && performance.now() - at < 1_000) await sleep(1);
    expect(performance.now() - at).toBeLessThan(100);
    const { text } = said;
    await sleep(50);
    expect([said.text, said.end, said.error]).toEqual([text, null, null]);
  });

  test('[LG13] that dies in the middle fails the answer once; behind a gateway it comes back by itself', async () => {
    const s = await ours(() => words(50, 20));
    const { port } = s.server;
    const engine = upstreamOf(port, { refreshMs: 50 });
    const gateway = createGateway(
      { limits: { restartBaseMs: 20, restartMaxMs: 50 } },
      { engine, clock: realClock, log: SILENT, newId: () => newId() },
    );
    const until = async (what: () => boolean): Promise<void> => {
      for (let i = 0; i < 500 && !what(); i++) await sleep(10);
      expect(what()).toBe(true);
    };
    await until(() => gateway.models()[0]?.readiness === 'routable');
    expect(gateway.models()).toMatchObject([{ id: MODEL, contextLength: 4_096 }]);
    const heard = new Heard();
    gateway.submit(
      { model: MODEL, messages: [{ role: 'user', content: 'go' }] },
      { client: 'c', priority: 'normal' },
      heard,
    );
    await until(() => heard.text_ !== '');
    s.engine.crash(MODEL, 'killed');
    await until(() => heard.outcome !== null);
    expect(heard.outcome).toBe('failed engine_failed');
    // The model of the upstream comes back by itself, and ours follows its list.
    await until(() => gateway.models()[0]?.readiness !== 'routable');
    await until(() => gateway.models()[0]?.readiness === 'routable');
    await s.close();
    await until(() => gateway.models()[0]?.readiness !== 'routable');
    const refused = new Heard();
    gateway.submit({ model: MODEL, messages: [] }, { client: 'c', priority: 'normal' }, refused);
    await until(() => refused.outcome !== null);
    expect(refused.outcome).toBe('refused engine_unavailable');
    const again = await serve('ws', () => words(3), { port });
    closing.push(() => again.close());
    await until(() => gateway.models()[0]?.readiness === 'routable');
  });

  test('of another kind: calls without a place, arguments as an object, a whole answer in place of a stream', async () => {
    const port = await raw((_path, body) =>
      JSON.parse(body).messages[0].content === 'whole'
        ? {
            headers: { 'content-type': 'application/json' },
            text: JSON.stringify({
              choices: [{ index: 0, message: { content: 'all of it' }, finish_reason: 'stop' }],
              usage: { prompt_tokens: 3, completion_tokens: 4 },
            }),
          }
        : {
            text:
              chunk({ tool_calls: [{ id: 'a', function: { name: 'f', arguments: { x: 1 } } }] }) +
              chunk({ tool_calls: [{ index: 0, id: 'b', function: { name: 'g', arguments: '{"y"' } }] }) +
              chunk({ tool_calls: [{ index: 0, id: 'b', function: { name: 'g', arguments: ':2}' } }] }) +
              end('stop'),
          },
    );
    const engine = upstreamOf(port);
    const said = ask(engine);
    await said.over;
    expect(said.calls).toEqual([
      { index: 0, id: 'a', name: 'f', arguments: '{"x":1}' },
      { index: 1, id: 'b', name: 'g', arguments: '{"y"' },
      { index: 1, arguments: ':2}' },
    ]);
    expect(said.end).toEqual({ finishReason: 'tool_calls', usage: null });
    const whole = ask(engine, { messages: [{ role: 'user', content: 'whole' }] });
    await whole.over;
    expect(whole).toMatchObject({ text: 'all of it', end: { usage: { promptTokens: 3, completionTokens: 4 } } });
  });

  test.each([
    [429, { error: { message: 'slow down', code: 'rate_limit_exceeded' } }, 'rate_limit_exceeded'],
    [503, { error: { message: 'loading' } }, 'overloaded'],
    [401, { error: { message: 'no' } }, 'engine_failed'],
    [404, { error: { message: "The model 'x' does not exist" } }, 'model_not_found'],
    [400, { error: { message: "This model's maximum context length is 10 tokens" } }, 'context_length_exceeded'],
    [400, { error: { message: 'bad' } }, 'invalid_request'],
    [507, { error: { message: 'memory' } }, 'insufficient_memory'],
    [500, { error: { message: 'oops' } }, 'engine_failed'],
    [302, {}, 'engine_failed'],
  ] as const)('that answers %i is told in our codes', async (status, body, code) => {
    const port = await raw(() => ({
      status,
      headers: { 'retry-after': '3', location: 'http://127.0.0.1:1/' },
      text: JSON.stringify(body),
    }));
    const said = ask(upstreamOf(port));
    await said.over;
    expect(said.error?.code).toBe(code);
    if (status === 429 || status === 503) expect(said.error?.retryAfterMs).toBe(3_000);
  });

  test('that breaks off, or says nothing that can be read, fails the answer and keeps what came', async () => {
    for (const answer of [
      { text: chunk({ content: 'half' }), tear: true },
      { text: chunk({ content: 'half' }) },
      { text: `${chunk({ content: 'half' })}data: {nope\n\n` },
    ]) {
      const said = ask(upstreamOf(await raw(() => answer)));
      await said.over;
      expect([said.text, said.error?.code]).toEqual(['half', 'engine_failed']);
    }
  });

  test('beyond loopback is not asked where loopback is all there is', async () => {
    const said = ask(upstreamOf(80, { host: '192.0.2.1' }));
    await said.over;
    expect(said.error?.code).toBe('engine_failed');
    expect(said.error?.message).toContain('loopback');
  });
});
