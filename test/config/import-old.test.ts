import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { importLine, importOldConfig, oldConfigFile } from '../../src/config/import-old.ts';
import { loadConfig } from '../../src/config/load.ts';
import { optaPaths } from '../../src/config/paths.ts';
import { cli } from '../support/cli.ts';

let home: string;
let env: { [name: string]: string };
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'opta-import-'));
  env = { HOME: home };
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const OLD = {
  connection: { host: '127.0.0.1', port: 8080, apiKey: 'OLDSECRET', adminKey: 'ADMINSECRET', autoDiscover: false },
  model: { default: 'old-model', contextLimit: 4096 },
  permissions: { write_file: 'deny', edit_file: 'ask', run_command: 'allow', 'mcp.x': 'deny' },
  provider: { active: 'lmx' },
  defaultMode: 'dangerous',
  daemon: { port: 7777 },
  git: { autoCommit: false },
  safety: { circuitBreaker: { warnAt: 'x', pauseAt: 7 } },
  mcp: { servers: { fs: { transport: 'stdio', command: 'fs-server', args: [], env: {} }, bad: { nothing: 1 } } },
  profiles: {
    activeEnvironment: 'lab',
    environments: {
      lab: {
        name: 'lab',
        connection: { host: 'lab.test', port: 1, protocol: 'http' },
        modelDefault: 'm',
        provider: 'lmx',
        defaultMode: 'auto',
        createdAt: 1,
        updatedAt: 2,
      },
    },
  },
  hooks: [{ event: 'error', command: 'rm -rf /' }],
};
const putOld = (content: unknown): string => {
  const file = oldConfigFile(env);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
};
const run = () => importOldConfig(optaPaths(env), env);

test('[CF5] what means the same is taken over once, what does not is named, and the old file is as it was', async () => {
  const file = putOld(OLD);
  const report = await run();
  expect(report).toMatchObject({
    from: file,
    taken: [
      'connection.host',
      'connection.port',
      'connection.apiKey',
      'connection.adminKey',
      'model.default',
      'model.contextLimit',
      'git.autoCommit',
      'profiles.activeEnvironment',
      'connection.autoDiscover',
      'provider.active',
      'safety.circuitBreaker.pauseAt',
      'mcp.servers.fs',
      'profiles.environments.lab',
      'permissions.write_file',
      'permissions.edit_file',
      'permissions.mcp.x',
    ],
    left: [
      'permissions.run_command',
      'defaultMode',
      'daemon.port',
      'safety.circuitBreaker.warnAt',
      'mcp.servers.bad.nothing',
      'hooks',
    ],
  });
  const config = loadConfig({ env });
  expect(config.connection).toMatchObject({ host: '127.0.0.1', port: 8080, apiKey: 'OLDSECRET' });
  expect(config.permissions.rules).toEqual([
    { tool: 'write_file', action: 'deny' },
    { tool: 'edit_file', action: 'ask' },
    { tool: 'mcp.x', action: 'deny' },
  ]);
  expect(config).toMatchObject({ defaultMode: 'safe', daemon: { port: 9999 }, git: { autoCommit: false } });
  expect(config.mcp.servers).toEqual({ fs: { transport: 'stdio', command: 'fs-server', args: [], env: {} } });
  expect(config.profiles.environments.lab).toMatchObject({ connection: { host: 'lab.test', port: 1 }, updatedAt: 2 });
  expect(statSync(optaPaths(env).configFile).mode & 0o777).toBe(0o600);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(OLD);
  const line = importLine(report as never, optaPaths(env));
  expect(line.split('\n')).toHaveLength(1);
  expect(line + readFileSync(optaPaths(env).importFile, 'utf8')).not.toMatch(/SECRET/);

  rmSync(optaPaths(env).configFile);
  expect(await run()).toBeNull();
  expect(existsSync(optaPaths(env).configFile)).toBe(false);
});

test('[CF5] a file of our own, or an OPTA_HOME, is never imported into', async () => {
  putOld(OLD);
  expect(
    await importOldConfig(optaPaths({ ...env, OPTA_HOME: join(home, 'other') }), {
      ...env,
      OPTA_HOME: join(home, 'other'),
    }),
  ).toBeNull();
  expect(existsSync(join(home, 'other'))).toBe(false);
  mkdirSync(optaPaths(env).configDir, { recursive: true });
  writeFileSync(optaPaths(env).configFile, '{}');
  expect(await run()).toBeNull();
  expect(readFileSync(optaPaths(env).configFile, 'utf8')).toBe('{}');
});

test('[CF5] values that would not be valid here are left, and a broken file stops nothing', async () => {
  putOld({ git: { autoCommit: true, checkpoints: false } });
  expect(await run()).toMatchObject({ taken: ['git.checkpoints'], left: ['git.autoCommit'] });
  rmSync(optaPaths(env).configDir, { recursive: true });
  putOld({ connection: { host: 'http://x/y', port: 99_999 }, model: { default: 'm' } });
  expect(await run()).toMatchObject({ taken: ['model.default'], left: ['connection.host', 'connection.port'] });
  rmSync(optaPaths(env).configDir, { recursive: true });
  putOld('{"connection":');
  expect(await run()).toMatchObject({ taken: [], left: ['the whole file'] });
  expect(await run()).toBeNull();
});

test('[CF5] the command line says it once, on stderr', async () => {
  putOld(OLD);
  const asUser = {
    env: {
      HOME: home,
      OPTA_HOME: undefined,
      XDG_CONFIG_HOME: undefined,
      OPTA_HOST: undefined,
      OPTA_LOOPBACK_ONLY: '1',
    },
  };
  const first = await cli(home, ['config', 'list', '--json'], asUser);
  expect(first.stderr).toMatch(/took over connection\.host.*left .*hooks/);
  expect(JSON.parse(first.stdout).connection).toMatchObject({ port: 8080, apiKey: '(hidden)' });
  const second = await cli(home, ['config', 'get', 'connection.apiKey'], asUser);
  expect(second).toMatchObject({ code: 0, stdout: 'OLDSECRET\n', stderr: '' });
});
