import { FrameSplitter, TokenReader } from '../frames.ts';
import { Connection } from '../http.ts';
import { type Daemon, usageOf } from '../processes.ts';
import { type BenchSocket, openSocket } from '../sockets.ts';
import { type Figure, figure, quantile } from '../stats.ts';
import { createSession, submit, type World, withDaemon } from '../world.ts';

/** What one run of one system delivered. */
interface Run {
  tokensPerS: number;
  p50Ms: number;
  p99Ms: number;
  cpuS: number;
  rssMb: number;
}

interface Load {
  sockets: number;
  tokens: number;
  tps: number;
}

const DEADLINE_MS = 60_000;
const END = '"event":"turn.done"';
let serial = 0;

const promptOf = ({ tokens, tps }: Load): string => `bench tokens=${tokens} tps=${tps}`;

/** Reads what the sockets kept. Throws when a token is missing: that would be another benchmark. */
const deliveredBy = (sockets: readonly BenchSocket[], load: Load): Omit<Run, 'cpuS' | 'rssMb'> => {
  const latencies: number[] = [];
  let firstBirthUs = Number.POSITIVE_INFINITY;
  let lastUs = 0;
  for (const socket of sockets) {
    const tokens = new TokenReader();
    const frames = new FrameSplitter();
    for (const { atUs, bytes } of socket.received) {
      frames.push(bytes, (payload) =>
        tokens.take(payload.toString(), atUs, (latencyMs) => {
          latencies.push(latencyMs);
          firstBirthUs = Math.min(firstBirthUs, atUs - latencyMs * 1000);
          lastUs = Math.max(lastUs, atUs);
        }),
      );
    }
    if (tokens.next !== load.tokens) throw new Error(`${tokens.next} tokens of ${load.tokens} arrived`);
  }
  return {
    tokensPerS: latencies.length / ((lastUs - firstBirthUs) / 1e6),
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
  };
};

const measured = async (
  pid: number,
  sockets: readonly BenchSocket[],
  load: Load,
  begin: () => Promise<unknown>,
): Promise<Run> => {
  const before = usageOf(pid);
  const ended = Promise.all(sockets.map((socket) => socket.until(END, DEADLINE_MS)));
  await begin();
  await ended;
  const after = usageOf(pid);
  for (const socket of sockets) socket.close();
  return { ...deliveredBy(sockets, load), cpuS: after.cpuS - before.cpuS, rssMb: after.rssMb };
};

const relayRun = async (world: World, http: Connection, load: Load): Promise<Run> => {
  const topic = `t${++serial}`;
  const { port, pid } = world.relay;
  const sockets = await Promise.all(
    Array.from({ length: load.sockets }, () => openSocket({ port, path: `/${topic}` })),
  );
  return measured(pid, sockets, load, () => http.request('POST', `/run/${topic}`, promptOf(load)));
};

const ourRun = async (daemon: Daemon, load: Load): Promise<Run> => {
  const { port, token, http, process } = daemon;
  const id = await createSession(http);
  const path = `/v3/ws?sessionId=${id}&afterSeq=0`;
  const sockets = await Promise.all(Array.from({ length: load.sockets }, () => openSocket({ port, token, path })));
  await Promise.all(sockets.map((socket) => socket.untilBytes(1, DEADLINE_MS)));
  return measured(process.pid, sockets, load, () => submit(http, id, promptOf(load)));
};

/** Runs relay and daemon in turn, so that what the machine does meanwhile hits both. */
const sideBySide = async (world: World, daemon: Daemon, load: Load, reps: number) => {
  const http = new Connection(world.relay.port);
  const relay: Run[] = [];
  const ours: Run[] = [];
  // The first run of each is not counted: code that was never run is compiled in it.
  await relayRun(world, http, load);
  await ourRun(daemon, load);
  for (let i = 0; i < reps; i++) {
    relay.push(await relayRun(world, http, load));
    ours.push(await ourRun(daemon, load));
  }
  http.close();
  const of =
    (runs: Run[]) =>
    (name: keyof Run): Figure =>
      figure(runs.map((run) => run[name]));
  return { relay: of(relay), ours: of(ours) };
};

/** 20 times the 52,000 one-token events a second that the earlier system delivered to 100 sockets on a machine of this size. */
const TEXT_TARGET = 20 * 52_000;
const FLOOD_P99_MS = 80;

export const flood = (world: World): Promise<void> =>
  withDaemon(world, async (daemon) => {
    for (const sockets of [1, 10, 100]) {
      const { ours, relay } = await sideBySide(world, daemon, { sockets, tokens: 2_000, tps: 0 }, world.reps);
      const what = (name: string): string => `2,000 tokens flooded to ${sockets}: ${name}`;
      const all = sockets === 100;
      world.add({
        case: 'a',
        what: what('tokens delivered per second'),
        unit: '',
        ours: ours('tokensPerS'),
        peer: relay('tokensPerS'),
        ...(all ? { target: '≥ 1,040k (20 × 52k)', met: ours('tokensPerS').median >= TEXT_TARGET } : {}),
      });
      world.add({
        case: 'a',
        what: what('p50 birth → receipt'),
        unit: ' ms',
        ours: ours('p50Ms'),
        peer: relay('p50Ms'),
      });
      const p99 = ours('p99Ms');
      const met = p99.median <= FLOOD_P99_MS;
      const target = `≤ ${FLOOD_P99_MS} ms`;
      world.add({ case: 'a', what: what('p99'), unit: ' ms', ours: p99, peer: relay('p99Ms'), target, met });
      world.add({ case: 'a', what: what('CPU'), unit: ' s', ours: ours('cpuS'), peer: relay('cpuS') });
      world.add({ case: 'a', what: what('RSS after'), unit: ' MB', ours: ours('rssMb'), peer: relay('rssMb') });
    }
  });

const PACED_P50_EXTRA_MS = 0.7;
const PACED_P99_RATIO = 2;
const PACED_CPU_RATIO = 1.3;

export const paced = (world: World): Promise<void> =>
  withDaemon(world, async (daemon) => {
    const { ours, relay } = await sideBySide(world, daemon, { sockets: 100, tokens: 2_000, tps: 500 }, world.reps);
    const what = '500 tokens/s to 100 for 4 s:';
    const p50 = ours('p50Ms');
    world.add({
      case: 'b',
      what: `${what} p50 birth → receipt`,
      unit: ' ms',
      ours: p50,
      peer: relay('p50Ms'),
      target: `peer + ${PACED_P50_EXTRA_MS} ms`,
      met: p50.median <= relay('p50Ms').median + PACED_P50_EXTRA_MS,
    });
    const p99 = ours('p99Ms');
    world.add({
      case: 'b',
      what: `${what} p99`,
      unit: ' ms',
      ours: p99,
      peer: relay('p99Ms'),
      target: `${PACED_P99_RATIO} × peer`,
      met: p99.median <= relay('p99Ms').median * PACED_P99_RATIO,
    });
    const cpu = ours('cpuS');
    world.add({
      case: 'b',
      what: `${what} CPU`,
      unit: ' s',
      ours: cpu,
      peer: relay('cpuS'),
      target: `${PACED_CPU_RATIO} × peer`,
      met: cpu.median <= relay('cpuS').median * PACED_CPU_RATIO,
    });
  });
