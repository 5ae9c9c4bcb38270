import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

export const CHUNK_BYTES = 64 * 1024;
/** No more of a log is read than this, whatever its lines are like; a caller that others wait for wants less. */
const TAIL_BYTES_MAX = 64 << 20;

/** How far a file was read, and which file that was. */
export interface Place {
  size: number;
  id: number;
}

/**
 * The last `count` lines, read from the end: a log of gigabytes costs no more than its tail, and of long lines only those that
 * fit into `bytesMax`. With `whole`, a last line that is still being written is left for later; `end` is where reading goes on,
 * so that nothing falls between the two.
 */
export const lastLines = (
  file: string,
  count: number,
  whole: boolean,
  bytesMax: number = TAIL_BYTES_MAX,
): { lines: string[]; end: Place } => {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (cause) {
    // A file in the place of a folder on the way leads to no log either.
    if (['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? ''))
      return { lines: [], end: { size: 0, id: 0 } };
    throw cause;
  }
  try {
    const { size, ino } = fstatSync(fd);
    const tail = tailOf(fd, size, count, bytesMax);
    const partial = whole ? tail.length - (tail.lastIndexOf(10) + 1) : 0;
    const lines = tail.toString('utf8', 0, tail.length - partial).split('\n');
    // The first one is cut unless the file was read to its beginning.
    if (tail.length < size) lines.shift();
    return { lines: lines.filter((line) => line.trim() !== '').slice(-count), end: { size: size - partial, id: ino } };
  } finally {
    closeSync(fd);
  }
};

/** The end of the file: from its beginning, from before the last `count` line ends, or its last `bytesMax` bytes. */
const tailOf = (fd: number, size: number, count: number, bytesMax: number): Buffer => {
  const chunks: Buffer[] = [];
  const first = Math.max(0, size - bytesMax);
  let newlines = 0;
  for (let at = size; at > first && newlines <= count; ) {
    const take = Math.min(CHUNK_BYTES, at - first);
    const chunk = Buffer.alloc(take);
    readSync(fd, chunk, 0, take, at - take);
    at -= take;
    for (let i = chunk.indexOf(10); i >= 0; i = chunk.indexOf(10, i + 1)) newlines += 1;
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
