import { existsSync } from 'node:fs';

/** The little of playwright-core that these tests use. */
export interface Page {
  goto(url: string): Promise<unknown>;
  // biome-ignore lint/suspicious/noExplicitAny: what a page answers is whatever the test asked it.
  evaluate<T = any>(script: string): Promise<T>;
  on(event: 'console', listener: (message: { type(): string; text(): string }) => void): void;
  on(event: 'pageerror', listener: (error: Error) => void): void;
}
interface Browser {
  newPage(): Promise<Page>;
  close(): Promise<void>;
}
interface Chromium {
  launch(options: { executablePath: string; args: string[] }): Promise<Browser>;
}

const PATHS = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** A browser, or the reason why there is none here. `PLAYWRIGHT_CORE` names another place of that package. */
export const findBrowser = async (): Promise<(() => Promise<Browser>) | string> => {
  const executablePath = PATHS.find((path) => path !== undefined && existsSync(path));
  if (executablePath === undefined) return 'there is no Chromium here: install it, or set CHROMIUM_PATH';
  const name = process.env.PLAYWRIGHT_CORE ?? 'playwright-core';
  let chromium: Chromium;
  try {
    ({ chromium } = (await import(/* @vite-ignore */ name)) as { chromium: Chromium });
  } catch (cause) {
    return `playwright-core cannot be loaded: ${String(cause)}`;
  }
  const args = [
    '--disable-background-networking',
    '--disable-component-update',
    '--no-first-run',
    // Nothing beyond this machine has a name in there.
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
    // Its own sandbox cannot be set up by root.
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
  ];
  return () => chromium.launch({ executablePath, args });
};
