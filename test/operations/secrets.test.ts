import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { optaPaths } from '../../src/config/paths.ts';
import { keychainDelete, keychainSet, keychainStatus } from '../../src/operations/keychain.ts';
import { copyText } from '../../src/operations/secrets/clipboard.ts';
import { keychainKeyAtStart } from '../../src/operations/secrets/inference-key.ts';
import { type Keyring, type KeyringAnswer, systemKeyring } from '../../src/operations/secrets/keyring.ts';
import { keyFrom, masked, providerOf } from '../../src/operations/secrets/providers.ts';
import { Secrets } from '../../src/operations/secrets/secrets.ts';
import { CLI_COMMAND, cliEnv, endOf, removeDir, tempDir } from '../support/cli.ts';

let home: string;
beforeEach(() => {
  home = tempDir();
});
afterEach(() => removeDir(home));

/** An installation in a home folder, as opposed to one under OPTA_HOME. */
const worldOf = (more: { [name: string]: string } = {}) => {
  const env: { [name: string]: string } = { HOME: home, PATH: process.env.PATH ?? '', ...more };
  return { env, paths: optaPaths(env) };
};
const fileOf = (): string => join(home, '.config', 'opta', 'secrets.json');
const inFile = (): object => JSON.parse(readFileSync(fileOf(), 'utf8')).secrets;

/** A keyring in memory; `broken` makes it fail as one that is locked or gone does. */
class FakeKeyring implements Keyring {
  name = 'fake keyring';
  absent: string | null = null;
  broken: string | null = null;
  asked = 0;
  readonly entries = new Map<string, string>();
  ask: Keyring['ask'] = async ({ service, requests }) => {
    this.asked += 1;
    if (this.broken !== null) throw new Error(this.broken);
    return requests.map((request): KeyringAnswer => {
      const at = `${service} ${request.account}`;
      if (request.op === 'set') this.entries.set(at, request.secret);
      if (request.op === 'delete') return this.entries.delete(at);
      if (request.op === 'get') return this.entries.get(at) ?? null;
      return this.entries.has(at);
    });
  };
}

describe('where keys are kept', () => {
  test('[KY1] in the keyring when it answers, under the names that the older CLI used', async () => {
    const keyring = new FakeKeyring();
    const secrets = new Secrets(worldOf(), keyring);
    expect(await secrets.set('openai', ' sk-one \n')).toEqual({
      backend: 'os',
      store: 'fake keyring',
      why: 'the keyring of the system answers',
    });
    expect([...keyring.entries]).toEqual([['opta-cli openai-api-key', 'sk-one']]);
    expect(await secrets.get('openai')).toEqual({ key: 'sk-one', from: 'os' });
    expect(existsSync(fileOf())).toBe(false);
    expect((await secrets.status()).stored).toEqual(new Map([['openai', 'os']]));
  });

  test('[KY1] in a file of mode 600 when it does not, and back in the keyring when it does again', async () => {
    const keyring = new FakeKeyring();
    keyring.broken = 'is locked';
    const secrets = new Secrets(worldOf(), keyring);
    expect(await secrets.set('lmx', 'first')).toEqual({
      backend: 'file',
      store: fileOf(),
      why: 'fake keyring cannot be used: is locked',
    });
    if (process.platform !== 'win32') {
      expect(statSync(fileOf()).mode & 0o777).toBe(0o600);
      chmodSync(fileOf(), 0o644);
    }
    expect(await secrets.get('lmx')).toEqual({ key: 'first', from: 'file' });
    if (process.platform !== 'win32') expect(statSync(fileOf()).mode & 0o777).toBe(0o600);
    keyring.broken = null;
    keyring.entries.set('opta-cli lmx-api-key', 'older than the file');
    expect(await secrets.get('lmx')).toEqual({ key: 'first', from: 'file' });
    expect((await secrets.set('lmx', 'second')).backend).toBe('os');
    expect(inFile()).toEqual({});
    expect(await secrets.get('lmx')).toEqual({ key: 'second', from: 'os' });
  });

  test('[KY1] OPTA_KEYRING forces one; OPTA_HOME keeps its own; a keyring that is forced and fails is an error', async () => {
    const keyring = new FakeKeyring();
    expect(await new Secrets(worldOf({ OPTA_KEYRING: 'file' }), keyring).set('exa', 'k')).toMatchObject({
      backend: 'file',
      why: 'OPTA_KEYRING=file',
    });
    expect((await new Secrets(worldOf({ OPTA_HOME: home }), keyring).set('exa', 'k')).why).toMatch(/^OPTA_HOME is set/);
    expect(keyring.asked).toBe(0);
    await new Secrets(worldOf({ OPTA_HOME: home, OPTA_KEYRING: 'os' }), keyring).set('exa', 'own');
    expect([...keyring.entries]).toEqual([[`opta-cli ${home} exa-api-key`, 'own']]);
    keyring.broken = 'no such thing';
    const forced = new Secrets(worldOf({ OPTA_KEYRING: 'os' }), keyring);
    const failure = { code: 'keyring-unavailable', message: 'fake keyring cannot be used: no such thing' };
    await expect(forced.set('exa', 'k')).rejects.toMatchObject(failure);
    await expect(forced.get('exa')).rejects.toMatchObject(failure);
    const off = new Secrets(worldOf({ OPTA_KEYRING: 'off' }), keyring);
    expect(await off.get('exa')).toBe(null);
    expect(await off.status()).toMatchObject({ backend: 'off', stored: new Map() });
    await expect(off.set('exa', 'k')).rejects.toMatchObject({ code: 'keyring-unavailable' });
    expect(() => new Secrets(worldOf({ OPTA_KEYRING: 'maybe' }))).toThrow('OPTA_KEYRING must be one of');
  });

  test('[KY1] a delete takes it from everywhere, and says when the keyring could not be asked', async () => {
    const keyring = new FakeKeyring();
    const secrets = new Secrets(worldOf(), keyring);
    await secrets.set('groq', 'k');
    expect(await secrets.delete('groq')).toEqual({ deleted: true, unasked: null });
    expect(await secrets.delete('groq')).toEqual({ deleted: false, unasked: null });
    keyring.broken = 'gone';
    expect(await secrets.delete('groq')).toEqual({ deleted: false, unasked: 'gone' });
  });

  test('[KY1] many that store keys at once lose none, in one process and in several', async () => {
    const world = worldOf({ OPTA_KEYRING: 'file' });
    const names = ['anthropic', 'lmx', 'gemini', 'openai', 'github', 'vercel', 'brave', 'exa'] as const;
    await Promise.all(names.map((name) => new Secrets(world).set(name, `key-of-${name}`)));
    const more = ['tavily', 'twitter', 'codex'];
    const [command, ...head] = CLI_COMMAND;
    const ends = more.map((name) => {
      const child = spawn(command as string, [...head, 'keychain', `set-${name}`, '-'], {
        cwd: home,
        env: { ...cliEnv(home, world.env), OPTA_HOME: undefined },
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      child.stdin.end(`key-of-${name}`);
      return endOf(child, 60_000);
    });
    for (const { code, stderr } of await Promise.all(ends)) expect(code, stderr).toBe(0);
    const all = [...names, ...more].map((name) => [`${name}-api-key`, `key-of-${name}`]);
    expect(inFile()).toEqual(Object.fromEntries(all));
  });

  test('[KY1, KY2] a damaged file is told without a word of it, and stays as it is', async () => {
    const world = worldOf({ OPTA_KEYRING: 'file' });
    mkdirSync(join(home, '.config', 'opta'), { recursive: true });
    for (const text of [
      '{"version":1,"secrets":{"lmx-api-key":"sk-PRECIOUS"',
      '{"version":2,"keys":["sk-PRECIOUS"]}',
    ]) {
      writeFileSync(fileOf(), text);
      for (const attempt of [
        () => new Secrets(world).get('lmx'),
        () => new Secrets(world).set('lmx', 'new'),
        () => new Secrets(world).delete('lmx'),
      ]) {
        const error = await attempt().catch((cause: unknown) => cause as Error & { facts?: object });
        expect(error).toMatchObject({ code: 'invalid-request', message: expect.stringContaining('is damaged') });
        expect(JSON.stringify(error) + (error as Error).message).not.toContain('PRECIOUS');
      }
      expect(readFileSync(fileOf(), 'utf8')).toBe(text);
    }
  });
});

test('[KY2] the answers of the operations hold no key', async () => {
  const world = worldOf({ OPTA_KEYRING: 'file' });
  const said = [
    await keychainSet(world, 'opencode-zen', 'sk-PRECIOUS'),
    await keychainStatus(world),
    await keychainDelete(world, 'opencode-zen'),
  ];
  expect(said[0]).toMatchObject({ stored: true, status: { available: true, opencodeZen: true, lmx: false } });
  expect(said[2]).toMatchObject({ deleted: true, status: { opencodeZen: false } });
  expect(JSON.stringify(said)).not.toContain('PRECIOUS');
});

test('[KY2] what is no key is refused and not quoted; a key is covered so that it cannot be guessed', () => {
  for (const text of ['', ' \n', 'two words', 'line\nend', 'k\u0000', 'schlüssel', 'k'.repeat(9_000)])
    expect(() => keyFrom(text)).toThrow(/^The key (is|holds)/);
  expect(keyFrom('\tsk-1\r\n')).toBe('sk-1');
  expect(masked('sk-0123456789abcdefghijklmnopqrstuv')).toBe('sk-0********stuv');
  for (const key of ['k', '1234567', '12345678', '0123456789abcdef']) {
    expect(masked(key).replaceAll('*', '').length).toBeLessThanOrEqual(key.length / 4);
  }
  expect(providerOf('opencodeZen')).toBe('opencode-zen');
  expect(providerOf('OPENCODE_ZEN')).toBe('opencode-zen');
  expect(() => providerOf('nobody')).toThrow('Unknown provider "nobody". Providers: anthropic, lmx,');
});

describe.runIf(process.platform === 'linux')('the keyring of the system, on Linux', () => {
  let bus: Server | undefined;
  afterEach(() => bus?.close());

  test('without a session bus nobody is asked', () => {
    expect(systemKeyring({}).absent).toMatch(/^there is no session bus/);
    expect(systemKeyring({ XDG_RUNTIME_DIR: home }).absent).toMatch(/^there is no session bus/);
    writeFileSync(join(home, 'bus'), '');
    expect(systemKeyring({ XDG_RUNTIME_DIR: home }).absent).toBe(null);
    expect(systemKeyring({}, 'freebsd').absent).toBe('no keyring is known for freebsd');
  });

  test('[KY1, KY3] a bus that takes calls and never answers costs a bounded time, and the key goes to the file', async () => {
    const path = join(home, 'hung');
    let calls = 0;
    bus = createServer((socket) => {
      calls += 1;
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => bus?.listen(path, resolve));
    const env = { DBUS_SESSION_BUS_ADDRESS: `unix:path=${path}` };
    const keyring = systemKeyring({ ...process.env, ...env });
    const begun = Date.now();
    await expect(
      keyring.ask({ service: 's', requests: [{ op: 'get', account: 'a' }] }, { aliveMs: 8_000, totalMs: 8_000 }),
    ).rejects.toMatchObject({ code: 'keyring-unavailable', message: 'it did not answer within 8000 ms' });
    expect(Date.now() - begun).toBeLessThan(12_000);
    expect(calls).toBeGreaterThan(0);
    const warned: string[] = [];
    const world = { ...worldOf(env), warn: (why: string) => warned.push(why) };
    const start = Date.now();
    expect(await keychainKeyAtStart(world)).toBe(undefined);
    expect(Date.now() - start).toBeLessThan(5_000);
    expect(warned).toEqual(['Secret Service cannot be used: it did not answer within 1500 ms']);
    expect(await new Secrets(worldOf(env)).set('lmx', 'k')).toMatchObject({ backend: 'file', store: fileOf() });
    expect(await keychainKeyAtStart(world)).toBe('k');
  }, 60_000);

  const real = ['dbus-run-session', 'gnome-keyring-daemon'].every((name) => spawnSync('which', [name]).status === 0);

  // Needs a Secret Service; skipped where none is installed.
  test.runIf(real)(
    '[KY1] a real Secret Service keeps a key, gives it back and forgets it',
    async () => {
      const words = CLI_COMMAND.map((word) => `'${word}'`).join(' ');
      const script = [
        'printf pw | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1 &',
        `for i in 1 2 3 4 5 6 7 8 9 10; do ${words} keychain status --json | grep -q '"backend": "os"' && break; sleep 0.5; done`,
        `printf key-in-the-service | ${words} keychain set-lmx - --json`,
        `${words} key show --reveal`,
        `${words} keychain delete-lmx`,
        `${words} key show`,
        'kill %1',
      ].join('\n');
      const child = spawn('dbus-run-session', ['--', 'sh', '-c', script], {
        cwd: home,
        env: {
          ...cliEnv(home),
          OPTA_HOME: undefined,
          HOME: home,
          XDG_CONFIG_HOME: undefined,
          XDG_DATA_HOME: undefined,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const { stdout, stderr } = await endOf(child, 90_000);
      expect(stdout, stderr).toContain('"store": "Secret Service"');
      expect(stdout).toMatch(/\nkey-in-the-service\nDeleted the lmx key\nNo inference key is set\n$/);
      expect(existsSync(fileOf())).toBe(false);
    },
    120_000,
  );
});

describe.runIf(process.platform === 'linux')('the clipboard', () => {
  const tool = (name: string, script: string): { [name: string]: string } => {
    writeFileSync(join(home, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return { PATH: `${home}:/usr/bin:/bin`, HOME: home };
  };

  test('is given the text on stdin; no session, no program and a program that fails are told apart', async () => {
    expect(await copyText('k', { PATH: home })).toEqual({
      ok: false,
      message: 'There is no clipboard: no desktop session was found',
    });
    expect(await copyText('k', { PATH: home, DISPLAY: ':0' })).toEqual({
      ok: false,
      message: 'There is no clipboard program: looked for xclip, xsel',
    });
    const env = tool('wl-copy', 'cat > "$HOME/taken"');
    expect(await copyText('sk-1', { ...env, WAYLAND_DISPLAY: 'w' })).toEqual({
      ok: true,
      message: 'Copied with wl-copy',
    });
    expect(readFileSync(join(home, 'taken'), 'utf8')).toBe('sk-1');
    tool('wl-copy', 'exit 3');
    expect(await copyText('k', { ...env, WAYLAND_DISPLAY: 'w' })).toEqual({
      ok: false,
      message: 'wl-copy failed (exit code 3)',
    });
  });

  test('a program that hangs is ended', async () => {
    const env = tool('wl-copy', 'exec sleep 600');
    const begun = Date.now();
    expect((await copyText('k', { ...env, WAYLAND_DISPLAY: 'w' })).message).toContain('did not take the text');
    expect(Date.now() - begun).toBeLessThan(10_000);
  });
});
