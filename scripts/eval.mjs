import { ensureBuilt, ensureInstalled, ensureNode, loopbackEnv, runNode } from './lib/steps.mjs';

// `npm run eval -- --port 1234`: twenty small repository tasks with the model of an inference server on this machine.
ensureNode();
await ensureInstalled();
await ensureBuilt();
process.exitCode = await runNode(['--import', 'tsx', 'test/eval/run.ts', ...process.argv.slice(2)], {
  env: loopbackEnv(),
});
