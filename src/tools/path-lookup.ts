import * as fs from 'node:fs';

/**
 * One step of a walk: a name in a folder that is held. Two ways to hold one.
 *
 * With `/proc` (Linux) a node is an `O_PATH` descriptor and its `ref` is `/proc/self/fd/<n>`. Paths that start there are
 * relative to that very inode, so nobody can swap a folder under us, and opening the `ref` opens what was looked at.
 *
 * Without it a node is a canonical path. The last component is opened with `O_NOFOLLOW` (every component with
 * `O_NOFOLLOW_ANY`, on macOS) and compared with what was looked at. Making and replacing files in a folder that somebody swaps
 * for a link in the same instant is not excluded there.
 */
export type Stat = fs.BigIntStats;

export interface Node {
  kind: 'file' | 'dir' | 'link' | 'other';
  /** A path for the system that leads to this inode and no other. Never shown to anyone. */
  ref: string;
  fd: number | null;
  stat: Stat;
}

export interface Lookup {
  root(canonicalPath: string): Node;
  /** Null when there is no such name. System errors are thrown as they are. */
  child(dir: Node, name: string): Node | null;
  /** A descriptor for reading the regular file that `node` is. */
  open(node: Node): number;
}

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = fs.constants;
const O_PATH = 0o10000000;
const O_NOFOLLOW_ANY = process.platform === 'darwin' ? 0x20000000 : 0;

const kindOf = (stat: Stat): Node['kind'] =>
  stat.isFile() ? 'file' : stat.isDirectory() ? 'dir' : stat.isSymbolicLink() ? 'link' : 'other';

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

const stale = (): Error => Object.assign(new Error('changed between check and use'), { code: 'ESTALE' });

const held = (fd: number): Node => {
  const stat = fs.fstatSync(fd, { bigint: true });
  return { kind: kindOf(stat), ref: `/proc/self/fd/${fd}`, fd, stat };
};

export const descriptorLookup: Lookup = {
  root: (path) => held(fs.openSync(path, O_PATH | O_NOFOLLOW | O_DIRECTORY)),
  child: (dir, name) => {
    try {
      return held(fs.openSync(`${dir.ref}/${name}`, O_PATH | O_NOFOLLOW));
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  },
  open: (node) => fs.openSync(node.ref, O_RDONLY | O_NONBLOCK),
};

export const canonicalLookup: Lookup = {
  root: (path) => {
    const stat = fs.lstatSync(path, { bigint: true });
    if (!stat.isDirectory()) throw Object.assign(new Error('not a folder'), { code: 'ENOTDIR' });
    return { kind: 'dir', ref: path, fd: null, stat };
  },
  child: (dir, name) => {
    const ref = dir.ref === '/' ? `/${name}` : `${dir.ref}/${name}`;
    const stat = fs.lstatSync(ref, { bigint: true, throwIfNoEntry: false });
    return stat === undefined ? null : { kind: kindOf(stat), ref, fd: null, stat };
  },
  open: (node) => {
    const fd = fs.openSync(node.ref, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOFOLLOW_ANY);
    const now = fs.fstatSync(fd, { bigint: true });
    if (now.dev === node.stat.dev && now.ino === node.stat.ino && fs.realpathSync.native(node.ref) === node.ref)
      return fd;
    fs.closeSync(fd);
    throw stale();
  },
};

export const systemLookup = (): Lookup =>
  process.platform === 'linux' && fs.existsSync('/proc/self/fd') ? descriptorLookup : canonicalLookup;
