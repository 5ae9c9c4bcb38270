import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { LIMITS } from '../../actors/limits.ts';
import { OptaError } from '../../protocol/errors.ts';
import { printable } from '../outcome.ts';
import { type Entry, fromSystem, type Workspace } from '../workspace.ts';
import { type Change, inWorkspace } from './changes.ts';
import { type GitPlace, gitText, runGit } from './process.ts';
import type { Repository } from './repository.ts';

export const hasCommits = async (place: GitPlace): Promise<boolean> =>
  (await runGit(place, ['rev-parse', '--verify', '--quiet', 'HEAD^{commit}'])).exit === 0;

/** The tree of a commit; of nothing at all for `HEAD` before the first one. */
export const treeOf = async (place: GitPlace, commit: string): Promise<string> => {
  const said = await runGit(place, ['rev-parse', '--verify', '--quiet', `${commit}^{tree}`]);
  const id = said.stdout.toString().trim();
  if (said.exit === 0 && /^[0-9a-f]{40,64}$/.test(id)) return id;
  if (commit === 'HEAD' && !(await hasCommits(place))) return (await gitText(place, ['mktree'])).trim();
  throw new OptaError('not-found', `${printable(commit)} is no commit that this repository has`);
};

interface Row {
  mode: string;
  object: string;
}

/** What the index, or a tree, has at each of the paths. */
const rowsOf = async (place: GitPlace, tree: string, paths: readonly string[]): Promise<Map<string, Row>> => {
  const rows = new Map<string, Row>();
  // A command line is not endless.
  for (let i = 0; i < paths.length; i += 200) {
    const text = await gitText(place, ['ls-tree', '-z', '--full-tree', tree, '--', ...paths.slice(i, i + 200)]);
    for (const record of text.split('\0')) {
      const found = /^(\d+) \w+ ([0-9a-f]+)\t(.*)$/s.exec(record);
      if (found) rows.set(found[3] as string, { mode: found[1] as string, object: found[2] as string });
    }
  }
  return rows;
};

/** Writes rows into our copy of the index; null takes the path out, in every stage. `none`: an id of zeros, as long as others are. */
const putRows = async (place: GitPlace, none: string, rows: ReadonlyMap<string, Row | null>): Promise<void> => {
  if (rows.size === 0) return;
  const lines = [...rows].map(([path, row]) =>
    row === null ? `0 ${none}\t${path}\0` : `${row.mode} ${row.object}\t${path}\0`,
  );
  await gitText(place, ['update-index', '-z', '--index-info'], { input: lines.join('') });
};

/** The same as in `tree` at these paths, so that a comparison with it says nothing of them. */
export const putBack = async (place: GitPlace, tree: string, paths: readonly string[]): Promise<void> => {
  const rows = await rowsOf(place, tree, paths);
  await putRows(place, '0'.repeat(tree.length), new Map(paths.map((path) => [path, rows.get(path) ?? null])));
};

/** The index as a tree. A file in conflict counts as what it is on our side. */
export const stagedTree = async (place: GitPlace, changes: readonly Change[]): Promise<string> => {
  const conflicts = changes.filter((change) => change.isConflict).map((change) => change.path);
  if (conflicts.length > 0) await putBack(place, await treeOf(place, 'HEAD'), conflicts);
  return (await gitText(place, ['write-tree', '--missing-ok'])).trim();
};

/**
 * Puts what stands in the workspace into our copy of the index, for files that git has found changed there. Git gets copies of them
 * in a folder of ours: it reads by path, and what it reads would be shown ([TL1]). Answers what was left out, and why.
 */
export const putWorkspace = async (
  ws: Workspace,
  repository: Repository,
  paths: readonly string[],
): Promise<{ path: string; why: string }[]> => {
  const tree = join(repository.dir, 'tree');
  fs.mkdirSync(tree);
  const omitted: { path: string; why: string }[] = [];
  const taken: string[] = [];
  let room: number = LIMITS.toolGitBytesMax;
  for (const path of paths) {
    const why = taken.length >= LIMITS.toolListEntriesMax ? 'too many files' : copy(ws, repository, path, tree, room);
    if (typeof why === 'string') omitted.push({ path, why });
    else {
      taken.push(path);
      room -= why;
    }
  }
  const place = { ...repository.place, cwd: tree };
  const input = taken.map((path) => `${path}\0`).join('');
  await gitText(place, ['update-index', '-z', '--add', '--remove', '--stdin'], { input });
  return omitted;
};

/** Bytes that were copied, or why nothing was. A path where nothing stands is copied by leaving it out. */
const copy = (ws: Workspace, repository: Repository, path: string, tree: string, room: number): number | string => {
  const rel = inWorkspace(repository, path);
  const folder = rel.slice(0, Math.max(0, rel.lastIndexOf('/')));
  let dir: Entry | null = null;
  try {
    dir = ws.entry(folder);
    // A folder of the way is a link or a file now: what git tracked is gone.
    if (dir.kind !== 'dir' || dir.rel !== folder) return 0;
    return copyFrom(ws, dir, rel.slice(folder === '' ? 0 : folder.length + 1), join(tree, path), room);
  } catch (error) {
    const known = fromSystem(error, rel);
    if (known.code === 'internal') throw known;
    // As git has it: behind a link nothing is tracked, wherever it leads.
    return known.code === 'not-found' || known.code === 'outside-workspace' ? 0 : known.message;
  } finally {
    if (dir !== null) ws.release(dir.node);
  }
};

const copyFrom = (ws: Workspace, dir: Entry, name: string, to: string, room: number): number | string => {
  const seen = ws.describe(dir, name);
  if (seen === null) return 0;
  fs.mkdirSync(dirname(to), { recursive: true });
  // What was copied as a link before, and is a folder by now, must not lead the next copy to where it points.
  if (fs.realpathSync(dirname(to)) !== dirname(to)) return 'it changes meanwhile';
  if (seen.link !== null) {
    fs.symlinkSync(seen.link, to);
    return seen.link.length;
  }
  const entry = ws.child(dir, name);
  if (entry === null) return 'no plain file';
  try {
    // A folder where a file was: the file is gone.
    if (entry.kind === 'dir') return 0;
    const { size, mode } = entry.node.stat;
    if (size > LIMITS.toolEditBytesMax) return `larger than ${LIMITS.toolEditBytesMax} bytes`;
    const content = size > room ? null : readFrom(ws, entry);
    if (content === null || content.length > room) return 'too much in all';
    fs.writeFileSync(to, content, { mode: Number(mode) & 0o100 ? 0o755 : 0o644, flag: 'wx' });
    return content.length;
  } finally {
    ws.release(entry.node);
  }
};

const readFrom = (ws: Workspace, entry: Entry): Buffer => {
  const fd = ws.open(entry);
  try {
    return fs.readFileSync(fd);
  } finally {
    fs.closeSync(fd);
  }
};
