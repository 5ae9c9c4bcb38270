import { simulate } from './scenario.ts';
import type { World } from './world.ts';

/**
 * `npm run sim -- --sessions N --seed S [--trace]`: N simulated sessions from seed S on. Each world holds two sessions. On a
 * violation: the seed, the sentences, exit 1. `--one S` runs a single world twice and shows that both runs are the same.
 */
const arg = (name: string, fallback: number): number => {
  const i = process.argv.indexOf(`--${name}`);
  return i < 0 ? fallback : Number(process.argv[i + 1]);
};

const main = async (): Promise<void> => {
  const seed = arg('seed', 1);
  const one = arg('one', 0);
  if (one > 0) return twice(one);
  const sessions = arg('sessions', 2_000);
  const startedAt = performance.now();
  let done = 0;
  let steps = 0;
  let records = 0;
  for (let s = seed; done < sessions; s++) {
    const o = await simulate(s);
    done += o.sessions;
    steps += o.steps;
    records += o.records;
    if (o.violations.length > 0) {
      console.log(`seed ${s} violates:\n  ${o.violations.join('\n  ')}\nreplay: npm run sim -- --one ${s}`);
      process.exit(1);
    }
  }
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(
    `${done} simulated sessions from seed ${seed}: 0 violations; ${steps} steps, ${records} records, ` +
      `${(done / seconds).toFixed(0)} sessions/s, ${(steps / seconds).toFixed(0)} steps/s`,
  );
};

const twice = async (seed: number): Promise<void> => {
  const logs = (world: World): void => {
    if (!process.argv.includes('--trace')) return;
    for (const id of world.disk.sessions()) for (const r of world.disk.records(id)) console.log(r.text);
  };
  const a = await simulate(seed, undefined, logs);
  const b = await simulate(seed);
  console.log(JSON.stringify(a, null, 2));
  if (a.digest !== b.digest || a.steps !== b.steps) {
    console.log('the second run of the same seed differs');
    process.exit(1);
  }
  if (a.violations.length > 0) process.exit(1);
};

await main();
