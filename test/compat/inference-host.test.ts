import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type CliResult, cli, removeDir, tempDir } from '../support/cli.ts';
import { type FakeLmx, type FakeLmxOptions, startFakeLmx } from '../support/fake-lmx.ts';
import { fakeAdmin } from '../support/fake-lmx-admin.ts';
import { fakeModels } from '../support/fake-lmx-models.ts';
import { type RealDaemon, startDaemon } from './daemon.ts';

// Each step is a process of its own.
vi.setConfig({ testTimeout: 120_000 });

/** The commands that look at the inference host, with hosts of several kinds, and with none. */
let open: { stop?(): Promise<void>; close?(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.reverse()) await (each.stop?.() ?? each.close?.());
  open = [];
});
const aHost = async (options: FakeLmxOptions): Promise<FakeLmx> => {
  const lmx = await startFakeLmx(options);
  open.push(lmx);
  return lmx;
};
const aDaemon = async (port: number, env: NodeJS.ProcessEnv = {}): Promise<RealDaemon> => {
  const daemon = await startDaemon(port, { OPTA_HOST_NAME: 'somewhere', ...env });
  open.push(daemon);
  return daemon;
};
/** A port of loopback on which nobody listens. */
const deadPort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

const opta = (home: string, port: number, args: string[], env: NodeJS.ProcessEnv = {}): Promise<CliResult> =>
  cli(home, args, { env: { OPTA_PORT: String(port), OPTA_HOST_NAME: 'somewhere', ...env } });
const json = async (
  home: string,
  port: number,
  args: string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; body: { [field: string]: unknown } }> => {
  const { code, stdout, stderr } = await opta(home, port, [...args, '--json'], env);
  expect(stdout, stderr).not.toBe('');
  return { code, body: JSON.parse(stdout) };
};

const NUMBER = expect.any(Number);
const daemonFacts = (daemon: RealDaemon) => ({
  pid: NUMBER,
  host: '127.0.0.1',
  port: daemon.port,
  startedAt: expect.any(String),
  uptimeSeconds: NUMBER,
  status: 'ok',
  sessionCount: 0,
  activeTurnCount: 0,
  queuedTurnCount: 0,
});
const endpoint = {
  requestedHost: '127.0.0.1',
  activeHost: '127.0.0.1',
  fallbackUsed: false,
  downloadTargetHost: '127.0.0.1',
  executionContext: 'local',
  currentDevice: 'somewhere',
};

describe('[MD5] opta status, health and serve', () => {
  test('a host that answers: all that there is to know, in the shape that scripts read', async () => {
    const admin = fakeAdmin();
    const lmx = await aHost(admin.options);
    const daemon = await aDaemon(lmx.port, { OPTA_ADMIN_KEY: 'a-key', OPTA_API_KEY: 'i-key' });
    const { code, body } = await json(daemon.home, lmx.port, ['status']);
    const status = {
      status: 'ok',
      version: '0.0.0-fake',
      uptime_seconds: 1,
      models: [{ model_id: 'fake-model', status: 'loaded' }],
      memory: { used_bytes: 8e9, total_bytes: 64e9, threshold: 90 },
    };
    const health = { status: 'ok', version: '0.0.0-fake' };
    expect({ code, body }).toEqual({
      code: 0,
      body: {
        health,
        status,
        endpoint,
        adminAccess: { ok: true },
        deviceIdentity: { hardware: { hostname: 'fake', memory_gb: 64 }, identity: { name: 'Fake' } },
        availableModelsCount: 1,
        memoryDetails: expect.objectContaining({ total_gb: 64 }),
        daemon: daemonFacts(daemon),
      },
    });
    // Each half of the host has its own key, and what is open to everybody is sent none.
    const keys = (path: string) => {
      const { headers = {} } = admin.seen.find((call) => call.path === path) ?? {};
      return [headers['x-admin-key'], headers.authorization];
    };
    expect(keys('/admin/status')).toEqual(['a-key', undefined]);
    expect(admin.seen.map((call) => call.path)).toContain('/healthz');
    expect(keys('/healthz')).toEqual([undefined, undefined]);
    const text = await opta(daemon.home, lmx.port, ['status']);
    expect(text.stdout).toMatch(
      /^Daemon 127\.0\.0\.1:\d+, pid \d+, up .+, ok: 0 live sessions, 0 turns running, 0 queued\nInference host 127\.0\.0\.1:\d+ answers \(local\)\n {2}memory 8\.0 GB of 64\.0 GB\nModels fake-model, 1 on disk\n$/,
    );
    expect(await json(daemon.home, lmx.port, ['serve'])).toEqual({
      code: 0,
      body: { running: true, adminAuthorized: true, health, status },
    });
    admin.fail = { status: 403, body: { detail: 'Invalid admin key' } };
    const refused = await json(daemon.home, lmx.port, ['status']);
    expect(refused).toMatchObject({ code: 0, body: { status: null, adminAccess: { ok: false }, memoryDetails: null } });
    expect(refused.body).not.toHaveProperty('availableModelsCount');
    expect(await json(daemon.home, lmx.port, ['serve', 'status'])).toMatchObject({
      code: 0,
      body: { running: true, adminAuthorized: false, host: '127.0.0.1', port: lmx.port, error: expect.any(String) },
    });
  });

  test('a host that is away is exit 3, with the time since when; serve says that it does not run, which is no failure', async () => {
    const port = await deadPort();
    const daemon = await aDaemon(port);
    const first = await json(daemon.home, port, ['status']);
    expect(first).toMatchObject({
      code: 3,
      body: { exit_code: 3, code: 'lmx-connection-refused', daemon: daemonFacts(daemon), endpoint },
    });
    const { since } = first.body.away as { since: string };
    expect(first.body.error).toContain(`127.0.0.1:${port} is away since ${since}: `);
    const { code, stdout, stderr } = await opta(daemon.home, port, ['status']);
    expect(code).toBe(3);
    expect(stdout).toMatch(/^Daemon [^\n]+\n$/);
    // The same moment as before: it has not been heard of in between.
    expect(stderr).toContain(`is away since ${since}`);
    expect(await json(daemon.home, port, ['serve', 'anything'])).toMatchObject({
      code: 0,
      body: { running: false, host: '127.0.0.1', port },
    });
    expect(await json(daemon.home, port, ['models', 'list'])).toMatchObject({ code: 3, body: { exit_code: 3 } });
    for (const action of ['start', 'stop', 'restart', 'logs']) {
      const { code, body } = await json(daemon.home, port, ['serve', action]);
      expect([code, body]).toMatchObject([1, { exit_code: 1, code: 'not-in-this-build' }]);
      expect(body.error).toContain('opta lmx serve');
    }
    // The host comes back at the same place.
    await aHost({ port, ...fakeAdmin().options });
    expect(await json(daemon.home, port, ['status'])).toMatchObject({ code: 0 });
    expect((await daemon.get('/v3/health')).body).toMatchObject({ engine: { away: null } });
  });

  test('a host that does not answer is exit 3 too, and within the time that the command has', async () => {
    const admin = fakeAdmin();
    admin.delayMs = 20_000;
    const lmx = await aHost(admin.options);
    const daemon = await aDaemon(lmx.port);
    const began = Date.now();
    expect(await json(daemon.home, lmx.port, ['status'])).toMatchObject({ code: 3, body: { exit_code: 3 } });
    expect(Date.now() - began).toBeLessThan(15_000);
  });

  test('health starts nothing, and exits 1 when a check fails', async () => {
    const home = tempDir();
    open.push({ close: () => Promise.resolve(removeDir(home)) });
    const port = await deadPort();
    const alone = await json(home, port, ['health']);
    expect(alone).toMatchObject({
      code: 0,
      body: {
        checks: [
          { name: 'CLI', status: 'pass' },
          { name: 'Daemon', status: 'warn', detail: 'opta daemon start' },
          // On this machine it may be off; elsewhere that is a failure.
          { name: 'LMX', status: 'warn' },
        ],
        summary: { passed: 1, warnings: 2, failures: 0 },
      },
    });
    expect(() => readFileSync(join(home, 'daemon', 'state.json'))).toThrow();
    const far = await json(home, port, ['health'], { OPTA_HOST: 'inference.invalid' });
    expect(far).toMatchObject({
      code: 1,
      body: { checks: [{}, {}, { name: 'LMX', status: 'fail' }], summary: { failures: 1 } },
    });
    const skipped = await json(home, port, ['health', '--skip-lmx'], { OPTA_HOST: 'inference.invalid' });
    expect(skipped).toMatchObject({ code: 0, body: { checks: [{ name: 'CLI' }, { name: 'Daemon' }] } });
    const lmx = await aHost(fakeAdmin().options);
    const daemon = await aDaemon(lmx.port);
    const well = await json(daemon.home, lmx.port, ['health']);
    expect(well).toMatchObject({ code: 0, body: { summary: { passed: 3, warnings: 0, failures: 0 } } });
  });
});

describe('[MD4] hosts of other kinds', () => {
  test('an OpenAI-compatible server that is no LMX: its models are listed and chosen; for the rest it has no administration', async () => {
    const lmx = await aHost({ discovery: false, models: ['plain/model', 'plain/other'] });
    const daemon = await aDaemon(lmx.port);
    const run = (...args: string[]) => json(daemon.home, lmx.port, args);
    const row = { status: 'loaded', contextLength: null, memoryBytes: null, isDefault: false };
    expect(await run('models', 'list', '--full')).toEqual({
      code: 0,
      body: [
        { id: 'plain/model', ...row },
        { id: 'plain/other', ...row },
      ],
    });
    expect(await run('models', 'use', 'other')).toMatchObject({
      code: 0,
      body: { model: 'plain/other', loaded: true },
    });
    const none = {
      code: 1,
      body: { exit_code: 1, code: 'lmx-no-admin', error: expect.stringContaining('without an administration') },
    };
    expect(await run('models', 'load', 'model')).toMatchObject(none);
    expect(await run('models', 'unload', 'other')).toMatchObject(none);
    expect(await run('models', 'scan')).toMatchObject(none);
    expect(await run('models', 'dashboard')).toMatchObject({
      code: 0,
      body: { defaultModel: 'plain/other', defaultLoaded: true, memory: null },
    });
    expect(await run('models', 'health', '--ready')).toMatchObject({
      code: 0,
      body: { liveness: { status: 'ok' }, ready: { status: 200 } },
    });
    expect(await run('status')).toMatchObject({
      code: 0,
      body: { health: { status: 'ok' }, status: null, adminAccess: { ok: false } },
    });
    // Clients of the wire see what they saw of such a server, and our code beside it.
    expect(await daemon.get('/v3/lmx/models')).toMatchObject({
      status: 404,
      body: { code: 'not_found', cause: 'lmx-no-admin' },
    });
  });

  test('an LMX that keeps its administration to itself answers all the same', async () => {
    const lmx = await aHost({ models: ['acme/one', 'acme/two'] });
    const daemon = await aDaemon(lmx.port);
    const run = (...args: string[]) => json(daemon.home, lmx.port, args);
    const { body: rows } = await run('models', 'list', '--full');
    expect(rows).toMatchObject([{ id: 'acme/one' }, { id: 'acme/two' }]);
    const closed = { ok: false, error: expect.stringContaining('/admin/status') };
    expect(await run('status')).toMatchObject({ code: 0, body: { status: null, adminAccess: closed } });
    expect(await run('serve')).toMatchObject({ code: 0, body: { running: true, adminAuthorized: false } });
    expect(await run('models', 'use', 'two')).toMatchObject({ code: 0, body: { model: 'acme/two', loaded: true } });
    expect(await run('models', 'load', 'two')).toMatchObject({ code: 1, body: { code: 'lmx-no-admin' } });
  });

  test('[HP1] from a client-only host models are read and chosen, and every change is exit 77 before the host hears of it', async () => {
    const models = fakeModels(['acme/one'], ['acme/one', 'acme/two']);
    const lmx = await aHost(models.admin.options);
    const daemon = await aDaemon(lmx.port, { OPTA_HOST_NAME: 'Opta48' });
    const run = (...args: string[]) => json(daemon.home, lmx.port, args, { OPTA_HOST_NAME: 'Opta48' });
    expect(await run('models', 'list')).toMatchObject({ code: 0 });
    expect(await run('models', 'use', 'one')).toMatchObject({ code: 0, body: { model: 'acme/one' } });
    models.admin.seen.length = 0;
    for (const args of [
      ['load', 'two'],
      ['load', 'nobody'],
      ['unload', 'one'],
      ['swap', 'one', 'two'],
      ['download', 'a/b'],
      ['delete', 'two'],
    ]) {
      const { code, body } = await run('models', ...args);
      expect([args, code, body]).toMatchObject([args, 77, { exit_code: 77, code: 'host-policy' }]);
    }
    expect(models.admin.seen).toEqual([]);
    // The daemon asks the policy itself, whoever calls it; vectors change nothing and are free.
    expect(await daemon.post('/v3/lmx/models/unload', { modelId: 'acme/one' })).toMatchObject({
      status: 403,
      body: { code: 'host-policy' },
    });
    expect(await run('embed', 'a', 'text', '-m', 'e')).toMatchObject({ code: 0 });
  });

  test('without any host: exit 3, and nothing is made up', async () => {
    const daemon = await aDaemon(1, { OPTA_ENGINE: 'demo' });
    for (const args of [['models', 'list'], ['status'], ['embed', 'x', '-m', 'e'], ['serve']])
      expect([args, await json(daemon.home, 1, args)]).toMatchObject([
        args,
        { code: 3, body: { error: expect.stringContaining('demo engine') } },
      ]);
  });
});

test('[MD6] embed and rerank give the answer of the host, unchanged; out of reach is exit 3', async () => {
  const admin = fakeAdmin();
  const lmx = await aHost(admin.options);
  const daemon = await aDaemon(lmx.port, { OPTA_API_KEY: 'i-key' });
  const run = (...args: string[]) => json(daemon.home, lmx.port, args);
  expect(await run('embed', 'two', 'words', '--model', 'vec')).toEqual({
    code: 0,
    body: {
      object: 'list',
      data: [{ object: 'embedding', embedding: [0.25, -0.5], index: 0 }],
      model: 'vec',
      usage: { prompt_tokens: 2, total_tokens: 2 },
    },
  });
  expect((await opta(daemon.home, lmx.port, ['embed', 'x', '-m', 'vec'])).stdout).toBe('0.25 -0.5\n');
  expect(await run('rerank', 'which', '-d', 'short| a longer one |', '-k', '1')).toEqual({
    code: 0,
    body: {
      results: [{ index: 1, relevance_score: 0.12, document: { text: 'a longer one' } }],
      model: 'auto',
      usage: { total_tokens: 7 },
    },
  });
  expect((await opta(daemon.home, lmx.port, ['rerank', 'q', '-d', 'a|bcd'])).stdout).toBe('0.0300  bcd\n0.0100  a\n');
  const posts = admin.seen.filter((call) => call.method === 'POST');
  expect(posts.map((call) => call.body)).toEqual([
    { input: 'two words', model: 'vec' },
    { input: 'x', model: 'vec' },
    { query: 'which', documents: ['short', 'a longer one'], model: 'auto', top_n: 1 },
    { query: 'q', documents: ['a', 'bcd'], model: 'auto' },
  ]);
  expect(new Set(posts.map((call) => call.headers.authorization))).toEqual(new Set(['Bearer i-key']));
  expect(await daemon.post('/v3/operations/rerank', { input: { query: 'q', documents: ['a'] } })).toMatchObject({
    body: { ok: true, result: { model: 'auto' } },
  });
  expect(await run('embed', 'no', 'model')).toMatchObject({ code: 3, body: { code: 'no-model-loaded' } });
  writeFileSync(join(daemon.home, 'config.json'), '{"model":{"embeddingModel":"mine","rerankerModel":"judge"}}');
  expect(await run('embed', 'x')).toMatchObject({ code: 0, body: { model: 'mine' } });
  expect(await run('rerank', 'q', '-d', 'a')).toMatchObject({ code: 0, body: { model: 'judge' } });
  expect(await run('rerank', 'q', '-d', ' | ')).toMatchObject({ code: 2 });
  // A missing argument or option is the parser's to say.
  expect(await run('rerank', 'q')).toMatchObject({ code: 1 });
  expect(await run('embed')).toMatchObject({ code: 1 });
  await lmx.close();
  open = open.filter((each) => each !== lmx);
  expect(await run('embed', 'x', '-m', 'vec')).toMatchObject({ code: 3, body: { exit_code: 3 } });
  expect(await run('rerank', 'q', '-d', 'a')).toMatchObject({ code: 3, body: { exit_code: 3 } });
});

test('[MD7] --device is for a daemon that the command starts; one that asks another host is never asked in its place', async () => {
  const near = await aHost({ models: ['near'], ...fakeModels(['near'], []).admin.options });
  const far = await aHost({ models: ['far'], ...fakeModels(['far'], []).admin.options });
  const daemon = await aDaemon(near.port);
  const run = (...args: string[]) => json(daemon.home, near.port, args);
  for (const args of [['models', 'list'], ['status'], ['embed', 'x', '-m', 'e']]) {
    const { code, body } = await run(...args, '--device', `127.0.0.1:${far.port}`);
    expect([args, code, body]).toMatchObject([args, 1, { code: 'daemon-already-running' }]);
    expect(body.error).toContain(`127.0.0.1:${near.port}, not 127.0.0.1:${far.port}`);
  }
  expect(far.paths).toEqual([]);
  // The same host by another of its names is the same host.
  expect(await run('models', 'list', '--device', `localhost:${near.port}`)).toMatchObject({
    code: 0,
    body: [{ id: 'near' }],
  });
  expect(await run('models', 'list', '--remote')).toMatchObject({ code: 0, body: [{ id: 'near' }] });
  expect(await run('models', 'list', '--device', 'http://x/path')).toMatchObject({ code: 2 });
  const none = await json(daemon.home, near.port, ['models', 'list', '--remote'], { OPTA_HOST: '' });
  expect(none).toMatchObject({ code: 2, body: { exit_code: 2 } });
  const home = tempDir();
  try {
    const there = await json(home, near.port, ['models', 'list', '--device', `127.0.0.1:${far.port}`], {
      OPTA_DAEMON_PORT: '0',
    });
    expect(there).toMatchObject({ code: 0, body: [{ id: 'far' }] });
  } finally {
    await opta(home, near.port, ['daemon', 'stop']);
    removeDir(home);
  }
});
