import type { Overview } from '../../../protocol/feeds/overview.ts';

/** One figure over the last looks, in memory only. */
export const SAMPLES_MAX = 150;

export interface Samples {
  loopMs: readonly number[];
  rssBytes: readonly number[];
  latencyMs: readonly number[];
  /** When the first of them was taken. */
  sinceMs: readonly number[];
}

export const NO_SAMPLES: Samples = { loopMs: [], rssBytes: [], latencyMs: [], sinceMs: [] };

export const sampled = (kept: Samples, { loop, memory, runtime, ts }: Overview): Samples => {
  const one = (list: readonly number[], value: number): number[] => [...list, value].slice(-SAMPLES_MAX);
  return {
    loopMs: loop === null ? kept.loopMs : one(kept.loopMs, loop.p99Ms),
    rssBytes: one(kept.rssBytes, memory.rssBytes),
    latencyMs: one(kept.latencyMs, runtime.latency.p99Ms),
    sinceMs: one(kept.sinceMs, Date.parse(ts)),
  };
};

export type Gauge = Overview['limits'][number];

/** Bounds of what is kept on purpose: full is how they are meant to be. */
const CACHES = new Set(['ringFramesMax', 'ringBytesMax', 'sharedPagesBytesMax']);
export const FULL_FROM = 0.6;

export interface Level {
  gauge: Gauge;
  /** 0 to 1. */
  part: number;
  isCache: boolean;
}

/** Which bounds are worth a look, fullest first. */
export const fullLevels = (limits: readonly Gauge[]): Level[] =>
  limits
    .flatMap((gauge) => {
      if (gauge.max === undefined || gauge.max <= 0) return [];
      const part = gauge.value / gauge.max;
      return part < FULL_FROM ? [] : [{ gauge, part: Math.min(1, part), isCache: CACHES.has(gauge.limit ?? '') }];
    })
    .sort((a, b) => Number(a.isCache) - Number(b.isCache) || b.part - a.part);

/** What a person who does not look should hear: only what needs somebody. Compares two looks. */
export const newsOf = (before: Overview | null, now: Overview): string[] => {
  if (before === null) return [];
  const asked = new Set(before.sessions.flatMap((s) => s.asks.map((a) => a.requestId)));
  const still = new Set(before.quarantined.map((q) => q.sessionId));
  return [
    ...now.sessions.flatMap((s) =>
      s.asks
        .filter((a) => !asked.has(a.requestId))
        .map((a) =>
          a.question
            ? `${nameOf(s)} asks: ${a.summary}`
            : `${nameOf(s)} asks for permission: ${a.toolName}, ${a.summary}`,
        ),
    ),
    ...now.quarantined
      .filter((q) => !still.has(q.sessionId))
      .map((q) => `Session ${q.sessionId} is quarantined: ${q.reason}`),
    ...(now.state !== before.state ? [`The daemon is ${now.state} now`] : []),
    ...(now.lmx?.away && !before.lmx?.away ? [`The inference host does not answer: ${now.lmx.away.reason}`] : []),
    ...(!now.lmx?.away && before.lmx?.away ? ['The inference host answers again'] : []),
  ];
};

export const nameOf = (s: { sessionId: string; title?: string | undefined }): string =>
  s.title?.trim() ? s.title : s.sessionId;

/** 1 536 → `1.5 kB`. */
export const bytesText = (bytes: number): string => {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
};

export const msText = (ms: number): string => (ms >= 100 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`);

export const countText = (n: number): string => (n >= 10_000 ? `${(n / 1_000).toFixed(0)}k` : `${n}`);
