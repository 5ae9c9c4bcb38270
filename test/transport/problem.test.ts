import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ERRORS, type ErrorCode, OptaError } from '../../src/protocol/errors.ts';
import { errorResponse, wantsProblem } from '../../src/transport/problem.ts';
import { AUTH, raw, TOKEN, type World, world } from './world.ts';

let w: World;
beforeAll(async () => {
  w = await world({ observerToken: `${TOKEN}ff` });
});
afterAll(() => w.close());
afterEach(() => {
  w.runtime.fail = null;
  w.runtime.state = 'ready';
});

const ACCEPT = { accept: 'application/problem+json' };
const AS_JSON = { 'content-type': 'application/json' };
const SUBMIT = { clientId: 'c', writerId: 'w', content: 'hello', mode: 'chat' };

test.each([
  ['application/problem+json', true],
  ['Application/Problem+JSON', true],
  ['application/json, application/problem+json', true],
  ['application/problem+json, application/json;q=0.9', true],
  ['application/json;q=0.5, application/problem+json;q=0.5', true],
  ['text/html, application/problem+json;q=0.1, */*;q=0.8', true],
  ['application/json, application/problem+json;q=0.9', false],
  ['application/problem+json;q=0', false],
  ['application/problem+json;q=x', false],
  ['application/problem+xml', false],
  ['application/json', false],
  ['application/*', false],
  ['*/*', false],
  ['', false],
])('[AU1] Accept: %s asks for problem details: %s', (accept, wanted) => {
  expect(wantsProblem(accept)).toBe(wanted);
});

describe('failures', () => {
  const asked = async (path: string, init: RequestInit = {}) => {
    const r = await w.get(path, { headers: { ...AUTH, ...ACCEPT }, ...init });
    expect(r.headers.get('content-type')).toBe('application/problem+json');
    return JSON.parse(r.text);
  };

  test('[AU1] each of them comes as problem details when it is asked for, whatever found the fault', async () => {
    w.runtime.seed('s');
    expect(await asked('/v3/health?token=wrong', { headers: ACCEPT })).toEqual({
      type: 'urn:opta:error:unauthorized',
      title: 'Unauthorized',
      status: 401,
      detail: 'Unauthorized',
      instance: '/v3/health',
      code: 'unauthorized',
      retryable: false,
    });
    expect(await asked('/no/such')).toMatchObject({
      type: 'urn:opta:error:not-found',
      title: 'Not found',
      status: 404,
      detail: 'Not Found',
    });
    expect(await asked('/v3/sessions/nobody')).toMatchObject({ status: 404, code: 'session-not-found' });
    expect(await asked('/v3/sessions/a%20b')).toMatchObject({ status: 400, details: [{ path: ['id'] }] });
    expect(
      await asked('/v3/health', { headers: { ...AUTH, ...ACCEPT, origin: 'https://evil.example' } }),
    ).toMatchObject({ status: 403, code: 'forbidden-origin' });
    const write = { method: 'POST', body: '{', headers: { ...AUTH, ...ACCEPT, ...AS_JSON } };
    expect(await asked('/v3/sessions', write)).toMatchObject({ status: 400, code: 'invalid-json' });
    const observer = { ...write, headers: { ...ACCEPT, authorization: `Bearer ${TOKEN}ff` } };
    expect(await asked('/v3/sessions', observer)).toMatchObject({ status: 403, code: 'read-only-token' });
    w.runtime.fail = new TypeError('secret');
    expect(await asked('/v3/sessions/s')).toMatchObject({ status: 500, code: 'internal', detail: 'Internal error' });
    w.runtime.state = 'read-only';
    expect(await asked('/readyz')).toMatchObject({ status: 503, code: 'storage-read-only', ready: false });
  });

  test('[AU1] facts stand beside the standard members and cannot replace them', async () => {
    w.runtime.fail = new OptaError('state-conflict', 'Moved on', { seq: 9, revision: 7, status: 'odd', type: 'odd' });
    const init = { method: 'POST', body: JSON.stringify(SUBMIT), headers: { ...AUTH, ...ACCEPT, ...AS_JSON } };
    expect(await asked('/v3/sessions/s/turns', init)).toEqual({
      type: 'urn:opta:error:state-conflict',
      title: 'State conflict',
      status: 409,
      detail: 'Moved on',
      instance: '/v3/sessions/s/turns',
      code: 'state-conflict',
      retryable: false,
      seq: 9,
      revision: 7,
    });
  });

  test('[AU1] an upgrade that is refused says so in the same way', async () => {
    const ask = `GET /v3/ws?sessionId=a HTTP/1.1\r\nHost: 127.0.0.1:${w.server.port}\r\nOrigin: https://evil.example\r\n`;
    const upgrade = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n';
    const key = `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAccept: ${ACCEPT.accept}\r\n\r\n`;
    const { text } = await raw(w.server.port, [ask + upgrade + key], { enough: (t) => t.includes('}') });
    expect(text).toMatch(/^HTTP\/1\.1 403 [\s\S]*application\/problem\+json[\s\S]*"code":"forbidden-origin"/);
  });

  test('[AU1] without it everything is as it was', async () => {
    for (const accept of ['*/*', 'application/json', 'text/html,*/*;q=0.8']) {
      const r = await w.get('/no/such', { headers: { ...AUTH, accept } });
      expect(r.headers.get('content-type')).toBe('application/json; charset=utf-8');
      expect(r.json).toMatchObject({ error: 'Not Found', code: 'not-found', statusCode: 404 });
    }
  });

  test('[TQ4] what may come again says when: 429 and a daemon that stops', () => {
    const head = { method: 'GET', path: '/x', query: '', headers: new Map() };
    const waitOf = (code: ErrorCode, facts = {}) =>
      errorResponse(head, new OptaError(code, 'x', facts)).headers.find(([name]) => name === 'retry-after')?.[1];
    const waits = Object.keys(ERRORS).filter((code) => waitOf(code as ErrorCode) !== undefined);
    expect(waits).toEqual(['queue-full', 'too-many-requests', 'shutting-down']);
    expect([waitOf('queue-full', { retryAfterMs: 2_400 }), waitOf('queue-full')]).toEqual(['3', '1']);
  });
});
