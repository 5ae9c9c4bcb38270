import { usageOf } from '../processes.ts';
import { figure, quantile } from '../stats.ts';
import { connectionsTo, createSession, type World, withDaemon } from '../world.ts';

const CONNECTIONS = 16;
const RUN_MS = 3_000;
const WARM_MS = 1_000;
const TARGET = 10_000;

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
    for (let i = 0; i < world.reps; i++) runs.push(await run(RUN_MS));
    for (const connection of connections) connection.close();
    const of = (name: keyof (typeof runs)[number]) => figure(runs.map((r) => r[name]));
    const rate = of('perS');
    const what = `create a session, durable, ${CONNECTIONS} connections`;
    world.add({ case: 'g', what, unit: '/s', ours: rate, target: '≥ 10k/s', met: rate.median >= TARGET });
    world.add({ case: 'g', what: `${what}: p99`, unit: ' ms', ours: of('p99Ms') });
    world.add({ case: 'g', what: `${what}: CPU of each`, unit: ' µs', ours: of('cpuUs') });
  });
