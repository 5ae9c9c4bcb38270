import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestSocket, until } from '../support/daemon.ts';
import { checkedLog, openWorld, say, textOf, type World } from './world.ts';

/**
 * Two writers, three readers of one session, over real sockets: one that stops reading while far more arrives than sockets
 * hold, one that is cut again and again and resumes by its cursor, and some that come late. All end with the same bytes.
 */
let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.close());

const TURNS_EACH = 5;
/** Above what the kernel holds for one connection plus the daemon's own budget, so that the log has to be the buffer. */
const FLOOD = { tokens: 480, size: 16_000 };
const FLOODS = 3;

/** Cut after a number of frames that changes each time; resumes by what it has. */
const cutReader = async (sessionId: string, over: () => boolean): Promise<{ frames: string[]; cuts: number }> => {
  const frames: string[] = [];
  let cuts = 0;
  for (let patience = 1; ; patience = (patience * 7 + 3) % 41) {
    const socket = await world.daemon.socket(sessionId, { afterSeq: frames.length });
    // Looked at by the clock and not at each frame: the end can come when no frame is left to come.
    await until('some frames', () => socket.frames.length > patience || over(), 45_000);
    // What came after the cut is taken back: a client that died had not seen it.
    frames.push(...socket.frames.slice(0, patience + 1));
    const done = over() && frames.length >= (await head(sessionId));
    socket.terminate();
    await socket.closed;
    if (done) return { frames, cuts };
    cuts += 1;
  }
};

const head = async (sessionId: string): Promise<number> =>
  (await world.daemon.get(`/v3/sessions/${sessionId}`)).json.seq as number;

describe('readers of one session', () => {
  test('[EV2][EV3] a slow, a cut and a late reader get the bytes of the one that kept up', async () => {
    const { daemon } = world;
    const sessionId = await daemon.create();
    const steady = await daemon.socket(sessionId);
    const slow = await daemon.socket(sessionId);
    await slow.record('session.snapshot');
    slow.pause();

    let over = false;
    const cut = cutReader(sessionId, () => over);
    const writerSocket = await daemon.socket(sessionId);
    const turnIds: string[] = [];
    const submit = async (i: number): Promise<void> => {
      const content = say({ tokens: 60, tps: i % 2 ? 600 : 0 }, `turn ${i}`);
      if (i % 2 === 0) turnIds.push((await daemon.submit(sessionId, { content, writerId: 'http' })).turnId);
      else {
        const frame = { type: 'turn.submit', sessionId, clientId: 'c', writerId: 'ws', content };
        turnIds.push((await writerSocket.ask(frame)).turnId);
      }
    };
    const floods: string[] = [];
    for (let i = 0; i < FLOODS; i++) floods.push((await daemon.submit(sessionId, { content: say(FLOOD) })).turnId);
    await Promise.all(Array.from({ length: 2 * TURNS_EACH }, (_, i) => submit(i)));
    expect(new Set(turnIds).size).toBe(2 * TURNS_EACH);

    await steady.record('turn.token', (p) => p.turnId === floods[1], 20_000);
    const joined = await daemon.socket(sessionId);
    for (const turnId of [...floods, ...turnIds]) await steady.terminal(turnId, 40_000);
    const slowAt = slow.frames.length;
    // The last turn is followed by one record of the session; then nothing moves.
    await steady.wait('the last record', () => steady.records.at(-1)?.event === 'session.updated');
    over = true;

    const stored = await daemon.log(sessionId);
    const late = await daemon.socket(sessionId);
    slow.resume();
    await Promise.all([late, slow, joined, writerSocket].map((s) => caughtUp(s, stored.length)));
    const { frames, cuts } = await cut;

    expect(slowAt).toBeLessThan(stored.length / 2);
    expect(cuts).toBeGreaterThan(5);
    expect(stored.join('').length).toBeGreaterThan(20 << 20);
    for (const got of [steady.frames, slow.frames, joined.frames, late.frames, writerSocket.frames, frames]) {
      expect(got.length).toBe(stored.length);
      // One comparison of the whole: a difference is not worth printing 20 MB for.
      expect(got.join('\n') === stored.join('\n')).toBe(true);
    }
    const { violations, records } = checkedLog(sessionId, stored);
    expect(violations).toEqual([]);
    const said = Array.from({ length: FLOOD.tokens }, (_, i) => ` tok${i}`.padEnd(FLOOD.size, 'x')).join('');
    for (const turnId of floods) expect(textOf(records, turnId) === said).toBe(true);
  }, 60_000);

  test('[EV2] a cursor ahead of the log gets nothing until the log passes it, and then no repeat', async () => {
    const { daemon } = world;
    const sessionId = await daemon.create();
    const ahead = await daemon.socket(sessionId, { afterSeq: 4 });
    const { turnId } = await daemon.submit(sessionId, { content: say({ tokens: 3 }) });
    const end = await ahead.terminal(turnId);
    expect(ahead.records[0]?.seq).toBe(5);
    expect(ahead.records.map((r) => r.seq)).toEqual(ahead.records.map((_, i) => 5 + i));
    expect(ahead.records).toContainEqual(end);
  });
});

const caughtUp = (socket: TestSocket, count: number): Promise<void> =>
  socket.wait(`${count} records`, () => socket.frames.length >= count, 30_000);
