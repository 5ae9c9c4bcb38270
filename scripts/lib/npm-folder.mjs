import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './steps.mjs';

const isThere = (folder, packages) =>
  Object.entries(packages).every(([name, version]) => {
    const manifest = join(folder, 'node_modules', name, 'package.json');
    return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version === version;
  });

/**
 * Packages that are no dependencies of this project, in a folder of their own; nothing happens when they are there. Optional
 * packages are left out and no script of theirs runs: what is wanted is named. The one step that uses the network.
 */
export const installInto = async (folder, packages) => {
  if (isThere(folder, packages)) return;
  mkdirSync(folder, { recursive: true });
  const manifest = { private: true, dependencies: packages };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const args = ['install', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
  if ((await run('npm', args, { cwd: folder, stdio: ['ignore', 2, 2] })) !== 0) throw new Error('npm install failed');
};
