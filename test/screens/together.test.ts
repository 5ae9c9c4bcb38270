import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { eventsOf } from '../compat/world.ts';
import { BROWSER_MISSING, hasBrowser, type Tab } from '../support/browser.ts';
import { endOf, startCli } from '../support/cli.ts';
import { hasVt, VT_MISSING, type Vt } from '../support/vt.ts';
import { aPageWorld, shownBy } from './page-world.ts';
import { SAYS } from './terminal-world.ts';

/** Two terminals, two tabs and a script on one session: each sees what the others do, and all have one state. */
describe.runIf(hasBrowser && hasVt)(`together${BROWSER_MISSING}${VT_MISSING}`, { timeout: 240_000 }, () => {
  const world = aPageWorld();
  let terminals: Vt[] = [];
  afterEach(async () => {
    for (const vt of terminals) vt.close();
    terminals = [];
    await world.closeTabs();
  });

  const judge = (sessionId: string) => {
    const { port, token } = world.daemon;
    const client = connect({ address: async () => ({ host: '127.0.0.1', port, token }) });
    return { client, link: client.session(sessionId, { clientId: 'judge', writerId: 'judge', role: 'observer' }) };
  };

  /** Both tabs say the state that the log makes, and both terminals show the same rows of it. */
  const expectOneState = async (sessionId: string, tabs: readonly Tab[]): Promise<void> => {
    const { client, link } = judge(sessionId);
    try {
      await expect
        .poll(
          async () => {
            const shown = await Promise.all(tabs.map(shownBy));
            const own = { seq: link.view.state.seq, hash: link.view.stateHash() };
            return own.seq > 0 && shown.every(({ seq, hash }) => seq === own.seq && hash === own.hash);
          },
          { timeout: 20_000, message: 'one state hash' },
        )
        .toBe(true);
    } finally {
      client.close();
    }
    for (const vt of terminals) await vt.quiet(300, 10_000);
    const [mine, theirs] = terminals.map((vt) => conversation(vt));
    expect(mine).toEqual(theirs);
    const [left, right] = await Promise.all(tabs.map(said));
    expect(left).toBe(right);
  };

  const said = async (tab: Tab): Promise<string> =>
    (await tab.page.getByRole('region', { name: 'Conversation' }).textContent()) ?? '';

  test('[CL3, PM2, TQ1] one queue, one decision, one state, through a restart of the daemon', async () => {
    const id = await world.session({ title: 'together' });
    terminals = [await world.open(id, { columns: 100, rows: 30 }), await world.open(id, { columns: 100, rows: 30 })];
    const [one, other] = terminals as [Vt, Vt];
    const lost = [/ERR_CONNECTION|WebSocket|fetch/];
    const tabs = [await world.enter(id, { expects: lost }), await world.enter(id, { expects: lost })] as const;
    const [left, right] = tabs;

    // --- a queue that each of them adds to -----------------------------------------------------------------------------
    const long = await world.say(id, world.prompt({ tokens: 5_000, tps: 40 }, 'a long one '), 'eve');
    await one.shows('tok5');
    const waits = async (count: number): Promise<void> =>
      void (await expect
        .poll(
          async () => ((await world.daemon.get(`/v3/sessions/${id}`)).body as { queuedTurns: number }).queuedTurns,
          { timeout: 20_000 },
        )
        .toBe(count));
    one.type(world.prompt({ text: 'to the terminal' }, 'first, from a terminal '));
    one.press('Enter');
    await waits(1);
    await left.page
      .getByRole('textbox', { name: 'Message' })
      .fill(world.prompt({ text: 'to the tab' }, 'second, from a tab '));
    await left.page.keyboard.press('Enter');
    await waits(2);
    const script = startCli(world.daemon.home, [
      'do',
      '--session',
      id,
      world.prompt({ text: 'to the script' }, 'third, from a script '),
    ]);
    const ended = endOf(script, 120_000);
    await waits(3);
    const order = ['first, from a terminal', 'second, from a tab', 'third, from a script'];
    for (const vt of terminals) {
      // It has room for some of them, and counts the others.
      await vt.shows('3 waiting');
      expect(inOrder(vt.screen(), order.slice(0, 2))).toBe(true);
    }
    for (const tab of tabs) {
      await tab.page.getByText('third, from a script').first().waitFor();
      const text = await tab.page.locator('#main').textContent();
      expect(inOrder(text ?? '', order)).toBe(true);
    }

    // --- the daemon dies with a turn that runs and three that wait -------------------------------------------------------
    const { port } = world.daemon;
    await world.daemon.end('SIGKILL');
    for (const vt of terminals) await vt.shows(SAYS.lost);
    for (const tab of tabs) await tab.page.getByText('reconnecting').first().waitFor();
    await world.daemon.restart(port);
    for (const vt of terminals) await vt.shows(SAYS.connected);
    for (const tab of tabs) await world.followed(tab, port);
    for (const text of ['to the terminal', 'to the tab', 'to the script']) {
      for (const vt of terminals) await vt.shows(text, 60_000);
      for (const tab of tabs) await tab.page.getByText(text).first().waitFor();
    }
    const result = await ended;
    expect(result.code, result.stderr).toBe(0);
    expect(result.stdout).toContain('to the script');
    const log = await eventsOf(world.daemon, id);
    expect(log.filter((e) => e.event === 'turn.error' && e.payload?.turnId === long)).toHaveLength(1);
    await expectOneState(id, tabs);

    // --- a call that asks: one decides, and all four say who it was ----------------------------------------------------
    await world.say(id, world.writes('together.txt'));
    for (const vt of terminals) await vt.shows(SAYS.asks);
    for (const tab of tabs) await tab.page.getByRole('button', { name: 'Allow', exact: true }).waitFor();
    await new Promise((resolve) => setTimeout(resolve, 800));
    other.press('y');
    await right.page.getByRole('button', { name: 'Allow', exact: true }).waitFor({ state: 'detached' });
    const resolved = (await eventsOf(world.daemon, id)).filter((e) => e.event === 'permission.resolved');
    expect(resolved).toHaveLength(1);
    const by = String(resolved[0]?.payload?.decidedBy);
    expect(by).toMatch(/^person/);
    for (const vt of terminals) {
      await vt.lacks(SAYS.asks);
      await vt.shows(`by ${by}`);
    }
    for (const tab of tabs) {
      await tab.page.getByText('so be it').first().waitFor();
      // Seen, and not only told to screen readers: in a notice at once, and in the call when it is opened.
      await tab.page
        .getByRole('button', { name: /write_file/ })
        .last()
        .click();
      await tab.page.getByRole('region', { name: 'Conversation' }).getByText(`allowed by ${by}`).first().waitFor();
    }
    expect(existsSync(join(world.daemon.home, 'together.txt'))).toBe(true);
    await expectOneState(id, tabs);

    // --- and by a tab -------------------------------------------------------------------------------------------------
    await world.say(id, world.writes('denied.txt'));
    await left.page.getByRole('button', { name: 'Deny', exact: true }).waitFor();
    await left.page.waitForTimeout(600);
    await left.page.getByRole('button', { name: 'Deny', exact: true }).click();
    for (const vt of terminals) {
      await vt.lacks(SAYS.asks);
      await vt.shows(/denied (?:write_file )?by \S/);
    }
    await right.page.getByRole('button', { name: 'Deny', exact: true }).waitFor({ state: 'detached' });
    expect(existsSync(join(world.daemon.home, 'denied.txt'))).toBe(false);
    await expectOneState(id, tabs);
  });
});

/** Rows between the bar above and the line above the composer. */
const conversation = (vt: Vt): string[] => {
  const lines = vt.lines().map((line) => line.trimEnd());
  const end = lines.findLastIndex((line) => /^─{10}/.test(line));
  return lines.slice(1, end < 0 ? undefined : end);
};

/** Each after the one before it, by their last places: the conversation may have some of them too. */
const inOrder = (text: string, parts: readonly string[]): boolean => {
  const places = parts.map((part) => text.lastIndexOf(part));
  return places.every((at, i) => at >= 0 && (i === 0 || at > (places[i - 1] as number)));
};
