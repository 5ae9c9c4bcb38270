import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { deleteKey, editFile, resetFile, setKey } from '../../src/config/edit.ts';
import { withFileLock } from '../../src/config/file-lock.ts';
import { loadConfig } from '../../src/config/load.ts';
import { optaPaths } from '../../src/config/paths.ts';
import { cli } from '../support/cli.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'opta-edit-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const env = (more = {}): { [name: string]: string } => ({ OPTA_HOME: home, ...more });
const paths = () => optaPaths(env());
const file = (): string => join(home, 'config.json');
const text = (): string => readFileSync(file(), 'utf8');
const set = (key: string, value: string, more = {}) => setKey(paths(), env(more), key, value);

describe('setting a key', () => {
  test.each([
    ['connection.port', '8080', 8080],
    ['connection.trusted', 'true', true],
    ['connection.apiKey', '12345', '12345'],
    ['model.default', 'true', 'true'],
    ['model.default', '', ''],
    ['hostPolicy.hosts', '{"Rack1":{"role":"inference"}}', { Rack1: { role: 'inference' } }],
    ['daemon.allowedOrigins', 'https://a.test, http://b.test:81', ['https://a.test', 'http://b.test:81']],
    ['daemon.allowedOrigins', '[]', []],
    ['permissions.rules', '[{"tool":"*","action":"deny"}]', [{ tool: '*', action: 'deny' }]],
    ['permissions.write_file', 'deny', 'deny'],
    ['connection.fallbackHosts', 'a.test, b.test', ['a.test', 'b.test']],
    ['connection.fallbackHosts', '["a.test"]', ['a.test']],
    ['connection.fallbackHosts', '', []],
    ['connection.adminKeysByHost', 'a.test=k==, b:99=k2', { 'a.test': 'k==', 'b:99': 'k2' }],
    ['connection.adminKeysByHost', '{"a.test":"k"}', { 'a.test': 'k' }],
    ['connection.adminKeysByHost.some.host.test', 'k', 'k'],
    ['safety.compactAt', '0.25', 0.25],
    ['git.autoCommit', 'false', false],
    ['daemon.permissionTimeoutMs', '9000', 9000],
    ['mcp.servers.fs', '{"command":"x","args":["a"]}', { command: 'x', args: ['a'] }],
    [
      'mcp.servers.web',
      '{"transport":"http","url":"http://127.0.0.1:1/mcp"}',
      expect.objectContaining({ transport: 'http' }),
    ],
    ['research.providers.exa.timeoutMs', '5000', 5000],
  ])('[CF4] %s %s is read as the type of the key', async (key, value, expected) => {
    expect(await set(key, value)).toEqual({ before: undefined, after: expected });
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    loadConfig({ env: env() });
  });

  test.each([
    ['connection.port', '70000', 'invalid-request', /connection\.port: expected whole number from 1 to 65535/],
    ['connection.trusted', 'perhaps', 'invalid-request', /expected true \| false/],
    ['engine', 'gpu', 'invalid-request', /expected lmx \| demo/],
    ['hostPolicy.hosts', '{"a":{"role":"x"}}', 'invalid-request', /hosts\.a\.role/],
    ['daemon.allowedOrigins', 'https://a.test/path', 'invalid-request', /origin/],
    ['conection.port', '1', 'not-found', /Did you mean "connection\.port"/],
    ['__proto__.x', '1', 'not-found', /Unknown configuration key/],
    ['research.__proto__.x', '1', 'not-found', /Unknown configuration key/],
    ['connection.adminKeysByHost.__proto__', 'k', 'not-found', /Unknown configuration key/],
    ['connection.adminKeysByHost', 'not a map', 'invalid-request', /expected JSON object/],
    ['permissions.write_file', 'maybe', 'invalid-request', /expected allow \| ask \| deny/],
    ['daemon.host', '0.0.0.0', 'invalid-request', /expected text/],
    ['mcp.servers.fs', '{"command":""}', 'invalid-request', /expected JSON object/],
    ['mcp.servers.fs', '{"url":"file:///etc/passwd"}', 'invalid-request', /expected JSON object/],
    ['profiles.environments', '{"x":{"name":"x"}}', 'invalid-request', /environments\.x/],
  ])('[CF4] %s %s is refused, and the file is as it was', async (key, value, code, message) => {
    writeFileSync(file(), '{"model":{"default":"m"}}');
    await expect(set(key, value)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(text()).toBe('{"model":{"default":"m"}}');
    expect(readdirSync(home)).toEqual(['config.json']);
  });

  test('[CF4] the neighbours stay; what is broken or unknown there is refused and not dropped', async () => {
    writeFileSync(file(), '{"connection":{"apiKey":"k","port":1},"model":{"default":"m"}}');
    expect(await set('connection.port', '2')).toEqual({ before: 1, after: 2 });
    expect(JSON.parse(text())).toEqual({ connection: { apiKey: 'k', port: 2 }, model: { default: 'm' } });
    for (const before of ['{"mdoel":{}}', '{"model":', '// mine\n{"model":{"default":"m"}}']) {
      writeFileSync(file(), before);
      await expect(set('connection.port', '3')).rejects.toMatchObject({ code: 'invalid-request' });
      expect(text()).toBe(before);
    }
  });

  test('[CF4] delete takes one key away, reset puts the file aside', async () => {
    await set('connection.port', '2');
    await set('model.default', 'm');
    expect(await deleteKey(paths(), env(), 'connection.port')).toEqual({ before: 2, after: undefined });
    expect(JSON.parse(text())).toEqual({ model: { default: 'm' } });
    expect(await resetFile(paths())).toBe(true);
    expect(existsSync(file())).toBe(false);
    expect(JSON.parse(readFileSync(`${file()}.bak`, 'utf8'))).toEqual({ model: { default: 'm' } });
    expect(await resetFile(paths())).toBe(false);
  });

  test('[HP1] a model file is not named on a client-only host, and no folder is made for it', async () => {
    rmSync(home, { recursive: true });
    await expect(set('model.default', '/m/x.gguf', { OPTA_HOST_NAME: 'Opta48' })).rejects.toMatchObject({
      code: 'host-policy',
    });
    expect(existsSync(home)).toBe(false);
    await set('model.default', '/m/x.gguf', { OPTA_HOST_NAME: 'Mono512' });
  });

  test('[CF4] processes that set different keys at once lose nothing of one another', async () => {
    const keys: [key: string, value: string][] = [
      ['connection.host', '127.0.0.9'],
      ['connection.port', '9'],
      ['model.default', 'm'],
      ['daemon.port', '0'],
      ['permissions.deadlineMs', '900'],
      ['hostPolicy.remoteAdmin', 'true'],
    ];
    const runs = await Promise.all(keys.map(([key, value]) => cli(home, ['config', 'set', key, value])));
    expect(runs.map((run) => run.code)).toEqual(keys.map(() => 0));
    expect(JSON.parse(text())).toEqual({
      connection: { host: '127.0.0.9', port: 9 },
      model: { default: 'm' },
      daemon: { port: 0 },
      permissions: { deadlineMs: 900 },
      hostPolicy: { remoteAdmin: true },
    });
    expect(readdirSync(home)).toEqual(['config.json']);
  });
});

test('[CF4] an empty table says nothing, and is taken away; several keys change in one step or not at all', async () => {
  await set('connection.adminKeysByHost', 'a=k');
  expect(await set('connection.adminKeysByHost', '{}')).toEqual({ before: { a: 'k' }, after: undefined });
  expect(JSON.parse(text())).toEqual({});
  const both = editFile(paths(), env(), (layer) => {
    layer.engine = 'demo';
    layer.nothing = 1;
  });
  await expect(both).rejects.toMatchObject({ code: 'invalid-request' });
  expect(JSON.parse(text())).toEqual({});
});

describe('the lock of a file', () => {
  test('[CF4] that of a process that died is taken away', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await new Promise((resolve) => child.on('exit', resolve));
    writeFileSync(`${file()}.lock`, String(child.pid));
    expect(await withFileLock(file(), () => 'done')).toBe('done');
    expect(readdirSync(home)).toEqual([]);
  });

  test('[CF4] it is given back when the change fails', async () => {
    mkdirSync(join(home, 'a'));
    await expect(withFileLock(file(), () => JSON.parse('{'))).rejects.toThrow();
    expect(await withFileLock(file(), () => 1)).toBe(1);
  });
});
