import { realpathSync } from 'node:fs';
import { z } from 'zod';
import { withFileLock } from './file-lock.ts';
import { broken, readText } from './layer.ts';
import { ensurePrivateDir, type OptaPaths, writePrivateFile } from './paths.ts';
import type { PermissionRule } from './schema.ts';

/**
 * [PM11] What somebody allowed for good in a workspace: `always`, said to a request. It is a rule of the user, behind all others, until it
 * is taken back; a `deny` stays final. Of a tool that runs commands it is this very command, not the tool.
 */
const RememberedFile = z.object({
  version: z.literal(1),
  allowed: z.array(
    z.object({
      workspace: z.string(),
      tool: z.string(),
      command: z.string().optional(),
      decidedBy: z.string(),
      at: z.string(),
    }),
  ),
});
export type Remembered = z.infer<typeof RememberedFile>['allowed'][number];

/** The one that was allowed first is forgotten. */
const ALLOWED_MAX = 1_000;

/** A folder has one name here, whatever links lead to it. */
export const folderName = (workspace: string): string => {
  try {
    return realpathSync(workspace);
  } catch {
    return workspace;
  }
};

/** A file that says nothing usable allows nothing. Throws `invalid-request`, so that this is not silent. */
export const readRemembered = (paths: OptaPaths): Remembered[] => {
  const text = readText(paths.rememberedFile);
  if (text === null) return [];
  try {
    return RememberedFile.parse(JSON.parse(text)).allowed;
  } catch {
    throw broken(paths.rememberedFile, 'is damaged, so nothing in it counts; remove it');
  }
};

const changed = async <T>(paths: OptaPaths, change: (all: Remembered[]) => [Remembered[], T]): Promise<T> => {
  ensurePrivateDir(paths.configDir);
  return withFileLock(paths.rememberedFile, () => {
    const before = readRemembered(paths);
    const [allowed, told] = change(before);
    if (allowed !== before)
      writePrivateFile(paths.rememberedFile, `${JSON.stringify({ version: 1, allowed }, null, 2)}\n`);
    return told;
  });
};

export const rememberAllowed = (
  paths: OptaPaths,
  { workspace, ...what }: { workspace: string; tool: string; command?: string; decidedBy: string },
): Promise<void> =>
  changed(paths, (all) => {
    const one = { workspace: folderName(workspace), ...what, at: new Date().toISOString() };
    const others = all.filter((o) => o.workspace !== one.workspace || o.tool !== one.tool || o.command !== one.command);
    return [[...others.slice(-(ALLOWED_MAX - 1)), one], undefined];
  });

/** All of a workspace, or one tool; answers with what was forgotten. */
export const forgetAllowed = (paths: OptaPaths, workspace: string, tool?: string): Promise<Remembered[]> =>
  changed(paths, (all) => {
    const name = folderName(workspace);
    const gone = all.filter((o) => o.workspace === name && (tool === undefined || o.tool === tool));
    return [gone.length === 0 ? all : all.filter((o) => !gone.includes(o)), gone];
  });

/** For the daemon, which reads them when a turn starts; `warn` is told when it cannot. */
export const rememberedRules = (
  paths: OptaPaths,
  workspace: string | undefined,
  warn: (reason: string) => void,
): (PermissionRule & { from: string; exact?: boolean })[] => {
  if (workspace === undefined) return [];
  try {
    const all = readRemembered(paths);
    if (all.length === 0) return [];
    const name = folderName(workspace);
    return all.flatMap(({ workspace: of, tool, command }) =>
      of === name
        ? [{ tool, ...(command === undefined ? {} : { command, exact: true }), action: 'allow', from: 'remembered' }]
        : [],
    );
  } catch (cause) {
    warn(cause instanceof Error ? cause.message : String(cause));
    return [];
  }
};
