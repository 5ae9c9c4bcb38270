import { expect, test } from 'vitest';
import type { ResponseStream, TransportAdapter } from '../../src/transport/port.ts';
import { contractWorld, ends, get, nextTurn, OK, post } from './contract-world.ts';
import { raw, until } from './world.ts';

const LINE = 'y'.repeat(60_000);

/** What every adapter owes to an answer that is written for as long as it takes. */
export const streamContract = (adapter: () => TransportAdapter): void => {
  const w = contractWorld(adapter);

  const numbers = (text: string): number[] => [...text.matchAll(/<(\d+)/g)].map((m) => Number(m[1]));
  const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  /** Writes to a client that does not read until `enough`; the number of lines that were written. */
  const fill = async (stream: ResponseStream, enough: () => boolean): Promise<number> => {
    let sent = 0;
    while (!enough() && sent < 2_000) {
      for (let i = 0; i < 10; i++) stream.write(`<${sent++} ${LINE}`);
      await nextTurn();
    }
    return sent;
  };

  test('[EV2] what is written arrives at once, in order and whole, and the connection goes on', async () => {
    const seen = w.stream();
    const r = w.reader(get('/'));
    await until('the stream', () => seen.streams.length === 1);
    const stream = seen.streams[0] as ResponseStream;
    stream.write('one ');
    await until('the first text', () => r.body.text === 'one ');
    expect(r.text).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*content-type: text\/plain\r\n/i);
    expect(r.text).toMatch(/\r\ntransfer-encoding: chunked\r\n/i);
    stream.write('tẅo ');
    stream.write('');
    stream.write('three');
    stream.end();
    stream.write('after');
    stream.end();
    await until('the end', () => r.body.whole);
    expect(Buffer.from(r.body.text, 'latin1').toString()).toBe('one tẅo three');
    await until('closed', () => seen.closes === 1 && w.t.usage().exchanges === 0);
    w.http = (_h, e) => e.reply(OK('next'));
    r.socket.write(get('/'));
    await until('the next answer', () => r.text.endsWith('next'));
    stream.cut();
    expect([r.ended, seen.closes, stream.bufferedBytes()]).toEqual([false, 1, 0]);
    r.socket.destroy();
  });

  test('[EV2] texts of one turn count until they left, and arrive in order', async () => {
    const seen = w.stream();
    const r = w.reader(get('/'));
    await until('the stream', () => seen.streams.length === 1);
    const stream = seen.streams[0] as ResponseStream;
    stream.write('first');
    await until('the head', () => r.body.text === 'first');
    for (const i of upTo(200)) stream.write(`<${i}>`);
    expect(stream.bufferedBytes()).toBe(upTo(200).join('').length + 400);
    await until('all', () => r.text.includes('<199>'));
    expect(numbers(r.body.text)).toEqual(upTo(200));
    await until('drained', () => seen.drains === 1);
    r.socket.destroy();
    await until('closed', () => seen.closes === 1);
  });

  test('[AU1] an empty body, HEAD, an answer after the stream began, and a request body nobody read', async () => {
    let late: (() => void) | null = null;
    const streams: (ResponseStream | null)[] = [];
    const end = { drain: () => undefined, closed: () => undefined };
    w.http = (h, e) => {
      const stream = e.stream({ status: 201, headers: [['x-a', 'b']] }, end);
      streams.push(stream);
      e.reply(OK('never'));
      stream?.end();
      if (h.path === '/last') late = () => e.reply(OK('never'));
    };
    const requests = [get('/', 'HEAD'), get('/'), post('unread'), get('/last', 'HEAD')];
    for (const request of requests) {
      const { text } = await raw(w.port, [request], { waitMs: 2_000, enough: (t) => /\r\n\r\n$/.test(t) });
      expect(text).toMatch(/^HTTP\/1\.1 201 Created\r\nx-a: b\r\n/i);
      expect(text.replace(/^[\s\S]*?\r\n\r\n/, '')).toMatch(/^(?:0\r\n\r\n)?$/);
    }
    (late as (() => void) | null)?.();
    expect(streams.map((s) => s === null)).toEqual([true, false, false, true]);
    await until('all are over', () => w.t.usage().exchanges === 0);
    expect(w.faults).toEqual([]);
  });

  test('[EV2] a slow reader: the backlog is told honestly, drain follows, and nothing is skipped', async () => {
    const seen = w.stream();
    const r = w.reader(get('/'));
    await until('the stream', () => seen.streams.length === 1);
    const stream = seen.streams[0] as ResponseStream;
    r.socket.pause();
    const sent = await fill(stream, () => stream.bufferedBytes() > 4 << 20);
    expect(stream.bufferedBytes()).toBeGreaterThan(4 << 20);
    const before = seen.drains;
    await new Promise((wake) => setTimeout(wake, 50));
    expect(seen.drains).toBe(before);
    r.socket.resume();
    await until('drained', () => seen.drains > before && stream.bufferedBytes() === 0);
    stream.write('<done');
    stream.end();
    await until('the end', () => r.text.endsWith('0\r\n\r\n'));
    expect(numbers(r.body.text)).toEqual(upTo(sent));
    expect(r.body).toMatchObject({ whole: true, text: expect.stringMatching(/<done$/) });
    expect([seen.closes, w.t.usage().slowClosed]).toEqual([1, 0]);
    r.socket.destroy();
  });

  test('[EV2] the end waits for the backlog of a slow reader', async () => {
    const seen = w.stream();
    const r = w.reader(get('/'));
    await until('the stream', () => seen.streams.length === 1);
    const stream = seen.streams[0] as ResponseStream;
    r.socket.pause();
    const sent = await fill(stream, () => stream.bufferedBytes() > 2 << 20);
    stream.end();
    await nextTurn();
    expect(seen.closes).toBe(0);
    r.socket.resume();
    await until('the end', () => r.text.endsWith('0\r\n\r\n') && seen.closes === 1);
    expect(numbers(r.body.text)).toEqual(upTo(sent));
    r.socket.destroy();
  });

  test('[EV2] [SV3] above its byte budget a stream is cut: the client sees a failure, and a prefix without gap', async () => {
    await w.restart({ socketBytesMax: 1 << 20 });
    const seen = w.stream();
    const r = w.reader(get('/'));
    await until('the stream', () => seen.streams.length === 1);
    const stream = seen.streams[0] as ResponseStream;
    r.socket.pause();
    await fill(stream, () => seen.closes > 0);
    await until('closed', () => seen.closes === 1 && w.t.usage().exchanges === 0);
    expect(w.t.usage().slowClosed).toBe(1);
    r.socket.resume();
    await until('gone', () => r.ended);
    const got = numbers(r.body.text);
    expect(got).toEqual(upTo(got.length));
    expect(r.body.whole).toBe(false);
  });

  test('[SV1] a cut, a client that leaves, and handlers that throw end their own stream, once', async () => {
    const seen = w.stream();
    const cut = w.reader(get('/'));
    await until('the first', () => seen.streams.length === 1);
    seen.streams[0]?.write('part');
    await until('some text', () => cut.body.text === 'part');
    seen.streams[0]?.cut();
    await until('the cut', () => cut.ended && seen.closes === 1);
    expect(cut.body.whole).toBe(false);
    seen.streams[0]?.write('x');

    const leaves = w.reader(get('/'));
    await until('the second', () => seen.streams.length === 2);
    leaves.socket.destroy();
    await until('it is noticed', () => seen.closes === 2);
    seen.streams[1]?.write('x');
    expect(seen.streams[1]?.bufferedBytes()).toBe(0);

    const bad = (): never => {
      throw new Error('bug');
    };
    w.http = (_h, e) => {
      const stream = e.stream({ status: 200, headers: [] }, { drain: bad, closed: bad });
      stream?.write('text');
      expect(stream?.bufferedBytes()).toBe(4);
    };
    const throws = w.reader(get('/'));
    await until('the third ends', () => throws.ended);
    await until('nothing is left', () => w.t.usage().exchanges === 0);
    expect(w.faults).toEqual(['stream', 'stream']);
    w.http = (_h, e) => e.reply(OK('fine'));
    expect((await raw(w.port, [get('/')], ends('fine'))).text).toMatch(/fine$/);
    expect(seen.closes).toBe(2);
  });

  test('[SV2] close: a stream that its handler ends is whole; a deaf one, and one that is not over, are cut at the deadline', async () => {
    const seen = w.stream();
    const fine = w.reader(get('/'));
    await until('the first', () => seen.streams.length === 1);
    const deaf = w.reader(get('/'));
    await until('the second', () => seen.streams.length === 2);
    deaf.socket.pause();
    await fill(seen.streams[1] as ResponseStream, () => (seen.streams[1]?.bufferedBytes() ?? 0) > 2 << 20);
    const half = w.reader(get('/'));
    await until('the third', () => seen.streams.length === 3);
    seen.streams[2]?.write('a half');
    await until('a half', () => half.body.text === 'a half');
    seen.streams[0]?.write('the last words');
    seen.streams[0]?.end();
    const startedAt = performance.now();
    await w.t.close(300);
    expect(performance.now() - startedAt).toBeLessThan(1_500);
    await until('the end', () => fine.body.whole);
    expect(fine.body.text).toBe('the last words');
    expect([seen.closes, w.t.usage().exchanges]).toEqual([3, 0]);
    // Its reader must not take it for a whole one.
    await until('cut too', () => half.ended);
    expect([half.body.text, half.body.whole]).toEqual(['a half', false]);
    fine.socket.destroy();
    deaf.socket.resume();
    await until('cut', () => deaf.ended);
    expect(deaf.body.whole).toBe(false);
  });
};
