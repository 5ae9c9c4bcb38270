import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Exchange, RequestHead, Socket, TransportAdapter } from '../../src/transport/port.ts';
import { BOUNDS, contractWorld, ends, get, HOST, nextTurn, OK, post, UPGRADE } from './contract-world.ts';
import { frameContract } from './frame-contract.ts';
import { streamContract } from './stream-contract.ts';
import { raw, until } from './world.ts';

/** What every adapter of the transport port owes. */
export const transportContract = (name: string, adapter: () => TransportAdapter, missing: string | null): void => {
  describe.skipIf(missing !== null)(`transport contract: ${name}${missing === null ? '' : ` (${missing})`}`, () => {
    describe('requests and sockets', () => exchangeContract(adapter));
    describe('frames', () => frameContract(adapter));
    describe('streams', () => streamContract(adapter));
  });
};

const exchangeContract = (adapter: () => TransportAdapter): void => {
  const w = contractWorld(adapter);

  test('[AC1] a port is never shared', async () => {
    const other = adapter().create({ http: w.http, upgrade: () => OK('no'), onFault: () => undefined }, BOUNDS);
    expect(await other.listen('127.0.0.1', w.port)).toBeNull();
    await other.close(20);
  });

  test('[AC1] a port whose connections have just ended is free again, and of several who want it at once one has it at most', async () => {
    w.accept();
    const { port } = w;
    const clients = [await w.client(), await w.client()];
    await w.t.close(20);
    await until('closed', () => clients.every((c) => c.closed.length === 1));
    const nobody = { http: w.http, upgrade: () => OK('no'), onFault: () => undefined };
    const rivals = Array.from({ length: 3 }, () => adapter().create(nobody, BOUNDS));
    const got = await Promise.all(rivals.map((r) => r.listen('127.0.0.1', port)));
    expect(got.filter((p) => p !== null).length).toBeLessThanOrEqual(1);
    for (const rival of rivals) await rival.close(20);
    const next = adapter().create(nobody, BOUNDS);
    expect(await next.listen('127.0.0.1', port)).toBe(port);
    const late = adapter().create(nobody, BOUNDS);
    expect(await late.listen('127.0.0.1', port)).toBeNull();
    for (const t of [next, late]) await t.close(20);
    await w.start();
  });

  test('[AU1] a request head is copied as it was sent', async () => {
    const heads: RequestHead[] = [];
    w.http = (h, e) => {
      setImmediate(() => {
        heads.push(h);
        e.reply(OK(''));
      });
    };
    const req = `GET /a%2Fb//c?x=1&y=%20 HTTP/1.1\r\n${HOST}X-Twice: a\r\nx-twice: b\r\nAuthorization: T\r\n\r\n`;
    await raw(w.port, [req], { waitMs: 2_000, enough: (text) => text.includes('\r\n\r\n') });
    expect(heads[0]).toMatchObject({ method: 'GET', path: '/a%2Fb//c', query: 'x=1&y=%20' });
    expect([...(heads[0]?.headers ?? [])]).toEqual(
      expect.arrayContaining([
        ['host', 'x'],
        ['x-twice', 'a, b'],
        ['authorization', 'T'],
      ]),
    );
  });

  test('[AU1] a body in many pieces arrives whole, and an early answer leaves the connection usable', async () => {
    w.http = (h, e) => {
      if (h.path === '/early') return e.reply({ status: 401, headers: [], body: 'early' });
      e.body(1_000, (body) => e.reply(OK(body instanceof Uint8Array ? Buffer.from(body).toString() : body)));
    };
    const whole = post('abcdefghij');
    const pieces = await new Promise<string>((resolve) => {
      let text = '';
      const s = connect(w.port, '127.0.0.1', () => {
        // One behind the other: timers of their own may pass each other when the loop is late.
        const next = (i: number): void => {
          if (i < whole.length) setTimeout(() => s.write(whole[i] ?? '', () => next(i + 1)), 1);
        };
        next(0);
      });
      s.on('data', (d) => {
        text += d;
        if (text.endsWith('abcdefghij')) s.destroy();
      });
      s.on('close', () => resolve(text));
    });
    expect(pieces).toMatch(/200 OK[\s\S]*abcdefghij$/);
    const { text } = await raw(w.port, [post('xxxxx', '/early'), post('next')], ends('next'));
    expect(text).toMatch(/^HTTP\/1\.1 401 [\s\S]*earlyHTTP\/1\.1 200 OK[\s\S]*next$/);
  });

  test('[SV3] a body above its bound is too-large, with a length and without', async () => {
    w.http = (_h, e) => e.body(10, (body) => e.reply(OK(body instanceof Uint8Array ? 'fits' : body)));
    expect((await raw(w.port, [post('x'.repeat(10))], ends('fits'))).text).toMatch(/fits$/);
    expect((await raw(w.port, [post('x'.repeat(11))], ends('too-large'))).text).toMatch(/too-large$/);
    const chunked = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n9\r\nxxxxxxxxx\r\n9\r\nxxxxxxxxx\r\n0\r\n\r\n`;
    expect((await raw(w.port, [chunked], ends('too-large'))).text).toMatch(/too-large$/);
    expect(w.t.usage().bodiesBytes).toBe(0);
  });

  test('[SV3] all bodies together are bounded, and what was read is given back when clients leave', async () => {
    const results: string[] = [];
    w.http = (_h, e) => e.body(1 << 20, (body) => results.push(body instanceof Uint8Array ? 'read' : body));
    const half = `POST / HTTP/1.1\r\n${HOST}Content-Length: 200000\r\n\r\n${'x'.repeat(150_000)}`;
    const a = raw(w.port, [half], { waitMs: 300 });
    await until('the first half is there', () => w.t.usage().bodiesBytes >= 150_000);
    const b = raw(w.port, [half], { waitMs: 300 });
    await until('the second is refused', () => results.includes('busy'));
    await Promise.all([a, b]);
    await until('both are gone', () => w.t.usage().exchanges === 0 && w.t.usage().bodiesBytes === 0);
    expect(results).toEqual(['busy']);
  });

  test('[AU1] HEAD and 204 have no body; HEAD has the length', async () => {
    w.http = (h, e) => e.reply({ status: h.path === '/204' ? 204 : 200, headers: [], body: 'sevenss' });
    const { text } = await raw(w.port, [get('/', 'HEAD'), get('/204'), get('/')], ends('sevenss'));
    expect(text.match(/sevenss/g)).toHaveLength(1);
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*content-length: 7\r\n[\s\S]*HTTP\/1\.1 204 /i);
  });

  test('[SV1] an answer after the client left, a second answer and a late body are without effect', async () => {
    let kept: Exchange | null = null;
    w.http = (h, e) => {
      if (h.path === '/twice') {
        e.reply(OK('one'));
        e.reply(OK('two'));
      } else kept = e;
    };
    await raw(w.port, [get('/leave')], { waitMs: 30 });
    await until('the adapter noticed', () => w.t.usage().exchanges === 0);
    (kept as Exchange | null)?.reply(OK('nobody'));
    expect((await raw(w.port, [get('/twice')], ends('one'))).text).toMatch(/one$/);
    expect(w.faults).toEqual([]);
  });

  test('[SH5] a client that leaves before its answer is told of, once; one that was answered is not', async () => {
    const told: string[] = [];
    let kept: Exchange | null = null;
    w.http = (h, e) => {
      e.whenGone(() => void told.push(h.path));
      if (h.path === '/answered') e.reply(OK('one'));
      else if (h.path === '/body') e.body(1_000, () => undefined);
      else kept = e;
    };
    expect((await raw(w.port, [get('/answered')], ends('one'))).text).toMatch(/one$/);
    await raw(w.port, [get('/waits')], { waitMs: 30 });
    await raw(w.port, [post('x', '/body')], { waitMs: 30 });
    await until('the adapter noticed', () => w.t.usage().exchanges === 0);
    expect(told).toEqual(['/waits', '/body']);
    // Who asks later hears it at once, and a bug in there stays with its own connection.
    (kept as Exchange | null)?.whenGone(() => void told.push('late'));
    expect(told.at(-1)).toBe('late');
    w.http = (_h, e) =>
      e.whenGone(() => {
        throw new Error('bug');
      });
    await raw(w.port, [get('/throws')], { waitMs: 30 });
    await until('the fault is told', () => w.faults.length === 1);
    expect(w.faults).toEqual(['gone']);
  });

  test('[SV1] a handler that throws ends its own connection only', async () => {
    const seen = w.accept();
    w.http = (h, e) => {
      if (h.path === '/throw') throw new Error('bug');
      if (h.path === '/body') {
        e.body(10, () => {
          throw new Error('bug');
        });
      } else e.reply(OK('fine'));
    };
    const other = await w.client();
    expect((await raw(w.port, [get('/throw')], { waitMs: 2_000 })).text).toMatch(/^HTTP\/1\.1 500 /);
    expect((await raw(w.port, [post('x', '/body')], { waitMs: 2_000 })).closed).toBe(true);
    expect((await raw(w.port, [get('/')], ends('fine'))).text).toMatch(/fine$/);
    w.upgrade = () => {
      throw new Error('bug');
    };
    await expect(w.client()).rejects.toThrow();
    w.upgrade = () => () => {
      throw new Error('bug');
    };
    const c = new WebSocket(`ws://127.0.0.1:${w.port}/`);
    const code = await new Promise((resolve) => c.on('close', resolve));
    expect(code).toBe(1011);
    seen.sockets[0]?.send('still here');
    await until('the other lives', () => other.got.length === 1);
    expect(w.faults).toEqual(['http', 'body', 'upgrade', 'open']);
    other.ws.terminate();
  }, 10_000);

  test('[WB4] a subprotocol is answered as the plane says, and none of an offer that it passes over', async () => {
    w.accept();
    const answerTo = async (offer: string): Promise<string> => {
      const lines = offer === '' ? '' : `Sec-WebSocket-Protocol: ${offer}\r\n`;
      const { text } = await raw(w.port, [`GET /any HTTP/1.1\r\n${HOST}${UPGRADE}${lines}\r\n`], {
        waitMs: 2_000,
        enough: (t) => t.endsWith('\r\n\r\n'),
      });
      expect(text).toMatch(/^HTTP\/1\.1 101 /);
      return /^sec-websocket-protocol: (.*)\r$/im.exec(text)?.[1] ?? 'none';
    };
    w.protocol = 'opta.v3';
    expect(await answerTo('opta.v3, opta.token.c2VjcmV0')).toBe('opta.v3');
    expect(await answerTo('opta.token.c2VjcmV0, opta.v3')).toBe('opta.v3');
    w.protocol = null;
    expect(await answerTo('a, b')).toBe('none');
    expect(await answerTo('')).toBe('none');
  });

  test('[AC1] a refused upgrade is an HTTP answer', async () => {
    w.upgrade = () => ({ status: 403, headers: [['x-why', 'no']], body: 'refused' });
    const { text } = await raw(w.port, [`GET /ws HTTP/1.1\r\n${HOST}${UPGRADE}\r\n`], ends('refused'));
    expect(text).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n[\s\S]*x-why: no\r\n[\s\S]*refused$/i);
  });

  test('[EV2] frames arrive in order, whole, and before the close with its code', async () => {
    const seen = w.accept();
    const c = await w.client();
    const frames = Array.from({ length: 500 }, (_, i) => `${i} ü€😀 ${'x'.repeat(i)}`);
    for (const f of frames) seen.sockets[0]?.send(f);
    seen.sockets[0]?.close(4001, 'why');
    seen.sockets[0]?.send('after');
    await until('closed', () => c.closed.length === 1);
    expect(c.got).toEqual(frames);
    expect(c.closed).toEqual([[4001, 'why']]);
    expect(seen.closes).toHaveLength(1);
    seen.sockets[0]?.close(4002, 'again');
    expect([seen.sockets[0]?.bufferedBytes(), seen.closes.length]).toEqual([0, 1]);
  });

  test('[EV2] inbound: text as text, binary as null, too large closes, a throw closes with 1011', async () => {
    const seen = w.accept();
    const c = await w.client();
    c.ws.send('tëxt 😀');
    c.ws.send(Buffer.from([1, 2]));
    c.ws.send('');
    await until('three', () => seen.got.length === 3);
    expect(seen.got).toEqual(['tëxt 😀', null, '']);
    c.ws.send('x'.repeat(BOUNDS.frameBytesMax + 1));
    await until('closed', () => c.closed.length === 1 && seen.closes.length === 1);
    w.upgrade = () => () => ({
      message: () => {
        throw new Error('bug');
      },
      drain: () => undefined,
      closed: () => undefined,
    });
    const bad = await w.client();
    bad.ws.send('x');
    await until('closed', () => bad.closed.length === 1);
    expect(bad.closed[0]?.[0]).toBe(1011);
    expect(w.faults).toEqual(['message']);
  });

  test('[EV2] a socket closed while it opens gets its frame and code, and `closed` is called once', async () => {
    let closes = 0;
    w.upgrade = () => (socket) => {
      socket.send('sorry');
      socket.close(4000, 'missing');
      const closed = (): void => {
        closes += 1;
      };
      return { message: () => undefined, drain: () => undefined, closed };
    };
    const ws = new WebSocket(`ws://127.0.0.1:${w.port}/`);
    const got: string[] = [];
    ws.on('message', (d) => got.push(d.toString()));
    const code = await new Promise((resolve) => ws.on('close', resolve));
    expect([got, code, closes]).toEqual([['sorry'], 4000, 1]);
  });

  test('[EV2] a slow reader: the backlog is told honestly, drain follows, and nothing is skipped', async () => {
    const seen = w.accept();
    const c = await w.client();
    c.ws.pause();
    const socket = seen.sockets[0] as Socket;
    const frame = 'y'.repeat(60_000);
    let sent = 0;
    while (socket.bufferedBytes() < 4 << 20 && sent < 1_000) {
      for (let i = 0; i < 10; i++) socket.send(`${sent++} ${frame}`);
      await nextTurn();
    }
    expect(socket.bufferedBytes()).toBeGreaterThan(4 << 20);
    expect(seen.drains).toBe(0);
    c.ws.resume();
    await until('all came', () => c.got.length === sent);
    expect(c.got.map((f) => Number.parseInt(f, 10))).toEqual(Array.from({ length: sent }, (_, i) => i));
    await until('drained', () => seen.drains > 0 && socket.bufferedBytes() === 0);
    c.ws.terminate();
  });

  test('[EV2] drain also follows a backlog that the kernel took at once', async () => {
    const seen = w.accept();
    const c = await w.client();
    seen.sockets[0]?.send('small');
    expect(seen.sockets[0]?.bufferedBytes()).toBeGreaterThan(0);
    await until('drained', () => seen.drains === 1);
    c.ws.terminate();
  });

  test('[EV2] [SV3] above its byte budget a socket is closed, and what it got is a prefix without gap', async () => {
    await w.restart({ socketBytesMax: 1 << 20 });
    const seen = w.accept();
    const c = await w.client();
    c.ws.pause();
    const socket = seen.sockets[0] as Socket;
    for (let i = 0; i < 400 && seen.closes.length === 0; i++) {
      socket.send(`${i} ${'z'.repeat(100_000)}`);
      if (i % 10 === 9) await nextTurn();
    }
    expect(seen.closes).toHaveLength(1);
    expect(w.t.usage()).toMatchObject({ sockets: 0, slowClosed: 1 });
    c.ws.resume();
    await until('closed', () => c.closed.length === 1);
    expect(c.got.length).toBeLessThan(400);
    expect(c.got.map((f) => Number.parseInt(f, 10))).toEqual(c.got.map((_, i) => i));
    expect(c.closed).toEqual([[4008, 'slow-reader']]);
  });

  test('[SV2] close: sockets get 1001, a deaf one and an unanswered request are cut at the deadline', async () => {
    const seen = w.accept();
    w.http = (h, e) => (h.path === '/soon' ? void setTimeout(() => e.reply(OK('late but there')), 50) : undefined);
    const [fine, deaf] = [await w.client(), await w.client()];
    deaf.ws.pause();
    for (let i = 0; i < 100; i++) seen.sockets[1]?.send('q'.repeat(70_000));
    const never = raw(w.port, [get('/never')], { waitMs: 3_000 });
    const soon = raw(w.port, [get('/soon')], { waitMs: 3_000 });
    await until('both are in', () => w.t.usage().exchanges === 2);
    const startedAt = performance.now();
    await w.t.close(300);
    expect(performance.now() - startedAt).toBeLessThan(1_500);
    await until('the fine one knows', () => fine.closed.length === 1);
    expect(fine.closed[0]).toEqual([1001, 'shutting-down']);
    expect((await soon).text).toMatch(/late but there$/);
    expect(await never).toEqual({ text: '', closed: true });
    expect(seen.closes).toHaveLength(2);
    expect(w.t.usage()).toMatchObject({ sockets: 0, exchanges: 0 });
    await expect(raw(w.port, [get('/')])).resolves.toEqual({ text: '', closed: true });
    deaf.ws.terminate();
  });
};
