import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { judge, turnPolicy } from '../../src/actors/domain/permission-policy.ts';
import { hostKey } from '../../src/config/host-keys.ts';
import { loadConfig, resolveConfig } from '../../src/config/load.ts';
import { ensurePrivateDir, optaPaths, writePrivateFile } from '../../src/config/paths.ts';
import { DAEMON_PORT_DEFAULT, INFERENCE_HOST_DEFAULT } from '../../src/config/schema.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'opta-config-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const write = (text: string): void => writeFileSync(join(home, 'config.json'), text);
const load = (env: { [name: string]: string } = {}, flags = {}) =>
  loadConfig({ env: { OPTA_HOME: home, ...env }, flags });

/** What is there whoever says what. */
const PATIENCE = { fallbackHosts: [], inferenceTimeout: 120_000, retry: { maxRetries: 3, backoffMs: 250 } };

describe('precedence', () => {
  test('[CF1] without anything, the defaults stand', () => {
    expect(load()).toEqual({
      connection: { host: INFERENCE_HOST_DEFAULT, port: 1234, ...PATIENCE },
      model: { default: '', embeddingModel: '', rerankerModel: '', contextLimit: 32_768 },
      engine: 'lmx',
      defaultMode: 'safe',
      permissions: { deadlineMs: 120_000, rules: [] },
      sandbox: { mode: 'auto', readable: [], writable: [] },
      safety: { diskHeadroomMb: 64, maxParallelTools: 8, compactAt: 0.7 },
      daemon: {
        host: '127.0.0.1',
        port: DAEMON_PORT_DEFAULT,
        allowedOrigins: [],
        transport: 'auto',
        maxSessions: 10_000,
        workerPoolSize: 4,
      },
      background: {
        maxConcurrent: 5,
        defaultTimeout: 300_000,
        maxBufferSize: 8 << 20,
        onRestart: 'kill',
        adoptWithin: 600_000,
      },
      tui: { default: false },
      git: { autoCommit: false, checkpoints: true },
      hooks: [],
      hostPolicy: {},
      mcp: { servers: {} },
      profiles: { environments: {} },
    });
  });

  test('[CF1] flags win over the environment, that over the file, that over the defaults', () => {
    write('{"connection":{"host":"file.test","port":1},"model":{"default":"file"},"engine":"demo"}');
    const config = load({ OPTA_HOST: 'env.test', OPTA_PORT: '2' }, { connection: { host: 'flag.test' } });
    expect(config.connection).toEqual({ host: 'flag.test', port: 2, ...PATIENCE });
    expect(config.model.default).toBe('file');
    expect(config.engine).toBe('demo');
  });

  test('[CF1] a layer that sets one key leaves its neighbours alone', () => {
    write('{"connection":{"apiKey":"k1","trusted":true},"daemon":{"port":4000}}');
    expect(load({ OPTA_HOST: 'env.test' }).connection).toEqual({
      host: 'env.test',
      port: 1234,
      apiKey: 'k1',
      trusted: true,
      ...PATIENCE,
    });
  });

  test('every variable lands where it belongs, and an empty one counts as unset', () => {
    const config = load({
      OPTA_HOST: '127.0.0.1',
      OPTA_PORT: '5',
      OPTA_API_KEY: 'secret',
      OPTA_ADMIN_KEYS_BY_HOST: 'box.test:99=k1==, other=k2',
      OPTA_DISK_HEADROOM_MB: '128',
      OPTA_DAEMON_HOST: 'localhost',
      OPTA_DAEMON_TOOL_WORKERS: '2',
      OPTA_TRUSTED: 'yes',
      OPTA_LOOPBACK_ONLY: '1',
      OPTA_MODEL: 'm',
      OPTA_ENGINE: '',
      OPTA_PERMISSION_DEADLINE_MS: '500',
      OPTA_DAEMON_PORT: '0',
      OPTA_TRANSPORT: 'ws',
    });
    expect(config.connection).toEqual({
      host: '127.0.0.1',
      port: 5,
      apiKey: 'secret',
      adminKeysByHost: { 'box.test:99': 'k1==', other: 'k2' },
      trusted: true,
      loopbackOnly: true,
      ...PATIENCE,
    });
    expect(config.model.default).toBe('m');
    expect(config.engine).toBe('lmx');
    expect(config.permissions.deadlineMs).toBe(500);
    expect(config.daemon).toMatchObject({ host: 'localhost', port: 0, transport: 'ws', workerPoolSize: 2 });
    expect(config.safety.diskHeadroomMb).toBe(128);
    const admin = { OPTA_LMX_ADMIN_KEY: 'second' };
    expect(load(admin).connection.adminKey).toBe('second');
    expect(load({ ...admin, OPTA_ADMIN_KEY: 'first' }).connection.adminKey).toBe('first');
    expect(load({ OPTA_ADMIN_KEYS_BY_HOST: '{"a":"b"}' }).connection.adminKeysByHost).toEqual({ a: 'b' });
    expect(load({ OPTA_LOOPBACK_ONLY: '0' }).connection.loopbackOnly).toBe(false);
  });
});

describe('the key for the configured host', () => {
  const keyFor = (
    connection: object,
    env: { [name: string]: string } = {},
    kind: 'apiKey' | 'adminKey' = 'adminKey',
  ) => {
    write(JSON.stringify({ connection: { host: 'Box.test', port: 99, ...connection } }));
    return hostKey(resolveConfig({ env: { OPTA_HOME: home, ...env } }), kind);
  };
  const byHost = (table: object) => ({ adminKey: 'all', adminKeysByHost: table });

  test('[CF6] one for this host comes first, with its port before without, whatever the case; another host never gets it', () => {
    expect(keyFor(byHost({ 'box.test': 'mine', 'other.test': 'theirs' }))).toBe('mine');
    expect(keyFor(byHost({ 'box.test': 'mine', 'BOX.test:99': 'exact' }))).toBe('exact');
    expect(keyFor(byHost({ 'other.test': 'theirs' }))).toBe('all');
    expect(keyFor({ adminKeysByHost: { 'other.test': 'theirs' } })).toBeUndefined();
    expect(keyFor({ apiKeysByHost: { 'box.test': 'mine' } }, {}, 'apiKey')).toBe('mine');
  });

  test('[CF1][CF6] what the environment says for all comes before a table in a file, and its own table before both', () => {
    const table = byHost({ 'box.test': 'mine' });
    expect(keyFor(table, { OPTA_ADMIN_KEY: 'env' })).toBe('env');
    expect(keyFor(table, { OPTA_ADMIN_KEY: 'env', OPTA_ADMIN_KEYS_BY_HOST: 'box.test=envhost' })).toBe('envhost');
  });
});

test('[CF6][PM5] permissions by tool stand before the rules, which may say more of a path; a deny stays final', () => {
  write(
    '{"permissions":{"write_file":"ask","run_*":"deny","rules":[{"tool":"write_file","path":"tmp/*","action":"allow"}]}}',
  );
  const { config, sourceOf } = resolveConfig({ env: { OPTA_HOME: home } });
  expect(config.permissions.rules).toEqual([
    { tool: 'write_file', action: 'ask' },
    { tool: 'run_*', action: 'deny' },
    { tool: 'write_file', path: 'tmp/*', action: 'allow' },
  ]);
  expect(sourceOf('permissions.write_file')).toMatchObject({ kind: 'user' });
  const judged = (tool: string, path: string) =>
    judge(turnPolicy('do', { dangerous: true }, config.permissions.rules), tool, { toolClass: 'write', path }).action;
  expect([judged('write_file', 'a'), judged('write_file', 'tmp/a'), judged('run_command', 'a')]).toEqual([
    'ask',
    'allow',
    'deny',
  ]);
});

describe('what is wrong is named', () => {
  const message = (env: { [name: string]: string } = {}, flags = {}): string => {
    try {
      load(env, flags);
    } catch (cause) {
      expect(cause).toMatchObject({ name: 'OptaError', code: 'invalid-request' });
      return (cause as Error).message;
    }
    throw new Error('was accepted');
  };

  test.each([
    ['not JSON', '{"connection":{"apiKey":"TOPSECRET", "port": }}', /config\.json: is not valid JSON/],
    ['an array', '[]', /must hold a JSON object/],
    ['a wrong type', '{"connection":{"port":"many"}}', /connection\.port/],
    ['a port out of range', '{"daemon":{"port":70000}}', /daemon\.port/],
    ['an unknown engine', '{"engine":"gpu"}', /engine/],
    ['a host that is a URL', '{"connection":{"host":"http://x/y"}}', /connection\.host/],
  ])('%s', (_name, text, expected) => {
    write(text);
    expect(message()).toMatch(expected);
    expect(message()).toContain(join(home, 'config.json'));
    expect(message()).not.toContain('TOPSECRET');
  });

  test('[PM5] a misspelt key is refused, so that a deny rule is never lost in silence', () => {
    write('{"permisions":{"rules":[{"tool":"*","action":"deny"}]}}');
    expect(message()).toMatch(/permisions/);
    write('{"permissions":{"rules":[{"tool":"*","action":"denied"}]}}');
    expect(message()).toMatch(/permissions\.rules\.0\.action/);
  });

  test.each([
    ['{"permisions":{}}', 'permisions: unknown key, did you mean "permissions"?'],
    ['{"connection":{"prot":1}}', 'connection.prot: unknown key, did you mean "connection.port"?'],
    ['{"deadlineMs":1}', 'deadlineMs: unknown key, did you mean "permissions.deadlineMs"?'],
    ['{"zzz":1}', 'zzz: unknown key'],
    ['{"giit":{}}', 'giit: unknown key, did you mean "git"?'],
    ['{"git":{"autoCommmit":true}}', 'git.autoCommmit: unknown key, did you mean "git.autoCommit"?'],
    ['{"__proto__":{"a":1}}', '__proto__: unknown key'],
  ])('%s: %s', (text, expected) => {
    write(text);
    expect(message()).toBe(`Configuration ${join(home, 'config.json')}: ${expected}`);
  });

  test('comments are accepted, but not inside strings, and lines are still counted right', () => {
    write('// mine\n{\n  /* two\n lines */ "model": {"default": "http://x // no"} // end\n}');
    expect(load().model.default).toBe('http://x // no');
    write('// one\n/* two\n three */\n{"model": {"default" 1}}');
    expect(message()).toMatch(/not valid JSON \(line 4\)/);
  });

  test('a bad variable is blamed by name, and not the file', () => {
    write('{}');
    expect(message({ OPTA_PORT: '12x' })).toMatch(/OPTA_PORT.*connection\.port/);
    expect(message({ OPTA_LOOPBACK_ONLY: 'maybe' })).toMatch(/OPTA_LOOPBACK_ONLY/);
  });

  test('a bad flag is blamed on the command line', () => {
    expect(message({}, { connection: { port: 0 } })).toMatch(/the command line.*connection\.port/);
  });

  test('a folder where the file should be is an error and not an empty file', () => {
    mkdirSync(join(home, 'config.json'));
    expect(message()).toMatch(/cannot be read/);
  });
});

describe('paths', () => {
  test('OPTA_HOME moves everything; XDG moves the config folder unless it is relative', () => {
    expect(optaPaths({ OPTA_HOME: '/h', XDG_CONFIG_HOME: '/x' })).toMatchObject({
      configFile: '/h/config.json',
      stateFile: '/h/daemon/state.json',
      tokenFile: '/h/daemon/token',
      observerTokenFile: '/h/daemon/observer-token',
      pidFile: '/h/daemon/daemon.pid',
      logFile: '/h/daemon/daemon.log',
      dataDir: '/h/daemon/data',
    });
    expect(optaPaths({ XDG_CONFIG_HOME: '/x', HOME: '/u' }).configDir).toBe('/x/opta');
    expect(optaPaths({ XDG_CONFIG_HOME: 'rel', HOME: '/u' }).configDir).toBe('/u/.config/opta');
    expect(optaPaths({ HOME: '/u' }).configDir).toBe('/u/.config/opta');
  });

  test('[AC1] folders and files are for their owner alone, also when they were open before', () => {
    const dir = join(home, 'a', 'b');
    mkdirSync(dir, { recursive: true, mode: 0o755 });
    ensurePrivateDir(dir);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    const file = join(dir, 'token');
    writeFileSync(file, 'old', { mode: 0o644 });
    writePrivateFile(file, 'new');
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });
});
