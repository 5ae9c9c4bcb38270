import type { Socket } from 'node:net';
import { FrameSplitter } from '../bench/frames.ts';
import { until } from '../support/daemon.ts';
import type { Attack, Target } from './attack.ts';
import { residentMiB } from './baseline.ts';
import { frame, happens, inTurn, openSocket, sleep, talkSocket, upgrade } from './raw-client.ts';

const TEXT = 0x81;
const PING = JSON.stringify({ type: 'ping', requestId: 'after' });
const ANSWERED = '"requestId":"after"';

/** Legal, if odd: they have to be understood. */
const legal = (): [string, Buffer[]][] => {
  const bytes = Buffer.from(PING);
  const single = Array.from(bytes, (b, i) =>
    frame(i === 0 ? 0x01 : i === bytes.length - 1 ? 0x80 : 0x00, Buffer.from([b])),
  );
  return [
    [
      'in three fragments with a ping between',
      [frame(0x01, PING.slice(0, 5)), frame(0x89, 'x'), frame(0x00, PING.slice(5, 9)), frame(0x80, PING.slice(9))],
    ],
    ['one byte a fragment', single],
    ['with empty fragments', [frame(0x01), frame(0x00), frame(0x00, PING), frame(0x80)]],
    ['one byte a packet', Array.from(frame(TEXT, PING), (b) => Buffer.from([b]))],
  ];
};

const ILLEGAL: [string, Buffer][] = [
  ['a reserved opcode', frame(0x83, 'x')],
  ['a reserved control opcode', frame(0x8b, 'x')],
  ['a reserved bit', frame(0xc1, PING)],
  ['another reserved bit', frame(0x91, PING)],
  ['text that is not UTF-8', frame(TEXT, Buffer.from([0x22, 0xff, 0xfe, 0x22]))],
  ['text that ends in the middle of a character', frame(TEXT, Buffer.from([0x22, 0xe2, 0x82]))],
  [
    'half a character in each of two fragments, then none',
    Buffer.concat([frame(0x01, Buffer.from([0x22, 0xe2])), frame(0x80, Buffer.from([0x22]))]),
  ],
  ['a length of 2^62', frame(TEXT, '', { length: 1n << 62n })],
  ['a length of 2^63', frame(TEXT, '', { length: 1n << 63n })],
  ['a length of 2^40', frame(TEXT, '', { length: 1n << 40n })],
  ['a length just above the bound', frame(TEXT, '', { length: BigInt((10 << 20) + 1) })],
  ['a ping of 126 bytes', frame(0x89, 'x'.repeat(126))],
  ['a ping in fragments', frame(0x09, 'x')],
  ['a continuation of nothing', frame(0x80, PING)],
  ['a close with half a code', frame(0x88, 'x')],
];

const malformed: Attack = {
  name: 'frames',
  what: 'frames that are odd and legal are understood; frames that are not end their socket and no other',
  run: async (target) => {
    const found: string[] = [];
    const open = upgrade(target, target.sessionId);
    for (const [what, parts] of legal()) {
      const { text } = await talkSocket(target.port, open, parts, { enough: (t) => t.includes(ANSWERED) });
      if (!text.includes(ANSWERED)) found.push(`a message ${what} was not answered`);
    }
    const after = frame(TEXT, PING);
    for (const [what, bytes] of ILLEGAL) {
      const { text, closed } = await talkSocket(target.port, open, [bytes, after]);
      if (!text.startsWith('HTTP/1.1 101')) found.push(`${what}: there was no socket`);
      if (!closed) found.push(`${what}: the socket stayed open`);
      if (text.includes(ANSWERED)) found.push(`${what}: what follows was answered`);
    }
    // Without a mask: the standard wants the socket closed; at the least it must not be taken for what it is not, nor hold anybody up.
    const unmasked = frame(TEXT, PING, { masked: false });
    const { text } = await talkSocket(target.port, open, [unmasked, after], { waitMs: 1_500 });
    if (text.includes(ANSWERED)) found.push('a frame without a mask was taken for a command');
    return found;
  },
};

/** A socket that only sends. Gives back what the daemon's memory grew by while it did, at the most. */
const sendOnly = async (
  target: Target,
  bytes: Buffer,
  times: number,
  forMs: number,
): Promise<{ grewMiB: number; ended: boolean }> => {
  const socket = await openSocket(target.port, upgrade(target, target.sessionId));
  const before = residentMiB(target.daemon);
  let grewMiB = 0;
  const end = performance.now() + forMs;
  for (let i = 0; i < times && performance.now() < end && !socket.destroyed; i++) {
    if (!socket.write(bytes)) await happens(socket, ['drain', 'close'], 50);
    if (i % 20 === 0) grewMiB = Math.max(grewMiB, residentMiB(target.daemon) - before);
  }
  await sleep(300);
  grewMiB = Math.max(grewMiB, residentMiB(target.daemon) - before);
  const ended = socket.destroyed;
  socket.destroy();
  return { grewMiB, ended };
};

/** Backlog of one socket (32 MiB), what the allocator adds, and what the witness needs meanwhile. */
const DEAF_MIB_MAX = 96;

/** Counts pongs of 100 bytes, wherever chunks cut them. */
const countPongs = (socket: Socket): { readonly count: number } => {
  const seen = { count: 0 };
  const frames = new FrameSplitter();
  socket.on('data', (chunk) => {
    frames.push(chunk, (payload, opcode) => {
      if (opcode === 10 && payload.length === 100) seen.count += 1;
    });
  });
  return seen;
};

const floods: Attack = {
  name: 'ping floods',
  what: 'pings by the thousand: answered to who reads, and no memory for who does not',
  run: async (target) => {
    const found: string[] = [];
    const pings = target.size(5_000, 50_000);
    const pingsOf = (n: number): Buffer => Buffer.concat(Array.from({ length: n }, () => frame(0x89, 'p'.repeat(100))));
    const [few, many] = [pingsOf(50), pingsOf(500)];
    const socket = await openSocket(target.port, upgrade(target, target.sessionId));
    socket.read();
    const pongs = countPongs(socket);
    for (let sent = 50; sent <= pings; sent += 50) {
      socket.write(few);
      const answered = await until('the pongs', () => pongs.count >= sent, 10_000, 0).then(
        () => true,
        () => false,
      );
      if (answered) continue;
      found.push(`${pongs.count} pongs to ${sent} pings that came fifty at a time`);
      break;
    }
    // More at once than an adapter may want to answer: it does, or it ends the socket.
    for (let i = 0; i < pings && !socket.destroyed; i += 500) {
      if (!socket.write(many)) await happens(socket, ['drain', 'close']);
    }
    const before = pings - (pings % 50);
    await until('the pongs or the end', () => socket.destroyed || pongs.count >= before + pings, 30_000).catch(() => {
      found.push(`${pongs.count - before} pongs to ${pings} pings at once, and the socket is open`);
    });
    socket.destroy();
    const control = await sendOnly(target, many, target.size(2_500, 12_000), target.size(5_000, 30_000));
    if (control.grewMiB > DEAF_MIB_MAX)
      found.push(`pings of who does not read: memory grew by ${control.grewMiB.toFixed(0)} MiB`);
    const texts = Buffer.concat(Array.from({ length: 200 }, () => frame(TEXT, JSON.stringify({ type: 'ping' }))));
    const beats = await sendOnly(target, texts, target.size(2_500, 12_000), target.size(5_000, 30_000));
    if (beats.grewMiB > DEAF_MIB_MAX)
      found.push(`commands of who does not read: memory grew by ${beats.grewMiB.toFixed(0)} MiB`);
    return found;
  },
};

const hellos: Attack = {
  name: 'hello floods',
  what: 'hellos by the thousand, each with another name and role, on sockets that watch each other',
  run: async (target) => {
    const sockets = target.size(20, 60);
    const each = target.size(150, 1_000);
    await inTurn(sockets, sockets, async (i) => {
      const socket = await openSocket(
        target.port,
        upgrade(target, target.sessionId, 'afterSeq=1000000&features=presence&role=observer'),
      );
      socket.resume();
      for (let k = 0; k < each && !socket.destroyed; k++) {
        const hello = {
          type: 'hello',
          clientId: `c${i}-${k}`,
          writerId: `w${k}`,
          role: k % 2 ? 'observer' : 'automation',
          features: k % 3 ? ['presence'] : ['snapshot', 'presence'],
        };
        if (!socket.write(frame(TEXT, JSON.stringify(hello)))) await happens(socket, ['drain', 'close'], 1_000);
      }
      // Answered means that all of them were looked at.
      socket.end();
      await sleep(50);
      socket.destroy();
    });
    return [];
  },
};

export const FRAMES: Attack[] = [malformed, floods, hellos];
