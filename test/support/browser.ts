import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core';

/** Debian's chromium, or the one that is named. Tests of the page are skipped where there is none, and say so. */
const CHROMIUM = process.env.OPTA_TEST_CHROMIUM ?? '/usr/bin/chromium';
export const hasBrowser = existsSync(CHROMIUM);
/** To be put into the names of tests that are skipped, so that a report says why. */
export const BROWSER_MISSING = hasBrowser ? '' : ' (skipped: no chromium here)';

/** Nothing but loopback is found, and nothing is asked for that the page did not ask for. */
const FLAGS = [
  '--no-sandbox',
  '--no-proxy-server',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-domain-reliability',
  '--disable-sync',
  '--no-first-run',
  '--no-pings',
  '--disable-dev-shm-usage',
];

export const openBrowser = (flags: readonly string[] = []): Promise<Browser> =>
  chromium.launch({ executablePath: CHROMIUM, headless: true, args: [...FLAGS, ...flags], timeout: 30_000 });

export interface TabOptions {
  width?: number;
  height?: number;
  reducedMotion?: boolean;
  /** Origins that it may speak to beside its own, such as a daemon on another port. */
  alsoTo?: readonly string[];
  /** Faults that this test makes on purpose. */
  expects?: readonly RegExp[];
  context?: BrowserContext;
}

/** Everything in which a secret could last, each as one text. `session`: gone with the tab. */
export interface Kept {
  localStorage: string;
  session: string;
  databases: string;
  caches: string;
  cookies: string;
}

const FAULTS_MAX = 200;
const SENT_MAX = 5_000;

/** A tab, and everything that went wrong in it. */
export class Tab {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Address of each request and socket, in order. */
  readonly asked: string[] = [];
  /** Each line of its console. */
  readonly lines: string[] = [];
  readonly #faults: string[] = [];
  readonly #origins = new Set<string>();
  readonly #expects: RegExp[];

  private constructor(page: Page, context: BrowserContext, options: TabOptions) {
    this.page = page;
    this.context = context;
    this.#expects = [...(options.expects ?? [])];
    for (const origin of options.alsoTo ?? []) this.#origins.add(origin);
  }

  static async open(browser: Browser, options: TabOptions = {}): Promise<Tab> {
    const { width = 1280, height = 800, reducedMotion = false } = options;
    const context =
      options.context ??
      (await browser.newContext({
        viewport: { width, height },
        deviceScaleFactor: 1,
        reducedMotion: reducedMotion ? 'reduce' : 'no-preference',
        locale: 'en-GB',
        timezoneId: 'UTC',
        serviceWorkers: 'block',
      }));
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    const tab = new Tab(page, context, options);
    await tab.#watch();
    return tab;
  }

  /** The origin of `url` is the one that it may speak to. */
  async go(url: string): Promise<void> {
    this.allow(url);
    await this.page.goto(url, { waitUntil: 'load' });
  }

  allow(url: string): void {
    this.#origins.add(new URL(url).origin);
  }

  expect(...faults: RegExp[]): void {
    this.#expects.push(...faults);
  }

  /** What a page must not have: errors, refused policies, failed requests, requests to others. */
  async faults(): Promise<string[]> {
    const refused = await this.page.evaluate<string[]>('globalThis.optaRefused ?? []').catch(() => []);
    return [...this.#faults, ...refused].filter((fault) => !this.#expects.some((looks) => looks.test(fault)));
  }

  /** Violations of WCAG 2 A and AA as axe-core finds them, one line each. */
  async axe(): Promise<string[]> {
    // Evaluated by the debugger, which the page's policy does not concern.
    await this.page.evaluate(AXE());
    return this.page.evaluate<string[]>(VIOLATIONS);
  }

  debug(): Promise<CDPSession> {
    return this.context.newCDPSession(this.page);
  }

  async kept(): Promise<Kept> {
    const cookies = JSON.stringify(await this.context.cookies());
    const here = await this.page.evaluate<Omit<Kept, 'cookies'>>(KEPT);
    return { ...here, cookies };
  }

  async close(): Promise<void> {
    await this.page.close().catch(() => undefined);
    await this.context.close().catch(() => undefined);
  }

  async #watch(): Promise<void> {
    const { page } = this;
    const fault = (text: string): void => {
      if (this.#faults.length < FAULTS_MAX) this.#faults.push(text);
    };
    await page.addInitScript(REFUSED);
    page.on('pageerror', (error) => fault(`thrown: ${error.stack ?? error.message}`));
    page.on('console', (line) => {
      if (this.lines.length < SENT_MAX) this.lines.push(line.text());
      if (line.type() === 'error') fault(`console: ${line.text()} ${line.location().url}`);
    });
    const goesTo = (address: string): void => {
      if (this.asked.length < SENT_MAX) this.asked.push(address);
      const url = new URL(address);
      if (!/^(?:https?|wss?):$/.test(url.protocol)) return;
      const origin = `${url.protocol.replace('ws', 'http')}//${url.host}`;
      if (!this.#origins.has(origin)) fault(`a request to somebody else: ${address}`);
    };
    page.on('request', (request) => goesTo(request.url()));
    page.on('websocket', (socket) => goesTo(socket.url()));
    page.on('requestfailed', (request) => {
      const why = request.failure()?.errorText ?? '';
      // Given up by the page itself, which it may.
      if (why !== 'net::ERR_ABORTED') fault(`request failed: ${request.url()} ${why}`);
    });
    page.on('response', (answer) => {
      if (answer.status() >= 400) fault(`answered ${answer.status()}: ${answer.url()}`);
    });
  }
}

// --- what is evaluated in the page; text, since the tests know no types of browsers -------------------------------------

const REFUSED = `
  globalThis.optaRefused = [];
  addEventListener('securitypolicyviolation', (e) => {
    optaRefused.push('refused by the policy: ' + e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample);
  });`;

const VIOLATIONS = `(async () => {
  const values = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
  const { violations } = await axe.run(document, { runOnly: { type: 'tag', values } });
  return violations.flatMap(({ id, help, nodes }) => nodes.map(({ target, failureSummary, html }) =>
    id + ': ' + help + ': ' + JSON.stringify(target) + ' ' + html.slice(0, 200) + ' ' + (failureSummary ?? '')));
})()`;

const KEPT = `(async () => ({
  localStorage: JSON.stringify(Object.entries(localStorage)),
  session: JSON.stringify(Object.entries(sessionStorage)),
  databases: JSON.stringify(await indexedDB.databases()),
  caches: 'caches' in globalThis ? JSON.stringify(await caches.keys()) : '[]',
}))()`;

let axeSource: string | undefined;
const AXE = (): string => {
  axeSource ??= `${readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')};0`;
  return axeSource;
};
