import { readdirSync, readFileSync } from 'node:fs';
import type { Daemon } from '../support/daemon.ts';
import { lookInside } from './inspector.ts';

/** What a daemon holds while nothing but the witness is there. */
export type Baseline = { [name: string]: number };

/** Gauges of `/v3/metrics` that are 0 again when whoever filled them has gone. Absent ones are of another build. */
const GAUGES = [
  'sockets',
  'attachments',
  'streams',
  'socketCommands',
  'requestsOpen',
  'requestBodiesBytes',
  'answers_pending',
  'chatWaits',
  'namedOperations',
  'lmxCalls',
];
const HEAP = 'heap, MiB';
const MEMORY = 'memory, MiB (RssAnon)';
const TIMERS = 'timers';
const FILES = 'open files';
const SESSIONS = 'sessions_live';

/**
 * How far above its baseline each may stay. Heap is measured after a forced collection; what the allocator of C keeps for the next
 * time does not go back to the system at once, so memory as the system sees it is judged more loosely. The witness has a handful of
 * timers and files of its own that come and go.
 */
export const TOLERANCE: { [name: string]: number } = {
  [HEAP]: 4,
  [MEMORY]: 48,
  [TIMERS]: 8,
  [FILES]: 6,
  'other resources': 4,
  requestsOpen: 2,
  answers_pending: 4,
  socketCommands: 4,
};

/** Without a collection, so that it can be asked again and again: what has to go away by itself. */
export const levels = async (daemon: Daemon): Promise<Baseline> => {
  const { json } = await daemon.get('/v3/metrics', { timeoutMs: 60_000 });
  const gauges = (json.limits as { name: string; value: number }[]).filter(({ name }) => GAUGES.includes(name));
  const live = (json.limits as { name: string; value: number }[]).find(({ name }) => name === SESSIONS)?.value;
  return {
    ...Object.fromEntries(gauges.map(({ name, value }) => [name, value])),
    [SESSIONS]: live ?? Number.NaN,
    [FILES]: readdirSync(`/proc/${daemon.pid}/fd`).length,
  };
};

export const residentMiB = (daemon: Daemon): number =>
  Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))?.[1] ?? Number.NaN) / 1024;

export const takeBaseline = async (daemon: Daemon): Promise<Baseline> => {
  const { heapUsed, external, resources } = await lookInside(daemon);
  const { Timeout = 0, ...others } = resources;
  return {
    ...(await levels(daemon)),
    [HEAP]: (heapUsed + external) / 2 ** 20,
    [MEMORY]: residentMiB(daemon),
    [TIMERS]: Timeout,
    'other resources': Object.values(others).reduce((sum, n) => sum + n, 0),
  };
};

export interface Allowed {
  /** Sessions that were made have to have left memory. */
  sessionsGone: boolean;
  keepsMiB: number;
}

/** What stayed above the baseline, one line for each. A session in memory has a timer, so timers are judged beside sessions. */
export const leftOver = (before: Baseline, after: Baseline, { sessionsGone, keepsMiB }: Allowed): string[] =>
  Object.entries(after).flatMap(([name, value]) => {
    if (name === SESSIONS && !sessionsGone) return [];
    const was = before[name] ?? Number.NaN;
    const sessions = name === TIMERS ? Math.max(0, (after[SESSIONS] ?? 0) - (before[SESSIONS] ?? 0)) : 0;
    const kept = name === HEAP || name === MEMORY ? keepsMiB : 0;
    const most = was + (TOLERANCE[name] ?? 0) + sessions + kept;
    // Written so that a figure which could not be read fails.
    return value <= most
      ? []
      : [`${name}: ${value.toFixed(1)} after, ${was.toFixed(1)} before, ${most.toFixed(1)} allowed`];
  });
