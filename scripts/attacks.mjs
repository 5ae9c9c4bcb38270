import { ensureBuilt, ensureInstalled, ensureNode, loopbackEnv, runNode } from './lib/steps.mjs';

// `npm run attacks`: strangers, broken clients and crowds against the built daemon, over each transport adapter or OPTA_TRANSPORT's.
ensureNode();
await ensureInstalled();
await ensureBuilt();
process.exitCode = await runNode(['--import', 'tsx', 'test/torture/attacks.ts', ...process.argv.slice(2)], {
  env: loopbackEnv(),
});
