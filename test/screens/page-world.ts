import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect } from 'vitest';
import { hasBrowser, openBrowser, Tab, type TabOptions } from '../support/browser.ts';
import { aTerminalWorld } from './terminal-world.ts';

/** A daemon with a scripted inference server, a browser, and tabs with a ticket of this daemon. */
export const aPageWorld = (flags: readonly string[] = []) => {
  const world = aTerminalWorld();
  let browser: Browser | undefined;
  const tabs = new Set<Tab>();
  beforeAll(async () => {
    if (hasBrowser) browser = await openBrowser(flags);
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
  });

  const origin = (): string => `http://127.0.0.1:${world.daemon.port}`;

  /** The address that `opta web --print` shows. */
  const ticket = async (sessionId?: string): Promise<string> => {
    const answer = await world.daemon.post('/v3/web/tickets', {});
    expect(answer.status, answer.text).toBe(201);
    const { url } = answer.body as { url: string };
    return sessionId === undefined ? url : `${url}&session=${encodeURIComponent(sessionId)}`;
  };

  const tab = async (options: TabOptions = {}): Promise<Tab> => {
    if (!browser) throw new Error('no browser');
    const opened = await Tab.open(browser, options);
    tabs.add(opened);
    return opened;
  };

  /** On the dashboard, or on a session that is live. */
  const enter = async (sessionId?: string, options: TabOptions = {}): Promise<Tab> => {
    const opened = await tab(options);
    await opened.go(await ticket(sessionId));
    await opened.page.getByRole('navigation').first().waitFor({ state: 'attached' });
    if (sessionId !== undefined) await opened.page.getByRole('textbox', { name: 'Message' }).waitFor();
    return opened;
  };

  /** To be called after each test: a fault of any tab fails it. */
  const closeTabs = async (): Promise<void> => {
    const faults = (await Promise.all([...tabs].map((each) => each.faults()))).flat();
    await Promise.all([...tabs].map((each) => each.close()));
    tabs.clear();
    expect(faults).toEqual([]);
  };

  /** After the daemon came back: by itself on the same port; on another one, which is another origin, a person says which. */
  const followed = async (each: Tab, portBefore: number): Promise<void> => {
    const { page } = each;
    if (world.daemon.port !== portBefore) {
      each.allow(origin());
      await page.getByRole('button', { name: 'Elsewhere?' }).click();
      await page.getByLabel('Port').fill(String(world.daemon.port));
      await page.getByLabel('Ticket or token').fill(await ticket());
      await page.getByRole('button', { name: 'Connect', exact: true }).click();
    }
    await page.getByText('live', { exact: true }).first().waitFor();
  };

  return Object.assign(world, { followed, origin, ticket, tab, enter, closeTabs });
};

export type PageWorld = ReturnType<typeof aPageWorld>;

/** What the session's page says that it shows. */
export const shownBy = async (tab: Tab): Promise<{ seq: number; hash: string }> =>
  tab.page.evaluate<{ seq: number; hash: string }>(
    '({ seq: Number(document.querySelector("#main")?.dataset.seq), hash: document.querySelector("#main")?.dataset.stateHash ?? "" })',
  );
