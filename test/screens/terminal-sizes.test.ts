import { afterEach, describe, expect, test } from 'vitest';
import { hasVt, TTY_AS_AT_FIRST, VT_MISSING, type Vt } from '../support/vt.ts';
import { WIDE } from './hostile.ts';
import { aTerminalWorld, expectFrame, expectSameWhenDrawnAnew, SAYS } from './terminal-world.ts';

const SIZES = [
  [20, 5],
  [40, 10],
  [80, 24],
  [120, 40],
  [300, 100],
] as const;

describe.runIf(hasVt)(`every size of terminal${VT_MISSING}`, { timeout: 120_000 }, () => {
  const world = aTerminalWorld();
  let vt: Vt;
  afterEach(() => vt?.close());

  /** It runs, its frame fits the size, and what was drawn by changes is what a full paint draws. */
  const expectWhole = async (still: boolean): Promise<void> => {
    await vt.until(() => framed(vt), 'a frame of this size');
    expect(vt.alternate).toBe(true);
    expect(vt.leftOver()).toEqual(expect.arrayContaining([1049, 2004]));
    if (still) await expectSameWhenDrawnAnew(vt);
    const { x, y } = vt.cursor();
    expect(x).toBeLessThan(vt.columns);
    expect(y).toBeLessThan(vt.height);
  };

  test('[CT11] from 20 by 5 to 300 by 100 and back, while an answer with wide signs streams', async () => {
    const id = await world.session({ title: `a title 你好 ${WIDE}` });
    vt = await world.open(id);
    const text = `# Head\n\n${`${WIDE} words and words. `.repeat(60)}\n\n\`\`\`\n${'code 你好 '.repeat(20)}\n\`\`\`\nover`;
    await world.say(id, world.prompt({ text, tps: 120 }));
    await vt.shows('한국어');
    for (const [columns, rows] of [...SIZES, ...SIZES.toReversed(), ...SIZES.slice(1)]) {
      vt.resize(columns, rows);
      await expectWhole(false);
    }
    await vt.shows(SAYS.ended, 60_000);
    await expectWhole(true);
    for (const [columns, rows] of SIZES) {
      vt.resize(columns, rows);
      await expectWhole(true);
    }
    await leave();
  });

  test('[CT3, CT11] with a card: it is seen with its keys at each size, and y decides it', async () => {
    const id = await world.session();
    vt = await world.open(id);
    await world.say(id, world.writes('card.txt', `${WIDE}\n`.repeat(40)));
    await vt.shows(SAYS.asks);
    for (const [columns, rows] of [...SIZES.toReversed(), ...SIZES, [80, 24] as const]) {
      vt.resize(columns, rows);
      await expectWhole(true);
      expect(vt.screen()).toMatch(/\by\b.*\bn\b|\by\/n\b/);
    }
    vt.press('y');
    await vt.shows('so be it');
    await expectWhole(true);
    await leave();
  });

  const leave = async (): Promise<void> => {
    vt.resize(80, 24);
    await expectWhole(false);
    vt.press('C-d');
    await vt.shows('RC=0');
    await vt.shows(TTY_AS_AT_FIRST);
    expect(vt.leftOver()).toEqual([]);
  };
});

/** The bar above and the one below reach from edge to edge; on the smallest screens one of them is enough. */
const framed = (vt: Vt): boolean => {
  try {
    expectFrame(vt);
  } catch {
    return false;
  }
  return true;
};
