import { afterEach, beforeEach, describe, expect, expectTypeOf, test } from 'vitest';
import { OptaClient as Client } from '../../src/client/client.ts';
import { defaultStateFile } from '../../src/client/discover.ts';
import { retryDelay } from '../../src/client/faults.ts';
import { type CallInput, connect, type NewTurn, type OptaClient } from '../../src/client/index.ts';
import { webPlatform } from '../../src/client/web.ts';
import { optaPaths } from '../../src/config/paths.ts';
import { ERRORS, type ErrorCode, OptaError } from '../../src/protocol/errors.ts';
import { OPERATION_IDS, type OperationId } from '../../src/protocol/operations.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';

let daemon: FakeDaemon;
let client: OptaClient;
let lookups = 0;
beforeEach(async () => {
  daemon = await new FakeDaemon().start();
  lookups = 0;
  client = connect({
    address: () => {
      lookups += 1;
      return Promise.resolve(daemon.address);
    },
  });
});
afterEach(async () => {
  client.close();
  await daemon.stop();
});

const turn = { clientId: 'test', writerId: 'ada', content: 'x', mode: 'chat' } as const;
const fast = { backoff: { baseMs: 2, maxMs: 10 } };
const submits = () => daemon.asked.filter((a) => a.path.endsWith('/turns'));
const keys = () => submits().map((s) => (s.body as { idempotencyKey?: string }).idempotencyKey);
const queued = () => daemon.session('s').log.filter((r) => r.text.includes('"turn.queued"')).length;
/** Answers the first `times` requests to a path with a failure of this code; the request is not carried out. */
const refuse = (code: ErrorCode, times: number, more: object = {}): void => {
  let left = times;
  daemon.intercept = (_req, res, path) => {
    if (!path.endsWith('/turns') || left === 0) return false;
    left -= 1;
    res.writeHead(ERRORS[code].status, { 'content-type': 'application/json' });
    res.end(JSON.stringify({ error: code, code, retryable: ERRORS[code].retryable, ...more }));
    return true;
  };
};

describe('calls', () => {
  test('[CL2] any operation of the table is typed and called by its id; parameters are escaped', async () => {
    await client.createSession({ sessionId: 's', title: 'Beans' });
    const found = await client.call('sessions.get', { params: { id: 's' } });
    expectTypeOf(found.messages).items.toHaveProperty('content').toEqualTypeOf<string>();
    expect(found).toMatchObject({ sessionId: 's', title: 'Beans' });
    expect(
      (await client.call('events.read', { params: { id: 's' }, query: { afterSeq: 0, limit: 1 } })).events,
    ).toHaveLength(1);
    await expect(client.call('sessions.why', { params: { id: '../x' } })).rejects.toMatchObject({
      code: 'session-not-found',
    });
    expect(daemon.asked.at(-1)?.path).toBe('/v3/sessions/..%2Fx/why');
    // A browser would go up a folder for it, and so to another route.
    for (const id of ['.', '..']) {
      await expect(client.call('sessions.delete', { params: { id } })).rejects.toMatchObject({
        code: 'invalid-request',
      });
    }
    expect(daemon.asked.at(-1)?.path).toBe('/v3/sessions/..%2Fx/why');
    expectTypeOf<Parameters<OptaClient['call']>[0]>().toEqualTypeOf<OperationId>();
    expectTypeOf<{ params: { id: string }; body: object }>().not.toExtend<CallInput<'turns.submit'>>();
    expectTypeOf<{ params: { id: string }; body: NewTurn }>().toExtend<CallInput<'turns.submit'>>();
    expectTypeOf<object>().not.toExtend<CallInput<'sessions.get'>>();
    expectTypeOf<object>().toExtend<CallInput<'inspect'>>();
    expectTypeOf(client.call<'sessions.export'>).returns.resolves.toEqualTypeOf<string>();
    expect(OPERATION_IDS.length).toBeGreaterThan(10);
  });

  test('[CL2] text comes as text, whole or as it arrives', async () => {
    daemon.intercept = (_req, res, path) => {
      if (!path.endsWith('/export')) return false;
      res.writeHead(200, { 'content-type': 'application/jsonl' });
      res.write('{"seq":1}\n');
      setTimeout(() => res.end('{"ü":2}\n'), 20);
      return true;
    };
    const input = { params: { id: 's' }, query: { format: 'jsonl' } } as const;
    expect(await client.call('sessions.export', input)).toBe('{"seq":1}\n{"ü":2}\n');
    const parts: string[] = [];
    for await (const part of client.stream('sessions.export', input)) parts.push(part);
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.join('')).toBe('{"seq":1}\n{"ü":2}\n');
    for await (const part of client.stream('sessions.export', input)) {
      expect(part).toBe('{"seq":1}\n');
      break;
    }
  });

  test('[CL2, SV2] every call has a deadline and a signal, also while the daemon is looked for', async () => {
    daemon.intercept = () => true;
    await expect(client.call('inspect', { deadlineMs: 30 })).rejects.toMatchObject({ code: 'timeout' });
    await expect(client.call('inspect', { signal: AbortSignal.timeout(30) })).rejects.toMatchObject({
      code: 'cancelled',
    });
    await expect(client.call('inspect', { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'cancelled' });
    const lost = connect({ address: () => new Promise(() => undefined) });
    await expect(lost.call('inspect', { deadlineMs: 30 })).rejects.toMatchObject({ code: 'timeout' });
  });

  test("[AU2] a failure has the daemon's code and facts; without one, the closest to the status", async () => {
    await expect(client.getSession('nope')).rejects.toMatchObject({
      code: 'session-not-found',
      facts: { status: 404 },
    });
    daemon.intercept = (_req, res) => Boolean(res.writeHead(507).end('<html>'));
    await expect(client.getSession('s')).rejects.toMatchObject({ code: 'storage', facts: { status: 507 } });
    daemon.intercept = (_req, res) => Boolean(res.writeHead(200).end('{"a":'));
    await expect(client.getSession('s')).rejects.toMatchObject({ code: 'internal', facts: { broken: true } });
    daemon.intercept = (_req, res) => Boolean(res.writeHead(200).end('{"a":1}'));
    await expect(client.getSession('s')).rejects.toMatchObject({ code: 'internal', facts: { broken: true } });
    daemon.intercept = (_req, res) => {
      res.writeHead(200, { 'content-length': '100' }).write('{"a":');
      setTimeout(() => res.destroy(), 5);
      return true;
    };
    await expect(client.getSession('s')).rejects.toMatchObject({ code: 'daemon-unreachable' });
  });

  test('[CL1] a restarted daemon is found by the call that misses it: new port, new token', async () => {
    daemon.session('s');
    await client.getSession('s');
    expect(lookups).toBe(1);
    await daemon.restart();
    expect(await client.getSession('s')).toMatchObject({ sessionId: 's' });
    expect(lookups).toBe(2);
    // Only the token is new: the refused command has not happened, so it is sent again.
    const before = daemon.token;
    daemon.token = 'another-token-of-the-same-port';
    await client.createSession({ sessionId: 'again' });
    expect(daemon.token).not.toBe(before);
    expect(lookups).toBe(3);
  });

  test('[CL2] a command that may have happened is not sent twice by itself, and neither is one to a daemon that stays', async () => {
    await client.createSession({ sessionId: 's' });
    daemon.swallow = (command) => command === '/v3/sessions';
    await expect(client.createSession({ sessionId: 'b' })).rejects.toMatchObject({ code: 'daemon-unreachable' });
    expect(daemon.asked.filter((a) => a.path === '/v3/sessions')).toHaveLength(2);
  });

  test('the same core speaks through fetch and the WebSocket of the platform, as in a page', async () => {
    const web = new Client(webPlatform(), () => Promise.resolve(daemon.address));
    await web.createSession({ sessionId: 's' });
    expect(await web.getSession('s')).toMatchObject({ sessionId: 's' });
    await expect(web.getSession('nope')).rejects.toMatchObject({ code: 'session-not-found' });
    await daemon.restart();
    expect(await web.getSession('s')).toMatchObject({ sessionId: 's' });
    web.close();
  });

  test('the state file is where the daemon writes it, whatever the environment', () => {
    for (const env of [
      { OPTA_HOME: '/a', XDG_CONFIG_HOME: '/b', HOME: '/c' },
      { XDG_CONFIG_HOME: '/b', HOME: '/c' },
      { XDG_CONFIG_HOME: 'relative', HOME: '/c' },
      { OPTA_HOME: 'here' },
      {},
    ]) {
      expect(defaultStateFile(env)).toBe(optaPaths(env).stateFile);
    }
  });
});

describe('submits', () => {
  beforeEach(() => void daemon.session('s'));

  test('[CL2] an answer that is lost is asked for again with the same key: one turn, its first answer', async () => {
    daemon.swallow = (command, times) => command.endsWith('/turns') && times <= 3;
    const retried: string[] = [];
    const onRetry = (error: OptaError): void => void retried.push(error.code);
    const answer = await client.submitTurn('s', turn, { ...fast, onRetry });
    expect(answer).toMatchObject({ turnId: expect.any(String), seq: 2, replayed: true });
    expect(retried).toEqual(['daemon-unreachable', 'daemon-unreachable', 'daemon-unreachable']);
    expect(new Set(keys()).size).toBe(1);
    expect(submits()).toHaveLength(4);
    expect(queued()).toBe(1);
  });

  test('[CL2, AU3] a daemon that knows no keys is sent a submit once, whatever became of the answer', async () => {
    daemon.capabilities = [];
    daemon.swallow = (command) => command.endsWith('/turns');
    await expect(client.submitTurn('s', turn, fast)).rejects.toMatchObject({ code: 'outcome-unknown' });
    expect([submits().length, queued()]).toEqual([1, 1]);
  });

  test('[CL2] a key of the caller is used; without one each submit has its own', async () => {
    await client.submitTurn('s', { ...turn, idempotencyKey: 'mine' });
    expect(await client.submitTurn('s', { ...turn, idempotencyKey: 'mine' })).toMatchObject({ replayed: true });
    await client.submitTurn('s', turn);
    await client.submitTurn('s', turn);
    expect(keys().slice(0, 2)).toEqual(['mine', 'mine']);
    expect(new Set(keys()).size).toBe(3);
    expect(queued()).toBe(3);
    await expect(client.submitTurn('s', { ...turn, content: 'y', idempotencyKey: 'mine' })).rejects.toMatchObject({
      code: 'idempotency-mismatch',
      facts: { idempotencyKey: 'mine', attempts: 1 },
    });
  });

  test.each(['timeout', 'outcome-unknown', 'internal', 'storage', 'shutting-down'] as const)(
    '[CL2] %s is tried again with the same key',
    async (code) => {
      refuse(code, 2);
      expect(await client.submitTurn('s', turn, fast)).toMatchObject({ seq: 2 });
      expect(submits()).toHaveLength(3);
      expect(new Set(keys()).size).toBe(1);
      expect(queued()).toBe(1);
    },
  );

  test('[CL2] what is refused for good is not tried again', async () => {
    for (const code of [
      'state-conflict',
      'session-busy',
      'invalid-request',
      'storage-full',
      'session-not-found',
    ] as const) {
      refuse(code, 1);
      await expect(client.submitTurn('s', turn, fast)).rejects.toMatchObject({ code, facts: { attempts: 1 } });
    }
  });

  test('[CL2] a full queue is waited for only if asked, and as long as the daemon says', async () => {
    refuse('queue-full', 1, { retryAfterMs: 120 });
    await expect(client.submitTurn('s', turn, fast)).rejects.toMatchObject({ code: 'queue-full' });
    refuse('queue-full', 1, { retryAfterMs: 120 });
    const from = performance.now();
    await client.submitTurn('s', turn, { ...fast, waitForRoom: true });
    expect(performance.now() - from).toBeGreaterThanOrEqual(119);
    refuse('too-many-requests', 1, { retryAfterMs: 60_000 });
    await expect(client.submitTurn('s', turn, { ...fast, waitForRoom: true, deadlineMs: 500 })).rejects.toMatchObject({
      code: 'too-many-requests',
    });
  });

  test('[CL2, SV2] it ends at its deadline, or when it is aborted, and names the key to go on with', async () => {
    daemon.swallow = (command) => command.endsWith('/turns');
    const failed = await client.submitTurn('s', turn, { ...fast, deadlineMs: 400 }).catch((e: OptaError) => e);
    expect(failed).toMatchObject({ facts: { idempotencyKey: keys()[0] } });
    expect(['daemon-unreachable', 'timeout']).toContain((failed as OptaError).code);
    // The last one may have had no time left to get out.
    expect((failed as OptaError).facts.attempts).toBeGreaterThanOrEqual(submits().length);
    expect(submits().length).toBeGreaterThan(1);
    const control = new AbortController();
    const onRetry = (): void => control.abort();
    await expect(client.submitTurn('s', turn, { ...fast, signal: control.signal, onRetry })).rejects.toMatchObject({
      facts: { attempts: 1 },
    });
    daemon.swallow = () => false;
    const key = (failed as OptaError).facts.idempotencyKey as string;
    expect(await client.submitTurn('s', { ...turn, idempotencyKey: key })).toMatchObject({ replayed: true });
  });

  test('[CL1, CL2] a daemon that dies with the answer is found again, and knows the key', async () => {
    daemon.swallow = (command, times) => {
      if (times > 1 || !command.endsWith('/turns')) return false;
      void daemon.restart();
      return true;
    };
    expect(await client.submitTurn('s', turn, fast)).toMatchObject({ seq: 2, replayed: true });
    expect(queued()).toBe(1);
    expect(lookups).toBeGreaterThan(1);
  });

  test('[CL2] the pause before the next attempt: a table', () => {
    const at = (code: ErrorCode, facts: object, attempt: number, waitForRoom = false) =>
      retryDelay(new OptaError(code, '', { ...facts }), attempt, {
        waitForRoom,
        random: () => 1,
        backoff: { baseMs: 100, maxMs: 1_000 },
      });
    expect(at('timeout', {}, 0)).toBe(100);
    expect(at('timeout', {}, 3)).toBe(800);
    expect(at('timeout', {}, 30)).toBe(1_000);
    expect(at('internal', { broken: true }, 0)).toBeNull();
    expect(at('queue-full', { retryAfterMs: 5_000 }, 0)).toBeNull();
    expect(at('queue-full', { retryAfterMs: 5_000 }, 0, true)).toBe(5_100);
    expect(at('too-many-requests', {}, 1, true)).toBe(200);
    const again = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => at(code, {}, 0) !== null);
    expect(again.sort()).toEqual(
      ['daemon-unreachable', 'internal', 'outcome-unknown', 'shutting-down', 'storage', 'timeout'].sort(),
    );
    const jittered = Array.from({ length: 50 }, () => retryDelay(new OptaError('timeout', ''), 2, {}) ?? 0);
    expect(Math.min(...jittered)).toBeGreaterThanOrEqual(100);
    expect(Math.max(...jittered)).toBeLessThanOrEqual(400);
    expect(new Set(jittered).size).toBeGreaterThan(10);
  });
});

test('[CL2, SV2] a client that is closed sends nothing more, and its retries end', async () => {
  daemon.session('s');
  daemon.swallow = (command) => command.endsWith('/turns');
  const onRetry = (): void => client.close();
  await expect(client.submitTurn('s', turn, { ...fast, onRetry })).rejects.toMatchObject({ code: 'cancelled' });
  await expect(client.getSession('s')).rejects.toMatchObject({ code: 'cancelled' });
  expect(submits()).toHaveLength(1);
});

describe('other commands', () => {
  test('[CL2, PM2] a decision whose answer was lost is sent again: the own one that stands is a success, another is not', async () => {
    daemon.session('s');
    const decision = { requestId: 'r1', decision: 'allow', decidedBy: 'ada' } as const;
    daemon.swallow = (command, times) => command.includes('/permissions/') && times === 1;
    await client.resolvePermission('s', decision, fast);
    expect(daemon.asked.filter((a) => a.path.includes('/permissions/'))).toHaveLength(2);
    await expect(client.resolvePermission('s', { ...decision, decision: 'deny' })).rejects.toMatchObject({
      code: 'permission-resolved',
      facts: { decision: 'allow', decidedBy: 'person:ada' },
    });
    await expect(client.resolvePermission('s', { ...decision, decidedBy: 'bob' })).rejects.toMatchObject({
      code: 'permission-resolved',
    });
  });

  test('[CL2] a cancel is sent again until it is answered', async () => {
    daemon.session('s');
    daemon.swallow = (command, times) => command.endsWith('/cancel') && times <= 2;
    expect(await client.cancel('s', { turnId: 't' }, fast)).toMatchObject({ ok: true });
    expect(daemon.asked.filter((a) => a.path.endsWith('/cancel'))).toHaveLength(3);
  });
});
