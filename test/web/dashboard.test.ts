import { describe, expect, test } from 'vitest';
import type { Overview } from '../../src/protocol/feeds/overview.ts';
import { OverviewSchema } from '../../src/protocol/feeds/overview.ts';
import {
  bytesText,
  fullLevels,
  msText,
  NO_SAMPLES,
  newsOf,
  SAMPLES_MAX,
  sampled,
} from '../../src/web/pages/dashboard/samples.ts';

const session = (sessionId: string, more: object = {}) => ({
  sessionId,
  model: 'm',
  updatedAt: '2026-01-01T00:00:00.000Z',
  state: 'idle',
  active: null,
  queued: [],
  queuedCount: 0,
  asks: [],
  presence: [],
  presenceCount: 0,
  live: true,
  ...more,
});
const ask = (requestId: string) => ({
  requestId,
  turnId: 't1',
  toolName: 'run_command',
  summary: 'npm test',
  expiresAt: '2026-01-01T00:02:00.000Z',
});
const look = (more: object = {}): Overview =>
  OverviewSchema.parse({
    ts: '2026-01-01T00:00:00.000Z',
    daemonId: 'd',
    version: '1',
    uptime: 1,
    state: 'ready',
    runtime: {
      sessionCount: 0,
      activeTurnCount: 0,
      queuedTurnCount: 0,
      subscriberCount: 0,
      ingressSeq: 0,
      toolWorkers: { workers: 1, busy: 0, queued: 0 },
      latency: { p50Ms: 1, p99Ms: 2, samples: 3 },
    },
    transport: { adapter: 'ws', why: '' },
    engine: {},
    storage: {},
    loop: null,
    memory: { rssBytes: 1, heapUsedBytes: 1 },
    lmx: { host: '127.0.0.1', port: 1234, away: null, askedAt: null, problem: null },
    models: [],
    limits: [],
    sessions: [],
    liveCount: 0,
    jobs: [],
    jobCount: 0,
    quarantined: [],
    ...more,
  });

describe('what is said aloud between two looks', () => {
  const before = look({ sessions: [session('s1', { title: 'Queue', asks: [ask('r1')] })] });

  test('nothing of the first look, and nothing of what was there before', () => {
    expect(newsOf(null, before)).toEqual([]);
    expect(newsOf(before, before)).toEqual([]);
    expect(newsOf(before, look())).toEqual([]);
  });

  test('a request that is new, by the name of its session', () => {
    const now = look({
      sessions: [
        session('s1', { title: 'Queue', asks: [ask('r1'), ask('r2')] }),
        session('s2', { asks: [{ ...ask('r3'), toolName: 'ask_user', question: true, summary: 'Which one?' }] }),
      ],
    });
    expect(newsOf(before, now)).toEqual(['Queue asks for permission: run_command, npm test', 's2 asks: Which one?']);
  });

  test('a quarantine, another state of the daemon, a host that goes and comes', () => {
    const away = {
      host: '127.0.0.1',
      port: 1234,
      away: { since: '', reason: 'refused' },
      askedAt: null,
      problem: null,
    };
    const worse = look({
      state: 'read-only',
      lmx: away,
      quarantined: [{ sessionId: 's9', reason: 'a hole in the log', since: '' }],
    });
    expect(newsOf(look(), worse)).toEqual([
      'Session s9 is quarantined: a hole in the log',
      'The daemon is read-only now',
      'The inference host does not answer: refused',
    ]);
    expect(newsOf(worse, look())).toEqual(['The daemon is ready now', 'The inference host answers again']);
  });
});

test('samples are the last of each figure, within a bound; a loop that was not measured is none', () => {
  let kept = NO_SAMPLES;
  for (let i = 0; i < SAMPLES_MAX + 20; i++) {
    kept = sampled(kept, look({ loop: { p50Ms: 0, p99Ms: i, maxMs: i }, memory: { rssBytes: i, heapUsedBytes: 0 } }));
  }
  expect([kept.loopMs.length, kept.rssBytes.length, kept.latencyMs.length]).toEqual([
    SAMPLES_MAX,
    SAMPLES_MAX,
    SAMPLES_MAX,
  ]);
  expect([kept.loopMs[0], kept.loopMs.at(-1)]).toEqual([20, SAMPLES_MAX + 19]);
  const after = sampled(kept, look());
  expect(after.loopMs).toBe(kept.loopMs);
  expect(after.rssBytes.at(-1)).toBe(1);
});

test('bounds over 60 % come fullest first, what is kept on purpose last, and the others not at all', () => {
  const gauge = (name: string, value: number, max?: number, limit = name) => ({
    name,
    value,
    help: name,
    limit,
    ...(max === undefined ? {} : { max }),
  });
  const levels = fullLevels([
    gauge('half', 59, 100),
    gauge('some', 60, 100),
    gauge('ring', 100, 100, 'ringFramesMax'),
    gauge('over', 130, 100),
    gauge('counter', 9_999),
    gauge('none', 5, 0),
  ]);
  expect(levels.map((l) => [l.gauge.name, l.part, l.isCache])).toEqual([
    ['over', 1, false],
    ['some', 0.6, false],
    ['ring', 1, true],
  ]);
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1_536, '1.5 kB'],
  [134_217_728, '128 MB'],
  [5_368_709_120, '5.0 GB'],
])('%d bytes read "%s"', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test('milliseconds have a decimal as long as it says something', () => {
  expect([0.34, 9.96, 250.4].map(msText)).toEqual(['0.3 ms', '10.0 ms', '250 ms']);
});
