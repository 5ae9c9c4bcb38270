import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { LIMITS } from '../actors/limits.ts';
import type { FileChange, FileVersion } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';

/**
 * What files held before and after a tool wrote them, so that it can be taken back ([TL4]). Contents lie in files named by their hash:
 * several processes may keep the same one at once, and what is there is complete.
 *
 * A content is kept for `versionsKeptMs` after it was last needed, within a bound for all of them; then a change can no longer be
 * taken back, and undo says so.
 */
export class Versions {
  readonly #dir: string;
  readonly changes: FileChange[] = [];

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Before the write: from now on there is a way back. Throws when the content cannot be stored, so that nothing is written. */
  keep(content: Buffer, mode: number): FileVersion {
    return { blob: putBlob(this.#dir, content), bytes: content.length, mode: mode & 0o777 };
  }

  note(path: string, before: FileVersion | null, after: FileVersion | null): void {
    this.changes.push({ path, before, after });
  }
}

/** Too large to be kept: it can be told from others by nothing, so it is never taken for what a tool wrote. */
export const unkept = (bytes: number, mode: number): FileVersion => ({ blob: null, bytes, mode: mode & 0o777 });

export const hashOf = (content: Buffer): string => createHash('sha256').update(content).digest('hex');

const placeOf = (dir: string, hash: string): string => join(dir, hash.slice(0, 2), hash);

const putBlob = (dir: string, content: Buffer): string => {
  const hash = hashOf(content);
  const place = placeOf(dir, hash);
  try {
    // Kept anew from now on.
    const now = new Date();
    fs.utimesSync(place, now, now);
    return hash;
  } catch {
    // It is not there yet.
  }
  const temp = `${place}.${randomBytes(6).toString('hex')}`;
  try {
    fs.mkdirSync(join(dir, hash.slice(0, 2)), { recursive: true, mode: 0o700 });
    const fd = fs.openSync(temp, 'wx', 0o600);
    try {
      for (let at = 0; at < content.length; ) at += fs.writeSync(fd, content, at);
      fs.fsyncSync(fd);
      fs.renameSync(temp, place);
    } catch (cause) {
      fs.rmSync(temp, { force: true });
      throw cause;
    } finally {
      fs.closeSync(fd);
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new OptaError('tool-failed', `the earlier content could not be kept, so nothing was written: ${why}`);
  }
  return hash;
};

/** Null when it is not kept any more, or is not what its name says. */
export const getBlob = (dir: string, hash: string): Buffer | null => {
  try {
    const content = fs.readFileSync(placeOf(dir, hash));
    return hashOf(content) === hash ? content : null;
  } catch {
    return null;
  }
};

/** Removes what is old, and the oldest while all of it together is too much. Returns how many went. */
export const sweepVersions = (dir: string, nowMs: number = Date.now()): number => {
  const files = listOf(dir).flatMap((folder) =>
    listOf(join(dir, folder)).flatMap((name) => {
      const path = join(dir, folder, name);
      const stat = fs.statSync(path, { throwIfNoEntry: false });
      return stat ? [{ path, bytes: stat.size, at: stat.mtimeMs }] : [];
    }),
  );
  let room: number = LIMITS.versionsBytesMax;
  let gone = 0;
  for (const { path, bytes, at } of files.sort((a, b) => b.at - a.at)) {
    room -= bytes;
    if (room >= 0 && at >= nowMs - LIMITS.versionsKeptMs) continue;
    fs.rmSync(path, { force: true });
    gone++;
  }
  return gone;
};

const listOf = (dir: string): string[] => {
  try {
    return fs.readdirSync(dir);
  } catch {
    return [];
  }
};
