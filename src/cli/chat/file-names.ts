import { readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

const NAMES_MAX = 5_000;
const DEPTH_MAX = 6;
/** A list is used again for so long: keys come faster than a tree changes. */
const FRESH_MS = 5_000;
const SKIPPED = new Set(['.git', 'node_modules', '.hg', '.svn', 'dist', 'target', '.venv', '__pycache__']);

/** The files below a folder, as they are named behind `@`: bounded, links not followed, read at most every few seconds. */
export class FileNames {
  readonly #root: string;
  readonly #known = new Map<string, { atMs: number; names: Promise<readonly string[]> }>();

  constructor(root: string) {
    this.#root = root;
  }

  /** `typed` may name a folder that is looked into: `../x/`, `~/y/`, `/tmp/`. */
  under(typed: string): Promise<readonly string[]> {
    const folder = /^(?:\/|~\/|\.\.\/)/.test(typed) ? typed.slice(0, typed.lastIndexOf('/') + 1) : '';
    const known = this.#known.get(folder);
    if (known && Date.now() - known.atMs < FRESH_MS) return known.names;
    const path =
      folder === ''
        ? this.#root
        : folder.startsWith('~/')
          ? join(homedir(), folder.slice(2))
          : join(folder.startsWith('/') ? '' : this.#root, folder);
    const names = namesBelow(path, folder, folder === '' ? DEPTH_MAX : 1);
    this.#known.clear();
    this.#known.set(folder, { atMs: Date.now(), names });
    return names;
  }
}

/** Breadth first, so that what is near is there when the bound is reached. A folder that cannot be read has no names. */
const namesBelow = async (path: string, prefix: string, depth: number): Promise<readonly string[]> => {
  const names: string[] = [];
  let level: { path: string; prefix: string }[] = [{ path, prefix }];
  for (let left = depth; left > 0 && level.length > 0 && names.length < NAMES_MAX; left--) {
    const below: typeof level = [];
    for (const folder of level) {
      const entries = await readdir(folder.path, { withFileTypes: true }).catch(() => []);
      for (const entry of entries.slice(0, NAMES_MAX - names.length)) {
        const name = `${folder.prefix}${entry.name}`;
        if (!entry.isDirectory()) names.push(name);
        else if (!SKIPPED.has(entry.name)) {
          names.push(`${name}/`);
          below.push({ path: join(folder.path, entry.name), prefix: `${name}/` });
        }
      }
    }
    level = below;
  }
  return names;
};
