import { closeSync, openSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { connect, type OptaClient, type SessionLink } from '../../src/client/index.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { type Daemon, descendants, hasProcessTable, processes, type TestSocket, until } from '../support/daemon.ts';
import { checkedLog, endsOf, ofTurn, openWorld, say, type World } from './world.ts';

/**
 * A cancel in every state that a turn can be in. Each test ends in `expectEnded`: one terminal event, nothing of the turn after
 * it, also when another turn has run since; and the answer to the cancel says the same as the log.
 */
let world: World;
let daemon: Daemon;
let sessionId: string;
let socket: TestSocket;

beforeAll(async () => {
  world = await openWorld();
  daemon = world.daemon;
  // Sparse: it takes no room on the disk, and a search through it takes many seconds.
  const big = join(world.workspace, 'big.bin');
  closeSync(openSync(big, 'w'));
  truncateSync(big, 60 * 2 ** 30);
});
afterAll(() => world?.close());
beforeEach(async () => {
  sessionId = await daemon.create({ workspace: world.workspace });
  socket = await daemon.socket(sessionId);
});

const LONG = say({ tokens: 100_000, tps: 200 }, 'long');
const submit = async (content: string, more: { writerId?: string; overrides?: object } = {}): Promise<string> =>
  (await daemon.submit(sessionId, { content, ...more })).turnId;

/** How the turn ended; throws unless it ended once and nothing of it follows, seen from a log that has gone on since. */
const expectEnded = async (turnId: string): Promise<string> => {
  const after = await submit(say({ tokens: 1 }, 'after'));
  await socket.terminal(after);
  const { records, violations } = checkedLog(sessionId, await daemon.log(sessionId), false);
  expect(violations).toEqual([]);
  const mine = ofTurn(records, turnId);
  const ends = endsOf(records, turnId);
  expect(ends).toHaveLength(1);
  expect(mine.at(-1)).toEqual(ends[0]);
  return (ends[0] as LogRecord & { event: 'turn.error' }).payload.outcome;
};

const links: SessionLink[] = [];
afterEach(() => {
  for (const link of links.splice(0)) link.close();
});
const session = (client: OptaClient): SessionLink => {
  const link = client.session(sessionId, { writerId: 'ana' });
  links.push(link);
  return link;
};

/** The server was told, or its connection was closed. */
const freed = (before: number): Promise<void> =>
  until('the inference server to be told', () => world.lmx.cancels.length > before);

describe('cancel', () => {
  test('[CX1][CX3] of a queued turn: it never runs, the running one goes on', async () => {
    const running = await submit(LONG);
    const queued = await submit(say({ text: 'never said' }, 'queued'));
    await socket.record('turn.token', (p) => p.turnId === running);
    expect(await daemon.cancel(sessionId, { turnId: queued })).toEqual({
      ok: true,
      cancelled: 1,
      cancelledQueued: 1,
      cancelledActive: false,
    });
    expect(
      socket.records.some((r) => 'turnId' in r.payload && r.payload.turnId === running && r.event === 'turn.error'),
    ).toBe(false);
    expect(await daemon.cancel(sessionId, { turnId: running })).toMatchObject({ cancelled: 1, cancelledActive: true });
    expect(await expectEnded(queued)).toBe('cancelled');
    expect(await expectEnded(running)).toBe('cancelled');
    expect(ofTurn(socket.records, queued).some((r) => r.event === 'turn.start')).toBe(false);
    expect(world.lmx.requests.some((r) => JSON.stringify(r.body).includes('never said'))).toBe(false);
  });

  test('[CX2] of a turn that waits for the first token: at once, and the server is told', async () => {
    const before = world.lmx.cancels.length;
    const turnId = await submit(say({ delayMs: 3_000 }, 'silent'));
    await until('the request to arrive', () =>
      world.lmx.requests.some((r) => r.body.messages?.at(-1)?.content.startsWith('silent') === true),
    );
    const startedAt = performance.now();
    expect(await daemon.cancel(sessionId, { turnId })).toMatchObject({ cancelled: 1, cancelledActive: true });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    await freed(before);
    expect(await expectEnded(turnId)).toBe('cancelled');
  });

  test('[CX2] of a turn that waits to ask the server again: at once, and it does not ask', async () => {
    const busy = say({ error: 'busy', code: 'rate_limit_exceeded', status: 429, retryAfter: 30 }, 'refused');
    const turnId = await submit(busy);
    await until('the wait after a failed attempt', async () => {
      const { text } = (await daemon.get(`/v3/sessions/${sessionId}/why`)).json;
      return /failed attempt/.test(text);
    });
    const asked = world.lmx.requests.length;
    const startedAt = performance.now();
    expect(await daemon.cancel(sessionId, { turnId })).toMatchObject({ cancelled: 1, cancelledActive: true });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    expect(world.lmx.requests.length).toBe(asked);
    expect(await expectEnded(turnId)).toBe('cancelled');
  });

  test('[CX2] of a streaming turn: its text is kept as it is and nothing is added', async () => {
    const before = world.lmx.cancels.length;
    const turnId = await submit(LONG);
    await socket.record('turn.token', (p) => p.turnId === turnId);
    expect(await daemon.cancel(sessionId, { turnId })).toMatchObject({ cancelled: 1, cancelledActive: true });
    await freed(before);
    expect(await expectEnded(turnId)).toBe('cancelled');
    const said = ofTurn(socket.records, turnId)
      .map((r) => (r.event === 'turn.token' ? r.payload.text : ''))
      .join('');
    const { messages } = (await daemon.get(`/v3/sessions/${sessionId}`)).json;
    expect(messages).toContainEqual({ role: 'assistant', content: said });
  });

  test('[CX2][PM2] of a turn that waits for permission: the request is closed, and a decision afterwards changes nothing', async () => {
    const turnId = await submit(say({ tools: [{ name: 'write_file', args: { path: 'asked.txt', content: 'x' } }] }));
    const { requestId } = (await socket.record('permission.request')).payload;
    expect(await daemon.cancel(sessionId, { turnId })).toMatchObject({ cancelled: 1, cancelledActive: true });
    const late = await daemon.post(`/v3/sessions/${sessionId}/permissions/${requestId}`, {
      decision: 'allow',
      decidedBy: 'late',
    });
    expect([404, 409]).toContain(late.status);
    expect(await expectEnded(turnId)).toBe('cancelled');
    const resolved = ofTurn(socket.records, turnId).filter((r) => r.event === 'permission.resolved');
    expect(resolved).toMatchObject([{ payload: { requestId, decision: 'deny', reason: 'cancelled' } }]);
    expect(ofTurn(socket.records, turnId).some((r) => r.event === 'tool.start')).toBe(false);
  });

  test.skipIf(!hasProcessTable)(
    '[CX4] of a turn whose tool runs: no process of it is alive when the answer comes',
    async () => {
      const turnId = await submit(
        say({ tools: [{ name: 'search_files', args: { pattern: 'needle', path: 'big.bin' } }] }),
      );
      await socket.record('tool.start', (p) => p.turnId === turnId);
      const searching = (): { group: number } | undefined =>
        descendants(daemon.pid).find((p) => /\brg\b/.test(p.command.split(' ')[0] ?? ''));
      await until('the search to run', () => searching() !== undefined);
      const group = searching()?.group as number;
      expect(group).not.toBe(daemon.pid);
      expect(processes().filter((p) => p.group === group).length).toBeGreaterThan(1);

      const startedAt = performance.now();
      expect(await daemon.cancel(sessionId, { turnId })).toMatchObject({ cancelled: 1, cancelledActive: true });
      expect(processes().filter((p) => p.group === group)).toEqual([]);
      expect(performance.now() - startedAt).toBeLessThan(4_000);
      expect(await expectEnded(turnId)).toBe('cancelled');
      const ends = ofTurn(socket.records, turnId).filter((r) => r.event === 'tool.end');
      expect(ends).toMatchObject([{ payload: { isError: true } }]);
    },
  );

  test.skipIf(!hasProcessTable)(
    '[CX5] of one call: its process is gone when the answer comes, the model is told by whom, the next call runs',
    async () => {
      const tools = [
        { name: 'search_files', args: { pattern: 'needle', path: 'big.bin' } },
        // Reads would run beside it: these wait for it, and the third for the second.
        { name: 'write_file', args: { path: 'second.txt', content: '2' } },
        { name: 'write_file', args: { path: 'third.txt', content: '3' } },
      ];
      const turnId = await submit(say({ tools, text: 'went on' }), { overrides: { auto: true } });
      const running = (await socket.record('tool.start', (p) => p.turnId === turnId)).payload.id;
      const calls = (await socket.record('turn.progress', (p) => p.turnId === turnId && p.calls !== undefined)).payload
        .calls;
      const searching = () => descendants(daemon.pid).find((p) => /\brg\b/.test(p.command.split(' ')[0] ?? ''));
      await until('the search to run', () => searching() !== undefined);
      const group = searching()?.group as number;

      const link = connect({
        address: () => Promise.resolve({ host: '127.0.0.1', port: daemon.port, token: daemon.token }),
      });
      try {
        const place = session(link).cancel({ turnId, callId: calls?.[2]?.id as string });
        expect(await place).toMatchObject({ cancelled: 1, cancelledCalls: 1, cancelledActive: false });
        const call = { turnId, callId: running };
        expect(await session(link).cancel(call)).toMatchObject({ cancelled: 1, cancelledCalls: 1, cancelledQueued: 0 });
        expect(processes().filter((p) => p.group === group)).toEqual([]);
        expect(await daemon.cancel(sessionId, { ...call, cancelledBy: 'late' })).toEqual({
          ok: true,
          cancelled: 0,
          cancelledQueued: 0,
          cancelledActive: false,
          cancelledCalls: 0,
        });
        const loose = await daemon.post(`/v3/sessions/${sessionId}/cancel`, { callId: running });
        expect([loose.status, loose.json.code]).toEqual([400, 'invalid-request']);
      } finally {
        link.close();
      }
      await socket.terminal(turnId);
      expect(await expectEnded(turnId)).toBe('done');
      const ends = ofTurn(socket.records, turnId).filter((r) => r.event === 'tool.end');
      expect(ends).toMatchObject([
        { payload: { id: running, isError: true, cancelledBy: 'person:ana' } },
        { payload: { id: calls?.[1]?.id, isError: false } },
      ]);
      const told = (await daemon.get(`/v3/sessions/${sessionId}`)).json.messages.filter(
        (m: { role: string }) => m.role === 'tool',
      );
      expect(told.map((m: { tool_call_id: string }) => m.tool_call_id)).toEqual(calls?.map((c) => c.id));
      expect(told[0].content).toMatch(/^ana cancelled this call while it ran/);
      expect(told[2].content).toMatch(/^ana cancelled this call before it ran/);
    },
  );

  test('[CX1] after the end, of nothing, and of a wrong id: nothing happens and the answer says so', async () => {
    const nothing = { ok: true, cancelled: 0, cancelledQueued: 0, cancelledActive: false };
    const done = await submit(say({ tokens: 2 }));
    await socket.terminal(done);
    expect(await daemon.cancel(sessionId, { turnId: done })).toEqual(nothing);
    const running = await submit(LONG);
    await socket.record('turn.token', (p) => p.turnId === running);
    for (const target of [{ turnId: done }, { turnId: 'nobody' }, { writerId: 'nobody' }, {}]) {
      expect(await daemon.cancel(sessionId, target)).toEqual(nothing);
    }
    expect((await daemon.get(`/v3/sessions/${sessionId}`)).json.activeTurnId).toBe(running);
    expect(socket.records.some((r) => r.event === 'session.cancelled')).toBe(false);
    await daemon.cancel(sessionId, { turnId: running });
    expect(await expectEnded(done)).toBe('done');
    expect(await expectEnded(running)).toBe('cancelled');
  });

  test('[CX3] twice at once over both planes: one end, and both answers agree with it', async () => {
    const turnId = await submit(LONG);
    await socket.record('turn.token', (p) => p.turnId === turnId);
    const [http, ws] = await Promise.all([
      daemon.cancel(sessionId, { turnId }),
      socket.ask({ type: 'turn.cancel', sessionId, turnId }),
    ]);
    // Whoever comes second either hits the turn that is being cancelled or finds that it is over.
    expect([http.cancelledActive, ws.cancelled.cancelledActive]).toContain(true);
    expect(await expectEnded(turnId)).toBe('cancelled');
    const announced = socket.records.filter((r) => r.event === 'session.cancelled' && r.payload.turnId === turnId);
    expect(announced).toHaveLength(1);
    expect(await daemon.cancel(sessionId, { turnId })).toMatchObject({ cancelled: 0 });
  });

  test('[CX1] by writer: all turns of that writer and of nobody else', async () => {
    const first = await submit(LONG, { writerId: 'ana' });
    const others = await submit(say({ text: 'of ben' }, 'ben'), { writerId: 'ben' });
    const second = await submit(say({ tokens: 2 }), { writerId: 'ana' });
    await socket.record('turn.token', (p) => p.turnId === first);
    expect(await daemon.cancel(sessionId, { writerId: 'ana' })).toEqual({
      ok: true,
      cancelled: 2,
      cancelledQueued: 1,
      cancelledActive: true,
    });
    await socket.terminal(others);
    expect(await expectEnded(first)).toBe('cancelled');
    expect(await expectEnded(second)).toBe('cancelled');
    expect(await expectEnded(others)).toBe('done');
  });

  test('[CX1] with both ids the turn is the target: its writer loses nothing else', async () => {
    const running = await submit(LONG, { writerId: 'ana' });
    const queued = await submit(say({ tokens: 2 }), { writerId: 'ana' });
    expect(await daemon.cancel(sessionId, { turnId: queued, writerId: 'ana' })).toMatchObject({
      cancelled: 1,
      cancelledActive: false,
    });
    await socket.record('turn.token', (p) => p.turnId === running);
    expect(await daemon.cancel(sessionId, { turnId: running, writerId: 'ana' })).toMatchObject({
      cancelled: 1,
      cancelledActive: true,
    });
    expect(await expectEnded(running)).toBe('cancelled');
  });

  test('[CX3] racing the natural end: the answer and the log never disagree', async () => {
    const seen = { done: 0, cancelled: 0 };
    for (let i = 0; i < 40; i++) {
      const turnId = await submit(say({ tokens: 6, tps: 400 }, `race ${i}`));
      // Hits the start, the middle and the end of a turn that lasts about twenty milliseconds.
      await new Promise((resolve) => setTimeout(resolve, (i * 5) % 32));
      const { cancelled } = await daemon.cancel(sessionId, { turnId });
      const end = (await socket.terminal(turnId)) as LogRecord & { event: 'turn.error' };
      expect(end.payload.outcome).toBe(cancelled > 0 ? 'cancelled' : 'done');
      seen[cancelled > 0 ? 'cancelled' : 'done'] += 1;
    }
    const { violations } = checkedLog(sessionId, await daemon.log(sessionId));
    expect(violations).toEqual([]);
    expect(seen.cancelled).toBeGreaterThan(0);
  });
});
