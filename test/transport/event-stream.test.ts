import { get, type IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { Reader } from '../../src/actors/runtime.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { type Guest, withGuests } from './guests.ts';
import { type Asked, type MemoryAdapter, memoryAdapter, parseEvents, settle } from './memory-adapter.ts';
import { AUTH, TOKEN, until, type World, world } from './world.ts';

let w: World;
let adapter: MemoryAdapter;
let guests: Guest[];
beforeEach(async () => {
  adapter = memoryAdapter();
  w = await world({ adapter });
  guests = withGuests(w.runtime);
});
afterEach(async () => {
  await w.close();
  vi.useRealTimers();
});

const open = async (query: string, headers: { [name: string]: string } = {}): Promise<Asked> => {
  const asked = adapter.ask(`/v3/sse/events?${query}`, { ...AUTH, ...headers });
  await settle();
  return asked;
};
const streamOf = (asked: Asked) => asked.stream as NonNullable<Asked['stream']>;
const fill = (sessionId: string, tokens: number): void => {
  w.runtime.seed(sessionId);
  for (let i = 0; i < tokens; i++) w.runtime.token(sessionId, `ü${i}`);
};
const ids = (asked: Asked) => streamOf(asked).events.map((e) => Number(e.id));
const stored = (sessionId: string, from = 0) =>
  w.runtime
    .records(sessionId)
    .slice(from)
    .map((r) => `id: ${r.seq}\ndata: ${r.text}\n\n`)
    .join('');

describe('events.stream', () => {
  test('[EV3] replay and live carry the stored bytes as unnamed events, each with its seq as id', async () => {
    fill('a', 3);
    const asked = await open('sessionId=a');
    expect(asked.reply?.status).toBe(200);
    expect(asked.header('content-type')).toBe('text/event-stream');
    expect(asked.header('cache-control')).toBe('no-cache, no-transform');
    expect(asked.header('x-accel-buffering')).toBe('no');
    w.runtime.token('a', 'live');
    expect(streamOf(asked).text).toBe(`: connected\n\n${stored('a')}`);
    expect(streamOf(asked).text).not.toMatch(/^event:/m);
    expect(guests.map((g) => g.who)).toEqual([{ role: 'observer', via: 'sse' }]);
  });

  test.each([
    ['afterSeq', 'sessionId=a&afterSeq=2', {}, 2],
    ['lastEventId over afterSeq', 'sessionId=a&afterSeq=1&lastEventId=3', {}, 3],
    ['the header over afterSeq', 'sessionId=a&afterSeq=1', { 'last-event-id': '3' }, 3],
    ['the header and the same in the query', 'sessionId=a&lastEventId=3', { 'last-event-id': '3' }, 3],
    ['a header that is no number', 'sessionId=a&afterSeq=2', { 'last-event-id': 'x' }, 2],
    ['no number at all', 'sessionId=a&afterSeq=NaN', {}, 0],
  ])('[EV2] the cursor: %s', async (_name, query, headers, from) => {
    fill('a', 4);
    const asked = await open(query, headers as { [name: string]: string });
    expect(streamOf(asked).text).toBe(`: connected\n\n${stored('a', from)}`);
  });

  test('[EV2] a browser that came with ?lastEventId= and comes back with the header goes on from the header', async () => {
    fill('a', 9);
    expect(ids(await open('sessionId=a&afterSeq=1&lastEventId=5'))[0]).toBe(6);
    const again = await open('sessionId=a&afterSeq=1&lastEventId=5', { 'last-event-id': '9' });
    expect(ids(again)).toEqual([10]);
  });

  test('[AC1] what cannot be opened is told as JSON, before any stream', async () => {
    const told = async (query: string, headers: { [name: string]: string }) => {
      const asked = adapter.ask(`/v3/sse/events?${query}`, headers);
      await settle();
      return [asked.stream, asked.reply?.status, JSON.parse(asked.reply?.body ?? '').code];
    };
    expect(await told('sessionId=a', {})).toEqual([null, 401, 'unauthorized']);
    expect(await told('sessionId=a&token=x', {})).toEqual([null, 401, 'unauthorized']);
    for (const query of ['', 'sessionId=', 'sessionId=..%2Fx', 'sessionId=a&sessionId=b']) {
      expect([query, ...(await told(query, AUTH))]).toEqual([query, null, 400, 'invalid-request']);
    }
    const inQuery = adapter.ask(`/v3/sse/events?sessionId=a&token=${TOKEN}`);
    await settle();
    expect(inQuery.stream).not.toBeNull();
    expect(guests).toHaveLength(1);
  });

  test('[EV2] a slow reader is fed again when it has taken what was there, without gap', async () => {
    w.runtime.seed('slow');
    const asked = await open('sessionId=slow');
    const stream = streamOf(asked);
    stream.deaf = true;
    for (let i = 0; i < 40; i++) w.runtime.token('slow', 'x'.repeat(20_000));
    expect(guests[0]?.attachment.cursor).toBeLessThan(41);
    while (stream.bufferedBytes() > 0) stream.take();
    expect(ids(asked)).toEqual(Array.from({ length: 41 }, (_, i) => i + 1));
    expect(stream.text).toBe(`: connected\n\n${stored('slow')}`);
  });

  test('[EV2] a stream that lost its place says so and ends', async () => {
    fill('gap', 3);
    const asked = await open('sessionId=gap');
    const { reader, attachment } = guests[0] as Guest;
    const inner = [...w.runtime.attachments][0] as { cursor: number };
    inner.cursor = 6;
    expect(attachment.cursor).toBe(6);
    reader.send('{"seq":6}');
    expect(ids(asked).slice(0, 4)).toEqual([1, 2, 3, 4]);
    expect(streamOf(asked).events.at(-1)).toMatchObject({
      event: 'error',
      data: expect.stringContaining('after seq 4'),
    });
    expect([streamOf(asked).state, guests.length]).toEqual(['ended', 0]);
  });

  test('[EV2] an unknown session is told once, and followed when it is made', async () => {
    const asked = await open('sessionId=later');
    const { reader } = guests[0] as Guest;
    reader.warn('session-not-found', 'Session not found: later');
    w.runtime.seed('later');
    const [warned, first] = streamOf(asked).events;
    expect(warned?.event).toBe('error');
    expect(JSON.parse(warned?.data ?? '')).toEqual({
      error: 'Session not found: later',
      code: 'session-not-found',
      retryable: false,
    });
    expect([first?.id, streamOf(asked).state]).toEqual(['1', 'open']);
  });

  test('[EV2] an end has its reason before it; a reader with no room for that is cut', async () => {
    w.runtime.seed('end');
    const told = await open('sessionId=end');
    const deaf = await open('sessionId=end');
    const [one, two] = guests.map((g) => g.reader) as [Reader, Reader];
    one.close('storage', 'The event log cannot be read');
    one.send('late');
    expect(streamOf(told).events.at(-1)).toMatchObject({
      event: 'error',
      data: expect.stringContaining('"code":"storage"'),
    });
    expect(streamOf(told).state).toBe('ended');
    streamOf(deaf).deaf = true;
    streamOf(deaf).write('x'.repeat(LIMITS.readerBytesMax + 1));
    two.close('slow-reader', 'Nothing was read');
    expect([streamOf(deaf).state, guests.length]).toEqual(['cut', 0]);
  });

  test('[SV1] a runtime that refuses is told on the stream; a fault ends that one and no other', async () => {
    w.runtime.seed('ok');
    const fine = await open('sessionId=ok');
    w.runtime.attachFault = new OptaError('too-many-requests', 'There are too many');
    const refused = await open('sessionId=ok');
    expect(streamOf(refused).events).toMatchObject([{ event: 'error', data: expect.stringContaining('too-many') }]);
    w.runtime.attachFault = new TypeError('secret');
    const broken = await open('sessionId=ok');
    expect(streamOf(broken).state).toBe('cut');
    expect(streamOf(broken).text).not.toContain('secret');
    expect(JSON.stringify(w.faults)).toContain('secret');
    expect(streamOf(fine).state).toBe('open');
    const metrics = adapter.ask('/v3/metrics', AUTH);
    await settle();
    const { limits } = JSON.parse(metrics.reply?.body ?? '');
    expect(limits.find((g: { name: string }) => g.name === 'streams').value).toBe(1);
  });

  test('[SV2] a client that leaves is detached, also one that left before its answer', async () => {
    w.runtime.seed('l');
    const asked = await open('sessionId=l');
    expect(guests).toHaveLength(1);
    asked.leave();
    const early = adapter.ask('/v3/sse/events?sessionId=l', AUTH);
    early.leave();
    await settle();
    expect([guests.length, early.stream]).toEqual([0, null]);
  });

  test('[SV2] a HEAD has the head and attaches nobody', async () => {
    const asked = adapter.ask('/v3/sse/events?sessionId=a', AUTH, 'HEAD');
    await settle();
    expect([asked.reply?.status, asked.header('content-type'), asked.stream]).toEqual([200, 'text/event-stream', null]);
    expect(guests).toHaveLength(0);
  });

  test('[SV2] it is pinged, and a client that takes nothing for a minute is cut', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    w.runtime.seed('p');
    const asked = await open('sessionId=p&afterSeq=1');
    const stream = streamOf(asked);
    vi.advanceTimersByTime(LIMITS.streamPingMs * 2);
    expect(stream.text).toBe(': connected\n\n: ping\n\n: ping\n\n');
    stream.deaf = true;
    w.runtime.token('p', 'x');
    const before = stream.bufferedBytes();
    vi.advanceTimersByTime(LIMITS.readerStallMs - 1);
    expect([stream.state, stream.bufferedBytes()]).toEqual(['open', before]);
    vi.advanceTimersByTime(LIMITS.streamPingMs);
    expect([stream.state, guests.length, vi.getTimerCount()]).toEqual(['cut', 0, 0]);
  });

  test('[SV3] the number of streams is bounded: one more is 429 and may come again', async () => {
    const all = Array.from({ length: LIMITS.streamsMax }, () => adapter.ask('/v3/sse/events?sessionId=n', AUTH));
    await settle();
    expect(all.every((a) => a.stream)).toBe(true);
    const refused = await open('sessionId=n');
    expect([refused.stream, refused.reply?.status, refused.header('retry-after')]).toEqual([null, 429, '1']);
    all[0]?.leave();
    expect((await open('sessionId=n')).stream).not.toBeNull();
  });

  test('[SV2] when the server closes, every stream is told and ended', async () => {
    w.runtime.seed('c');
    const asked = await open('sessionId=c');
    await w.close();
    expect(streamOf(asked).events.at(-1)).toMatchObject({
      event: 'error',
      data: expect.stringContaining('"code":"shutting-down"'),
    });
    expect([streamOf(asked).state, guests.length]).toEqual(['ended', 0]);
    const late = await open('sessionId=c');
    expect([late.reply?.status, late.header('retry-after')]).toEqual([503, String(LIMITS.drainDeadlineMs / 1000)]);
  });
});

describe('events.stream over real sockets', () => {
  let real: World;
  const opened: IncomingMessage[] = [];
  beforeEach(async () => {
    real = await world();
  });
  afterEach(async () => {
    for (const res of opened.splice(0)) res.destroy();
    await real.close();
  });

  const listen = (path: string, headers: { [name: string]: string } = {}) =>
    new Promise<{ res: IncomingMessage; text: () => string; ended: () => boolean }>((resolve, reject) => {
      get(real.url + path, { headers: { ...AUTH, ...headers } }, (res) => {
        let [text, ended] = ['', false];
        opened.push(res);
        res.setEncoding('utf8');
        res.on('data', (part: string) => {
          text += part;
        });
        res.on('end', () => {
          ended = true;
        });
        res.on('error', () => undefined);
        resolve({ res, text: () => text, ended: () => ended });
      }).on('error', reject);
    });
  const seqs = (text: string) => parseEvents(text).map((e) => Number(e.id));

  test('[EV3] replay and live, and a browser that comes back with Last-Event-ID misses nothing', async () => {
    real.runtime.seed('r');
    for (let i = 0; i < 5; i++) real.runtime.token('r', `ü${i}`);
    const first = await listen('/v3/sse/events?sessionId=r', { origin: 'http://localhost:3004' });
    expect(first.res.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'access-control-allow-origin': 'http://localhost:3004',
    });
    real.runtime.token('r', 'live');
    await until('seven events', () => seqs(first.text()).length === 7);
    expect(parseEvents(first.text()).map((e) => e.data)).toEqual(real.runtime.records('r').map((r) => r.text));
    first.res.destroy();
    await until('detached', () => real.runtime.attachments.size === 0);
    real.runtime.token('r', 'meanwhile');
    const again = await listen('/v3/sse/events?sessionId=r&afterSeq=0', { 'last-event-id': '7' });
    await until('the missed one', () => seqs(again.text()).length === 1);
    expect(seqs(again.text())).toEqual([8]);
  });

  test('[EV2] a slow reader is fed again when it drains, without gap', async () => {
    real.runtime.seed('slow');
    const { res, text } = await listen('/v3/sse/events?sessionId=slow');
    await until('attached', () => seqs(text()).length === 1);
    res.pause();
    for (let i = 0; i < 300; i++) {
      real.runtime.token('slow', 'x'.repeat(50_000));
      if (i % 20 === 19) await new Promise((wake) => setImmediate(wake));
    }
    expect([...real.runtime.attachments][0]?.cursor).toBeLessThan(301);
    res.resume();
    await until('all came', () => text().includes('id: 301\n'), 10_000);
    expect(seqs(text())).toEqual(Array.from({ length: 301 }, (_, i) => i + 1));
  });

  test('[SV2] close ends the streams in good order', async () => {
    real.runtime.seed('c');
    const [events, health] = [await listen('/v3/sse/events?sessionId=c'), await listen('/v3/health/stream')];
    await until('both are open', () => events.text().includes('id: 1') && health.text().includes('"status"'));
    await real.close();
    await until('both ended', () => events.ended() && health.ended());
    for (const { text } of [events, health]) expect(parseEvents(text()).at(-1)?.data).toContain('shutting-down');
    expect(real.runtime.attachments.size).toBe(0);
  });
});
