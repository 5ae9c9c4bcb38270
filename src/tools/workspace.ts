import * as fs from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { LIMITS } from '../actors/limits.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { glob } from '../protocol/glob.ts';
import { printable } from './outcome.ts';
import { type Lookup, type Node, type Stat, systemLookup } from './path-lookup.ts';
import type { Versions } from './versions.ts';

/**
 * The one door to a session's files ([TL1]).
 *
 * A path is walked from the root, one name at a time, and every step starts from a folder that is already held. A symlink is
 * never followed by the kernel: its text is read and walked under the same rules, so links that stay inside work and links
 * that leave do not.
 *
 * 1. Nothing outside the canonical root is opened, whatever the path or the links say.
 * 2. `..` goes back to the folder that the walk came through, never above the root.
 * 3. What was checked is what is opened: the walk hands out the inode that it looked at, not its path.
 * 4. Only regular files and folders are opened. A FIFO or device is recognised without being touched.
 *
 * A hard link cannot be told from the file's only name, so a file that is also linked elsewhere can be read; writes replace
 * the name and leave the other links as they were.
 */
export interface Entry {
  kind: 'file' | 'dir';
  /** Canonical path below the root, `/` between names; the root itself is ''. */
  rel: string;
  node: Node;
}

/** A name in a folder, there or not: where a file is to be written. */
export interface Slot {
  dir: Node;
  name: string;
  rel: string;
  existing: Entry | null;
}

interface Step {
  name: string;
  node: Node;
}

interface Walked {
  /** Folders from the root down; never empty. */
  folders: Step[];
  /** The last name when it is no folder: a file, or missing (null). */
  leaf: { name: string; node: Node | null } | null;
}

const outside = (path: string): OptaError =>
  new OptaError('outside-workspace', `${printable(path)} is outside the session's workspace`);
const refused = (message: string): OptaError => new OptaError('tool-failed', message);
const notFound = (path: string): OptaError => new OptaError('not-found', `${printable(path)} does not exist`);

const names = (path: string): string[] => path.split('/').filter((name) => name !== '' && name !== '.');

export class Workspace {
  /** Canonical absolute path. */
  readonly root: string;
  readonly rootNode: Node;
  /** What files held before and after they are written; null: nobody keeps it. */
  readonly versions: Versions | null;
  readonly #given: string;
  readonly #lookup: Lookup;
  readonly #denied: readonly string[];
  readonly #held = new Set<Node>();

  /** `path`: absolute path of an existing folder. Throws an `OptaError`. Everything it opens is closed by `close`. */
  constructor(
    path: string,
    {
      lookup = systemLookup(),
      denied = [],
      versions = null,
    }: { lookup?: Lookup; denied?: readonly string[]; versions?: Versions | null } = {},
  ) {
    this.versions = versions;
    this.#denied = denied;
    if (path === '') throw refused('this session has no workspace folder: files cannot be read or written');
    if (!isAbsolute(path) || path.includes('\0')) throw refused('the workspace is not an absolute path');
    this.#lookup = lookup;
    try {
      this.root = fs.realpathSync.native(path);
      this.rootNode = this.#hold(lookup.root(this.root));
    } catch (error) {
      throw refused(`the workspace folder ${printable(path)} cannot be opened: ${errno(error)}`);
    }
    this.#given = path.replace(/\/+$/, '');
  }

  /** An existing file or folder. */
  entry(path: string): Entry {
    const walked = this.#walk(path, false);
    const { folders, leaf } = walked;
    const rel = this.#permitted(relOf(walked));
    this.#releaseAll(folders, leaf === null ? 1 : 0);
    if (leaf === null) return { kind: 'dir', rel, node: folders.at(-1)!.node };
    if (leaf.node === null) throw notFound(path);
    if (leaf.node.kind !== 'file') throw refused(`${printable(path)} is not a regular file or folder`);
    return { kind: 'file', rel, node: leaf.node };
  }

  /** Where `path` is or would be; missing folders on the way are made when `mkdir` is set. */
  slot(path: string, mkdir: boolean): Slot {
    if (path.endsWith('/')) throw refused(`${printable(path)} names a folder`);
    const walked = this.#walk(path, mkdir);
    const { folders, leaf } = walked;
    if (leaf === null) throw refused(`${printable(path)} is a folder`);
    if (leaf.node !== null && leaf.node.kind !== 'file') throw refused(`${printable(path)} is not a regular file`);
    const rel = this.#permitted(relOf(walked));
    this.#releaseAll(folders, 1);
    const existing: Entry | null = leaf.node && { kind: 'file', rel, node: leaf.node };
    return { dir: folders.at(-1)!.node, name: leaf.name, rel, existing };
  }

  /** Opens a file for reading; the caller closes the descriptor. */
  open(entry: Entry): number {
    if (entry.kind !== 'file') throw refused(`${printable(entry.rel || '.')} is a folder`);
    this.#permitted(entry.rel);
    try {
      return this.#lookup.open(entry.node);
    } catch (error) {
      throw fromSystem(error, entry.rel);
    }
  }

  /** What is in a folder, links not followed, at most `countMax` of it. `more` says that there was more. */
  children(dir: Entry, countMax: number): { entries: fs.Dirent[]; more: boolean } {
    let handle: fs.Dir;
    try {
      handle = fs.opendirSync(dir.node.ref, { bufferSize: 128 });
    } catch (error) {
      throw fromSystem(error, dir.rel);
    }
    const entries: fs.Dirent[] = [];
    try {
      for (let e = handle.readSync(); e !== null; e = handle.readSync()) {
        if (entries.length >= countMax) return { entries, more: true };
        entries.push(e);
      }
    } catch (error) {
      throw fromSystem(error, dir.rel);
    } finally {
      handle.closeSync();
    }
    return { entries, more: false };
  }

  /** A folder's own child folder or file by name, or null when it is a link, something else or gone. */
  child(dir: Entry, name: string): Entry | null {
    const node = this.#look(dir.node, name, dir.rel);
    if (node === null) return null;
    if (node.kind === 'file' || node.kind === 'dir') {
      return { kind: node.kind, rel: dir.rel === '' ? name : `${dir.rel}/${name}`, node };
    }
    this.release(node);
    return null;
  }

  /** Size of, or text of a link in, a folder's child; null when it is gone. */
  describe(dir: Entry, name: string): { bytes: number; link: string | null } | null {
    try {
      const stat = fs.lstatSync(`${dir.node.ref}/${name}`);
      return { bytes: stat.size, link: stat.isSymbolicLink() ? fs.readlinkSync(`${dir.node.ref}/${name}`) : null };
    } catch (error) {
      if (code(error) === 'ENOENT' || code(error) === 'EINVAL') return null;
      throw fromSystem(error, name);
    }
  }

  /** [PM5] Whether the user's rules deny what is, or was, at a canonical path. */
  denies(rel: string): boolean {
    return this.#denied.some((pattern) => glob(pattern, rel));
  }

  release(node: Node): void {
    if (node !== this.rootNode && this.#held.delete(node) && node.fd !== null) fs.closeSync(node.fd);
  }

  close(): void {
    for (const node of this.#held) if (node.fd !== null) fs.closeSync(node.fd);
    this.#held.clear();
  }

  /** [PM5] The user's deny holds for the file, whatever name or link leads to it. */
  #permitted(rel: string): string {
    if (this.denies(rel)) throw refused(`${printable(rel)} is denied by the user's rules`);
    return rel;
  }

  #hold(node: Node): Node {
    this.#held.add(node);
    return node;
  }

  #look(dir: Node, name: string, path: string): Node | null {
    try {
      const node = this.#lookup.child(dir, name);
      return node === null ? null : this.#hold(node);
    } catch (error) {
      throw fromSystem(error, path);
    }
  }

  /** The names to walk: an absolute path counts only when it begins with the root, in either of its spellings. */
  #names(path: string, asked: string): string[] {
    if (!isAbsolute(path)) return names(path);
    for (const root of [this.root, this.#given]) {
      if (path === root) return [];
      if (path.startsWith(root === '/' ? '/' : `${root}/`)) return names(path.slice(root.length));
    }
    throw outside(asked);
  }

  #walk(path: string, mkdir: boolean): Walked {
    if (path.includes('\0')) throw refused('a path cannot contain a NUL character');
    if (Buffer.byteLength(path) > LIMITS.toolPathBytesMax) throw refused('the path is too long');
    const todo = this.#names(path, path).reverse();
    const folders: Step[] = [{ name: '', node: this.rootNode }];
    // Somebody may change the tree while it is walked: the steps have a bound of their own.
    let stepsLeft = 4 * LIMITS.toolPathBytesMax;
    let linksLeft: number = LIMITS.toolPathLinksMax;
    while (todo.length > 0) {
      if (stepsLeft-- === 0 || folders.length > LIMITS.toolPathDepthMax)
        throw refused(`${printable(path)} is too deep`);
      const name = todo.pop()!;
      if (name === '..') {
        if (folders.length === 1) throw outside(path);
        this.release(folders.pop()!.node);
        continue;
      }
      const dir = folders.at(-1)!.node;
      const node = this.#look(dir, name, path);
      if (node === null) {
        if (todo.length === 0) return { folders, leaf: { name, node: null } };
        if (!mkdir || todo.includes('..')) throw notFound(path);
        makeFolder(dir, name, path);
        todo.push(name);
      } else if (node.kind === 'link') {
        this.release(node);
        if (linksLeft-- === 0) throw refused(`${printable(path)} goes through too many links`);
        const target = readLink(dir, name);
        if (isAbsolute(target)) this.#unwind(folders);
        todo.push(...this.#names(target, path).reverse());
      } else if (node.kind === 'dir') {
        folders.push({ name, node });
      } else if (todo.length > 0) {
        throw refused(`${printable(path)}: ${printable(name)} is not a folder`);
      } else {
        return { folders, leaf: { name, node } };
      }
    }
    return { folders, leaf: null };
  }

  /** Lets go of the folders that led to a result, all but the last `keep`. */
  #releaseAll(folders: Step[], keep: number): void {
    for (const { node } of folders.slice(0, folders.length - keep)) this.release(node);
  }

  #unwind(folders: Step[]): void {
    while (folders.length > 1) this.release(folders.pop()!.node);
  }
}

const relOf = ({ folders, leaf }: Walked): string =>
  [...folders.slice(1).map((f) => f.name), ...(leaf === null ? [] : [leaf.name])].join('/');

const readLink = (dir: Node, name: string): string => {
  try {
    return fs.readlinkSync(join(dir.ref, name));
  } catch (error) {
    // It was a link a moment ago: its own name makes the walk look at it once more.
    if (code(error) === 'EINVAL' || code(error) === 'ENOENT') return name;
    throw fromSystem(error, name);
  }
};

const makeFolder = (dir: Node, name: string, path: string): void => {
  try {
    fs.mkdirSync(join(dir.ref, name));
  } catch (error) {
    if (code(error) !== 'EEXIST') throw fromSystem(error, path);
  }
};

export const code = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

const SYSTEM: { [code: string]: string } = {
  ENOENT: 'it does not exist',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is not a folder',
  ENAMETOOLONG: 'the name is too long',
  EMFILE: 'too many open files',
  ESTALE: 'it was changed meanwhile',
};

const errno = (error: unknown): string => SYSTEM[code(error)] ?? (code(error) || 'unknown error');

/** A system error in words, with the path that was asked for: the system's own text names descriptors, not paths. */
export const fromSystem = (error: unknown, path: string): OptaError => {
  if (error instanceof OptaError || code(error) === '') return toOptaError(error);
  return new OptaError(
    code(error) === 'ENOENT' ? 'not-found' : 'tool-failed',
    `${printable(path || '.')}: ${errno(error)}`,
  );
};

/** Whether two looks saw the same file with the same content, as far as the system tells. */
export const sameVersion = (a: Stat, b: Stat): boolean =>
  a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
