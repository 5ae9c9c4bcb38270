import { expect, test } from 'vitest';
import { failureOf, fromServer, fromSocket, retryAfterOf } from '../../src/inference/error-map.ts';
import { closeError } from '../../src/inference/lmx-ws.ts';
import { startFakeLmx } from '../support/fake-lmx.ts';
import { ask, lmxAt, run } from './bench.ts';

test.each([
  ['its code before its status', { error: { code: 'model_not_found', message: 'x' } }, 500, 'no-model-loaded'],
  ['model_not_loaded', { error: { code: 'model_not_loaded' } }, 404, 'no-model-loaded'],
  ['a 404 about a model', { error: { message: "model 'q' not found", type: 'api_error' } }, 404, 'no-model-loaded'],
  [
    'a 404 in words of another',
    { object: 'error', message: 'The model `q` does not exist.', code: 404 },
    404,
    'no-model-loaded',
  ],
  ['a 404 about a path', { detail: 'Not Found' }, 404, 'lmx-request-rejected'],
  ['401', { detail: 'no key' }, 401, 'lmx-unauthorized'],
  ['403', 'forbidden', 403, 'lmx-unauthorized'],
  ['429', { error: 'Rate limit exceeded: 5 per minute' }, 429, 'lmx-busy'],
  ['503', { error: { code: 'overloaded', message: 'm' } }, 503, 'lmx-busy'],
  ['507', { error: { code: 'insufficient_memory' } }, 507, 'lmx-out-of-memory'],
  ['507 without a body', undefined, 507, 'lmx-out-of-memory'],
  ['504', undefined, 504, 'lmx-timeout'],
  ['400', { error: { code: 'context_length_exceeded' } }, 400, 'lmx-request-rejected'],
  ['422', { detail: [{ loc: ['body'], msg: 'field required' }] }, 422, 'lmx-request-rejected'],
  ['500', { error: { code: 'internal_error', message: 'oops' } }, 500, 'lmx-protocol'],
  ['a frame with a status', { type: 'chat.error', error: 'x', status: 429 }, undefined, 'lmx-busy'],
  ['a frame with text alone', { type: 'chat.error', error: "Model 'q' is not loaded" }, undefined, 'no-model-loaded'],
  ['a busy frame with text alone', { type: 'chat.error', error: 'Server busy' }, undefined, 'lmx-busy'],
  ['a frame of nothing', { type: 'chat.error' }, undefined, 'lmx-protocol'],
])('[IN4] %s', (_, body, status, code) => {
  expect(fromServer(failureOf(body, status)).code).toBe(code);
});

test.each([
  ['ECONNREFUSED', 'lmx-connection-refused'],
  ['ENOTFOUND', 'lmx-connection-refused'],
  ['EHOSTUNREACH', 'lmx-connection-refused'],
  ['ETIMEDOUT', 'lmx-timeout'],
  ['ECONNRESET', 'lmx-ws-closed'],
  ['EPIPE', 'lmx-ws-closed'],
  ['HPE_INVALID_CONSTANT', 'lmx-protocol'],
  ['WS_ERR_INVALID_UTF8', 'lmx-protocol'],
])('[IN4] the socket error %s is %s', (code, mapped) => {
  expect(fromSocket(Object.assign(new Error('x'), { code }), 'there').code).toBe(mapped);
});

test.each([
  [1000, 'lmx-ws-closed'],
  [1001, 'lmx-ws-closed'],
  [1006, 'lmx-ws-closed'],
  [1009, 'lmx-request-rejected'],
  [4401, 'lmx-unauthorized'],
  [4429, 'lmx-busy'],
])('[IN4] a close with %i is %s', (close, code) => {
  expect(closeError(close, '').code).toBe(code);
});

test('[IN4] the hint when to come back, in each of its forms', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  expect(retryAfterOf('3', now)).toBe(3000);
  expect(retryAfterOf('Thu, 01 Jan 2026 00:00:07 GMT', now)).toBe(7000);
  expect(retryAfterOf('Wed, 31 Dec 2025 00:00:00 GMT', now)).toBe(0);
  expect(retryAfterOf('soon', now)).toBeUndefined();
  expect(retryAfterOf(undefined, now)).toBeUndefined();
  expect(failureOf({ error: 'x', retry_after_ms: 1500 }).retryAfterMs).toBe(1500);
  expect(failureOf({ error: { message: 'x', retry_after: 2 } }).retryAfterMs).toBe(2000);
  expect(failureOf({ error: 'x', retry_after_ms: -5 }).retryAfterMs).toBeUndefined();
  expect(fromServer({ status: 429, retryAfterMs: 1e12 }).facts.retryAfterMs).toBe(120_000);
});

test('[IN4] what a server says is clipped', () => {
  expect(fromServer({ message: 'x'.repeat(1e6), code: 'y'.repeat(1e6) }).message.length).toBeLessThan(600);
  expect(String(fromServer({ code: 'y'.repeat(1e6) }).facts.serverCode).length).toBeLessThan(600);
});

const directives = [
  ['busy', { error: 'busy', code: 'rate_limit_exceeded', status: 429, retryAfter: 2 }, 'lmx-busy', 2000],
  ['out of memory', { error: 'm', code: 'insufficient_memory', status: 507 }, 'lmx-out-of-memory', undefined],
  ['no such model', { error: 'm', code: 'model_not_found', status: 404 }, 'no-model-loaded', undefined],
  ['a bad request', { error: 'm', code: 'context_length_exceeded', status: 400 }, 'lmx-request-rejected', undefined],
] as const;
test.each([true, false])(
  '[IN4] [IC6] the same failures on both wires (ws: %s), without a second request',
  async (ws) => {
    const fake = await startFakeLmx({ ws });
    const engine = lmxAt(fake.port);
    for (const [name, directive, code, retryAfterMs] of directives) {
      const seen = run(engine, ask(`@@${JSON.stringify(directive)}@@`));
      await seen.over;
      expect([name, ...seen.events]).toEqual([name, `fail:${code}`]);
      expect(seen.fail?.facts.retryAfterMs).toBe(retryAfterMs);
    }
    // [AU3] One request each: an error is surfaced, on the wire that it came from, and WebSockets stay in use.
    expect(fake.requests.map((r) => r.channel)).toEqual(directives.map(() => (ws ? 'ws' : 'sse')));
    engine.close();
    await fake.close();
  },
);

test('[IN4] nobody listens', async () => {
  const fake = await startFakeLmx();
  await fake.close();
  const seen = run(lmxAt(fake.port), ask('x'));
  await seen.over;
  expect(seen.events).toEqual(['fail:lmx-connection-refused']);
});

test.each([401, 403, 429, 503])(
  '[IN4] a WebSocket handshake refused with %i is not a reason to try elsewhere',
  async (status) => {
    const fake = await startFakeLmx({ ws: status });
    const engine = lmxAt(fake.port);
    const seen = run(engine, ask('x'));
    await seen.over;
    expect(seen.events).toEqual([status < 429 ? 'fail:lmx-unauthorized' : 'fail:lmx-busy']);
    if (status >= 429) expect(seen.fail?.facts.retryAfterMs).toBe(3000);
    expect(fake.requests).toEqual([]);
    expect(engine.status().wsOffUntil).toBeNull();
    await fake.close();
  },
);
