import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { alone, ensureBuilt, ensureInstalled, ensureNode, loopbackEnv, ROOT, run, toolPath } from './lib/steps.mjs';

/**
 * Runs the tests once, under this Node or another one, and returns what they counted. `failed` is never 0 when the run itself went
 * wrong.
 */
export const runTests = async (args, { node = process.execPath } = {}) => {
  await ensureBuilt();
  const report = join(ROOT, '.build', `vitest-${process.pid}.json`);
  mkdirSync(join(ROOT, '.build'), { recursive: true });
  const started = alone(node, [
    toolPath('vitest', 'vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...args,
  ]);
  const where = started.isAlone ? 'a network of their own, with loopback alone' : 'the network of this machine';
  process.stderr.write(`opta: tests run in ${where}\n`);
  const code = await run(started.command, started.args, {
    env: loopbackEnv(),
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const counts = read(report);
  // A file that could not be loaded or an error outside a test fails the run without failing a test.
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
};

const read = (report) => {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
      readFileSync(report, 'utf8'),
    );
    const broken = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length;
    return {
      passed: numPassedTests,
      failed: numFailedTests + broken,
      skipped: (numPendingTests ?? 0) + (numTodoTests ?? 0),
    };
  } catch {
    // No report: the runner itself did not get as far.
    return { passed: 0, failed: 1, skipped: 0 };
  } finally {
    rmSync(report, { force: true });
  }
};

export const countsLine = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;

if (import.meta.filename === process.argv[1]) {
  ensureNode();
  await ensureInstalled();
  const counts = await runTests(process.argv.slice(2));
  process.stdout.write(`${countsLine(counts)}\n`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
}
