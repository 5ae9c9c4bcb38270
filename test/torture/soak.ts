import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../sim/random.ts';
import { type Daemon, startDaemon, until } from '../support/daemon.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { type SoakCounts, soakLane } from './soak-load.ts';
import { compare, median, type Row, type Sample, tableOf, takeSample } from './soak-samples.ts';

/**
 * `npm run soak -- --minutes 10`: streams, tools, permissions and cancels on several sessions at once, with readers that come and
 * go, for as long as it is told. Fails when what the daemon holds grows from the first third to the last beyond the bounds of
 * soak-samples.ts, when anything is left over after the load, or when a reader saw other bytes than are stored.
 *
 * It says nothing about: the inference server (a fake one in this process), other machines' sockets, the count of JavaScript
 * timers (only what the event loop watches is visible from outside), and growth slower than its bounds over its own minutes.
 */
const LANES = 6;
const SAMPLE_MS = 1_000;
/** Sessions leave memory a minute after their last turn; before that everything grows. */
const WARM_UP_MS = 75_000;

export interface SoakReport {
  ok: boolean;
  rows: Row[];
  left: { [name: string]: number };
  counts: SoakCounts;
  text: string;
}

export interface SoakOptions {
  minutes: number;
  seed: number;
  /** Ends the load early; what was measured until then is reported. */
  stop?: AbortSignal;
  onProgress?: (line: string) => void;
}

export const soak = async (options: SoakOptions): Promise<SoakReport> => {
  const workspace = mkdtempSync(join(tmpdir(), 'opta-soak-work-'));
  writeFileSync(join(workspace, 'a.txt'), Array.from({ length: 400 }, (_, i) => `line ${i}`).join('\n'));
  const lmx = await startFakeLmx();
  let daemon: Daemon | null = null;
  try {
    daemon = await startDaemon({ lmxPort: lmx.port, env: { OPTA_CHECK: '0' } });
    return await run(daemon, lmx, workspace, options);
  } finally {
    await daemon?.dispose();
    await lmx.close();
    rmSync(workspace, { recursive: true, force: true });
  }
};

const run = async (
  daemon: Daemon,
  lmx: FakeLmx,
  workspace: string,
  { minutes, seed, stop, onProgress }: SoakOptions,
): Promise<SoakReport> => {
  const counts: SoakCounts = {
    sessions: 0,
    turns: {},
    cancels: 0,
    decisions: 0,
    reconnects: 0,
    frames: 0,
    violations: [],
    turnMs: [],
  };
  const random = new Random(seed);
  const atRest = await takeSample(daemon, 0);
  const startedAt = performance.now();
  const endsAt = startedAt + minutes * 60_000;
  const over = (): boolean =>
    performance.now() >= endsAt || stop?.aborted === true || counts.violations.length > 0 || !daemon.alive;
  const lanes = Array.from({ length: LANES }, () => soakLane(daemon, random.fork(), workspace, counts, over));
  const failed = Promise.all(lanes).then(
    () => undefined,
    (cause: unknown) => {
      counts.violations.push(`a client failed: ${String(cause)}`);
    },
  );
  const samples: Sample[] = [];
  while (!over()) {
    await sleep(SAMPLE_MS);
    // The fake server keeps what it saw; here that would be the leak.
    lmx.requests.length = lmx.cancels.length = lmx.paths.length = 0;
    samples.push(await takeSample(daemon, startedAt));
    if (samples.length % 30 === 0) onProgress?.(progressOf(samples.at(-1) as Sample, counts));
  }
  await failed;
  const left = await rest(daemon);
  const warmUpMs = Math.min(WARM_UP_MS, minutes * 60_000 * 0.25);
  return reportOf({ samples, counts, left, atRest, warmUpMs, minutes, seed });
};

const progressOf = ({ atMs, values }: Sample, counts: SoakCounts): string =>
  `${Math.round(atMs / 1000)} s: ${JSON.stringify(counts.turns)} turns, ` +
  `${values['sessions in memory']} sessions in ${values['heap and stacks, MiB (RssAnon)']?.toFixed(0)} MiB, ` +
  `${values['open files']} files, ${counts.violations.length} violations`;

/** After the load nothing waits and nobody is attached, within the time that a closed socket takes. */
const rest = async (daemon: Daemon): Promise<{ [name: string]: number }> => {
  const names = ['answers pending', 'attachments', 'sockets', 'uncommitted tail, KiB'];
  let left: { [name: string]: number } = {};
  const look = async (): Promise<boolean> => {
    const { values } = await takeSample(daemon, 0);
    left = Object.fromEntries(names.map((name) => [name, values[name] ?? Number.NaN]));
    return Object.values(left).every((n) => n === 0);
  };
  await until('nothing to be left', look, 10_000, 100).catch(() => undefined);
  return left;
};

const reportOf = (r: {
  samples: Sample[];
  counts: SoakCounts;
  left: { [name: string]: number };
  atRest: Sample;
  warmUpMs: number;
  minutes: number;
  seed: number;
}): SoakReport => {
  const rows = compare(r.samples, r.warmUpMs);
  const grew = rows.filter((row) => !row.ok).map((row) => row.name);
  const leftOver = Object.entries(r.left).filter(([, n]) => n !== 0);
  const ok = rows.length > 0 && grew.length === 0 && leftOver.length === 0 && r.counts.violations.length === 0;
  const { turnMs, violations, ...plain } = r.counts;
  const span = r.samples.at(-1)?.atMs ?? 0;
  const firstAt = (turnMs[0]?.atMs ?? 0) + r.warmUpMs;
  const part = (from: number, to: number): number[] =>
    turnMs
      .filter((t) => t.atMs >= firstAt + from * (span - r.warmUpMs) && t.atMs < firstAt + to * (span - r.warmUpMs))
      .map((t) => t.ms);
  const text = [
    `soak of ${r.minutes} min, seed ${r.seed}, ${r.samples.length} samples, the first ${Math.round(r.warmUpMs / 1000)} s are warm-up`,
    '',
    tableOf(rows),
    '',
    `before the load: ${r.atRest.values['heap and stacks, MiB (RssAnon)']?.toFixed(0)} MiB, ${r.atRest.values['open files']} files, ${r.atRest.values.threads} threads`,
    `after the load: ${JSON.stringify(r.left)}`,
    `work: ${JSON.stringify(plain)}`,
    `a turn takes (median): first third ${median(part(0, 1 / 3)).toFixed(0)} ms, last third ${median(part(2 / 3, 1)).toFixed(0)} ms`,
    ...violations.slice(0, 10).map((v) => `violation: ${v}`),
    ok
      ? 'ok'
      : `FAILED${grew.length > 0 ? `: grew: ${grew.join(', ')}` : ''}${leftOver.length > 0 ? `: left over: ${JSON.stringify(leftOver)}` : ''}`,
  ].join('\n');
  return { ok, rows, left: r.left, counts: r.counts, text };
};

const arg = (name: string, fallback: number): number => {
  const i = process.argv.indexOf(`--${name}`);
  return i < 0 ? fallback : Number(process.argv[i + 1]);
};

if (import.meta.filename === process.argv[1]) {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const [minutes, seed] = [arg('minutes', 10), arg('seed', 1)];
  if (!(minutes > 0)) {
    process.stderr.write('soak: --minutes N --seed S\n');
    process.exit(2);
  }
  const report = await soak({
    minutes,
    seed,
    stop: stop.signal,
    onProgress: (line) => process.stderr.write(`${line}\n`),
  });
  process.stdout.write(`${report.text}\n`);
  process.exitCode = report.ok ? 0 : 1;
}
