import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLI_COMMAND, cli, cliEnv, removeDir, tempDir, until } from '../support/cli.ts';
import { here } from '../support/cli-here.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';

let home: string;
beforeEach(() => {
  home = tempDir();
});
afterEach(() => removeDir(home));

const file = (): string => join(home, 'config.json');
const stored = (): object => JSON.parse(readFileSync(file(), 'utf8'));

/** util-linux `script` lends a terminal; its BSD namesake has other arguments. */
const hasTerminal = spawnSync('script', ['--version']).status === 0;

/** The CLI at a terminal, and a person who answers each question as it comes. */
const atTerminal = async (args: string[], talk: [question: string, answer: string][]) => {
  const command = [...CLI_COMMAND, ...args].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['--quiet', '--return', '--echo', 'never', '--command', command, '/dev/null'], {
    cwd: home,
    env: cliEnv(home, { TERM: 'xterm', NO_COLOR: '1', OPTA_HOST: '' }),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let seen = '';
  child.stdout.on('data', (part) => {
    seen += part;
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  let from = 0;
  for (const [asked, answer] of talk) {
    await until(() => seen.indexOf(asked, from) >= 0, `"${asked}" in: ${seen.slice(from)}`, 30_000);
    from = seen.length;
    child.stdin.write(`${answer}\r`);
  }
  return { code: await ended, seen };
};

const KEY = '(number, name or part of one';
const VALUE = 'New value';

describe.runIf(hasTerminal)('at a terminal', () => {
  test('[CF8] the menu changes what is chosen by name, by part and by number, and nothing by an empty line', async () => {
    const daemon = await new FakeDaemon().start();
    daemon.writeState(home);
    const { code, seen } = await atTerminal(
      ['settings'],
      [
        [KEY, 'model.default'],
        [VALUE, 'menu-model'],
        [KEY, 'port'],
        [KEY, '1'],
        [VALUE, 'wrong'],
        [KEY, 'connection.apiKey'],
        [VALUE, 'TOPSECRET'],
        [KEY, 'engine'],
        [VALUE, ''],
        [KEY, ''],
      ],
    );
    await daemon.stop();
    expect(code).toBe(0);
    expect(stored()).toEqual({ model: { default: 'menu-model' }, connection: { apiKey: 'TOPSECRET' } });
    expect(seen).toContain('model.default: (not set) → menu-model');
    expect(seen).toContain('connection.apiKey: (not set) → (hidden)');
    expect(seen).toMatch(/expected whole number from 1 to 65535.*Nothing was changed/);
    expect(seen).toContain('opta daemon restart');
  });

  test('[CF8] the first steps write after a yes, all at once, and nothing after anything else', async () => {
    writeFileSync(file(), '{"connection":{"apiKey":"k"}}');
    const before = readFileSync(file(), 'utf8');
    const no = await atTerminal(
      ['setup'],
      [
        ['Inference host:', 'box.test:81'],
        ['[y/N]', 'sure'],
      ],
    );
    expect(no.code).toBe(0);
    expect(no.seen).toContain('Nothing was changed');
    expect(readFileSync(file(), 'utf8')).toBe(before);
    const yes = await atTerminal(
      ['onboard'],
      [
        ['Inference host:', 'no such host!'],
        ['Inference host:', 'box.test:81'],
        ['[y/N]', 'y'],
      ],
    );
    expect(yes.code).toBe(0);
    expect(yes.seen).toContain('Invalid device "no such host!"');
    expect(yes.seen).toContain('Next: opta do');
    expect(stored()).toEqual({ connection: { apiKey: 'k', host: 'box.test', port: 81 } });
  });
});

describe('without a terminal', () => {
  let server: Server;
  let port: number;
  beforeEach(async () => {
    server = createServer((_, res) => res.end('{"data":[{"id":"m1"},{"id":"m2"}]}'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterEach(() => server.close());

  test('[CF8] the menu is the list', async () => {
    const list = await cli(home, ['config', 'list']);
    for (const args of [['settings'], ['config', 'menu'], ['config', 'interactive']])
      expect(await here(home, args)).toEqual({ ...list, code: 0 });
    const json = await here(home, ['settings', '--json']);
    expect(JSON.parse(json.stdout)).toEqual(JSON.parse((await here(home, ['config', 'list', '--json'])).stdout));
  });

  test('[CF8] the first steps say what was found, what was not, and what to type; nothing is asked and nothing changed', async () => {
    const dead = port === 1 ? 2 : 1;
    const localServers = [
      { name: 'Alive', port },
      { name: 'Dead', port: dead },
    ];
    const onboard = (env: { [name: string]: string | undefined }, ...args: string[]) =>
      here(home, ['onboard', ...args], env, { localServers });
    const said = await onboard({ OPTA_HOST: undefined }, '--json');
    expect(JSON.parse(said.stdout)).toEqual({
      interactive: false,
      configured: { host: expect.any(String), port: 1234, model: '', source: 'default', answers: null },
      daemon: 'not running',
      found: [{ name: 'Alive', port, models: ['m1', 'm2'] }],
      missing: [{ name: 'Dead', port: dead }],
      mayHost: true,
      applied: {},
      next: `opta config set connection.host 127.0.0.1 && opta config set connection.port ${port} && opta do "Say hello"`,
    });
    const text = await onboard({ OPTA_HOST: undefined });
    expect(text).toMatchObject({ code: 0, stderr: '' });
    expect(text.stdout).toMatch(/Alive at 127\.0\.0\.1:\d+: m1, m2\n.*Dead \(127\.0\.0\.1:\d\)\nNext: opta config set/);
    const own = JSON.parse((await onboard({ OPTA_PORT: String(port) }, '--json')).stdout);
    expect(own).toMatchObject({ configured: { answers: true, source: 'env' }, found: [], next: 'opta do "Say hello"' });
    const elsewhere = JSON.parse((await onboard({ OPTA_HOST: 'box.test' }, '--json')).stdout);
    expect(elsewhere).toMatchObject({ configured: { answers: null }, next: 'opta doctor' });
    expect(existsSync(file())).toBe(false);
  });

  test('[HP1][CF8] on a client-only host no server is looked for', async () => {
    const env = { OPTA_HOST: 'box.test', OPTA_HOST_NAME: 'Opta48' };
    const said = await here(home, ['setup', '--json'], env, { localServers: [{ name: 'Alive', port }] });
    expect(JSON.parse(said.stdout)).toMatchObject({ mayHost: false, found: [], missing: [], next: 'opta doctor' });
  });
});
