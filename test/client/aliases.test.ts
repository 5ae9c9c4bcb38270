import type { IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DaemonHttpClient, DaemonWsClient } from '../../src/client/index.ts';
import { until } from '../support/cli.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await new FakeDaemon().start();
});
afterEach(() => daemon.stop());

const turn = { clientId: 'c', writerId: 'w', content: 'hi', mode: 'chat' } as const;

describe('DaemonHttpClient', () => {
  /** Method → what it asks for, as the package that it stands in for does. */
  const TABLE: [call: (c: DaemonHttpClient) => Promise<unknown>, request: string, body?: unknown][] = [
    [(c) => c.health(), 'GET /v3/health'],
    [(c) => c.metrics(), 'GET /v3/metrics'],
    [(c) => c.createSession({ title: 't' }), 'POST /v3/sessions', { title: 't' }],
    [(c) => c.getSession('a'), 'GET /v3/sessions/a'],
    [(c) => c.submitTurn('a', turn), 'POST /v3/sessions/a/turns', turn],
    [(c) => c.cancel('a'), 'POST /v3/sessions/a/cancel', {}],
    [(c) => c.cancel('a', { turnId: 't' }), 'POST /v3/sessions/a/cancel', { turnId: 't' }],
    [
      (c) => c.resolvePermission('a', { requestId: 'r', decision: 'deny', decidedBy: 'x' }),
      'POST /v3/sessions/a/permissions/r',
      { requestId: 'r', decision: 'deny', decidedBy: 'x' },
    ],
    [(c) => c.events('a', 7), 'GET /v3/sessions/a/events?afterSeq=7'],
    [(c) => c.listOperations(), 'GET /v3/operations'],
    [(c) => c.runOperation('env.list'), 'POST /v3/operations/env.list', {}],
    [
      (c) => c.runOperation('mcp.test', { confirmDangerous: true }),
      'POST /v3/operations/mcp.test',
      { confirmDangerous: true },
    ],
    [(c) => c.listBackground('a'), 'GET /v3/background?sessionId=a'],
    [
      (c) => c.startBackground({ sessionId: 'a', command: 'ls' }),
      'POST /v3/background/start',
      { sessionId: 'a', command: 'ls' },
    ],
    [(c) => c.backgroundStatus('p'), 'GET /v3/background/p/status'],
    [(c) => c.backgroundOutput('p', { afterSeq: 1, limit: 2 }), 'GET /v3/background/p/output?afterSeq=1&limit=2'],
    [(c) => c.killBackground('p'), 'POST /v3/background/p/kill', {}],
    [(c) => c.killBackground('p', 'SIGTERM'), 'POST /v3/background/p/kill', { signal: 'SIGTERM' }],
    [(c) => c.lmxStatus(), 'GET /v3/lmx/status'],
    [(c) => c.lmxModels(), 'GET /v3/lmx/models'],
    [(c) => c.lmxMemory(), 'GET /v3/lmx/memory'],
    [(c) => c.lmxAvailable(), 'GET /v3/lmx/models/available'],
    [(c) => c.lmxLoad('m', { backend: 'b' }), 'POST /v3/lmx/models/load', { modelId: 'm', backend: 'b' }],
    [(c) => c.lmxConfirmLoad('tok'), 'POST /v3/lmx/models/load/confirm', { confirmationToken: 'tok' }],
    [(c) => c.lmxUnload('m'), 'POST /v3/lmx/models/unload', { modelId: 'm' }],
    [(c) => c.lmxDelete('org/m'), 'DELETE /v3/lmx/models/org%2Fm'],
    [(c) => c.lmxDownload('org/m'), 'POST /v3/lmx/models/download', { repoId: 'org/m' }],
    [(c) => c.lmxDownloads(true), 'GET /v3/lmx/models/downloads?includeInactive=true'],
    [(c) => c.lmxDownloadProgress('d'), 'GET /v3/lmx/models/download/d/progress'],
    [(c) => c.lmxDiscovery(), 'GET /v3/lmx/discovery'],
    [(c) => c.bridgeStatus(), 'GET /v3/bridge/status'],
    [(c) => c.bridgeConnect(), 'POST /v3/bridge/connect', {}],
    [(c) => c.bridgeDisconnect(), 'POST /v3/bridge/disconnect', {}],
    [(c) => c.deviceBootstrap(), 'POST /v3/device/bootstrap', {}],
    [(c) => c.deviceExecute({ op: 1 }), 'POST /v3/device/execute', { op: 1 }],
  ];

  test('each method asks for what its namesake asks for, with the token in the header', async () => {
    const seen: { req: IncomingMessage; body: unknown }[] = [];
    daemon.intercept = (req, res) => {
      seen.push({ req, body: daemon.asked.at(-1)?.body });
      res.writeHead(200, { 'content-type': 'application/json' }).end('{"cancelled":0}');
      return true;
    };
    const client = new DaemonHttpClient(daemon.address);
    for (const [call, request, body] of TABLE) {
      await call(client);
      const last = seen.at(-1);
      expect(`${last?.req.method} ${last?.req.url}`).toBe(request);
      expect(last?.body, request).toEqual(body ?? {});
      expect(last?.req.headers.authorization).toBe(`Bearer ${daemon.token}`);
      expect(last?.req.headers['content-type'], request).toBe(body === undefined ? undefined : 'application/json');
    }
    expect(seen).toHaveLength(TABLE.length);
  });

  test('a failure has the status and the body in its text; a route that is not there is such a failure', async () => {
    const client = new DaemonHttpClient(daemon.address);
    await expect(client.lmxStatus()).rejects.toThrow(/^Daemon request failed \(404\): \{"error":/);
    const wrong = new DaemonHttpClient({ ...daemon.address, token: 'no' });
    await expect(wrong.health()).rejects.toThrow('Daemon request failed (401): {"error":"Unauthorized"}');
    daemon.intercept = (_req, res) => Boolean(res.writeHead(409).end('{"ok":false}'));
    await expect(client.cancel('a')).rejects.toThrow('Daemon request failed (409): {"ok":false}');
  });

  test('a fetch of the caller is used, and as a plain function', async () => {
    const urls: string[] = [];
    const own = function (this: unknown, url: string | URL | Request) {
      if (this !== undefined) throw new TypeError('Illegal invocation');
      urls.push(String(url));
      return Promise.resolve(new Response('{"status":"ok"}'));
    } as typeof fetch;
    const client = new DaemonHttpClient({ host: '::1', port: 9, token: 't', protocol: 'https' }, own);
    expect(await client.health()).toEqual({ status: 'ok' });
    expect(urls).toEqual(['https://[::1]:9/v3/health']);
  });
});

describe('DaemonWsClient', () => {
  test('one socket: events, other frames and the end go to their handlers; commands are sent as they are', async () => {
    daemon.session('s');
    const events: unknown[] = [];
    const messages: { [field: string]: unknown }[] = [];
    const closed: number[] = [];
    let opened = 0;
    const client = new DaemonWsClient(daemon.address);
    const connection = client.connect(
      { sessionId: 's' },
      {
        onOpen: () => {
          opened += 1;
        },
        onEvent: ({ seq }) => events.push(seq),
        onMessage: (message) => messages.push(message),
        onClose: (code) => closed.push(code),
      },
    );
    expect(() => connection.send({})).toThrow('not open');
    await until(() => events.length === 1 && opened === 1, 'the first event');
    connection.sendHello({ clientId: 'c' });
    connection.submitTurn({ requestId: 'q', ...turn });
    await until(() => messages.some((m) => m.type === 'ack'), 'the ack');
    connection.cancel({ turnId: 'none' });
    connection.resolvePermission({ requestId: 'r', decision: 'deny', decidedBy: 'x' });
    connection.send({ type: 'ping' });
    await until(() => messages.some((m) => m.type === 'heartbeat'), 'the heartbeat');
    expect(messages.find((m) => m.type === 'ack')).toMatchObject({ action: 'turn.submit', requestId: 'q' });
    expect(messages.filter((m) => m.v === '3')).toHaveLength(events.length);
    expect(daemon.asked.filter((a) => a.method === 'FRAME').map((a) => [a.path, a.body])).toEqual([
      ['hello', { sessionId: 's', clientId: 'c', type: 'hello' }],
      ['turn.submit', { sessionId: 's', requestId: 'q', ...turn, type: 'turn.submit' }],
      ['turn.cancel', { sessionId: 's', turnId: 'none', type: 'turn.cancel' }],
      [
        'permission.resolve',
        { sessionId: 's', requestId: 'r', decision: 'deny', decidedBy: 'x', type: 'permission.resolve' },
      ],
    ]);
    connection.close();
    await until(() => closed.length === 1, 'the end');
    expect(daemon.asked.find((a) => a.method === 'WS')?.path).not.toContain('token');
  });

  test('the token goes into the URL only when asked; a wrong one is an error frame and 4001', async () => {
    daemon.session('s');
    const closed: number[] = [];
    const messages: unknown[] = [];
    new DaemonWsClient({ ...daemon.address, token: 'wrong' }).connect(
      { sessionId: 's', afterSeq: 3, includeTokenInQuery: true },
      { onClose: (code) => closed.push(code), onMessage: (m) => messages.push(m) },
    );
    await until(() => closed.length === 1, 'the end');
    expect(closed).toEqual([4001]);
    expect(messages).toEqual([{ error: 'Unauthorized', code: 'unauthorized' }]);
    expect(daemon.asked.find((a) => a.method === 'WS')?.path).toBe('/v3/ws?sessionId=s&afterSeq=3&token=wrong');
  });
});
