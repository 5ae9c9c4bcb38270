import { createServer as createHttp } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { Lmx } from '../../src/inference/lmx.ts';
import { type FakeLmx, type FakeLmxOptions, startFakeLmx } from '../support/fake-lmx.ts';
import { ask, handClock, lmxAt, run, until } from './bench.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});
const pair = async (
  options: FakeLmxOptions = {},
  config: Parameters<typeof lmxAt>[1] = {},
): Promise<{ fake: FakeLmx; lmx: Lmx }> => {
  const fake = await startFakeLmx(options);
  const lmx = lmxAt(fake.port, config);
  open.push(
    () => fake.close(),
    () => lmx.close(),
  );
  return { fake, lmx };
};
/** A server of bare sockets. */
const rawServer = async (onSocket: (socket: Socket) => void): Promise<number> => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    onSocket(socket);
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  open.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
};
const say = (directive: object) => `@@${JSON.stringify(directive)}@@`;

test.each([
  ['ws', true, false],
  ['ws', true, true],
  ['sse', false, false],
] as const)('[IN3] text, thinking, calls and usage over %s', async (channel, ws, accepts) => {
  const { fake, lmx } = await pair({ ws, accepts });
  const tools = [{ name: 'list_dir', description: 'd', parameters: { type: 'object' } }];
  const directive = { think: 'let me see', preText: 'I look. ', tools: [{ name: 'list_dir', args: { path: 'ä' } }] };
  const seen = run(lmx, ask(say(directive), { tools }));
  await seen.over;
  expect(seen.accepted).toEqual({ model: 'fake-model', provider: 'lmx' });
  expect([seen.thinking, seen.text]).toEqual(['let me see', 'I look. ']);
  expect(seen.end).toMatchObject({ finishReason: 'tool_calls', calls: [{ name: 'list_dir', args: '{"path":"ä"}' }] });
  expect(seen.end?.usage?.completionTokens).toBeGreaterThan(0);
  expect(seen.events.filter((e) => e === 'accepted' || e === 'end')).toEqual(['accepted', 'end']);
  expect(seen.events[0]).toBe('accepted');
  expect(fake.requests.map((r) => r.channel)).toEqual([channel]);
  expect(fake.requests[0]?.body.tools).toEqual([{ type: 'function', function: tools[0] }]);
  // An answer that ended is not cancelled, and its socket does not stay.
  await until(() => fake.connections() === 0);
  expect(fake.cancels).toEqual([]);
});

test.each([true, false])('[IN5] a long flood arrives whole and in order (ws: %s)', async (ws) => {
  const { lmx } = await pair({ ws });
  const seen = run(lmx, ask(say({ tokens: 5000, size: 40 })));
  await seen.over;
  expect(seen.text).toBe(Array.from({ length: 5000 }, (_, i) => ` tok${i}`.padEnd(40, 'x')).join(''));
});

test.each([404, 426, 501])(
  '[IN3] [IC2] a handshake answered with %i: event stream now, WebSockets again after 60 s',
  async (status) => {
    const clock = handClock();
    const { fake, lmx } = await pair({ ws: status }, { clock });
    const once = async () => {
      const seen = run(lmx, ask('hello'));
      await seen.over;
      expect(seen.end?.finishReason).toBe('stop');
    };
    const upgrades = () => fake.paths.filter((p) => p.startsWith('UPGRADE')).length;
    await once();
    await once();
    clock.advance(59_000);
    await once();
    expect([upgrades(), fake.requests.map((r) => r.channel)]).toEqual([1, ['sse', 'sse', 'sse']]);
    fake.options.ws = true;
    clock.advance(1_001);
    await once();
    expect([upgrades(), fake.requests.at(-1)?.channel]).toEqual([2, 'ws']);
  },
);

test('[IN3] a discovery page without a WebSocket, and none at all: no handshake is tried', async () => {
  for (const discovery of [{ endpoints: { websocket_url: null } }, false]) {
    const { fake, lmx } = await pair({ discovery });
    const seen = run(lmx, ask('hello'));
    await seen.over;
    expect(seen.accepted?.provider).toBe(discovery ? 'lmx' : 'openai-compatible');
    expect(fake.paths.filter((p) => p.startsWith('UPGRADE'))).toEqual([]);
  }
});

test('[IN6] a plain server without a list of models gets the name as it is', async () => {
  const { fake, lmx } = await pair({ discovery: false, listsModels: false });
  await run(lmx, ask('hello', { model: 'llama3.2:1b' })).over;
  expect(fake.requests[0]?.body.model).toBe('llama3.2:1b');
  const unnamed = run(lmx, ask('hello'));
  await unnamed.over;
  expect(unnamed.events).toEqual(['fail:no-model-loaded']);
});

test.each([
  ['1000', { tokens: 3, closeNoDone: 1000 }],
  ['1001', { tokens: 3, closeNoDone: 1001 }],
  ['1006', { tokens: 9, dieAfter: 3 }],
])(
  '[IN3] [IC4] a close with %s after content is no end: partial text, no call, no second request',
  async (_, directive) => {
    const { fake, lmx } = await pair();
    const seen = run(lmx, ask(say(directive)));
    await seen.over;
    expect([seen.text, seen.fail?.code, seen.end]).toEqual([' tok0 tok1 tok2', 'lmx-ws-closed', null]);
    expect(fake.requests.length).toBe(1);
  },
);

test.each([1000, 1006])('[IN3] [IC4] a close with %i after a whole call still executes nothing', async (code) => {
  const call = { index: 0, id: 'a', name: 'write_file', arguments: '{}' };
  const { lmx } = await pair({
    onChat: (ws) => {
      ws.send(JSON.stringify({ type: 'chat.tool_call', request_id: 'r', tool_call: call }), () =>
        code === 1000 ? ws.close(1000) : ws.terminate(),
      );
      return true;
    },
  });
  const seen = run(lmx, ask('x'));
  await seen.over;
  expect(seen.events).toEqual(['accepted', 'fail:lmx-ws-closed']);
});

test('[IN3] an event stream that dies carries its text and no call', async () => {
  const { fake, lmx } = await pair({ ws: false });
  const seen = run(lmx, ask(say({ tokens: 9, dieAfter: 3 })));
  await seen.over;
  expect([seen.text, seen.fail?.code]).toEqual([' tok0 tok1 tok2', 'lmx-ws-closed']);
  expect(fake.requests.length).toBe(1);
});

test('[IN3] a frame too large for the server goes over the event stream, once', async () => {
  const { fake, lmx } = await pair({
    onChat: (ws) => {
      ws.close(1009);
      return true;
    },
  });
  const seen = run(lmx, ask('hello'));
  await seen.over;
  expect(seen.end?.finishReason).toBe('stop');
  expect(fake.requests.map((r) => r.channel)).toEqual(['ws', 'sse']);
});

test('[CX2] [IC7] cancelled at any moment: the server is told, the socket goes, nothing is heard', async () => {
  for (const [ws, accepts] of [
    [true, true],
    [true, false],
    [false, false],
  ] as const) {
    for (let stopAt = 0; stopAt <= 4; stopAt++) {
      const { fake, lmx } = await pair({ ws, accepts });
      let heard = -1;
      const seen = run(lmx, ask(say({ tokens: 1000, tps: 500 })), (_, s) => {
        if (s.events.length !== stopAt) return;
        s.stream.cancel();
        heard = s.events.length;
      });
      if (stopAt === 0) {
        await until(() => fake.requests.length === 1);
        seen.stream.cancel();
        heard = seen.events.length;
      }
      await until(() => fake.connections() === 0 && fake.cancels.length > 0);
      expect(seen.events.length).toBe(heard);
      expect(lmx.status().activeStreams).toBe(0);
      if (ws) {
        const frame = fake.cancels.find((c) => c.how === 'frame');
        expect(frame?.clientRequestId).toMatch(/^t1\.1\./);
        if (stopAt > 0) expect(frame?.requestId).toMatch(/^chatcmpl-/);
      }
      expect(fake.requests.length).toBe(1);
      lmx.close();
      await fake.close();
    }
  }
});

test('[CX2] cancelled before anything was sent, nothing is sent', async () => {
  const { fake, lmx } = await pair();
  const at = run(lmx, ask('a'));
  at.stream.cancel();
  const slow = await startFakeLmx({ onHttp: () => true });
  open.push(() => slow.close());
  const later = run(lmxAt(slow.port), ask('b'));
  await until(() => slow.paths.length === 1);
  later.stream.cancel();
  later.stream.cancel();
  await run(lmx, ask('c')).over;
  expect(fake.requests.map((r) => r.body.messages?.[0]?.content)).toEqual(['c']);
  expect([at.events, later.events, slow.requests]).toEqual([[], [], []]);
});

test('[CX2] cancelled while paused', async () => {
  for (const ws of [true, false]) {
    const { fake, lmx } = await pair({ ws });
    const seen = run(lmx, ask(say({ tokens: 100_000, size: 200 })), (_, s) => {
      if (s.events.length === 2) s.stream.pause();
    });
    await until(() => seen.events.length >= 2);
    seen.stream.cancel();
    await until(() => fake.connections() === 0 && lmx.status().activeStreams === 0);
  }
});

test.each([true, false])('[SV3] a paused stream stops reading, and goes on without loss (ws: %s)', async (ws) => {
  const { fake, lmx } = await pair({ ws });
  const tokens = 40_000;
  const seen = run(lmx, ask(say({ tokens, size: 500 })), (_, s) => {
    if (s.events.length === 10) s.stream.pause();
  });
  await until(() => seen.events.length >= 10);
  // What one read of the socket had brought may still come; then it is quiet while the server has 20 MB to give.
  let before = -1;
  await until(() => {
    const quiet = before === seen.text.length;
    before = seen.text.length;
    return quiet;
  });
  expect(before).toBeLessThan(2 << 20);
  expect(fake.connections()).toBe(1);
  seen.stream.resume();
  await seen.over;
  expect(seen.text.length).toBe(tokens * 500);
  expect(seen.end?.finishReason).toBe('stop');
});

test('[SV3] paused before the socket is open', async () => {
  for (const ws of [true, false]) {
    const { fake, lmx } = await pair({ ws });
    const seen = run(lmx, ask('hello'));
    seen.stream.pause();
    await until(() => fake.requests.length === 1);
    await new Promise((r) => setTimeout(r, 30));
    expect(seen.events).toEqual([]);
    seen.stream.resume();
    await seen.over;
    expect(seen.end?.finishReason).toBe('stop');
  }
});

test('[SV3] a frame above 8 MiB is refused', async () => {
  const { lmx } = await pair({
    onChat: (ws) => {
      ws.send(
        JSON.stringify({ type: 'chat.token', content: 'x'.repeat(LIMITS.inferenceFrameBytesMax) }),
        () => undefined,
      );
      return true;
    },
  });
  const seen = run(lmx, ask('x'));
  await seen.over;
  expect(seen.events).toEqual(['fail:lmx-protocol']);
});

test('[IN4] binary frames and servers that are none', async () => {
  const { lmx } = await pair({
    onChat: (ws) => {
      ws.send(Buffer.from('{}'));
      return true;
    },
  });
  const seen = run(lmx, ask('x'));
  await seen.over;
  expect(seen.events).toEqual(['fail:lmx-protocol']);
  const smtp = await rawServer((socket) => socket.end('220 mail.example ESMTP\r\n'));
  const garbled = run(lmxAt(smtp), ask('x', { model: 'm' }));
  await garbled.over;
  expect(garbled.events).toEqual(['fail:lmx-protocol']);
});

test('[SV2] a server that takes the connection and says nothing: each look at it and each handshake has its deadline', async () => {
  const clock = handClock();
  let requests = 0;
  const port = await rawServer((socket) => socket.on('data', () => requests++));
  const seen = run(lmxAt(port, { clock }), ask('x', { model: 'm' }));
  await until(() => requests === 1);
  clock.advance(LIMITS.inferenceProbeMs);
  await until(() => requests === 2);
  clock.advance(LIMITS.inferenceProbeMs);
  await until(() => requests === 3);
  expect(seen.events).toEqual([]);
  clock.advance(LIMITS.inferenceConnectMs);
  await seen.over;
  expect(seen.events).toEqual(['fail:lmx-timeout']);
});

test('[SV2] silence is not for ever, but a kept-alive or paused stream is not silent', async () => {
  for (const ws of [true, false]) {
    const clock = handClock();
    const { fake, lmx } = await pair({ ws }, { clock });
    const seen = run(lmx, ask(say({ delayMs: 60_000 })));
    await until(() => fake.requests.length === 1);
    if (!ws) await until(() => seen.events.length === 1);
    seen.stream.pause();
    clock.advance(LIMITS.inferenceSilenceMs * 3);
    expect(seen.fail).toBeNull();
    seen.stream.resume();
    // The peer answers pings meanwhile: the link is alive and the request is not.
    for (let i = 0; i < LIMITS.inferenceSilenceMs / LIMITS.inferencePingMs + 1 && !seen.fail; i++) {
      clock.advance(LIMITS.inferencePingMs);
      await new Promise((r) => setTimeout(r, 3));
    }
    await seen.over;
    expect(seen.fail?.code).toMatch(/^lmx-(timeout|ws-closed)$/);
  }
});

test('[SV2] a peer that answers no ping is gone', async () => {
  const clock = handClock();
  const { fake, lmx } = await pair(
    {
      onChat: (ws) => {
        ws.pause();
        return true;
      },
    },
    { clock },
  );
  const seen = run(lmx, ask('x'));
  await until(() => fake.requests.length === 1);
  clock.advance(LIMITS.inferencePingMs * 2);
  expect(seen.fail).toBeNull();
  clock.advance(LIMITS.inferencePingMs);
  await seen.over;
  expect(seen.fail?.code).toBe('lmx-ws-closed');
});

test('[SV2] after finish_reason a server that keeps the connection is not waited for', async () => {
  const clock = handClock();
  const { lmx } = await pair(
    {
      discovery: false,
      onHttp: (req, res) => {
        if (req.url !== '/v1/chat/completions') return false;
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        res.write('data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n');
        return true;
      },
    },
    { clock },
  );
  const seen = run(lmx, ask('x'));
  await until(() => seen.text === 'hi');
  await new Promise((r) => setTimeout(r, 5));
  expect(seen.end).toBeNull();
  clock.advance(LIMITS.inferenceSettleMs);
  await seen.over;
  expect(seen.end?.finishReason).toBe('stop');
});

test('[SV2] a server that has said everything may close in peace, within a bound', async () => {
  const clock = handClock();
  const { fake, lmx } = await pair(
    {
      discovery: false,
      onHttp: (req, res) => {
        if (req.url !== '/v1/chat/completions') return false;
        res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: [DONE]\n\n');
        return true;
      },
    },
    { clock },
  );
  const seen = run(lmx, ask('x'));
  await seen.over;
  expect(seen.events).toEqual(['accepted', 'end']);
  await new Promise((r) => setTimeout(r, 20));
  expect(fake.connections()).toBe(1);
  clock.advance(1_000);
  await until(() => fake.connections() === 0);
});

/** A server frame of RFC 6455: text or continuation, unmasked. */
const wsFrame = (payload: Uint8Array, first: boolean, fin: boolean): Buffer => {
  const n = payload.length;
  const head = n < 126 ? [n] : [126, n >> 8, n & 255];
  return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | (first ? 1 : 0), ...head]), payload]);
};

test('[IN5] any fragmentation of WebSocket messages and of TCP gives the same events', async () => {
  const said = ['<think>hm 🤔', '</think>', 'Grüße, 世界 👩‍👩‍👧', '\r\n\u2028"x"'];
  const messages = [
    ...said.map((content) => ({ type: 'chat.token', request_id: 'r', content })),
    { type: 'chat.tool_call', request_id: 'r', tool_call: { index: 0, id: 'a', name: 'f', arguments: '{"é":1}' } },
    {
      type: 'chat.done',
      request_id: 'r',
      finish_reason: 'tool_calls',
      usage: { prompt_tokens: 1, completion_tokens: 2 },
    },
  ].map((m) => Buffer.from(JSON.stringify(m)));
  let writes: Buffer[] = [];
  const { lmx } = await pair({
    onChat: (ws) => {
      const raw = (ws as unknown as { _socket: Socket })._socket;
      const next = (i: number) => {
        if (i < writes.length) raw.write(writes[i] as Buffer, () => setImmediate(next, i + 1));
      };
      next(0);
      return true;
    },
  });
  const cuts = (bytes: Buffer, at: number[]) => {
    const points = [0, ...at.map((p) => p % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
    return points.slice(1).map((p, i) => bytes.subarray(points[i], p));
  };
  const spots = fc.array(fc.nat(), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(spots, { minLength: 6, maxLength: 6 }),
      fc.array(fc.nat(), { maxLength: 30 }),
      async (inner, outer) => {
        const bytes = messages.map((m, i) => {
          const pieces = cuts(m, inner[i] ?? []);
          return Buffer.concat(pieces.map((p, k) => wsFrame(p, k === 0, k === pieces.length - 1)));
        });
        writes = cuts(Buffer.concat(bytes), outer);
        const seen = run(lmx, ask('x'));
        await seen.over;
        expect(seen.events).toEqual(['accepted', 'thinking:hm 🤔', `text:${said[2]}`, `text:${said[3]}`, 'end']);
        expect(seen.end?.calls).toEqual([{ id: 'a', name: 'f', args: '{"é":1}' }]);
      },
    ),
    { numRuns: 25 },
  );
});

test('[SV2] close ends every stream, and refuses new ones', async () => {
  const { fake, lmx } = await pair();
  const streams = [run(lmx, ask(say({ delayMs: 5_000 }))), run(lmx, ask(say({ tokens: 1000, tps: 100 })))];
  await until(() => fake.requests.length === 2 && streams[1]?.text !== '');
  lmx.close();
  const late = run(lmx, ask('late'));
  for (const seen of [...streams, late]) {
    await seen.over;
    expect(seen.fail?.code).toBe('shutting-down');
  }
  await until(() => fake.connections() === 0);
  expect(fake.requests.length).toBe(2);
});

test('[AU3] a prompt is sent once, whatever happens to it', async () => {
  for (const ws of [true, false]) {
    const { fake, lmx } = await pair({ ws });
    for (const directive of [
      { dieAfter: 0, dieTimes: -1 },
      { error: 'x' },
      { error: 'x', code: 'overloaded', status: 503 },
      { finish: 'abort' },
    ]) {
      const seen = run(lmx, ask(say(directive)));
      await seen.over;
      expect(seen.fail).not.toBeNull();
    }
    expect(fake.requests.length).toBe(4);
  }
});

test.each([true, false])('[IN1] the name localhost is resolved, and looked at, on the way (ws: %s)', async (ws) => {
  const { fake, lmx } = await pair({ ws }, { host: 'localhost' });
  const seen = run(lmx, ask('hello'));
  await seen.over;
  expect(seen.end?.finishReason).toBe('stop');
  expect(fake.requests.length).toBe(1);
});

test('[IN1] an IPv6 loopback server is reached by its literal', async () => {
  const server = createHttp((_, res) => res.writeHead(404).end());
  const listening = await new Promise<boolean>((ready) => {
    server.once('error', () => ready(false));
    server.listen(0, '::1', () => ready(true));
  });
  if (!listening) return;
  open.push(() => server.close());
  const seen = run(lmxAt((server.address() as AddressInfo).port, { host: '[::1]' }), ask('x', { model: 'm' }));
  await seen.over;
  expect(seen.events).toEqual(['fail:lmx-request-rejected']);
});
