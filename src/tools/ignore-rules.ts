import * as fs from 'node:fs';
import ignore, { type Ignore } from 'ignore';
import { OptaError } from '../protocol/errors.ts';
import type { Entry, Workspace } from './workspace.ts';

const FILE_BYTES_MAX = 256 * 1024;

interface Level {
  /** Folder that the rules belong to, '' or ending in `/`. */
  base: string;
  rules: Ignore;
}

/** The `.gitignore` files from the root of the workspace down; the deepest one with an opinion decides, as in git. */
export class IgnoreRules {
  readonly #ws: Workspace;
  readonly #levels = new Map<string, Level[]>();

  constructor(ws: Workspace) {
    this.#ws = ws;
  }

  /** `folder` is canonical and below the root; `name` is what it holds. */
  ignored(folder: string, name: string, isFolder: boolean): boolean {
    if (isFolder && name === '.git') return true;
    const path = `${folder === '' ? '' : `${folder}/`}${name}${isFolder ? '/' : ''}`;
    for (const { base, rules } of this.#of(folder)) {
      const verdict = rules.test(path.slice(base.length));
      if (verdict.ignored) return true;
      if (verdict.unignored) return false;
    }
    return false;
  }

  /** Deepest first. */
  #of(folder: string): Level[] {
    const known = this.#levels.get(folder);
    if (known) return known;
    const above = folder === '' ? [] : this.#of(folder.includes('/') ? folder.slice(0, folder.lastIndexOf('/')) : '');
    const own = this.#load(folder);
    const levels = own === null ? above : [own, ...above];
    this.#levels.set(folder, levels);
    return levels;
  }

  #load(folder: string): Level | null {
    let dir: Entry | null = null;
    let file: Entry | null = null;
    try {
      dir = this.#ws.entry(folder);
      file = this.#ws.child(dir, '.gitignore');
      if (file?.kind !== 'file' || file.node.stat.size > FILE_BYTES_MAX) return null;
      const fd = this.#ws.open(file);
      try {
        return { base: folder === '' ? '' : `${folder}/`, rules: ignore().add(fs.readFileSync(fd, 'utf8')) };
      } finally {
        fs.closeSync(fd);
      }
    } catch (error) {
      // Rules that cannot be read rule nothing: the files are then found, which harms nobody.
      if (error instanceof OptaError) return null;
      throw error;
    } finally {
      if (file) this.#ws.release(file.node);
      if (dir) this.#ws.release(dir.node);
    }
  }
}
