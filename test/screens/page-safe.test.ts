import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { BROWSER_MISSING, hasBrowser, type Tab } from '../support/browser.ts';
import { HOSTILE } from './hostile.ts';
import { aPageWorld } from './page-world.ts';

/** Each would leave a mark if it ran, loaded something, or became an element. */
const MARKUP = [
  '<script>globalThis.pwned = 1; document.title = "pwned"</script>',
  '<img src=x onerror="globalThis.pwned = 2">',
  '<img src="http://127.0.0.1:1/pixel.png">',
  '<svg onload="globalThis.pwned = 3"><script>globalThis.pwned = 4</script><use href="data:x"/></svg>',
  '<math><mtext><table><mglyph><style><img src=x onerror="globalThis.pwned = 5">',
  '<iframe srcdoc="<script>parent.pwned = 6</script>"></iframe>',
  '<a href="javascript:globalThis.pwned = 7">raw link</a>',
  '[js link](javascript:globalThis.pwned=8) [data link](data:text/html,<script>1</script>) [vb](vbscript:x)',
  '[&#106;avascript link](&#106;avascript:globalThis.pwned=9) [tab](java&Tab;script:globalThis.pwned=9)',
  '![picture](http://127.0.0.1:1/picture.png) ![js](javascript:globalThis.pwned=10)',
  '<javascript:globalThis.pwned=11> <https://example.invalid/auto>',
  '&lt;b&gt; &amp;amp; &#60;script&#62; &#x3c;i&#x3e;',
  '<style>body { display: none }</style><link rel="stylesheet" href="http://127.0.0.1:1/a.css">',
  '<base href="http://127.0.0.1:1/"><meta http-equiv="refresh" content="0;url=http://127.0.0.1:1/">',
  '<form action="http://127.0.0.1:1/"><input name=a><button>go</button></form>',
  '`<script>globalThis.pwned = 12</script>`',
  '```html\n<script>globalThis.pwned = 13</script>\n<img src=x onerror="globalThis.pwned = 14">\n```',
  '```"><img src=x onerror="globalThis.pwned = 15">\ncode\n```',
  '| <img src=x onerror="globalThis.pwned = 16"> | b |\n|---|---|\n| <script>globalThis.pwned = 17</script> | d |',
  `${'> '.repeat(400)}deep`,
  `${'- '.repeat(300)}deep list`,
  `${'['.repeat(3_000)}${']'.repeat(3_000)}(x)`,
  `${'*'.repeat(3_000)} ${'_'.repeat(3_000)} ${'`'.repeat(3_001)}`,
];

describe.runIf(hasBrowser)(`hostile text in the page${BROWSER_MISSING}`, { timeout: 120_000 }, () => {
  const world = aPageWorld();
  afterEach(() => world.closeTabs());

  /** Nothing ran, nothing became an element, nothing was asked for, and the page still answers. */
  const expectText = async (tab: Tab): Promise<void> => {
    const found = await tab.page.evaluate<object>(`({
      pwned: globalThis.pwned ?? null,
      elements: [...document.querySelectorAll('#app script, #app iframe, #app img, #app object, #app embed, #app link, #app style, #app base, #app meta, #app math, #app use')].map((e) => e.outerHTML.slice(0, 120)),
      handlers: [...document.querySelectorAll('#app *')].filter((e) => [...e.attributes].some((a) => a.name.startsWith('on'))).map((e) => e.outerHTML.slice(0, 120)),
      links: [...document.querySelectorAll('#app a')].map((a) => a.href).filter((href) => !/^(https?|mailto):/.test(href)),
      submits: [...document.querySelectorAll('#app form[action]')].length,
    })`);
    expect(found).toEqual({ pwned: null, elements: [], handlers: [], links: [], submits: 0 });
    expect(await tab.page.title()).not.toBe('pwned');
    expect(await tab.faults()).toEqual([]);
    // Each link that leaves the page says so, and takes nothing with it.
    const leaving = await tab.page.evaluate<string[]>(
      `[...document.querySelectorAll('#app a[href]')].filter((a) => a.origin !== location.origin).filter((a) => !(a.rel.includes('noopener') || a.rel.includes('noreferrer'))).map((a) => a.outerHTML)`,
    );
    expect(leaving).toEqual([]);
  };

  test('[WB1] the page comes with a policy that names nobody else and nothing inline', async () => {
    const answer = await fetch(`${world.origin()}/`);
    expect(answer.status).toBe(200);
    const policy = String(answer.headers.get('content-security-policy'));
    expect(policy).toMatch(/default-src 'none'|default-src 'self'/);
    for (const never of ['unsafe-inline', 'unsafe-eval', 'data:', 'blob:', 'https:', '*']) {
      const [, scripts = ''] = /script-src ([^;]*)/.exec(policy) ?? [];
      expect(scripts).not.toContain(never);
    }
    expect(policy).not.toMatch(/style-src [^;]*unsafe-inline/);
    for (const needed of ["frame-ancestors 'none'", "base-uri 'none'", 'form-action', 'object-src', 'script-src']) {
      if (needed.startsWith('object') && policy.includes("default-src 'none'")) continue;
      expect(policy).toContain(needed);
    }
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer');
    expect(await answer.text()).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=/i);
  });

  test('[WB1] markup in what the model says is text, as it comes and afterwards', async () => {
    const id = await world.session();
    const tab = await world.enter(id);
    for (const tps of [60, 0]) {
      await world.say(id, world.prompt({ text: `${MARKUP.join('\n\n')}\n\nthe end ${tps}.`, tps }));
      await tab.page.getByText(`the end ${tps}.`).first().waitFor({ timeout: 60_000 });
      await expectText(tab);
    }
    await tab.page.reload();
    await tab.page.getByText('the end 0.').first().waitFor();
    await expectText(tab);
  });

  test('[WB1] so it is in titles, names, tool arguments, previews, results, thoughts and errors', async () => {
    const nasty = `${MARKUP.slice(0, 9).join(' ')} ${HOSTILE}`;
    const id = await world.session({ title: nasty.slice(0, 450) });
    const tab = await world.enter(id);
    writeFileSync(join(world.daemon.home, 'nasty.txt'), nasty.replaceAll('\0', ''));
    const tools = [
      { name: 'write_file', args: { path: 'n.html', content: nasty } },
      { name: 'read_file', args: { path: 'nasty.txt' } },
    ];
    await world.say(
      id,
      `${nasty} ${world.prompt({ think: nasty, reasoning: true, tools, text: 'all written' })}`,
      nasty.slice(0, 200),
    );
    await tab.page.getByRole('button', { name: 'Allow' }).waitFor();
    await expectText(tab);
    await world.decide(id, 'allow', `<img src=x onerror="globalThis.pwned = 20"> \u202e`);
    await tab.page.getByText('all written').first().waitFor();
    // Everything that folds is opened; one that goes away while it is aimed at is left alone.
    const folds = tab.page.locator('[aria-label="Conversation"] [aria-expanded="false"]');
    for (let i = 0; i < 20 && (await folds.count()) > 0; i++) {
      await folds
        .first()
        .click({ timeout: 2_000 })
        .catch(() => undefined);
    }
    expect(await tab.page.locator('[aria-label="Conversation"] [aria-expanded="true"]').count()).toBeGreaterThan(1);
    await expectText(tab);
    await world.say(id, world.prompt({ error: nasty, status: 400 }));
    await tab.page.getByText('Failed').first().waitFor();
    await expectText(tab);
    await tab.page.goto(`${world.origin()}/#/`);
    await tab.page.getByRole('link', { name: 'Dashboard', exact: true }).waitFor();
    await tab.page.waitForTimeout(500);
    await expectText(tab);
    await tab.page.goto(`${world.origin()}/#/inspect/${id}`);
    await tab.page.waitForTimeout(1_000);
    await expectText(tab);
    // The file itself is what the model said: nothing was cleaned on its way to the disk.
    expect(readFileSync(join(world.daemon.home, 'n.html'), 'utf8')).toBe(nasty);
  });
});
