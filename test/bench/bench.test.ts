import { createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { FrameSplitter, TokenReader } from './frames.ts';
import { Connection } from './http.ts';
import { openSocket } from './sockets.ts';
import { figure, quantile } from './stats.ts';

/** A text frame of a server. */
const frame = (text: string): Buffer => {
  const payload = Buffer.from(text);
  const head =
    payload.length < 126
      ? Buffer.from([0x81, payload.length])
      : payload.length < 65_536
        ? Buffer.from([0x81, 126, payload.length >> 8, payload.length & 255])
        : Buffer.concat([
            Buffer.from([0x81, 127, 0, 0, 0, 0]),
            Buffer.from(Uint32Array.of(payload.length).buffer).reverse(),
          ]);
  return Buffer.concat([head, payload]);
};

test('frames are found wherever the bytes are cut', () => {
  const texts = ['a', 'ü'.repeat(100), 'x'.repeat(70_000), ''];
  const bytes = Buffer.concat(texts.map(frame));
  for (const cut of [1, 3, 7, 1_000, bytes.length]) {
    const found: string[] = [];
    const splitter = new FrameSplitter();
    for (let at = 0; at < bytes.length; at += cut) {
      splitter.push(bytes.subarray(at, at + cut), (payload) => found.push(payload.toString()));
    }
    expect(found).toEqual(texts);
  }
});

test('a token that lies in two frames counts once, with the time of the second', () => {
  const reader = new TokenReader();
  const got: number[] = [];
  const take = (text: string, atUs: number): void =>
    reader.take(JSON.stringify({ event: 'turn.token', payload: { text } }), atUs, (ms) => got.push(ms));
  take(' 0:1000; 1:20', 3_000);
  take('00;', 9_000);
  reader.take('{"event":"turn.done","payload":{}}', 9_000, () => got.push(-1));
  expect(got).toEqual([2, 7]);
  expect(reader.next).toBe(2);
});

test('a token that is missing or comes twice is noticed', () => {
  const text = (t: string) => JSON.stringify({ type: 'chat.token', text: t });
  expect(() => new TokenReader().take(text(' 1:5;'), 9, () => undefined)).toThrow('token 1 arrived in place of 0');
  expect(() => new TokenReader().take(text(' 0:5; 0:5;'), 9, () => undefined)).toThrow('token 0 arrived in place of 1');
});

test('quantiles and figures', () => {
  expect(quantile([3, 1, 2], 0.5)).toBe(2);
  expect(
    quantile(
      Array.from({ length: 100 }, (_, i) => i),
      0.99,
    ),
  ).toBe(99);
  expect(figure([5, 1, 9])).toEqual({ median: 5, min: 1, max: 9 });
});

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const serve = async (onSocket: (socket: Socket) => void): Promise<number> => {
  const server = createServer(onSocket).listen(0, '127.0.0.1');
  await new Promise((up) => server.once('listening', up));
  closing.push(() => server.close());
  return (server.address() as { port: number }).port;
};

test('a marker is found across two chunks, in the past, and with the bytes of the upgrade', async () => {
  const port = await serve((socket) => {
    socket.once('data', () => {
      socket.write(Buffer.concat([Buffer.from('HTTP/1.1 101 Switching Protocols\r\n\r\n'), Buffer.from('first-mark')]));
      setTimeout(() => socket.write('sec'), 20);
      setTimeout(() => socket.write('ond'), 40);
    });
  });
  const socket = await openSocket({ port, path: '/' });
  closing.push(() => socket.close());
  await socket.until('first-mark', 1_000);
  await socket.until('second', 1_000);
  expect(socket.bytes).toBe(16);
  await expect(socket.until('third', 50)).rejects.toThrow('did not arrive within 50 ms; 16 bytes did');
});

test('a request waits for the one before it, and an answer may come in pieces', async () => {
  const asked: string[] = [];
  const port = await serve((socket) => {
    socket.on('data', (chunk) => {
      asked.push(chunk.toString().split('\r\n')[0] as string);
      socket.write('HTTP/1.1 201 Created\r\nContent-Le');
      setTimeout(() => socket.write('ngth: 4\r\n\r\n{"a"'), 10);
    });
  });
  const http = new Connection(port, 'secret');
  closing.push(() => http.close());
  const answers = await Promise.all([http.request('POST', '/a', '{}'), http.request('GET', '/b')]);
  expect(answers).toEqual([
    { status: 201, body: '{"a"' },
    { status: 201, body: '{"a"' },
  ]);
  expect(asked).toEqual(['POST /a HTTP/1.1', 'GET /b HTTP/1.1']);
});
