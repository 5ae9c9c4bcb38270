import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import { afterEach, describe, expect, test } from 'vitest';
import { BROWSER_MISSING, hasBrowser } from '../support/browser.ts';
import { aPageWorld } from './page-world.ts';

const TALK =
  '# Head\n\n```ts\nconst a = "b"; // c\n```\n\n| a | b |\n|:-:|--:|\n| c | d |\n\n- [x] done\n\n1. one\n\n> quoted';

describe.runIf(hasBrowser)(`what the page is held to${BROWSER_MISSING}`, { timeout: 180_000 }, () => {
  const world = aPageWorld();
  const servers = new Set<Server>();
  afterEach(async () => {
    for (const server of servers) await new Promise((done) => server.close(done));
    servers.clear();
    await world.closeTabs();
  });

  const palette = async (page: Page, name: string): Promise<void> => {
    await page.keyboard.press('Control+k');
    await page.getByLabel('A session, a page or an action').fill(name);
    await page.getByRole('option', { name, exact: false }).first().click();
  };

  test('[WB1] every page, dialog, chart and export does with the policy as it is', async () => {
    const id = await world.session({ title: '../../.bashrc <img src=x> \u202egpj.exe' });
    const tab = await world.enter(id);
    const { page } = tab;
    await world.say(id, world.prompt({ text: TALK, think: 'a thought', reasoning: true }));
    await page.getByText('quoted').first().waitFor();
    await page.locator('.hl-keyword').first().waitFor();
    const names: string[] = [];
    for (const name of ['Export as Markdown', 'Export as JSON', 'Export the event log']) {
      const [file] = await Promise.all([page.waitForEvent('download'), palette(page, name)]);
      names.push(file.suggestedFilename());
      expect(await file.failure()).toBeNull();
    }
    for (const name of names) expect(name).toMatch(/^[\p{L}\p{N}_][\p{L}\p{N}._-]*\.(?:md|json|jsonl)$/u);
    for (const name of ['Rename', 'Fork', 'Delete']) {
      await palette(page, name);
      await page.getByRole('dialog').waitFor();
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    }
    await page.getByRole('button', { name: 'New session' }).click();
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.goto(`${world.origin()}/#/`);
    await page.getByRole('heading', { name: 'Sessions' }).first().waitFor();
    await page.waitForTimeout(1_000);
    for (const place of [`#/inspect/${id}`, '#/inspect']) {
      await page.goto(`${world.origin()}/${place}`);
      await page.locator('svg.chart-svg').first().waitFor();
      await page.waitForTimeout(500);
    }
    // What the key held open ends with it.
    tab.expect(/ERR_INCOMPLETE_CHUNKED_ENCODING/);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Connect', exact: true }).waitFor();
    // Refusals of the policy are among them.
    expect(await tab.faults()).toEqual([]);
  });

  test('[WB1] what would hold up a reader of markdown or code is shown, and the page still answers', async () => {
    const id = await world.session();
    const tab = await world.enter(id);
    const texts = [
      `\`\`\`ts\n"${'\\'.repeat(1_500)}\n\`\`\``,
      '~a~~b '.repeat(10_000),
      `${'|a'.repeat(5_000)}|\n${'|-'.repeat(5_000)}|\n${'|b\n'.repeat(5_000)}`,
      `${'- '.repeat(24)}x\n${'y\n'.repeat(10_000)}`,
    ];
    for (const [i, text] of texts.entries()) {
      await world.say(id, world.prompt({ text: `${text}\n\nthe end ${i}.`, tps: 0 }));
      await tab.page.getByText(`the end ${i}.`).first().waitFor({ timeout: 30_000 });
    }
    await tab.page.reload();
    await tab.page.getByRole('textbox', { name: 'Message' }).fill('still here');
    expect(await tab.page.getByRole('textbox', { name: 'Message' }).inputValue()).toBe('still here');
  });

  test('[WB1, WB2] a page of another port has no part in it: no ticket, no key, no frame, no script, no socket', async () => {
    const id = await world.session();
    const mine = await world.enter(id);
    const server = createServer((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/html' });
      res.end('<!doctype html><title>other</title>');
    });
    servers.add(server);
    await new Promise<void>((up) => server.listen(0, '127.0.0.1', up));
    const other = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    // In the same browser as the tab that has a right: nothing of it goes along with requests.
    const hostile = await world.tab({ context: mine.context, expects: [/./] });
    await hostile.go(`${other}/`);
    hostile.allow(world.origin());
    const found = await hostile.page.evaluate<object>(`(async () => {
      const daemon = ${JSON.stringify(world.origin())};
      const post = (path, body) => fetch(daemon + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }).then((r) => r.status, () => 'refused');
      const socket = (offer) => new Promise((done) => { const s = new WebSocket(daemon.replace('http', 'ws') + '/v3/ws?sessionId=${id}', offer); s.onclose = (e) => done(e.code); });
      const frame = document.createElement('iframe');
      frame.src = daemon + '/';
      const framed = await new Promise((done) => { frame.onload = () => { try { done(frame.contentDocument === null ? 'not ours' : frame.contentDocument.title); } catch { done('not ours'); } }; document.body.append(frame); });
      const script = await new Promise((done) => { const s = document.createElement('script'); s.src = daemon + '/v3/overview'; s.onload = () => done('ran'); s.onerror = () => done('refused'); document.body.append(s); });
      return {
        ticket: await post('/v3/web/tickets', {}),
        key: await post('/v3/web/keys', { ticket: 'guess' }),
        revoke: await fetch(daemon + '/v3/web/keys', { method: 'DELETE' }).then((r) => r.status),
        stop: await post('/v3/operations/daemon.stop', { confirmDangerous: true }),
        withCookies: await fetch(daemon + '/v3/overview', { credentials: 'include' }).then((r) => r.status, () => 'refused'),
        socket: await socket(['opta.v3']), framed, script,
      };
    })()`);
    expect(found).toEqual({
      ticket: 401,
      key: 401,
      revoke: 401,
      stop: 401,
      // With credentials a browser keeps even the refusal to itself.
      withCookies: 'refused',
      socket: 4001,
      framed: 'not ours',
      script: 'refused',
    });
    // The tab that is in notices nothing.
    await world.say(id, world.prompt({ text: 'it goes on' }));
    await mine.page.getByText('it goes on').first().waitFor();
  });

  test('[WB2] a link with a ticket of somebody else opens nothing, and says so', async () => {
    const tab = await world.tab({ expects: [/401/] });
    await tab.go(`${world.origin()}/#ticket=${'x'.repeat(43)}&session=..%2F..%2Fx`);
    await tab.page.getByText(/A ticket works once/).waitFor();
    expect(tab.page.url()).not.toContain('ticket');
    expect((await tab.kept()).session).not.toContain('token');
    // A session in it is a place of this page and no other.
    await tab.go(await world.ticket('../../v3/web/keys'));
    await tab.page.getByRole('navigation').first().waitFor({ state: 'attached' });
    await tab.page.waitForTimeout(500);
    expect(new URL(tab.page.url()).hash).toBe('#/sessions/..%2F..%2Fv3%2Fweb%2Fkeys');
    tab.expect(/4\d\d/);
    const paths = tab.asked.map((address) => new URL(address).pathname);
    expect(paths.filter((path) => path === '/v3/web/keys')).toHaveLength(2);
  });
});
