import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { LIMITS } from '../actors/limits.ts';
import type { FileVersion } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';
import { printable } from './outcome.ts';
import { readWhole } from './read-whole.ts';
import { unkept } from './versions.ts';
import { fromSystem, type Slot, sameVersion, type Workspace } from './workspace.ts';

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_DIRECTORY } = fs.constants;
const LEFTOVER = /^\.opta-write-[0-9a-f]{16}\.tmp$/;
const LEFTOVER_AGE_MS = 60 * 60_000;

/**
 * Puts `content` in the slot as one step: a reader, or a crash, sees the old file or the new one, never a mixture ([TL3]).
 * The content is on disk before the name points to it. Mode (and owner, where that is allowed) are the old file's.
 *
 * With `onlyIfUnchanged` the slot's file is compared with the walk's own look at it right before the swap. Where versions are kept
 * it always is: what is replaced is then what was kept, and nothing else ([TL4]).
 */
export const replaceFile = (ws: Workspace, slot: Slot, content: Buffer, onlyIfUnchanged: boolean): void => {
  const temp = `${slot.dir.ref}/.opta-write-${randomBytes(8).toString('hex')}.tmp`;
  const target = `${slot.dir.ref}/${slot.name}`;
  try {
    // The swap would go past the mode of a file that its owner made read-only.
    if (slot.existing) fs.accessSync(slot.existing.node.ref, fs.constants.W_OK);
    sweep(ws, slot);
    const before = keepExisting(ws, slot);
    const after = ws.versions?.keep(content, modeOf(slot));
    const fd = fs.openSync(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o666);
    try {
      writeAll(fd, content);
      takeOver(fd, slot);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    if (onlyIfUnchanged || after) assertUnchanged(slot, target);
    fs.renameSync(temp, target);
    if (after) ws.versions?.note(slot.rel, before, after);
    syncFolder(slot);
  } catch (error) {
    discard(temp);
    throw fromSystem(error, slot.rel);
  }
};

/** Takes the slot's file away, if it is still the one that was looked at. The folder is on disk without it when this returns. */
export const removeFile = (ws: Workspace, slot: Slot): void => {
  const target = `${slot.dir.ref}/${slot.name}`;
  try {
    // As with a swap: taking the name away would go past the mode of a file that its owner made read-only.
    if (slot.existing) fs.accessSync(slot.existing.node.ref, fs.constants.W_OK);
    const before = keepExisting(ws, slot);
    assertUnchanged(slot, target);
    fs.unlinkSync(target);
    ws.versions?.note(slot.rel, before, null);
    syncFolder(slot);
  } catch (error) {
    throw fromSystem(error, slot.rel);
  }
};

/** What is there now, kept; null when nothing is, or nothing is kept at all. */
const keepExisting = (ws: Workspace, { existing }: Slot): FileVersion | null => {
  if (!existing || !ws.versions) return null;
  const { size, mode } = existing.node.stat;
  return size > LIMITS.toolEditBytesMax
    ? unkept(Number(size), Number(mode))
    : ws.versions.keep(readWhole(ws, existing), Number(mode));
};

const modeOf = ({ existing }: Slot): number => (existing ? Number(existing.node.stat.mode) : 0o666 & ~process.umask());

const discard = (temp: string): void => {
  try {
    fs.rmSync(temp, { force: true });
  } catch {
    // What failed first is the error to tell; the leftover is swept by a later write.
  }
};

const writeAll = (fd: number, content: Buffer): void => {
  for (let at = 0; at < content.length; ) at += fs.writeSync(fd, content, at);
};

const takeOver = (fd: number, { existing }: Slot): void => {
  if (existing === null) return;
  const { mode, uid, gid } = existing.node.stat;
  // Only the superuser can give a file away; for everybody else it becomes theirs, as with any editor that saves by rename.
  if (process.getuid?.() === 0) fs.fchownSync(fd, Number(uid), Number(gid));
  fs.fchmodSync(fd, Number(mode) & 0o777);
};

const assertUnchanged = ({ existing, rel }: Slot, target: string): void => {
  const now = fs.lstatSync(target, { bigint: true, throwIfNoEntry: false });
  if (existing === null ? now === undefined : now && sameVersion(existing.node.stat, now)) return;
  throw new OptaError('tool-failed', `${printable(rel)} was changed by somebody else meanwhile; read it again`);
};

const syncFolder = ({ dir }: Slot): void => {
  const fd = fs.openSync(dir.ref, O_RDONLY | O_DIRECTORY);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
};

/** A job that was killed in the middle leaves its temporary file; the next write in that folder removes what is old. */
const sweep = (ws: Workspace, { dir, rel }: Slot): void => {
  const folder = { kind: 'dir' as const, rel, node: dir };
  for (const { name } of ws.children(folder, 10_000).entries) {
    if (!LEFTOVER.test(name)) continue;
    const stat = fs.lstatSync(`${dir.ref}/${name}`, { throwIfNoEntry: false });
    if (stat && Date.now() - stat.mtimeMs > LEFTOVER_AGE_MS) fs.rmSync(`${dir.ref}/${name}`, { force: true });
  }
};
