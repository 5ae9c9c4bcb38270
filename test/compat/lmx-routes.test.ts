import { describe, expect, test } from 'vitest';
import { fakeAdmin } from '../support/fake-lmx-admin.ts';
import { type RealDaemon, startDaemon } from './daemon.ts';
import { differs } from './differences.ts';
import { aWorld, everyDifferenceIsTold, NUMBER, refused, UNAUTHORIZED } from './world.ts';

/** The inference host seen through the daemon: recordings 22 and 23 in our own words. */
const admin = fakeAdmin();
const world = aWorld(admin.options);
const get = (at: string, headers: { [name: string]: string } = {}) =>
  world.daemon.authed({ path: `/v3/lmx/${at}`, headers });
const send = (method: string, at: string, body?: unknown) =>
  world.daemon.authed({ method, path: `/v3/lmx/${at}`, ...(body === undefined ? {} : { body }) });
/** What LMX was asked meanwhile. */
const asked = async (act: () => Promise<unknown>): Promise<string[]> => {
  const from = admin.seen.length;
  await act();
  return admin.lines().slice(from);
};

describe('22 reading', () => {
  test('[AC1] state, discovery, memory, disk and downloads, in the shapes that clients know', async () => {
    expect(await get('status')).toMatchObject({ status: 200 });
    expect((await get('status')).body).toEqual({
      status: 'ok',
      version: '0.0.0-fake',
      uptime_seconds: 1,
      models: [{ model_id: 'fake-model', status: 'loaded' }],
      memory: { used_bytes: 8e9, total_bytes: 64e9, threshold: 90 },
    });
    const target = { host: '127.0.0.1', port: world.lmx.port, fallbackHosts: [], autoDiscover: false };
    expect((await get('discovery')).body).toMatchObject({ service: 'opta-lmx', loaded_models: ['fake-model'], target });
    expect((await get('memory')).body).toMatchObject({ total_gb: 64, models: { 'fake-model': { loaded: true } } });
    expect((await get('models/available')).body).toEqual([
      { repo_id: 'org/other-model', local_path: '/models/other', size_bytes: 123, downloaded_at: NUMBER },
    ]);
    expect((await get('models/downloads')).body).toEqual({ downloads: [], count: 0, includeInactive: false });
    const all = await asked(async () =>
      expect((await get('models/downloads?includeInactive=true')).body).toMatchObject({ includeInactive: true }),
    );
    expect(all).toEqual(['GET /admin/models/downloads?include_inactive=true null']);
    expect(await get('models/downloads?includeInactive=perhaps')).toMatchObject({
      status: 400,
      body: refused('Invalid includeInactive value (expected boolean)', 'invalid-request'),
    });
    expect((await get('models/download/dl_1/progress')).body).toMatchObject({
      downloadId: 'dl_1',
      download_id: 'dl_1',
      progressPercent: 50,
      progress_percent: 50,
    });
    expect(await world.daemon.ask({ path: '/v3/lmx/status' })).toMatchObject({ status: 401, body: UNAUTHORIZED });
  });

  test('loaded models have a strong tag, are asked for once in a while however many want them, and 304 is short', async () => {
    await send('POST', 'models/unload', { modelId: 'fake-model' });
    const reads = await asked(async () => {
      const answers = await Promise.all(Array.from({ length: 12 }, () => get('models')));
      expect(new Set(answers.map((a) => a.text)).size).toBe(1);
    });
    expect(reads).toEqual(['GET /admin/models null']);
    const first = await get('models');
    expect(first.body).toEqual({
      models: [
        {
          model_id: 'fake-model',
          status: 'loaded',
          memory_bytes: 1.5e9,
          context_length: 32_768,
          loaded_at: '2025-10-09T08:53:20.000Z',
          request_count: 0,
        },
      ],
    });
    const etag = first.headers.etag as string;
    // The tag of the recording, for the same list: a client's copy from before is still good.
    expect(etag).toBe('"9d7eba3db8e2de56"');
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const answer = await get('models', { 'if-none-match': known });
      expect([answer.status, answer.text, answer.headers['content-type']]).toEqual([304, '', undefined]);
      expect(answer.headers.etag).toBe(etag);
    }
    expect((await get('models', { 'if-none-match': '"other"' })).status).toBe(200);
    // A change makes what was kept worthless.
    expect(
      await asked(async () => {
        await send('POST', 'models/unload', { modelId: 'fake-model' });
        await get('models');
      }),
    ).toEqual(['POST /admin/models/unload {"model_id":"fake-model"}', 'GET /admin/models null']);
  });
});

describe('22 changing', () => {
  const CHANGES: [method: string, at: string, body: unknown, line: string, answer: unknown][] = [
    [
      'POST',
      'models/load',
      { modelId: 'org/other-model', backend: 'mlx', autoDownload: true, colour: 'red' },
      'POST /admin/models/load {"model_id":"org/other-model","backend":"mlx","auto_download":true}',
      { model_id: 'org/other-model', status: 'loaded', memory_bytes: 3e9, load_time_seconds: 1.5 },
    ],
    [
      'POST',
      'models/load/confirm',
      { confirmationToken: 't' },
      'POST /admin/models/load/confirm {"confirmation_token":"t"}',
      { model_id: 'org/other-model', status: 'downloading', download_id: 'dl_1' },
    ],
    [
      'POST',
      'models/load/confirm',
      { confirmation_token: 't' },
      'POST /admin/models/load/confirm {"confirmation_token":"t"}',
      { model_id: 'org/other-model', status: 'downloading', download_id: 'dl_1' },
    ],
    [
      'POST',
      'models/unload',
      { modelId: 'fake-model' },
      'POST /admin/models/unload {"model_id":"fake-model"}',
      { model_id: 'fake-model', status: 'unloaded', freed_bytes: 1.5e9 },
    ],
    [
      'POST',
      'models/download',
      { repoId: 'org/other-model', allowPatterns: ['*.json'] },
      'POST /admin/models/download {"repo_id":"org/other-model","allow_patterns":["*.json"]}',
      { download_id: 'dl_1', repo_id: 'org/other-model', estimated_size_bytes: 1_000, status: 'downloading' },
    ],
    [
      'DELETE',
      'models/org%2Fother-model',
      undefined,
      'DELETE /admin/models/org%2Fother-model null',
      { modelId: 'org/other-model', freedBytes: 123 },
    ],
  ];
  test.each(CHANGES)('%s %s', async (method, at, body, line, answer) => {
    const lines = await asked(async () =>
      expect(await send(method, at, body)).toMatchObject({ status: 200, body: answer }),
    );
    expect(lines).toEqual([line]);
  });

  test('what is missing is named, what would lead elsewhere is refused, and LMX hears nothing of either', async () => {
    const lines = await asked(async () => {
      const missing: [at: string, field: string][] = [
        ['models/load', 'modelId'],
        ['models/load/confirm', 'confirmationToken'],
        ['models/unload', 'modelId'],
        ['models/download', 'repoId'],
      ];
      for (const [at, field] of missing)
        for (const body of [{}, { [field]: ' ' }])
          expect(await send('POST', at, body)).toMatchObject({
            status: 400,
            body: refused(`Missing ${field}`, 'invalid-request'),
          });
      expect(await send('POST', 'models/load', { modelId: 7 })).toMatchObject({
        status: 400,
        body: { error: 'Invalid request body', details: [{ path: ['modelId'] }] },
      });
      for (const id of ['%2E%2E', 'org%2F..%2F..%2Fstatus', '%2Fstatus', 'a%2F'])
        expect((await send('DELETE', `models/${id}`)).status).toBe(400);
      expect((await send('DELETE', 'models/')).body).toMatchObject({ error: 'Missing modelId' });
      expect((await send('DELETE', `models/${'a'.repeat(101)}`)).status).toBe(414);
      expect((await get('models/download/%2E%2E/progress')).status).toBe(400);
    });
    expect(lines).toEqual([]);
  });
});

describe('23 failures', () => {
  const failing = async <T>(fail: typeof admin.fail, act: () => Promise<T>): Promise<T> => {
    admin.fail = fail;
    try {
      return await act();
    } finally {
      admin.fail = null;
    }
  };
  const scripted = (status: number) => ({ status, body: { error: { message: 'scripted failure', code: 'scripted' } } });

  test('[IN4] LMX refuses in its own words; our code for it stands beside them', async () => {
    expect(await send('POST', 'models/unload', { modelId: 'nope' })).toMatchObject({
      status: 404,
      body: {
        error: "127.0.0.1: Model 'nope' is not loaded",
        code: 'model_not_found',
        retryable: true,
        cause: 'no-model-loaded',
      },
    });
    for (const [status, cause] of [
      [403, 'lmx-unauthorized'],
      [409, 'lmx-request-rejected'],
      [422, 'lmx-request-rejected'],
    ] as const)
      expect(await failing(scripted(status), () => get('status'))).toMatchObject({
        status,
        body: { error: '127.0.0.1: scripted failure', code: 'scripted', cause },
      });
    const plain = { status: 404, body: { detail: 'Not Found' } };
    expect(await failing(plain, () => get('memory'))).toMatchObject({
      status: 404,
      body: { error: '127.0.0.1: Not Found', code: 'not_found' },
    });
    differs('lmx-key-refused');
    expect(await failing(scripted(401), () => get('status'))).toMatchObject({
      status: 403,
      body: { code: 'scripted', cause: 'lmx-unauthorized' },
    });
  });

  test('[IN4] what LMX could not do, or did not say, is a connection error: 502, after a few tries of a read', async () => {
    const down = (how: string, cause: string, retryable = true) => ({
      status: 502,
      body: {
        error: `LMX request failed across 1 host: 127.0.0.1 -> ${how}`,
        code: 'connection_error',
        cause,
        retryable,
      },
    });
    const tries = await asked(async () =>
      expect(await failing(scripted(503), () => get('status'))).toMatchObject(
        down('HTTP 503 scripted failure', 'lmx-busy'),
      ),
    );
    expect(tries).toHaveLength(3);
    const full = { status: 507, body: { error: { message: 'no room', code: 'insufficient_memory' } } };
    const load = () => send('POST', 'models/load', { modelId: 'x' });
    expect(await failing(full, load)).toMatchObject(down('HTTP 507 no room', 'lmx-out-of-memory'));
    expect((await failing({ status: 200, body: 'not JSON' }, () => get('memory'))).body).toMatchObject({
      code: 'connection_error',
      cause: 'lmx-protocol',
    });
    differs('lmx-sent-once');
    const once = await asked(async () =>
      expect(await failing({ status: 0, body: '' }, load)).toMatchObject(
        down(`fetch failed (ECONNRESET · 127.0.0.1:${world.lmx.port})`, 'outcome-unknown', false),
      ),
    );
    expect(once).toHaveLength(1);
  });

  test('[IN4] nothing at the address; and a daemon that has no inference host at all', async () => {
    const daemons: RealDaemon[] = [];
    try {
      // Nobody listens on port 1 of loopback.
      daemons.push(await startDaemon(1), await startDaemon(1, { OPTA_ENGINE: 'demo' }));
      const [lonely, demo] = daemons as [RealDaemon, RealDaemon];
      const refusedThere = {
        status: 502,
        body: {
          error: 'LMX request failed across 1 host: 127.0.0.1 -> fetch failed (ECONNREFUSED · 127.0.0.1:1)',
          code: 'connection_error',
          cause: 'lmx-connection-refused',
          retryable: true,
        },
      };
      expect(await lonely.get('/v3/lmx/status')).toMatchObject(refusedThere);
      expect(await lonely.get('/v3/lmx/models')).toMatchObject(refusedThere);
      expect(await lonely.post('/v3/lmx/models/load', { modelId: 'x' })).toMatchObject(refusedThere);
      const none = { status: 503, body: { error: expect.stringMatching(/demo/), code: 'lmx-connection-refused' } };
      expect(await demo.get('/v3/lmx/models')).toMatchObject(none);
      expect(await demo.post('/v3/lmx/models/load', { modelId: 'x' })).toMatchObject(none);
    } finally {
      for (const daemon of daemons) await daemon.stop();
    }
  }, 90_000);
});

everyDifferenceIsTold('lmx');
