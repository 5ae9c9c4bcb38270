import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type RealDaemon, startDaemon } from '../../compat/daemon.ts';
import { openBrowser, Tab } from '../../support/browser.ts';
import { startFakeLmx } from '../../support/fake-lmx.ts';
import { openVt, type Vt } from '../../support/vt.ts';
import { FILES, FIRST, SCRIPTS, SECOND, WAITING } from './script.ts';
import { pageOf } from './vt-page.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const { values } = parseArgs({
  options: { out: { type: 'string', default: join(ROOT, 'docs', 'screens') }, only: { type: 'string' } },
});
const wanted = (name: string): boolean => values.only === undefined || values.only.split(',').includes(name);
const SESSION = 'nightly-export';
const TERMINALS = { small: [60, 20], medium: [100, 30], large: [160, 48] } as const;
const WINDOWS = [
  [360, 740],
  [1280, 800],
  [3840, 2160],
] as const;

const saidIn = (messages: readonly { role: string; content?: unknown }[] = []): string =>
  String(messages.findLast((m) => m.role === 'user')?.content ?? '');

const lmx = await startFakeLmx({
  models: ['qwen3-coder-30b'],
  reply: ({ body }) => SCRIPTS[saidIn(body.messages)] ?? { text: 'Yes.' },
});
const daemon = await startDaemon(lmx.port, { OPTA_MODEL: 'qwen3-coder-30b' });
const browser = await openBrowser(['--font-render-hinting=none']);
const made: string[] = [];

const say = async (content: string, writerId: string): Promise<string> => {
  const body = { clientId: writerId, writerId, content, mode: 'chat' };
  const answer = await daemon.post(`/v3/sessions/${SESSION}/turns`, body);
  if (answer.status !== 202) throw new Error(answer.text);
  return (answer.body as { turnId: string }).turnId;
};
const ended = async (turnId: string): Promise<void> => {
  const end = Date.now() + 30_000;
  for (;;) {
    const { events } = (await daemon.get(`/v3/sessions/${SESSION}/events`)).body as {
      events: { event: string; payload: { turnId?: string } }[];
    };
    if (events.some((e) => /^turn\.(?:done|error)$/.test(e.event) && e.payload.turnId === turnId)) return;
    if (Date.now() > end) throw new Error('the turn does not end');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};

const photograph = async (html: string, width: number, height: number, name: string): Promise<void> => {
  const context = await browser.newContext({ viewport: { width, height }, deviceScaleFactor: 1 });
  const page = await context.newPage();
  await page.setContent(html);
  keep(name, await page.screenshot({ type: 'png' }));
  await context.close();
};

const keep = (name: string, bytes: Buffer): void => {
  const path = join(String(values.out), name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  made.push(path);
};

const terminals = async (): Promise<void> => {
  for (const [size, [columns, rows]] of Object.entries(TERMINALS)) {
    const vt = openVt(daemon.home, ['tui', '--session', SESSION], { columns, rows });
    try {
      await vt.until((text) => /allow/i.test(text), 'the card', 20_000);
      await vt.quiet(300, 5_000).catch(() => undefined);
      await shot(vt, `terminal-${size}.png`);
    } finally {
      vt.close();
    }
  }
};
const shot = async (vt: Vt, name: string): Promise<void> => {
  const { html, width, height } = pageOf(vt);
  await photograph(html, width, height, name);
};

/** Large pictures are made smaller: what is to be seen is where things stand. */
const tabShot = async (tab: Tab, name: string, width: number): Promise<void> => {
  await tab.page.waitForTimeout(700);
  const png = await tab.page.screenshot({ type: 'png', animations: 'disabled' });
  keep(`${name}-${width}.png`, width > 2_000 ? await halved(png) : png);
};

const halved = async (png: Buffer): Promise<Buffer> => {
  const context = await browser.newContext({ viewport: { width: 1920, height: 1080 }, deviceScaleFactor: 1 });
  const page = await context.newPage();
  await page.setContent(
    `<style>body{margin:0;background:#000}img{width:1920px;height:1080px;display:block}</style><img src="data:image/png;base64,${png.toString('base64')}">`,
    { waitUntil: 'load' },
  );
  const smaller = await page.screenshot({ type: 'png' });
  await context.close();
  return smaller;
};

const enter = async (width: number, height: number, place: string): Promise<Tab> => {
  const tab = await Tab.open(browser, { width, height, reducedMotion: true });
  const { url } = (await daemon.post('/v3/web/tickets', {})).body as { url: string };
  await tab.go(url);
  await tab.page.getByRole('navigation').first().waitFor({ state: 'attached' });
  await tab.page.goto(`http://127.0.0.1:${daemon.port}/${place}`);
  return tab;
};

const pages = async (): Promise<void> => {
  for (const [width, height] of WINDOWS) {
    if (wanted('connect')) {
      const tab = await Tab.open(browser, { width, height, reducedMotion: true });
      await tab.go(`http://127.0.0.1:${daemon.port}/`);
      await tab.page.getByRole('button', { name: 'Connect', exact: true }).waitFor();
      // Not this machine's.
      await tab.page.getByLabel('Port').fill('9999');
      await tabShot(tab, 'connect', width);
      await tab.close();
    }
    for (const [name, place, ready] of [
      ['dashboard', '#/', 'h1'],
      ['session', `#/sessions/${SESSION}`, '.card'],
      ['inspector', `#/inspect/${SESSION}`, 'svg'],
    ] as const) {
      if (!wanted(name)) continue;
      const tab = await enter(width, height, place);
      await tab.page.locator(ready).first().waitFor({ state: 'attached' });
      await tab.page.waitForTimeout(1_500);
      await tabShot(tab, name, width);
      const faults = await tab.faults();
      if (faults.length > 0) process.stderr.write(`screens: ${name}-${width}: ${faults.join('; ')}\n`);
      await tab.close();
    }
  }
};

const stage = async (on: RealDaemon): Promise<void> => {
  for (const [path, text] of Object.entries(FILES)) {
    mkdirSync(dirname(join(on.home, 'shop', path)), { recursive: true });
    writeFileSync(join(on.home, 'shop', path), text);
  }
  const workspace = join(on.home, 'shop');
  for (const [sessionId, title] of [
    ['release-notes', 'Release notes for 2.4'],
    ['flaky-login', 'The login test that fails on Mondays'],
    [SESSION, 'The nightly export misses a day'],
  ]) {
    await on.post('/v3/sessions', { sessionId, title, metadata: { workspace } });
  }
  // Somebody has to be there, or nobody is asked.
  await on.connect(`/v3/ws?sessionId=${SESSION}&afterSeq=0&clientId=desk&writerId=ada&token=$TOKEN`);
  await ended(await say(FIRST, 'ada'));
  await say(SECOND, 'ada');
  await say(WAITING[0], 'script');
  await say(WAITING[1], 'grace');
};

try {
  await stage(daemon);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  if (wanted('terminal')) await terminals();
  await pages();
  let total = 0;
  for (const path of made) {
    total += statSync(path).size;
    process.stdout.write(`${path.slice(ROOT.length)} ${Math.round(statSync(path).size / 1024)} KB\n`);
  }
  process.stdout.write(`${made.length} pictures, ${Math.round(total / 1024)} KB\n`);
} finally {
  await browser.close();
  await daemon.stop();
  await lmx.close();
}
