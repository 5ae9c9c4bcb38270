import type * as fs from 'node:fs';
import { globSync } from 'tinyglobby';
import { LIMITS } from '../../actors/limits.ts';
import type { ToolResult } from '../../actors/ports.ts';
import { OptaError } from '../../protocol/errors.ts';
import { IgnoreRules } from '../ignore-rules.ts';
import type { Bounds } from '../jobs.ts';
import { Output, printable } from '../outcome.ts';
import type { Workspace } from '../workspace.ts';

export interface FindArgs {
  pattern: string;
  path?: string | undefined;
}

/** The matcher sees a tree of its own under this name: no path that it makes up can name a folder of the machine. */
const TREE = '/tree';

/**
 * The library matches and decides where to go; what is there comes from the workspace ([TL1]), without links and without what
 * `.gitignore` files exclude, so that ignored folders are not even entered.
 */
export const findFiles = (ws: Workspace, args: FindArgs, bounds: Bounds): ToolResult => {
  if (args.pattern.split(/[/\\,{}()|]/).includes('..') || args.pattern.startsWith('/')) {
    throw new OptaError(
      'outside-workspace',
      `the pattern ${printable(args.pattern)} leaves the folder that is searched`,
    );
  }
  const top = ws.entry(args.path ?? '.');
  if (top.kind !== 'dir') throw new OptaError('tool-failed', `${printable(top.rel)} is a file, not a folder`);
  ws.release(top.node);
  const tree = new Tree(ws, top.rel);
  const found = globSync(args.pattern, {
    cwd: TREE,
    dot: true,
    expandDirectories: false,
    followSymbolicLinks: false,
    // The library asks for entries with their kinds and nothing else; the type covers every form of the call.
    fs: { readdirSync: tree.read as unknown as typeof fs.readdirSync },
  }).sort();
  const output = new Output(bounds.outputBytesMax);
  const prefix = top.rel === '' ? '' : `${top.rel}/`;
  let shown = 0;
  found.forEach((path, i) => {
    if (output.add(`${printable(prefix + path)}\n`, i < LIMITS.toolListEntriesMax)) shown++;
  });
  const notes = shown < found.length ? [`${shown} of ${found.length} files shown`] : [];
  if (tree.stopped) notes.push(`stopped after ${LIMITS.toolWalkEntriesMax} entries, there may be more`);
  if (tree.unreadCount > 0) notes.push(`${tree.unreadCount} folders could not be read`);
  if (found.length === 0) notes.unshift('no file matches');
  return output.done(notes);
};

class Tree {
  readonly #ws: Workspace;
  readonly #top: string;
  readonly #rules: IgnoreRules;
  #entriesLeft: number = LIMITS.toolWalkEntriesMax;
  stopped = false;
  unreadCount = 0;

  constructor(ws: Workspace, top: string) {
    this.#ws = ws;
    this.#top = top;
    this.#rules = new IgnoreRules(ws);
  }

  read = (path: string): fs.Dirent[] => {
    const below =
      path === TREE ? '' : path.startsWith(`${TREE}/`) ? path.slice(TREE.length + 1).replace(/\/$/, '') : null;
    if (below === null) return [];
    const rel = [this.#top, below].filter((part) => part !== '').join('/');
    try {
      return this.#list(rel);
    } catch (error) {
      if (!(error instanceof OptaError)) throw error;
      if (error.code !== 'not-found') this.unreadCount++;
      return [];
    }
  };

  #list(rel: string): fs.Dirent[] {
    const dir = this.#ws.entry(rel);
    try {
      // A literal folder of the pattern may lead through a link: the walk's own name for the place is the one that counts.
      if (dir.kind !== 'dir' || dir.rel !== rel) return [];
      const { entries, more } = this.#ws.children(dir, this.#entriesLeft);
      this.#entriesLeft -= entries.length;
      this.stopped ||= more;
      return entries.filter((e) => !this.#rules.ignored(rel, e.name, e.isDirectory()));
    } finally {
      this.#ws.release(dir.node);
    }
  }
}
