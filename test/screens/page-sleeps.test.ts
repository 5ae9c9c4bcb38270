import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { BROWSER_MISSING, hasBrowser, type Tab } from '../support/browser.ts';
import { aPageWorld, shownBy } from './page-world.ts';

describe.runIf(hasBrowser)(`a tab that sleeps, and one that is cut off${BROWSER_MISSING}`, { timeout: 120_000 }, () => {
  const world = aPageWorld();
  afterEach(() => world.closeTabs());

  const NUMBERED = (count: number) => Array.from({ length: count }, (_, i) => `w${i};`).join(' ');

  /** Each word of the answer once and in order, and the state is the one that the daemon's log makes. */
  const expectWhole = async (tab: Tab, sessionId: string, words: number): Promise<void> => {
    await tab.page
      .getByText(`w${words - 1};`, { exact: false })
      .first()
      .waitFor({ timeout: 60_000 });
    const text = (await tab.page.getByRole('region', { name: 'Conversation' }).textContent()) ?? '';
    const seen = [...text.matchAll(/w(\d+);/g)].map((m) => Number(m[1]));
    expect(seen).toEqual(Array.from({ length: words }, (_, i) => i));
    const client = connect({
      address: async () => ({ host: '127.0.0.1', port: world.daemon.port, token: world.daemon.token }),
    });
    const link = client.session(sessionId, { clientId: 'judge', writerId: 'judge', role: 'observer' });
    try {
      await expect
        .poll(
          async () => {
            const shown = await shownBy(tab);
            return shown.seq > 0 && shown.seq === link.view.state.seq && shown.hash === link.view.stateHash();
          },
          { timeout: 15_000, message: 'the page shows the state that the log makes' },
        )
        .toBe(true);
    } finally {
      client.close();
    }
  };

  test('[CL1, CL3] frozen in the middle of an answer, it goes on without a gap or a repeat', async () => {
    const id = await world.session();
    const tab = await world.enter(id);
    await world.say(id, world.prompt({ text: NUMBERED(300), tps: 100 }));
    await tab.page.getByText('w20;', { exact: false }).first().waitFor();
    const debug = await tab.debug();
    await debug.send('Page.setWebLifecycleState', { state: 'frozen' });
    await sleep(2_500);
    await debug.send('Page.setWebLifecycleState', { state: 'active' });
    await expectWhole(tab, id, 300);
  });

  test('[CL1, CL3] with its socket cut twice and no network for a while, too', async () => {
    const id = await world.session();
    const tab = await world.tab({
      expects: [/ERR_INTERNET_DISCONNECTED|WebSocket|ERR_NETWORK_CHANGED|Failed to fetch/],
    });
    const cuts: (() => void)[] = [];
    await tab.page.routeWebSocket(/\/v3\/ws/, (socket) => {
      const server = socket.connectToServer();
      cuts.push(() => {
        void server.close({ code: 1001 });
        void socket.close({ code: 1001 });
      });
    });
    await tab.go(await world.ticket(id));
    await world.say(id, world.prompt({ text: NUMBERED(400), tps: 100 }));
    await tab.page.getByText('w20;', { exact: false }).first().waitFor();
    cuts.at(-1)?.();
    await tab.page.getByText('w100;', { exact: false }).first().waitFor();
    await tab.context.setOffline(true);
    cuts.at(-1)?.();
    await sleep(1_500);
    await tab.context.setOffline(false);
    // The first one, and one after each cut at least.
    await expect.poll(() => cuts.length).toBeGreaterThanOrEqual(3);
    await expectWhole(tab, id, 400);
  });

  test('[CL1, CL3] the daemon is killed and comes back on its port: the draft stays, and nothing is shown twice', async () => {
    const id = await world.session();
    const tab = await world.enter(id, { expects: [/ERR_CONNECTION|WebSocket|fetch|40[13]/] });
    await world.say(id, world.prompt({ text: NUMBERED(50) }));
    await tab.page.getByText('w49;', { exact: false }).first().waitFor();
    await tab.page.getByRole('textbox', { name: 'Message' }).fill('a draft');
    const { port } = world.daemon;
    await world.daemon.end('SIGKILL');
    await tab.page.getByText('reconnecting').first().waitFor();
    await world.daemon.restart(port);
    await world.followed(tab, port);
    expect(await tab.page.getByRole('textbox', { name: 'Message' }).inputValue()).toBe('a draft');
    await expectWhole(tab, id, 50);
    await tab.page.keyboard.press('Escape');
    await world.say(id, world.prompt({ text: 'after the restart' }));
    await tab.page.getByText('after the restart').first().waitFor();
  });
});
