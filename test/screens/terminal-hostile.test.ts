import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { hasVt, VT_MISSING, type Vt } from '../support/vt.ts';
import { CONTROLS, HOSTILE, WIDE, wouldSteer } from './hostile.ts';
import { aTerminalWorld, expectFrame, expectSameWhenDrawnAnew, SAYS } from './terminal-world.ts';

describe.runIf(hasVt)(`hostile text at the terminal${VT_MISSING}`, { timeout: 90_000 }, () => {
  const world = aTerminalWorld();
  let vt: Vt;
  afterEach(() => vt?.close());

  /** The frame is whole, the changes are what a full paint is, and nothing of theirs was sent. */
  const expectUnmoved = async (): Promise<void> => {
    await expectSameWhenDrawnAnew(vt);
    expectFrame(vt);
    expect(wouldSteer(vt.since())).toEqual([]);
    expect(vt.alternate).toBe(true);
    expect(vt.mode(2004)).toBe(true);
  };

  test('[CT10] the searches find what they look for', () => {
    expect(wouldSteer(CONTROLS).length).toBe(13);
    expect(wouldSteer(WIDE)).toEqual([]);
  });

  test('[CT10] in what the model says, plainly, in markdown and in code, as it comes and afterwards', async () => {
    const id = await world.session();
    vt = await world.open(id, { columns: 80, rows: 40 });
    const quoted = ['# Head', '* item', '> quote', '| a | b |\n|---|---|\n| c | d |', '```js', '', '`code`']
      .map((before) => `${before} ${HOSTILE}`)
      .join('\n\n');
    await world.say(id, world.prompt({ text: `${quoted}\n\`\`\`\n\nthe end of it`, tps: 200 }));
    await vt.shows('the end of it');
    await vt.shows(SAYS.ended);
    await expectUnmoved();
    expect(vt.screen()).toContain('你好世界');
  });

  test('[CT10] in what the model thinks, and in an error', async () => {
    const id = await world.session();
    vt = await world.open(id, { columns: 70, rows: 30 });
    await world.say(id, world.prompt({ think: HOSTILE, reasoning: true, text: 'thought so' }));
    await vt.shows('thought so');
    await expectUnmoved();
    await world.say(id, world.prompt({ error: `failed ${HOSTILE}`, code: 'scripted', status: 400 }));
    await vt.shows('failed');
    await expectUnmoved();
  });

  test('[CT10] in the title, in the name of an author, and in what another writer says', async () => {
    const id = await world.session({ title: `${HOSTILE.slice(0, 400)}` });
    vt = await world.open(id, { columns: 90, rows: 30 });
    await world.say(id, world.prompt({ tokens: 5 }, HOSTILE), `eve ${CONTROLS.slice(0, 120)} 你😀`);
    await vt.shows(SAYS.ended);
    await expectUnmoved();
    // Waits in the queue under that name.
    await world.say(id, world.prompt({ tokens: 100, tps: 20 }), '\u001b[31mfirst 👨‍👩‍👧');
    await world.say(id, world.prompt({ tokens: 1 }, HOSTILE), '\u202elast 你好');
    await vt.shows('tok5');
    await vt.quiet(10).catch(() => undefined);
    expectFrame(vt);
    expect(wouldSteer(vt.since())).toEqual([]);
  });

  test('[CT3, CT10] in the arguments of a call: its line, its card and its preview', async () => {
    const id = await world.session();
    vt = await world.open(id, { columns: 80, rows: 30 });
    const path = 'name 你😀 \u202e.txt';
    const tools = [{ name: 'write_file', args: { path, content: `one\n${HOSTILE}\n+ plus\n- minus\n` } }];
    await world.say(id, world.prompt({ tools, text: 'it stands in the file' }));
    await vt.shows(SAYS.asks);
    await expectUnmoved();
    await world.decide(id, 'allow', `eve \u001b]52;c;aGk=\u0007 😀`);
    await vt.shows('it stands in the file');
    expect(existsSync(join(world.daemon.home, path))).toBe(true);
    await expectUnmoved();
    // A change of a file: its preview has lines of before and after.
    const args = { path, old_text: 'one', new_text: `two ${WIDE}\n${CONTROLS}` };
    await world.say(id, world.prompt({ tools: [{ name: 'edit_file', args }], text: 'changed' }));
    await vt.shows(SAYS.asks);
    await expectUnmoved();
    await world.decide(id, 'deny', '\u009b31meve');
    await vt.lacks(SAYS.asks);
    await expectUnmoved();
  });

  test('[CT10] in the result of a call, and in the name of a tool that is none', async () => {
    const id = await world.session();
    vt = await world.open(id, { columns: 80, rows: 30 });
    writeFileSync(join(world.daemon.home, 'evil.txt'), `${HOSTILE.replaceAll('\0', '')}\n`.repeat(20));
    await world.say(id, world.prompt({ tools: [{ name: 'read_file', args: { path: 'evil.txt' } }], text: 'was read' }));
    await vt.shows('was read');
    await expectUnmoved();
    await world.say(
      id,
      world.prompt({ tools: [{ name: `no ${CONTROLS}`, args: 'not json \u001b[31m' }], text: 'no such' }),
    );
    await vt.shows('break off');
    await expectUnmoved();
  });

  test('[CT10] pasted and typed into the composer', async () => {
    const id = await world.session();
    vt = await world.open(id, { columns: 80, rows: 30 });
    vt.paste(`${HOSTILE.replaceAll('\u001b', '\u241b')}\nsecond line ${WIDE}`);
    await vt.shows('second line');
    await expectUnmoved();
  });
});
