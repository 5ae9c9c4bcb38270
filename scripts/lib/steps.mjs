import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeCharts } from './chart-layout.mjs';
import { bundleClient } from './client-bundle.mjs';

/** The folder of the project, wherever the script was called from. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const NODE_MIN = [20, 19];
const STAMP = join(ROOT, 'dist', '.built');

/** Runs a command with this terminal; resolves with its exit code. Ctrl-C reaches the child by itself and is left to it. */
export const run = (command, args, { env = process.env, cwd = ROOT, stdio = 'inherit' } = {}) =>
  new Promise((resolve, reject) => {
    const ignore = () => undefined;
    process.on('SIGINT', ignore);
    const child = spawn(command, args, { cwd, env, stdio });
    const forward = (signal) => child.kill(signal);
    process.on('SIGTERM', forward);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.removeListener('SIGINT', ignore);
      process.removeListener('SIGTERM', forward);
      resolve(signal === null ? code : 1);
    });
  });

export const runNode = (args, options) => run(process.execPath, args, options);

/** The JavaScript file behind a tool's command, so that no shell and no PATH is involved. */
export const toolPath = (packageName, bin) => {
  const manifest = createRequire(join(ROOT, 'package.json')).resolve(`${packageName}/package.json`);
  return join(dirname(manifest), bin);
};

/** One line that says what is going on; it goes to stderr, where it pollutes no output. */
const progress = async (what, work) => {
  const startedAt = Date.now();
  process.stderr.write(`opta: ${what} … `);
  await work();
  process.stderr.write(`${((Date.now() - startedAt) / 1000).toFixed(1)} s\n`);
};

const quietly = async (command, args, env = process.env) => {
  let said = '';
  const code = await new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const keep = (part) => {
      said = (said + part).slice(-20_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (code !== 0) {
    process.stderr.write(`failed\n${said}\n`);
    process.exit(1);
  }
};

/**
 * The same command in a network of its own that has loopback and nothing else, where the system lets us make one (Linux, as root). Then a
 * test that forgets its variables reaches nobody.
 */
export const alone = (command, args) => {
  const can =
    process.platform === 'linux' &&
    process.getuid() === 0 &&
    spawnSync('unshare', ['-n', 'ip', 'link', 'set', 'lo', 'up']).status === 0;
  if (!can) return { isAlone: false, command, args };
  const enter = ['-n', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', command, ...args];
  return { isAlone: true, command: 'unshare', args: enter };
};

export const ensureNode = () => {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return;
  process.stderr.write(`opta needs Node ${NODE_MIN.join('.')} or newer; this is ${process.versions.node}\n`);
  process.exit(1);
};

/** Whether every package of the lock file is there in its version. What npm left out as optional may be missing. */
const isInstalled = () => {
  const installed = join(ROOT, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return false;
  const wanted = readLock(join(ROOT, 'package-lock.json'));
  const found = readLock(installed);
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === '' || optional) return true;
    return found[path]?.version === version;
  });
};

const readLock = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;

/** npm as it was called, or the one in PATH: the command and the arguments it begins with. */
export const npmCommand = () => {
  const npm = process.env.npm_execpath;
  return npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
};

/** Installs what the lock file says, unless it is there. */
export const ensureInstalled = async () => {
  if (isInstalled()) return;
  const [command, head] = npmCommand();
  await progress('installing dependencies', () =>
    quietly(command, [...head, 'ci', '--include=dev', '--no-audit', '--no-fund']),
  );
};

const mtime = (file) => statSync(file).mtimeMs;

/** Newest change of anything that the build reads. */
const newestSource = () => {
  let newest = 0;
  const visit = (dir) => {
    // A deleted file changes its folder.
    newest = Math.max(newest, mtime(dir));
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) visit(path);
      else newest = Math.max(newest, mtime(path));
    }
  };
  visit(join(ROOT, 'src'));
  for (const file of ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json']) {
    newest = Math.max(newest, mtime(join(ROOT, file)));
  }
  return newest;
};

export const isBuilt = () => existsSync(STAMP) && mtime(STAMP) > newestSource();

/** Compiles `src` to `dist`, unless nothing has changed since the last time. A build that fails leaves no stamp. */
export const ensureBuilt = async ({ force = false } = {}) => {
  if (!force && isBuilt()) return false;
  // Taken before the compiler reads: what changes meanwhile is built the next time.
  const readFrom = new Date();
  await progress('building', async () => {
    rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
    await quietly(process.execPath, [toolPath('typescript', 'bin/tsc'), '-p', 'tsconfig.build.json']);
    await bundleClient({ write: true });
    await quietly(process.execPath, [
      toolPath('vite', 'bin/vite.js'),
      'build',
      '-c',
      'src/web/vite.config.ts',
      '-l',
      'error',
    ]);
    const dist = join(ROOT, 'dist');
    await writeCharts({ dist, out: join(dist, 'web', 'charts.json'), cache: join(ROOT, '.build', 'charts') });
    mkdirSync(dirname(STAMP), { recursive: true });
    writeFileSync(STAMP, `${readFrom.toISOString()}\n`);
  });
  return true;
};

/** The environment of everything that is started here: nothing beyond loopback. */
export const loopbackEnv = (more = {}) => ({
  ...process.env,
  OPTA_LOOPBACK_ONLY: '1',
  OPTA_HOST: '127.0.0.1',
  ...more,
});
