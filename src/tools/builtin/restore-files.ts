import * as fs from 'node:fs';
import type { FileChange, FileVersion, Restored, ToolResult } from '../../actors/ports.ts';
import type { Bounds } from '../jobs.ts';
import { printable } from '../outcome.ts';
import { readWhole } from '../read-whole.ts';
import { removeFile, replaceFile } from '../replace-file.ts';
import { getBlob, hashOf } from '../versions.ts';
import type { Entry, Slot, Workspace } from '../workspace.ts';

export interface RestoreArgs {
  changes: FileChange[];
  /** All of them or none; else each that can be. */
  whole: boolean;
  /** Only say what would be done. */
  dryRun?: boolean;
}

/**
 * Takes changes of files back ([TL4]). A file is restored only while it is what the tool left; whoever changed it since keeps their
 * work. With `whole` all are looked at first and one that cannot be restored keeps all from being touched; each is compared once more
 * right before it is replaced. What is restored already counts as done, so that a second try after a crash ends what the first began.
 */
export const restoreFiles = (ws: Workspace, args: RestoreArgs, bounds: Bounds): ToolResult => {
  const found = args.changes.map((change) => ({ change, ...look(ws, change, bounds.versionsDir ?? '') }));
  const kept = found.flatMap(({ change, why }) => (why === null ? [] : [{ path: change.path, why }]));
  const isHeld = args.whole && kept.length > 0;
  const out: Restored = { restored: [], kept };
  for (const { change, why, content } of found) {
    if (why !== null || isHeld) continue;
    if (!args.dryRun) {
      const problem = restore(ws, change, content);
      if (problem !== null) {
        out.kept.push({ path: change.path, why: problem });
        continue;
      }
    }
    out.restored.push(change.path);
  }
  return { result: JSON.stringify(out), isError: false };
};

const GONE = 'its earlier content is not kept any more';

/** Why it cannot be restored, or what it is to hold; `content` null: it is to be removed. */
const look = (
  ws: Workspace,
  { path, before, after }: FileChange,
  dir: string,
): { why: string | null; content: Buffer | null } => {
  try {
    const { existing } = ws.slot(path, false);
    if (is(ws, existing, before)) return { why: null, content: before && contentOf(ws, existing) };
    if (!is(ws, existing, after)) return { why: 'it was changed since', content: null };
    if (before === null) return { why: null, content: null };
    const content = before.blob === null ? null : getBlob(dir, before.blob);
    return content === null ? { why: GONE, content: null } : { why: null, content };
  } catch (cause) {
    return { why: cause instanceof Error ? cause.message : String(cause), content: null };
  }
};

const contentOf = (ws: Workspace, entry: Entry | null): Buffer | null => entry && readWhole(ws, entry);

/** The file is exactly this version; a missing one is `null`. Mode counts for nothing: people may have changed it for a reason. */
const is = (ws: Workspace, entry: Entry | null, version: FileVersion | null): boolean => {
  if (entry === null || version === null) return entry === null && version === null;
  if (version.blob === null || Number(entry.node.stat.size) !== version.bytes) return false;
  return hashOf(readWhole(ws, entry)) === version.blob;
};

const restore = (ws: Workspace, change: FileChange, content: Buffer | null): string | null => {
  try {
    const slot: Slot = ws.slot(change.path, content !== null);
    if (is(ws, slot.existing, change.before)) return null;
    if (!is(ws, slot.existing, change.after)) return 'it was changed since';
    if (content === null) removeFile(ws, slot);
    else {
      replaceFile(ws, slot, content, true);
      if (slot.existing === null && change.before) setMode(slot, change.before.mode);
    }
    return null;
  } catch (cause) {
    return printable(cause instanceof Error ? cause.message : String(cause));
  }
};

/** Of a file that is there again; one that was replaced has kept its mode. */
const setMode = (slot: Slot, mode: number): void => fs.chmodSync(`${slot.dir.ref}/${slot.name}`, mode);
