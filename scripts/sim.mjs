import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';

/**
 * `npm run sim -- --sessions N --seed S`: the seeds are shared out over the processors; a violation of any ends all.
 * `npm run sim -- --one S [--trace]` replays one world twice and compares the two.
 */
const args = process.argv.slice(2);
const value = (name, fallback) => {
  const i = args.indexOf(`--${name}`);
  return i < 0 ? fallback : Number(args[i + 1]);
};

const run = (argv) =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', 'test/sim/run.ts', ...argv], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, OPTA_LOOPBACK_ONLY: '1', OPTA_HOST: '127.0.0.1' },
    });
    children.add(child);
    let out = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.on('close', (code) => {
      children.delete(child);
      resolve({ code, out });
    });
  });
const children = new Set();

if (args.includes('--one')) {
  const { code, out } = await run(args);
  process.stdout.write(out);
  process.exit(code ?? 1);
}

const sessions = value('sessions', 2000);
const seed = value('seed', 1);
const workers = Math.max(1, Math.min(availableParallelism(), Math.ceil(sessions / 100)));
const each = Math.ceil(sessions / workers);
const startedAt = performance.now();
const results = await Promise.all(
  Array.from({ length: workers }, async (_, i) => {
    // Each world holds two sessions, so a share of N sessions uses N / 2 seeds.
    const result = await run(['--sessions', String(each), '--seed', String(seed + i * Math.ceil(each / 2))]);
    if (result.code !== 0) for (const other of children) other.kill('SIGKILL');
    return result;
  }),
);
const bad = results.find((r) => r.code !== 0 && r.out !== '');
if (bad || results.some((r) => r.code !== 0)) {
  process.stdout.write(bad?.out ?? 'a simulation process failed\n');
  process.exit(1);
}
const seconds = (performance.now() - startedAt) / 1000;
for (const r of results) process.stdout.write(r.out);
console.log(
  `${each * workers} simulated sessions in ${seconds.toFixed(1)} s on ${workers} processes: ${((each * workers) / seconds).toFixed(0)} sessions/s`,
);
