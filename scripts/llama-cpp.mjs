import { join } from 'node:path';
import { installInto } from './lib/npm-folder.mjs';
import { ensureNode, ROOT } from './lib/steps.mjs';

/**
 * `node scripts/llama-cpp.mjs install`: node-llama-cpp for this platform into `.build/llama-cpp` (85 MB), where the tests of the
 * llama-cpp engine look for it. Without it they are skipped and say so.
 */
const VERSION = '3.22.1';
const SYSTEM = { darwin: 'mac', win32: 'win' }[process.platform] ?? process.platform;

ensureNode();
if (process.argv[2] !== 'install') {
  process.stderr.write('usage: node scripts/llama-cpp.mjs install\n');
  process.exitCode = 2;
} else {
  await installInto(join(ROOT, '.build', 'llama-cpp'), {
    'node-llama-cpp': VERSION,
    [`@node-llama-cpp/${SYSTEM}-${process.arch}`]: VERSION,
  });
}
