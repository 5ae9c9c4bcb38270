import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cli, endOf, removeDir, startCli, tempDir, until } from '../support/cli.ts';
import { startMcpHttp } from '../support/mcp-http.ts';
import { startDaemon } from './daemon.ts';

const FIXTURE = fileURLToPath(new URL('../support/mcp-server.mjs', import.meta.url));

let home: string;
beforeEach(() => {
  home = tempDir();
});
afterEach(() => removeDir(home));

const mcp = (...args: string[]) => cli(home, ['mcp', ...args]);
const json = async (...args: string[]) => {
  const { code, stdout, stderr } = await mcp(...args, '--json');
  return { code, body: JSON.parse(stdout), stderr };
};
const runs = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
};

// Each step is a process, and machines are slow at times.
describe('opta mcp', { timeout: 120_000 }, () => {
  test('[MC1, AU1] list is a map, also when it is empty; add, replace, remove; secrets are covered unless asked for', async () => {
    expect(await json('list')).toEqual({ code: 0, body: {}, stderr: '' });
    expect((await mcp('list')).stdout).toBe('No MCP servers. Add one with: opta mcp add <name> <command>\n');
    const added = await json('add', 'files', 'npx -y @scope/files', '--env', 'ROOT=/data,TOKEN=PRECIOUS');
    const server = { transport: 'stdio', command: 'npx', args: ['-y', '@scope/files'] };
    expect(added.body).toEqual({
      name: 'files',
      replaced: false,
      server: { ...server, env: { ROOT: '(hidden)', TOKEN: '(hidden)' } },
    });
    expect(
      (await mcp('add', 'files', 'npx', '--env', 'ROOT=/data,TOKEN=PRECIOUS', '--', '-y', '@scope/files')).stdout,
    ).toMatch(/^Replaced files: stdio npx -y @scope\/files /);
    await mcp('add', 'web', 'http://127.0.0.1:4/mcp', '--header', 'Authorization=Bearer PRECIOUS');
    await mcp('add-playwright', '--mode', 'attach', '--package', '@playwright/mcp@1');
    const listed = await json('list');
    expect(listed.body).toEqual({
      files: { ...server, env: { ROOT: '(hidden)', TOKEN: '(hidden)' } },
      web: { transport: 'http', url: 'http://127.0.0.1:4/mcp', headers: { Authorization: '(hidden)' } },
      playwright: { transport: 'stdio', command: 'npx', args: ['-y', '@playwright/mcp@1'], env: {} },
    });
    const said = [added, listed, await mcp('list'), await cli(home, ['config', 'list', '--json'])];
    expect(JSON.stringify(said)).not.toContain('PRECIOUS');
    expect((await json('list', '--reveal')).body.files.env).toEqual({ ROOT: '/data', TOKEN: 'PRECIOUS' });
    expect((await json('remove', 'web')).body).toEqual({ removed: 'web' });
    expect(Object.keys((await json('list')).body)).toEqual(['files', 'playwright']);
  });

  test('[MC1, KY2] a secret in an argument or an address is covered by every command, and a login in an address works', async () => {
    const http = await startMcpHttp();
    const address = (url: string): string => url.replace('//', '//me:PRECIOUS@').concat('?api_key=PRECIOUS');
    try {
      await mcp('add', 'files', 'npx', '--', 'x', '--token', 'PRECIOUS', '--key=PRECIOUS');
      await mcp('add', 'web', address(http.url));
      await mcp('add', 'gone', address('http://127.0.0.1:1/mcp'));
      const shown = [
        await mcp('list'),
        await cli(home, ['config', 'list', '--json']),
        await cli(home, ['config', 'list']),
        await cli(home, ['config', 'explain', 'mcp.servers']),
        await mcp('test', 'gone'),
        await json('test', 'web'),
        await json('health'),
      ];
      expect(JSON.stringify(shown)).not.toContain('PRECIOUS');
      expect(shown[5]).toMatchObject({ code: 0, body: { ok: true } });
      const login = `Basic ${Buffer.from('me:PRECIOUS').toString('base64')}`;
      expect(new Set(http.seen.map((asked) => asked.headers.authorization))).toEqual(new Set([login]));
    } finally {
      await http.close();
    }
  });

  test('[MC2, AU2] remove and test fail with their own codes, which they once did not', async () => {
    await mcp('add', 'dead', process.execPath, FIXTURE, 'die');
    await mcp('add', 'mute', process.execPath, FIXTURE, 'hang');
    await mcp('add', 'far', 'http://203.0.113.9/mcp');
    const missing = { code: 'not-found', exit_code: 127, error: expect.stringContaining('no MCP server "nobody"') };
    expect(await json('remove', 'nobody')).toMatchObject({ code: 127, body: missing });
    expect(await json('test', 'nobody')).toMatchObject({ code: 127, body: missing });
    expect(await json('test', 'dead')).toMatchObject({
      code: 1,
      body: {
        code: 'mcp-failed',
        exit_code: 1,
        error: 'dead: the server ended with exit code 7: no database at nowhere',
      },
    });
    expect(await json('test', 'mute', '--timeout-ms', '500')).toMatchObject({ code: 1, body: { code: 'timeout' } });
    expect(await json('test', 'far')).toMatchObject({ code: 3, body: { code: 'loopback-only' } });
    expect((await mcp('health', '--timeout-ms', 'soon')).code).toBe(2);
  });

  test('[MC2] test and health speak with the server; a watch is one line of JSON each time and nothing else', async () => {
    const http = await startMcpHttp();
    try {
      await mcp('add', 'web', http.url);
      await mcp('add', 'cmd', `"${process.execPath}" "${FIXTURE}"`);
      expect((await json('test', 'cmd')).body).toMatchObject({
        ok: true,
        name: 'cmd',
        transport: 'stdio',
        server: { name: 'fixture', version: '1.2.3' },
        tools: [{ name: 'add', description: 'Adds two numbers' }, { name: 'env' }],
        latencyMs: expect.any(Number),
      });
      expect((await mcp('test', 'web')).stdout).toMatch(
        /^web answers: over http 2\.0\.0, 1 tool, \d+ ms\n {2}look {2}Looks\n$/,
      );
      const health = await json('health', '--timeout-ms', '20000');
      expect(health.body).toMatchObject({
        generatedAt: expect.stringMatching(/^\d{4}-.*Z$/),
        summary: { total: 2, healthy: 1, down: 0, skipped: 1 },
        servers: [
          { name: 'web', status: 'healthy', tools: 1 },
          { name: 'cmd', status: 'skipped', tools: 0 },
        ],
      });

      const watch = startCli(home, [
        'mcp',
        'health',
        '--watch',
        '0.2',
        '--json',
        '--probe-stdio',
        '--timeout-ms',
        '20000',
      ]);
      let stdout = '';
      watch.stdout?.on('data', (part) => {
        stdout += part;
      });
      const ended = endOf(watch, 60_000);
      await until(() => stdout.split('\n').length > 3, 'three lines', 30_000);
      watch.kill('SIGINT');
      expect((await ended).code).toBe(130);
      for (const line of stdout.split('\n').slice(0, 3))
        expect(JSON.parse(line)).toMatchObject({ summary: { total: 2, healthy: 2 } });
    } finally {
      await http.close();
    }
  });

  test.runIf(process.platform !== 'win32')('[MC3] Ctrl-C takes the server and its child along', async () => {
    const file = join(home, 'pids');
    await mcp('add', 'stubborn', process.execPath, FIXTURE, 'stubborn', file);
    const testing = startCli(home, ['mcp', 'test', 'stubborn']);
    const ended = endOf(testing, 30_000);
    await until(() => existsSync(file) && readFileSync(file, 'utf8') !== '', 'the server to run', 20_000);
    const pids = JSON.parse(readFileSync(file, 'utf8')) as number[];
    testing.kill('SIGINT');
    expect((await ended).code).toBe(130);
    await until(() => !pids.some(runs), 'both to be gone', 5_000);
  });
});

test('[MC2] the daemon tests a server only when that is confirmed, and answers with what the command prints', async () => {
  const daemon = await startDaemon(1);
  const run = (id: string, input: object, more: object = {}) => daemon.post(`/v3/operations/${id}`, { input, ...more });
  try {
    const add = { name: 'cmd', command: process.execPath, args: [FIXTURE], env: 'TOKEN=PRECIOUS' };
    expect((await run('mcp.add', add)).body).toMatchObject({ ok: true, result: { name: 'cmd', replaced: false } });
    expect(await run('mcp.test', { name: 'cmd' })).toMatchObject({ status: 403, body: { ok: false } });
    const tested = await run('mcp.test', { name: 'cmd' }, { confirmDangerous: true });
    expect(tested.body).toMatchObject({ ok: true, safety: 'dangerous', result: { ok: true, tools: [{}, {}] } });
    const listed = await run('mcp.list', {});
    expect(listed.body).toMatchObject({ result: { cmd: { transport: 'stdio', env: { TOKEN: '(hidden)' } } } });
    expect(listed.text).not.toContain('PRECIOUS');
    expect(await run('mcp.remove', { name: 'nobody' })).toMatchObject({
      status: 404,
      body: { ok: false, error: { code: 'not-found' } },
    });
    expect((await run('mcp.remove', { name: 'cmd' })).body).toMatchObject({ result: { removed: 'cmd' } });
    const browser = await run('mcp.add-playwright', {});
    expect(browser.body).toMatchObject({
      result: { name: 'playwright', server: { command: 'npx', args: ['-y', '@playwright/mcp@latest', '--isolated'] } },
    });
    expect(await run('mcp.add', { name: 'x' })).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid-request' } },
    });
  } finally {
    await daemon.stop();
  }
}, 90_000);
