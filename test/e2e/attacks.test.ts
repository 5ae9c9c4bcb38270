import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { adapters } from '../support/adapters.ts';
import { hasProcessTable, noProcessTable } from '../support/process-table.ts';
import type { Attack } from '../torture/attack.ts';
import { ATTACKS, Siege } from '../torture/attacks.ts';
import { leftOver } from '../torture/baseline.ts';

/**
 * A short run of what `npm run attacks` does with ten thousand of each. One daemon for all of them: what one kind leaves behind is in
 * the next one's way, and the witness works through all of it.
 */
const ids = (attack: Attack): string =>
  attack.name === 'strangers' || attack.name === 'tokens' ? '[AC1, AC3]' : '[AC3]';

describe.skipIf(!hasProcessTable).each(adapters())(`over %s${noProcessTable}`, (adapter) => {
  let siege: Siege;
  beforeAll(async () => {
    siege = await Siege.begin({ adapter, long: false });
  });
  afterAll(() => siege?.close());

  for (const attack of ATTACKS) {
    test(`${ids(attack)} ${attack.name}: ${attack.what}`, async () => {
      expect((await siege.run(attack)).problems).toEqual([]);
    }, 60_000);
  }

  test('[AC1, AC3] through all of it the witness lost nothing, and the token stands in no log', async () => {
    expect(await siege.end()).toEqual([]);
  }, 60_000);
});

test('[AC3] what is left behind is found', () => {
  const before = { sockets: 2, 'open files': 40, 'heap, MiB': 30, timers: 5, sessions_live: 2 };
  const allowed = { sessionsGone: false, keepsMiB: 0 };
  expect(leftOver(before, { ...before, 'heap, MiB': 33, timers: 8 }, allowed)).toEqual([]);
  expect(leftOver(before, { ...before, sockets: 3 }, allowed)).toEqual([expect.stringContaining('sockets: 3.0 after')]);
  expect(leftOver(before, { ...before, 'open files': 60 }, allowed)).toHaveLength(1);
  expect(leftOver(before, { ...before, 'heap, MiB': 41 }, allowed)).toHaveLength(1);
  expect(leftOver(before, { ...before, 'heap, MiB': 41 }, { ...allowed, keepsMiB: 10 })).toEqual([]);
  expect(leftOver(before, { ...before, timers: 100, sessions_live: 102 }, allowed)).toEqual([]);
  expect(leftOver(before, { ...before, timers: 100 }, allowed)).toHaveLength(1);
  expect(leftOver(before, { ...before, sessions_live: 3 }, { ...allowed, sessionsGone: true })).toHaveLength(1);
  expect(leftOver(before, { ...before, sockets: Number.NaN }, allowed)).toHaveLength(1);
});
