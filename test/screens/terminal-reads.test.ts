import { afterEach, describe, expect, test } from 'vitest';
import { hasVt, VT_MISSING, type Vt } from '../support/vt.ts';
import { aTerminalWorld, SAYS } from './terminal-world.ts';

describe.runIf(hasVt)(`reading and deciding at the terminal${VT_MISSING}`, { timeout: 120_000 }, () => {
  const world = aTerminalWorld();
  let vt: Vt;
  afterEach(() => vt?.close());

  const numbered = (count: number, name = 'line'): string =>
    Array.from({ length: count }, (_, i) => `${name} ${i + 1}.`).join('\n\n');
  /** The rows of the conversation that are seen. */
  const read = (): string[] =>
    vt
      .lines()
      .map((line) => line.trim())
      .filter((line) => /^line \d+\.$/.test(line));

  const expectKept = (at: readonly string[]): void => {
    const now = read();
    expect(now.length).toBeGreaterThan(2);
    expect(now).toEqual(at.slice(0, now.length));
  };

  test('[CT10] who reads further up stays there: while an answer streams, and after a decision', async () => {
    const id = await world.session();
    vt = await world.open(id, { columns: 60, rows: 24 });
    await world.say(id, world.prompt({ text: numbered(100) }));
    await vt.shows(SAYS.ended);
    vt.press('PageUp', 'PageUp');
    await vt.lacks('line 100.');
    await vt.quiet();
    const at = read();
    expect(at.length).toBeGreaterThan(5);

    await world.say(id, world.prompt({ tokens: 400, tps: 100 }));
    await world.say(id, world.writes('anchor.txt'));
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    // Rows of the queue take room from below; what is read stays where it is.
    expectKept(at);

    await vt.shows(SAYS.asks);
    const top = read()[0];
    await world.decide(id, 'allow');
    await vt.lacks(SAYS.asks);
    await vt.quiet(400);
    expect(read()[0]).toBe(top);
    expect(read()).toEqual(at);

    vt.press('PageDown', 'PageDown', 'PageDown', 'PageDown', 'PageDown', 'PageDown', 'PageDown', 'PageDown');
    await vt.shows('so be it');
  });

  test('[CT10, CT11] who reads further up stays there through other sizes and back', async () => {
    const id = await world.session();
    vt = await world.open(id, { columns: 60, rows: 24 });
    await world.say(id, world.prompt({ text: numbered(100) }));
    await world.say(id, world.prompt({ tokens: 200 }));
    await vt.shows(/tok199/);
    vt.press('PageUp', 'PageUp', 'PageUp', 'PageUp');
    await vt.until(() => read().length > 5, 'the numbered lines');
    await vt.quiet();
    const at = read();
    for (const [columns, rows] of [
      [40, 30],
      [100, 20],
      [60, 24],
    ] as const) {
      vt.resize(columns, rows);
      await vt.quiet(400);
      expect(
        read().some((line) => at.includes(line)),
        `${columns} by ${rows}`,
      ).toBe(true);
    }
    expect(read()).toContain(at.at(-1));
  });

  test('[CT3, PM2] a card that is decided elsewhere goes away on every terminal, and each says by whom', async () => {
    const id = await world.session();
    vt = await world.open(id);
    const other = await world.open(id, { columns: 100, rows: 30 });
    try {
      await world.say(id, world.writes('elsewhere.txt'));
      for (const each of [vt, other]) await each.shows(SAYS.asks);
      await world.decide(id, 'deny', 'mallory');
      for (const each of [vt, other]) {
        await each.shows(/denied (?:write_file )?by person:mallory/);
        await each.lacks(SAYS.asks);
      }
    } finally {
      other.close();
    }
  });

  test('[CT3, PM2] two terminals press at once: one decision, and both show the same one', async () => {
    const id = await world.session();
    vt = await world.open(id);
    const other = await world.open(id);
    try {
      await world.say(id, world.writes('race.txt'));
      for (const each of [vt, other]) await each.shows(SAYS.asks);
      // What is pressed in the first moments of a card may have been meant for the composer.
      await new Promise((resolve) => setTimeout(resolve, 800));
      vt.press('y');
      other.press('n');
      for (const each of [vt, other]) await each.lacks(SAYS.asks);
      const said = await Promise.all([vt, other].map((each) => each.shows(/(?:allowed|denied) write_file by/)));
      const [mine, theirs] = said.map((text) => /(allowed|denied) write_file by/.exec(text)?.[1]);
      expect(mine).toBe(theirs);
    } finally {
      other.close();
    }
  });
});
