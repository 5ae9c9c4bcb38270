import { afterEach, describe, expect, test } from 'vitest';
import { startDaemon } from '../compat/daemon.ts';
import { BROWSER_MISSING, hasBrowser, type Tab } from '../support/browser.ts';
import { cli } from '../support/cli.ts';
import { aPageWorld } from './page-world.ts';

describe.runIf(hasBrowser)(`the right of a tab${BROWSER_MISSING}`, { timeout: 120_000 }, () => {
  const world = aPageWorld();
  afterEach(() => world.closeTabs());

  const keyOf = async (tab: Tab): Promise<string> => {
    const { session } = await tab.kept();
    const key = /"token\\":\\"([^"\\]+)/.exec(session)?.[1] ?? '';
    expect(key.length).toBeGreaterThan(20);
    return key;
  };
  const ticketIn = (url: string): string => /ticket=([^&]+)/.exec(url)?.[1] ?? '';

  test('[WB2] opta web --print: its ticket opens the page once, and stands nowhere afterwards', async () => {
    const printed = await cli(world.daemon.home, ['web', '--print']);
    expect(printed.code, printed.stderr).toBe(0);
    const url = /http:\/\/\S+/.exec(printed.stdout)?.[0] ?? '';
    expect(url).toContain('#ticket=');
    const tab = await world.tab();
    await tab.go(url);
    await tab.page.getByRole('navigation').first().waitFor({ state: 'attached' });
    expect(tab.page.url()).not.toContain('ticket');
    const ticket = ticketIn(url);
    expect(tab.asked.filter((address) => address.includes(ticket))).toEqual([]);
    // Nor behind the button that goes back.
    expect(await tab.page.evaluate<number>('history.length')).toBeLessThanOrEqual(2);
    await tab.page.goBack().catch(() => null);
    expect(tab.page.url()).not.toContain('ticket');

    const other = await world.tab({ expects: [/40[13]/] });
    await other.go(url);
    await other.page.getByRole('button', { name: 'Connect', exact: true }).waitFor();
    await other.page
      .getByText(/A ticket works once/)
      .first()
      .waitFor();
    expect(other.page.url()).not.toContain(ticket);
  });

  test('[WB2] a ticket that is pasted into the address of an open tab opens it, and does not stay there', async () => {
    const tab = await world.tab();
    await tab.go(`${world.origin()}/`);
    await tab.page.getByRole('button', { name: 'Connect', exact: true }).waitFor();
    await tab.go(await world.ticket());
    await tab.page.getByRole('link', { name: 'Dashboard', exact: true }).waitFor();
    expect(tab.page.url()).not.toContain('ticket');
  });

  test('[WB4] neither key nor token is in a URL, the console, or anything that lasts; a reload keeps the tab', async () => {
    const id = await world.session();
    const tab = await world.enter(id);
    const key = await keyOf(tab);
    expect(key).not.toBe(world.daemon.token);
    await world.say(id, world.prompt({ text: 'seen by the tab' }));
    await tab.page.getByText('seen by the tab').first().waitFor();
    await tab.page.reload();
    await tab.page.getByText('seen by the tab').first().waitFor();
    await tab.page.getByRole('link', { name: 'Inspector', exact: true }).click();
    await tab.page.waitForTimeout(800);
    await tab.page.getByRole('link', { name: 'Dashboard', exact: true }).click();
    await tab.page.waitForTimeout(800);
    expect(tab.asked.some((address) => address.startsWith('ws:'))).toBe(true);
    const { localStorage, cookies, databases, caches } = await tab.kept();
    const everywhere = [...tab.asked, ...tab.lines, localStorage, cookies, databases, caches, tab.page.url()];
    for (const secret of [key, world.daemon.token]) {
      expect(everywhere.filter((text) => text.includes(secret) || text.includes(encodeURIComponent(secret)))).toEqual(
        [],
      );
    }
    expect([cookies, databases, caches]).toEqual(['[]', '[]', '[]']);
    // Another tab of this browser has no part in it.
    const other = await world.tab({ context: tab.context });
    await other.go(`${world.origin()}/`);
    await other.page.getByRole('button', { name: 'Connect', exact: true }).waitFor();
  });

  test('[WB3] a key that was given back, and one that was revoked, lead to the connect screen and back', async () => {
    const tab = await world.enter(undefined, { expects: [/401/] });
    const key = await keyOf(tab);
    await tab.page.getByRole('button', { name: 'Sign out' }).click();
    await tab.page.getByRole('button', { name: 'Connect', exact: true }).waitFor();
    expect((await tab.kept()).session).not.toContain(key);
    await expect
      .poll(
        async () =>
          (await world.daemon.ask({ path: '/v3/health', headers: { authorization: `Bearer ${key}` } })).status,
      )
      .toBe(401);
    await signIn(tab, await world.ticket());
    await tab.page.getByRole('link', { name: 'Dashboard', exact: true }).waitFor();

    const id = await world.session();
    const live = await world.enter(id, { expects: [/401/, /WebSocket/] });
    expect((await world.daemon.authed({ method: 'DELETE', path: '/v3/web/keys' })).status).toBe(200);
    await live.page.getByRole('button', { name: 'Connect', exact: true }).waitFor();
    await signIn(live, await world.ticket());
    // Where it was.
    await live.page.getByRole('textbox', { name: 'Message' }).waitFor();
    tab.expect(/./);
  });

  test('[WB2] a daemon on another port is reached from the connect screen, with its token or a ticket', async () => {
    const other = await startDaemon(world.lmx.port);
    try {
      for (const word of ['token', 'ticket'] as const) {
        const tab = await world.tab({ alsoTo: [`http://127.0.0.1:${other.port}`] });
        await tab.go(`${world.origin()}/`);
        const said =
          word === 'token' ? other.token : ((await other.post('/v3/web/tickets', {})).body as { url: string }).url;
        await tab.page.getByLabel('Port').fill(String(other.port));
        await signIn(tab, said);
        await tab.page.getByRole('link', { name: 'Dashboard', exact: true }).waitFor();
        expect((await tab.kept()).session).toContain(String(other.port));
        // A token that was typed is not kept where it outlives the tab.
        expect((await tab.kept()).localStorage).not.toContain(other.token);
        // Its daemon ends with this test, before the tab does.
        expect(await tab.faults()).toEqual([]);
        await tab.close();
        tab.expect(/./);
      }
    } finally {
      await other.stop();
    }
  });

  test('[AC1] a page of another origin is refused, whatever it brings along', async () => {
    const answers = await Promise.all(
      [`http://127.0.0.1.evil.invalid:${world.daemon.port}`, 'https://evil.invalid', 'null'].map((origin) =>
        world.daemon.ask({ path: '/v3/health', headers: { origin, authorization: 'Bearer $TOKEN' } }),
      ),
    );
    for (const { status, headers } of answers) {
      expect(status).toBe(403);
      expect(headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  const signIn = async (tab: Tab, word: string): Promise<void> => {
    await tab.page.getByLabel('Ticket or token').fill(word);
    await tab.page.getByRole('button', { name: 'Connect', exact: true }).click();
  };
});
