import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  advertisedPath,
  assertReachable,
  guardedLookup,
  isLoopbackHost,
  wsUrl,
} from '../../src/inference/loopback-guard.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { startFakeLmx } from '../support/fake-lmx.ts';
import { ask, lmxAt, run } from './bench.ts';

const codeOf = (fn: () => void): string => {
  try {
    fn();
    return 'reachable';
  } catch (e) {
    return e instanceof OptaError ? e.code : `not ours: ${e}`;
  }
};

test.each([
  ['127.0.0.1', true],
  ['127.255.255.254', true],
  ['localhost', true],
  ['LocalHost', true],
  ['::1', true],
  ['[::1]', true],
  ['0:0:0:0:0:0:0:1', true],
  ['::ffff:127.0.0.1', true],
  ['::ffff:10.0.0.1', false],
  ['0.0.0.0', false],
  ['::', false],
  ['128.0.0.1', false],
  ['192.168.188.11', false],
  ['10.0.0.1', false],
  ['127.1', false],
  ['0x7f.0.0.1', false],
  ['2130706433', false],
  ['127.0.0.1.example', false],
  ['localhost.example', false],
  ['localhost.', false],
  ['notlocalhost', false],
  ['127.0.0.1@example', false],
  ['127.0.0.1:80@10.0.0.1', false],
  ['', false],
])('[IN1] host %j is loopback: %s', (host, loopback) => {
  expect(isLoopbackHost(host)).toBe(loopback);
  expect(codeOf(() => assertReachable(host, true))).toBe(loopback ? 'reachable' : 'loopback-only');
});

test('[IN1] no address outside 127.0.0.0/8 passes, in any notation', () => {
  fc.assert(
    fc.property(fc.ipV4(), (host) => {
      expect(codeOf(() => assertReachable(host, true))).toBe(host.startsWith('127.') ? 'reachable' : 'loopback-only');
    }),
  );
  fc.assert(
    fc.property(fc.oneof(fc.ipV4Extended(), fc.domain(), fc.webAuthority()), (host) => {
      fc.pre(!isLoopbackHost(host));
      expect(codeOf(() => assertReachable(host, true))).toBe('loopback-only');
    }),
  );
});

test('[IN1] without loopbackOnly a host is still only a host', () => {
  for (const host of ['mono512.local', '10.0.0.1', '[fe80::1]', 'my_host'])
    expect(codeOf(() => assertReachable(host, false))).toBe('reachable');
  for (const host of ['a@b', 'a:1', 'a/b', 'a b', '', 'a?b', 'a#b', '-a', '[::1'])
    expect(codeOf(() => assertReachable(host, false))).toBe('lmx-connection-refused');
});

test.each([
  ['one address elsewhere', [{ address: '10.0.0.1', family: 4 }], 'loopback-only'],
  [
    'one of two elsewhere',
    [
      { address: '127.0.0.1', family: 4 },
      { address: '10.0.0.1', family: 4 },
    ],
    'loopback-only',
  ],
  [
    'here',
    [
      { address: '::1', family: 6 },
      { address: '127.0.0.1', family: 4 },
    ],
    'fine',
  ],
])('[IN1] a name that resolves to %s: %s', async (_, addresses, expected) => {
  const fakeDns = ((_host: string, _options: object, done: (e: null, found: object[]) => void) =>
    done(null, addresses)) as never;
  const outcome = (loopbackOnly: boolean) =>
    new Promise<string>((resolve) =>
      guardedLookup(loopbackOnly, fakeDns)('localhost', { all: true }, (e) =>
        resolve(e ? (e as unknown as OptaError).code : 'fine'),
      ),
    );
  expect(await outcome(true)).toBe(expected);
  expect(await outcome(false)).toBe('fine');
});

test('[IN1] an engine refuses a host elsewhere before it opens a socket', async () => {
  const lmx = lmxAt(1234, { host: '203.0.113.7' });
  const seen = run(lmx, ask('hello'));
  await seen.over;
  expect(seen.events).toEqual(['fail:loopback-only']);
});

test.each([
  ['ws://10.6.6.6:99/v1/chat/stream', '/v1/chat/stream'],
  ['wss://user:pw@evil.example/v1/chat/stream?x=1', '/v1/chat/stream?x=1'],
  ['//evil.example/a', '/a'],
  ['ws://h//evil.example/a', '/evil.example/a'],
  ['/own/path', '/own/path'],
  ['own', '/own'],
  [42, null],
  [null, null],
  ['ws://[', null],
])('[IN1] advertised %j keeps its path only: %j', (url, path) => {
  expect(advertisedPath(url)).toBe(path);
});

test('[IN1] whatever is advertised, the URL names the host and port that were probed', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.webUrl(),
        fc.string(),
        fc.string().map((s) => `ws://127.0.0.1${s}`),
      ),
      (advertised) => {
        const path = advertisedPath(advertised);
        fc.pre(path !== null);
        const url = wsUrl('127.0.0.1', 4321, path as string);
        expect([url.hostname, url.port, url.username, url.hash]).toEqual(['127.0.0.1', '4321', '', '']);
      },
    ),
  );
  expect(wsUrl('::1', 5, '/a').href).toBe('ws://[::1]:5/a');
});

test('[IN1] a hostile discovery document cannot send the prompt to another port', async () => {
  const other = await startFakeLmx();
  const lmxServer = await startFakeLmx({
    discovery: { endpoints: { websocket_url: `ws://127.0.0.1:${other.port}/v1/chat/stream` } },
  });
  const lmx = lmxAt(lmxServer.port);
  const seen = run(lmx, ask('secret'));
  await seen.over;
  expect(seen.end?.finishReason).toBe('stop');
  expect(lmxServer.requests.map((r) => r.channel)).toEqual(['ws']);
  expect(other.paths).toEqual([]);
  lmx.close();
  await Promise.all([other.close(), lmxServer.close()]);
});

test('[IN1] redirects lead nowhere, on any path', async () => {
  const other = await startFakeLmx();
  const fake = await startFakeLmx({
    ws: false,
    onHttp: (req, res) => {
      if (req.url === '/.well-known/opta-lmx') return false;
      res.writeHead(307, { location: `${other.url}${req.url}` }).end();
      return true;
    },
  });
  const lmx = lmxAt(fake.port);
  const seen = run(lmx, ask('secret', { model: 'm' }));
  await seen.over;
  expect(seen.events).toEqual(['fail:lmx-protocol']);
  expect(other.paths).toEqual([]);
  lmx.close();
  await Promise.all([other.close(), fake.close()]);
});
