import { expect, test } from 'vitest';
import type { TransportAdapter } from '../../src/transport/port.ts';
import { FrameSplitter } from '../bench/frames.ts';
import { BOUNDS, contractWorld, get, HOST, OK, UPGRADE } from './contract-world.ts';
import { raw, until } from './world.ts';

/** A client's frame: masked with zeros, which leaves the payload as it is. */
export const frame = (first: number, payload: string | Buffer, mask = true): Buffer => {
  const bytes = Buffer.from(payload);
  const length = bytes.byteLength < 126 ? [bytes.byteLength] : [126, bytes.byteLength >> 8, bytes.byteLength & 255];
  length[0] = (length[0] as number) | (mask ? 0x80 : 0);
  return Buffer.concat([Buffer.from([first, ...length]), Buffer.alloc(mask ? 4 : 0), bytes]);
};
const TEXT = 0x81;
const HANDSHAKE = `GET /ws HTTP/1.1\r\n${HOST}${UPGRADE}\r\n`;

/** What every adapter owes to bytes that are not as they should be, and to the order of frames. */
export const frameContract = (adapter: () => TransportAdapter): void => {
  const w = contractWorld(adapter);

  test('[EV2] frames of one turn arrive in order at every socket, with what only one of them is sent', async () => {
    const seen = w.accept();
    const readers = [w.reader(HANDSHAKE), w.reader(HANDSHAKE), w.reader(HANDSHAKE)];
    await until('all are open', () => seen.sockets.length === 3 && readers.every((r) => r.text.endsWith('\r\n\r\n')));
    for (const r of readers) r.text = '';
    const texts = Array.from({ length: 100 }, (_, i) => `${i} ${'ü'.repeat(i)}`);
    for (const [i, text] of texts.entries()) {
      for (const socket of seen.sockets) socket.send(text);
      if (i === 50) seen.sockets[1]?.send('only you');
    }
    const own = [texts, [...texts.slice(0, 51), 'only you', ...texts.slice(51)], texts];
    for (const [i, r] of readers.entries()) {
      const got: string[] = [];
      await until('all frames', () => {
        got.length = 0;
        new FrameSplitter().push(Buffer.from(r.text, 'latin1'), (payload) => got.push(payload.toString()));
        return got.length >= (own[i] as string[]).length;
      });
      expect(got).toEqual(own[i]);
      r.socket.destroy();
    }
  });

  test('[EV2] frames of every length of head arrive as they were', async () => {
    const seen = w.accept();
    const c = await w.client();
    const texts = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000].map((n) => 'z'.repeat(n));
    for (const text of texts) seen.sockets[0]?.send(text);
    await until('all', () => c.got.length === texts.length);
    expect(c.got.map((t) => t.length)).toEqual(texts.map((t) => t.length));
    c.ws.terminate();
  });

  test('[EV2] a message in fragments arrives whole, a ping between them is answered', async () => {
    const seen = w.accept();
    const r = w.reader(HANDSHAKE);
    await until('open', () => seen.sockets.length === 1);
    r.socket.write(Buffer.concat([frame(0x01, 'one '), frame(0x89, 'ping'), frame(0x00, 'tw'), frame(0x80, 'o')]));
    await until('the message', () => seen.got.length === 1);
    expect(seen.got).toEqual(['one two']);
    await until('the pong', () => r.text.includes('\x8a\x04ping'));
    r.socket.destroy();
    await until('closed', () => seen.closes.length === 1);
  });

  test.each([
    ['with a reserved opcode', frame(0x83, 'x')],
    ['with a reserved bit', frame(0xc1, 'x')],
    ['a ping in fragments', frame(0x09, 'x')],
    ['a continuation of nothing', frame(0x80, 'x')],
    ['text that is not UTF-8', frame(TEXT, Buffer.from([0xff, 0xfe]))],
    [
      'larger than allowed, in fragments',
      Buffer.concat(Array.from({ length: 3 }, (_, i) => frame(i === 0 ? 1 : 0, 'x'.repeat(BOUNDS.frameBytesMax / 2)))),
    ],
  ])('[SV1] a malformed frame ends its own socket: %s', async (_name, bytes) => {
    const seen = w.accept();
    const other = await w.client();
    const r = w.reader(HANDSHAKE);
    await until('open', () => seen.sockets.length === 2);
    r.socket.write(bytes);
    await until('closed', () => seen.closes.length === 1);
    seen.sockets[1]?.send('never');
    r.socket.end();
    await until('gone', () => r.ended);
    expect(r.text).not.toContain('never');
    expect(seen.got).toEqual([]);
    seen.sockets[0]?.send('still here');
    await until('the other lives', () => other.got.length === 1);
    expect([w.faults, w.t.usage().sockets]).toEqual([[], 1]);
    other.ws.terminate();
  });

  test.each([
    ['two lengths', 'Content-Length: 0\r\nContent-Length: 47\r\n'],
    ['a length and chunks', 'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n'],
    ['chunks under another name', 'Transfer-Encoding: xchunked\r\n'],
    ['a length with a sign', 'Content-Length: +47\r\n'],
    ['a space before the colon', 'Content-Length : 47\r\n'],
    ['a folded line', 'X-A: b\r\n Content-Length: 47\r\n'],
  ])('[AC1] two readings of one request never make two requests of it: %s', async (_name, lines) => {
    const paths: string[] = [];
    w.http = (h, e) => {
      paths.push(h.path);
      e.body(1_000, (body) => e.reply(OK(typeof body === 'string' ? body : 'read')));
    };
    // Read with the length it is a body, read with the chunks or without either it would be a request of its own.
    const smuggled = `GET /smuggled HTTP/1.1\r\n${HOST}X-Pad: aaaaa\r\n\r\n`;
    await raw(w.port, [`POST / HTTP/1.1\r\n${HOST}${lines}\r\n0\r\n\r\n${smuggled}`], { waitMs: 150 });
    expect(paths).not.toContain('/smuggled');
    w.http = (_h, e) => e.reply(OK('fine'));
    expect((await raw(w.port, [get('/')], { waitMs: 2_000, enough: (t) => t.endsWith('fine') })).text).toMatch(/fine$/);
    expect(w.faults).toEqual([]);
  });

  test('[SV3] half-open: a peer that ends its side, in a head, a body, a wait, a stream or a socket, leaves nothing', async () => {
    const seen = w.accept();
    const bodies: unknown[] = [];
    let closes = 0;
    w.http = (h, e) => {
      if (h.path === '/body') e.body(100, (body) => bodies.push(body));
      else if (h.path === '/stream') {
        const end = { drain: () => undefined, closed: () => void closes++ };
        e.stream({ status: 200, headers: [] }, end)?.write('text');
      }
    };
    const requests = [
      'GET /half HTTP/1.1\r\nHos',
      `POST /body HTTP/1.1\r\n${HOST}Content-Length: 50\r\n\r\nhalf of it`,
      get('/wait'),
      get('/stream'),
      HANDSHAKE,
    ];
    const readers = requests.map((request) => w.reader(request));
    await until('all are in', () => w.t.usage().exchanges === 3 && w.t.usage().sockets === 1);
    for (const r of readers) r.socket.end();
    await until('all are gone', () => readers.every((r) => r.ended));
    await until('nothing is left', () => w.t.usage().exchanges === 0 && w.t.usage().sockets === 0);
    expect([bodies, closes, seen.closes.length, w.t.usage().bodiesBytes]).toEqual([[], 1, 1, 0]);
    expect(w.faults).toEqual([]);
  });
};
