import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isAlive } from '../../../src/client/daemon-state.ts';
import { CLI_COMMAND, type CliResult, LOOPBACK, removeDir, tempDir } from '../../support/cli.ts';
import { FakeDaemon } from '../../support/fake-daemon.ts';
import { type FakeLmx, startFakeLmx } from '../../support/fake-lmx.ts';
import { type RealDaemon, startDaemon } from '../daemon.ts';
import type { Case, Family, Running, World } from './case.ts';
import { stable, visible } from './stable.ts';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
export const VERSION = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;

// Modes of files are part of a golden.
process.umask(0o022);

const CASE_DEADLINE_MS = 90_000;
const AT_ONCE = 2;

/** Nothing of whoever runs the tests: no terminal, no configuration, no colours. */
export const plainEnv = (home: string, lmxPort: number, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH ?? '',
  HOME: home,
  USER: 'golden',
  LANG: 'C.UTF-8',
  TZ: 'UTC',
  OPTA_HOME: home,
  ...LOOPBACK,
  OPTA_PORT: String(lmxPort),
  OPTA_DAEMON_PORT: '0',
  // Never the keyring of whoever runs the tests.
  OPTA_KEYRING: 'file',
  ...more,
});

export interface Outcome {
  text: string;
  code: number | null;
}

/** Every case of a family, two at a time; those that need it, alone. A case that could not be run has its reason. */
export const runFamily = async (family: Family): Promise<Map<string, Outcome | Error>> => {
  const outcomes = new Map<string, Outcome | Error>();
  const lmx = await startFakeLmx({ models: ['fake-model', 'other-model'], ...family.lmx });
  const needsDaemon = family.prepare !== undefined || family.cases.some((c) => c.in !== 'empty');
  const env = { OPTA_MODEL: 'fake-model', ...family.env };
  const daemon = needsDaemon ? await startDaemon(lmx.port, { OPTA_CHECK: '1', ...env }) : null;
  const run = async (c: Case): Promise<void> => {
    try {
      outcomes.set(c.name, await runCase(c, lmx, daemon, family.env ?? {}));
    } catch (cause) {
      outcomes.set(c.name, cause instanceof Error ? cause : new Error(String(cause)));
    }
  };
  const cwd = tempDir();
  try {
    if (daemon !== null && family.prepare) await family.prepare(worldOf(daemon.home, cwd, lmx, daemon, {}, []));
    const together = family.cases.filter((c) => !c.alone);
    const line = together.values();
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (const c of line) await run(c);
      }),
    );
    for (const c of family.cases) if (c.alone) await run(c);
  } finally {
    await daemon?.stop();
    await lmx.close();
    removeDir(cwd);
  }
  return outcomes;
};

const worldOf = (
  home: string,
  cwd: string,
  lmx: FakeLmx,
  daemon: RealDaemon | null,
  env: NodeJS.ProcessEnv,
  after: (() => unknown)[],
): World => ({
  home,
  cwd,
  lmx,
  get daemon(): RealDaemon {
    if (daemon === null) throw new Error('this world has no daemon of its family');
    return daemon;
  },
  opta: (...args) => ended(start(args, cwd, plainEnv(home, lmx.port, env), '')),
  fakeDaemon: async (change = () => undefined, state = {}) => {
    const fake = new FakeDaemon();
    change(fake);
    await fake.start();
    fake.writeState(home, state);
    after.push(() => fake.stop());
    return fake;
  },
  later: (fn) => void after.push(fn),
});

const runCase = async (
  c: Case,
  lmx: FakeLmx,
  daemon: RealDaemon | null,
  familyEnv: { readonly [name: string]: string },
): Promise<Outcome> => {
  const own = c.in === 'empty' || daemon === null;
  const home = own ? tempDir() : daemon.home;
  const cwd = own ? join(home, 'here') : tempDir();
  mkdirSync(cwd, { recursive: true });
  const env = { ...familyEnv, ...c.env };
  const after: (() => unknown)[] = [];
  let child: ChildProcess | null = null;
  const world = worldOf(home, realpathSync(cwd), lmx, own ? null : daemon, env, after);
  try {
    await c.before?.(world);
    const root = own ? home : cwd;
    const before = filesOf(root);
    const args = typeof c.args === 'function' ? c.args(world) : c.args;
    child = start(args, world.cwd, plainEnv(home, lmx.port, env), c.stdin ?? '');
    const end = ended(child);
    const running = watched(child);
    await Promise.race([Promise.resolve(c.act?.(running, world)), end]);
    const result = await end;
    const facts = { home, cwd: world.cwd, root: ROOT, version: VERSION, lmxPort: lmx.port };
    const text = written(c, args, result, filesOf(root), before, root);
    return { text: stable(visible(text), facts, c.stable), code: result.code };
  } finally {
    if (child?.exitCode === null) child.kill('SIGKILL');
    for (const fn of after.reverse()) await fn();
    if (own) await endDaemonOf(home);
    for (const dir of own ? [home] : [cwd]) removeDir(dir);
  }
};

const start = (
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
  stdin: string | { closed: true },
): ChildProcess => {
  const words = [...CLI_COMMAND, ...args];
  if (typeof stdin !== 'string')
    return spawn('/bin/sh', ['-c', 'exec "$@" <&-', 'sh', ...words], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const child = spawn(words[0] as string, words.slice(1), { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(stdin);
  return child;
};

const said = new WeakMap<ChildProcess, { stdout: string; stderr: string }>();

const ended = (child: ChildProcess): Promise<CliResult> =>
  new Promise((resolve, reject) => {
    const text = { stdout: '', stderr: '' };
    said.set(child, text);
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (part: string) => {
        text[name] += part;
      });
    }
    const late = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`no end within ${CASE_DEADLINE_MS} ms; it said\n${text.stdout}\n${text.stderr}`));
    }, CASE_DEADLINE_MS);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(late);
      resolve({ code, ...text });
    });
  });

const watched = (child: ChildProcess): Running => {
  const text = said.get(child) ?? { stdout: '', stderr: '' };
  return {
    child,
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    said: (pattern) => holds(() => pattern.test(text.stdout + text.stderr), `the command to say ${pattern}`),
  };
};

/** Resolves when it does. */
export const holds = async (check: () => boolean | Promise<boolean>, what: string): Promise<void> => {
  const end = Date.now() + CASE_DEADLINE_MS / 3;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await sleep(20);
  }
};

/** Ends what the case's commands have started. */
export const endDaemonOf = async (home: string): Promise<void> => {
  const file = join(home, 'daemon', 'daemon.pid');
  const pid = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
  if (!(pid > 1) || pid === process.pid || !isAlive(pid)) return;
  process.kill(pid, 'SIGTERM');
  await holds(() => !isAlive(pid), 'its daemon to end').catch(() => process.kill(pid, 'SIGKILL'));
};

// --- the text of a golden --------------------------------------------------------------------------------------------

/** Grows when the daemon has something to say, which may be about the command before. */
const GROWS = 'daemon/daemon.log';

/** Path → mode and what tells a change. What the store keeps in `data` is nobody's promise. */
const filesOf = (root: string): Map<string, { mode: string; mark: string }> => {
  const found = new Map<string, { mode: string; mark: string }>();
  const visit = (dir: string): void => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat === undefined || entry.isSocket()) continue;
      const name = relative(root, path) + (entry.isDirectory() ? '/' : '');
      const mode = (stat.mode & 0o7777).toString(8).padStart(4, '0');
      const isPlain = !entry.isDirectory() && name !== GROWS;
      found.set(name, { mode, mark: isPlain ? `${stat.size} ${stat.mtimeMs} ${stat.ino}` : '' });
      if (entry.isDirectory() && name !== 'daemon/data/') visit(path);
    }
  };
  visit(root);
  return found;
};

const written = (
  c: Case,
  args: readonly string[],
  { code, stdout, stderr }: CliResult,
  now: ReturnType<typeof filesOf>,
  before: ReturnType<typeof filesOf>,
  root: string,
): string => {
  const env = Object.entries(c.env ?? {}).map(([name, value]) => `${name}=${quoted(value)} `);
  const stdin =
    c.stdin === undefined ? [] : [typeof c.stdin === 'string' ? `stdin ${JSON.stringify(c.stdin)}` : 'stdin closed'];
  const gone = [...before.keys()].filter((name) => !now.has(name)).map((name) => `gone ${name}`);
  const changed = [...now].flatMap(([name, { mode, mark }]) => {
    const was = before.get(name);
    if (was === undefined) return [`${mode} ${name}`];
    return was.mark === mark && was.mode === mode ? [] : [`${mode} ${name} (changed)`];
  });
  const shown = (c.show ?? []).flatMap((name) => {
    const path = [join(root, name), join(root, 'here', name)].find((p) => existsSync(p));
    return path === undefined ? [`--- ${name}\n(missing)`] : [`--- ${name}\n${block(readFileSync(path, 'utf8'))}`];
  });
  return `${[
    `$ ${env.join('')}opta${args.map((arg) => ` ${quoted(arg)}`).join('')}`,
    ...stdin,
    `exit ${code}`,
    `--- stdout\n${block(stdout)}`,
    `--- stderr\n${block(stderr)}`,
    `--- files\n${[...gone, ...changed].sort().join('\n')}`,
    ...shown,
  ]
    .map((part) => part.trimEnd())
    .join('\n')}\n`;
};

const block = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n(no line end)`);

const quoted = (word: string): string =>
  /^[A-Za-z0-9_./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

export const goldenFile = (folder: string, name: string): string =>
  join(dirname(fileURLToPath(import.meta.url)), 'files', folder, `${name}.txt`);
