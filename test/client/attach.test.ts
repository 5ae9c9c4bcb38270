import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type AttachOptions, attach } from '../../src/client/attach.ts';
import { Attachment } from '../../src/client/attachment.ts';
import { SessionView } from '../../src/client/session-view.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { until } from '../support/cli.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';

let daemon: FakeDaemon;
let open: Attachment[] = [];
beforeEach(async () => {
  daemon = await new FakeDaemon().start();
});
afterEach(async () => {
  for (const attachment of open) attachment.close();
  open = [];
  await daemon.stop();
});

const watch = (more: Partial<AttachOptions> = {}) => {
  const seqs: number[] = [];
  const texts: string[] = [];
  const states: string[] = [];
  const attachment = attach({
    sessionId: 's',
    afterSeq: 0,
    address: () => Promise.resolve(daemon.address),
    onEnvelope: (envelope, text) => {
      seqs.push(envelope.seq);
      texts.push(text);
    },
    onState: (state) => states.push(state),
    backoff: { baseMs: 2, maxMs: 10 },
    ...more,
  });
  open.push(attachment);
  return { attachment, seqs, texts, states };
};

const tokens = (count: number): void => {
  for (let i = 0; i < count; i++) daemon.emit('s', 'turn.token', { turnId: 't', text: `${i}`, step: 1 });
};
const upTo = (n: number, from = 1): number[] => Array.from({ length: n - from + 1 }, (_, i) => i + from);

test('[EV2] replay and live join without gap or repeat, from any cursor', async () => {
  tokens(9);
  const all = watch();
  const tail = watch({ afterSeq: 7 });
  await until(() => all.seqs.length === 10 && tail.seqs.length === 3, 'the replay');
  tokens(5);
  await until(() => all.seqs.length === 15 && tail.seqs.length === 8, 'the live events');
  expect(all.seqs).toEqual(upTo(15));
  expect(tail.seqs).toEqual(upTo(15, 8));
  expect(all.texts).toEqual(daemon.session('s').log.map((r) => r.text));
});

test('[EV2] a cut connection is resumed by cursor: nothing twice, nothing lost', async () => {
  const seen = watch();
  for (let round = 0; round < 5; round++) {
    tokens(20);
    await until(() => seen.seqs.length >= 1 + round * 20 + 5, 'some events');
    daemon.cutSockets();
    tokens(3);
    await until(() => seen.seqs.length >= daemon.session('s').log.length, 'the rest');
  }
  expect(seen.seqs).toEqual(upTo(daemon.session('s').log.length));
  expect(seen.states).toContain('waiting');
});

test('[EV2] frames that come twice or late are dropped', async () => {
  daemon.tamper = (frame) => [
    frame.text,
    ...(frame.seq > 2 ? [(daemon.session('s').log[1] as { text: string }).text] : []),
    frame.text,
  ];
  tokens(10);
  const seen = watch();
  await until(() => seen.seqs.length === 11, 'all events');
  expect(seen.seqs).toEqual(upTo(11));
  expect(daemon.connections).toBe(1);
});

test('[EV2] a hole in the stream is never shown: the log is read again from the cursor', async () => {
  daemon.tamper = (frame, connection) => (connection === 1 && frame.seq === 4 ? [] : [frame.text]);
  tokens(8);
  const seen = watch();
  await until(() => seen.seqs.length === 9, 'all events');
  expect(seen.seqs).toEqual(upTo(9));
  expect(daemon.connections).toBe(2);
});

test('[EV2] a lost last frame is found by the heartbeat, with no later event to show it', async () => {
  daemon.tamper = (frame, connection) => (connection === 1 && frame.seq === 5 ? [] : [frame.text]);
  const seen = watch({ pingEveryMs: 20 });
  tokens(4);
  await until(() => seen.seqs.length === 5, 'the fifth event');
  expect(seen.seqs).toEqual(upTo(5));
});

test('[EV2] a hole that stays ends the attachment with a reason', async () => {
  daemon.tamper = (frame) => (frame.seq === 3 ? [] : [frame.text]);
  tokens(5);
  const seen = watch();
  expect(await seen.attachment.ended).toMatchObject({ message: expect.stringContaining('Event 3 is missing') });
  expect(seen.seqs).toEqual([1, 2]);
});

test('[EV2] whatever is dropped, repeated or cut on the way, what is shown is the log in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('ok', 'drop', 'twice', 'cut'), { minLength: 5, maxLength: 30 }),
      async (faults) => {
        const world = await new FakeDaemon().start();
        const used = new Set<number>();
        world.tamper = ({ seq, text }) => {
          const fault = faults[seq - 2];
          if (used.has(seq) || fault === undefined || fault === 'ok') return [text];
          used.add(seq);
          if (fault === 'cut') setImmediate(() => world.cutSockets());
          return fault === 'drop' ? [] : fault === 'twice' ? [text, text] : [text];
        };
        const seqs: number[] = [];
        const attachment = attach({
          sessionId: 's',
          afterSeq: 0,
          address: () => Promise.resolve(world.address),
          onEnvelope: (envelope) => seqs.push(envelope.seq),
          backoff: { baseMs: 1, maxMs: 2 },
          pingEveryMs: 10,
        });
        for (const _ of faults) world.emit('s', 'turn.token', { turnId: 't', text: 'x', step: 1 });
        const last = faults.length + 1;
        await until(() => seqs.length >= last, `${seqs.length} of ${last} events`);
        attachment.close();
        await world.stop();
        expect(seqs).toEqual(upTo(last));
      },
    ),
    { numRuns: 15 },
  );
});

test('a restarted daemon is found at its new port: the address is asked for before each connection', async () => {
  tokens(2);
  const seen = watch();
  await until(() => seen.seqs.length === 3, 'the first events');
  const log = [...daemon.session('s').log];
  await daemon.stop();
  daemon = await new FakeDaemon().start();
  daemon.session('s').log.splice(0, 1, ...log);
  tokens(2);
  await until(() => seen.seqs.length === 5, 'events of the new daemon');
  expect(seen.seqs).toEqual(upTo(5));
});

test('[SV2] without a daemon the attachment ends after its patience, with a reason', async () => {
  await daemon.stop();
  const seen = watch({ retryForMs: 60 });
  expect(await seen.attachment.ended).toMatchObject({ code: 'daemon-unreachable' });
  daemon = await new FakeDaemon().start();
});

test('[CL1] a warning on a socket that stays is no reason: a later loss of the connection is an ordinary one', async () => {
  const notices: string[] = [];
  const seen = watch({ onNotice: (error) => notices.push(error.code) });
  const warn = '{"error":"Session not found: s","code":"session-not-found"}';
  for (const [round, lose] of [() => daemon.cutSockets(), 1001, 1012].entries()) {
    await until(() => daemon.session('s').sockets.size === 1 && seen.attachment.state === 'open', `round ${round}`);
    const [socket] = daemon.session('s').sockets;
    socket?.send(warn);
    await until(() => notices.length === round + 1, 'the warning');
    if (typeof lose === 'number') socket?.close(lose);
    else lose();
    await until(() => daemon.connections === round + 2, 'the next connection');
  }
  expect(seen.attachment.state).not.toBe('ended');
  // What comes after a warning shows that the socket went on; the close that follows is not the warning's.
  await until(() => daemon.session('s').sockets.size === 1, 'the last connection');
  const [socket] = daemon.session('s').sockets;
  socket?.send(warn);
  tokens(1);
  socket?.close(1011);
  await until(() => daemon.connections === 5, 'one more connection');
  tokens(1);
  await until(() => seen.seqs.length === 3, 'all events');
  expect(seen.seqs).toEqual(upTo(3));
});

test('[CL1] an error frame that its own close code follows is the reason', async () => {
  const seen = watch();
  await until(() => daemon.session('s').sockets.size === 1, 'the connection');
  const [socket] = daemon.session('s').sockets;
  socket?.send('{"error":"Invalid query","code":"invalid-request"}');
  socket?.close(4000, 'invalid query');
  expect(await seen.attachment.ended).toMatchObject({ code: 'invalid-request', message: 'Invalid query' });
});

test('[SV2] a daemon that accepts and falls silent is given up and asked again', async () => {
  const seen = watch({ pingEveryMs: 15 });
  await until(() => seen.seqs.length === 1, 'the first event');
  // The socket stays open and nothing comes any more: what a stopped process looks like.
  const [socket] = daemon.session('s').sockets;
  socket?.removeAllListeners('message');
  await until(() => daemon.connections >= 2, 'a second connection');
});

test('[SV2] a socket that never opens, on a platform without a bound for that, is given up', async () => {
  vi.useFakeTimers();
  try {
    let opened = 0;
    let aborted = 0;
    const attachment = new Attachment(
      { sessionId: 's', afterSeq: 0, address: () => Promise.resolve(daemon.address), onEnvelope: () => undefined },
      {
        openSocket: () => {
          opened += 1;
          return { raw: null, send: () => undefined, close: () => undefined, abort: () => (aborted += 1) };
        },
        onWake: () => () => undefined,
      },
    );
    await vi.advanceTimersByTimeAsync(9_000);
    expect([opened, aborted, attachment.state]).toEqual([1, 0, 'connecting']);
    await vi.advanceTimersByTimeAsync(2_000);
    expect([opened, aborted]).toEqual([2, 1]);
    attachment.close();
    expect(await attachment.ended).toBeNull();
  } finally {
    vi.useRealTimers();
  }
});

test('[AC1] the token travels in a header and never in the URL; a refused one is tried once more, then it is over', async () => {
  const seen = watch({ address: () => Promise.resolve({ ...daemon.address, token: 'wrong-token' }) });
  expect(await seen.attachment.ended).toMatchObject({ code: 'unauthorized' });
  const upgrades = daemon.asked.filter((a) => a.method === 'WS');
  expect(upgrades).toHaveLength(2);
  for (const upgrade of upgrades) {
    expect(upgrade.path).not.toContain('token');
    expect(upgrade.headers.authorization).toBe('Bearer wrong-token');
  }
});

test('after close() nothing is handed over and nothing is tried again', async () => {
  const seen = watch();
  await until(() => seen.seqs.length === 1, 'the first event');
  seen.attachment.close();
  expect(await seen.attachment.ended).toBeNull();
  tokens(5);
  daemon.cutSockets();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(seen.seqs).toEqual([1]);
  expect(daemon.connections).toBe(1);
});

test('a paused attachment takes nothing, and goes on without loss', async () => {
  const seen = watch();
  await until(() => seen.seqs.length === 1, 'the first event');
  seen.attachment.pause();
  tokens(50);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(seen.seqs).toEqual([1]);
  seen.attachment.resume();
  await until(() => seen.seqs.length === 51, 'the rest');
  expect(seen.seqs).toEqual(upTo(51));
});

test('what the listener throws ends the attachment; it is not swallowed', async () => {
  const seen = watch({
    onEnvelope: () => {
      throw new Error('broken view');
    },
  });
  expect(await seen.attachment.ended).toMatchObject({ message: expect.stringContaining('broken view') });
});

test('[CR2] a view is the fold of what it was given, and refuses a hole', () => {
  const view = new SessionView('s');
  const record = (seq: number, event: string, payload: object): LogRecord =>
    ({ seq, ts: '2026-01-01T00:00:00.000Z', event, payload }) as LogRecord;
  view.apply(record(1, 'session.snapshot', { snapshot: { model: 'm', createdAt: '', updatedAt: '' }, messages: [] }));
  const who = { turnId: 't', writerId: 'w', clientId: 'c' };
  const queued = { ...who, queueSize: 0, position: 1, content: 'hi', mode: 'chat', onBusy: 'enqueue' };
  view.apply(record(2, 'turn.queued', queued));
  view.apply(record(3, 'turn.start', { ...who, mode: 'chat' }));
  expect(() => view.apply(record(5, 'turn.token', { turnId: 't', text: 'x', step: 1 }))).toThrow(/does not follow/);
  view.apply(record(4, 'turn.token', { turnId: 't', text: 'x', step: 1 }));
  expect(view.state).toMatchObject({ seq: 4, model: 'm', active: { turnId: 't', text: 'x' } });
});
