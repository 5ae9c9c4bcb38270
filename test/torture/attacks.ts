import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { OPERATION_IDS } from '../../src/protocol/operations.ts';
import { say } from '../e2e/world.ts';
import { adapters, transportEnv } from '../support/adapters.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import type { Attack, Target } from './attack.ts';
import { ACCESS } from './attacks-access.ts';
import { CROWDS, STREAMS } from './attacks-crowds.ts';
import { FRAMES } from './attacks-frames.ts';
import { HTTP } from './attacks-http.ts';
import { SHIM } from './attacks-shim.ts';
import { type Allowed, type Baseline, leftOver, levels, takeBaseline } from './baseline.ts';
import { INSPECTED } from './inspector.ts';
import { sleep } from './raw-client.ts';
import { Witness } from './witness.ts';

/**
 * `npm run attacks`: strangers, broken clients and crowds against the real daemon, one kind after another, while a well-behaved client
 * goes on working ([AC3]). After each kind what the daemon holds is compared with what it held before; at the end the witness has to
 * have all that it was owed, and the token stands in no log.
 */
export const ATTACKS: readonly Attack[] = [
  ...ACCESS,
  ...FRAMES,
  ...HTTP,
  ...SHIM,
  ...CROWDS,
  ...((OPERATION_IDS as readonly string[]).includes('events.stream') ? STREAMS : []),
];

const SETTLE_MS = 10_000;
/** A session leaves memory a minute after its last word. */
const PASSIVATED_MS = 100_000;
const LOOKS_MAX = 10;

/**
 * glibc gives freed memory back at once, and has one arena: what the system counts is then what the daemon holds, and not what the
 * allocator keeps for the next time. How much that is depends on what else ran on the machine.
 */
const TIDY = { MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072', MALLOC_MMAP_THRESHOLD_: '131072' };

export class Siege {
  readonly daemon: Daemon;
  readonly #lmx: FakeLmx;
  readonly #witness: Witness;
  readonly #target: Target;
  readonly #long: boolean;

  private constructor(daemon: Daemon, lmx: FakeLmx, witness: Witness, target: Target, long: boolean) {
    this.#long = long;
    this.daemon = daemon;
    this.#lmx = lmx;
    this.#witness = witness;
    this.#target = target;
  }

  static async begin(options: { adapter: string; long: boolean }): Promise<Siege> {
    const lmx = await startFakeLmx();
    const env = { ...transportEnv(options.adapter), OPTA_CHECK: '0' };
    const daemon = await startDaemon({ lmxPort: lmx.port, env: { ...env, ...TIDY }, nodeArgs: INSPECTED });
    try {
      const sessionId = await daemon.create();
      const reader = await daemon.socket(sessionId);
      const { turnId } = await daemon.submit(sessionId, { content: say({ tokens: 300, tps: 600 }) });
      await reader.terminal(turnId);
      reader.terminate();
      const witness = new Witness(daemon);
      await witness.start();
      const size = (quick: number, long: number): number => (options.long ? long : quick);
      const target = { daemon, sessionId, port: daemon.port, token: daemon.token, size };
      const siege = new Siege(daemon, lmx, witness, target, options.long);
      await sleep(500);
      return siege;
    } catch (cause) {
      await daemon.dispose();
      await lmx.close();
      throw cause;
    }
  }

  /** One kind of attack, from baseline to baseline. */
  async run(attack: Attack): Promise<{ problems: string[]; before: Baseline; after: Baseline; seconds: number }> {
    const startedAt = performance.now();
    const before = await takeBaseline(this.daemon);
    const problems = await attack.run(this.#target);
    problems.push(...(await this.#witness.served()));
    const allowed = { sessionsGone: this.#long, keepsMiB: this.#long ? 0 : (attack.keepsMiB ?? 0) };
    const settleMs = Math.max(attack.settleMs ?? SETTLE_MS, this.#long ? PASSIVATED_MS : 0);
    const end = performance.now() + settleMs;
    // What has to go away by itself is waited for; memory is looked at once, after that.
    while (leftOver(before, await levels(this.daemon), allowed).length > 0 && performance.now() < end) await sleep(100);
    // The fake server keeps what it saw; that is not the daemon's.
    this.#lmx.requests.length = this.#lmx.cancels.length = this.#lmx.paths.length = 0;
    const after = await this.#lowWater(before, allowed);
    problems.push(...leftOver(before, after, allowed));
    return { problems, before, after, seconds: (performance.now() - startedAt) / 1_000 };
  }

  /** Memory goes back to the system when the allocator finds the time, so the lowest of some looks counts. */
  async #lowWater(before: Baseline, allowed: Allowed): Promise<Baseline> {
    let lowest = await takeBaseline(this.daemon);
    for (let look = 1; look < LOOKS_MAX && leftOver(before, lowest, allowed).length > 0; look++) {
      await sleep(400);
      const next = await takeBaseline(this.daemon);
      lowest = Object.fromEntries(
        Object.entries(next).map(([name, value]) => [name, Math.min(value, lowest[name] ?? value)]),
      );
    }
    return lowest;
  }

  /** What the witness lacks, what the log says that it must not, and whether it is still the process that was begun with. */
  async end(): Promise<string[]> {
    const problems = await this.#witness.finish();
    if (this.#witness.turns === 0) problems.push('the witness did nothing');
    const { json } = await this.daemon.get('/v3/health');
    if (!this.daemon.alive || json.daemonId !== this.daemon.daemonId) problems.push('the daemon is another one');
    const log = readFileSync(join(this.daemon.home, 'daemon', 'daemon.log'), 'utf8');
    if (log.includes(this.daemon.token) || this.daemon.process.stderr.includes(this.daemon.token))
      problems.push('the token stands in the log');
    const faults = log.split('\n').filter((line) => /"level":(?:50|60)|transport fault|uncaught/.test(line));
    problems.push(...faults.slice(0, 3).map((line) => `the log has a fault: ${line.slice(0, 600)}`));
    return problems;
  }

  async close(): Promise<void> {
    await this.daemon.dispose();
    await this.#lmx.close();
  }
}

const arg = (name: string): string | undefined => {
  const i = process.argv.indexOf(`--${name}`);
  return i < 0 ? undefined : process.argv[i + 1];
};

const changes = (before: Baseline, after: Baseline): string =>
  Object.keys(after)
    .map((name) => `${name} ${before[name]?.toFixed(0)}→${after[name]?.toFixed(0)}`)
    .join(', ');

/** Every attack once, small, so that what is loaded and compiled on first use is not taken for what was left behind. */
const warmUp = async (adapter: string, attacks: readonly Attack[], siege: Siege): Promise<void> => {
  process.stdout.write(`${adapter}: warming up\n`);
  const quick = (small: number): number => small;
  const { daemon } = siege;
  const sessionId = await daemon.create();
  for (const attack of attacks)
    await attack.run({ daemon, sessionId, port: daemon.port, token: daemon.token, size: quick });
};

const besiege = async (adapter: string, attacks: readonly Attack[], long: boolean): Promise<number> => {
  const siege = await Siege.begin({ adapter, long });
  let bad = 0;
  try {
    if (long) await warmUp(adapter, attacks, siege);
    for (const attack of attacks) {
      const { problems, before, after, seconds } = await siege.run(attack);
      bad += problems.length;
      process.stdout.write(
        `${problems.length === 0 ? 'ok  ' : 'FAIL'} ${adapter} ${attack.name}: ${seconds.toFixed(1)} s; ${changes(before, after)}\n`,
      );
      for (const problem of problems) process.stdout.write(`     ${problem}\n`);
    }
    const problems = await siege.end();
    bad += problems.length;
    process.stdout.write(`${problems.length === 0 ? 'ok  ' : 'FAIL'} ${adapter} the witness\n`);
    for (const problem of problems) process.stdout.write(`     ${problem}\n`);
  } finally {
    await siege.close();
  }
  return bad;
};

if (import.meta.filename === process.argv[1]) {
  const only = arg('only')?.split(',');
  const attacks = ATTACKS.filter(({ name }) => only === undefined || only.includes(name));
  if (attacks.length === 0) {
    process.stderr.write(`attacks: [--only NAME,…] [--quick]; there are: ${ATTACKS.map((a) => a.name).join(', ')}\n`);
    process.exit(2);
  }
  const chosen = process.env.OPTA_TRANSPORT;
  let bad = 0;
  for (const adapter of chosen === undefined ? adapters() : [chosen]) {
    bad += await besiege(adapter, attacks, !process.argv.includes('--quick'));
  }
  process.exitCode = bad === 0 ? 0 : 1;
}
