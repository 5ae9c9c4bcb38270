import { OptaError } from '../../protocol/errors.ts';
import { printable } from '../outcome.ts';
import type { Workspace } from '../workspace.ts';
import { gitText, records } from './process.ts';
import type { Repository } from './repository.ts';

/** One file that is not as it was committed. Paths are below the repository's own folder. */
export interface Change {
  /** What is staged and what is not, as git's short format says it; `UU` and the like in a conflict, `??` for a new file. */
  xy: string;
  path: string;
  /** Of a staged rename or copy. */
  from: string | null;
  /** In the index; null where that has none or several. */
  staged: { mode: string; object: string } | null;
  isConflict: boolean;
}

/** `rel`: below the repository; '' is all of it. Submodules are not looked into: they have settings of their own. */
export const changesIn = async (
  { place }: Repository,
  rel: string,
  { untracked, renames }: { untracked: boolean; renames: boolean },
): Promise<{ head: string; changes: Change[] }> => {
  const args = ['status', '--porcelain=v2', '--branch', '-z', '--ignore-submodules=all'];
  args.push(`--untracked-files=${untracked ? 'normal' : 'no'}`, renames ? '--find-renames' : '--no-renames');
  const text = await gitText(place, [...args, '--', rel === '' ? '.' : rel], { bytesMax: 64 << 20 });
  return parseStatus(records(text));
};

const FIELDS: { [kind: string]: number } = { '1': 8, '2': 9, u: 10, '?': 1 };

/** `--porcelain=v2 -z`: words, a space between them, then the path as it is; a rename's old path is the next record. */
export const parseStatus = (lines: readonly string[]): { head: string; changes: Change[] } => {
  const changes: Change[] = [];
  const heads = new Map<string, string>();
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] as string;
    const kind = line.slice(0, 1);
    if (kind === '#') {
      const [, key, value] = /^# (\S+) (.*)$/s.exec(line) ?? [];
      heads.set(key ?? '', value ?? '');
      continue;
    }
    const words = line.split(' ');
    const count = FIELDS[kind];
    if (count === undefined) continue;
    const path = words.slice(count).join(' ');
    const from = kind === '2' ? (lines[++i] ?? null) : null;
    if (kind === '?') changes.push({ xy: '??', path, from: null, staged: null, isConflict: false });
    else {
      const isConflict = kind === 'u';
      const mode = words[4] as string;
      const staged = isConflict || mode === '000000' ? null : { mode, object: words[7] as string };
      changes.push({ xy: (words[1] as string).replaceAll('.', ' '), path, from, staged, isConflict });
    }
  }
  return { head: headOf(heads), changes };
};

const headOf = (heads: ReadonlyMap<string, string>): string => {
  const id = heads.get('branch.oid') ?? '';
  const name = printable(heads.get('branch.head') ?? '');
  if (id === '(initial)') return `No commits yet on ${name}`;
  const short = id.slice(0, 10);
  return name === '(detached)' ? `HEAD detached at ${short}` : `On branch ${name} at ${short}`;
};

/** A path as it stands in the workspace. */
export const inWorkspace = ({ top }: Pick<Repository, 'top'>, path: string): string =>
  top.rel === '' ? path : `${top.rel}/${path}`;

/**
 * What a caller means by `path`: below the repository, by name alone, since it may have been deleted. Throws for a path that leaves
 * the workspace or the repository, or that the user's rules deny.
 */
export const pathBelow = (ws: Workspace, { top }: Pick<Repository, 'top'>, path: string | undefined): string => {
  const rel = relativeName(ws, path ?? '.');
  if (rel !== '' && ws.denies(rel))
    throw new OptaError('tool-failed', `${printable(rel)} is denied by the user's rules`);
  if (path === undefined || rel === top.rel) return '';
  if (top.rel === '') return rel;
  if (rel.startsWith(`${top.rel}/`)) return rel.slice(top.rel.length + 1);
  return '';
};

/** Below the workspace, without `.` and `..`. Throws `outside-workspace`. */
export const relativeName = (ws: Pick<Workspace, 'root' | 'entry'>, path: string): string => {
  const isBelowRoot = path === ws.root || path.startsWith(`${ws.root === '/' ? '' : ws.root}/`);
  if (path.startsWith('/') && !isBelowRoot) return ws.entry(path).rel;
  const names: string[] = [];
  for (const name of (path.startsWith('/') ? path.slice(ws.root.length) : path).split('/')) {
    if (name === '' || name === '.') continue;
    if (name !== '..') names.push(name);
    else if (names.pop() === undefined)
      throw new OptaError('outside-workspace', `${printable(path)} is outside the session's workspace`);
  }
  return names.join('/');
};
