import { ensureBuilt, ensureInstalled, ensureNode, loopbackEnv, runNode } from './lib/steps.mjs';

// `npm run torture -- --rounds 100 --seed 7`: kill -9 of the built daemon, round after round.
ensureNode();
await ensureInstalled();
await ensureBuilt();
process.exitCode = await runNode(['--import', 'tsx', 'test/torture/run.ts', ...process.argv.slice(2)], {
  env: loopbackEnv(),
});
