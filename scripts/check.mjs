import { ensureInstalled, ensureNode, runNode, toolPath } from './lib/steps.mjs';
import { countsLine, runTests } from './test.mjs';

// Everything that must hold before a change is done: format, lint, types, tests. Each step runs, also after a failed one.
ensureNode();
await ensureInstalled();

const STEPS = [
  ['format and lint', () => runNode([toolPath('@biomejs/biome', 'bin/biome'), 'ci', '--error-on-warnings', '.'])],
  ['types', () => runNode([toolPath('typescript', 'bin/tsc'), '-p', 'tsconfig.json'])],
  ['types of the page', () => runNode([toolPath('typescript', 'bin/tsc'), '-p', 'src/web/tsconfig.json'])],
];

const failed = [];
for (const [name, step] of STEPS) {
  process.stdout.write(`\n== ${name}\n`);
  const startedAt = Date.now();
  const ok = (await step()) === 0;
  if (!ok) failed.push(name);
  process.stdout.write(`== ${name}: ${ok ? 'ok' : 'FAILED'} in ${((Date.now() - startedAt) / 1000).toFixed(1)} s\n`);
}
process.stdout.write('\n== tests\n');
const counts = await runTests(process.argv.slice(2));
if (failed.length > 0) process.stdout.write(`failed besides the tests, counted as one each: ${failed.join(', ')}\n`);
const total = { ...counts, failed: counts.failed + failed.length };
process.stdout.write(`${countsLine(total)}\n`);
process.exitCode = total.failed === 0 ? 0 : 1;
