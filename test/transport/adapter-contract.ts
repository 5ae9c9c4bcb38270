import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type {
  Exchange,
  RequestHead,
  Response,
  Socket,
  SocketEnd,
  Transport,
  TransportAdapter,
  TransportBounds,
} from '../../src/transport/port.ts';
import { raw, until } from './world.ts';

const OK = (body: string): Response => ({ status: 200, headers: [['x-test', '1']], body });
const BOUNDS: TransportBounds = {
  frameBytesMax: 64 * 1024,
  bodiesBytesMax: 256 * 1024,
  socketBytesMax: 8 << 20,
  socketIdleMs: 120_000,
};

/** What every adapter of the transport port owes. */
export const transportContract = (name: string, adapter: () => TransportAdapter): void => {
  describe(`transport contract: ${name}`, () => {
    let t: Transport;
    let port = 0;
    let faults: string[] = [];
    let http: (head: RequestHead, exchange: Exchange) => void;
    let upgrade: (head: RequestHead) => Response | ((socket: Socket) => SocketEnd);

    const start = async (bounds: Partial<TransportBounds> = {}): Promise<void> => {
      t = adapter().create(
        { http: (h, e) => http(h, e), upgrade: (h) => upgrade(h), onFault: (where) => faults.push(where) },
        { ...BOUNDS, ...bounds },
      );
      port = (await t.listen('127.0.0.1', 0)) ?? 0;
    };
    beforeEach(async () => {
      faults = [];
      http = (_h, e) => e.reply(OK('hi'));
      upgrade = () => OK('no');
      await start();
    });
    afterEach(() => t.close(20));

    const HOST = 'Host: x\r\n';
    const get = (path: string, method = 'GET'): string => `${method} ${path} HTTP/1.1\r\n${HOST}\r\n`;
    const post = (body: string, path = '/'): string =>
      `POST ${path} HTTP/1.1\r\n${HOST}Content-Length: ${body.length}\r\n\r\n${body}`;
    const ends = (tail: string) => ({ waitMs: 2_000, enough: (text: string) => text.endsWith(tail) });

    /** An accepting plane that keeps what happens. */
    const accept = (): { sockets: Socket[]; got: (string | null)[]; closes: [number, string][]; drains: number } => {
      const seen = {
        sockets: [] as Socket[],
        got: [] as (string | null)[],
        closes: [] as [number, string][],
        drains: 0,
      };
      upgrade = () => (socket) => {
        seen.sockets.push(socket);
        return {
          message: (text) => void seen.got.push(text),
          drain: () => {
            seen.drains += 1;
          },
          closed: (code, reason) => void seen.closes.push([code, reason]),
        };
      };
      return seen;
    };
    const client = async (): Promise<{ ws: WebSocket; got: string[]; closed: [number, string][] }> => {
      const ws = new WebSocket(`ws://127.0.0.1:${port}/any`, { perMessageDeflate: false });
      const c = { ws, got: [] as string[], closed: [] as [number, string][] };
      ws.on('message', (d) => c.got.push(d.toString()));
      ws.on('close', (code, reason) => c.closed.push([code, reason.toString()]));
      ws.on('error', () => undefined);
      await until('open', () => ws.readyState === WebSocket.OPEN);
      return c;
    };

    test('[AC1] a port is never shared', async () => {
      const other = adapter().create({ http, upgrade, onFault: () => undefined }, BOUNDS);
      expect(await other.listen('127.0.0.1', port)).toBeNull();
      await other.close(20);
    });

    test('[AU1] a request head is copied as it was sent', async () => {
      const heads: RequestHead[] = [];
      http = (h, e) => {
        setImmediate(() => {
          heads.push(h);
          e.reply(OK(''));
        });
      };
      const req = `GET /a%2Fb//c?x=1&y=%20 HTTP/1.1\r\n${HOST}X-Twice: a\r\nx-twice: b\r\nAuthorization: T\r\n\r\n`;
      await raw(port, [req], { waitMs: 2_000, enough: (text) => text.includes('\r\n\r\n') });
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
      http = (h, e) => {
        if (h.path === '/early') return e.reply({ status: 401, headers: [], body: 'early' });
        e.body(1_000, (body) => e.reply(OK(body instanceof Uint8Array ? Buffer.from(body).toString() : body)));
      };
      const whole = post('abcdefghij');
      const pieces = await new Promise<string>((resolve) => {
        let text = '';
        const s = connect(port, '127.0.0.1', () => {
          for (const [i, c] of [...whole].entries()) setTimeout(() => s.write(c), i);
        });
        s.on('data', (d) => {
          text += d;
          if (text.endsWith('abcdefghij')) s.destroy();
        });
        s.on('close', () => resolve(text));
      });
      expect(pieces).toMatch(/200 OK[\s\S]*abcdefghij$/);
      const { text } = await raw(port, [post('xxxxx', '/early'), post('next')], ends('next'));
      expect(text).toMatch(/^HTTP\/1\.1 401 [\s\S]*earlyHTTP\/1\.1 200 OK[\s\S]*next$/);
    });

    test('[SV3] a body above its bound is too-large, with a length and without', async () => {
      http = (_h, e) => e.body(10, (body) => e.reply(OK(body instanceof Uint8Array ? 'fits' : body)));
      expect((await raw(port, [post('x'.repeat(10))], ends('fits'))).text).toMatch(/fits$/);
      expect((await raw(port, [post('x'.repeat(11))], ends('too-large'))).text).toMatch(/too-large$/);
      const chunked = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n9\r\nxxxxxxxxx\r\n9\r\nxxxxxxxxx\r\n0\r\n\r\n`;
      expect((await raw(port, [chunked], ends('too-large'))).text).toMatch(/too-large$/);
      expect(t.usage().bodiesBytes).toBe(0);
    });

    test('[SV3] all bodies together are bounded, and what was read is given back when clients leave', async () => {
      const results: string[] = [];
      http = (_h, e) => e.body(1 << 20, (body) => results.push(body instanceof Uint8Array ? 'read' : body));
      const half = `POST / HTTP/1.1\r\n${HOST}Content-Length: 200000\r\n\r\n${'x'.repeat(150_000)}`;
      const a = raw(port, [half], { waitMs: 300 });
      await until('the first half is there', () => t.usage().bodiesBytes >= 150_000);
      const b = raw(port, [half], { waitMs: 300 });
      await until('the second is refused', () => results.includes('busy'));
      await Promise.all([a, b]);
      await until('both are gone', () => t.usage().exchanges === 0 && t.usage().bodiesBytes === 0);
      expect(results).toEqual(['busy']);
    });

    test('[AU1] HEAD and 204 have no body; HEAD has the length', async () => {
      http = (h, e) => e.reply({ status: h.path === '/204' ? 204 : 200, headers: [], body: 'sevenss' });
      const { text } = await raw(port, [get('/', 'HEAD'), get('/204'), get('/')], ends('sevenss'));
      expect(text.match(/sevenss/g)).toHaveLength(1);
      expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*content-length: 7\r\n[\s\S]*HTTP\/1\.1 204 /i);
    });

    test('[SV1] an answer after the client left, a second answer and a late body are without effect', async () => {
      let kept: Exchange | null = null;
      http = (h, e) => {
        if (h.path === '/twice') {
          e.reply(OK('one'));
          e.reply(OK('two'));
        } else kept = e;
      };
      await raw(port, [get('/leave')], { waitMs: 30 });
      await until('the adapter noticed', () => t.usage().exchanges === 0);
      (kept as Exchange | null)?.reply(OK('nobody'));
      expect((await raw(port, [get('/twice')], ends('one'))).text).toMatch(/one$/);
      expect(faults).toEqual([]);
    });

    test('[SV1] a handler that throws ends its own connection only', async () => {
      const seen = accept();
      http = (h, e) => {
        if (h.path === '/throw') throw new Error('bug');
        if (h.path === '/body') {
          e.body(10, () => {
            throw new Error('bug');
          });
        } else e.reply(OK('fine'));
      };
      const other = await client();
      expect((await raw(port, [get('/throw')], { waitMs: 2_000 })).text).toMatch(/^HTTP\/1\.1 500 /);
      expect((await raw(port, [post('x', '/body')], { waitMs: 2_000 })).closed).toBe(true);
      expect((await raw(port, [get('/')], ends('fine'))).text).toMatch(/fine$/);
      upgrade = () => {
        throw new Error('bug');
      };
      await expect(client()).rejects.toThrow();
      upgrade = () => () => {
        throw new Error('bug');
      };
      const c = new WebSocket(`ws://127.0.0.1:${port}/`);
      const code = await new Promise((resolve) => c.on('close', resolve));
      expect(code).toBe(1011);
      seen.sockets[0]?.send('still here');
      await until('the other lives', () => other.got.length === 1);
      expect(faults).toEqual(['http', 'body', 'upgrade', 'open']);
      other.ws.terminate();
    }, 10_000);

    test('[AC1] a refused upgrade is an HTTP answer', async () => {
      upgrade = () => ({ status: 403, headers: [['x-why', 'no']], body: 'refused' });
      const key =
        'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
      const { text } = await raw(port, [`GET /ws HTTP/1.1\r\n${HOST}${key}\r\n`], ends('refused'));
      expect(text).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n[\s\S]*x-why: no\r\n[\s\S]*refused$/i);
    });

    test('[EV2] frames arrive in order, whole, and before the close with its code', async () => {
      const seen = accept();
      const c = await client();
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
      const seen = accept();
      const c = await client();
      c.ws.send('tëxt 😀');
      c.ws.send(Buffer.from([1, 2]));
      c.ws.send('');
      await until('three', () => seen.got.length === 3);
      expect(seen.got).toEqual(['tëxt 😀', null, '']);
      c.ws.send('x'.repeat(BOUNDS.frameBytesMax + 1));
      await until('closed', () => c.closed.length === 1 && seen.closes.length === 1);
      upgrade = () => () => ({
        message: () => {
          throw new Error('bug');
        },
        drain: () => undefined,
        closed: () => undefined,
      });
      const bad = await client();
      bad.ws.send('x');
      await until('closed', () => bad.closed.length === 1);
      expect(bad.closed[0]?.[0]).toBe(1011);
      expect(faults).toEqual(['message']);
    });

    test('[EV2] a socket closed while it opens gets its frame and code, and `closed` is called once', async () => {
      let closes = 0;
      upgrade = () => (socket) => {
        socket.send('sorry');
        socket.close(4000, 'missing');
        const closed = (): void => {
          closes += 1;
        };
        return { message: () => undefined, drain: () => undefined, closed };
      };
      const ws = new WebSocket(`ws://127.0.0.1:${port}/`);
      const got: string[] = [];
      ws.on('message', (d) => got.push(d.toString()));
      const code = await new Promise((resolve) => ws.on('close', resolve));
      expect([got, code, closes]).toEqual([['sorry'], 4000, 1]);
    });

    test('[EV2] a slow reader: the backlog is told honestly, drain follows, and nothing is skipped', async () => {
      const seen = accept();
      const c = await client();
      c.ws.pause();
      const socket = seen.sockets[0] as Socket;
      const frame = 'y'.repeat(60_000);
      let sent = 0;
      while (socket.bufferedBytes() < 4 << 20 && sent < 1_000) {
        for (let i = 0; i < 10; i++) socket.send(`${sent++} ${frame}`);
        await new Promise((wake) => setImmediate(wake));
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
      const seen = accept();
      const c = await client();
      seen.sockets[0]?.send('small');
      expect(seen.sockets[0]?.bufferedBytes()).toBeGreaterThan(0);
      await until('drained', () => seen.drains === 1);
      c.ws.terminate();
    });

    test('[EV2] [SV3] above its byte budget a socket is closed, and what it got is a prefix without gap', async () => {
      await t.close(20);
      await start({ socketBytesMax: 1 << 20 });
      const seen = accept();
      const c = await client();
      c.ws.pause();
      const socket = seen.sockets[0] as Socket;
      for (let i = 0; i < 400 && seen.closes.length === 0; i++) {
        socket.send(`${i} ${'z'.repeat(100_000)}`);
        if (i % 10 === 9) await new Promise((wake) => setImmediate(wake));
      }
      expect(seen.closes).toHaveLength(1);
      expect(t.usage()).toMatchObject({ sockets: 0, slowClosed: 1 });
      c.ws.resume();
      await until('closed', () => c.closed.length === 1);
      expect(c.got.length).toBeLessThan(400);
      expect(c.got.map((f) => Number.parseInt(f, 10))).toEqual(c.got.map((_, i) => i));
      expect(c.closed).toEqual([[4008, 'slow-reader']]);
    });

    test('[SV2] close: sockets get 1001, a deaf one and an unanswered request are cut at the deadline', async () => {
      const seen = accept();
      http = (h, e) => (h.path === '/soon' ? void setTimeout(() => e.reply(OK('late but there')), 50) : undefined);
      const [fine, deaf] = [await client(), await client()];
      deaf.ws.pause();
      for (let i = 0; i < 100; i++) seen.sockets[1]?.send('q'.repeat(70_000));
      const never = raw(port, [get('/never')], { waitMs: 3_000 });
      const soon = raw(port, [get('/soon')], { waitMs: 3_000 });
      await until('both are in', () => t.usage().exchanges === 2);
      const startedAt = performance.now();
      await t.close(300);
      expect(performance.now() - startedAt).toBeLessThan(1_500);
      await until('the fine one knows', () => fine.closed.length === 1);
      expect(fine.closed[0]).toEqual([1001, 'shutting-down']);
      expect((await soon).text).toMatch(/late but there$/);
      expect(await never).toEqual({ text: '', closed: true });
      expect(seen.closes).toHaveLength(2);
      expect(t.usage()).toMatchObject({ sockets: 0, exchanges: 0 });
      await expect(raw(port, [get('/')])).resolves.toEqual({ text: '', closed: true });
      deaf.ws.terminate();
    });
  });
};
