import { ensureBuilt, ensureInstalled, ensureNode, loopbackEnv, runNode } from './lib/steps.mjs';

// `npm run soak -- --minutes 10`: load on the built daemon, and what it holds at the beginning and at the end.
ensureNode();
await ensureInstalled();
await ensureBuilt();
process.exitCode = await runNode(['--import', 'tsx', 'test/torture/soak.ts', ...process.argv.slice(2)], {
  env: loopbackEnv(),
});
