import { ensureBuilt, ensureInstalled, ensureNode, loopbackEnv, runNode } from './lib/steps.mjs';

// `npm run conformance`: the vectors of docs/conformance against the built daemon, or `-- --url U --token T` against a running one.
ensureNode();
await ensureInstalled();
await ensureBuilt();
process.exitCode = await runNode(['--import', 'tsx', 'test/conformance/runner.ts', ...process.argv.slice(2)], {
  env: loopbackEnv(),
});
