import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { BROWSER_MISSING, hasBrowser, type Tab } from '../support/browser.ts';
import { aPageWorld } from './page-world.ts';

const SIZES = [
  [360, 740],
  [1280, 800],
  [3840, 2160],
] as const;

describe.runIf(hasBrowser)(`the page and people${BROWSER_MISSING}`, { timeout: 180_000 }, () => {
  const world = aPageWorld();
  afterEach(() => world.closeTabs());

  const TALK =
    '# A heading\n\nSome `code`, **bold**, a [link](https://example.invalid/).\n\n```ts\nconst a = 1;\n```\n\n| a | b |\n|---|---|\n| c | d |\n\n- one\n- two\n\n> quoted';

  /** Nothing to scroll sideways, and nothing that reaches out of the window. */
  const expectFits = async (tab: Tab): Promise<void> => {
    const { wide, out } = await tab.page.evaluate<{ wide: number; out: string[] }>(`(() => {
      const edge = document.documentElement.clientWidth;
      const clipped = (e) => { for (let p = e.parentElement; p; p = p.parentElement) { const s = getComputedStyle(p).overflowX; if (s !== 'visible') return true; } return false; };
      return {
        wide: document.documentElement.scrollWidth - edge,
        out: [...document.querySelectorAll('#app *')].filter((e) => { const r = e.getBoundingClientRect(); return r.width > 1 && r.height > 1 && r.right > edge + 1 && !clipped(e); }).slice(0, 5).map((e) => e.outerHTML.slice(0, 150)),
      };
    })()`);
    expect({ wide, out }).toEqual({ wide: 0, out: [] });
  };

  test.each(SIZES)(
    'at %i by %i: no violation of WCAG 2 AA on any page and in any state, and nothing reaches out',
    async (width, height) => {
      const id = await world.session({
        title: 'A session with a title that is quite long, so that it has to end somewhere',
      });
      const check = async (tab: Tab, where: string): Promise<void> => {
        expect(await tab.axe(), where).toEqual([]);
        await expectFits(tab);
      };
      const stranger = await world.tab({ width, height });
      await stranger.go(`${world.origin()}/`);
      await stranger.page.getByRole('button', { name: 'Connect', exact: true }).waitFor();
      await check(stranger, 'connect');
      await stranger.page.getByRole('button', { name: 'Connect', exact: true }).click();
      await stranger.page.getByRole('alert').waitFor();
      await check(stranger, 'connect, with an error');

      const tab = await world.enter(id, { width, height });
      await check(tab, 'an empty session');
      await world.say(id, world.prompt({ text: TALK, think: 'a thought', reasoning: true }));
      await tab.page.getByText('quoted').first().waitFor();
      await check(tab, 'a session');
      const streaming = await world.say(id, world.prompt({ tokens: 4_000, tps: 30 }));
      await world.say(id, world.prompt({ tokens: 5 }, 'one that waits '), 'another-writer');
      await tab.page.getByText('tok5').first().waitFor();
      await check(tab, 'a session with an answer that streams and a queue');
      await world.daemon.post(`/v3/sessions/${id}/cancel`, { turnId: streaming });
      await world.say(id, world.writes('axe.txt', 'one\ntwo\nthree\n'.repeat(20)));
      await tab.page.getByRole('button', { name: 'Allow', exact: true }).waitFor();
      await check(tab, 'a permission');
      await world.decide(id, 'allow');
      await tab.page.getByText('so be it').first().waitFor();
      const question = { question: 'Which colour is it to be?', options: ['red', 'a rather long green'] };
      await world.say(id, world.prompt({ tools: [{ name: 'ask_user', args: question }], text: 'thanks' }));
      await tab.page.getByRole('textbox', { name: 'Your answer' }).waitFor();
      await check(tab, 'a question');
      await tab.page.goto(`${world.origin()}/#/inspect/${id}`);
      await tab.page.locator('svg').first().waitFor();
      await tab.page.waitForTimeout(500);
      await check(tab, 'the inspector');
      await tab.page.goto(`${world.origin()}/#/`);
      await tab.page.getByRole('heading', { level: 1 }).waitFor();
      await tab.page.waitForTimeout(500);
      await check(tab, 'the dashboard');
    },
  );

  test('Esc in an answer leaves the answer and ends no turn; elsewhere it ends the turn', async () => {
    const id = await world.session();
    const tab = await world.enter(id);
    const question = { question: 'Which colour?', options: ['red'] };
    await world.say(id, world.prompt({ tools: [{ name: 'ask_user', args: question }], text: 'thanks' }));
    const answer = tab.page.getByRole('textbox', { name: 'Your answer' });
    await answer.fill('half an answer');
    await tab.page.getByRole('heading', { level: 2, name: 'A question for you' }).waitFor();
    await answer.press('Escape');
    await tab.page.waitForTimeout(400);
    expect(await answer.inputValue()).toBe('half an answer');
    expect(await tab.page.evaluate('document.activeElement?.tagName')).not.toBe('TEXTAREA');
    await tab.page.keyboard.press('Escape');
    await answer.waitFor({ state: 'detached' });
  });

  test('by keyboard alone: a session, a prompt, an allowed call, a cancelled turn, the inspector', async () => {
    const id = await world.session({ title: 'reached by keys' });
    const tab = await world.enter();
    const { keyboard } = tab.page;
    await tabTo(tab, /reached by keys/);
    await keyboard.press('Enter');
    await tab.page.getByRole('textbox', { name: 'Message' }).waitFor();
    await tabTo(tab, /^Message$/);
    await keyboard.type(world.writes('by-keys.txt'));
    await keyboard.press('Enter');
    await tab.page.getByRole('button', { name: 'Allow', exact: true }).waitFor();
    // A press that was on its way when the card came up decides nothing.
    await tab.page.waitForTimeout(600);
    await tabTo(tab, /^Allow$/);
    await keyboard.press('Enter');
    await tab.page.getByText('so be it').first().waitFor();

    await tabTo(tab, /^Message$/);
    await keyboard.type(world.prompt({ tokens: 5_000, tps: 30 }));
    await keyboard.press('Enter');
    await tab.page.getByText('tok5').first().waitFor();
    await tabTo(tab, /Stop/);
    await keyboard.press('Enter');
    await tab.page.getByText('Cancelled').first().waitFor();
    const { activeTurnId } = (await world.daemon.get(`/v3/sessions/${id}`)).body as { activeTurnId?: string };
    expect(activeTurnId).toBeUndefined();

    await tabTo(tab, /Inspector/);
    await keyboard.press('Enter');
    await tab.page.locator('svg').first().waitFor();
    expect(tab.page.url()).toContain('/#/inspect');
  });

  test('with reduced motion nothing moves, on any page', async () => {
    const id = await world.session();
    const tab = await world.enter(id, { reducedMotion: true });
    await world.say(id, world.prompt({ tokens: 4_000, tps: 30 }));
    await tab.page.getByText('tok5').first().waitFor();
    for (const place of [`#/sessions/${id}`, `#/inspect/${id}`, '#/']) {
      await tab.page.goto(`${world.origin()}/${place}`);
      await tab.page.waitForTimeout(700);
      const moving = await tab.page.evaluate<string[]>(
        `document.getAnimations().filter((a) => a.playState === 'running').map((a) => (a.animationName ?? a.transitionProperty) + ' ' + a.effect?.target?.className)`,
      );
      expect(moving, place).toEqual([]);
    }
  });

  test('what is told to screen readers: one heading, landmarks, a live region that says what happens and not each token', async () => {
    const id = await world.session({ title: 'told' });
    const tab = await world.enter(id);
    await expect(tab.page.getByRole('heading', { level: 1 }).count()).resolves.toBe(1);
    await expect(tab.page.getByRole('main').count()).resolves.toBe(1);
    const log = tab.page.getByRole('log', { name: 'Announcements' });
    await expect(log.count()).resolves.toBe(1);
    await world.say(id, world.writes('told.txt'));
    await tab.page.getByRole('button', { name: 'Allow', exact: true }).waitFor();
    await expect.poll(() => log.textContent()).toMatch(/write_file/);
    await world.decide(id, 'deny', 'mallory');
    await expect.poll(() => log.textContent()).toMatch(/denied by.*mallory/);
    await world.say(id, world.prompt({ tokens: 60, tps: 60 }));
    await tab.page.getByText('tok59').first().waitFor();
    await tab.page.waitForTimeout(500);
    expect((await log.locator('p').count()) <= 6).toBe(true);
  });

  test('the page’s JavaScript is at most 120 KB, compressed', () => {
    const assets = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'dist', 'web', 'assets');
    const files = readdirSync(assets).filter((name) => name.endsWith('.js'));
    expect(files.length).toBeGreaterThan(0);
    const bytes = files.reduce((sum, name) => sum + gzipSync(readFileSync(join(assets, name)), { level: 9 }).length, 0);
    expect(bytes).toBeLessThanOrEqual(120 * 1024);
  });
});

const STOPS_MAX = 90;

/** Presses Tab until the focused element is named so. */
const tabTo = async (tab: Tab, name: RegExp): Promise<void> => {
  const passed: string[] = [];
  for (let i = 0; i < STOPS_MAX; i++) {
    const here = await tab.page.evaluate<string>(
      `(() => { const e = document.activeElement; return !e || e === document.body ? '' : (e.getAttribute('aria-label') ?? e.innerText ?? e.getAttribute('title') ?? '').trim(); })()`,
    );
    if (name.test(here)) {
      // Who uses keys has to see where they are.
      const seen = await tab.page.evaluate<boolean>(SEEN);
      expect(seen, `the focus on ${here} is seen`).toBe(true);
      return;
    }
    passed.push(here.slice(0, 30));
    await tab.page.keyboard.press('Tab');
  }
  throw new Error(`no stop of Tab is named ${name}; passed ${passed.join(' | ')}`);
};

/** Whether the focused element, or what stands around it, looks different without the focus. */
const SEEN = `(() => {
  const e = document.activeElement;
  const around = [e, e.parentElement, e.parentElement?.parentElement, e.closest('form')].filter(Boolean);
  const looks = () => around.map((one) => { const s = getComputedStyle(one); return [s.outline, s.boxShadow, s.borderColor, s.backgroundColor].join(); }).join();
  const focused = looks();
  e.blur();
  const without = looks();
  e.focus();
  return focused !== without;
})()`;
