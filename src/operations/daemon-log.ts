import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

export const CHUNK_BYTES = 64 * 1024;

/** How far a file was read, and which file that was. */
export interface Place {
  size: number;
  id: number;
}

/**
 * The last `count` lines, read from the end: a log of gigabytes costs no more than its tail. With `whole`, a last line that
 * is still being written is left for later; `end` is where reading goes on, so that nothing falls between the two.
 */
export const lastLines = (file: string, count: number, whole: boolean): { lines: string[]; end: Place } => {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { lines: [], end: { size: 0, id: 0 } };
    throw cause;
  }
  try {
    const { size, ino } = fstatSync(fd);
    const tail = tailOf(fd, size, count);
    const partial = whole ? tail.length - (tail.lastIndexOf(10) + 1) : 0;
    const lines = tail.toString('utf8', 0, tail.length - partial).split('\n');
    // The first one is cut unless the file was read to its beginning.
    if (tail.length < size) lines.shift();
    return { lines: lines.filter((line) => line.trim() !== '').slice(-count), end: { size: size - partial, id: ino } };
  } finally {
    closeSync(fd);
  }
};

/** The end of the file, from its beginning or from before the last `count` line ends. */
const tailOf = (fd: number, size: number, count: number): Buffer => {
  const chunks: Buffer[] = [];
  let newlines = 0;
  for (let at = size; at > 0 && newlines <= count; ) {
    const take = Math.min(CHUNK_BYTES, at);
    const chunk = Buffer.alloc(take);
    readSync(fd, chunk, 0, take, at - take);
    at -= take;
    newlines += chunk.reduce((n, byte) => (byte === 10 ? n + 1 : n), 0);
    chunks.unshift(chunk);
  }
  return Buffer.concat(chunks);
};

export const parseLine = (line: string): unknown => {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : { raw: line };
  } catch {
    return { raw: line };
  }
};
