import { afterEach, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { Lmx } from '../../src/inference/lmx.ts';
import { type FakeLmx, type FakeLmxOptions, startFakeLmx } from '../support/fake-lmx.ts';
import { ask, handClock, lmxAt, run, until } from './bench.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});
const server = async (options: FakeLmxOptions = {}): Promise<FakeLmx> => {
  const fake = await startFakeLmx(options);
  open.push(() => fake.close());
  return fake;
};
const engine = (port: number, config: Parameters<typeof lmxAt>[1] = {}): Lmx => {
  const lmx = lmxAt(port, config);
  open.push(() => lmx.close());
  return lmx;
};
const at = (port: number, apiKey?: string) => ({
  host: '127.0.0.1',
  port,
  loopbackOnly: true,
  ...(apiKey === undefined ? {} : { apiKey }),
});
/** A port at which nothing answers. */
const deadPort = async (): Promise<number> => {
  const fake = await startFakeLmx();
  await fake.close();
  return fake.port;
};
const say = (directive: object) => `@@${JSON.stringify(directive)}@@`;

/** What a server of the new kind says of itself. */
const NEW = { capabilities: ['accepted', 'keepalive', 'multiplex'] };
const sockets = (fake: FakeLmx) => fake.paths.filter((p) => p.startsWith('UPGRADE')).length;

test('[IC1] the first host is down: the second is used within 2 s, and the first again when it is back', async () => {
  const down = await deadPort();
  const second = await server();
  const lmx = engine(down, { fallbacks: [at(second.port)] });
  const startedAt = performance.now();
  const seen = run(lmx, ask('hello'));
  await seen.over;
  expect(seen.end?.finishReason).toBe('stop');
  expect(performance.now() - startedAt).toBeLessThan(2_000);
  expect(lmx.status()).toMatchObject({
    port: second.port,
    hosts: [
      {
        port: down,
        selected: false,
        awaySince: expect.any(Number),
        reason: expect.stringContaining('Nothing answers'),
      },
      { port: second.port, selected: true, awaySince: null },
    ],
  });
});

test('[IC1] a failure in mid-run moves the next call to the other host; nothing of the first answer is sent again', async () => {
  const [first, second] = [await server(), await server()];
  const lmx = engine(first.port, { fallbacks: [at(second.port)] });
  const torn = run(lmx, ask(say({ dieAfter: 2 })));
  await torn.over;
  expect([torn.text, torn.fail?.code]).toEqual([' tok0 tok1', 'lmx-ws-closed']);
  expect([first.requests.length, second.requests.length]).toEqual([1, 0]);
  await first.close();
  const next = run(lmx, ask('hello'));
  await next.over;
  expect(next.end?.finishReason).toBe('stop');
  expect(second.requests.length).toBe(1);
});

test('[IC1] a host that answers questions and fails answers is passed over after two failures', async () => {
  const clock = handClock();
  const [bad, good] = [await server(), await server()];
  const lmx = engine(bad.port, { clock, fallbacks: [at(good.port)] });
  for (let i = 0; i < LIMITS.inferenceHostFailuresMax; i++) {
    const seen = run(lmx, ask(say({ dieAfter: 0, dieTimes: -1 })));
    await until(() => bad.requests.length === i + 1);
    await seen.over;
    expect(seen.fail?.code).toBe('lmx-ws-closed');
  }
  const seen = run(lmx, ask('hello'));
  // Both are asked; the one that was passed over is not waited for.
  await until(() => good.requests.length === 1);
  await seen.over;
  expect(seen.end?.finishReason).toBe('stop');
});

test('[IC1] when no host answers, the failure is that of the first', async () => {
  const [a, b] = [await deadPort(), await deadPort()];
  const seen = run(engine(a, { fallbacks: [at(b)] }), ask('hello'));
  await seen.over;
  expect(seen.fail?.code).toBe('lmx-connection-refused');
  expect(seen.fail?.message).toContain(String(a));
});

test('[IC8] each host sees its own key and no other', async () => {
  const keys: unknown[] = [];
  const note = (name: string): FakeLmxOptions => ({
    onHttp: (req) => {
      if (req.headers.authorization) keys.push([name, req.headers.authorization]);
      return false;
    },
  });
  const [first, second] = [await server(note('first')), await server(note('second'))];
  const lmx = engine(first.port, { apiKey: 'one', fallbacks: [at(second.port, 'two')] });
  await run(lmx, ask('a')).over;
  await first.close();
  await run(lmx, ask('b')).over;
  const last = run(lmx, ask('c'));
  await last.over;
  expect(last.end?.finishReason).toBe('stop');
  expect(new Set(keys.map(String))).toEqual(new Set(['first,Bearer one', 'second,Bearer two']));
  expect(first.requests.map((r) => r.headers.authorization)).toEqual(['Bearer one']);
  expect(new Set(second.requests.map((r) => r.headers.authorization))).toEqual(new Set(['Bearer two']));
});

test('[IN8] requests to a server that can share one socket, and do not mix', async () => {
  const fake = await server({ discovery: NEW, accepts: true });
  const lmx = engine(fake.port);
  await run(lmx, ask('first')).over;
  const seen = Array.from({ length: 8 }, (_, i) =>
    run(lmx, ask(say({ text: `answer number ${i} of eight`, tps: 200 }), { turnId: `t${i}` })),
  );
  await Promise.all(seen.map((s) => s.over));
  expect(seen.map((s) => s.text.trim())).toEqual(seen.map((_, i) => `answer number ${i} of eight`));
  expect(sockets(fake)).toBe(1);
  // The socket of a server that cannot is its request's own.
  const old = await server();
  const other = engine(old.port);
  await Promise.all([run(other, ask('a')).over, run(other, ask('b')).over]);
  expect(sockets(old)).toBe(2);
});

test('[IN8] a cancel on a shared socket is told, and the other request goes on', async () => {
  const fake = await server({ discovery: NEW, accepts: true });
  const lmx = engine(fake.port);
  const [a, b] = [
    run(lmx, ask(say({ tokens: 50, tps: 200 }))),
    run(lmx, ask(say({ tokens: 50, tps: 200 }), { turnId: 't2' })),
  ];
  await until(() => a.text.length > 20);
  a.stream.cancel();
  const had = a.events.length;
  await b.over;
  expect(b.end?.finishReason).toBe('stop');
  expect(a.events.length).toBe(had);
  expect(fake.cancels).toMatchObject([
    { channel: 'ws', how: 'frame', clientRequestId: expect.stringMatching(/^t1\.1\./) },
  ]);
});

test('[IN8] a shared socket that breaks fails each of its requests once, and the next has a new one', async () => {
  const fake = await server({ discovery: NEW, accepts: true });
  const lmx = engine(fake.port);
  const calm = run(lmx, ask(say({ tokens: 200, tps: 100 }), { turnId: 't2' }));
  await until(() => calm.text !== '');
  const torn = run(lmx, ask(say({ dieAfter: 2 })));
  await Promise.all([torn.over, calm.over]);
  for (const s of [torn, calm]) {
    expect(s.fail?.code).toBe('lmx-ws-closed');
    expect(s.events.filter((e) => /^(?:fail|end)/.test(e))).toHaveLength(1);
  }
  expect(fake.requests).toHaveLength(2);
  const next = run(lmx, ask('hello', { turnId: 't3' }));
  await next.over;
  expect(next.end?.finishReason).toBe('stop');
  expect(sockets(fake)).toBe(2);
});

test('[SV3] on a shared socket one session that does not keep up holds up no other, and loses nothing', async () => {
  const fake = await server({ discovery: NEW, accepts: true });
  const lmx = engine(fake.port);
  const slow = run(lmx, ask(say({ tokens: 300 })));
  await until(() => slow.text !== '');
  slow.stream.pause();
  const had = slow.text;
  const other = run(lmx, ask(say({ tokens: 20 }), { turnId: 't2' }));
  await other.over;
  expect(other.end?.finishReason).toBe('stop');
  expect(slow.text).toBe(had);
  slow.stream.resume();
  await slow.over;
  expect(slow.text).toBe(Array.from({ length: 300 }, (_, i) => ` tok${i}`).join(''));
});

test('[SV2] a shared socket without a request is closed after a while', async () => {
  const clock = handClock();
  const fake = await server({ discovery: NEW, accepts: true });
  const lmx = engine(fake.port, { clock });
  await run(lmx, ask('hello')).over;
  await until(() => fake.connections() === 1);
  clock.advance(LIMITS.inferenceLinkIdleMs + 1);
  await until(() => fake.connections() === 0);
});

test('[IC3] 45 s without text and with signs of life is no time-out; without them it is one, once, and the server is told', async () => {
  const clock = handClock();
  let silent = false;
  const fake = await server({
    discovery: NEW,
    onChat: (ws, { body }) => {
      const ids = { request_id: 'r1', client_request_id: body.client_request_id };
      ws.send(JSON.stringify({ type: 'chat.accepted', ...ids, model: 'fake-model' }));
      ws.on('message', (data) => {
        if (String(data).includes('tick') && !silent)
          ws.send(JSON.stringify({ type: 'chat.keepalive', ...ids, phase: 'prefill' }));
      });
      peers.push((frame) => ws.send(JSON.stringify({ ...ids, ...frame })));
      return true;
    },
  });
  const peers: ((frame: object) => void)[] = [];
  const lmx = engine(fake.port, { clock });
  const kept = run(lmx, ask('hello'));
  await until(() => kept.events.includes('accepted'));
  for (let s = 0; s < 45; s += 9) {
    clock.advance(9_000);
    peers[0]?.({ type: 'chat.keepalive', phase: 'prefill', elapsed_ms: s * 1_000 });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(kept.fail).toBe(null);
  peers[0]?.({ type: 'chat.token', content: 'late' });
  await until(() => kept.text === 'late');
  silent = true;
  clock.advance(LIMITS.inferenceFrameGapMs + 1);
  await kept.over;
  expect([kept.text, kept.fail?.code]).toEqual(['late', 'lmx-timeout']);
  expect(fake.requests).toHaveLength(1);
});

test('[IC3] a server that promises to accept at once and does not is not waited for', async () => {
  const clock = handClock();
  const fake = await server({ discovery: NEW, onChat: () => true });
  const seen = run(engine(fake.port, { clock }), ask('hello'));
  await until(() => fake.requests.length === 1);
  clock.advance(LIMITS.inferenceAcceptMs + 1);
  await seen.over;
  expect(seen.fail?.code).toBe('lmx-timeout');
});

test('[IC2] a server that is busy is not asked over the other wire, and WebSockets stay in use', async () => {
  const fake = await server({
    reply: ({ body }) =>
      body.messages?.[0]?.content === 'busy'
        ? { error: 'busy', code: 'overloaded', status: 503, retryAfter: 2 }
        : undefined,
  });
  const lmx = engine(fake.port);
  const busy = run(lmx, ask('busy'));
  await busy.over;
  expect(busy.fail?.code).toBe('lmx-busy');
  await run(lmx, ask('hello')).over;
  expect(fake.requests.map((r) => r.channel)).toEqual(['ws', 'ws']);
});

test('[IN3] whichever token a server dies at, over whichever wire, there is one outcome, the text that came, and no call', async () => {
  for (const options of [{}, { discovery: NEW, accepts: true }, { ws: false }] as FakeLmxOptions[]) {
    const fake = await server(options);
    const lmx = engine(fake.port);
    for (let n = 0; n <= 12; n++) {
      const seen = run(lmx, ask(say({ tokens: 12, dieAfter: n, dieTimes: -1 }), { turnId: `t${n}` }));
      await seen.over;
      const text = Array.from({ length: Math.min(n, 12) }, (_, i) => ` tok${i}`).join('');
      // A torn socket may take the last words with it; what came is a beginning.
      expect(` tok0${text}`.slice(5)).toContain(seen.text.slice(0, text.length));
      expect(seen.events.filter((e) => /^(?:fail|end)/.test(e))).toEqual([n < 12 ? 'fail:lmx-ws-closed' : 'end']);
    }
    expect(fake.requests).toHaveLength(13);
  }
});
