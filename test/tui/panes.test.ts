import { afterEach, describe, expect, test } from 'vitest';
import { aTerminalWorld } from '../screens/terminal-world.ts';
import { hasVt, VT_MISSING, type Vt } from '../support/vt.ts';

/** Lists and panes at a real terminal, of a real daemon. */
describe.runIf(hasVt)(`panes of the full screen${VT_MISSING}`, { timeout: 90_000 }, () => {
  const world = aTerminalWorld();
  const open: Vt[] = [];
  afterEach(() => {
    for (const vt of open.splice(0)) vt.close();
  });
  const at = async (sessionId: string, columns = 110): Promise<Vt> => {
    const vt = await world.open(sessionId, { columns, rows: 40 });
    open.push(vt);
    return vt;
  };
  const waits = async (sessionId: string): Promise<void> => {
    await world.say(sessionId, world.writes('a.txt'));
    await expect
      .poll(async () => (await world.daemon.get(`/v3/sessions/${sessionId}/why`)).body, { timeout: 10_000 })
      .toMatchObject({ state: 'waiting-for-permission' });
  };

  test('[TM4] the list of sessions says which one asks, and no longer once it is decided', async () => {
    const here = await world.session({ title: 'where I am' });
    const other = await world.session({ title: 'elsewhere' });
    const vt = await at(here);
    // Where nobody is who could decide, nothing is asked.
    await at(other);
    await waits(other);
    vt.press('C-o');
    await vt.shows(/\? elsewhere .*asks for a decision/);
    await world.decide(other, 'allow');
    await vt.lacks('asks for a decision');
    await vt.shows('○ elsewhere');
  });

  test('[SV2, TM5] the statecharts say what is waited for and who can end it, and follow it', async () => {
    const id = await world.session();
    const vt = await at(id);
    await waits(id);
    await vt.shows('allow this?');
    vt.press('Escape');
    await vt.lacks('allow this?');
    vt.press('C-s');
    await vt.shows(/waits for +\S.*Write 2 bytes to a\.txt/);
    await vt.shows(/until +\d+:\d\d left/);
    await vt.shows(/unblocked by +\S/);
    await vt.shows(/● asking/);
    const before = /until +(\d+:\d\d) left/.exec(vt.screen())?.[1] ?? 'nothing';
    await vt.lacks(`until         ${before} left`);
    await world.decide(id, 'allow');
    await vt.lacks('● asking');
    await vt.shows(/last changes[\s\S]*→/);
    await vt.shows(/event \d+ · state [0-9a-f]{16}/);
    vt.press('Escape');
    await vt.shows('so be it');
  });

  test('[CT7] who is attached, by name, as they come and go', async () => {
    const id = await world.session();
    const [one, two] = [await at(id), await at(id)];
    one.press('M-p');
    await one.shows(/tui-\d+-\w+ ws since[\s\S]*tui-\d+-\w+ ws since/);
    two.press('C-d');
    await two.shows('RC=0');
    await expect.poll(() => one.screen().match(/ ws since /g)?.length, { timeout: 10_000 }).toBe(1);
  });
});
