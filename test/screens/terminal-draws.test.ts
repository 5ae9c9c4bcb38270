import { afterEach, describe, expect, test } from 'vitest';
import { ESC, hasVt, type Vt } from '../support/vt.ts';
import { aTerminalWorld } from './terminal-world.ts';

describe.runIf(hasVt)('what the terminal is sent', { timeout: 90_000 }, () => {
  const world = aTerminalWorld();
  let vt: Vt | undefined;
  afterEach(() => vt?.close());

  test('[CT10] a key, and a token, write what changed and clear nothing', async () => {
    const id = await world.session();
    const shown = await world.open(id, { columns: 120, rows: 40 });
    vt = shown;
    await world.say(id, world.prompt({ text: 'a line of words to fill the screen\n\n'.repeat(40) }));
    await shown.shows('tokens');
    await shown.quiet(400);
    const whole = shown.mark();
    shown.press('C-l');
    await shown.quiet(400);
    const full = shown.mark() - whole;
    expect(full).toBeGreaterThan(1_000);

    const one = shown.mark();
    shown.type('x');
    await shown.shows('› x');
    await shown.quiet(300);
    const key = shown.since(one);
    expect(Buffer.byteLength(key)).toBeLessThan(Math.min(400, full / 5));
    expect(key).not.toMatch(CLEARS);

    await world.say(id, world.prompt({ tokens: 60, tps: 20 }));
    await shown.shows('tok3');
    const from = shown.mark();
    await shown.shows('tok40');
    const stream = shown.since(from);
    expect(stream).not.toMatch(CLEARS);
    // Some forty frames of a line that grows and a status that counts.
    expect(Buffer.byteLength(stream)).toBeLessThan(40 * 400);
  });

  test('[CT10] a wide sign beside a change does not make the row move', async () => {
    const id = await world.session();
    const shown = await world.open(id, { columns: 60, rows: 20 });
    vt = shown;
    shown.type('你好😀');
    await shown.shows('› 你好😀');
    // A sign that the random name of the folder, which is shown too, cannot have.
    shown.type('|');
    await shown.shows('› 你好😀|');
    expect(shown.placeOf('|').x).toBe(2 + 6);
    expect(shown.cursor()).toMatchObject({ x: 9, shown: true });
    shown.press('Left', 'Left', 'Backspace');
    await shown.shows('› 你😀|');
    expect(shown.placeOf('|').x).toBe(2 + 4);
  });
});

/** The whole screen, or everything below the cursor. */
const CLEARS = new RegExp(`${ESC}\\[[0-3]?J|${ESC}c`);
