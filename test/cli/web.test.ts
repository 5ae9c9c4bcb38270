import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openerOf } from '../../src/cli/commands/web.ts';
import { packageVersion } from '../../src/cli/context.ts';
import { CLI_COMMAND, cli, cliEnv, removeDir, tempDir } from '../support/cli.ts';
import { TOKEN, type World, world } from '../transport/world.ts';

let home: string;
let pages: string;
let w: World;
const withDaemon = async (built: boolean): Promise<void> => {
  w = await world({ version: packageVersion(), ...(built ? { webDir: pages } : {}) });
  w.runtime.seed('garden');
  const state = {
    pid: process.pid,
    daemonId: w.runtime.daemonId,
    host: '127.0.0.1',
    port: w.server.port,
    token: TOKEN,
    startedAt: new Date().toISOString(),
    logsPath: join(home, 'daemon', 'daemon.log'),
  };
  mkdirSync(join(home, 'daemon'), { recursive: true, mode: 0o700 });
  writeFileSync(join(home, 'daemon', 'state.json'), JSON.stringify(state), { mode: 0o600 });
};
beforeEach(() => {
  home = tempDir();
  pages = mkdtempSync(join(tmpdir(), 'opta-pages-'));
  writeFileSync(join(pages, 'index.html'), '<!doctype html>');
});
afterEach(async () => {
  await w?.close();
  removeDir(home);
  rmSync(pages, { recursive: true, force: true });
});

const redeem = (url: string, ticket: string): Promise<Response> =>
  fetch(`${url}/v3/web/keys`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ticket }),
  });
const ticketOf = (address: string): string => new URLSearchParams(new URL(address).hash.slice(1)).get('ticket') ?? '';

describe('opta web', { timeout: 120_000 }, () => {
  test('[WB2, WB4] without a terminal the address goes to stdout and opens no browser; its ticket is good once', async () => {
    await withDaemon(true);
    const run = await cli(home, ['web'], { env: { DISPLAY: ':99' } });
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(new RegExp(`^${w.url}/#ticket=[\\w-]{43}\\n$`));
    const ticket = ticketOf(run.stdout.trim());
    expect(run.stderr).not.toContain(ticket);
    expect((await redeem(w.url, ticket)).status).toBe(201);
    expect((await redeem(w.url, ticket)).status).toBe(401);
    expect(existsSync(join(home, 'daemon', 'web-open.html'))).toBe(false);
  });

  test('[WB2] a session is named in the fragment, JSON has the address, and an unknown session is said before any ticket', async () => {
    await withDaemon(true);
    const run = await cli(home, ['web', '--session', 'garden', '--json']);
    const { url, expiresAt } = JSON.parse(run.stdout);
    expect(url).toMatch(/#ticket=[\w-]{43}&session=garden$/);
    expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now());
    const unknown = await cli(home, ['web', '--session', 'nobody', '--json']);
    expect([unknown.code, JSON.parse(unknown.stdout).code]).toEqual([127, 'session-not-found']);
  });

  test('[WB1] where the page was not built it says what to type', async () => {
    await withDaemon(false);
    const run = await cli(home, ['web']);
    expect([run.code, run.stdout]).toEqual([1, '']);
    expect(run.stderr).toContain('npm run build');
  });

  test('[WB3] --revoke signs out every page', async () => {
    await withDaemon(true);
    const first = await cli(home, ['web', '--print']);
    const { key } = (await (await redeem(w.url, ticketOf(first.stdout.trim()))).json()) as { key: string };
    const health = (): Promise<number> =>
      fetch(`${w.url}/v3/health`, { headers: { authorization: `Bearer ${key}` } }).then((r) => r.status);
    expect(await health()).toBe(200);
    expect((await cli(home, ['web', '--revoke'])).stdout).toBe('Signed out: one page.\n');
    expect(await health()).toBe(401);
    expect(JSON.parse((await cli(home, ['web', '--revoke', '--json'])).stdout)).toEqual({ revoked: 0 });
  });

  const hasTerminal = spawnSync('script', ['--version']).status === 0;
  test.runIf(hasTerminal && process.platform === 'linux')(
    '[WB4] at a terminal a browser is given a private file and never the address',
    async () => {
      await withDaemon(true);
      const said = join(home, 'opened');
      mkdirSync(join(home, 'bin'));
      writeFileSync(join(home, 'bin', 'xdg-open'), `#!/bin/sh\nprintf '%s\\n' "$#" "$1" > '${said}'\n`);
      chmodSync(join(home, 'bin', 'xdg-open'), 0o755);
      const command = [...CLI_COMMAND, 'web'].map((word) => `'${word}'`).join(' ');
      const child = spawn('script', ['--quiet', '--return', '--echo', 'never', '--command', command, '/dev/null'], {
        cwd: home,
        env: cliEnv(home, { TERM: 'xterm', DISPLAY: ':99', PATH: `${join(home, 'bin')}:${process.env.PATH}` }),
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let screen = '';
      child.stdout.on('data', (part) => {
        screen += part;
      });
      expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
      const [count, file = ''] = readFileSync(said, 'utf8').split('\n');
      expect(count).toBe('1');
      expect(file).toMatch(/^file:\/\/\/.*\/daemon\/web-open\.html$/);
      const path = fileURLToPath(file);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      const address = /url=([^"]+)"/.exec(readFileSync(path, 'utf8'))?.[1] ?? '';
      expect(screen).not.toContain('ticket=');
      expect(screen).toContain('opens in your browser');
      expect((await redeem(w.url, ticketOf(address))).status).toBe(201);
    },
  );
});

test('a browser is opened only where there is something to show it on, and by no shell', () => {
  expect(openerOf('linux', {})).toBeNull();
  expect(openerOf('linux', { DISPLAY: ':0' })).toEqual(['xdg-open', []]);
  expect(openerOf('freebsd', { WAYLAND_DISPLAY: 'wayland-0' })).toEqual(['xdg-open', []]);
  expect(openerOf('darwin', {})).toEqual(['open', []]);
  expect(openerOf('win32', {})?.[0]).toBe('rundll32');
});

describe('a real daemon', { timeout: 120_000 }, () => {
  test('[WB3, WB4] a key outlives the daemon that gave it; its file is private, and neither file nor log has it', async () => {
    w = undefined as never;
    const stateOf = () => JSON.parse(readFileSync(join(home, 'daemon', 'state.json'), 'utf8'));
    const env = { env: { OPTA_ENGINE: 'demo' } };
    const started = await cli(home, ['daemon', 'start', '--engine', 'demo', '--port', '0'], env);
    expect(started.code, started.stderr).toBe(0);
    try {
      const place = (): string => `http://127.0.0.1:${stateOf().port}`;
      const ticketing = await fetch(`${place()}/v3/web/tickets`, {
        method: 'POST',
        headers: { authorization: `Bearer ${stateOf().token}` },
      });
      const { ticket } = (await ticketing.json()) as { ticket: string };
      const { key } = (await (await redeem(place(), ticket)).json()) as { key: string };
      const before = stateOf();
      const again = await cli(home, ['daemon', 'restart'], env);
      expect(again.code, again.stderr).toBe(0);
      expect(stateOf().token).not.toBe(before.token);
      const as = { headers: { authorization: `Bearer ${key}` } };
      expect((await fetch(`${place()}/v3/overview`, as)).status).toBe(200);
      const file = join(home, 'daemon', 'web-keys.json');
      expect(statSync(file).mode & 0o777).toBe(0o600);
      const kept = readFileSync(file, 'utf8') + readFileSync(join(home, 'daemon', 'daemon.log'), 'utf8');
      for (const secret of [ticket, key, before.token]) expect(kept).not.toContain(secret);
      expect((await cli(home, ['web', '--revoke'], env)).stdout).toBe('Signed out: one page.\n');
      expect((await fetch(`${place()}/v3/health`, as)).status).toBe(401);
    } finally {
      await cli(home, ['daemon', 'stop'], env);
    }
  });
});
