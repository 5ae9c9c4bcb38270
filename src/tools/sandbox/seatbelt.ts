import type { Confinement } from './confinement.ts';

/**
 * The profile of `sandbox-exec` for a confinement on macOS. Later rules win. Processes are not in a namespace of their own there:
 * their group is what is ended.
 */
export const seatbeltProfile = (c: Confinement): string =>
  [
    '(version 1)',
    '(allow default)',
    '(deny file-write*)',
    ...c.hidden.map((path) => `(deny file-read* (subpath ${quoted(path)}))`),
    ...c.blanked.map((path) => `(deny file-read* (literal ${quoted(path)}))`),
    // Looking up a path needs the folders above it, by name alone.
    ...c.hidden.map((path) => `(allow file-read-metadata (subpath ${quoted(path)}))`),
    ...c.readable.map((path) => `(allow file-read* (subpath ${quoted(path)}))`),
    ...c.writable.map((path) => `(allow file-read* file-write* (subpath ${quoted(path)}))`),
    `(allow file-read* file-write* (subpath ${quoted(c.workspace)}))`,
    '(allow file-write* (literal "/dev/null") (literal "/dev/stdout") (literal "/dev/stderr"))',
    ...c.frozen.map((path) => `(deny file-write* (subpath ${quoted(path)}))`),
    ...c.pinned.map((path) => `(deny file-write-unlink (literal ${quoted(path)}))`),
    ...(c.network ? [] : ['(deny network*)']),
  ].join('\n');

const quoted = (path: string): string => `"${path.replace(/[\\"]/g, '\\$&')}"`;
