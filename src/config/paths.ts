import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { OptaError } from '../protocol/errors.ts';

export type Env = { readonly [name: string]: string | undefined };

/** Where everything of one installation lives. Scripts read `daemon/state.json`, so these names are part of the contract. */
export interface OptaPaths {
  configDir: string;
  configFile: string;
  /** Which project files the user trusts. */
  trustFile: string;
  /** Tools that are not asked about again in a workspace. */
  rememberedFile: string;
  /** What was taken over from the installation before this one. */
  importFile: string;
  daemonDir: string;
  stateFile: string;
  tokenFile: string;
  observerTokenFile: string;
  pidFile: string;
  /** Hashes of the keys that pages hold. */
  webKeysFile: string;
  logFile: string;
  /** The LMDB environment. */
  dataDir: string;
  /** One record for each inference server that runs from here, and their log. */
  lmxDir: string;
}

export const optaPaths = (env: Env = process.env): OptaPaths => {
  const configDir = configDirOf(env);
  const daemonDir = join(configDir, 'daemon');
  return {
    configDir,
    configFile: join(configDir, 'config.json'),
    trustFile: join(configDir, 'trust.json'),
    rememberedFile: join(configDir, 'remembered.json'),
    importFile: join(configDir, 'import.json'),
    daemonDir,
    stateFile: join(daemonDir, 'state.json'),
    tokenFile: join(daemonDir, 'token'),
    observerTokenFile: join(daemonDir, 'observer-token'),
    pidFile: join(daemonDir, 'daemon.pid'),
    webKeysFile: join(daemonDir, 'web-keys.json'),
    logFile: join(daemonDir, 'daemon.log'),
    dataDir: join(daemonDir, 'data'),
    lmxDir: join(configDir, 'lmx'),
  };
};

const configDirOf = (env: Env): string => {
  if (env.OPTA_HOME) return resolve(env.OPTA_HOME);
  // The XDG specification says that a relative path is to be ignored.
  if (env.XDG_CONFIG_HOME && isAbsolute(env.XDG_CONFIG_HOME)) return join(env.XDG_CONFIG_HOME, 'opta');
  if (process.platform === 'win32' && env.APPDATA) return join(env.APPDATA, 'opta');
  return join(env.HOME || homedir(), '.config', 'opta');
};

/**
 * Creates a folder that only its owner can enter, and closes one that was left open to others. Throws `storage` that names the
 * folder when it can be neither made nor written.
 */
export const ensurePrivateDir = (dir: string): void => {
  try {
    makeDir(dir);
    chmodSync(dir, 0o700);
    accessSync(dir, constants.W_OK | constants.X_OK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new OptaError('storage', `The folder ${dir} cannot be used (${code}). OPTA_HOME names another one`, { dir });
  }
};

/** With its parents, one after another: Node's `recursive` never comes back from a place such as /proc. */
const makeDir = (dir: string): void => {
  if (existsSync(dir)) {
    if (!statSync(dir).isDirectory()) throw Object.assign(new Error(dir), { code: 'ENOTDIR' });
    return;
  }
  if (dirname(dir) !== dir) makeDir(dirname(dir));
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch (cause) {
    // Somebody else was first.
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
  }
};

/** Replaces a file in one step, readable by its owner alone: a reader sees the old text or the new, never a part. */
export const writePrivateFile = (path: string, text: string): void => {
  const next = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(next, text, { mode: 0o600 });
    renameSync(next, path);
  } catch (cause) {
    rmSync(next, { force: true });
    throw cause;
  }
};

const { O_RDONLY, O_NONBLOCK = 0, O_NOFOLLOW = 0 } = constants;

/**
 * The text of a file that gives rights to whoever is named in it, or null when there is none. Throws when somebody else could have
 * written it, when it is a link, and when it is no file or a large one: a pipe is never waited for.
 */
export const readPrivateFile = (path: string, bytesMax: number): string | null => {
  let fd: number;
  try {
    fd = openSync(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw cause;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error('it is no file');
    if (stat.size > bytesMax) throw new Error(`it has ${stat.size} bytes`);
    const isPosix = process.getuid !== undefined;
    if (isPosix && stat.uid !== process.getuid?.()) throw new Error('it belongs to another user');
    if (isPosix && (stat.mode & 0o022) !== 0) throw new Error('other users may write to it');
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
};
