import { expect, test } from 'vitest';
import { LmxEndpoint } from '../../src/inference/lmx-endpoint.ts';
import { distrust, readDiscovery } from '../../src/inference/lmx-identity.ts';
import { chooseModel } from '../../src/inference/model-match.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { startFakeLmx } from '../support/fake-lmx.ts';
import { ask, handClock, lmxAt, run } from './bench.ts';

const far = { host: '192.0.2.1', port: 1234 };
const lmx = readDiscovery({
  status: 200,
  body: { service: 'opta-lmx', loaded_models: ['a', 7], endpoints: { websocket_url: 'ws://x/y' } },
});

test('[IN2] a server elsewhere gets a prompt only if something vouches for it', () => {
  const plain = readDiscovery({ status: 404, body: {} });
  expect(distrust(far, plain)?.code).toBe('lmx-untrusted');
  expect(distrust(far, plain)?.message).toMatch(/opta config set connection\.trusted true/);
  expect(distrust(far, lmx)).toBeNull();
  expect(distrust({ ...far, trusted: true }, plain)).toBeNull();
  expect(distrust({ ...far, trusted: false }, plain)?.code).toBe('lmx-untrusted');
  expect(distrust({ ...far, apiKey: 'k' }, plain)).toBeNull();
  expect(distrust({ ...far, apiKey: '' }, plain)?.code).toBe('lmx-untrusted');
  expect(distrust({ ...far, host: '::1' }, plain)).toBeNull();
});

test('[IN2] the engine asks before it trusts, and remembers a good answer only', () => {
  const answers = [
    { status: 404, body: {} },
    { status: 503, body: {} },
    { status: 200, body: { service: 'opta-lmx' } },
  ];
  const asked: unknown[] = [];
  const server = { ...far, loopbackOnly: false };
  const endpoint = new LmxEndpoint(server, handClock(), (at, path, key, _, done) => {
    asked.push([at.host, path, key]);
    done(null, answers[asked.length - 1] ?? null);
  });
  const codes: unknown[] = [];
  for (let i = 0; i < 4; i++) {
    endpoint.identify((error, found) => codes.push(error?.code ?? found?.kind));
    if (i === 0) endpoint.forget();
  }
  expect(codes).toEqual(['lmx-untrusted', 'lmx-busy', 'lmx', 'lmx']);
  expect(asked).toEqual(Array.from({ length: 3 }, () => [far.host, '/.well-known/opta-lmx', undefined]));
});

test('[IN2] a server that could not be asked is not trusted either', () => {
  const silent = { kind: 'unknown', error: new OptaError('lmx-timeout', 'late') } as const;
  expect(distrust(far, silent)?.code).toBe('lmx-timeout');
  expect(distrust({ ...far, host: 'localhost' }, silent)).toBeNull();
});

test.each([
  [{ status: 200, body: { service: 'opta-lmx' } }, 'lmx'],
  [{ status: 200, body: { service: 'OPTA-LMX' } }, 'plain'],
  [{ status: 200, body: undefined }, 'plain'],
  [{ status: 200, body: null }, 'plain'],
  [{ status: 200, body: ['opta-lmx'] }, 'plain'],
  [{ status: 302, body: { service: 'opta-lmx' } }, 'plain'],
  [{ status: 404, body: { service: 'opta-lmx' } }, 'plain'],
  [{ status: 401, body: {} }, 'plain'],
  [{ status: 500, body: {} }, 'unknown'],
  [{ status: 429, body: {} }, 'unknown'],
])('[IN2] %j identifies as %s', (answer, kind) => {
  expect(readDiscovery(answer).kind).toBe(kind);
});

test('[IN2] discovery gives the models and the path, or neither', () => {
  expect(lmx).toEqual({ kind: 'lmx', wsPath: '/y', loadedModels: ['a'], can: { multiplex: false, keepalive: false } });
  expect(
    readDiscovery({ status: 200, body: { service: 'opta-lmx', endpoints: { websocket_url: null } } }),
  ).toMatchObject({ wsPath: null });
});

test('[IN2] identity is asked once, then again after a transport failure', async () => {
  const fake = await startFakeLmx();
  const engine = lmxAt(fake.port);
  await Promise.all([run(engine, ask('a')).over, run(engine, ask('b')).over]);
  await run(engine, ask('c')).over;
  const asked = () => fake.paths.filter((p) => p.includes('well-known')).length;
  expect(asked()).toBe(1);
  const torn = run(engine, ask('@@{"dieAfter":1}@@'));
  await torn.over;
  expect(torn.fail?.code).toBe('lmx-ws-closed');
  await run(engine, ask('d')).over;
  expect(asked()).toBe(2);
  engine.close();
  await fake.close();
});

test('[IN2] the key goes with the models and the prompt, never with the question who is there', async () => {
  const keys: unknown[] = [];
  const fake = await startFakeLmx({
    apiKey: 'right',
    onHttp: (req) => {
      keys.push([req.url, req.headers.authorization]);
      return false;
    },
  });
  const engine = lmxAt(fake.port, { apiKey: 'right' });
  await run(engine, ask('a')).over;
  expect(keys).toEqual([
    ['/.well-known/opta-lmx', undefined],
    ['/v1/models', 'Bearer right'],
  ]);
  expect(fake.requests[0]?.headers.authorization).toBe('Bearer right');
  const wrong = run(lmxAt(fake.port, { apiKey: 'wrong' }), ask('a'));
  await wrong.over;
  expect(wrong.events).toEqual(['fail:lmx-unauthorized']);
  expect(JSON.stringify([wrong.fail?.message, wrong.fail?.facts])).not.toContain('wrong');
  engine.close();
  await fake.close();
});

test.each([
  ['org/Model-7B', ['org/model-7b'], 'org/model-7b'],
  ['Model-7B', ['org/model-70b', 'org/model-7b'], 'org/model-7b'],
  ['other/model-7b', ['org/model-7b'], 'org/model-7b'],
  ['llama3', ['llama3:latest', 'llama3:70b'], 'llama3:latest'],
  ['a', ['A', 'a'], 'a'],
  ['', ['first', 'second'], 'first'],
  ['x', null, 'x'],
  ['auto', ['first'], 'auto'],
  ['preset:coder', [], 'preset:coder'],
])('[IN6] model %j among %j is %j', (wanted, listed, chosen) => {
  expect(chooseModel(wanted, listed, true)).toBe(chosen);
});

test.each([
  ['7b', ['org/model-7b']],
  ['model-7', ['model-7b', 'model-70b']],
  ['m', ['a/m', 'b/m']],
  ['x', []],
  ['', []],
  ['', null],
])('[IN6] model %j among %j is not loaded, and the error says what is', (wanted, listed) => {
  try {
    chooseModel(wanted, listed, true);
    expect.unreachable();
  } catch (e) {
    expect((e as OptaError).code).toBe('no-model-loaded');
    expect((e as OptaError).facts.loaded).toEqual(listed ?? []);
  }
});

test('[IN6] an ambiguous name is an error, not a guess', () => {
  expect(() => chooseModel('m', ['a/m', 'b/M', 'm:latest'], true)).toThrow(/fits several loaded models: a\/m, b\/M/);
});

test('[IN6] a server-side name is nothing special to a plain server', () => {
  expect(() => chooseModel('auto', ['a'], false)).toThrow(/not loaded/);
});

test('[IN6] [IC9] the session model is the one that is sent, and the list is asked again after 10 s', async () => {
  const fake = await startFakeLmx({ models: ['org/one', 'org/two'] });
  const clock = handClock();
  const engine = lmxAt(fake.port, { clock });
  const seen = run(engine, ask('a', { model: 'two' }));
  await seen.over;
  expect(fake.requests[0]?.body.model).toBe('org/two');
  expect(seen.accepted?.model).toBe('org/two');
  fake.options.models = ['org/three'];
  const cached = run(engine, ask('a'));
  await cached.over;
  expect(fake.requests[1]?.body.model).toBe('org/one');
  clock.advance(10_001);
  await run(engine, ask('a')).over;
  expect(fake.requests[2]?.body.model).toBe('org/three');
  engine.close();
  await fake.close();
});
