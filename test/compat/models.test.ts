import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { CLI_COMMAND, type CliResult, cli, cliEnv, until } from '../support/cli.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { type FakeModels, fakeModels } from '../support/fake-lmx-models.ts';
import { type RealDaemon, startDaemon } from './daemon.ts';

/** `opta models` as scripts know it, over the real daemon and an inference host that keeps account. */
const LOADED = ['acme/Big-32B', 'other/small'];
const ON_DISK = ['acme/Big-32B', 'acme/big-4B', 'third/coder'];
// Each step is a process of its own.
vi.setConfig({ testTimeout: 120_000 });

let models: FakeModels;
let lmx: FakeLmx;
let daemon: RealDaemon;
beforeAll(async () => {
  models = fakeModels([...LOADED], [...ON_DISK]);
  lmx = await startFakeLmx(models.admin.options);
  daemon = await startDaemon(lmx.port);
});
afterAll(async () => {
  await daemon?.stop();
  await lmx?.close();
});
afterEach(async () => {
  Object.assign(models, { loaded: [...LOADED], onDisk: [...ON_DISK], onLoad: null });
  models.admin.fail = null;
  // What the daemon keeps of the list for a moment is not to be met by the next test.
  await daemon.post('/v3/lmx/models/unload', { modelId: 'nobody' });
  models.admin.seen.length = 0;
});

/** Host and port as in the daemon's own environment. */
const opta = (...args: string[]): Promise<CliResult> =>
  cli(daemon.home, args, { env: { OPTA_PORT: String(lmx.port), OPTA_HOST_NAME: 'somewhere' } });
/** Nothing but JSON on stdout ([AU1]), and its exit code. */
const json = async (...args: string[]): Promise<{ code: number | null; body: unknown }> => {
  const { code, stdout, stderr } = await opta(...args, '--json');
  expect(stdout, stderr).not.toBe('');
  return { code, body: JSON.parse(stdout) };
};
const good = (body: unknown) => ({ code: 0, body });
const bad = (exit_code: number, code: string, more: object = {}) => ({
  code: exit_code,
  body: { error: expect.any(String), exit_code, code, ...more },
});
/** A usage error has no code. */
const misuse = { code: 2, body: { error: expect.any(String), exit_code: 2 } };

const big = { id: 'acme/Big-32B', status: 'loaded', contextLength: 32_768, memoryBytes: 4.5e9, isDefault: false };
const small = { ...big, id: 'other/small' };

describe('[MD1] reading', () => {
  test('list, whatever else is unknown; on disk too with --full; no action and an unknown one list', async () => {
    expect(await json('models', 'list')).toEqual(good([big, small]));
    expect(await json('models')).toEqual(good([big, small]));
    expect(await json('models', 'frobnicate')).toEqual(good([big, small]));
    const unknown = { status: 'on-disk', contextLength: null, memoryBytes: null, isDefault: false };
    expect(await json('models', 'list', '--full')).toEqual(
      good([big, small, { id: 'acme/big-4B', ...unknown }, { id: 'third/coder', ...unknown }]),
    );
    expect((await opta('models')).stdout).toBe(
      'acme/Big-32B  (loaded, 32768 tokens, 4.5 GB)\nother/small  (loaded, 32768 tokens, 4.5 GB)\n',
    );
  });

  test('dashboard, info and health', async () => {
    expect(await json('models', 'dashboard')).toEqual(
      good({
        defaultModel: '',
        defaultLoaded: false,
        counts: { loaded: 2, onDisk: 3, historyOnly: 0, aliases: 0 },
        memory: { usedGb: 128, totalGb: 512, percent: 25 },
        loaded: [big, small].map(({ status: _, ...row }) => ({ ...row, requestCount: 3 })),
        aliases: {},
      }),
    );
    const loadedAt = '2025-10-09T08:53:20.000Z';
    expect(await json('models', 'info', 'small')).toEqual(
      good({
        model: {
          ...small,
          model_id: 'other/small',
          memory_bytes: 4.5e9,
          context_length: 32_768,
          loaded_at: loadedAt,
          request_count: 3,
        },
        // This host has no figures of it.
        performance: null,
      }),
    );
    const place = { host: '127.0.0.1', port: lmx.port, liveness: { status: 'ok', version: '0.0.0-fake' } };
    expect(await json('models', 'health')).toEqual(good(place));
    expect(await json('models', 'health', '--ready', '--admin')).toEqual(
      good({
        ...place,
        ready: { status: 200, body: { status: 'ready', version: '0.0.0-fake', models_loaded: 1 } },
        admin: { status: 'ok', memory_usage_percent: 12.5, models_loaded: 1, in_flight_requests: 0 },
      }),
    );
    models.admin.fail = { status: 503, body: { status: 'unavailable', reason: 'no models loaded' } };
    models.admin.failTimes = Number.POSITIVE_INFINITY;
    expect(await daemon.get('/v3/lmx/ready')).toMatchObject({
      status: 200,
      body: { status: 503, body: { status: 'unavailable', reason: 'no models loaded' } },
    });
  });

  test('what the host says of its other parts is passed on as it is; what is not carried over says so', async () => {
    expect(await json('models', 'skills')).toEqual(good([{ name: 'shout', version: 1 }]));
    expect(await json('models', 'skills', 'show', 'shout')).toMatchObject(good({ name: 'shout' }));
    expect(await json('models', 'quantize', 'status', 'q_1')).toEqual(good({ id: 'q_1', status: 'completed' }));
    for (const id of ['predictor', 'helpers', 'quantize', 'agents', 'rag', 'scan'])
      expect(await daemon.post(`/v3/operations/models.${id}`, {})).toMatchObject({ status: 200, body: { ok: true } });
    expect(await json('models', 'quantize', 'status')).toEqual(bad(2, 'invalid-request'));
    expect(await json('models', 'rag', 'query', 'c')).toEqual(bad(1, 'not-in-this-build'));
    expect(await json('models', 'benchmark')).toEqual(bad(1, 'not-in-this-build'));
    models.admin.fail = { status: 404, body: { detail: 'Not Found' } };
    models.admin.failTimes = Number.POSITIVE_INFINITY;
    const { code, stdout, stderr } = await opta('models', 'agents');
    expect([code, stdout]).toEqual([127, '']);
    expect(stderr).toContain('The inference host has no agents, or has switched that off');
  });
});

describe('[MD2] names', () => {
  test('a part is enough; several are exit 2 with the candidates, none is 127, and no name is 2', async () => {
    expect(await json('models', 'info', 'sma')).toMatchObject(good({ model: { id: 'other/small' } }));
    expect(await json('models', 'use', 'acme')).toEqual(
      bad(2, 'invalid-request', { candidates: ['acme/Big-32B', 'acme/big-4B'] }),
    );
    expect(await json('models', 'unload', '70b')).toEqual(bad(127, 'not-found'));
    // It is on disk, and not loaded.
    expect(await json('models', 'unload', 'coder')).toEqual(bad(127, 'not-found'));
    for (const action of ['use', 'stop', 'info', 'download', 'swap', 'alias'])
      expect(await json('models', action), action).toEqual(misuse);
    for (const action of ['browse-local', 'library']) expect((await opta('models', action)).code).toBe(2);
    expect(await json('models', 'load', 'coder', '--backend', 'magic')).toEqual(misuse);
    expect(models.admin.seen.filter((call) => call.method !== 'GET')).toEqual([]);
  });

  const hasTerminal = spawnSync('script', ['--version']).status === 0;
  test.runIf(hasTerminal)(
    'at a terminal a person chooses; leaving the list is 130',
    async () => {
      const at = (typed: string) => {
        const command = [...CLI_COMMAND, 'models', 'info'].map((word) => `'${word}'`).join(' ');
        const child = spawn('script', ['--quiet', '--return', '--echo', 'never', '--command', command, '/dev/null'], {
          cwd: daemon.home,
          env: cliEnv(daemon.home, { OPTA_PORT: String(lmx.port), TERM: 'xterm', NO_COLOR: '1' }),
        });
        let seen = '';
        child.stdout.on('data', (part) => {
          seen += part;
        });
        const code = new Promise<number | null>((resolve) => child.on('close', resolve));
        return until(() => seen.includes('Enter to leave'), 'the list', 20_000).then(async () => {
          child.stdin.write(typed);
          return { code: await code, seen };
        });
      };
      const chosen = await at('2\r');
      expect(chosen.code).toBe(0);
      expect(chosen.seen).toMatch(/1 {2}acme\/Big-32B[\s\S]*2 {2}other\/small[\s\S]*other\/small {2}\(loaded/);
      expect((await at('\r')).code).toBe(130);
    },
    120_000,
  );
});

describe('[MD3] changing', () => {
  const sent = (): string[] => models.admin.lines().filter((line) => !line.startsWith('GET'));

  test('use chooses the model of new sessions, keeps the rest of the file, and a daemon that runs hears of it', async () => {
    const file = join(daemon.home, 'config.json');
    writeFileSync(file, JSON.stringify({ permissions: { deadlineMs: 5_000 }, connection: { trusted: true } }));
    expect(await json('models', 'use', 'big-32b')).toEqual(
      good({ model: 'acme/Big-32B', previous: null, loaded: true, effective: 'acme/Big-32B', source: 'user' }),
    );
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      permissions: { deadlineMs: 5_000 },
      connection: { trusted: true },
      model: { default: 'acme/Big-32B' },
    });
    expect((await daemon.post('/v3/sessions', {})).body).toMatchObject({ model: 'acme/Big-32B' });
    expect(await json('models', 'list')).toEqual(good([{ ...big, isDefault: true }, small]));
    const other = await opta('models', 'use', 'coder');
    expect(other.stdout).toBe('New sessions use third/coder\nIt is not loaded: opta models load third/coder\n');
    expect((await daemon.post('/v3/sessions', {})).body).toMatchObject({ model: 'third/coder' });
    // A file that is being edited by hand does not take the choice back.
    writeFileSync(file, '{"model":');
    expect((await daemon.post('/v3/sessions', {})).body).toMatchObject({ model: 'third/coder' });
    writeFileSync(file, '{}');
    expect((await daemon.post('/v3/sessions', {})).body).toMatchObject({ model: '' });
  });

  test('load, unload, swap, download and delete do one thing each, and are remembered', async () => {
    expect(await json('models', 'load', 'coder', '--backend', 'gguf')).toEqual(
      good({ id: 'third/coder', status: 'loaded', memoryBytes: 12e9, loadTimeSeconds: 1.5 }),
    );
    expect(await json('models', 'stop', 'coder')).toEqual(
      good({ id: 'third/coder', status: 'unloaded', freedBytes: 4.5e9 }),
    );
    expect(await json('models', 'swap', 'small', 'big-4b')).toMatchObject(
      good({ unloaded: { id: 'other/small' }, loaded: { id: 'acme/big-4B' } }),
    );
    expect(await json('models', 'download', 'new/one')).toEqual(
      good({ downloadId: 'dl_1', repoId: 'new/one', status: 'completed', estimatedSizeBytes: 2e9, totalBytes: 2e9 }),
    );
    expect(await json('models', 'remove', 'new/one')).toEqual(good({ id: 'new/one', deleted: true, freedBytes: 5e9 }));
    expect(sent()).toEqual([
      'POST /admin/models/load {"model_id":"third/coder","backend":"gguf"}',
      'POST /admin/models/unload {"model_id":"third/coder"}',
      'POST /admin/models/unload {"model_id":"other/small"}',
      'POST /admin/models/load {"model_id":"acme/big-4B"}',
      'POST /admin/models/download {"repo_id":"new/one"}',
      'DELETE /admin/models/new%2Fone null',
    ]);
    const { body } = await json('models', 'history');
    const { history } = body as { history: object[] };
    expect(Object.keys(history[0] ?? {})).toEqual(['id', 'firstSeenAt', 'lastSeenAt', 'lastAction']);
    expect(history.slice(0, 4)).toMatchObject([
      { id: 'new/one', lastAction: 'delete' },
      { id: 'acme/big-4B', lastAction: 'load' },
      { id: 'other/small', lastAction: 'unload' },
      { id: 'third/coder', lastAction: 'unload' },
    ]);
    expect(await json('models', 'dashboard')).toMatchObject(good({ counts: { historyOnly: 2 } }));
  });

  test('a load that takes longer than its answer is waited for and not sent again', async () => {
    models.onLoad = { status: 202, body: { status: 'loading', model_id: 'third/coder' } };
    const run = json('models', 'load', 'coder');
    await until(() => sent().length > 0, 'the load', 20_000);
    setTimeout(() => models.loaded.push('third/coder'), 300);
    expect(await run).toMatchObject(good({ id: 'third/coder', status: 'loaded' }));
    expect(sent()).toHaveLength(1);
  });

  test('a download that a load has to wait for is confirmed and followed', async () => {
    const download_required = { status: 'download_required', model_id: 'third/coder', confirmation_token: 't' };
    models.onLoad = { status: 202, body: download_required };
    models.looks = 2;
    const run = opta('models', 'load', 'coder');
    await until(() => sent().length === 2, 'the confirmation', 20_000);
    models.loaded.push('third/coder');
    const { code, stdout, stderr } = await run;
    expect([code, stdout]).toEqual([0, 'Loaded third/coder\n']);
    expect(stderr).toContain('Loading third/coder');
    expect(stderr).toContain('Downloading: 50 %');
    expect(sent()[1]).toBe('POST /admin/models/load/confirm {"confirmation_token":"t"}');
  });

  test('what the host refuses is exit 1 in its words; half a swap says which half', async () => {
    expect(await json('models', 'download', 'no/downloads')).toEqual(
      bad(1, 'lmx-request-rejected', { error: '127.0.0.1: Downloads are disabled' }),
    );
    expect(await json('models', 'delete', 'big-32b')).toEqual(bad(1, 'lmx-request-rejected'));
    models.onLoad = { status: 507, body: { error: { message: 'no room', code: 'insufficient_memory' } } };
    const { code, body } = await json('models', 'swap', 'small', 'coder');
    expect([code, body]).toEqual([1, expect.objectContaining({ code: 'lmx-out-of-memory' })]);
    expect((body as { error: string }).error).toMatch(/^other\/small was unloaded, and third\/coder did not load: /);
    expect(models.loaded).toEqual(['acme/Big-32B']);
  });

  test('aliases need no host: set, list, used as a name, taken away', async () => {
    expect(await json('models', 'alias', 'fast', 'other/small')).toEqual(
      good({ alias: 'fast', model: 'other/small', previous: null }),
    );
    expect(await json('models', 'aliases')).toEqual(good({ aliases: { fast: 'other/small' } }));
    expect(await json('models', 'info', 'fast')).toMatchObject(good({ model: { id: 'other/small' } }));
    expect(await daemon.post('/v3/operations/models.aliases.list', {})).toMatchObject({
      body: { ok: true, result: { aliases: { fast: 'other/small' } } },
    });
    expect(await json('models', 'unalias', 'fast')).toEqual(good({ deleted: 'fast', model: 'other/small' }));
    expect(await json('models', 'unalias', 'fast')).toEqual(bad(127, 'not-found'));
  });
});
