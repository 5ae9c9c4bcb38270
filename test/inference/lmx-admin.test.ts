import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { LmxAdmin, LmxCall } from '../../src/actors/ports.ts';
import { createAdmin } from '../../src/inference/engines.ts';
import { createLmxAdmin, type LmxAdminConfig } from '../../src/inference/lmx-admin.ts';
import { errorBody, errorStatus, type OptaError } from '../../src/protocol/errors.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { type FakeAdmin, fakeAdmin } from '../support/fake-lmx-admin.ts';
import { handClock, quiet } from './bench.ts';

let lmx: FakeLmx;
let fake: FakeAdmin;
beforeEach(async () => {
  fake = fakeAdmin();
  lmx = await startFakeLmx(fake.options);
});
afterEach(() => lmx.close());

const adminAt = (more: Partial<LmxAdminConfig> = {}): LmxAdmin =>
  createLmxAdmin({ host: '127.0.0.1', port: lmx.port, loopbackOnly: true, log: quiet, ...more });
interface Told {
  error: OptaError | null;
  value: unknown;
}
const run = (admin: LmxAdmin, call: LmxCall): Promise<Told> =>
  new Promise((resolve) => {
    let inCall = true;
    admin.run(call, (error, value) => {
      expect(inCall).toBe(false);
      resolve({ error, value });
    });
    inCall = false;
  });
const until = async (holds: () => boolean): Promise<void> => {
  const end = performance.now() + 5_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error('never happened');
    await new Promise((next) => setTimeout(next, 2));
  }
};
const load: LmxCall = { id: 'lmx.load', fields: { modelId: 'm' } };

describe('who is asked', () => {
  test('[IN1] with loopbackOnly nothing beyond loopback is asked, not even who it is', async () => {
    for (const call of [{ id: 'lmx.status' }, load] as const) {
      const { error } = await run(adminAt({ host: '192.0.2.1', adminKey: 'k' }), call);
      expect([error?.code, error && errorStatus(error)]).toEqual(['loopback-only', 403]);
    }
  });

  /** A name that is no loopback literal and yet leads to the fake: the check goes by the name, as on a stranger's network. */
  const named = (more: Partial<LmxAdminConfig> = {}) =>
    adminAt({ host: '0.0.0.0', loopbackOnly: false, adminKey: 'admin-key', ...more });

  test.runIf(process.platform === 'linux')(
    '[IN2] a host elsewhere must prove that it is an LMX before it is sent a key',
    async () => {
      expect((await run(named(), { id: 'lmx.status' })).error).toBeNull();
      expect(lmx.paths.slice(0, 2)).toEqual(['GET /.well-known/opta-lmx', 'GET /admin/status']);
      expect(fake.seen[0]?.headers['x-admin-key']).toBe('admin-key');

      lmx.options.discovery = false;
      const from = fake.seen.length;
      for (const call of [{ id: 'lmx.status' }, { id: 'lmx.models' }, load] as const)
        expect((await run(named(), call)).error?.code).toBe('lmx-untrusted');
      expect(fake.seen.length).toBe(from);
      expect((await run(named({ trusted: true }), { id: 'lmx.status' })).error).toBeNull();
    },
  );

  test('[IN2] the key goes to the administration alone, and nothing but the key of the administration goes there', async () => {
    const admin = adminAt({ adminKey: 'admin-key', apiKey: 'prompt-key' });
    const seen: (string | string[] | undefined)[] = [];
    const before = lmx.options.onHttp;
    lmx.options.onHttp = (req, res, body) => {
      seen.push(req.headers['x-admin-key'], req.headers.authorization);
      return before?.(req, res, body) ?? false;
    };
    await run(admin, { id: 'lmx.discovery' });
    await run(admin, { id: 'lmx.status' });
    expect(seen).toEqual([undefined, undefined, 'admin-key', undefined]);
    await run(adminAt(), { id: 'lmx.status' });
    expect(seen.at(-2)).toBeUndefined();
  });

  test('the demo engine has no administration', () => {
    expect(createAdmin({ engine: 'demo' }, { log: quiet })).toBeNull();
    const at = { engine: 'lmx', host: '127.0.0.1', port: 1, loopbackOnly: true } as const;
    expect(createAdmin(at, { log: quiet })).not.toBeNull();
  });
});

describe('tries', () => {
  test('a read that fails in passing is asked again; one that fails on is given up after three', async () => {
    fake.fail = { status: 503, body: {} };
    fake.failTimes = 2;
    expect((await run(adminAt(), { id: 'lmx.memory' })).error).toBeNull();
    expect(fake.seen).toHaveLength(3);
    fake.fail = { status: 0, body: '' };
    fake.failTimes = Number.POSITIVE_INFINITY;
    const { error } = await run(adminAt(), { id: 'lmx.memory' });
    expect(error?.code).toBe('lmx-ws-closed');
    expect(fake.seen).toHaveLength(3 + LIMITS.lmxTriesMax);
  });

  test('[AU3] [IC5] a change that may have arrived is sent once, and says that nobody can tell', async () => {
    const kinds: LmxCall[] = [
      load,
      { id: 'lmx.confirm', fields: { confirmationToken: 't' } },
      { id: 'lmx.unload', fields: { modelId: 'm' } },
      { id: 'lmx.delete', item: 'm' },
      { id: 'lmx.download', fields: { repoId: 'r' } },
    ];
    for (const call of kinds) {
      fake.seen.length = 0;
      for (const status of [0, 503]) {
        fake.fail = { status, body: {} };
        const { error } = await run(adminAt(), call);
        expect(error?.code).toBe(status === 0 ? 'outcome-unknown' : 'lmx-busy');
      }
      expect(fake.seen).toHaveLength(2);
    }
    fake.fail = { status: 200, body: '{"model_' };
    expect((await run(adminAt(), load)).error?.code).toBe('outcome-unknown');
  });

  test('[SV2] each try has its deadline: 8 s for what LMX knows by heart, 30 s for disks, 120 s for a change', async () => {
    const table: [LmxCall, number, string][] = [
      [{ id: 'lmx.status' }, LIMITS.lmxQuickMs, 'lmx-timeout'],
      [{ id: 'lmx.available' }, LIMITS.lmxReadMs, 'lmx-timeout'],
      [load, LIMITS.lmxChangeMs, 'outcome-unknown'],
    ];
    fake.delayMs = 60_000;
    for (const [call, deadlineMs, code] of table) {
      const clock = handClock();
      const told: Told[] = [];
      const from = fake.seen.length;
      adminAt({ clock }).run(call, (error, value) => told.push({ error, value }));
      await until(() => fake.seen.length > from);
      clock.advance(deadlineMs - 1);
      expect(told).toEqual([]);
      clock.advance(1);
      expect(told.map((t) => t.error?.code)).toEqual([code]);
      expect(told[0]?.error?.message).toContain(`timed out after ${deadlineMs} ms`);
      expect(fake.seen.length).toBe(from + 1);
    }
  });

  test('[SV2] all tries of a read together keep its deadline', async () => {
    const clock = handClock();
    const told: (OptaError | null)[] = [];
    fake.fail = { status: 503, body: {} };
    adminAt({ clock }).run({ id: 'lmx.available' }, (error) => told.push(error));
    await until(() => fake.seen.length === 1);
    fake.delayMs = 60_000;
    let passedMs = 0;
    await until(() => {
      clock.advance(1);
      passedMs += 1;
      return fake.seen.length === 2;
    });
    clock.advance(LIMITS.lmxReadMs - passedMs - 1);
    expect(told).toEqual([]);
    clock.advance(1);
    expect(told.map((e) => e?.code)).toEqual(['lmx-timeout']);
  });
});

describe('bounds', () => {
  test('[SV3] an answer above its bound, and one that is not of LMX, are no answers', async () => {
    const bodies: unknown[] = [
      `{"a":"${'x'.repeat(LIMITS.lmxAnswerBytesMax)}"}`,
      '',
      '[',
      'null',
      '"text"',
      '{"loaded":[{"id":7}]}',
      '{"loaded":{}}',
      '{}',
    ];
    for (const body of bodies) {
      fake.fail = { status: 200, body };
      expect((await run(adminAt(), { id: 'lmx.models' })).error?.code).toBe('lmx-protocol');
    }
    fake.fail = { status: 302, body: {}, headers: { location: 'http://192.0.2.1/' } };
    expect((await run(adminAt(), { id: 'lmx.status' })).error?.code).toBe('lmx-protocol');
  });

  test('[SV3] more calls at once than the bound are refused, and the place of one that ended is free again', async () => {
    const admin = adminAt();
    fake.delayMs = 200;
    const calls = Array.from({ length: LIMITS.lmxCallsMax + 3 }, () => run(admin, { id: 'lmx.memory' }));
    const codes = (await Promise.all(calls)).map((t) => t.error?.code ?? 'ok');
    expect(codes.filter((c) => c === 'too-many-requests')).toHaveLength(3);
    expect((await run(admin, { id: 'lmx.memory' })).error).toBeNull();
  });

  test('loaded models are kept for a while, never beyond a change, and a failure is not kept', async () => {
    const clock = handClock();
    const admin = adminAt({ clock });
    const reads = () => fake.lines().filter((line) => line === 'GET /admin/models null').length;
    fake.fail = { status: 403, body: {} };
    expect((await run(admin, { id: 'lmx.models' })).error?.code).toBe('lmx-unauthorized');
    fake.fail = null;
    await Promise.all(Array.from({ length: 5 }, () => run(admin, { id: 'lmx.models' })));
    expect(reads()).toBe(2);
    clock.advance(LIMITS.lmxModelsCacheMs - 1);
    await run(admin, { id: 'lmx.models' });
    expect(reads()).toBe(2);
    clock.advance(1);
    await run(admin, { id: 'lmx.models' });
    expect(reads()).toBe(3);
    await run(admin, { id: 'lmx.unload', fields: { modelId: 'nope' } });
    await run(admin, { id: 'lmx.models' });
    expect(reads()).toBe(4);
  });

  test('[SV2] closing ends what waits, and nothing is asked afterwards; of a change on its way nobody knows whether it arrived', async () => {
    const admin = adminAt();
    fake.delayMs = 60_000;
    const waiting = [run(admin, { id: 'lmx.memory' }), run(admin, load)];
    await until(() => fake.seen.length === 2);
    admin.close();
    const codes = (await Promise.all(waiting)).map(({ error }) => error?.code);
    expect(codes).toEqual(['shutting-down', 'outcome-unknown']);
    expect((await run(admin, { id: 'lmx.status' })).error?.code).toBe('shutting-down');
    expect(fake.seen).toHaveLength(2);
    await until(() => lmx.connections() === 0);
  });
});

describe('words', () => {
  test('[IN4] a refusal keeps status and code of LMX; 401 and codes that are none do not pass', async () => {
    const told = async (status: number, body: unknown, headers: object = {}) => {
      fake.fail = { status, body, headers };
      const { error } = await run(adminAt(), { id: 'lmx.unload', fields: { modelId: 'm' } });
      return [errorStatus(error as OptaError), errorBody(error as OptaError)];
    };
    expect(await told(404, { error: { message: 'gone', code: 'model_not_found' } })).toEqual([
      404,
      {
        error: '127.0.0.1: gone',
        code: 'model_not_found',
        cause: 'no-model-loaded',
        retryable: true,
        serverStatus: 404,
        serverCode: 'model_not_found',
      },
    ]);
    expect(await told(403, { error: { message: 'off', code: 'downloads_disabled' } })).toMatchObject([
      403,
      { code: 'downloads_disabled', cause: 'lmx-request-rejected', retryable: false },
    ]);
    expect(await told(401, { detail: 'no' })).toMatchObject([403, { error: '127.0.0.1: no', code: 'unauthorized' }]);
    expect(await told(422, 'plain')).toMatchObject([422, { error: '127.0.0.1: HTTP 422', code: 'http_422' }]);
    expect(await told(409, { code: 'a code\n', message: 'x' })).toMatchObject([409, { code: 'conflict' }]);
    expect(await told(429, {}, { 'retry-after': '7' })).toMatchObject([
      429,
      { code: 'rate_limited', cause: 'lmx-busy', retryAfterMs: 7_000 },
    ]);
  });

  test('what has to come first, and what is not known, are told as LMX says them', async () => {
    fake.reply = ({ path }) =>
      path.startsWith('/admin/models/load')
        ? {
            status: 202,
            body: { status: 'download_required', model_id: 'm', confirmation_token: 't', message: 'large' },
          }
        : path.startsWith('/admin/models/downloads')
          ? { status: 200, body: { downloads: [{ download_id: 'd', repo_id: 'r', status: 'failed' }] } }
          : path === '/admin/models'
            ? { status: 200, body: { loaded: [{ id: 'm', memory_gb: null, context_length: null, loaded_at: 1e300 }] } }
            : undefined;
    const admin = adminAt();
    expect((await run(admin, load)).value).toEqual({
      model_id: 'm',
      status: 'download_required',
      confirmation_token: 't',
      message: 'large',
    });
    expect((await run(admin, { id: 'lmx.downloads', fields: { includeInactive: true } })).value).toEqual({
      downloads: [{ downloadId: 'd', download_id: 'd', repoId: 'r', repo_id: 'r', status: 'failed' }],
      count: 1,
      includeInactive: true,
    });
    expect((await run(admin, { id: 'lmx.models' })).value).toEqual({ models: [{ model_id: 'm', status: 'loaded' }] });
  });
});
