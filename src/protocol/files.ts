import { z } from 'zod';

/** A content of a file. `blob`: where it is kept, its SHA-256; null when it was too large to be. */
export const FileVersionSchema = z.object({
  blob: z.string().nullable(),
  bytes: z.number().int(),
  /** Permission bits. */
  mode: z.number().int(),
});
export type FileVersion = z.infer<typeof FileVersionSchema>;

/** What a call did to one file; null: there was, or is, none. */
export const FileChangeSchema = z.object({
  /** Below the workspace, links resolved. */
  path: z.string(),
  before: FileVersionSchema.nullable(),
  after: FileVersionSchema.nullable(),
});
export type FileChange = z.infer<typeof FileChangeSchema>;

/** What one turn did to files, first to last. */
export const TurnFilesSchema = z.object({
  turnId: z.string(),
  changes: z.array(FileChangeSchema),
  /** More than is remembered: it cannot be taken back as a whole. */
  more: z.literal(true).optional(),
  /** It was taken back. */
  undone: z.literal(true).optional(),
});
export type TurnFiles = z.infer<typeof TurnFilesSchema>;

/** Turns that a session remembers the files of, and files of one turn. */
export const TURNS_KEPT_MAX = 20;
export const FILES_KEPT_MAX = 1_000;

/** One more change of a turn: of each file what it was before the first and is after the last of them. */
export const foldChanges = (all: TurnFiles[], turnId: string, changes: FileChange[]): TurnFiles[] => {
  if (changes.length === 0) return all;
  const last = all.at(-1);
  const mine: TurnFiles = last?.turnId === turnId ? last : { turnId, changes: [] };
  const next = changes.reduce(withChange, mine);
  return [...all.filter((one) => one !== mine).slice(1 - TURNS_KEPT_MAX), next];
};

const withChange = (files: TurnFiles, change: FileChange): TurnFiles => {
  const at = files.changes.findIndex(({ path }) => path === change.path);
  if (at < 0)
    return files.changes.length < FILES_KEPT_MAX
      ? { ...files, changes: [...files.changes, change] }
      : { ...files, more: true };
  return { ...files, changes: files.changes.map((c, i) => (i === at ? { ...c, after: change.after } : c)) };
};

/** The turn that was taken back, whole or in part. */
export const foldUndone = (all: TurnFiles[], turnId: string): TurnFiles[] =>
  all.map((one) => (one.turnId === turnId ? { ...one, undone: true } : one));

/** Of the newest turns, those that a fork takes along: whole turns, as many as fit. */
export const filesForFork = (all: readonly TurnFiles[]): TurnFiles[] => {
  let room = FILES_KEPT_MAX;
  const from = all.findLastIndex(({ changes }) => {
    room -= changes.length;
    return room < 0;
  });
  return all.slice(from + 1);
};
