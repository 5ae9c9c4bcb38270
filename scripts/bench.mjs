import { join } from 'node:path';
import { ensureInstalled, ensureNode, loopbackEnv, ROOT, runNode } from './lib/steps.mjs';

// Builds the daemon aside and measures it beside a raw relay: docs/BENCHMARKS.md. `npm run bench -- --only a,b --reps 5`
ensureNode();
await ensureInstalled();
const main = join(ROOT, 'test', 'bench', 'main.ts');
process.exitCode = await runNode(['--import', 'tsx', main, ...process.argv.slice(2)], { env: loopbackEnv() });
