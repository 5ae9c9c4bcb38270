import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { optaPaths } from '../../src/config/paths.ts';
import { probe } from '../../src/operations/mcp/probe.ts';
import { pairsFrom, playwrightServer, serverFrom, shown } from '../../src/operations/mcp/servers.ts';
import { addServer, listServers, removeServer, serversHealth } from '../../src/operations/mcp.ts';
import { removeDir, tempDir, until } from '../support/cli.ts';
import { type McpHttp, startMcpHttp } from '../support/mcp-http.ts';

const FIXTURE = fileURLToPath(new URL('../support/mcp-server.mjs', import.meta.url));

let home: string;
beforeEach(() => {
  home = tempDir();
});
afterEach(() => removeDir(home));

const worldOf = () => {
  const env = { OPTA_HOME: home, OPTA_LOOPBACK_ONLY: '1', OPTA_HOST: '127.0.0.1', PATH: process.env.PATH ?? '' };
  return { env, paths: optaPaths(env), version: '0.0.0' };
};
const probeWorld = (timeoutMs = 20_000) => ({ env: { HOME: home }, version: '0.0.0', loopbackOnly: true, timeoutMs });
const stdio = (...args: string[]) => ({ command: process.execPath, args: [FIXTURE, ...args], env: {} });
const inFile = () => JSON.parse(readFileSync(join(home, 'config.json'), 'utf8'));

/** A dead process whose parent does not collect it runs no more. */
const runs = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
};

describe('what a command line says', () => {
  test.each([
    ['npx -y some-package', [], ['npx', '-y', 'some-package']],
    ['node', ['-e', '1 + 1'], ['node', '-e', '1 + 1']],
    ['"C:\\Program Files\\x.exe" --at \'a b\'', [], ['C:\\Program Files\\x.exe', '--at', 'a b']],
    ['C:\\tools\\x.exe', [], ['C:\\tools\\x.exe']],
    ['a\\ b "say \\"hi\\"" \'\'', ['z'], ['a b', 'say "hi"', '', 'z']],
  ])('%s', (command, args, [program, ...rest]) => {
    expect(serverFrom(command, args, {})).toEqual({ command: program, args: rest, env: {} });
  });

  test('an address is one; what makes no sense is refused', () => {
    expect(serverFrom('http://127.0.0.1:1/mcp', [], { A: '1' })).toEqual({
      url: 'http://127.0.0.1:1/mcp',
      headers: { A: '1' },
    });
    for (const [command, args] of [
      ['  ', []],
      ['a "b', []],
      ['http://x/', ['b']],
    ] as const)
      expect(() => serverFrom(command, args, {})).toThrow(/Nothing was changed$/);
  });

  test('[MC1] pairs keep commas and signs of their values; what is none is refused, unquoted', () => {
    expect(pairsFrom(['A=1,B_2=x=y,z , Content-Type=a, b', 'C='], '--env')).toEqual({
      A: '1',
      B_2: 'x=y,z',
      'Content-Type': 'a, b',
      C: '',
    });
    for (const text of ['PRECIOUS', '=PRECIOUS', '1A=PRECIOUS', 'A B=PRECIOUS']) {
      expect(() => pairsFrom([text], '--env')).toThrow(/^(?!.*PRECIOUS)--env must be NAME=value/);
    }
  });

  test('[MC1] secrets are covered in environment, headers, arguments and addresses', () => {
    const one = {
      command: 'x',
      args: ['--api-key', 'S1', '--port', '80', '--token=S2', '-v'],
      env: { GREETING: 'S3' },
    };
    const two = { url: 'https://me:S4@host.example/p?access_token=S5&page=2', headers: { Authorization: 'S6' } };
    expect(shown(one, false)).toEqual({
      transport: 'stdio',
      command: 'x',
      args: ['--api-key', '(hidden)', '--port', '80', '--token=(hidden)', '-v'],
      env: { GREETING: '(hidden)' },
    });
    expect(JSON.stringify(shown(two, false))).not.toMatch(/S\d/);
    expect(shown(two, false)).toMatchObject({ url: expect.stringContaining('page=2') });
    expect(shown(one, true)).toEqual({ transport: 'stdio', ...one });
    expect(shown(two, true)).toEqual({ transport: 'http', ...two });
  });

  test('the Playwright server', () => {
    const given = {
      command: 'npx',
      packageName: 'p',
      env: {},
      allowedHosts: [' a', 'b', 'a'],
      blockedOrigins: ['c', 'd'],
    };
    expect(playwrightServer({ mode: 'isolated', ...given }).args).toEqual([
      '-y',
      'p',
      '--isolated',
      '--allowed-hosts',
      'a,b',
      '--blocked-origins',
      'c;d',
    ]);
    expect(playwrightServer({ mode: 'attach', ...given, allowedHosts: [], blockedOrigins: [''] }).args).toEqual([
      '-y',
      'p',
    ]);
  });
});

describe('the file', () => {
  test('[MC1] many that add and remove at once lose nothing, and what else stands there stays', async () => {
    writeFileSync(join(home, 'config.json'), '{"model":{"default":"m"},"mcp":{"servers":{"old":{"command":"o"}}}}');
    const world = worldOf();
    const names = Array.from({ length: 12 }, (_, i) => `s${i}`);
    const adding = names.map((name) => addServer(world, name, { command: name, args: [], env: {} }));
    await Promise.all([...adding, removeServer(world, 'old')]);
    expect(Object.keys(listServers(world, false)).sort()).toEqual([...names].sort());
    expect(await addServer(world, 's0', { url: 'http://127.0.0.1:1/' })).toMatchObject({ replaced: true });
    expect(inFile()).toMatchObject({
      model: { default: 'm' },
      mcp: { servers: { s0: { url: 'http://127.0.0.1:1/' } } },
    });
    await Promise.all(names.map((name) => removeServer(world, name)));
    expect(inFile()).toEqual({ model: { default: 'm' } });
    await expect(removeServer(world, 's0')).rejects.toMatchObject({ code: 'not-found' });
    for (const name of ['', '__proto__', 'a b', 'x'.repeat(65)])
      await expect(addServer(world, name, { url: 'http://127.0.0.1:1/' })).rejects.toMatchObject({
        code: 'invalid-request',
      });
    expect(inFile()).toEqual({ model: { default: 'm' } });
  });
});

describe('a server that is a command', () => {
  test('[MC2] tells its tools; of our environment it sees nothing that is ours', async () => {
    process.env.OPTA_TEST_SECRET = 'x';
    const { server, tools } = await probe({ ...stdio(), env: { GREETING: 'hi' } }, probeWorld());
    delete process.env.OPTA_TEST_SECRET;
    expect(server).toEqual({ name: 'fixture', version: '1.2.3' });
    expect(tools).toEqual([
      { name: 'add', description: 'Adds two numbers' },
      { name: 'env', description: 'Sees GREETING' },
    ]);
  });

  test.each([
    ['that is not there', { command: '/nowhere/mcp', args: [], env: {} }, 'mcp-failed', '/nowhere/mcp cannot be found'],
    [
      'that ends',
      { ...stdio('die'), env: { DATABASE: 'db' } },
      'mcp-failed',
      'the server ended with exit code 7: no database at db',
    ],
    ['that never answers', stdio('hang'), 'timeout', 'It did not answer within 1000 ms'],
  ])('[MC2] %s: why is said', async (_, server, code, message) => {
    const timeoutMs = code === 'timeout' ? 1_000 : 20_000;
    await expect(probe(server, probeWorld(timeoutMs))).rejects.toMatchObject({ code, message });
  });

  test('[MC2] words that are no message do no harm', async () => {
    expect((await probe(stdio('babble'), probeWorld())).tools).toHaveLength(2);
  });

  test.runIf(process.platform !== 'win32').each(['family', 'stubborn'])(
    '[MC3] %s: neither the server nor its child is alive afterwards',
    async (mode) => {
      const file = join(home, 'pids');
      const end = await probe(stdio(mode, file), probeWorld(mode === 'family' ? 20_000 : 2_500)).then(
        ({ tools }) => tools.length,
        (cause: { code: string }) => cause.code,
      );
      expect(end).toBe(mode === 'family' ? 2 : 'timeout');
      expect(existsSync(file)).toBe(true);
      const pids = JSON.parse(readFileSync(file, 'utf8')) as number[];
      expect(pids).toHaveLength(2);
      await until(() => !pids.some(runs), 'both to be gone', 3_000);
    },
  );
});

describe('a server at an address', () => {
  let http: McpHttp;
  beforeEach(async () => {
    http = await startMcpHttp();
  });
  afterEach(() => http.close());

  test('[MC2] tells its tools, and is sent the headers of its row', async () => {
    const { server, tools } = await probe({ url: http.url, headers: { Authorization: 'Bearer t' } }, probeWorld());
    expect(server).toEqual({ name: 'over http', version: '2.0.0' });
    expect(tools).toEqual([{ name: 'look', description: 'Looks' }]);
    expect(http.seen.length).toBeGreaterThan(1);
    expect(http.seen.filter(({ headers }) => headers.authorization !== 'Bearer t')).toEqual([]);
  });

  test('[MC2] one that refuses, one that never answers and one that is not there', async () => {
    http.behave = (_, res) => {
      res.writeHead(401).end('who are you?');
      return true;
    };
    await expect(probe({ url: http.url }, probeWorld())).rejects.toMatchObject({
      code: 'mcp-failed',
      message: expect.stringContaining('401'),
    });
    http.behave = () => true;
    await expect(probe({ url: http.url }, probeWorld(800))).rejects.toMatchObject({ code: 'timeout' });
    const gone = await startMcpHttp();
    await gone.close();
    await expect(probe({ url: gone.url }, probeWorld())).rejects.toMatchObject({
      code: 'mcp-failed',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test.each([200, 500])('[MC2] an endless answer is cut, of status %i', async (status) => {
    http.behave = (_, res) => {
      res.writeHead(status, { 'content-type': 'application/json' });
      const more = (): void => {
        if (!res.destroyed && res.write('x'.repeat(1 << 20))) setImmediate(more);
      };
      res.on('drain', more).on('error', () => undefined);
      more();
      return true;
    };
    await expect(probe({ url: http.url }, probeWorld())).rejects.toMatchObject({
      code: 'mcp-failed',
      ...(status === 200 ? { message: expect.stringContaining('larger than') } : {}),
    });
  });

  test('[IN1] nothing beyond loopback is reached: by address, by name, by redirect', async () => {
    const beyond = [
      'http://203.0.113.9/mcp',
      'http://example.invalid/mcp',
      'http://[2001:db8::1]/',
      'http://0.0.0.0:9/',
    ];
    for (const url of beyond)
      await expect(probe({ url }, probeWorld()), url).rejects.toMatchObject({ code: 'loopback-only' });
    http.behave = (req, res) => {
      if (req.url !== '/mcp') return false;
      res.writeHead(307, { location: 'http://203.0.113.9/mcp' }).end();
      return true;
    };
    const refused = await probe({ url: http.url }, probeWorld(10_000)).catch((cause: { code: string }) => cause);
    expect((refused as { code: string }).code).toMatch(/^(mcp-failed|loopback-only)$/);
    http.behave = () => false;
    expect((await probe({ url: http.url.replace('127.0.0.1', 'localhost') }, probeWorld())).tools).toHaveLength(1);
  });

  test('[MC2] the health of all: addresses are asked, commands only when they may be started', async () => {
    const world = worldOf();
    await addServer(world, 'web', { url: http.url });
    await addServer(world, 'cmd', stdio());
    await addServer(world, 'gone', { url: 'http://127.0.0.1:1/mcp' });
    const health = await serversHealth(world, { probeStdio: false, timeoutMs: 20_000 });
    expect(health.summary).toEqual({ total: 3, healthy: 1, down: 1, skipped: 1 });
    expect(health.servers).toMatchObject([
      { name: 'web', transport: 'http', status: 'healthy', tools: 1, latencyMs: expect.any(Number) },
      { name: 'cmd', transport: 'stdio', status: 'skipped', tools: 0 },
      { name: 'gone', transport: 'http', status: 'down', tools: 0, error: expect.any(String) },
    ]);
    const started = await serversHealth(world, { probeStdio: true, timeoutMs: 20_000 });
    expect(started.servers[1]).toMatchObject({ name: 'cmd', status: 'healthy', tools: 2 });
  });
});
