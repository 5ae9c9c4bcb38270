import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type MemoryAdapter, memoryAdapter, settle } from './memory-adapter.ts';
import { AUTH, Client, TOKEN, until, type World, world } from './world.ts';

/** The tables of docs/PROTOCOL.md, walked: what stands there is what happens. */
const page = readFileSync(join(fileURLToPath(new URL('../..', import.meta.url)), 'docs', 'PROTOCOL.md'), 'utf8');
const [, about = ''] = page.split('**CORS.**');
const tables = about.split('\n\n').filter((block) => block.startsWith('| '));
const rows = (table = ''): string[][] =>
  table
    .split('\n')
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
const codes = (cell = ''): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code as string);

interface Row {
  origin: string | null;
  answered: boolean;
  echoed: boolean;
  opens: boolean;
  preflight: boolean;
}
const ORIGINS: Row[] = rows(tables[0]).flatMap(([who = '', any = '', socket = '', options = '']) => {
  const row = {
    answered: any.startsWith('answered'),
    echoed: any.endsWith(', echoed'),
    opens: socket === 'opens',
    preflight: options === '204, echoed',
  };
  const named: (string | null)[] = who.startsWith('none') ? [null] : codes(who);
  const withPort = who.includes('any port') ? named.map((origin) => `${origin}:3004`) : [];
  return [...named, ...withPort].map((origin) => ({ origin, ...row }));
});
const HEADERS = rows(tables[1]).map(([name, value, on]) => ({
  name: codes(name)[0] as string,
  value: codes(value)[0] ?? null,
  on: on as string,
}));

let w: World;
let inMemory: World;
let adapter: MemoryAdapter;
const more = { allowedOrigins: ['https://app.example'] };
beforeAll(async () => {
  adapter = memoryAdapter();
  [w, inMemory] = [await world(more), await world({ ...more, adapter })];
  w.runtime.seed('s');
});
afterAll(() => Promise.all([w.close(), inMemory.close()]));

type Header = (name: string) => string | null;
const expectHeaders = (header: Header, origin: string | null, echoed: boolean, isOptions: boolean): void => {
  for (const { name, value, on } of HEADERS) {
    const there = on === 'every answer' || (echoed && (on === 'what is echoed' || isOptions));
    expect([name, header(name)]).toEqual([name, there ? (value ?? origin) : null]);
  }
  expect(header('access-control-allow-credentials')).toBeNull();
};

test('[AC1] the tables are there', () => {
  expect(ORIGINS.length).toBeGreaterThan(15);
  expect(
    ORIGINS.filter((row) => row.echoed !== row.preflight || (row.origin !== null && row.echoed !== row.opens)),
  ).toEqual([]);
  expect(HEADERS.map((h) => h.name)).toContain('Access-Control-Allow-Origin');
  expect(HEADERS).toHaveLength(6);
});

describe.each(ORIGINS)('Origin $origin', ({ origin, answered, echoed, opens, preflight }) => {
  const from = (headers: { [name: string]: string } = {}) => ({ ...headers, ...(origin === null ? {} : { origin }) });
  const ANSWERS: [method: string, path: string, headers: { [name: string]: string }, status: number][] = [
    ['GET', '/health', {}, 200],
    ['GET', '/v3/health', AUTH, 200],
    ['HEAD', '/v3/health', AUTH, 200],
    ['GET', '/metrics', AUTH, 200],
    ['GET', '/v3/health', {}, 401],
    ['POST', '/v3/sessions', {}, 401],
    ['PATCH', '/v3/sessions/s', {}, 401],
    ['DELETE', '/v3/sessions/s', {}, 401],
    ['GET', '/v3/sse/events?sessionId=s', {}, 401],
    ['GET', '/v3/health/stream', {}, 401],
    ['GET', '/v3/sse/events', AUTH, 400],
    ['POST', '/v3/sessions/s/turns', AUTH, 400],
    ['PUT', '/v3/sessions', AUTH, 404],
    ['GET', '/no/such', AUTH, 404],
  ];
  test.each(ANSWERS)('[AC1] %s %s with %o', async (method, path, headers, status) => {
    const r = await w.get(path, { method, headers: from(headers) });
    expect(r.status).toBe(answered ? status : 403);
    if (!answered && method !== 'HEAD') expect(r.json.code).toBe('forbidden-origin');
    expectHeaders((name) => r.headers.get(name), origin, echoed, false);
  });

  test('[AC1] OPTIONS, on a route and beside one, without a token', async () => {
    for (const path of ['/v3/sessions', '/v3/sse/events', '/metrics', '/no/such']) {
      const r = await w.get(path, { method: 'OPTIONS', headers: from({ 'access-control-request-method': 'POST' }) });
      expect([r.status, r.text]).toEqual([204, '']);
      expectHeaders((name) => r.headers.get(name), origin, preflight, true);
    }
  });

  test('[AC1] event streams', async () => {
    for (const path of ['/v3/sse/events?sessionId=s', '/v3/health/stream']) {
      const asked = adapter.ask(path, from(AUTH));
      await settle();
      expect([asked.reply?.status, asked.stream !== null]).toEqual(answered ? [200, true] : [403, false]);
      expectHeaders((name) => asked.header(name.toLowerCase()) ?? null, origin, echoed, false);
      asked.leave();
    }
  });

  test('[AC1] event streams over real sockets', async () => {
    for (const path of ['/v3/sse/events?sessionId=s', '/v3/health/stream']) {
      await new Promise<void>((resolve, reject) => {
        get(w.url + path, { headers: from(AUTH) }, (res) => {
          const { headers, statusCode } = res;
          res.destroy();
          try {
            expect(statusCode).toBe(answered ? 200 : 403);
            expectHeaders((name) => headers[name.toLowerCase()]?.toString() ?? null, origin, echoed, false);
            resolve();
          } catch (wrong) {
            reject(wrong);
          }
        }).on('error', reject);
      });
    }
  });

  test('[AC1] WebSocket', async () => {
    const client = new Client(w.server.port, `sessionId=s&token=${TOKEN}`, from());
    await until('an answer', () => client.refused !== null || client.ws.readyState === 1);
    expect(client.refused).toEqual(opens ? null : { status: 403 });
    client.ws.terminate();
  });
});
