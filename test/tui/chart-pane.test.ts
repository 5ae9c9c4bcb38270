import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CHARTS, toMermaid } from '../../src/actors/charts.ts';
import { ChartPane, type ChartSource } from '../../src/tui/chart-pane.ts';
import { settled } from './app-world.ts';
import { textOf } from './talk.ts';

beforeEach(() => void vi.useFakeTimers({ now: Date.parse('2026-01-01T00:00:10.000Z') }));
afterEach(() => vi.useRealTimers());

const aPane = () => {
  const state = { working: 'asking' };
  const turn = {
    id: 'daemon/s1/turn',
    chart: 'turn',
    state,
    facts: { step: 2 },
    mermaid: toMermaid(CHARTS.turn, state),
  };
  const root = {
    id: 'daemon/s1',
    chart: 'session',
    state: 'running',
    facts: {},
    children: [{ ...turn, children: [] }],
  };
  const why = {
    sessionId: 's1',
    state: 'waiting-for-permission',
    text: 'run_command waits for a decision \u001b[2J',
    since: '2026-01-01T00:00:00.000Z',
    until: '2026-01-01T00:01:10.000Z',
    unblock: 'whoever is attached',
  };
  const seen = { looks: 0, hashes: 0, drawn: 0, seq: 1, signal: undefined as AbortSignal | undefined };
  let push: (message: object) => void = () => undefined;
  const client = {
    inspect: async () => {
      seen.looks += 1;
      return root;
    },
    why: async () => why,
    async *feed(_id: string, { signal }: { signal: AbortSignal }) {
      seen.signal = signal;
      const over = new Promise<null>((resolve) => signal.addEventListener('abort', () => resolve(null)));
      for (;;) {
        const message = await Promise.race([over, new Promise<object>((resolve) => (push = resolve))]);
        if (message === null) return;
        yield message;
      }
    },
  } as unknown as ChartSource['client'];
  const pane = new ChartPane({
    client,
    sessionId: 's1',
    seq: () => seen.seq,
    hash: () => {
      seen.hashes += 1;
      return 'a'.repeat(64);
    },
    changed: () => {
      seen.drawn += 1;
    },
  });
  const text = (height = 60): string => pane.rows(80, height, Date.now()).map(textOf).join('\n');
  return { pane, seen, text, push: (message: object) => push(message) };
};

test('[SV2] it has the tree with active states, what is waited for, until when, and who can end that', async () => {
  const { text, pane } = aPane();
  expect(text()).toContain('looking …');
  await settled();
  expect(text()).toMatch(/waits for +run_command waits for a decision �\[2J/);
  expect(text()).toMatch(/until +1:00 left/);
  expect(text()).toMatch(/unblocked by +whoever is attached/);
  expect(text()).toMatch(/▲ turn +working › asking +step 2/);
  expect(text()).toMatch(/● working[\s\S]*● asking/);
  vi.setSystemTime(Date.parse('2026-01-01T00:01:05.000Z'));
  expect(text()).toMatch(/until +0:05 left/);
  pane.close();
});

test('[SV2] changes come as they happen; a burst is one question more, and closed it asks nothing', async () => {
  const { text, pane, seen, push } = aPane();
  await settled();
  const snapshot = (value: unknown) => ({ status: 'active', value });
  push({ type: '@xstate.actor', id: 'x', chart: 'turn', snapshot: snapshot('generating') });
  await settled();
  for (let i = 0; i < 50; i++) {
    const [from, to] = i % 2 === 0 ? ['generating', 'deciding'] : ['deciding', 'generating'];
    push({
      type: '@xstate.snapshot',
      id: 'x',
      chart: 'turn',
      event: { type: `${from}.done` },
      snapshot: snapshot(to),
      createdAt: String(Date.now()),
    });
    await settled();
  }
  expect(text(200)).toMatch(/last changes\n *00:00:10\.000 turn deciding → generating \(deciding\.done\)/);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(seen.looks).toBe(2);
  pane.close();
  expect(seen.signal?.aborted).toBe(true);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(seen.looks).toBe(2);
  expect(vi.getTimerCount()).toBe(0);
});

test('[TM5] the hash of a session is not made while it changes, and once when it rests', async () => {
  const { text, pane, seen } = aPane();
  await settled();
  for (let i = 0; i < 100; i++) {
    seen.seq += 1;
    expect(text()).toContain(`event ${seen.seq} · state …`);
    vi.setSystemTime(Date.now() + 25);
  }
  expect(seen.hashes).toBe(0);
  vi.setSystemTime(Date.now() + 500);
  expect(text()).toContain(`event ${seen.seq} · state aaaaaaaaaaaaaaaa`);
  for (let i = 0; i < 10; i++) text();
  expect(seen.hashes).toBe(1);
  pane.close();
});
