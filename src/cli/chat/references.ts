import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { extname, isAbsolute, join, relative, resolve, sep } from 'node:path';

/** Bounds of what `@path` puts into one turn. */
export const REFERENCE_BOUNDS = { files: 20, fileBytes: 256 << 10, totalBytes: 1 << 20 };

export interface Expanded {
  text: string;
  /** What a person should know: what was attached, and what was not and why. */
  notes: string[];
}

/** `@path` after a space or at the start; the path begins with a lower-case letter, `_`, `.`, `/` or `~/`. */
const REFERENCE = /(?<=^|\s)@("([^"\n]+)"|(?:~\/|[a-z_./])[^\s]*)/g;
const IMAGES = new Set(['.png', '.jpg', '.jpeg', '.gif', '.webp']);

/**
 * Appends the files that a text names with `@path`, each in a `<file>` block. Only files below one of `roots` are read,
 * whatever links say: a pasted text must not be able to send a key file to the model.
 */
export const expandReferences = (text: string, cwd: string, roots: readonly string[]): Expanded => {
  const notes: string[] = [];
  const blocks: string[] = [];
  const seen = new Set<string>();
  let total = 0;
  for (const match of text.matchAll(REFERENCE)) {
    const named = match[2] ?? (match[1] as string);
    const found = locate(named, cwd);
    if (found === null) {
      // A word such as `@alice` is no path; what looks like one was perhaps mistyped.
      if (/[./]/.test(named)) notes.push(`@${named}: no such file`);
      continue;
    }
    const { path, shown } = found;
    if (seen.has(path)) continue;
    seen.add(path);
    const why = refused(path, roots, blocks.length);
    if (why !== null) {
      notes.push(`@${shown}: not attached, ${why}`);
      continue;
    }
    const read = readText(path, Math.min(REFERENCE_BOUNDS.fileBytes, REFERENCE_BOUNDS.totalBytes - total));
    if (typeof read === 'string') {
      notes.push(`@${shown}: not attached, ${read}`);
      continue;
    }
    total += read.bytes;
    const cut = read.whole ? '' : ' truncated="true"';
    const content = read.text.endsWith('\n') ? read.text : `${read.text}\n`;
    blocks.push(`<file path="${attribute(shown)}"${cut}>\n${content}</file>`);
    notes.push(`@${shown}: ${read.bytes} bytes attached${read.whole ? '' : ', the beginning of it'}`);
  }
  return { text: [text, ...blocks].join('\n\n'), notes };
};

/** The file behind the words, which may be followed by what ends a sentence. */
const locate = (named: string, cwd: string): { path: string; shown: string } | null => {
  for (const shown of [named, named.replace(/[.,;:!?)\]}'"]+$/, '')]) {
    const full = shown.startsWith('~/') ? join(homedir(), shown.slice(2)) : resolve(cwd, shown);
    try {
      return { path: realpathSync(full), shown };
    } catch {
      // The next spelling, or none.
    }
  }
  return null;
};

const refused = (path: string, roots: readonly string[], count: number): string | null => {
  if (!roots.some((root) => within(root, path)))
    return 'it lies outside the workspace (--add-dir <folder> adds a folder)';
  if (IMAGES.has(extname(path).toLowerCase())) return 'images cannot be sent';
  if (count >= REFERENCE_BOUNDS.files) return `a turn takes ${REFERENCE_BOUNDS.files} files`;
  return null;
};

const within = (root: string, path: string): boolean => {
  const way = relative(root, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
};

/** Its beginning, as UTF-8; or why there is none. */
const readText = (path: string, bytesMax: number): { text: string; bytes: number; whole: boolean } | string => {
  let fd: number | undefined;
  try {
    // A pipe would make the opening wait for its writer.
    fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stat = fstatSync(fd);
    if (!stat.isFile()) return 'it is no file';
    if (bytesMax <= 0) return `a turn takes ${REFERENCE_BOUNDS.totalBytes >> 10} KiB of files`;
    const buffer = Buffer.alloc(Math.min(stat.size, bytesMax));
    const bytes = readSync(fd, buffer, 0, buffer.length, 0);
    const part = buffer.subarray(0, bytes);
    if (part.includes(0)) return 'it is not text';
    const whole = bytes >= stat.size;
    return { text: new TextDecoder('utf-8').decode(part, { stream: !whole }), bytes, whole };
  } catch (cause) {
    return (cause as Error).message;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
};

const attribute = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
