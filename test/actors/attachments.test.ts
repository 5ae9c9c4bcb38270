import { expect, test } from 'vitest';
import { createAttachments } from '../../src/actors/effects/attachments.ts';
import { LIMITS } from '../../src/actors/limits.ts';
import type { Done, LogPage, LogStore } from '../../src/actors/ports.ts';
import { VirtualClock } from '../sim/clock.ts';

test('[EV2, SV2] a log that has less than was seen of it is not asked again and again: its reader is told', () => {
  const virtual = new VirtualClock();
  const clock = virtual.for({ alive: true });
  let reads = 0;
  const store = {
    read(_id: string, _afterSeq: number, _bounds: object, done: Done<LogPage>) {
      reads++;
      clock.soon(() => done(null, { records: [], head: 0 }));
    },
  } as unknown as LogStore;
  const attachments = createAttachments({ store, clock, limits: LIMITS });
  const told: string[] = [];
  const reader = {
    send: () => undefined,
    bufferedBytes: () => 0,
    warn: () => undefined,
    close: (code: string) => void told.push(code),
  };
  attachments.attach('s', 5, reader);
  attachments.moved('s', 5);
  attachments.attach('s', 0, reader);
  for (let i = 0; i < 1_000 && !virtual.idle; i++) virtual.step();
  expect(virtual.idle).toBe(true);
  expect(told).toEqual(['storage']);
  expect(reads).toBeLessThan(30);
});
