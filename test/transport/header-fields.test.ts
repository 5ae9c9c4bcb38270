import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withHeaderFields } from '../../src/transport/header-fields.ts';
import { AUTH, type World, world } from './world.ts';

const SUBMIT = { clientId: 'c', writerId: 'w', content: 'hello', mode: 'chat' };

describe('header fields', () => {
  const body = (headers: { [name: string]: string }, given: unknown) =>
    withHeaderFields('turns.submit', new Map(Object.entries(headers)), { params: {}, query: {}, body: given }).body;
  const KEY = { 'idempotency-key': 'k1' };

  test('[AU1] a header is a field of the body, made if there is none', () => {
    expect(body(KEY, { content: 'x' })).toEqual({ content: 'x', idempotencyKey: 'k1' });
    expect(body(KEY, undefined)).toEqual({ idempotencyKey: 'k1' });
    expect(body({}, { content: 'x' })).toEqual({ content: 'x' });
    expect(body({ 'x-other': '1' }, undefined)).toBeUndefined();
  });

  test('[AU1] what is no object is left to the schema', () => {
    for (const odd of [null, [], 'x', 7]) expect(body(KEY, odd)).toEqual(odd);
  });

  test('[AU1] given both ways it must be the same, and prototypes are no fields', () => {
    expect(body(KEY, { idempotencyKey: 'k1' })).toEqual({ idempotencyKey: 'k1' });
    for (const other of ['k2', '', null, 1, ['k1']]) {
      expect(() => body(KEY, { idempotencyKey: other })).toThrow('differ');
    }
    expect(body(KEY, Object.create({ idempotencyKey: 'k2' }))).toEqual({ idempotencyKey: 'k1' });
  });

  test('[AU1] an operation without a body takes it into its query', () => {
    const raw = { params: {}, query: { sessionId: 'a' }, body: undefined };
    const taken = withHeaderFields('events.stream', new Map([['last-event-id', '7']]), raw);
    expect(taken).toEqual({ params: {}, query: { sessionId: 'a', lastEventId: '7' }, body: undefined });
    expect(raw.query).toEqual({ sessionId: 'a' });
  });

  test('[AU1, EV2] Last-Event-ID wins over the query: a browser that reconnects repeats the URL it began with', () => {
    const raw = { params: {}, query: { sessionId: 'a', lastEventId: '5' }, body: undefined };
    const taken = withHeaderFields('events.stream', new Map([['last-event-id', '9']]), raw);
    expect(taken.query).toEqual({ sessionId: 'a', lastEventId: '9' });
    expect(raw.query.lastEventId).toBe('5');
  });
});

describe('over HTTP', () => {
  let w: World;
  const inputs: unknown[] = [];
  beforeAll(async () => {
    w = await world();
    w.runtime.seed('s');
    const submit = w.runtime.submit;
    w.runtime.submit = (id, input, done) => {
      inputs.push(input);
      submit(id, input, done);
    };
  });
  afterAll(() => w.close());

  test('[AU1] Idempotency-Key reaches the runtime as the field of the body does', async () => {
    const one = await w.post('/v3/sessions/s/turns', SUBMIT, { 'idempotency-key': 'a-key' });
    const two = await w.post('/v3/sessions/s/turns', { ...SUBMIT, idempotencyKey: 'a-key' });
    expect([one.status, two.status]).toEqual([202, 202]);
    expect(inputs).toEqual([
      { ...SUBMIT, idempotencyKey: 'a-key' },
      { ...SUBMIT, idempotencyKey: 'a-key' },
    ]);
  });

  test('[AU1] a key that differs, is none, or came twice is refused, and nothing runs', async () => {
    const before = inputs.length;
    const differs = await w.post(
      '/v3/sessions/s/turns',
      { ...SUBMIT, idempotencyKey: 'other' },
      { 'idempotency-key': 'a-key' },
    );
    expect([differs.status, differs.json.code, differs.json.details]).toEqual([
      400,
      'invalid-request',
      [{ path: ['idempotencyKey'], message: expect.any(String) }],
    ]);
    for (const key of ['', 'two words', 'x'.repeat(256)]) {
      expect((await w.post('/v3/sessions/s/turns', SUBMIT, { 'idempotency-key': key })).status).toBe(400);
    }
    const twice = new Headers({ ...AUTH, 'content-type': 'application/json', 'idempotency-key': 'k' });
    twice.append('idempotency-key', 'k');
    const r = await w.get('/v3/sessions/s/turns', { method: 'POST', headers: twice, body: JSON.stringify(SUBMIT) });
    expect([r.status, inputs.length]).toEqual([400, before]);
  });
});
