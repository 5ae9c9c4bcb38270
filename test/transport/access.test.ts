import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OPERATION_IDS, operation } from '../../src/protocol/operations.ts';
import { startServer } from '../../src/transport/server.ts';
import { FakeRuntime } from './fake-runtime.ts';
import { AUTH, Client, fileAdapter, raw, TOKEN, until, type World, world } from './world.ts';

let w: World;
beforeAll(async () => {
  w = await world({ allowedOrigins: ['https://app.example'], allowedHosts: ['desk.local', 'fd00::1'] });
});
afterAll(() => w.close());

describe('token', () => {
  test.each([
    ['no token', '/v3/health', {}, 401],
    ['a wrong bearer', '/v3/health', { authorization: 'Bearer wrong' }, 401],
    ['the right bearer', '/v3/health', { authorization: `Bearer ${TOKEN}` }, 200],
    ['another case and spaces', '/v3/health', { authorization: `  bEaReR    ${TOKEN}  ` }, 200],
    ['another scheme', '/v3/health', { authorization: `Basic ${TOKEN}` }, 401],
    ['no scheme', '/v3/health', { authorization: TOKEN }, 401],
    ['a prefix', '/v3/health', { authorization: `Bearer ${TOKEN.slice(0, -1)}` }, 401],
    ['one character more', '/v3/health', { authorization: `Bearer ${TOKEN}0` }, 401],
    ['another case of the token', '/v3/health', { authorization: `Bearer ${TOKEN.toUpperCase()}` }, 401],
    ['the right query', `/v3/health?token=${TOKEN}`, {}, 200],
    ['a wrong query', '/v3/health?token=wrong', {}, 401],
    ['an empty query', '/v3/health?token=', {}, 401],
    ['a wrong bearer, the right query', `/v3/health?token=${TOKEN}`, { authorization: 'Bearer wrong' }, 200],
    ['the right bearer, a wrong query', '/v3/health?token=x', { authorization: `Bearer ${TOKEN}` }, 200],
    ['the query twice', `/v3/health?token=${TOKEN}&token=x`, {}, 401],
    ['the query twice, both right', `/v3/health?token=${TOKEN}&token=${TOKEN}`, {}, 401],
  ])('[AC1] %s', async (_name, path, headers, status) => {
    const r = await w.get(path, { headers: headers as unknown as Headers });
    expect(r.status).toBe(status);
    if (status === 401) expect(r.json).toEqual({ error: 'Unauthorized', code: 'unauthorized', retryable: false });
  });

  test('[AC1] every operation of the table that is not open needs the token, on every path', async () => {
    for (const id of OPERATION_IDS) {
      const row = operation(id);
      for (const path of row.paths) {
        const url = path.replaceAll(/:\w+/g, 'x');
        const r = await w.get(url, { method: row.method, headers: {}, ...(row.body === null ? {} : { body: '{}' }) });
        expect([id, url, r.status]).toEqual([id, url, row.open ? (row.body === null ? 200 : 415) : 401]);
      }
    }
  });

  test('[AC1] two Authorization headers are no authorization', async () => {
    const { text } = await raw(
      w.server.port,
      [
        `GET /v3/health HTTP/1.1\r\nHost: 127.0.0.1:${w.server.port}\r\n`,
        `Authorization: Bearer x\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`,
      ],
      { enough: (t) => t.includes('\r\n\r\n') },
    );
    expect(text).toMatch(/^HTTP\/1\.1 401/);
  });

  test('[AC1] the token is never logged', async () => {
    await w.get(`/v3/health?token=${TOKEN}`);
    w.runtime.fail = new Error('boom');
    await w.get(`/v3/sessions/x?token=${TOKEN}`);
    expect(w.faults).not.toHaveLength(0);
    expect(w.logged.join('\n')).not.toContain(TOKEN);
  });
});

describe('host', () => {
  const at = (host: string | null): Promise<number> =>
    raw(
      w.server.port,
      [`GET /v3/health HTTP/1.1\r\n${host === null ? '' : `Host: ${host}\r\n`}Authorization: Bearer ${TOKEN}\r\n\r\n`],
      { enough: (t) => t.includes('\r\n\r\n') },
    ).then(({ text }) => Number(text.slice(9, 12)));

  test.each([
    ['127.0.0.1:PORT', 200],
    ['localhost:PORT', 200],
    ['LOCALHOST:PORT', 200],
    ['[::1]:PORT', 200],
    ['127.1.2.3:PORT', 200],
    ['desk.local:PORT', 200],
    ['[fd00::1]:PORT', 200],
    ['127.0.0.1', 403],
    ['127.0.0.1:1', 403],
    ['localhost:', 403],
    ['evil.example:PORT', 403],
    ['localhost.evil.example:PORT', 403],
    ['127.0.0.1.evil.example:PORT', 403],
    ['evil.example:PORT@localhost:PORT', 403],
    ['192.168.1.5:PORT', 403],
    ['0.0.0.0:PORT', 403],
    ['[::1]evil:PORT', 403],
    ['localhost:PORT, evil.example', 403],
  ])('[AC1] Host %s', async (host, status) => {
    expect(await at(host.replaceAll('PORT', String(w.server.port)))).toBe(status);
  });

  test('[AC1] two Host headers are refused, and so is a rebound page on an open route', async () => {
    expect(await at(`127.0.0.1:${w.server.port}\r\nHost: evil.example`)).toBe(403);
    const ask = `GET /health HTTP/1.1\r\nHost: evil.example:${w.server.port}\r\n\r\n`;
    const { text } = await raw(w.server.port, [ask], { enough: (t) => t.includes('}') });
    expect(text).toMatch(/^HTTP\/1\.1 403/);
    expect(text).toContain('"code":"forbidden-host"');
  });
});

const ORIGINS: [string, boolean][] = [
  ['http://localhost:3004', true],
  ['https://localhost', true],
  ['http://127.0.0.1:5173', true],
  ['http://[::1]:1', true],
  ['tauri://localhost', true],
  ['http://tauri.localhost', true],
  ['https://app.example', true],
  ['https://evil.example', false],
  ['https://app.example.evil', false],
  ['http://localhost.evil.example', false],
  ['http://localhost:3004.evil.example', false],
  ['http://127.0.0.1@evil.example', false],
  ['http://localhost:123456', false],
  ['null', false],
  ['file://', false],
  ['', false],
];

describe('origin', () => {
  test.each(ORIGINS)('[AC1] Origin %s: allowed %s, on both planes', async (origin, allowed) => {
    const ok = await w.get('/v3/health', { headers: { ...AUTH, origin } });
    const no = await w.get('/v3/health', { headers: { origin } });
    expect([ok.status, no.status]).toEqual(allowed ? [200, 401] : [403, 403]);
    for (const r of [ok, no]) {
      expect(r.headers.get('access-control-allow-origin')).toBe(allowed ? origin : null);
      expect(r.headers.get('access-control-expose-headers')).toBe(
        allowed ? 'ETag, Retry-After, Idempotent-Replayed' : null,
      );
      expect(r.headers.get('vary')).toBe('Origin');
    }
    const client = new Client(w.server.port, `sessionId=x&token=${TOKEN}`, { origin });
    await until('an answer', () => client.refused !== null || client.ws.readyState === 1);
    expect(client.refused).toEqual(allowed ? null : { status: 403 });
    client.ws.terminate();
  });

  test.each(ORIGINS)('[AC1] preflight from %s: allowed %s, before any token', async (origin, allowed) => {
    for (const path of ['/v3/sessions', '/no/such']) {
      const r = await w.get(path, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST' } });
      expect([r.status, r.text]).toEqual([204, '']);
      expect(r.headers.get('access-control-allow-origin')).toBe(allowed ? origin : null);
      expect(r.headers.get('access-control-allow-methods')).toBe(allowed ? 'GET,POST,PUT,PATCH,DELETE,OPTIONS' : null);
      const headers = 'Authorization, Content-Type, If-None-Match, Idempotency-Key, Last-Event-ID';
      expect(r.headers.get('access-control-allow-headers')).toBe(allowed ? headers : null);
    }
  });

  test('[AC1] a program without Origin gets no CORS headers; every answer is marked nosniff and no-store', async () => {
    for (const path of ['/health', '/v3/health', '/v3/sessions/nope', '/no/such']) {
      const r = await w.get(path);
      expect(r.headers.get('access-control-allow-origin')).toBeNull();
      expect(r.headers.get('x-content-type-options')).toBe('nosniff');
      expect(r.headers.get('cache-control')).toBe('no-store');
    }
    const missing = await w.get('/no/such', { headers: { origin: 'http://localhost:3004' } });
    expect([missing.status, missing.headers.get('access-control-allow-origin')]).toEqual([
      404,
      'http://localhost:3004',
    ]);
  });
});

describe('binding', () => {
  const options = {
    runtime: new FakeRuntime(),
    adapter: fileAdapter(),
    token: TOKEN,
    version: '1',
    facts: () => ({ toolWorkers: { workers: 0, busy: 0, queued: 0 }, engine: null }),
    allowedOrigins: [],
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  };

  test('[AC1] an address beyond loopback is refused before anything is bound', async () => {
    for (const host of ['0.0.0.0', '::', '192.168.1.5', 'example.com', '127.0.0.1.evil.example']) {
      await expect(startServer({ ...options, host, ports: { first: 0, fallback: [] } })).rejects.toMatchObject({
        code: 'forbidden-host',
      });
    }
    await expect(
      startServer({ ...options, token: '', host: '127.0.0.1', ports: { first: 0, fallback: [] } }),
    ).rejects.toThrow('token is empty');
  });

  test('[AC1] a taken port is never shared: the next one is used, and with none left it is no-port', async () => {
    const taken = w.server.port;
    const second = await startServer({ ...options, host: '127.0.0.1', ports: { first: taken, fallback: [taken, 0] } });
    expect(second.port).not.toBe(taken);
    await second.close();
    await expect(
      startServer({ ...options, host: '127.0.0.1', ports: { first: taken, fallback: [taken] } }),
    ).rejects.toMatchObject({ code: 'no-port' });
  });
});
