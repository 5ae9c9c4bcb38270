import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { resolveConfig } from '../../src/config/load.ts';
import { optaPaths } from '../../src/config/paths.ts';
import { findProjectFile, ignoredLine, projectConfig, projectRules } from '../../src/config/project.ts';
import { decideTrust, readTrust } from '../../src/config/trust.ts';

let root: string;
let env: { [name: string]: string };
let repo: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'opta-project-')));
  const home = join(root, 'home');
  repo = join(home, 'code', 'repo');
  env = { HOME: home, OPTA_HOME: join(root, 'opta') };
  mkdirSync(join(repo, '.git'), { recursive: true });
  mkdirSync(join(repo, 'src', 'deep'), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const DENY = { tool: 'write_file', path: '*.env', action: 'deny' } as const;
const ALLOW = { tool: 'write_file', action: 'allow' } as const;
const put = (folder: string, content: unknown): string => {
  mkdirSync(join(folder, '.opta'), { recursive: true });
  const file = join(folder, '.opta', 'config.json');
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
};
const find = (workspace: string): string | null => findProjectFile(workspace, env);
const read = (workspace = repo) => projectConfig(workspace, env);
const trust = async (trusted: boolean): Promise<void> => {
  const { file, sha256 } = read() ?? { file: '', sha256: '' };
  await decideTrust(optaPaths(env), file, { sha256, trusted });
};

describe('where a project file is looked for', () => {
  test('[CF2] the nearest one, up to the root of the repository and not above it', () => {
    put(join(env.HOME as string, 'code'), {});
    expect(find(join(repo, 'src'))).toBeNull();
    const top = put(repo, {});
    expect(find(join(repo, 'src', 'deep'))).toBe(top);
    const nearer = put(join(repo, 'src'), {});
    expect(find(join(repo, 'src', 'deep'))).toBe(nearer);
  });

  test('[CF2] without a repository: up to the home folder and not it; elsewhere the workspace alone', () => {
    const plain = join(env.HOME as string, 'plain', 'deep');
    mkdirSync(plain, { recursive: true });
    put(env.HOME as string, {});
    expect(find(plain)).toBeNull();
    const above = put(join(env.HOME as string, 'plain'), {});
    expect(find(plain)).toBe(above);

    const outside = join(root, 'shared', 'deep');
    mkdirSync(outside, { recursive: true });
    put(join(root, 'shared'), {});
    expect(find(outside)).toBeNull();
    expect(find(join(root, 'shared'))).not.toBeNull();
    expect(find(join(root, 'is-not-there'))).toBeNull();
  });

  test('[CF2] a workspace behind a link has the file of the folder that it means', () => {
    const file = put(repo, {});
    symlinkSync(repo, join(root, 'link'));
    expect(find(join(root, 'link'))).toBe(file);
  });
});

describe('what a project decides', () => {
  test('[CF1][CF2] its model counts, over the user and under the environment; what is of the daemon never does', () => {
    mkdirSync(env.OPTA_HOME as string);
    writeFileSync(join(env.OPTA_HOME as string, 'config.json'), '{"model":{"default":"mine"},"connection":{"port":5}}');
    const file = put(repo, {
      model: { default: 'theirs' },
      connection: { host: 'evil.test', trusted: true },
      engine: 'demo',
      hostPolicy: { role: 'any', remoteAdmin: true },
      daemon: { allowedOrigins: ['https://evil.test'] },
    });
    const { config, project, sourceOf } = resolveConfig({ env, workspace: repo });
    expect(config.model.default).toBe('theirs');
    expect(sourceOf('model.default')).toEqual({ kind: 'project', from: file });
    expect(config).toMatchObject({ engine: 'lmx', hostPolicy: {}, daemon: { allowedOrigins: [] } });
    expect(config.connection).toMatchObject({ host: expect.not.stringContaining('evil'), port: 5 });
    expect(config.connection).not.toHaveProperty('trusted');
    expect(project && ignoredLine(project)).toMatch(
      /config\.json: not taken over: connection\.host.*hostPolicy\.role.*only your own/,
    );
    expect(resolveConfig({ env: { ...env, OPTA_MODEL: 'env' }, workspace: repo }).config.model.default).toBe('env');
    expect(resolveConfig({ env }).config.model.default).toBe('mine');
  });

  test('[CF2][CF3] its deny rules always count, the others once the file is trusted, and not after it changed', async () => {
    put(repo, { permissions: { rules: [DENY, ALLOW] } });
    expect(read()).toMatchObject({ trust: 'unasked', rules: [DENY] });
    await trust(false);
    expect(read()).toMatchObject({ trust: 'refused', rules: [DENY] });
    await trust(true);
    expect(read()).toMatchObject({ trust: 'trusted', rules: [DENY, ALLOW] });
    put(repo, { permissions: { rules: [ALLOW] } });
    expect(read()).toMatchObject({ trust: 'changed', rules: [] });
    expect(ignoredLine(read() as never)).toContain('it changed since it was trusted');
    expect(statSync(optaPaths(env).trustFile).mode & 0o777).toBe(0o600);
  });

  test('[CF2][CF6] it denies by tool without trust; it allows by tool, and sets every other key of the old program, never or with trust', async () => {
    put(repo, {
      permissions: { write_file: 'deny', edit_file: 'allow' },
      git: { autoCommit: true },
      defaultMode: 'dangerous',
      mcp: { servers: { evil: { command: 'evil' } } },
    });
    expect(read()).toMatchObject({ rules: [{ tool: 'write_file', action: 'deny' }] });
    expect(read()?.never).toEqual(expect.arrayContaining(['defaultMode', 'git.autoCommit']));
    expect(read()).toMatchObject({ brings: { hooks: [], servers: {}, tools: [] }, runs: ['server evil: evil'] });
    expect(read()?.held).toContain('mcp.servers');
    expect(resolveConfig({ env, workspace: repo }).config).toMatchObject({ defaultMode: 'safe', mcp: { servers: {} } });
    await trust(true);
    expect(read()?.rules).toEqual([
      { tool: 'write_file', action: 'deny' },
      { tool: 'edit_file', action: 'allow' },
    ]);
    expect(resolveConfig({ env, workspace: repo }).config).toMatchObject({ defaultMode: 'safe', mcp: { servers: {} } });
  });

  test('[CF3] what it runs counts once it is trusted, its tools included: any change of them makes it a stranger', async () => {
    put(repo, { hooks: [{ event: 'tool.pre', command: 'check' }] });
    const tools = join(repo, '.opta', 'tools');
    mkdirSync(tools);
    const tool = (more: object = {}) => JSON.stringify({ name: 'deploy', description: 'D', command: 'd', ...more });
    writeFileSync(join(tools, 'deploy.json'), tool());
    writeFileSync(join(tools, 'bad.json'), '{"name": "Bad Name"}');
    writeFileSync(join(tools, 'readme.md'), 'not one');
    expect(read()).toMatchObject({ trust: 'unasked', brings: { hooks: [], tools: [] } });
    expect(read()?.held).toEqual(['hooks', join('.opta', 'tools')]);
    await trust(true);
    expect(read()?.brings).toMatchObject({
      hooks: [{ event: 'tool.pre', command: 'check', timeout: 10_000 }],
      tools: [{ name: 'deploy', timeout: 30_000, network: false }],
      problems: [expect.stringContaining('bad.json')],
    });
    writeFileSync(join(tools, 'deploy.json'), tool({ command: 'rm -rf ~' }));
    expect(read()).toMatchObject({ trust: 'changed', brings: { hooks: [], tools: [] } });
    writeFileSync(join(tools, 'deploy.json'), tool());
    expect(read()?.trust).toBe('trusted');
    writeFileSync(join(tools, 'more.json'), tool({ name: 'more' }));
    expect(read()?.trust).toBe('changed');
    rmSync(join(repo, '.opta', 'config.json'));
    expect(read()).toMatchObject({ trust: 'changed', runs: ['tool deploy: d', 'tool more: d'] });
  });

  test('[CF3] what stands in one text cannot become another: a comment, or a file with a NUL, is not the tools that it spells', async () => {
    const tools = join(repo, '.opta', 'tools');
    const one = JSON.stringify({ name: 'a', description: 'D', command: 'd' });
    mkdirSync(tools, { recursive: true });
    const put2 = (files: { [name: string]: string }) => {
      rmSync(tools, { recursive: true });
      mkdirSync(tools);
      for (const [name, text] of Object.entries(files)) writeFileSync(join(tools, name), text);
    };
    put2({ 'a.json': `{}\0b.json\0${one}` });
    writeFileSync(join(repo, '.opta', 'config.json'), '{}');
    await trust(true);
    put2({ 'a.json': '{}', 'b.json': one });
    expect(read()).toMatchObject({ trust: 'changed', brings: { tools: [] } });
    put2({});
    for (const spelt of [`\0b.json\0${one}`, JSON.stringify([['b.json', one]])]) {
      writeFileSync(join(repo, '.opta', 'config.json'), `{} // ${spelt}`);
      await trust(true);
      writeFileSync(join(repo, '.opta', 'config.json'), '{} // ');
      put2({ 'b.json': one });
      expect(read()).toMatchObject({ trust: 'changed', brings: { tools: [] } });
      put2({});
    }
  });

  test("[PM5][CF1] the user's rules stay, and the project's stand behind them", () => {
    mkdirSync(env.OPTA_HOME as string);
    const mine = { tool: 'edit_file', action: 'deny' };
    writeFileSync(join(env.OPTA_HOME as string, 'config.json'), JSON.stringify({ permissions: { rules: [mine] } }));
    put(repo, { permissions: { rules: [DENY] } });
    expect(resolveConfig({ env, workspace: repo }).config.permissions.rules).toEqual([mine, DENY]);
  });

  test('[CF3] many decisions at once are all kept', async () => {
    const files = Array.from({ length: 12 }, (_, i) => `/p/${i}/.opta/config.json`);
    await Promise.all(files.map((file) => decideTrust(optaPaths(env), file, { sha256: 'x', trusted: true })));
    expect(Object.keys(readTrust(optaPaths(env))).sort()).toEqual([...files].sort());
  });
});

describe('what the daemon makes of it', () => {
  test('[PM5][CF2] a file that cannot be understood may hold a deny: everything is denied, and it is said why', () => {
    const all = [{ tool: '*', action: 'deny' }];
    const said: string[] = [];
    for (const text of ['{', '{"permisions":{}}', '{"permissions":{"rules":[{"tool":"x","action":"denied"}]}}']) {
      const file = put(repo, text);
      expect(projectRules(repo, (reason) => said.push(reason), env)).toEqual(all);
      expect(said.at(-1)).toContain(file);
    }
    put(repo, {});
    expect(projectRules(repo, (reason) => said.push(reason), env)).toEqual([]);
    expect(projectRules(undefined, (reason) => said.push(reason), env)).toEqual([]);
    expect(said).toHaveLength(3);
  });

  test.runIf(process.platform !== 'win32')('[CF2] a pipe in place of the file is an error and not a wait', () => {
    mkdirSync(join(repo, '.opta'));
    spawnSync('mkfifo', [join(repo, '.opta', 'config.json')]);
    expect(() => read()).toThrow(/is not a file/);
  });

  test('[CF3] damaged records trust nobody, and say so', async () => {
    put(repo, { permissions: { rules: [ALLOW] } });
    await trust(true);
    writeFileSync(optaPaths(env).trustFile, '{"version":1}');
    expect(() => read()).toThrow(/trust\.json.*damaged/);
    expect(readFileSync(optaPaths(env).trustFile, 'utf8')).toBe('{"version":1}');
  });
});
