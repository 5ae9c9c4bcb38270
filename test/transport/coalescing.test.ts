import type { HttpResponse } from 'uWebSockets.js';
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Socket as NetSocket } from 'node:net';
import { expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import type { ExchangePool as UwsPool } from '../../src/transport/uws/exchange.ts';
import { UwsStream } from '../../src/transport/uws/stream.ts';
import type { ExchangePool } from '../../src/transport/ws/exchange.ts';
import { FrameCache, textFrames } from '../../src/transport/ws/frames.ts';
import { WsSocket } from '../../src/transport/ws/socket.ts';
import { NodeStream } from '../../src/transport/ws/stream.ts';
import { nextTurn } from './contract-world.ts';

/** One write a turn: a client on the same machine cannot see it, so the libraries are played here. */
const POOL = { bytesMax: 1_000, slowClosed: 0, closing: false, onFault: () => undefined };
const endOf = (seen: { drains: number }) => ({
  message: () => undefined,
  drain: () => {
    seen.drains += 1;
  },
  closed: () => undefined,
});

test('[EV2] ws sockets: a turn is one write, and sockets that are sent the same are given the same bytes', async () => {
  const pool = {
    ...POOL,
    live: new Set<WsSocket>(),
    leaving: new Set<WsSocket>(),
    idleMs: 1_000,
    frames: new FrameCache(),
  };
  const open = () => {
    const seen = { writes: [] as Buffer[], taken: [] as (() => void)[], closes: [] as number[], drains: 0 };
    const net = Object.assign(new EventEmitter(), {
      writableLength: 0,
      write: (bytes: Buffer, taken: () => void) => {
        seen.writes.push(bytes);
        seen.taken.push(taken);
        net.writableLength += bytes.byteLength;
      },
    });
    const ws = Object.assign(new EventEmitter(), {
      OPEN: 1,
      readyState: 1,
      close: (code: number) => seen.closes.push(code),
    });
    const socket = new WsSocket(ws as unknown as WebSocket, net as unknown as NetSocket, pool);
    socket.end = endOf(seen);
    return { socket, seen, net, ws };
  };
  const [a, b, c] = [open(), open(), open()];
  for (const text of ['one', 'two', 'three']) {
    a.socket.send(text);
    b.socket.send(text);
    c.socket.send(text);
    if (text === 'two') c.socket.send('more');
  }
  expect([a.seen.writes.length, a.socket.bufferedBytes()]).toEqual([0, 11]);
  await Promise.resolve();
  expect(a.seen.writes).toEqual([textFrames(['one', 'two', 'three'])]);
  expect(b.seen.writes[0]).toBe(a.seen.writes[0]);
  expect(c.seen.writes).toEqual([textFrames(['one', 'two', 'more', 'three'])]);

  a.net.writableLength = 0;
  for (const taken of [...a.seen.taken, ...b.seen.taken]) taken();
  expect([a.seen.drains, b.seen.drains]).toEqual([1, 0]);

  a.socket.send('the end');
  a.socket.close(4000, 'why');
  a.socket.send('after');
  await nextTurn();
  expect([a.seen.writes.length, a.seen.closes]).toEqual([2, [4000]]);
  // The peer's close frame was answered by the library in the same turn: nothing may follow it.
  b.socket.send('late');
  b.ws.readyState = 2;
  await nextTurn();
  expect(b.seen.writes).toHaveLength(1);
});

test('[EV2] ws streams: a turn is one write', async () => {
  const seen = { writes: [] as string[], drains: 0 };
  const res = {
    writableLength: 0,
    req: { socket: { setTimeout: () => undefined } },
    write: (text: string) => seen.writes.push(text),
  };
  const stream = new NodeStream(res as unknown as ServerResponse, POOL as unknown as ExchangePool, endOf(seen));
  for (const text of ['a', 'ü', 'c']) stream.write(text);
  expect([seen.writes, stream.bufferedBytes()]).toEqual([[], 4]);
  await Promise.resolve();
  stream.write('d');
  await Promise.resolve();
  expect(seen.writes).toEqual(['aüc', 'd']);
});

/** The library's response: it refuses what is given to it while `full`, and keeps it all the same. */
const uwsStream = () => {
  const seen = { corks: [] as string[][], full: false, ended: 0, drains: 0, writable: () => true };
  const res = {
    cork: (run: () => void) => {
      seen.corks.push([]);
      run();
    },
    write: (bytes: Buffer) => {
      seen.corks.at(-1)?.push(bytes.toString());
      return !seen.full;
    },
    end: () => void seen.ended++,
    onWritable: (writable: () => boolean) => {
      seen.writable = writable;
    },
  };
  const over = (): void => stream.closed();
  const stream: UwsStream = new UwsStream(
    res as unknown as HttpResponse,
    POOL as unknown as UwsPool,
    endOf(seen),
    over,
  );
  return { seen, stream };
};

test('[EV2] uws streams: a turn is one cork and one write', async () => {
  const { seen, stream } = uwsStream();
  for (const text of ['a', 'ü', 'c']) stream.write(text);
  expect([seen.corks, stream.bufferedBytes()]).toEqual([[], 4]);
  await Promise.resolve();
  expect([seen.corks, stream.bufferedBytes(), seen.drains]).toEqual([[['aüc']], 0, 0]);
  await nextTurn();
  expect(seen.drains).toBe(1);
});

test('[EV2] uws streams: after a refusal nothing is written until there is room, and then a small piece asks first', async () => {
  const { seen, stream } = uwsStream();
  seen.full = true;
  stream.write('x'.repeat(500));
  await Promise.resolve();
  stream.write('y'.repeat(300));
  stream.write('z'.repeat(2_000));
  stream.end();
  await nextTurn();
  expect([seen.corks.length, stream.bufferedBytes(), seen.ended]).toEqual([1, 2_800, 0]);
  // Inside its callback nothing is written either.
  seen.writable();
  expect(seen.corks).toHaveLength(1);
  await nextTurn();
  expect(seen.corks[1]?.map((piece) => piece.length)).toEqual([1_024]);
  expect(stream.bufferedBytes()).toBe(2_300);
  seen.full = false;
  seen.writable();
  await nextTurn();
  expect(seen.corks[2]?.map((piece) => piece.length)).toEqual([1_024, 252]);
  expect(seen.corks.flat().join('')).toBe('x'.repeat(500) + 'y'.repeat(300) + 'z'.repeat(2_000));
  expect([seen.ended, stream.bufferedBytes()]).toEqual([1, 0]);
});

test('[EV2] uws streams: a rest that only the library holds is driven out by an empty cork, and drain follows', async () => {
  const { seen, stream } = uwsStream();
  seen.full = true;
  stream.write('rest');
  await Promise.resolve();
  expect(stream.bufferedBytes()).toBe(4);
  seen.writable();
  await nextTurn();
  expect([seen.corks, seen.drains, stream.bufferedBytes()]).toEqual([[['rest'], []], 1, 0]);
});
