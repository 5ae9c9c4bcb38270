import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { connect, type Socket as NetSocket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { Exchange } from '../../src/transport/port.ts';
import { type HttpBounds, wsAdapter } from '../../src/transport/ws/adapter.ts';
import { FrameCache, textFrames } from '../../src/transport/ws/frames.ts';
import { FrameSplitter } from '../bench/frames.ts';
import { BOUNDS, contractWorld, ends, get, HOST, nextTurn, OK, post, UPGRADE } from './contract-world.ts';
import { frame } from './frame-contract.ts';
import { raw, until } from './world.ts';

/** What this adapter owes beyond the contract: Node's HTTP leaves more open than the other library does. */
const tuned = (http: Partial<HttpBounds>) => contractWorld(() => wsAdapter('for a test', { checkMs: 20, ...http }));
const HANDSHAKE = `GET /ws HTTP/1.1\r\n${HOST}${UPGRADE}\r\n`;

describe('connections', () => {
  const w = tuned({ headMs: 150, receiveMs: 250, idleMs: 100, headBytesMax: 2_000, connectionsMax: 6 });

  test('[SV3] a head or a body that never ends is given up, the others are served', async () => {
    w.http = (_h, e) => e.body(1_000, (body) => e.reply(OK(body instanceof Uint8Array ? 'read' : body)));
    const drip = (start: string): Promise<string> =>
      new Promise((resolve) => {
        let text = '';
        let dripping: NodeJS.Timeout | undefined;
        const s = connect(w.port, '127.0.0.1', () => {
          s.write(start);
          dripping = setInterval(() => s.write('a'), 10);
        });
        s.on('data', (d) => {
          text += d;
        });
        s.on('error', () => undefined);
        s.on('close', () => {
          clearInterval(dripping);
          resolve(text);
        });
      });
    const silent = w.reader('');
    const slow = Promise.all([
      drip('GET / HTTP/1.1\r\nX-'),
      drip(`POST / HTTP/1.1\r\n${HOST}Content-Length: 900\r\n\r\n`),
    ]);
    expect((await raw(w.port, [post('quick')], ends('read'))).text).toMatch(/read$/);
    const [head] = await slow;
    expect(head).toMatch(/^HTTP\/1\.1 408 /);
    await until('one that says nothing at all, too', () => silent.ended);
    await until('nothing is left', () => w.t.usage().exchanges === 0 && w.t.usage().bodiesBytes === 0);
    expect(w.faults).toEqual([]);
  });

  test('[SV3] a kept connection without a request is ended, and a head above its bound is refused', async () => {
    const idle = await raw(w.port, [get('/')], { waitMs: 2_000 });
    expect([idle.closed, idle.text.endsWith('hi')]).toEqual([true, true]);
    const long = await raw(w.port, [`GET / HTTP/1.1\r\n${HOST}X-A: ${'a'.repeat(3_000)}\r\n\r\n`], { waitMs: 2_000 });
    expect(long.text).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('[SV3] above their number connections are dropped, and one that ends makes room', async () => {
    const seen = w.accept();
    const all = Array.from({ length: 8 }, () => w.reader(HANDSHAKE));
    await until('the last two are dropped', () => all.filter((r) => r.ended).length === 2);
    expect([seen.sockets.length, w.t.usage().sockets]).toEqual([6, 6]);
    for (const r of all) r.socket.destroy();
    await until('room', () => w.t.usage().sockets === 0);
    expect((await raw(w.port, [get('/')], ends('hi'))).text).toMatch(/hi$/);
  });

  test('[SV3] an answer that nobody takes is given up', async () => {
    await w.restart({});
    const stalled = wsAdapter('for a test', { stallMs: 100, checkMs: 20 }).create(
      { http: (_h, e) => e.reply(OK('x'.repeat(16 << 20))), upgrade: () => OK('no'), onFault: () => undefined },
      BOUNDS,
    );
    const port = (await stalled.listen('127.0.0.1', 0)) ?? 0;
    const s = connect(port, '127.0.0.1', () => s.write(get('/')));
    s.pause();
    s.on('error', () => undefined);
    await until('the answer is there', () => stalled.usage().exchanges === 1);
    await until('it is given up', () => stalled.usage().exchanges === 0);
    s.destroy();
    await stalled.close(20);
  });

  test('[SV2] an answer may be long in coming, and a stream may be quiet', async () => {
    await w.t.close(20);
    const patient = wsAdapter('for a test', {
      stallMs: 50,
      idleMs: 50,
      lingerMs: 50,
      headMs: 50,
      receiveMs: 50,
      checkMs: 10,
    });
    const end = { drain: () => undefined, closed: () => undefined };
    const t = patient.create(
      {
        http: (h, e) => {
          const stream = h.path === '/stream' ? e.stream({ status: 200, headers: [] }, end) : null;
          stream?.write('first ');
          setTimeout(() => (stream ? stream.write('second') : e.reply(OK('late'))), 300);
        },
        upgrade: () => OK('no'),
        onFault: () => undefined,
      },
      BOUNDS,
    );
    const port = (await t.listen('127.0.0.1', 0)) ?? 0;
    const [late, quiet] = await Promise.all([
      raw(port, [get('/')], ends('late')),
      raw(port, [get('/stream')], { waitMs: 2_000, enough: (text) => text.includes('second') }),
    ]);
    expect([late.text.endsWith('late'), quiet.text.includes('second')]).toEqual([true, true]);
    await t.close(20);
  });
});

describe('requests', () => {
  const w = tuned({ refusedBodyMs: 400 });

  test('[AU1] a request that asks for a protocol nobody speaks is answered as any other, its body too', async () => {
    const seen: string[] = [];
    w.http = (h, e) => {
      seen.push(`${h.method} ${h.path} ${[...h.headers.keys()].join()}`);
      e.body(100, (body) => e.reply(OK(body instanceof Uint8Array ? `<${Buffer.from(body)}>` : body)));
    };
    const h2c = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';
    const bare = `GET /ws HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;
    const r = w.reader(`POST /a HTTP/1.1\r\n${HOST}${h2c}Content-Length: 4\r\n\r\nbody`);
    await until('the first answer', () => r.text.endsWith('<body>'));
    r.socket.write(bare);
    await until('the second', () => r.text.endsWith('<>'));
    r.socket.write(get('/after'));
    await until('the third', () => r.text.match(/<>/g)?.length === 2);
    expect(r.text).not.toMatch(/x-powered-by/i);
    expect(seen).toEqual(['POST /a host,http2-settings,content-length', 'GET /ws host', 'GET /after host']);
    await until('all are over', () => w.t.usage().exchanges === 0);
    r.socket.destroy();
  });

  test('[SV3] many such requests on one connection leave it one connection, with no more listeners than one of them', async () => {
    const accepted: NetSocket[] = [];
    const accept = (message: unknown): void => void accepted.push((message as { socket: NetSocket }).socket);
    const warnings: string[] = [];
    const warn = ({ name }: Error): void => void warnings.push(name);
    subscribe('net.server.socket', accept);
    process.on('warning', warn);
    const r = w.reader('');
    try {
      const counts: [string, number][][] = [];
      for (let n = 1; n <= 30; n++) {
        r.socket.write(`GET / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`);
        await until(`answer ${n}`, () => r.text.split('\r\n\r\nhi').length === n + 1);
        await until('it is over', () => w.t.usage().exchanges === 0);
        const [net] = accepted as [NetSocket];
        counts.push(net.eventNames().map((name) => [String(name), net.listenerCount(name)]));
      }
      await nextTurn();
      expect(counts.at(-1)?.sort()).toEqual(counts[0]?.sort());
      expect([accepted.length, w.t.usage().connections, warnings]).toEqual([1, 1, []]);
      r.socket.destroy();
      await until('it is gone', () => w.t.usage().connections === 0);
    } finally {
      unsubscribe('net.server.socket', accept);
      process.off('warning', warn);
    }
  });

  test('[AU1] an upgrade behind a request that is not answered ends the connection: answers are never mixed up', async () => {
    const seen = w.accept();
    w.http = () => undefined;
    for (const second of [HANDSHAKE, `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`]) {
      expect(await raw(w.port, [get('/') + second], { waitMs: 2_000 })).toEqual({ text: '', closed: true });
    }
    await until('nothing is left', () => w.t.usage().exchanges === 0);
    expect(seen.sockets).toEqual([]);
  });

  test('[AC1] an upgrade that is no handshake reaches no plane as one, and a wrong version is refused', async () => {
    let asked = 0;
    w.upgrade = () => {
      asked += 1;
      return () => ({ message: () => undefined, drain: () => undefined, closed: () => undefined });
    };
    const lines = (more: string, method = 'GET'): string => `${method} /ws HTTP/1.1\r\n${HOST}${more}\r\n`;
    expect((await raw(w.port, [lines(UPGRADE, 'POST')], ends('hi'))).text).toMatch(/^HTTP\/1\.1 200 /);
    expect((await raw(w.port, [lines(UPGRADE.replace(/Key: \S+/, 'Key: short'))], ends('hi'))).text).toMatch(
      /^HTTP\/1\.1 200 /,
    );
    expect(asked).toBe(0);
    const old = await raw(w.port, [lines(UPGRADE.replace('13', '7'))], { waitMs: 2_000 });
    expect(old.text).toMatch(/^HTTP\/1\.1 400 /);
    const named = await raw(
      w.port,
      [lines(`${UPGRADE}Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: permessage-deflate\r\n`)],
      {
        waitMs: 2_000,
        enough: (t) => t.endsWith('\r\n\r\n'),
      },
    );
    expect(named.text).toMatch(/^HTTP\/1\.1 101 /);
    expect(named.text).not.toMatch(/protocol:|extensions:/i);
  });

  test('[SV3] a refused body is taken for a moment, so that its sender reads the answer, and no longer', async () => {
    w.http = (_h, e) => e.body(10, (body) => e.reply(OK(String(body)), true));
    const head = `POST / HTTP/1.1\r\n${HOST}Content-Length: 100000000\r\n\r\n`;
    const endless = await raw(w.port, [head, 'x'.repeat(2 << 20)], { waitMs: 2_000 });
    expect(endless.closed).toBe(true);
    expect(endless.text).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*connection: close\r\n[\s\S]*too-large$/i);
    await until('it is over', () => w.t.usage().exchanges === 0);
    // A sender whose bytes nobody took would see its connection break, and some systems then forget the answer.
    const errors: unknown[] = [];
    const sender = w.reader(head + 'x'.repeat(8 << 20));
    sender.socket.on('error', (fault) => errors.push(fault));
    await until('it is ended', () => sender.ended);
    expect([errors, sender.text.endsWith('too-large')]).toEqual([[], true]);
  });

  test('[SV3] requests in one packet whose first is not answered leave nothing when their client goes', async () => {
    const kept: Exchange[] = [];
    w.http = (_h, e) => void kept.push(e);
    const r = w.reader(get('/1') + get('/2') + get('/3'));
    await until('all are there', () => kept.length === 3);
    kept[1]?.reply(OK('second'));
    r.socket.destroy();
    await until('nothing is left', () => w.t.usage().exchanges === 0);
    for (const e of kept) e.reply(OK('late'));
    expect(w.faults).toEqual([]);
  });

  test('[SV1] a header that cannot be is a fault of its own exchange', async () => {
    w.http = (_h, e) => e.reply({ status: 200, headers: [['x-a', 'b\r\nx-c: d']], body: '' });
    expect(await raw(w.port, [get('/')], { waitMs: 2_000 })).toEqual({ text: '', closed: true });
    expect(w.faults).toEqual(['http']);
  });
});

describe('sockets', () => {
  const w = tuned({ lingerMs: 200 });

  test('[EV2] a message above the bound ends with 1009, one without a mask with 1002', async () => {
    const seen = w.accept();
    const c = await w.client();
    c.ws.send('x'.repeat(BOUNDS.frameBytesMax + 1));
    await until('closed', () => c.closed.length === 1 && seen.closes.length === 1);
    expect([c.closed[0]?.[0], seen.closes[0]?.[0]]).toEqual([1009, 1009]);
    const r = w.reader(HANDSHAKE);
    await until('open', () => seen.sockets.length === 2);
    r.socket.write(frame(0x81, 'x', false));
    await until('closed', () => seen.closes.length === 2);
    expect(seen.closes[1]?.[0]).toBe(1002);
    r.socket.destroy();
  });

  test('[SV2] a silent socket is pinged, one that answers stays, one that does not is cut', async () => {
    await w.restart({ socketIdleMs: 160 });
    const seen = w.accept();
    const c = await w.client();
    let pings = 0;
    c.ws.on('ping', () => void pings++);
    const dead = w.reader(HANDSHAKE);
    await until('the dead one is cut', () => dead.ended && seen.closes.length === 1);
    expect(seen.closes[0]?.[0]).toBe(1006);
    await until('more pings than a silence has room for', () => pings > 5);
    expect([c.closed.length, w.t.usage().sockets]).toEqual([0, 1]);
    c.ws.terminate();
  });

  test('[SV2] a closed socket whose peer takes nothing, or never answers the close, is cut', async () => {
    const seen = w.accept();
    const deaf = w.reader(HANDSHAKE);
    const mute = w.reader(HANDSHAKE);
    await until('open', () => seen.sockets.length === 2);
    deaf.socket.pause();
    for (let i = 0; i < 100; i++) seen.sockets[0]?.send('q'.repeat(70_000));
    for (const socket of seen.sockets) socket.close(4000, 'enough');
    expect(seen.closes).toEqual([
      [4000, 'enough'],
      [4000, 'enough'],
    ]);
    await until('the mute one is cut', () => mute.ended);
    deaf.socket.resume();
    await until('the deaf one too', () => deaf.ended);
  });
});

describe('frames', () => {
  const payloads = (bytes: Buffer): string[] => {
    const got: string[] = [];
    new FrameSplitter().push(bytes, (payload) => got.push(payload.toString()));
    return got;
  };

  test('[EV2] a batch is its texts, and the same batch of one turn is built once', async () => {
    const texts = ['a', '', 'ü'.repeat(70), 'x'.repeat(65_535), 'y'.repeat(65_536), '😀'];
    expect(payloads(textFrames(texts))).toEqual(texts);
    const cache = new FrameCache();
    const first = cache.framesOf(['a', 'b']);
    expect(cache.framesOf(['a', 'b'])).toBe(first);
    for (const other of [['a'], ['a', 'c'], ['a', 'b', 'b'], ['b', 'a'], []]) {
      expect(payloads(cache.framesOf(other))).toEqual(other);
    }
    const again = cache.framesOf(['a', 'b']);
    await nextTurn();
    expect(cache.framesOf(['a', 'b'])).not.toBe(again);
  });
});

test('[SV3] there is room for requests beside all the sockets that may be open', () => {
  expect(LIMITS.connectionsMax).toBeGreaterThan(LIMITS.attachmentsMax);
});
