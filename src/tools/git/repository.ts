import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { LIMITS } from '../../actors/limits.ts';
import { OptaError } from '../../protocol/errors.ts';
import { printable } from '../outcome.ts';
import type { Node } from '../path-lookup.ts';
import { type Entry, fromSystem, type Workspace } from '../workspace.ts';
import { type GitPlace, gitEnvironment, gitText, records } from './process.ts';

/**
 * A repository that may come from a stranger, as git gets to see it ([TL7]).
 *
 * Git runs what a repository's settings name: filters, monitors, pagers, hooks, helpers, and more with every release. So it is not
 * asked to leave them alone, it never sees them. It works with a folder of ours in place of `.git`, made for one call:
 *
 * 1. `config` is written by us. Of the repository's own, a few settings that say how files are stored are taken over by value.
 * 2. `HEAD`, the refs and the index are copies, made through the workspace ([TL1]). There are no hooks, and no remotes.
 * 3. Objects are read where they are. That place holds no links, and borrows from no other.
 *
 * Attributes may still name drivers (`diff=x`, `filter=x`); nobody says what those would be.
 */
export interface Repository {
  /** Where its files are, below the workspace. Held until the workspace is closed. */
  top: Entry;
  /** Ours, and only for this call. */
  dir: string;
  /** With the files of the repository as its working tree. */
  place: GitPlace;
  notes: string[];
}

const FOLDER = 'opta-git-';
const LEFTOVER_AGE_MS = 60 * 60_000;
const refused = (message: string): OptaError => new OptaError('tool-failed', message);

/** Looks for the repository that `path` belongs to, no further up than the workspace, and does `work` with it. */
export const withRepository = async <T>(
  ws: Workspace,
  path: string | undefined,
  deadlineMs: number,
  work: (repository: Repository) => Promise<T>,
): Promise<T> => {
  const found = find(ws, path ?? '.');
  sweep();
  const dir = fs.mkdtempSync(join(fs.realpathSync(tmpdir()), FOLDER));
  try {
    return await work(await prepare(ws, found, dir, Date.now() + deadlineMs));
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
};

/** A job that was killed in the middle leaves its folder. */
const sweep = (): void => {
  for (const name of fs.readdirSync(tmpdir())) {
    if (!name.startsWith(FOLDER)) continue;
    const stat = fs.lstatSync(join(tmpdir(), name), { throwIfNoEntry: false });
    if (stat?.uid !== process.getuid?.() || !stat?.isDirectory()) continue;
    if (Date.now() - stat.mtimeMs > LEFTOVER_AGE_MS) fs.rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
};

interface Found {
  top: Entry;
  /** `HEAD` and the index are here. */
  gitDir: Entry;
  /** Everything else; another folder only in a worktree of its own. */
  commonDir: Entry;
}

const find = (ws: Workspace, path: string): Found => {
  const folders = foldersAbove(path);
  for (const folder of folders) {
    const top = existing(ws, folder);
    // A link to a folder belongs to the repository of what it stands for, which is asked for by its own name.
    if (top?.kind !== 'dir' || top.rel !== folder) continue;
    const gitDir = gitDirOf(ws, top);
    if (gitDir !== null) return { top, gitDir, commonDir: commonDirOf(ws, gitDir) };
    ws.release(top.node);
  }
  const above = foldersUp(ws.root).some((folder) => fs.existsSync(join(folder, '.git')));
  throw refused(
    above
      ? 'the repository of this workspace begins in a folder above it, which is outside; a session in that folder can use it'
      : 'there is no git repository in the workspace',
  );
};

/** From the path itself up to the workspace (''), by name alone: what was deleted can be asked about. */
const foldersAbove = (path: string): string[] => {
  const names = path.split('/').filter((name) => name !== '');
  return Array.from({ length: names.length + 1 }, (_, i) => names.slice(0, names.length - i).join('/'));
};

const foldersUp = (root: string): string[] => {
  const names = root.split('/').filter((name) => name !== '');
  return names.map((_, i) => `/${names.slice(0, i).join('/')}`);
};

const existing = (ws: Workspace, path: string): Entry | null => {
  try {
    return ws.entry(path);
  } catch (error) {
    if (error instanceof OptaError && error.code === 'outside-workspace') throw error;
    return null;
  }
};

const below = (dir: Entry, name: string): string => (dir.rel === '' ? name : `${dir.rel}/${name}`);

const gitDirOf = (ws: Workspace, top: Entry): Entry | null => {
  const seen = ws.describe(top, '.git');
  if (seen === null) return null;
  if (seen.link !== null) throw refused(`${below(top, '.git')} is a link; git is not run there`);
  const entry = ws.entry(below(top, '.git'));
  if (entry.kind === 'dir') return isGitDir(ws, entry) ? entry : null;
  const target = /^gitdir: (.+?)\n*$/.exec(read(ws, entry, LIMITS.toolPathBytesMax).toString())?.[1];
  if (target === undefined) throw refused(`${entry.rel} is not understood`);
  return place(ws, top, target, 'its .git folder');
};

const commonDirOf = (ws: Workspace, gitDir: Entry): Entry => {
  const text = copied(ws, gitDir, 'commondir', LIMITS.toolPathBytesMax)?.toString().trim();
  return text === undefined ? gitDir : place(ws, gitDir, text, 'the folder that it shares');
};

/** A folder that a file of the repository names, as a path from `from`. */
const place = (ws: Workspace, from: Entry, target: string, what: string): Entry => {
  try {
    const entry = ws.entry(target.startsWith('/') ? target : below(from, target));
    if (entry.kind === 'dir') return entry;
  } catch (error) {
    if (!(error instanceof OptaError) || error.code !== 'outside-workspace') throw error;
    throw new OptaError('outside-workspace', `${what} is outside the session's workspace; git is not run there`);
  }
  throw refused(`${what} is no folder`);
};

/** As git recognises one; an empty folder of that name is none. */
const isGitDir = (ws: Workspace, dir: Entry): boolean =>
  ['HEAD', 'objects', 'refs'].every((name) => ws.describe(dir, name) !== null);

const read = (ws: Workspace, entry: Entry, bytesMax: number): Buffer => {
  const tooLarge = (): OptaError => refused(`${printable(entry.rel)} is larger than ${bytesMax} bytes`);
  if (entry.node.stat.size > bytesMax) throw tooLarge();
  const fd = ws.open(entry);
  try {
    const content = fs.readFileSync(fd);
    if (content.length > bytesMax) throw tooLarge();
    return content;
  } catch (error) {
    throw fromSystem(error, entry.rel);
  } finally {
    fs.closeSync(fd);
  }
};

/** The content of a plain file of the repository; null when there is none. A link or anything else is refused. */
const copied = (ws: Workspace, dir: Entry, name: string, bytesMax: number): Buffer | null => {
  const entry = ws.child(dir, name);
  if (entry === null) {
    if (ws.describe(dir, name) === null) return null;
    throw refused(`${printable(below(dir, name))} is not a plain file; git is not run there`);
  }
  try {
    return read(ws, entry, bytesMax);
  } finally {
    ws.release(entry.node);
  }
};

const REFS_BYTES_MAX = 32 << 20;
const INDEX_BYTES_MAX = 256 << 20;
const LOOSE_REFS_MAX = 20_000;
const REF_BYTES_MAX = 4_096;
const CONFIG_BYTES_MAX = 1 << 20;
const REF = /^(?:ref: refs\/[^\0\n]+|[0-9a-f]{40}|[0-9a-f]{64})\s*$/;

const prepare = async (ws: Workspace, found: Found, dir: string, deadlineAt: number): Promise<Repository> => {
  const { top, gitDir, commonDir } = found;
  const own = join(dir, 'git');
  for (const name of ['git', 'git/refs', 'git/objects', 'git/objects/info', 'git/info']) fs.mkdirSync(join(dir, name));
  const env = gitEnvironment(dir, ws.root);
  const bare: GitPlace = {
    cwd: dir,
    env: { ...env, GIT_CEILING_DIRECTORIES: dirname(dir) },
    objectsFd: null,
    deadlineAt,
  };

  const theirs = copied(ws, commonDir, 'config', CONFIG_BYTES_MAX) ?? Buffer.alloc(0);
  fs.writeFileSync(join(dir, 'theirs'), theirs);
  const listed = await gitText(bare, ['config', '--file', join(dir, 'theirs'), '--no-includes', '--list', '-z']);
  fs.writeFileSync(join(own, 'config'), settingsOf(ws, found, listed));

  const head = copied(ws, gitDir, 'HEAD', REF_BYTES_MAX)?.toString() ?? '';
  if (!REF.test(head)) throw refused('the HEAD of the repository is not understood');
  fs.writeFileSync(join(own, 'HEAD'), head);
  for (const [from, name, bytesMax] of [
    [gitDir, 'index', INDEX_BYTES_MAX],
    [commonDir, 'packed-refs', REFS_BYTES_MAX],
    [commonDir, 'shallow', REFS_BYTES_MAX],
  ] as const) {
    const content = copied(ws, from, name, bytesMax);
    if (content !== null) fs.writeFileSync(join(own, name), content);
  }
  keepAge(ws, gitDir, join(own, 'index'));
  copySharedIndexes(ws, gitDir, own);
  const notes = copyRefs(ws, commonDir, own);
  copyExcludes(ws, commonDir, own);

  const objects = objectsOf(ws, commonDir);
  // What is written is ours; what is there is read where it is.
  fs.writeFileSync(
    join(own, 'objects', 'info', 'alternates'),
    `${objects.fd === null ? objects.ref : '/proc/self/fd/3'}\n`,
  );
  const seen: NodeJS.ProcessEnv = {
    ...env,
    GIT_DIR: own,
    GIT_WORK_TREE: '.',
    GIT_INDEX_FILE: join(own, 'index'),
  };
  const repository = { top, dir, place: { cwd: top.node.ref, env: seen, objectsFd: objects.fd, deadlineAt }, notes };
  await assertNames(repository);
  return repository;
};

const BOOLEAN = /^(?:true|false|yes|no|on|off|1|0|)$/i;
/** How files are stored, and nothing that could name a program, a path or a place. */
const TAKEN: { [key: string]: RegExp } = {
  'core.autocrlf': /^(?:true|false|input)$/i,
  'core.eol': /^(?:lf|crlf|native)$/i,
  'core.filemode': BOOLEAN,
  'core.symlinks': BOOLEAN,
  'core.ignorecase': BOOLEAN,
  'core.precomposeunicode': BOOLEAN,
  'core.repositoryformatversion': /^[01]$/,
  'extensions.objectformat': /^(?:sha1|sha256)$/,
};
const EXTENSIONS =
  /^extensions\.(?:objectformat|noop|noop-v1|preciousobjects|partialclone|worktreeconfig|relativeworktrees)$/;

/** Our `config`. What is left out cannot be run, followed or fetched from. */
const settingsOf = (ws: Workspace, { top, gitDir, commonDir }: Found, listed: string): string => {
  const lines = [
    '[core]',
    '\tfsmonitor = false',
    '\tuntrackedCache = false',
    '\thooksPath = /dev/null',
    '\tquotePath = false',
  ];
  lines.push('\texcludesFile = /dev/null', '\tattributesFile = /dev/null', '[protocol]', '\tallow = never');
  for (const record of records(listed)) {
    const at = record.indexOf('\n');
    const key = at < 0 ? record : record.slice(0, at);
    const value = at < 0 ? 'true' : record.slice(at + 1);
    if (key.startsWith('extensions.') && !EXTENSIONS.test(key))
      throw refused(`the repository is stored in a way that is not known here (${printable(key)})`);
    // A folder that shares another's settings has its files where its own `.git` is.
    if (key === 'core.bare' && /^(?:true|yes|on|1)$/i.test(value) && gitDir.rel === commonDir.rel)
      throw refused('the repository is bare: it has no files');
    if (key === 'core.worktree' && place(ws, gitDir, value, 'its working tree').rel !== top.rel)
      throw refused('the working tree of the repository is another folder; git is not run there');
    if (!TAKEN[key]?.test(value)) continue;
    const [section, name] = key.split('.');
    lines.push(`[${section}]`, `\t${name} = ${value === '' ? 'false' : value}`);
  }
  return `${lines.join('\n')}\n`;
};

/**
 * A file that was changed in the moment in which the index was written has the index's time, and git looks at its content because of
 * that; so the copy is not younger than the index, rather a little older.
 */
const keepAge = (ws: Workspace, gitDir: Entry, copy: string): void => {
  const index = fs.existsSync(copy) ? ws.child(gitDir, 'index') : null;
  if (index === null) return;
  const seconds = Number(index.node.stat.mtimeMs - 2n) / 1_000;
  fs.utimesSync(copy, seconds, seconds);
  ws.release(index.node);
};

/** Parts that some indexes are made of. */
const copySharedIndexes = (ws: Workspace, gitDir: Entry, own: string): void => {
  const { entries } = ws.children(gitDir, LIMITS.toolListEntriesMax);
  for (const name of entries
    .map((e) => e.name)
    .filter((n) => /^sharedindex\.[0-9a-f]+$/.test(n))
    .slice(0, 4)) {
    const content = copied(ws, gitDir, name, INDEX_BYTES_MAX);
    if (content !== null) fs.writeFileSync(join(own, name), content);
  }
};

const copyExcludes = (ws: Workspace, commonDir: Entry, own: string): void => {
  const info = ws.child(commonDir, 'info');
  if (info?.kind !== 'dir') return;
  const content = copied(ws, info, 'exclude', CONFIG_BYTES_MAX);
  if (content !== null) fs.writeFileSync(join(own, 'info', 'exclude'), content);
  ws.release(info.node);
};

/** One by one: a ref says which object is meant, and nothing but a ref is taken. */
const copyRefs = (ws: Workspace, commonDir: Entry, own: string): string[] => {
  let left = LOOSE_REFS_MAX;
  const visit = (dir: Entry, to: string, depth: number): void => {
    for (const { name } of ws.children(dir, left).entries) {
      if (left-- <= 0 || depth > 32) return;
      const entry = ws.child(dir, name);
      if (entry === null) continue;
      if (entry.kind === 'dir') {
        fs.mkdirSync(join(to, name), { recursive: true });
        visit(entry, join(to, name), depth + 1);
      } else if (entry.node.stat.size <= REF_BYTES_MAX) {
        const content = read(ws, entry, REF_BYTES_MAX);
        if (REF.test(content.toString())) fs.writeFileSync(join(to, name), content);
      }
      ws.release(entry.node);
    }
  };
  const refs = ws.child(commonDir, 'refs');
  if (refs?.kind !== 'dir') throw refused('the refs of the repository are no folder');
  visit(refs, join(own, 'refs'), 0);
  ws.release(refs.node);
  return left <= 0 ? [`only ${LOOSE_REFS_MAX} branches and tags are known here`] : [];
};

/**
 * The folder of objects, held. Whoever could put a link in there while git runs would have to know the ids of objects that it is not
 * given; so one look beforehand is enough.
 */
const objectsOf = (ws: Workspace, commonDir: Entry): Node => {
  const objects = ws.child(commonDir, 'objects');
  if (objects?.kind !== 'dir') throw refused('the objects of the repository are no folder; git is not run there');
  let left: number = LIMITS.toolWalkEntriesMax;
  const visit = (dir: Entry): void => {
    const { entries, more } = ws.children(dir, left);
    left -= entries.length;
    if (more)
      throw refused(`the repository has more than ${LIMITS.toolWalkEntriesMax} loose objects; git gc packs them`);
    for (const entry of entries) {
      if (entry.isFile()) continue;
      const folder = entry.isDirectory() ? ws.child(dir, entry.name) : null;
      if (folder?.kind !== 'dir') throw refused(`${printable(below(dir, entry.name))} is a link; git is not run there`);
      visit(folder);
      ws.release(folder.node);
    }
  };
  visit(objects);
  const info = ws.child(objects, 'info');
  if (info?.kind === 'dir' && copied(ws, info, 'alternates', REF_BYTES_MAX)?.toString().trim())
    throw new OptaError(
      'outside-workspace',
      'the repository borrows objects from another folder; git is not run there',
    );
  if (info !== null) ws.release(info.node);
  return objects.node;
};

/** Git takes the names in an index as they are. One that leads out would have it look there. */
const assertNames = async ({ place }: Repository): Promise<void> => {
  const names = records(await gitText(place, ['ls-files', '-z'], { bytesMax: INDEX_BYTES_MAX }));
  const bad = names.find((name) => name.split('/').some((part) => part === '' || /^(?:\.\.?|\.git)$/i.test(part)));
  if (bad === undefined) return;
  throw new OptaError('outside-workspace', `the index of the repository names ${printable(bad.slice(0, 200))}`);
};
