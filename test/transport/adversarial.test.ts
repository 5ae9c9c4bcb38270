import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { LIMITS } from '../../src/actors/limits.ts';
import { AUTH, attach, Client, raw, TOKEN, until, type World, world } from './world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
  w.runtime.seed('a');
});
afterAll(() => w.close());

const alive = async (): Promise<void> => {
  expect((await w.get('/v3/health')).status).toBe(200);
};
const head = (line: string, more = ''): string =>
  `${line} HTTP/1.1\r\nHost: 127.0.0.1:${w.server.port}\r\nAuthorization: Bearer ${TOKEN}\r\n${more}\r\n`;

describe('bytes', () => {
  // Seeded: a failing run prints its seed, and the same bytes come back with it.
  const SEED = 20_261_123;

  test('[SV1] random bytes to the port: the daemon stays up', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 2_000 }), async (bytes) => {
        await raw(w.server.port, [bytes], { waitMs: 4 });
      }),
      { numRuns: 60, seed: SEED },
    );
    await alive();
  });

  test('[SV1] requests with random lines, headers and bodies: every answer is one of the table', async () => {
    const text = fc.string({ maxLength: 60, unit: 'binary-ascii' });
    const method = fc.constantFrom('GET', 'POST', 'HEAD', 'PUT', 'OPTIONS', 'PATCH', 'DELETE');
    const path = fc.oneof(
      fc.constantFrom(
        '/v3/sessions',
        '/v3/sessions/a/turns',
        '/v3/sessions/a/events?afterSeq=',
        '/v3/sessions/a/cancel',
      ),
      text.map((t) => `/${encodeURI(t)}`),
      fc.string({ maxLength: 30 }).map((t) => `/v3/sessions/${t.replaceAll(/[\s#]/g, '%')}`),
    );
    await fc.assert(
      fc.asyncProperty(method, path, fc.oneof(fc.json(), text), async (m, p, body) => {
        const bytes = Buffer.from(body);
        const request = head(`${m} ${p}`, `Content-Length: ${bytes.length}\r\n`);
        const { text: got } = await raw(w.server.port, [request, bytes], {
          waitMs: 60,
          enough: (t) => t.includes('\r\n\r\n'),
        });
        if (got === '') return;
        expect([200, 201, 202, 204, 400, 404, 414]).toContain(Number(got.slice(9, 12)));
      }),
      { numRuns: 150, seed: SEED },
    );
    await alive();
    expect(w.faults).toEqual([]);
  });

  test('[SV1] random frames on a socket: errors are told, the socket and the daemon stay', async () => {
    const c = await attach(w, 'sessionId=a&afterSeq=999999');
    const frames = fc.sample(
      fc.oneof(
        fc.json(),
        fc.string({ maxLength: 200 }),
        fc
          .record({
            type: fc.constantFrom('turn.submit', 'hello', 'turn.cancel', 'permission.resolve'),
            sessionId: fc.string(),
          })
          .map((f) => JSON.stringify(f)),
        fc.uint8Array({ maxLength: 100 }),
      ),
      { numRuns: 300, seed: SEED },
    );
    for (const f of frames) c.send(f);
    c.send({ type: 'ping' });
    await c.next((f) => f.type === 'heartbeat', 'the heartbeat after the noise');
    c.ws.terminate();
    await alive();
    expect(w.faults).toEqual([]);
  });

  test('[SV1] random bytes after the upgrade: that socket ends, the others do not', async () => {
    const other = await attach(w, 'sessionId=a&afterSeq=999999');
    const upgrade = `GET /v3/ws?sessionId=a&token=${TOKEN} HTTP/1.1\r\nHost: 127.0.0.1:${w.server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 2, maxLength: 500 }), async (bytes) => {
        await raw(w.server.port, [upgrade, bytes], { waitMs: 4 });
      }),
      { numRuns: 60, seed: SEED },
    );
    other.send({ type: 'ping' });
    await other.next((f) => f.type === 'heartbeat');
    other.ws.terminate();
    await until('all are detached', () => w.runtime.attachments.size === 0);
  });
});

describe('requests', () => {
  test('[AU1] pipelined requests are answered in order or the connection ends; answers are never mixed up', async () => {
    const quick = await raw(w.server.port, [head('GET /health') + head('GET /no/1') + head('GET /no/2')], {
      enough: (t) => t.includes('/no/2 not found'),
    });
    expect(quick.text.match(/HTTP\/1\.1 (\d+)/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 404', 'HTTP/1.1 404']);
    const slow = await raw(w.server.port, [head('GET /v3/sessions/a') + head('GET /no/1')], { waitMs: 200 });
    // The library takes no second request while the first waits for its answer: both are cut rather than swapped.
    expect(['', 'HTTP/1.1 200,HTTP/1.1 404']).toContain((slow.text.match(/HTTP\/1\.1 \d+/g) ?? []).join());
    await alive();
  });

  test('[SV3] a body above 10 MiB is 413, with a length and chunked, and is never kept', async () => {
    const size = LIMITS.requestBytesMax + 1;
    const long = await w.post('/v3/sessions', 'x'.repeat(size));
    expect([long.status, long.json.code, long.json.error]).toEqual([
      413,
      'payload-too-large',
      'Request body is too large',
    ]);
    const open = await w.get('/v3/sessions', { method: 'POST', headers: {}, body: 'x'.repeat(size) });
    expect(open.status).toBe(413);
    const chunk = `${(1 << 20).toString(16)}\r\n${'x'.repeat(1 << 20)}\r\n`;
    const { text } = await raw(
      w.server.port,
      [head('POST /v3/sessions', 'Transfer-Encoding: chunked\r\n'), ...Array.from({ length: 11 }, () => chunk)],
      { waitMs: 2_000, enough: (t) => t.includes('payload-too-large') },
    );
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
    const gauges = (await w.get('/v3/metrics')).json.limits as { name: string; value: number }[];
    expect(gauges.find((g) => g.name === 'requestBodiesBytes')?.value).toBe(0);
  });

  test('[AU1] a body just below the bound passes', async () => {
    const title = 'x'.repeat(LIMITS.requestBytesMax - 100);
    const r = await w.post('/v3/sessions', JSON.stringify({ metadata: { title } }));
    expect(r.status).toBe(201);
  });

  test('[AC1] without a token the body is not read', async () => {
    const request = `POST /v3/sessions HTTP/1.1\r\nHost: 127.0.0.1:${w.server.port}\r\nContent-Length: 1000000\r\n\r\n{`;
    const { text } = await raw(w.server.port, [request], { waitMs: 1_000, enough: (t) => t.includes('Unauthorized') });
    expect(text).toMatch(/^HTTP\/1\.1 401 /);
  });

  test('[SV2] clients that leave before the answer leave nothing behind', async () => {
    w.runtime.hold = true;
    await Promise.all(
      Array.from({ length: 20 }, () => raw(w.server.port, [head('GET /v3/sessions/a')], { waitMs: 30 })),
    );
    w.runtime.release();
    await alive();
    const gauges = (await w.get('/v3/metrics')).json.limits as { name: string; value: number }[];
    expect(gauges.find((g) => g.name === 'requestsOpen')?.value).toBe(1);
    expect(w.faults).toEqual([]);
  });
});

describe('sockets', () => {
  test('[SV3] 200 quick connects and drops, at every moment of the handshake, leave no attachment', async () => {
    const before = w.runtime.detached;
    const attached = new Set<unknown>();
    const drop = async (i: number): Promise<void> => {
      if (i % 4 === 0) {
        const s = connect(w.server.port, '127.0.0.1');
        s.on('error', () => undefined);
        s.write(
          head(
            `GET /v3/ws?sessionId=a&token=${TOKEN}`,
            'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
          ),
        );
        setTimeout(() => s.destroy(), i % 3);
        return;
      }
      const c = new Client(w.server.port, `sessionId=a&token=${TOKEN}`, AUTH);
      if (i % 4 === 1) setTimeout(() => c.ws.terminate(), i % 7);
      else {
        await until('opens', () => c.ws.readyState !== WebSocket.CONNECTING);
        for (const a of w.runtime.attachments) attached.add(a);
        if (i % 4 === 2) c.ws.terminate();
        else c.ws.close();
      }
    };
    for (let i = 0; i < 200; i += 20) await Promise.all(Array.from({ length: 20 }, (_, k) => drop(i + k)));
    await until('all are gone', () => w.runtime.attachments.size === 0);
    expect(attached.size).toBeGreaterThan(50);
    expect(w.runtime.detached - before).toBeGreaterThanOrEqual(attached.size);
    await until('no socket is left', () => w.runtime.health().subscriberCount === 0);
    await alive();
    expect(w.faults).toEqual([]);
  });

  test('[EV2] a runtime that floods a deaf socket gets it closed, with a prefix without gap', async () => {
    const small = await world({ bounds: { socketBytesMax: 1 << 20 } });
    small.runtime.ignoreBacklog = true;
    small.runtime.seed('f');
    const c = await attach(small, 'sessionId=f');
    c.ws.pause();
    for (let i = 0; i < 300; i++) {
      small.runtime.token('f', 'x'.repeat(60_000));
      if (i % 10 === 9) await new Promise((wake) => setImmediate(wake));
    }
    expect(small.runtime.attachments.size).toBe(0);
    c.ws.resume();
    expect(await c.ended()).toEqual({ code: 4008, reason: 'slow-reader' });
    expect(c.frames.length).toBeLessThan(301);
    expect(c.frames.map((f) => f.seq)).toEqual(c.frames.map((_, i) => i + 1));
    await small.close();
  });

  test('[SV2] close: 1001 for sockets, a deaf client does not hold it up, and it may be called twice', async () => {
    const one = await world();
    one.runtime.seed('x');
    const [fine, deaf] = [await attach(one, 'sessionId=x'), await attach(one, 'sessionId=x')];
    deaf.socket.pause();
    const startedAt = performance.now();
    await Promise.all([one.close(), one.close()]);
    expect(performance.now() - startedAt).toBeLessThan(LIMITS.drainDeadlineMs + 1_000);
    expect(await fine.ended()).toEqual({ code: 1001, reason: 'shutting-down' });
    expect(one.runtime.attachments.size).toBe(0);
    await expect(fetch(`${one.url}/health`)).rejects.toThrow();
    deaf.ws.terminate();
  });

  test('[SV2] a kept-alive connection that outlives close is told so and ended', async () => {
    const one = await world();
    const ask = `GET /health HTTP/1.1\r\nHost: 127.0.0.1:${one.server.port}\r\n\r\n`;
    let text = '';
    let ended = false;
    const socket = connect(one.server.port, '127.0.0.1', () => socket.write(ask));
    socket.on('error', () => undefined);
    socket.on('data', (d) => {
      text += d;
    });
    socket.on('close', () => {
      ended = true;
    });
    await until('the first answer', () => text.includes('"daemon":true'));
    await one.close();
    text = '';
    socket.write(ask);
    await until('the end', () => ended);
    expect(text).toMatch(/^(?:$|HTTP\/1\.1 503 [\s\S]*"code":"shutting-down")/);
  });
});
