import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { AUTH, attach, Client, type Frame, TOKEN, until, type World, world } from './world.ts';

let w: World;
let clients: Client[] = [];
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());
afterEach(async () => {
  for (const c of clients) c.ws.terminate();
  clients = [];
  w.runtime.release();
  w.runtime.attachFault = null;
  await until('no attachment is left', () => w.runtime.attachments.size === 0);
});

const open = async (query: string): Promise<Client> => {
  const c = await attach(w, query);
  clients.push(c);
  return c;
};
const connect = (query: string, headers: { [name: string]: string } = {}): Client => {
  const c = new Client(w.server.port, query, headers);
  clients.push(c);
  return c;
};
const submit = (sessionId: string, more: object = {}): object => ({
  type: 'turn.submit',
  sessionId,
  clientId: 'client-a',
  writerId: 'writer-a',
  content: 'hello',
  mode: 'chat',
  ...more,
});
const isAck = (f: Frame): boolean => f.type === 'ack';

describe('entering', () => {
  test.each([
    ['no token', 'sessionId=a', {}],
    ['a wrong token', 'sessionId=a&token=x', {}],
    ['two tokens', `sessionId=a&token=${TOKEN}&token=${TOKEN}`, {}],
    ['a wrong bearer beside the right query', `sessionId=a&token=${TOKEN}`, { authorization: 'Bearer x' }],
    ['no token and no session', '', {}],
  ])('[AC1] %s: error frame and 4001, and nothing was attached', async (_name, query, headers) => {
    const before = w.runtime.detached;
    const c = connect(query, headers as { [name: string]: string });
    expect(await c.ended()).toEqual({ code: 4001, reason: 'unauthorized' });
    expect(c.frames).toEqual([{ error: 'Unauthorized', code: 'unauthorized', retryable: false }]);
    expect([w.runtime.attachments.size, w.runtime.detached]).toEqual([0, before]);
  });

  test.each([
    ['none', '', 'Missing sessionId query parameter'],
    ['an empty one', 'sessionId=', 'Missing sessionId query parameter'],
    ['two', 'sessionId=a&sessionId=b', 'Missing sessionId query parameter'],
    ['an unsafe one', 'sessionId=..%2Fx', 'Invalid session id'],
  ])('[AC1] session ids: %s is 4000', async (_name, query, error) => {
    const c = connect(`${query}&token=${TOKEN}`);
    expect((await c.ended()).code).toBe(4000);
    expect(c.frames[0]).toMatchObject({ error, code: 'missing-session' });
  });

  test('[AC1] the bearer header alone is enough, and another path is no socket', async () => {
    const c = connect('sessionId=a', AUTH);
    await c.opened();
    const other = new Client(w.server.port, '');
    other.ws.terminate();
    const ws = connect('');
    ws.ws.terminate();
    const res = await fetch(`${w.url}/v3/ws?sessionId=a`, { headers: AUTH });
    expect(res.status).toBe(404);
  });

  test('[SV1] a runtime that refuses the attachment closes the socket with its code', async () => {
    w.runtime.attachFault = new OptaError('session-quarantined', 'Session is quarantined');
    const c = connect(`sessionId=a&token=${TOKEN}`);
    expect(await c.ended()).toEqual({ code: 1011, reason: 'session-quarantined' });
    expect(c.frames).toEqual([{ error: 'Session is quarantined', code: 'session-quarantined', retryable: false }]);
    w.runtime.attachFault = new TypeError('secret');
    const d = connect(`sessionId=a&token=${TOKEN}`);
    expect(await d.ended()).toEqual({ code: 1011, reason: 'internal' });
    expect(JSON.stringify(d.frames)).not.toContain('secret');
  });
});

describe('events', () => {
  test('[EV3] replay and live carry the stored bytes, from the cursor on', async () => {
    w.runtime.seed('ev');
    for (let i = 0; i < 20; i++) w.runtime.token('ev', `ü${i}`);
    const all = await open('sessionId=ev&afterSeq=0');
    const tail = await open('sessionId=ev&afterSeq=15');
    await until('replayed', () => all.texts.length === 21 && tail.texts.length === 6);
    for (let i = 0; i < 20; i++) w.runtime.token('ev', `live${i}`);
    const stored = w.runtime.records('ev').map((r) => r.text);
    await until('live', () => all.texts.length === 41 && tail.texts.length === 26);
    expect(all.texts).toEqual(stored);
    expect(tail.texts).toEqual(stored.slice(15));
  });

  test.each(['abc', 'NaN', '-1', '', '1.5', 'Infinity'])('[EV2] afterSeq=%s counts as 0', async (afterSeq) => {
    w.runtime.seed('nan');
    const c = await open(`sessionId=nan&afterSeq=${afterSeq}`);
    await c.next((f) => f.seq === 1);
  });

  test('[EV2] an unknown session is silent until it exists; a cursor beyond the head is silent too', async () => {
    const c = await open('sessionId=later');
    const beyond = await open('sessionId=later&afterSeq=99');
    w.runtime.seed('later');
    expect((await c.next((f) => f.seq === 1)).event).toBe('session.snapshot');
    expect(beyond.frames).toEqual([]);
  });

  test('[EV2] a slow reader is fed again when it drains, without gap', async () => {
    w.runtime.seed('slow');
    const c = await open('sessionId=slow');
    await c.next((f) => f.seq === 1);
    c.ws.pause();
    for (let i = 0; i < 300; i++) {
      w.runtime.token('slow', 'x'.repeat(50_000));
      if (i % 20 === 19) await new Promise((wake) => setImmediate(wake));
    }
    const [attachment] = w.runtime.attachments;
    expect(attachment?.cursor).toBeLessThan(301);
    expect(attachment?.reader.bufferedBytes()).toBeGreaterThan(200_000);
    c.ws.resume();
    await until('all came', () => c.frames.length === 301);
    expect(c.frames.map((f) => f.seq)).toEqual(Array.from({ length: 301 }, (_, i) => i + 1));
    expect(attachment?.drains).toBeGreaterThan(0);
  });

  test('[EV2] the runtime can warn and close; the client gets the reason', async () => {
    w.runtime.seed('rt');
    const c = await open('sessionId=rt&afterSeq=1');
    await until('attached', () => w.runtime.attachments.size === 1);
    const [attachment] = w.runtime.attachments;
    attachment?.reader.warn('storage-read-only', 'Nothing can be written');
    attachment?.reader.close('slow-reader', 'Too slow');
    attachment?.reader.close('slow-reader', 'Too slow');
    attachment?.reader.send('late');
    expect(await c.ended()).toEqual({ code: 4008, reason: 'slow-reader' });
    expect(c.frames.map((f) => f.code)).toEqual(['storage-read-only', 'slow-reader']);
  });
});

describe('commands', () => {
  beforeAll(() => w.runtime.seed('c'));

  test('[TQ2] submit: the ack has the recorded shape, mode defaults to chat, requestId comes back', async () => {
    const c = await open('sessionId=c&afterSeq=1');
    c.send(submit('c', { mode: undefined, requestId: 'r1' }));
    const ack = await c.next(isAck);
    expect(ack).toEqual({
      type: 'ack',
      action: 'turn.submit',
      turnId: expect.any(String),
      queued: 0,
      seq: expect.any(Number),
      requestId: 'r1',
    });
    expect(c.frames.find((f) => f.event === 'turn.queued')).toMatchObject({ seq: ack.seq, payload: { mode: 'chat' } });
    c.send(submit('nope', { requestId: 'r2' }));
    expect(await c.next((f) => f.error)).toEqual({
      error: 'Session not found: nope',
      code: 'session-not-found',
      retryable: false,
      requestId: 'r2',
    });
  });

  test('[TQ2] submits reach the runtime in the order of the frames', async () => {
    const c = await open('sessionId=c&afterSeq=999');
    const from = w.runtime.submits.length;
    const wanted = Array.from({ length: 50 }, (_, i) => `in order ${i}`);
    for (const content of wanted) c.send(submit('c', { content }));
    await until('acked', () => c.frames.filter(isAck).length === 50);
    expect(w.runtime.submits.slice(from)).toEqual(wanted);
  });

  test('[CX1] cancel: hit, miss and unknown session are acks', async () => {
    const c = await open('sessionId=c&afterSeq=999');
    c.send({ type: 'turn.cancel', sessionId: 'c', turnId: 'active' });
    c.send({ type: 'turn.cancel', sessionId: 'nope', requestId: 'r' });
    await until('both', () => c.frames.length === 2);
    expect(c.frames).toEqual([
      { type: 'ack', action: 'turn.cancel', cancelled: { cancelledQueued: 0, cancelledActive: true } },
      { type: 'ack', action: 'turn.cancel', cancelled: { cancelledQueued: 0, cancelledActive: false }, requestId: 'r' },
    ]);
  });

  test('[PM2] permission: won, lost, unknown and gone are acks', async () => {
    w.runtime.openRequests.add('perm_ws');
    const c = await open('sessionId=c&afterSeq=999');
    const decide = (more: object): void =>
      c.send({
        type: 'permission.resolve',
        sessionId: 'c',
        requestId: 'perm_ws',
        decision: 'allow',
        decidedBy: 'a',
        ...more,
      });
    decide({});
    await until('won', () => c.frames.length === 1);
    decide({ decision: 'deny', decidedBy: 'b', ackId: 'k' });
    decide({ requestId: 'perm_x' });
    decide({ sessionId: 'nope' });
    await until('all', () => c.frames.length === 4);
    const at = (result: object, more = {}): object => ({ type: 'ack', action: 'permission.resolve', result, ...more });
    const [won, lost, unknown, gone] = c.frames;
    expect(won).toEqual(at({ ok: true, conflict: false, decision: 'allow' }));
    expect(lost).toMatchObject(
      at(
        {
          ok: false,
          conflict: true,
          message: 'Permission request already resolved',
          decision: 'allow',
          decidedBy: 'a',
        },
        { requestId: 'k' },
      ),
    );
    expect(unknown).toMatchObject(at({ ok: false, conflict: false, message: 'Unknown permission request' }));
    expect(gone).toMatchObject(
      at({ ok: false, conflict: false, message: 'Session not found', code: 'session-not-found' }),
    );
  });

  test('[AU1] hello is quiet, ping gets a heartbeat with the cursor on that socket alone', async () => {
    w.runtime.seed('hb');
    const [a, b] = [await open('sessionId=hb'), await open('sessionId=hb')];
    await until('replayed', () => a.frames.length === 1 && b.frames.length === 1);
    a.send({ type: 'hello', sessionId: 'other', afterSeq: 5, clientId: 'x' });
    a.send({ type: 'ping', requestId: 'p' });
    const beat = await a.next((f) => f.type === 'heartbeat');
    expect(beat).toEqual({
      type: 'heartbeat',
      event: 'heartbeat',
      sessionId: 'hb',
      seq: 1,
      ts: expect.any(String),
      requestId: 'p',
    });
    expect([a.frames.length, b.frames.length]).toEqual([2, 1]);
  });

  test('[AU1] bad frames are told and leave the socket open', async () => {
    const c = await open('sessionId=c&afterSeq=999');
    for (const bad of ['{nope', 'null', '[]', '7', '{}', '{"type":"x"}', Buffer.from([1, 2, 3])]) c.send(bad);
    c.send({ type: 'turn.submit', sessionId: '../x', requestId: 'r9' });
    await until('all', () => c.frames.length === 8);
    expect(c.frames[0]).toEqual({ error: 'Invalid JSON payload', code: 'invalid-json', retryable: false });
    for (const f of c.frames.slice(1)) {
      expect(f).toMatchObject({ error: 'Invalid WS payload', code: 'invalid-request', retryable: false });
      expect(f.details.length).toBeGreaterThan(0);
    }
    expect(c.frames[7].requestId).toBe('r9');
    c.send({ type: 'ping' });
    await c.next((f) => f.type === 'heartbeat');
  });

  test('[SV3] unanswered commands of one socket are bounded, and the refused ones never run', async () => {
    w.runtime.hold = true;
    const c = await open('sessionId=c&afterSeq=999');
    const from = w.runtime.submits.length;
    const max = LIMITS.socketCommandsMax;
    for (let i = 0; i < max + 5; i++) c.send(submit('c', { requestId: `q${i}` }));
    await until('five refused', () => c.frames.length === 5);
    expect(c.frames.map((f) => [f.code, f.retryable, f.requestId])).toEqual(
      Array.from({ length: 5 }, (_, i) => ['too-many-requests', true, `q${max + i}`]),
    );
    expect(w.runtime.submits.length - from).toBe(max);
    w.runtime.release();
    await until('the others are answered', () => c.frames.filter(isAck).length === max);
    c.send(submit('c', { requestId: 'again' }));
    await c.next((f) => f.type === 'ack' && f.requestId === 'again');
  });
});
