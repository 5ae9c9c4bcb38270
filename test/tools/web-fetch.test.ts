import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { isText, webFetch } from '../../src/tools/builtin/web-fetch.ts';
import { failureOf } from '../../src/tools/outcome.ts';
import { plan } from '../../src/tools/registry.ts';
import { createTools } from '../../src/tools/runner.ts';
import { type Net, systemResolve } from '../../src/tools/web/get.ts';
import { isPublicAddress } from '../../src/tools/web/public-address.ts';
import { PUBLIC, targetOf } from '../../src/tools/web/target.ts';
import { BOUNDS, clock, recordingLog, starter } from './support.ts';

// --- addresses: numbers are put together here, as no private address stands in a file -----------------------------------------

const octet = fc.nat(255);
const v4 = (...parts: (number | fc.Arbitrary<number>)[]): fc.Arbitrary<string> =>
  fc.tuple(...parts.map((p) => (typeof p === 'number' ? fc.constant(p) : p))).map((all) => all.join('.'));

const PRIVATE_4 = fc.oneof(
  v4(0, octet, octet, octet),
  v4(10, octet, octet, octet),
  v4(100, fc.integer({ min: 64, max: 127 }), octet, octet),
  v4(127, octet, octet, octet),
  v4(169, 254, octet, octet),
  v4(172, fc.integer({ min: 16, max: 31 }), octet, octet),
  v4(192, 168, octet, octet),
  v4(192, 0, fc.constantFrom(0, 2), octet),
  v4(198, fc.constantFrom(18, 19), octet, octet),
  v4(198, 51, 100, octet),
  v4(203, 0, 113, octet),
  v4(fc.integer({ min: 224, max: 255 }), octet, octet, octet),
);
const ANY_4 = v4(octet, octet, octet, octet);

const hex = fc.nat(0xffff).map((n) => n.toString(16));
const tail = (n: number): fc.Arbitrary<string> =>
  fc.tuple(...Array.from({ length: n }, () => hex)).map((g) => g.join(':'));
const asHex = (address: string): string => {
  const [a, b, c, d] = address.split('.').map(Number) as [number, number, number, number];
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
};
const between = (low: number, high: number, groups: number): fc.Arbitrary<string> =>
  fc.tuple(fc.integer({ min: low, max: high }), tail(groups)).map(([first, rest]) => `${first.toString(16)}:${rest}`);

const PRIVATE_6 = fc.oneof(
  fc.constantFrom('::', '::1', '0:0:0:0:0:0:0:1', '100::1'),
  // Whatever an address of the fourth version is wrapped into: mapped, compatible, translated, 6to4, Teredo.
  ANY_4.map((a) => `::ffff:${a}`),
  ANY_4.map((a) => `::ffff:${asHex(a)}`),
  ANY_4.map((a) => `::ffff:0:${a}`),
  ANY_4.map((a) => `::${a}`),
  ANY_4.map((a) => `64:ff9b::${a}`),
  ANY_4.map((a) => `64:ff9b:1::${asHex(a)}`),
  fc.tuple(ANY_4, tail(5)).map(([a, rest]) => `2002:${asHex(a)}:${rest}`),
  tail(6).map((rest) => `2001:0:${rest}`),
  tail(6).map((rest) => `2001:db8:${rest}`),
  tail(6).map((rest) => `3fff:123:${rest}`),
  between(0xfc00, 0xfdff, 7),
  between(0xfe80, 0xfebf, 7),
  between(0xfec0, 0xfeff, 7),
  between(0xff00, 0xffff, 7),
  between(0x4000, 0xfbff, 7),
  between(0x0000, 0x1fff, 7),
  fc.constant('2606:4700::1%eth0'),
);

test('[TL8] no form of an address that is not public passes', () => {
  fc.assert(
    fc.property(fc.oneof(PRIVATE_4, PRIVATE_6), (address) => {
      expect(isIP(address), address).not.toBe(0);
      expect(isPublicAddress(address), address).toBe(false);
      const written = isIP(address) === 6 ? `[${address}]` : address;
      for (const scheme of ['http', 'https'])
        expect(() => targetOf(`${scheme}://${written}/x`, null, PUBLIC), address).toThrow();
    }),
    { numRuns: 2_000 },
  );
});

test('[TL8] public addresses pass, and what is no address does not', () => {
  for (const address of [
    '1.1.1.1',
    '8.8.8.8',
    '172.15.0.1',
    '172.32.0.1',
    '100.63.0.1',
    '100.128.0.1',
    '2606:4700::1111',
  ])
    expect(isPublicAddress(address), address).toBe(true);
  for (const address of ['', 'localhost', '1.1.1', '1.1.1.1.1', '2606:4700::1%eth0', '[2606:4700::1]'])
    expect(isPublicAddress(address), address).toBe(false);
});

test('[TL8] an address in disguise is refused, be it private or not', () => {
  const forms = (a: number, b: number, c: number, d: number): string[] => {
    const n = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
    const oct = (x: number): string => `0${x.toString(8)}`;
    const hx = (x: number): string => `0x${x.toString(16)}`;
    return [
      `${n}`,
      hx(n),
      oct(n),
      [a, b, c, d].map(hx).join('.'),
      [a, b, c, d].map(oct).join('.'),
      `${a}.${(b << 16) | (c << 8) | d}`,
      `${a}.${b}.${hx((c << 8) | d)}`,
      [a, b, c, d].join('%2e'),
      `${a}\u3002${b}.${c}.${d}`,
      [...[a, b, c, d].join('.')].map((x) => (x === '.' ? x : String.fromCodePoint(0xff10 + Number(x)))).join(''),
    ];
  };
  fc.assert(
    fc.property(octet, octet, octet, octet, (a, b, c, d) => {
      for (const form of forms(a, b, c, d)) expect(() => targetOf(`http://${form}/`, null, PUBLIC), form).toThrow();
    }),
    // With zeros in it an octal form may be the usual one.
    {
      numRuns: 300,
      examples: [
        [127, 0, 0, 1],
        [8, 8, 8, 8],
      ],
    },
  );
});

test.each([
  ['ftp://example.com/', /only http and https/],
  ['file:///etc/passwd', /only http and https/],
  ['javascript:alert(1)', /only http and https/],
  ['data:text/plain,a', /only http and https/],
  ['example.com', /is not a URL/],
  ['https://user@example.com/', /a user or a password/],
  ['https://user:pw@example.com/', /a user or a password/],
  ['https://:pw@example.com/', /a user or a password/],
  ['https://example.com:8443/', /only the ports 80 and 443/],
  ['http://example.com:22/', /only the ports 80 and 443/],
  ['http://localhost/', /not on the open internet/],
  ['http://localhost./', /not on the open internet/],
  ['http://LOCALHOST/', /not on the open internet/],
  ['http://router/', /not on the open internet/],
  ['http://a.localhost/', /not on the open internet/],
  ['http://nas.local/', /not on the open internet/],
  ['http://metadata.google.internal/', /not on the open internet/],
  ['http://[::1]/', /not on the open internet/],
  ['http://127.1/', /in its usual form/],
])('[TL8] %s is not fetched', (written, why) => {
  expect(() => targetOf(written, null, PUBLIC)).toThrow(why);
});

test('[TL8] a redirect is checked as the first URL is, and leaves no encryption behind', () => {
  const from = new URL('https://example.com/a/b');
  expect(targetOf('../c?d#e', from, PUBLIC).href).toBe('https://example.com/c?d');
  expect(targetOf('//www.example.org', from, PUBLIC).href).toBe('https://www.example.org/');
  for (const [to, why] of [
    ['http://example.com/', /not encrypted/],
    ['https://user@example.com/', /a user or a password/],
    ['//[::ffff:7f00:1]/', /not on the open internet/],
    ['https://0x7f000001/', /usual form/],
    ['//example.com:8080/', /only the ports/],
    ['file:///etc/passwd', /only http and https/],
  ] as const)
    expect(() => targetOf(to, from, PUBLIC), to).toThrow(why);
});

// --- answers: a server on loopback, which the tests alone may reach -----------------------------------------------------------

let server: Server;
let port = 0;
let answer: (request: IncomingMessage, response: ServerResponse) => void = () => undefined;
let asked: string[] = [];
beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(`${request.headers.host} ${request.url}`);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterEach(() => {
  asked = [];
  server.closeAllConnections();
});
afterAll(() => void server.close());

const here = (more: Partial<Net> = {}): Net => ({
  mayConnect: (address) => address === '127.0.0.1',
  mayUsePort: (p) => p === port,
  resolve: async () => [{ address: '127.0.0.1', family: 4 }],
  ...more,
});
const at = (path = '/', host = 'site.example'): string => `http://${host}:${port}${path}`;
const fetched = async (url: string, net: Net = here(), args: object = {}, bounds = BOUNDS) => {
  try {
    return await webFetch(null, { url, ...args }, bounds, net);
  } catch (error) {
    return failureOf(error);
  }
};
const body = (text: string | Buffer, type = 'text/plain', headers: { [name: string]: string } = {}): void => {
  answer = (_, response) => {
    response.writeHead(200, { 'content-type': type, ...headers });
    response.end(text);
  };
};

describe('web_fetch', () => {
  test('[TL8] gives the text of a page after where it came from, and asks for it by its name', async () => {
    body('line one\r\nline\u001b[31m two\u202e\n');
    const { result, isError } = await fetched(at('/a?b=c#d'));
    expect(result).toBe(`${at('/a?b=c')}\nstatus 200, text/plain\n\nline one\nline\\u{1b}[31m two\\u{202e}`);
    expect(isError).toBe(false);
    expect(asked).toEqual([`site.example:${port} /a?b=c`]);
  });

  test('[TL8] asks nobody whose name means an address that is not public, or one such among others', async () => {
    const loopback = [{ address: '127.0.0.1', family: 4 }];
    const mixed = [{ address: '1.1.1.1', family: 4 }, ...loopback];
    for (const found of [loopback, mixed, [{ address: '::ffff:127.0.0.1', family: 6 }]]) {
      const net = { ...PUBLIC, mayUsePort: () => true, resolve: async () => found };
      expect((await fetched(at('/', 'rebind.example'), net)).result).toMatch(
        /rebind.example is not on the open internet/,
      );
    }
    const none = { ...PUBLIC, resolve: async () => [] };
    expect((await fetched('http://none.example/', none)).result).toMatch(/has no address/);
    expect(asked).toEqual([]);
  });

  test('[TL8] a name is asked for once a hop, and the socket goes where it pointed then', async () => {
    body('first');
    let times = 0;
    const net = here({
      resolve: async () => [{ address: times++ === 0 ? '127.0.0.1' : '127.0.0.2', family: 4 }],
    });
    expect((await fetched(at(), net)).result).toMatch(/first$/);
    expect(times).toBe(1);
  });

  test('[TL8] a socket that has come out elsewhere says nothing', async () => {
    body('secret');
    let looks = 0;
    // The second look is at the socket.
    const net = here({ mayConnect: () => looks++ === 0 });
    expect((await fetched(at(), net)).result).toMatch(/not on the open internet/);
    expect(looks).toBe(2);
    expect(asked).toEqual([]);
  });

  test('[TL8] redirects are followed, five of them, each checked before anybody is asked', async () => {
    answer = (request, response) => {
      const n = Number(request.url?.slice(1));
      if (n > 0) response.writeHead(302, { location: `/${n - 1}` });
      response.end(n > 0 ? '' : 'arrived');
    };
    expect((await fetched(at('/5'))).result).toBe(`${at('/0')}\nstatus 200, no type\n\narrived`);
    expect((await fetched(at('/6'))).result).toBe('Error (tool-failed): more than 5 redirects');
    asked = [];
    for (const location of [
      'http://127.0.0.2/',
      'http://[::1]/',
      'http://2130706433/',
      'http://other.example:81/',
      'ftp://x.example/',
    ]) {
      answer = (_, response) => void response.writeHead(301, { location }).end();
      expect((await fetched(at('/r'))).isError, location).toBe(true);
    }
    expect(asked.every((line) => line.endsWith(' /r'))).toBe(true);
  });

  test('[TL8, SV3] a page without an end is cut, packed or not, and one that unpacks to everything', async () => {
    answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      const more = (): void => {
        while (response.write('x'.repeat(65_536)));
      };
      response.on('drain', more);
      more();
    };
    const said = await fetched(at(), here(), { max_chars: 200_000 });
    expect(said.result).toMatch(/\[cut: 200000 of 2097152 characters shown; the page is larger than 2097152 bytes/);
    const bomb = Buffer.alloc(200 << 20, 'a');
    for (const [how, packed] of [
      ['gzip', gzipSync(bomb)],
      ['br', brotliCompressSync(bomb, { params: { 1: 1 } })],
    ] as const) {
      body(packed, 'text/plain', { 'content-encoding': how });
      const before = process.memoryUsage().rss;
      expect((await fetched(at())).result).toMatch(/cut: 20000 of 2097152 characters shown/);
      expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
    }
    body(gzipSync('small'), 'text/plain', { 'content-encoding': 'gzip' });
    expect((await fetched(at())).result).toMatch(/\n\nsmall$/);
    body('x', 'text/plain', { 'content-encoding': 'gzip, gzip' });
    expect((await fetched(at())).result).toMatch(/packed in a way that is not known/);
    body('not gzip', 'text/plain', { 'content-encoding': 'gzip' });
    expect((await fetched(at())).result).toMatch(/broke off/);
  });

  test('[TL8, SV2] an answer that does not come, or does not end, is given up', async () => {
    const bounds = { ...BOUNDS, deadlineMs: 250 };
    answer = () => undefined;
    expect((await fetched(at(), here(), {}, bounds)).result).toMatch(/^Error \(tool-timeout\)/);
    answer = (_, response) => void response.writeHead(200, { 'content-type': 'text/plain' }).write('a');
    expect((await fetched(at(), here(), {}, bounds)).result).toMatch(/^Error \(tool-timeout\)/);
    const slow = here({ resolve: () => new Promise(() => undefined) });
    expect((await fetched(at(), slow, {}, bounds)).result).toMatch(/^Error \(tool-timeout\)/);
  });

  test('[TL8] what is no text is refused by its type; an error page is an error with its text', async () => {
    body(Buffer.from([1, 2]), 'image/png');
    expect((await fetched(at())).result).toMatch(/is image\/png, not text \(status 200\)$/);
    answer = (_, response) => void response.writeHead(404, { 'content-type': 'text/plain' }).end('no such page');
    const lost = await fetched(at());
    expect([lost.isError, lost.result.endsWith('status 404, text/plain\n\nno such page')]).toEqual([true, true]);
    for (const type of ['text/x', 'application/json', 'application/ld+json; a=b', 'application/atom+xml', ''])
      expect(isText(type), type).toBe(true);
    for (const type of ['application/pdf', 'application/octet-stream', 'image/svg', 'application/jsonx'])
      expect(isText(type), type).toBe(false);
  });

  test('[TL8] HTML is text, in its own charset', async () => {
    body(Buffer.from('<meta charset="windows-1252"><p>caf\xe9 <a href="/x">more</a>', 'latin1'), 'text/html');
    expect((await fetched(at('/d/'))).result).toMatch(/\n\ncafé more \(http:\/\/site\.example:\d+\/x\)$/);
    body(Buffer.from('\xa4', 'latin1'), 'text/plain; charset=iso-8859-15');
    expect((await fetched(at())).result).toMatch(/€$/);
    body('', 'text/html');
    expect((await fetched(at())).result).toMatch(/\[the page holds no text\]$/);
  });

  test('[TL8] a tool process refuses what is not public by itself', async () => {
    const tools = createTools({ clock, log: recordingLog(), online: true });
    try {
      const start = starter(tools, '/');
      for (const url of [
        'http://127.0.0.1/',
        'http://[::1]/',
        'http://localhost/',
        'http://0/',
        `http://1.1.1.1:${port}/`,
      ])
        expect((await start('web_fetch', { url }).result).result, url).toMatch(
          /^Error \(tool-failed\): .*(?:internet|form|ports)/,
        );
    } finally {
      await tools.close();
    }
    expect(asked).toEqual([]);
  });

  test('[PM1, TL8] whoever is asked sees all of the URL, as it will be asked for', () => {
    const asked = (url: string) => {
      const planned = plan('web_fetch', JSON.stringify({ url }), { online: true, commands: true });
      return typeof planned === 'string' ? planned : [planned.summary, planned.preview?.()];
    };
    expect(asked('https://ex\u0430mple.com/a b')).toEqual(['Fetch https://xn--exmple-4nf.com/a%20b', undefined]);
    expect(asked('http://0x7f.1/')).toEqual(['Fetch http://127.0.0.1/', undefined]);
    const long = `https://example.com/?q=${'x'.repeat(1_500)}end`;
    expect(asked(long)[1]).toBe(` ${long}`);
    expect(asked(`https://example.com/${'x'.repeat(2_000)}`)).toMatch(/^Error \(invalid-request\)/);
  });

  test('[TL8] the resolver of the system is asked for every address', async () => {
    expect((await systemResolve('localhost')).map((a) => a.address)).toContain('127.0.0.1');
  });
});
