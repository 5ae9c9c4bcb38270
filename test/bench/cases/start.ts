import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '../http.ts';
import { removeHome, startDaemon, startScript, stopDaemon, tempHome, usageOf } from '../processes.ts';
import { seedSessions } from '../seed.ts';
import { figure } from '../stats.ts';
import type { World } from '../world.ts';

const IDLE_MS = 3_000;

/** What any process of this kind pays: Node, uWebSockets.js, one answered request. */
const relayStart = async (world: World): Promise<number> => {
  const startedAt = performance.now();
  const relay = await startScript('relay.mjs', [
    join(world.app, 'dist/transport/uws/load-uws.js'),
    String(world.source.port),
  ]);
  const http = new Connection(relay.port);
  await http.request('GET', '/health');
  const tookMs = performance.now() - startedAt;
  http.close();
  await relay.end();
  return tookMs;
};

export const startUp = async (world: World): Promise<void> => {
  const started: number[] = [];
  const floor: number[] = [];
  const rss: number[] = [];
  const idleCpu: number[] = [];
  for (let i = 0; i < world.reps * 2; i++) {
    floor.push(await relayStart(world));
    const daemon = await startDaemon({ app: world.app, sourcePort: world.source.port });
    started.push(daemon.startMs);
    if (i < 3) {
      await sleep(IDLE_MS);
      const before = usageOf(daemon.process.pid);
      await sleep(IDLE_MS);
      const after = usageOf(daemon.process.pid);
      rss.push(after.rssMb);
      idleCpu.push(((after.cpuS - before.cpuS) / (IDLE_MS / 1000)) * 100);
    }
    await stopDaemon(daemon);
  }
  const start = figure(started);
  const memory = figure(rss);
  world.add({
    case: 'e',
    what: 'start → first 200',
    unit: ' ms',
    ours: start,
    peer: figure(floor),
    target: '≤ 200 ms',
    met: start.median <= 200,
  });
  world.add({ case: 'e', what: 'RSS, idle', unit: ' MB', ours: memory, target: '≤ 70 MB', met: memory.median <= 70 });
  world.add({ case: 'e', what: 'CPU, idle, of one core', unit: ' %', ours: figure(idleCpu) });
};

const SIZES = [0, 1_000, 100_000];
const EXTRA_MS = 20;

export const restart = async (world: World): Promise<void> => {
  const homes = SIZES.map(() => tempHome());
  const tookMs: number[][] = SIZES.map(() => []);
  try {
    for (const [i, size] of SIZES.entries()) if (size > 0) await seedSessions(homes[i] as string, size);
    // In turn, so that what the machine does meanwhile hits all sizes. The first round is not counted: it fills the page cache.
    for (let rep = 0; rep <= world.reps * 2; rep++) {
      for (const [i, home] of homes.entries()) {
        const daemon = await startDaemon({ app: world.app, sourcePort: world.source.port, home });
        if (rep > 0) tookMs[i]?.push(daemon.startMs);
        await stopDaemon(daemon, true);
      }
    }
  } finally {
    for (const home of homes) removeHome(home);
  }
  const empty = tookMs[0] as number[];
  tookMs.slice(1).forEach((values, i) => {
    // Judged within each round: between rounds the machine changes by more than what is looked for.
    const extra = figure(values.map((ms, round) => ms - (empty[round] as number)));
    const size = (SIZES[i + 1] as number).toLocaleString('en-US');
    const what = `restart with ${size} stored sessions`;
    world.add({ case: 'f', what, unit: ' ms', ours: figure(values), peer: figure(empty), peerName: 'empty' });
    world.add({
      case: 'f',
      what: `${what}: over the empty one of the same round`,
      unit: ' ms',
      ours: extra,
      target: `≤ ${EXTRA_MS} ms`,
      met: extra.median <= EXTRA_MS,
    });
  });
};
