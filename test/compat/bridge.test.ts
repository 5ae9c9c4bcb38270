import { describe, expect, test } from 'vitest';
import { differs } from './differences.ts';
import { aWorld, everyDifferenceIsTold, ISO, refused, runtimeFacts } from './world.ts';

/** 36: the routes of a bridge to other machines, of which this build has none. */
const world = aWorld();

const OFFLINE = {
  status: 'offline',
  deviceId: null,
  sessionId: null,
  bridgeTokenPresent: false,
  connectedAt: null,
  updatedAt: ISO,
  lastError: null,
  activationState: 'runtime_ready',
};

describe('36 bridge and device', () => {
  test('[OP5] the bridge is offline and stays so: a connect is refused, a disconnect noted', async () => {
    const status = () => world.daemon.get('/v3/bridge/status');
    expect(await status()).toMatchObject({ status: 200, body: { daemonId: world.daemon.daemonId, bridge: OFFLINE } });
    expect(await world.daemon.post('/v3/bridge/connect', {})).toMatchObject({
      status: 400,
      body: { error: 'Invalid request body', details: [{ path: ['deviceId'] }] },
    });
    differs('no-bridge');
    const connect = await world.daemon.post('/v3/bridge/connect', { deviceId: 'd', bridgeToken: 't' });
    expect(connect.status).toBe(501);
    expect(connect.body).toEqual(
      refused(expect.stringMatching(/^Not part of this build/), 'not-in-this-build', { bridge: OFFLINE }),
    );
    expect(await world.daemon.post('/v3/bridge/disconnect', { reason: 'x' })).toMatchObject({
      status: 200,
      body: { ok: true, bridge: { ...OFFLINE, lastError: 'x' } },
    });
    expect((await status()).body).toMatchObject({ bridge: { ...OFFLINE, lastError: 'x' } });
    expect((await world.daemon.post('/v3/bridge/disconnect')).body).toEqual({ ok: true, bridge: OFFLINE });
    expect(await world.daemon.ask({ path: '/v3/bridge/status' })).toMatchObject({ status: 401 });
  });

  test('[OP5] bootstrap says where things are, and that there is no account', async () => {
    const { status, body } = await world.daemon.post('/v3/device/bootstrap', {});
    expect(status).toBe(200);
    expect(body).toEqual({
      daemonId: world.daemon.daemonId,
      version: expect.any(String),
      ts: ISO,
      bridge: OFFLINE,
      connection: { host: '127.0.0.1', fallbackHosts: [], port: world.lmx.port },
      account: null,
      runtime: runtimeFacts,
    });
  });

  test('[OP5] execute runs a named operation under the same rules, and gives the metadata back', async () => {
    const execute = (body: object) => world.daemon.post('/v3/device/execute', body);
    const metadata = { commandId: 'c1', actor: null, issuedAt: null };
    const ran = await execute({ operationId: 'version.check', input: {}, bridgeMetadata: { commandId: 'c1' } });
    expect(ran).toMatchObject({ status: 200, body: { ok: true, id: 'version.check', safety: 'read', result: {} } });
    expect(ran.body).toMatchObject({ bridge: OFFLINE, metadata });
    expect(await execute({})).toMatchObject({
      status: 400,
      body: { error: 'Invalid request body', details: [{ path: ['operationId'] }] },
    });
    const unknown = await execute({ operationId: 'nope' });
    expect(unknown.status).toBe(400);
    expect(unknown.body).toMatchObject({
      error: 'Invalid request body',
      details: [{ path: ['operationId'] }],
      bridge: OFFLINE,
      metadata: { commandId: null, actor: null, issuedAt: null },
    });
    const dangerous = await execute({ operationId: 'daemon.uninstall', bridgeMetadata: { commandId: 'c2' } });
    expect(dangerous).toMatchObject({
      status: 403,
      body: { ok: false, error: { code: 'dangerous_confirmation_required' }, metadata: { commandId: 'c2' } },
    });
    expect((await execute({ operationId: 'vault.pull' })).status).toBe(501);
    // Given back unread, so it has to be something that can be written out again.
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    for (const [at, text] of [
      ['device/execute', `{"operationId":"version.check","bridgeMetadata":{"actor":${deep}}}`],
      ['operations/config.set', `{"input":{"key":"model.default","value":${deep}}}`],
    ]) {
      const headers = { 'content-type': 'application/json' };
      const refused = await world.daemon.authed({ method: 'POST', path: `/v3/${at}`, body: text, headers });
      expect(refused).toMatchObject({ status: 400, body: { error: 'Invalid request body' } });
    }
  });

  test('[AC1] there is no route that a login elsewhere could call back', async () => {
    differs('no-auth-callback');
    expect((await world.daemon.ask({ path: '/auth/callback?code=x' })).status).toBe(404);
  });
});

everyDifferenceIsTold('bridge');
