import { lstatSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What a confined command may touch: its workspace, a private /tmp, and nothing else for writing. For reading, the system and the
 * tool chains in the home folder; not the rest of any home folder, where keys and tokens lie, and not the sockets of services.
 */
export interface Confinement {
  /** Canonical. */
  workspace: string;
  cwd: string;
  network: boolean;
  /** Of the home folder: what is there to read, canonical paths. */
  readable: string[];
  /** Besides the workspace. */
  writable: string[];
  /** Folders that are empty inside. */
  hidden: string[];
  /** Files that are empty inside. */
  blanked: string[];
  /** In the workspace: cannot be changed or replaced, since git or this program would run what stands there. */
  frozen: string[];
  /** In the workspace: can be changed but not be moved away. */
  pinned: string[];
}

export interface SandboxOptions {
  home: string;
  /** This program's own folders: settings, tokens, log. */
  own: string[];
  readable: string[];
  writable: string[];
}

/** Tool chains and their caches that commands need to read; everything else in a home folder is hidden. */
const TOOL_CHAINS = [
  '.nvm',
  '.volta',
  '.fnm',
  '.asdf',
  '.local/bin',
  '.local/lib',
  '.local/share/mise',
  '.local/share/pnpm',
  '.local/share/uv',
  '.bun',
  '.deno',
  '.cargo/bin',
  '.cargo/registry',
  '.rustup',
  '.pyenv',
  '.rbenv',
  '.sdkman',
  '.m2/repository',
  '.gradle/caches',
  'go',
  '.cache/go-build',
  '.cache/ms-playwright',
  '.npm/_cacache',
  '.gitconfig',
  '.config/git',
];
const HOMES = ['/home', '/root', '/Users'];
/** Sockets of services lie here: one that takes orders is a way out. */
const SERVICES = ['/run', '/var/tmp', '/media', '/mnt'];
const SECRETS = ['/etc/shadow', '/etc/gshadow', '/etc/sudoers'];

/** Null when the folder cannot be confined: it is, or holds, what has to be hidden. */
export const confinementOf = (
  { workspace, cwd, network }: { workspace: string; cwd: string; network: boolean },
  { home, own, readable, writable }: SandboxOptions,
): Confinement | null => {
  const root = real(workspace);
  const homes = [...new Set([...HOMES, home].flatMap((path) => kept(path)))].filter((path) => path !== '/');
  const hidden = [...homes, ...SERVICES.flatMap(kept), ...own.flatMap(kept)];
  if (root === null || root === '/' || root === '/tmp' || hidden.some((path) => within(path, root))) return null;
  const base = real(home);
  return {
    workspace: root,
    cwd: real(cwd) ?? root,
    network,
    readable: [
      ...(base === null || base === '/' ? [] : TOOL_CHAINS.flatMap((name) => kept(join(base, name)))),
      ...readable.flatMap(kept),
    ],
    writable: writable.flatMap(kept),
    // A workspace below a hidden folder is put back afterwards; so is what was asked for.
    hidden,
    blanked: SECRETS.flatMap(kept),
    ...guarded(root),
  };
};

/** `.git` as a link or a file is left alone: what it leads to is outside, and read-only there. */
const guarded = (root: string): Pick<Confinement, 'frozen' | 'pinned'> => {
  const at = (name: string): string => join(root, name);
  const isFolder = (name: string): boolean => kind(at(name)) === 'folder';
  const git = isFolder('.git');
  return {
    pinned: git ? [at('.git')] : [],
    frozen: [
      ...(git ? ['.git/hooks', '.git/config'].filter((name) => kind(at(name)) !== null) : []),
      ...(isFolder('.opta') ? ['.opta'] : []),
    ].map(at),
  };
};

const kind = (path: string): 'folder' | 'file' | null => {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() ? 'folder' : stat?.isFile() ? 'file' : null;
};

const real = (path: string): string | null => {
  try {
    return realpathSync(path);
  } catch {
    // What is not there needs no hiding.
    return null;
  }
};
const kept = (path: string): string[] => {
  const found = real(path);
  return found === null ? [] : [found];
};

/** `inner` is `outer` or lies below it. */
const within = (inner: string, outer: string): boolean => inner === outer || inner.startsWith(`${outer}/`);
