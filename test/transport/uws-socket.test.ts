import type { WebSocket } from 'uWebSockets.js';
import { expect, test } from 'vitest';
import { UwsSocket } from '../../src/transport/uws/socket.ts';

/** The library's socket, with a result for each frame and a backlog of one's choice. */
const fake = (results: number[]) => {
  const seen = { sent: [] as string[], ended: [] as [number, string][], backlog: 0 };
  const pool = { live: new Set<UwsSocket>(), bytesMax: 1_000, slowClosed: 0, onFault: () => undefined };
  const ws = {
    cork: (run: () => void) => run(),
    send: (text: string) => {
      const result = results.shift() ?? 1;
      if (result !== 2) seen.sent.push(text);
      return result;
    },
    getBufferedAmount: () => seen.backlog,
    end: (code: number, reason: string) => {
      seen.ended.push([code, reason]);
      socket.closed(code, reason);
    },
  };
  const socket: UwsSocket = new UwsSocket(ws as unknown as WebSocket<unknown>, pool);
  return { seen, pool, socket };
};

test('[EV2] a frame that the library dropped closes the socket with a reason, and nothing follows it', async () => {
  const { seen, pool, socket } = fake([1, 2, 1]);
  for (const text of ['a', 'b', 'c']) socket.send(text);
  await Promise.resolve();
  expect(seen).toMatchObject({ sent: ['a'], ended: [[4008, 'slow-reader']] });
  expect([pool.slowClosed, pool.live.size]).toEqual([1, 0]);
  socket.send('d');
  await Promise.resolve();
  expect(seen.sent).toEqual(['a']);
});

test('[EV2] frames of one turn leave together, in order, and the backlog counts them until they do', async () => {
  const { seen, socket } = fake([]);
  let drains = 0;
  socket.end = { message: () => undefined, closed: () => undefined, drain: () => void drains++ };
  socket.send('ü');
  socket.send('b');
  expect([seen.sent, socket.bufferedBytes()]).toEqual([[], 3]);
  await Promise.resolve();
  expect([seen.sent, socket.bufferedBytes(), drains]).toEqual([['ü', 'b'], 0, 1]);
  seen.backlog = 500;
  socket.send('c');
  expect(socket.bufferedBytes()).toBe(501);
  await Promise.resolve();
  expect(drains).toBe(1);
  socket.drained();
  expect(drains).toBe(1);
  await new Promise((turn) => setImmediate(turn));
  expect(drains).toBe(2);
});

test('[EV2] nothing is written inside the drain callback, where the library loses the rest of a large frame', async () => {
  const { seen, socket } = fake([]);
  socket.end = { message: () => undefined, closed: () => undefined, drain: () => socket.send('more') };
  socket.drained();
  await Promise.resolve();
  expect(seen.sent).toEqual([]);
  await new Promise((turn) => setImmediate(turn));
  expect(seen.sent).toEqual(['more']);
  socket.drained();
  socket.closed(1006, '');
  await new Promise((turn) => setImmediate(turn));
  expect(seen.sent).toEqual(['more']);
});

test('[SV3] one frame may pass the budget, the next one may not', async () => {
  const { seen, socket } = fake([]);
  socket.send('x'.repeat(5_000));
  expect(seen.ended).toEqual([]);
  socket.send('y');
  expect(seen.ended).toEqual([[4008, 'slow-reader']]);
});
