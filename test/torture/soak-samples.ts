import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Daemon, descendants } from '../support/daemon.ts';

/** What a daemon holds at one moment, as the system and its own metrics say. */
export interface Sample {
  atMs: number;
  values: { [name: string]: number };
}

/** Linux: from `/proc`, so that nothing has to be built into the daemon for it. */
export const takeSample = async (daemon: Daemon, startedAtMs: number): Promise<Sample> => {
  const asked = performance.now();
  const metrics = (await daemon.get('/v3/metrics')).json as {
    runtime: { toolWorkers: { workers: number; queued: number }; activeTurnCount: number };
    limits: { name: string; value: number }[];
  };
  const answerMs = performance.now() - asked;
  const gauge = (name: string): number => metrics.limits.find((l) => l.name === name)?.value ?? Number.NaN;
  const proc = `/proc/${daemon.pid}`;
  const status = readFileSync(`${proc}/status`, 'utf8');
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? Number.NaN);
  return {
    atMs: performance.now() - startedAtMs,
    values: {
      [HEAP]: field('RssAnon') / 1024,
      'mapped files, MiB (RssFile)': field('RssFile') / 1024,
      threads: field('Threads'),
      'open files': readdirSync(`${proc}/fd`).length,
      'watched handles (epoll)': watched(proc),
      'child processes': descendants(daemon.pid).length,
      'sessions in memory': gauge('sessions_live'),
      'answers pending': gauge('answers_pending'),
      attachments: gauge('attachments'),
      sockets: gauge('sockets'),
      'uncommitted tail, KiB': gauge('tail_bytes') / 1024,
      'log on disk, MiB': statSync(join(daemon.home, 'daemon', 'data', 'data.mdb')).size / 2 ** 20,
      'metrics answered in, ms': answerMs,
    },
  };
};

/** How many descriptors the event loop watches: sockets, pipes, processes. */
const watched = (proc: string): number =>
  readdirSync(`${proc}/fdinfo`).reduce((n, fd) => {
    try {
      return n + (readFileSync(`${proc}/fdinfo/${fd}`, 'utf8').match(/^tfd:/gm)?.length ?? 0);
    } catch {
      // Closed while the folder was read.
      return n;
    }
  }, 0);

const HEAP = 'heap and stacks, MiB (RssAnon)';
/**
 * V8 collects when it finds the time, so on a busy machine the same load swings by half of its memory and a median with it. What is
 * never given back shows in the low water, the tenth percentile, and that is judged strictly.
 */
const HEAP_LOW = 'the same, low water';

/** How much the last third may lie above the first. Absent: reported and not judged. */
export const GROWTH_MAX: { [name: string]: (first: number) => number } = {
  [HEAP]: (first) => Math.max(0.6 * first, 64),
  [HEAP_LOW]: (first) => Math.max(0.2 * first, 24),
  threads: () => 2,
  'open files': () => 12,
  'watched handles (epoll)': () => 12,
  'child processes': () => 6,
  'sessions in memory': (first) => Math.max(0.5 * first, 12),
  'answers pending': () => 8,
  attachments: () => 6,
  sockets: () => 6,
  'uncommitted tail, KiB': () => 256,
  'metrics answered in, ms': (first) => Math.max(2 * first, 25),
};

export interface Row {
  name: string;
  first: number;
  last: number;
  peak: number;
  growthMax: number | null;
  ok: boolean;
}

const quantile =
  (q: number) =>
  (values: readonly number[]): number =>
    [...values].sort((a, b) => a - b)[Math.floor(values.length * q)] ?? Number.NaN;
export const median = quantile(0.5);
const tenth = quantile(0.1);

/** These stand still only once as many sessions leave memory as come: a minute after the start, and then some. */
const SLOW_TO_SETTLE = new Set([HEAP, HEAP_LOW, 'sessions in memory']);
const SETTLED_MS = 4 * 60_000;

/** Medians of the first and the last third, after the warm-up. */
export const compare = (samples: readonly Sample[], warmUpMs: number): Row[] => {
  const warm = samples.filter((s) => s.atMs >= warmUpMs);
  const tooShort = (samples.at(-1)?.atMs ?? 0) < SETTLED_MS - 5_000;
  const third = Math.max(1, Math.floor(warm.length / 3));
  const names = Object.keys(warm[0]?.values ?? {});
  return names
    .flatMap((name) => (name === HEAP ? [HEAP, HEAP_LOW] : [name]))
    .map((name) => {
      const of = (some: readonly Sample[]): number[] =>
        some.map((s) => s.values[name === HEAP_LOW ? HEAP : name] ?? Number.NaN);
      const level = name === HEAP_LOW ? tenth : median;
      const first = level(of(warm.slice(0, third)));
      const last = level(of(warm.slice(-third)));
      const growthMax = tooShort && SLOW_TO_SETTLE.has(name) ? null : (GROWTH_MAX[name]?.(first) ?? null);
      // Written so that a figure which could not be read fails.
      const ok = growthMax === null || last - first <= growthMax;
      return { name, first, last, peak: Math.max(...of(warm)), growthMax, ok };
    });
};

export const tableOf = (rows: readonly Row[]): string => {
  const n = (value: number): string => value.toFixed(Math.abs(value) < 100 ? 1 : 0);
  const lines = rows.map((r) => [
    r.name,
    n(r.first),
    n(r.last),
    n(r.peak),
    `${r.last >= r.first ? '+' : ''}${n(r.last - r.first)}`,
    r.growthMax === null ? 'not judged' : `<= +${n(r.growthMax)}`,
    r.growthMax === null ? '' : r.ok ? 'ok' : 'GREW',
  ]);
  const all = [['', 'first third', 'last third', 'peak', 'growth', 'bound', ''], ...lines];
  const widths = all[0]?.map((_, i) => Math.max(...all.map((l) => (l[i] ?? '').length))) ?? [];
  const pad = (line: string[]): string =>
    line
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return all.map(pad).join('\n');
};
