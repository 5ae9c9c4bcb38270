import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cli, removeDir, tempDir } from '../support/cli.ts';
import { startFakeLmx } from '../support/fake-lmx.ts';
import { startDaemon } from './daemon.ts';
import { runDo } from './do.ts';

const KEY = 'sk-0123456789abcdefghijklmnopqrstuvwxyz';

let home: string;
beforeEach(() => {
  home = tempDir();
});
afterEach(() => removeDir(home));

const run = (args: string[], more: { env?: NodeJS.ProcessEnv; stdin?: string } = {}) => cli(home, args, more);
/** Exactly one JSON value stands on stdout. */
const json = async (args: string[], more: { env?: NodeJS.ProcessEnv; stdin?: string } = {}) => {
  const { code, stdout, stderr } = await run([...args, '--json'], more);
  return { code, body: JSON.parse(stdout), stdout, stderr };
};

// Each step is a process, and machines are slow at times.
const SLOW = { timeout: 120_000 };

describe('opta keychain', SLOW, () => {
  test('[KY1, KY2] stores from stdin, says where and why, and is read back by nobody but its reader', async () => {
    const set = await json(['keychain', 'set-anthropic', '-'], { stdin: `${KEY}\n` });
    expect(set).toMatchObject({ code: 0, stderr: '' });
    expect(set.body).toMatchObject({
      provider: 'anthropic',
      stored: true,
      backend: 'file',
      store: join(home, 'secrets.json'),
      why: expect.stringMatching(/^OPTA_HOME is set/),
      status: { available: true, anthropic: true, lmx: false, gemini: false, openai: false, opencodeZen: false },
    });
    if (process.platform !== 'win32') expect(statSync(join(home, 'secrets.json')).mode & 0o777).toBe(0o600);
    const status = await run(['keychain']);
    expect(status.stdout).toMatch(/^Keys are kept in .*secrets\.json, .*\nanthropic +stored\nlmx +–\n/);
    const typed = await run(['keychain', 'set-github', KEY]);
    expect(typed.stderr).toContain('others on this machine can see the arguments');
    const deleted = await json(['keychain', 'delete-anthropic']);
    expect(deleted.body).toMatchObject({ deleted: true, status: { anthropic: false, github: true } });
    expect((await json(['keychain', 'delete-anthropic'])).body).toMatchObject({ deleted: false });
    expect([set, status, typed, deleted].map((r) => r.stdout + r.stderr).join('')).not.toContain(KEY);
  });

  test('[AU1, AU2] what is wrong is one line of JSON: misuse 2, a missing word 1, no keyring 1', async () => {
    for (const [args, code, error] of [
      [['keychain', 'set-nobody', 'k'], 2, 'Unknown provider "nobody"'],
      [['keychain', 'set-lmx'], 1, "missing required argument 'key'"],
      [['keychain', 'set-lmx', 'two words'], 2, 'The key holds blanks'],
    ] as const) {
      const end = await json([...args]);
      expect(end.code).toBe(code);
      expect(end.body).toMatchObject({ exit_code: code, error: expect.stringContaining(error) });
    }
    const off = await json(['keychain', 'set-lmx', '-'], { stdin: KEY, env: { OPTA_KEYRING: 'off' } });
    expect(off).toMatchObject({ code: 1, body: { code: 'keyring-unavailable', exit_code: 1 } });
    expect((await json(['keychain', 'status'], { env: { OPTA_KEYRING: 'off' } })).body.available).toBe(false);
  });
});

describe('opta key', SLOW, () => {
  test('[KY3] the environment wins over the file, that over the keychain; each says where it is from', async () => {
    expect(await json(['key', 'show'])).toMatchObject({
      code: 0,
      body: { key: '', source: 'unset', configured: false },
    });
    await run(['keychain', 'set-lmx', '-'], { stdin: KEY });
    const masked = { key: 'sk-0********wxyz', configured: true };
    expect((await json(['key', 'show'])).body).toEqual({ ...masked, source: 'keychain' });
    expect(await run(['key', 'show', '--reveal'])).toMatchObject({ code: 0, stdout: `${KEY}\n`, stderr: '' });
    writeFileSync(join(home, 'config.json'), '{"connection":{"apiKey":"key-of-the-file-000000000000000000"}}');
    expect((await json(['key', 'show', '--reveal'])).body).toEqual({
      key: 'key-of-the-file-000000000000000000',
      source: 'config',
      configured: true,
    });
    const env = { OPTA_API_KEY: 'key-of-the-environment-00000000000' };
    // The keychain is not even looked at: this one could not be read.
    writeFileSync(join(home, 'secrets.json'), 'damaged');
    expect((await json(['key', 'show'], { env })).body).toMatchObject({ source: 'env', key: 'key-********0000' });
    expect((await json(['key', 'show'])).body.source).toBe('config');
    writeFileSync(join(home, 'config.json'), '{}');
    expect(await json(['key', 'show'])).toMatchObject({ code: 2, body: { code: 'invalid-request' } });
  });

  test('[KY2] create keeps a new key and covers it; one in the file is replaced there; remote is said to be absent', async () => {
    const made = await json(['key', 'create', '--no-copy']);
    expect(made.body).toMatchObject({
      ok: true,
      key: expect.stringMatching(/^opta\*{8}.{4}$/),
      store: join(home, 'secrets.json'),
      remote: { ok: false, message: expect.stringContaining('does not set keys on the inference host') },
      copy: { ok: false, message: 'not asked for' },
    });
    const { key } = (await json(['key', 'show', '--reveal'])).body;
    expect(key).toMatch(/^opta_[\w-]{43}$/);
    expect(made.stdout).not.toContain(key);
    writeFileSync(join(home, 'config.json'), '{"connection":{"apiKey":"old"},"model":{"default":"m"}}');
    const given = await json(['key', 'create', '--value', KEY, '--no-copy', '--no-remote'], {
      env: { OPTA_API_KEY: 'x' },
    });
    expect(given.body).toMatchObject({ overriddenBy: 'OPTA_API_KEY', store: join(home, 'config.json') });
    expect(JSON.parse(readFileSync(join(home, 'config.json'), 'utf8'))).toEqual({
      connection: { apiKey: KEY },
      model: { default: 'm' },
    });
  });

  test('[AU2] copy without a key is 127; without a clipboard 1; with one the key is on its stdin', async () => {
    const desktop = { DISPLAY: '', WAYLAND_DISPLAY: '', WSL_DISTRO_NAME: '' };
    expect(await json(['key', 'copy'], { env: desktop })).toMatchObject({
      code: 127,
      body: { ok: false, code: 'not-found', exit_code: 127, message: expect.stringContaining('No inference key') },
    });
    if (process.platform !== 'linux') return;
    await run(['keychain', 'set-lmx', '-'], { stdin: KEY });
    expect(await json(['key', 'copy'], { env: desktop })).toMatchObject({
      code: 1,
      body: { ok: false, exit_code: 1, message: expect.stringContaining('There is no clipboard') },
    });
    writeFileSync(join(home, 'wl-copy'), `#!/bin/sh\ncat > '${home}/taken'\n`, { mode: 0o755 });
    const env = { ...desktop, WAYLAND_DISPLAY: 'w', PATH: `${home}:${process.env.PATH}` };
    expect(await json(['key', 'copy'], { env })).toMatchObject({ code: 0, body: { ok: true } });
    expect(readFileSync(join(home, 'taken'), 'utf8')).toBe(KEY);
    const shown = await json(['key', 'show', '--copy'], { env });
    expect(shown.body).toMatchObject({ source: 'keychain', copy: { ok: true, message: 'Copied with wl-copy' } });
  });
});

describe('the daemon', SLOW, () => {
  test('[KY3, KY2] uses the key of the keychain when nothing else names one, and its operations never tell it', async () => {
    const lmx = await startFakeLmx({ apiKey: KEY });
    const daemon = await startDaemon(lmx.port);
    try {
      const refused = await cli(daemon.home, ['do', '--format', 'json', 'hello']);
      expect(JSON.parse(refused.stdout)).toMatchObject({ code: 'lmx-unauthorized' });
      const set = await daemon.post('/v3/operations/keychain.set-lmx', { input: { apiKey: KEY } });
      expect(set).toMatchObject({ status: 200, body: { ok: true, safety: 'write', result: { stored: true } } });
      const shown = await daemon.post('/v3/operations/key.show', { input: { reveal: true } });
      expect(shown.body).toMatchObject({ result: { source: 'keychain', key: 'sk-0********wxyz' } });
      const status = await daemon.post('/v3/operations/keychain.status', {});
      expect(status.body).toMatchObject({ safety: 'read', result: { lmx: true, anthropic: false } });
      expect([set, shown, status].map((answer) => answer.text).join('')).not.toContain(KEY);

      const restarted = await cli(daemon.home, ['daemon', 'restart', '--json'], {
        env: { OPTA_PORT: String(lmx.port), OPTA_ENGINE: 'lmx', OPTA_DAEMON_PORT: '0' },
      });
      expect(restarted.code, restarted.stderr).toBe(0);
      const { code, body } = await runDo(daemon, 'hello');
      expect({ code, status: body.status }).toEqual({ code: 0, status: 'completed' });
      expect(readFileSync(join(daemon.home, 'daemon', 'daemon.log'), 'utf8')).not.toContain(KEY);
      await cli(daemon.home, ['daemon', 'stop']);
    } finally {
      await daemon.stop();
      await lmx.close();
    }
  });

  test('[KY1] lists the operations of the older daemon with their classes', async () => {
    const daemon = await startDaemon(1);
    try {
      const { operations } = (await daemon.get('/v3/operations')).body as {
        operations: { id: string; safety: string }[];
      };
      const classes = Object.fromEntries(operations.map(({ id, safety }) => [id, safety]));
      for (const name of ['anthropic', 'lmx', 'gemini', 'openai', 'opencode-zen'])
        expect(classes).toMatchObject({ [`keychain.set-${name}`]: 'write', [`keychain.delete-${name}`]: 'write' });
      expect(classes).toMatchObject({
        'keychain.status': 'read',
        'key.create': 'write',
        'key.show': 'read',
        'key.copy': 'write',
        'mcp.list': 'read',
        'mcp.add': 'write',
        'mcp.add-playwright': 'write',
        'mcp.remove': 'write',
        'mcp.test': 'dangerous',
      });
    } finally {
      await daemon.stop();
    }
  });
});
