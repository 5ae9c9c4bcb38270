import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { OptaClient } from '../../src/client/client.ts';
import { FEED_SILENCE_MS, FEED_WAKE_MS, type FeedSource, type FeedState, feed } from '../../src/client/feed.ts';
import { connect } from '../../src/client/index.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { TOKEN, until, type World, world } from '../transport/world.ts';

const PICTURE = { type: '@opta.picture', actors: 0, createdAt: '1' };
const event = (json: unknown): string => `data: ${JSON.stringify(json)}\n\n`;

/** A daemon of which each connection is a script. */
class Script implements FeedSource {
  readonly asked: { query?: { sessionId?: string } }[] = [];
  readonly connections: ((signal: AbortSignal) => AsyncGenerator<string>)[] = [];
  wake: () => void = () => undefined;

  async *stream(_id: unknown, input: { query?: { sessionId?: string }; signal: AbortSignal }): AsyncGenerator<string> {
    this.asked.push(input);
    const run = this.connections.shift();
    if (!run) throw new OptaError('daemon-unreachable', 'nobody there');
    yield* run(input.signal);
  }

  onWake(wake: () => void): () => void {
    this.wake = wake;
    return () => {
      this.wake = () => undefined;
    };
  }
}
const hangs = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const gone = (): void => reject(new OptaError('daemon-unreachable', 'let go'));
    if (signal.aborted) gone();
    else signal.addEventListener('abort', gone);
  });
const says = (...texts: string[]) =>
  async function* (): AsyncGenerator<string> {
    yield* texts;
  };
const saysAndStays = (...texts: string[]) =>
  async function* (signal: AbortSignal): AsyncGenerator<string> {
    yield* texts;
    await hangs(signal);
  };
const states: string[] = [];
const onState = (s: FeedState): void => void states.push(s.state === 'live' ? 'live' : s.error.code);
const options = { onState, random: () => 0 };

beforeEach(() => {
  states.length = 0;
});
afterEach(() => vi.useRealTimers());

describe('a feed', () => {
  test('[CL1] is read message by message, however it is cut into pieces, and opened again when it ends', async () => {
    const s = new Script();
    const text = event({ ...PICTURE, actors: 1 });
    s.connections.push(
      says(': connected\n\n', text.slice(0, 7), text.slice(7), ': ping\n\n', text),
      says(event(PICTURE)),
    );
    const got: number[] = [];
    for await (const m of feed(s, 'inspect.stream', { ...options, sessionId: 'a' })) {
      if (m.type === '@opta.picture') got.push(m.actors);
      if (got.length === 3) break;
    }
    expect(got).toEqual([1, 1, 0]);
    expect(states).toEqual(['live', 'daemon-unreachable', 'live']);
    expect(s.asked.map((a) => a.query)).toEqual([{ sessionId: 'a' }, { sessionId: 'a' }]);
  });

  test('[CL1] tells why it was ended, and goes on; kinds that it does not know are passed over', async () => {
    const s = new Script();
    const ending = `event: error\ndata: ${JSON.stringify({ error: 'stopping', code: 'shutting-down' })}\n\n`;
    s.connections.push(says(event({ type: '@new.kind' }), ending), says(event(PICTURE)));
    for await (const m of feed(s, 'inspect.stream', options)) {
      expect(m.type).toBe('@opta.picture');
      break;
    }
    expect(states).toEqual(['live', 'shutting-down', 'live']);
  });

  test.each(['unauthorized', 'forbidden-origin', 'session-not-found', 'cancelled'] as const)(
    '[CL1] ends with %s, which trying again does not cure',
    async (code) => {
      const s = new Script();
      s.connections.push(async function* () {
        yield* [];
        throw new OptaError(code, 'no');
      });
      await expect(feed(s, 'inspect.stream', options).next()).rejects.toMatchObject({ code });
    },
  );

  test('[CL1] ends with messages that are not of the contract', async () => {
    for (const text of [event({ type: '@opta.picture', actors: 'x' }), 'data: {"type":"@xstate.event"}\n\n']) {
      const s = new Script();
      s.connections.push(says(text));
      await expect(feed(s, 'inspect.stream', options).next()).rejects.toMatchObject({ code: 'internal' });
    }
    const s = new Script();
    s.connections.push(says('data: no json\n\n'));
    await expect(feed(s, 'overview.stream', options).next()).rejects.toMatchObject({ code: 'internal' });
  });

  test('[SV2] that says nothing is let go, after a sleep at once; abort ends it without an error', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const s = new Script();
    s.connections.push(saysAndStays(event(PICTURE)), saysAndStays(event(PICTURE)), saysAndStays(event(PICTURE)));
    const control = new AbortController();
    const it = feed(s, 'inspect.stream', { ...options, signal: control.signal });
    await it.next();
    let next = it.next();
    await vi.advanceTimersByTimeAsync(FEED_SILENCE_MS - 1);
    expect(s.asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(s.asked).toHaveLength(2);
    await next;
    next = it.next();
    s.wake();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(s.asked).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(FEED_WAKE_MS);
    s.wake();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(s.asked).toHaveLength(3);
    await next;
    next = it.next();
    control.abort();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(vi.getTimerCount()).toBe(0);
  });

  test('[SV2] while nobody answers it asks with pauses that grow', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const s = new Script();
    const control = new AbortController();
    const next = feed(s, 'overview.stream', { ...options, random: () => 1, signal: control.signal }).next();
    await vi.advanceTimersByTimeAsync(20_000);
    const times = s.asked.length;
    expect(times).toBeGreaterThan(5);
    expect(times).toBeLessThan(12);
    control.abort();
    expect((await next).done).toBe(true);
  });
});

describe('against the server', () => {
  let w: World;
  let client: OptaClient;
  beforeEach(async () => {
    w = await world();
    w.runtime.seed('s');
    client = connect({ address: async () => ({ host: '127.0.0.1', port: w.server.port, token: TOKEN }) });
  });
  afterEach(async () => {
    client.close();
    await w.close();
  });

  test('[FD1] the overview comes as its type says, and leaving it leaves nothing behind', async () => {
    for await (const overview of client.feed('overview.stream')) {
      expect(overview.sessions.map((s) => s.sessionId)).toEqual(['s']);
      break;
    }
    const gauge = async (): Promise<number> =>
      (await client.call('v3.metrics')).limits.find((g) => g.name === 'streams')?.value ?? -1;
    await vi.waitFor(async () => expect(await gauge()).toBe(0), { timeout: 3_000 });
  });

  test('[FD2] the actors come after their picture; an unknown session is an error', async () => {
    const control = new AbortController();
    const feeding = client.feed('inspect.stream', { signal: control.signal });
    expect((await feeding.next()).value).toMatchObject({ type: '@opta.picture' });
    await until('it is watched', () => w.runtime.inspectors.size === 1);
    for (const tell of w.runtime.inspectors.keys()) tell(JSON.stringify({ ...PICTURE, actors: 9 }));
    expect((await feeding.next()).value).toMatchObject({ actors: 9 });
    control.abort();
    await feeding.next();
    await until('it is watched no more', () => w.runtime.inspectors.size === 0);
    await expect(client.feed('inspect.stream', { sessionId: 'nobody' }).next()).rejects.toMatchObject({
      code: 'session-not-found',
    });
  });
});
