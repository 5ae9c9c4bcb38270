import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { bundleClient } from '../../scripts/lib/client-bundle.mjs';
import { connect, type OptaClient, type SessionLink } from '../../src/client/index.ts';
import { decodeEnvelope } from '../../src/protocol/envelope.ts';
import { emptySession, foldAll } from '../../src/protocol/session-state.ts';
import { stateHash } from '../../src/protocol/state-hash.ts';
import { findBrowser, type Page } from '../support/chromium.ts';
import { type Daemon, newHome, startDaemon, stateFile, until } from '../support/daemon.ts';

/**
 * A page in a real browser and a Node program, both written against `opta/client` alone, in one session of a real daemon that is
 * killed in the middle of it and comes back at another port with another token.
 */
const PAGE = `<!doctype html><meta charset="utf-8"><title>shared session</title><script type="module" src="/page.js"></script>`;
const PAGE_SCRIPT = `
  import { connect } from '/opta-client.js';
  const address = async () => (await fetch('/address')).json();
  const client = connect({ address });
  const link = client.session('shared', { clientId: 'page', writerId: 'page', pingEveryMs: 500 });
  globalThis.link = link;
  globalThis.states = [];
  globalThis.reconnects = [];
  link.on('state', (state) => states.push(state));
  link.on('reconnect', (how) => reconnects.push(how));
  globalThis.shown = () => ({ cursor: link.cursor, state: link.state, hash: link.view.stateHash() });
`;
/** Strict on purpose: the library evaluates nothing, and needs no other host than the daemon. */
const POLICY = "default-src 'none'; script-src 'self'; connect-src 'self' http://127.0.0.1:* ws://127.0.0.1:*";

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

const serve = async (library: string, address: () => object): Promise<string> => {
  const files: { [path: string]: [type: string, body: () => string] } = {
    '/': ['text/html', () => PAGE],
    '/page.js': ['text/javascript', () => PAGE_SCRIPT],
    '/opta-client.js': ['text/javascript', () => library],
    '/address': ['application/json', () => JSON.stringify(address())],
    '/favicon.ico': ['image/x-icon', () => ''],
  };
  const server: Server = createServer((req, res) => {
    const [type, body] = files[req.url ?? ''] ?? ['text/plain', () => ''];
    res.writeHead(200, { 'content-type': type, 'content-security-policy': POLICY }).end(body());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  undo.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
};

interface Shown {
  cursor: number;
  state: string;
  hash: string;
}

/** Both have folded everything that the daemon has, to the same state: the fold of its log. */
const agree = async (daemon: Daemon, link: SessionLink, page: Page): Promise<Shown> => {
  let shown: Shown = { cursor: 0, state: '', hash: '' };
  await until(
    'both views to stand at the head of the log',
    async () => {
      const head = (await daemon.log('shared')).length;
      shown = await page.evaluate<Shown>('shown()');
      return shown.cursor === head && link.cursor === head && link.view.current.active === null;
    },
    20_000,
    50,
  );
  const log = await daemon.log('shared');
  expect(shown.hash).toBe(link.view.stateHash());
  expect(shown.hash).toBe(
    stateHash(
      foldAll(
        emptySession('shared'),
        log.map((text) => decodeEnvelope(text).record),
      ),
    ),
  );
  return shown;
};

test('[CL1, CL2, CL3] a page and a Node program share a session through kill -9: another port, another token, one state', async ({
  skip,
}) => {
  const launch = await findBrowser();
  if (typeof launch === 'string') {
    process.stderr.write(`shared-session.test.ts is skipped: ${launch}\n`);
    return skip(launch);
  }
  const home = newHome();
  undo.push(() => rmSync(home, { recursive: true, force: true }));
  let daemon = await startDaemon({ home });
  undo.push(() => daemon.dispose());
  const workspace = join(home, 'work');
  mkdirSync(workspace);
  writeFileSync(join(workspace, 'README.md'), '# Beans\nWater them.\n');

  // The program.
  const client: OptaClient = connect({ stateFile: stateFile(home) });
  undo.push(() => client.close());
  await client.createSession({ sessionId: 'shared', metadata: { workspace } });
  const link = client.session('shared', { clientId: 'program', writerId: 'program', pingEveryMs: 500 });
  const reconnects: object[] = [];
  link.on('reconnect', (how) => reconnects.push(how));

  // The page.
  const { outputFiles } = await bundleClient();
  const url = await serve(outputFiles[0]?.text ?? '', () => ({
    host: '127.0.0.1',
    port: daemon.port,
    token: daemon.token,
  }));
  const browser = await launch();
  undo.push(() => browser.close());
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    // While the daemon is away the browser itself reports each attempt; anything else is ours.
    if (message.type() === 'error' && !/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|WebSocket/.test(message.text()))
      complaints.push(message.text());
  });
  await page.goto(url);
  await until(
    'the page to be attached',
    async () => (await page.evaluate('globalThis.link?.state')) === 'open',
    20_000,
  );

  // Each submits, and both see both turns; a call that one asks for is decided by the other.
  expect(await link.run({ content: 'read README.md' })).toMatchObject({ end: { outcome: 'done' } });
  expect(await page.evaluate("link.run({ content: 'list files' }).then((t) => t.end.outcome)")).toBe('done');
  const writing = link.run({ content: 'write a note saying water the beans' });
  await until('the page to see the request', async () =>
    page.evaluate<boolean>(
      "Boolean(globalThis.asked = link.view.current.active?.items.find((i) => i.kind === 'permission' && !i.decision))",
    ),
  );
  await page.evaluate("link.decide(asked.requestId, 'allow')");
  const wrote = await writing;
  expect(wrote.items).toContainEqual(
    expect.objectContaining({ kind: 'permission', decision: 'allow', decidedBy: 'person:page' }),
  );
  expect(wrote.end).toMatchObject({ outcome: 'done' });
  const before = await agree(daemon, link, page);
  const authors = (): string[] => link.view.current.past.map((turn) => turn.writerId);
  expect(authors()).toEqual(['program', 'page', 'program']);
  expect(await page.evaluate('link.view.current.past.map((turn) => turn.writerId)')).toEqual(authors());

  // In the middle of a turn of the page, with one of the program's behind it, the daemon dies.
  await page.evaluate("void (globalThis.long = link.run({ content: 'stream 2000 words at 100' }).then((t) => t.end))");
  await until('the page to stream', () => (link.view.current.active?.text.length ?? 0) > 40);
  const waiting = await link.submit({ content: 'read README.md' });
  const old = { port: daemon.port, token: daemon.token, daemonId: daemon.daemonId };
  await daemon.kill9();
  await until('both to notice', async () => link.state !== 'open' && (await page.evaluate('link.state')) !== 'open');
  // Both go on submitting, and know nothing of it.
  const late = link.submit({ content: 'count the files' });
  await page.evaluate("void (globalThis.late = link.submit({ content: 'list files' }))");
  daemon = await startDaemon({ home });
  expect(daemon.port).not.toBe(old.port);
  expect(daemon.token).not.toBe(old.token);

  const answers = [waiting, await late, await page.evaluate('late')] as { turnId: string; replayed?: true }[];
  expect(await page.evaluate('long')).toMatchObject({ outcome: 'interrupted' });
  await until(
    'the queue to be done',
    () => link.view.current.past.length === 7 && link.view.current.active === null,
    20_000,
  );
  const after = await agree(daemon, link, page);
  expect(after.cursor).toBeGreaterThan(before.cursor);
  expect(after.hash).not.toBe(before.hash);
  expect(reconnects.length).toBeGreaterThan(0);
  expect(await page.evaluate('reconnects.length')).toBeGreaterThan(0);
  const log = (await daemon.log('shared')).map((text) => decodeEnvelope(text));
  expect(log.map(({ seq }) => seq)).toEqual(log.map((_, i) => i + 1));
  for (const { turnId } of answers) {
    const queued = log.filter((e) => e.event === 'turn.queued' && (e.payload as { turnId: string }).turnId === turnId);
    expect(queued).toHaveLength(1);
  }
  expect(log.filter((e) => e.event === 'turn.queued')).toHaveLength(7);
  expect(new Set(log.map((e) => e.daemonId))).toEqual(new Set([old.daemonId, daemon.daemonId]));
  expect(complaints).toEqual([]);
}, 120_000);
