import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import { CONTENT_POLICY, readWebFiles } from '../../src/transport/web/files.ts';
import { memoryAdapter, settle } from './memory-adapter.ts';
import { raw, type World, world } from './world.ts';

/** Pieces end inside of it wherever they are cut: two code units and four bytes each. */
const LONG = `const pairs = "${'𝄞'.repeat(300_000)}";\n`;
const dir = mkdtempSync(join(tmpdir(), 'opta-web-'));
const put = (name: string, text: string): void => writeFileSync(join(dir, name), text);
mkdirSync(join(dir, 'assets', 'deep'), { recursive: true });
put('index.html', '<!doctype html><title>Opta</title>');
put('charts.json', '{"charts":[]}');
put('favicon.svg', '<svg/>');
put('secret.map', '{}');
put('assets/index-BpH3kX9_.js', LONG);
put('assets/index-BpH3kX9_.css', 'body{}');
put('assets/plain.js', 'export {};');
put('assets/deep/inner.js', 'x');
put('assets/constructor', 'x');
const outside = mkdtempSync(join(tmpdir(), 'opta-outside-'));
writeFileSync(join(outside, 'passwd.txt'), 'root');
symlinkSync(join(outside, 'passwd.txt'), join(dir, 'assets', 'link.txt'));

let w: World;
beforeAll(async () => {
  w = await world({ webDir: dir });
});
afterAll(async () => {
  await w.close();
  for (const path of [dir, outside]) rmSync(path, { recursive: true, force: true });
});
afterEach(() => vi.useRealTimers());

const plain = { headers: {} };

describe('the files of the page', () => {
  test.each([
    ['/', 'text/html; charset=utf-8', 'no-store', false],
    ['/charts.json', 'application/json; charset=utf-8', 'no-cache', true],
    ['/favicon.svg', 'image/svg+xml; charset=utf-8', 'no-cache', true],
    ['/assets/index-BpH3kX9_.js', 'text/javascript; charset=utf-8', 'public, max-age=31536000, immutable', true],
    ['/assets/index-BpH3kX9_.css', 'text/css; charset=utf-8', 'public, max-age=31536000, immutable', true],
    ['/assets/plain.js', 'text/javascript; charset=utf-8', 'no-cache', true],
  ])('[WB1] %s needs no token, and has its type, its age and its guards', async (path, type, cache, tagged) => {
    const r = await w.get(path, plain);
    expect([r.status, r.headers.get('content-type'), r.headers.get('cache-control')]).toEqual([200, type, cache]);
    expect(Object.fromEntries(r.headers)).toMatchObject({
      'content-security-policy': CONTENT_POLICY,
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
      'permissions-policy': expect.stringContaining('camera=()'),
    });
    const head = await w.get(path, { ...plain, method: 'HEAD' });
    expect([head.status, head.text, head.headers.get('content-length')]).toEqual([
      200,
      '',
      String(Buffer.byteLength(r.text)),
    ]);
    const etag = r.headers.get('etag');
    expect(etag !== null).toBe(tagged);
    if (etag === null) return;
    const again = await w.get(path, { headers: { 'if-none-match': `W/${etag}` } as never });
    expect([again.status, again.text, again.headers.get('etag')]).toEqual([304, '', etag]);
    expect(again.headers.get('content-security-policy')).toBe(CONTENT_POLICY);
  });

  test('[WB1] a large one comes whole, letters of several bytes and all', async () => {
    const r = await w.get('/assets/index-BpH3kX9_.js', plain);
    expect(r.text === LONG).toBe(true);
  });

  test('[WB1] the policy names no inline code, no wildcard of hosts and no literal that browsers refuse', () => {
    expect(CONTENT_POLICY).toContain("default-src 'none'");
    expect(CONTENT_POLICY).toContain("script-src 'self';");
    expect(CONTENT_POLICY).toContain("style-src 'self';");
    expect(CONTENT_POLICY).toContain("require-trusted-types-for 'script'");
    expect(CONTENT_POLICY).not.toMatch(/unsafe|[^:]\*|https:|\[/u);
    expect(CONTENT_POLICY.match(/\S+\*/g)).toEqual([
      'http://127.0.0.1:*',
      'ws://127.0.0.1:*',
      'http://localhost:*',
      'ws://localhost:*',
    ]);
  });

  test.each([
    '/index.html',
    '/assets',
    '/assets/',
    '/assets/deep/inner.js',
    '/assets/link.txt',
    '/assets/constructor',
    '/secret.map',
    '/constructor',
    '/__proto__',
    '/assets%2fplain.js',
    '//charts.json',
    '/charts.json/',
  ])('[WB1] %s is no file of it', async (path) => {
    expect((await w.get(path, plain)).status).toBe(404);
  });

  test('[WB1] no path leads out of the folder, however it is written', async () => {
    for (const path of [
      '/../passwd.txt',
      '/assets/%2e%2e/charts.json',
      '/assets/../../passwd.txt',
      '/assets/..\\link.txt',
      '/./charts.json',
    ]) {
      const { text } = await raw(
        w.server.port,
        [`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${w.server.port}\r\nConnection: close\r\n\r\n`],
        { waitMs: 2_000 },
      );
      expect([path, text.slice(0, 12)]).toEqual([path, 'HTTP/1.1 404']);
    }
  });

  test('[WB1] they are read, not written: every other method is what it was', async () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) expect((await w.get('/', { method })).status).toBe(404);
  });

  test('[WB1, AC1] another host and another origin are refused as everywhere', async () => {
    const { text } = await raw(w.server.port, ['GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n'], {
      waitMs: 2_000,
    });
    expect(text).toMatch(/^HTTP\/1\.1 403[\s\S]*forbidden-host/);
    const elsewhere = await w.get('/', { headers: { origin: 'https://evil.example' } as never });
    expect([elsewhere.status, elsewhere.json.code]).toEqual([403, 'forbidden-origin']);
    expect((await w.get('/', { headers: { origin: w.url } as never })).status).toBe(200);
  });
});

test('[WB1] a daemon without the page says so in plain words, and has nothing else', async () => {
  const bare = await world();
  try {
    const r = await bare.get('/', plain);
    expect([r.status, r.headers.get('content-type')]).toEqual([404, 'text/plain; charset=utf-8']);
    expect(r.text).toContain('was not built');
    expect(r.headers.get('content-security-policy')).toBe(CONTENT_POLICY);
    expect((await bare.get('/charts.json', plain)).json.code).toBe('not-found');
  } finally {
    await bare.close();
  }
});

test('[SV3] what is too large, or one too many, is not served, and that is told', () => {
  const big = mkdtempSync(join(tmpdir(), 'opta-web-big-'));
  try {
    mkdirSync(join(big, 'assets'));
    writeFileSync(join(big, 'index.html'), 'x');
    writeFileSync(join(big, 'assets', 'huge.js'), 'x'.repeat((4 << 20) + 1));
    for (let i = 0; i < 210; i++) writeFileSync(join(big, 'assets', `${i}.js`), 'x');
    const skipped: string[] = [];
    const files = readWebFiles(big, (name) => void skipped.push(name));
    expect(skipped).toContain('assets/huge.js');
    expect(skipped).toHaveLength(12);
    expect(files.find('/assets/huge.js')).toBeNull();
  } finally {
    rmSync(big, { recursive: true, force: true });
  }
});

test('[SV3] a client that takes slowly holds one piece, and one that takes nothing is cut', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  const adapter = memoryAdapter();
  const memory = await world({ adapter, webDir: dir });
  const asked = adapter.ask('/assets/index-BpH3kX9_.js');
  await settle();
  const stream = asked.stream as NonNullable<typeof asked.stream>;
  // It takes piece by piece, one for each drain.
  stream.deaf = true;
  let pieces = 0;
  while (stream.state === 'open' && pieces < 100) {
    expect(stream.bufferedBytes()).toBeLessThanOrEqual(64 * 1024 * 3);
    stream.take();
    pieces += 1;
  }
  expect([stream.state, stream.text === LONG]).toEqual(['ended', true]);
  expect(pieces).toBeGreaterThan(5);
  const other = adapter.ask('/assets/index-BpH3kX9_.js');
  await settle();
  const stuck = other.stream as NonNullable<typeof other.stream>;
  stuck.deaf = true;
  stuck.take();
  vi.advanceTimersByTime(LIMITS.readerStallMs);
  expect(stuck.state).toBe('cut');
  expect(vi.getTimerCount()).toBe(0);
  await memory.close();
});

test('[SV3] over a real connection a slow reader gets the whole file too', async () => {
  const got = await new Promise<string>((resolve) => {
    let text = '';
    const s = connect(w.server.port, '127.0.0.1', () => {
      s.write(
        `GET /assets/index-BpH3kX9_.js HTTP/1.1\r\nHost: 127.0.0.1:${w.server.port}\r\nConnection: close\r\n\r\n`,
      );
    });
    s.on('data', (d) => {
      text += d.toString('latin1');
      s.pause();
      setTimeout(() => s.resume(), 1);
      if (text.endsWith('0\r\n\r\n')) {
        s.destroy();
        resolve(text);
      }
    });
    s.on('close', () => resolve(text));
  });
  expect(got.startsWith('HTTP/1.1 200')).toBe(true);
  expect(got.length).toBeGreaterThan(Buffer.byteLength(LONG));
});
