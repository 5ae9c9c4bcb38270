import { spawn } from 'node:child_process';
import { isAbsolute, relative } from 'node:path';
import { OptaError } from '../../protocol/errors.ts';
import { printable } from '../outcome.ts';

/** A place where git runs: everything that it may know of its surroundings. */
export interface GitPlace {
  /** A folder for the system; may be the `ref` of a held node. */
  cwd: string;
  env: NodeJS.ProcessEnv;
  /** Held open for the process as descriptor 3, which `env` may name. Null for none. */
  objectsFd: number | null;
  /** `Date.now()` at which it is too late. */
  deadlineAt: number;
}

export interface GitSaid {
  exit: number;
  stdout: Buffer;
  /** More came than was asked for, and was not read. */
  cut: boolean;
  complaint: string;
}

export interface GitAsked {
  input?: string | undefined;
  bytesMax?: number | undefined;
}

const COMPLAINT_CHARS_MAX = 500;
const BYTES_MAX = 16 << 20;

/**
 * The environment in which git asks nobody, writes nothing that it need not, goes nowhere, and reads settings of nobody but the
 * folder that `GIT_DIR` names. Nothing of the daemon's environment is in it but where programs are.
 */
export const gitEnvironment = (home: string, workspace: string): NodeJS.ProcessEnv => ({
  PATH: programFolders(process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin', workspace),
  HOME: home,
  XDG_CONFIG_HOME: home,
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_OPTIONAL_LOCKS: '0',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ALLOW_PROTOCOL: '',
  GIT_NO_LAZY_FETCH: '1',
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_LITERAL_PATHSPECS: '1',
  GIT_PAGER: 'cat',
  GIT_EDITOR: 'false',
  GIT_ASKPASS: 'false',
});

/** A `git` that lies in the workspace, as in `node_modules/.bin`, is somebody else's program. */
export const programFolders = (path: string, workspace: string): string => {
  const isInside = (folder: string): boolean => {
    const way = relative(workspace, folder);
    return way === '' || (way !== '..' && !way.startsWith('../') && !isAbsolute(way));
  };
  return path
    .split(':')
    .filter((folder) => isAbsolute(folder) && !isInside(folder))
    .join(':');
};

/** Ends by itself, by the deadline, or when it has said enough. Throws an `OptaError` when git cannot be started or is too slow. */
export const runGit = (place: GitPlace, args: readonly string[], asked: GitAsked = {}): Promise<GitSaid> =>
  new Promise((resolve, reject) => {
    const bytesMax = asked.bytesMax ?? BYTES_MAX;
    const child = spawn('git', ['--no-pager', ...args], {
      cwd: place.cwd,
      env: place.env,
      stdio: ['pipe', 'pipe', 'pipe', ...(place.objectsFd === null ? [] : [place.objectsFd])],
    });
    const parts: Buffer[] = [];
    let room = bytesMax;
    let cut = false;
    let late = false;
    let complaint = '';
    const timer = setTimeout(
      () => {
        late = true;
        child.kill('SIGKILL');
      },
      Math.max(0, place.deadlineAt - Date.now()),
    );
    child.stdout?.on('data', (part: Buffer) => {
      if (room > 0) parts.push(part.subarray(0, room));
      room -= part.length;
      if (room >= 0 || cut) return;
      cut = true;
      child.kill('SIGKILL');
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(0, COMPLAINT_CHARS_MAX);
    });
    // It may end before it has read what it was given; its exit says why.
    child.stdin?.on('error', () => undefined).end(asked.input ?? '');
    child.on('error', (cause) => {
      clearTimeout(timer);
      const missing = 'code' in cause && cause.code === 'ENOENT';
      const why = missing ? 'the git program was not found' : `git cannot be started (${cause.message})`;
      reject(new OptaError('tool-failed', why));
    });
    child.on('close', (exit) => {
      clearTimeout(timer);
      if (late) return reject(new OptaError('tool-timeout', 'git took too long and was ended'));
      resolve({ exit: exit ?? -1, stdout: Buffer.concat(parts), cut, complaint });
    });
  });

/** What git says when it must succeed. */
export const gitText = async (place: GitPlace, args: readonly string[], asked: GitAsked = {}): Promise<string> => {
  const said = await runGit(place, args, asked);
  if (said.cut) throw new OptaError('tool-failed', `git ${args[0]} has more to say than is read; name a path`);
  if (said.exit !== 0) throw gitFailed(args[0] ?? '', said);
  return said.stdout.toString();
};

/** A complaint may name a file of a place that was only come across, such as another repository: paths are left out of it ([TL1]). */
export const gitFailed = (command: string, { exit, complaint }: Pick<GitSaid, 'exit' | 'complaint'>): OptaError => {
  const said = complaint.replace(/\/[^\s'":]*/g, '…').trim();
  return new OptaError('tool-failed', `git ${command} failed (exit ${exit}): ${printable(said.slice(0, 300))}`);
};

/** NUL ends every record. */
export const records = (text: string): string[] => text.split('\0').slice(0, -1);
