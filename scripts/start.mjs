import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, ensureNode, loopbackEnv, ROOT, runNode } from './lib/steps.mjs';

// A fresh clone and Node are enough: installs and builds what is missing, then shows one real turn on a daemon of its own.
ensureNode();
await ensureInstalled();
await ensureBuilt();
const env = loopbackEnv();
process.exitCode = await runNode([join(ROOT, 'bin', 'opta.js'), 'demo', ...process.argv.slice(2)], {
  env,
  cwd: process.env.INIT_CWD ?? process.cwd(),
});
