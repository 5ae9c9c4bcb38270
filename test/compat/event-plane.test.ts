import { describe, expect, test } from 'vitest';
import { until } from '../support/cli.ts';
import type { Client, Frame } from './daemon.ts';
import { differs } from './differences.ts';
import {
  A_TURN,
  aWorld,
  eventsOf,
  everyDifferenceIsTold,
  expectGapless,
  ID,
  idle,
  isAck,
  isEvent,
  isTerminal,
  messagesOf,
  opened,
  outline,
  path,
  refused,
  submit,
  textOf,
  UNAUTHORIZED,
  withCursor,
  words,
} from './world.ts';

/**
 * The promises that clients written against the old daemon rely on, over sockets, against ours as users run it. Each
 * scenario carries the number of the recording whose requests it sends, in the same order; where ours deliberately differs, the
 * line beside it names the row of `differences.ts`.
 */
const world = aWorld();

describe('06 a turn over the socket', () => {
  test('[EV3] snapshot, queued, ack, start, progress, text, done, updated; the log says the same, byte for byte', async () => {
    const client = await opened(world.daemon, 'by-socket', '&afterSeq=0');
    await client.frame(isEvent('session.snapshot'), 'the snapshot');
    client.send(submit('by-socket', 'eight words @@{"tokens":8,"tps":100}@@'));
    const updated = await client.frame(isEvent('session.updated'), 'the end');
    const { frames } = client;
    const ack = frames.find(isAck('turn.submit')) as Frame;
    expect(ack).toEqual({ type: 'ack', action: 'turn.submit', turnId: ID, queued: 0, seq: 2 });

    expect(outline(frames)).toEqual(['session.snapshot', ...A_TURN]);
    expectGapless(frames, 1);
    const at = (fits: (f: Frame) => boolean) => frames.findIndex(fits);
    differs('ack-after-flush');
    expect(at(isEvent('turn.queued'))).toBeLessThan(at(isAck('turn.submit')));
    differs('no-thinking-double');
    expect(frames.some(isEvent('turn.thinking'))).toBe(false);
    expect(textOf(frames, ack.turnId)).toBe(words(8));
    expect(frames.filter(isEvent('turn.token')).length).toBeGreaterThan(1);
    differs('updated-after-end');
    expect(updated.payload).toEqual({ snapshot: idle('by-socket', withCursor) });

    expect(await messagesOf(world.daemon, 'by-socket')).toEqual([
      { role: 'user', content: 'eight words @@{"tokens":8,"tps":100}@@' },
      { role: 'assistant', content: words(8) },
    ]);
    const stored = await world.daemon.get('/v3/sessions/by-socket/events?afterSeq=0');
    expect(stored.text).toBe(`{"events":[${client.texts.filter((t) => t.includes('"v":"3"')).join(',')}]}`);
    await client.close();
    expect(client.closed).toEqual({ code: 1005, reason: '' });
  });
});

const LONG = '@@{"tokens":400,"tps":50}@@';

describe('12 cancelling the running turn', () => {
  test('[CX2] it ends at once, says so once, and the next turn runs', async () => {
    const client = await opened(world.daemon, 'stopped');
    client.send(submit('stopped', `on and on ${LONG}`));
    const { turnId } = await client.frame(isAck('turn.submit'), 'the ack');
    await client.frame(isEvent('turn.token', turnId), 'text');
    const cancel = (body?: unknown, id = 'stopped') => world.daemon.post(`/v3/sessions/${id}/cancel`, body);
    const counts = (cancelled: number) => ({
      ok: true,
      cancelled,
      cancelledQueued: 0,
      cancelledActive: cancelled === 1,
    });

    expect(await cancel({ turnId })).toMatchObject({ status: 200, body: counts(1) });
    const failed = await client.frame(isEvent('turn.error', turnId), 'its end');
    expect(outline(client.frames).slice(-2)).toEqual(['session.cancelled', 'turn.error']);
    expect(client.frames.find(isEvent('session.cancelled'))?.payload).toEqual({ cancelled: 1, turnId });
    differs('cancel-code');
    expect(failed.payload).toMatchObject({
      turnId,
      writerId: 'ada',
      clientId: 'desk',
      message: 'Turn cancelled',
      code: 'cancelled',
      outcome: 'cancelled',
    });

    for (const body of [{ turnId }, {}, undefined]) {
      expect(await cancel(body)).toMatchObject({ status: 200, body: counts(0) });
    }
    expect(await cancel({}, 'nobody')).toMatchObject({
      status: 404,
      body: refused('Session not found', 'session-not-found'),
    });
    differs('messages-kept');
    const before = [
      { role: 'user', content: `on and on ${LONG}` },
      { role: 'assistant', content: textOf(client.frames, turnId) },
    ];
    expect(await messagesOf(world.daemon, 'stopped')).toEqual(before);
    expect((await eventsOf(world.daemon, 'stopped')).at(-1)?.event).toBe('turn.error');

    client.send(submit('stopped', 'two words @@{"tokens":2}@@'));
    await client.frame(isEvent('session.updated'), 'the end of the next');
    expect(outline(client.frames.filter((f) => (f.seq ?? 0) > (failed.seq as number)))).toEqual(A_TURN);
    expectGapless(client.frames, 1);
    const sent = world.lmx.requests.at(-1)?.body.messages?.filter((m) => m.role !== 'system');
    expect(sent?.slice(0, 2)).toEqual(before);
    await client.close();
  });
});

describe('13 cancelling what is not there', () => {
  test('[CX1] an empty body and a foreign id cancel nothing; the socket cancels by name, and acks', async () => {
    const client = await opened(world.daemon, 'going');
    client.send(submit('going', `on and on ${LONG}`));
    const { turnId } = await client.frame(isAck('turn.submit'), 'the ack');
    await client.frame(isEvent('turn.token', turnId), 'text');
    const nothing = { ok: true, cancelled: 0, cancelledQueued: 0, cancelledActive: false };
    for (const body of [{}, { turnId: 'nobodys' }]) {
      expect(await world.daemon.post('/v3/sessions/going/cancel', body)).toMatchObject({ status: 200, body: nothing });
    }
    const seen = client.frames.length;
    await client.frame((f) => isEvent('turn.token')(f) && client.frames.indexOf(f) >= seen, 'more text: it still runs');

    client.send({ type: 'turn.cancel', sessionId: 'going', turnId });
    const ack = await client.frame(isAck('turn.cancel'), 'the ack of the cancel');
    expect(ack).toEqual({
      type: 'ack',
      action: 'turn.cancel',
      cancelled: { cancelledQueued: 0, cancelledActive: true },
    });
    // As ever, the events of a cancel come before its ack.
    expect(outline(client.frames.slice(0, client.frames.indexOf(ack))).slice(-2)).toEqual([
      'session.cancelled',
      'turn.error',
    ]);
    client.send({ type: 'turn.cancel', sessionId: 'nobody' });
    const second = await client.frame((f) => isAck('turn.cancel')(f) && f !== ack, 'the ack for an unknown session');
    expect(second).toMatchObject({ cancelled: { cancelledQueued: 0, cancelledActive: false } });
    await client.close();
  });
});

describe('15 two writers', () => {
  test('[TQ2] turns run one after another in the order of acceptance, and both sockets see the same bytes', async () => {
    await world.daemon.post('/v3/sessions', { sessionId: 'shared' });
    const [a, b] = await Promise.all([world.daemon.connect(path('shared')), world.daemon.connect(path('shared'))]);
    for (const n of [0, 1, 2]) {
      a.send(submit('shared', `a${n} @@{"tokens":3}@@`, { clientId: 'a', writerId: 'ada' }));
      b.send(submit('shared', `b${n} @@{"tokens":3}@@`, { clientId: 'b', writerId: 'bob' }));
    }
    const ended = (c: Client) => () => c.frames.filter(isEvent('session.updated')).length === 6;
    for (const client of [a, b]) await client.frame(ended(client), 'six turns to end');

    differs('no-lost-events');
    const eventTexts = (c: Client) => c.texts.filter((t) => t.includes('"v":"3"'));
    expect(eventTexts(a)).toEqual(eventTexts(b));
    expectGapless(a.frames, 1);
    expect(a.frames.filter(isEvent('turn.progress'))).toHaveLength(6);

    const ids = (event: string) => a.frames.filter(isEvent(event)).map((f) => f.payload?.turnId);
    expect(ids('turn.queued')).toHaveLength(6);
    expect(ids('turn.start')).toEqual(ids('turn.queued'));
    expect(ids('turn.done')).toEqual(ids('turn.queued'));
    // One at a time: each turn's events stand together.
    const runs = a.frames.filter((f) => f.payload?.turnId && f.event !== 'turn.queued').map((f) => f.payload?.turnId);
    expect(runs.filter((id, i) => id !== runs[i - 1])).toEqual(ids('turn.queued'));

    const contents = a.frames.filter(isEvent('turn.queued')).map((f) => String(f.payload?.content).slice(0, 2));
    expect(contents.filter((c) => c.startsWith('a'))).toEqual(['a0', 'a1', 'a2']);
    expect(contents.filter((c) => c.startsWith('b'))).toEqual(['b0', 'b1', 'b2']);
    // An ack names no request, so a socket gets them in the order of its frames.
    for (const [client, writer] of [
      [a, 'ada'],
      [b, 'bob'],
    ] as const) {
      const mine = client.frames.filter(isEvent('turn.queued')).filter((f) => f.payload?.writerId === writer);
      const acks = client.frames.filter(isAck('turn.submit'));
      expect(acks.map((f) => f.turnId)).toEqual(mine.map((f) => f.payload?.turnId));
      differs('queued-count');
      expect(acks.map((f) => f.queued)).toEqual(mine.map((f) => acceptedBehind(a.frames, f)));
    }
    expect(await messagesOf(world.daemon, 'shared')).toEqual(
      contents.flatMap((c) => [
        { role: 'user', content: `${c} @@{"tokens":3}@@` },
        { role: 'assistant', content: words(3) },
      ]),
    );
    await Promise.all([a.close(), b.close()]);
  });
});

/** Turns that were accepted before this one and had not ended. */
const acceptedBehind = (frames: readonly Frame[], queued: Frame): number => {
  const before = frames.filter((f) => f.event !== undefined && (f.seq as number) < (queued.seq as number));
  return before.filter(isEvent('turn.queued')).length - before.filter((f) => isTerminal(f.payload?.turnId)(f)).length;
};

describe('16 reconnecting', () => {
  test('[EV2] a reader that was cut off in mid-turn resumes at its cursor and misses nothing', async () => {
    const first = await opened(world.daemon, 'resumed');
    first.send(submit('resumed', 'thirty words @@{"tokens":30,"tps":60}@@'));
    const { turnId } = await first.frame(isAck('turn.submit'), 'the ack');
    await first.frame(() => textOf(first.frames).length > 20, 'some text');
    await first.cut();
    const cursor = first.frames.findLast((f) => f.event !== undefined)?.seq as number;

    const second = await world.daemon.connect(path('resumed', `&afterSeq=${cursor}`));
    const done = await second.frame(isEvent('session.updated'), 'the end');
    expectGapless(second.frames, cursor + 1);
    differs('text-stored');
    expect(textOf(first.frames, turnId) + textOf(second.frames, turnId)).toBe(words(30));
    await second.close();

    const whole = await world.daemon.connect(path('resumed', '&afterSeq=0'));
    await whole.frame(isEvent('session.updated'), 'the whole log');
    const live = [...first.texts, ...second.texts].filter((t) => t.includes('"v":"3"'));
    expect(whole.texts).toEqual(live);
    expect(outline(whole.frames)).toEqual(['session.snapshot', ...A_TURN]);

    // A cursor beyond the head: nothing but acks, until the log has passed it.
    const ahead = await world.daemon.connect(path('resumed', '&afterSeq=99999'));
    ahead.send(submit('resumed', 'two words @@{"tokens":2}@@'));
    const ack = await ahead.frame(isAck('turn.submit'), 'its ack');
    await whole.frame(isTerminal(ack.turnId), 'the end of the second turn');
    expect(ahead.frames).toEqual([ack]);

    // Not a number counts as 0: a client that has no cursor yet sends that.
    const odd = await world.daemon.connect(path('resumed', '&afterSeq=soon'));
    await odd.frame(isTerminal(ack.turnId), 'the whole log again');
    expectGapless(odd.frames, 1);
    expect(odd.frames.length).toBeGreaterThan(done.seq as number);
    await Promise.all([whole.close(), ahead.close(), odd.close()]);
  });
});

describe('the event stream over HTTP', () => {
  test('[EV3] has what a socket has, as unnamed messages, and is resumed by the last id', async () => {
    const socket = await opened(world.daemon, 'streamed');
    const at = '/v3/sse/events?sessionId=streamed&afterSeq=0&token=$TOKEN';
    const stream = await world.daemon.listen({ path: at });
    socket.send(submit('streamed', 'five words @@{"tokens":5}@@'));
    await socket.frame(isEvent('session.updated'), 'the end');
    const texts = socket.texts.filter((t) => t.includes('"v":"3"'));
    await until(() => stream.messages().length >= texts.length, 'the same events');
    stream.close();
    const events = texts.map((text, i) => `id: ${i + 1}\ndata: ${text}\n\n`);
    expect(stream.text()).toBe(`: connected\n\n${events.join('')}`);
    const again = await world.daemon.listen({ path: at, headers: { 'last-event-id': '3' } });
    await until(() => again.messages().length >= texts.length - 3, 'the rest');
    again.close();
    expect(again.text()).toBe(`: connected\n\n${events.slice(3).join('')}`);
    await socket.close();
  });
});

describe('sockets that cannot be served', () => {
  const refusedWith = async (at: string): Promise<[frames: Frame[], closed: Client['closed']]> => {
    const client = await world.daemon.connect(at);
    await until(() => client.closed !== null, 'the socket to be closed');
    return [client.frames, client.closed];
  };

  test('[AC1] a wrong token and a missing session id are told on the open socket, then it is closed: 4001, 4000', async () => {
    expect(await refusedWith('/v3/ws?sessionId=x&token=not-it')).toEqual([
      [UNAUTHORIZED],
      { code: 4001, reason: 'unauthorized' },
    ]);
    expect(await refusedWith('/v3/ws?token=$TOKEN')).toEqual([
      [refused('Missing sessionId query parameter', 'missing-session')],
      { code: 4000, reason: expect.any(String) },
    ]);
  });

  test('a frame that is none is answered and the socket stays; so is a session that is not there yet', async () => {
    const client = await world.daemon.connect(path('made-later'));
    differs('unknown-session-told');
    await client.frame((f) => f.code === 'session-not-found', 'to be told');
    client.send({ type: 'turn.dance' });
    const invalid = await client.frame((f) => f.code === 'invalid-request', 'the answer to a wrong frame');
    expect(invalid).toMatchObject(refused('Invalid WS payload', 'invalid-request', { details: expect.any(Array) }));
    client.send(submit('made-later', 'x'));
    const missing = (f: Frame) => f.error === 'Session not found: made-later' && f !== client.frames[0];
    await client.frame(missing, 'the answer to a submit');

    await world.daemon.post('/v3/sessions', { sessionId: 'made-later' });
    client.send(submit('made-later', 'two words @@{"tokens":2}@@'));
    await client.frame(isEvent('session.updated'), 'the end of the turn');
    expect(outline(client.frames)).toEqual(['session.snapshot', ...A_TURN]);
    expectGapless(client.frames, 1);
    await client.close();
  });
});

everyDifferenceIsTold('event');
