import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { removeHome, tempHome, usageOf } from '../processes.ts';
import { figure, quantile } from '../stats.ts';
import { connectionsTo, createSession, type World, withDaemon } from '../world.ts';

const CONNECTIONS = 16;
const RUN_MS = 3_000;
const WARM_MS = 1_000;
const TARGET = 10_000;
const RECORD_BYTES = 400;
const FLOOR_MS = 500;

/** What the disk allows: a file to which as many records are appended as there are connections, then synced, and so on. */
const appendRate = (): number => {
  const folder = tempHome();
  const file = openSync(join(folder, 'floor'), 'w');
  const records = Buffer.alloc(RECORD_BYTES * CONNECTIONS);
  const startedAt = performance.now();
  let count = 0;
  while (performance.now() - startedAt < FLOOR_MS) {
    writeSync(file, records);
    fdatasyncSync(file);
    count += CONNECTIONS;
  }
  const perS = count / ((performance.now() - startedAt) / 1000);
  closeSync(file);
  removeHome(folder);
  return perS;
};

export const create = (world: World): Promise<void> =>
  withDaemon(world, async (daemon) => {
    const connections = connectionsTo(daemon.port, daemon.token, CONNECTIONS);
    const run = async (ms: number) => {
      const tookMs: number[] = [];
      const before = usageOf(daemon.process.pid);
      const until = performance.now() + ms;
      await Promise.all(
        connections.map(async (http) => {
          while (performance.now() < until) {
            const startedAt = performance.now();
            await createSession(http);
            tookMs.push(performance.now() - startedAt);
          }
        }),
      );
      const cpuS = usageOf(daemon.process.pid).cpuS - before.cpuS;
      return { perS: tookMs.length / (ms / 1000), p99Ms: quantile(tookMs, 0.99), cpuUs: (cpuS / tookMs.length) * 1e6 };
    };
    await run(WARM_MS);
    const runs: Awaited<ReturnType<typeof run>>[] = [];
    const floor: number[] = [];
    for (let i = 0; i < world.reps; i++) {
      floor.push(appendRate());
      runs.push(await run(RUN_MS));
    }
    for (const connection of connections) connection.close();
    const of = (name: keyof (typeof runs)[number]) => figure(runs.map((r) => r[name]));
    const rate = of('perS');
    const what = `create a session, durable, ${CONNECTIONS} connections`;
    world.add({
      case: 'g',
      what,
      unit: '/s',
      ours: rate,
      peer: figure(floor),
      peerName: 'append + fdatasync',
      target: '≥ 10k/s',
      met: rate.median >= TARGET,
    });
    world.add({ case: 'g', what: `${what}: p99`, unit: ' ms', ours: of('p99Ms') });
    world.add({ case: 'g', what: `${what}: CPU of each`, unit: ' µs', ours: of('cpuUs') });
  });
