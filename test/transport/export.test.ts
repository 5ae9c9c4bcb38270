import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { Done, LogPage } from '../../src/actors/ports.ts';
import { emptySession } from '../../src/protocol/session-state.ts';
import type { HandlerDeps } from '../../src/transport/handlers/deps.ts';
import { exportSession } from '../../src/transport/handlers/export.ts';
import type { ResponseStream } from '../../src/transport/port.ts';
import { VirtualClock } from '../sim/clock.ts';
import { MemoryStream, settle } from './memory-adapter.ts';

const HEAD = 1_200;
const textOf = (seq: number): string => `{"seq":${seq}}`;

/** One log of `HEAD` records, and who exports it. */
const world = () => {
  const clock = new VirtualClock();
  const timers = clock.for({ alive: true });
  const exports = new Set<ResponseStream>();
  const read = (_id: string, afterSeq: number, limit: number, done: Done<LogPage>): void => {
    const records = Array.from({ length: limit }, (_, i) => ({
      seq: afterSeq + 1 + i,
      text: textOf(afterSeq + 1 + i),
    }));
    done(null, { records, head: HEAD });
  };
  const deps = { runtime: { read }, timers, exports } as unknown as HandlerDeps;
  const open = (): MemoryStream => {
    const answer = exportSession(deps, { ...emptySession('s'), seq: HEAD }, 'jsonl');
    if (!('open' in answer)) throw new Error('no stream');
    let end: ReturnType<typeof answer.open> | null = null;
    const out = new MemoryStream({ drain: () => end?.drain(), closed: () => end?.closed() });
    out.deaf = true;
    end = answer.open(out);
    return out;
  };
  const pass = async (ms: number): Promise<void> => {
    const until = clock.time + ms;
    for (let next = clock.nextAt(); next !== null && next <= until; next = clock.nextAt()) {
      clock.step();
      await settle();
    }
    clock.time = until;
  };
  return { exports, open, pass };
};

describe('a log that is written out', () => {
  test('[SV2] goes on as it is taken, and is whole; nothing of it is left behind', async () => {
    const w = world();
    const out = w.open();
    await settle();
    expect(w.exports.size).toBe(1);
    for (let i = 0; i < 2; i++) {
      await w.pass(LIMITS.readerStallMs - 1);
      out.take();
      await settle();
    }
    expect(out.state).toBe('ended');
    expect(out.text).toBe(Array.from({ length: HEAD }, (_, i) => `${textOf(i + 1)}\n`).join(''));
    expect(w.exports.size).toBe(0);
  });

  test('[SV2] of which nothing is taken for long is cut', async () => {
    const w = world();
    const out = w.open();
    await settle();
    await w.pass(LIMITS.readerStallMs * 2 + 1);
    expect([out.state, w.exports.size]).toEqual(['cut', 0]);
  });

  test('[SV3] one too many is refused before anything of it is read', async () => {
    const w = world();
    const all = Array.from({ length: LIMITS.exportsMax }, () => w.open());
    await settle();
    expect(() => w.open()).toThrow(expect.objectContaining({ code: 'too-many-requests' }));
    all[0]?.cut();
    w.open();
    expect(w.exports.size).toBe(LIMITS.exportsMax);
  });
});
