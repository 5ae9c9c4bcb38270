import { LIMITS } from '../../actors/limits.ts';
import type { ToolResult } from '../../actors/ports.ts';
import { type Change, changesIn, inWorkspace, pathBelow, relativeName } from '../git/changes.ts';
import { type Repository, withRepository } from '../git/repository.ts';
import type { Bounds } from '../jobs.ts';
import { Output, printable } from '../outcome.ts';
import { fromSystem, type Workspace } from '../workspace.ts';

export interface GitStatusArgs {
  path?: string | undefined;
}

/** The branch, and one line for each file that is not as it was committed ([TL7]). */
export const gitStatus = (ws: Workspace, args: GitStatusArgs, bounds: Bounds): Promise<ToolResult> =>
  withRepository(ws, relativeName(ws, args.path ?? '.'), 0.8 * bounds.deadlineMs, async (repository) => {
    const rel = pathBelow(ws, repository, args.path);
    const { head, changes } = await changesIn(repository, rel, { untracked: true, renames: true });
    const output = new Output(bounds.outputBytesMax);
    output.add(`${head}\n`);
    const named = (path: string): string => inWorkspace(repository, path);
    const permitted = changes.filter((c) => ![c.path, c.from].some((p) => p !== null && ws.denies(named(p))));
    const there = permitted.filter((c) => c.xy !== '??' || isThere(ws, named(c.path)));
    let shown = 0;
    for (const change of there) if (output.add(line(change, named), shown < LIMITS.toolListEntriesMax)) shown++;
    return output.done(notesOf(repository, there.length, shown, changes.length - permitted.length));
  });

const line = ({ xy, path, from }: Change, named: (path: string) => string): string =>
  `${xy} ${from === null ? '' : `${printable(named(from))} -> `}${printable(named(path))}\n`;

const notesOf = ({ notes, top }: Repository, count: number, shown: number, denied: number): string[] => {
  const all = [...notes];
  if (top.rel !== '') all.push(`the repository is ${printable(top.rel)}`);
  if (count === 0) all.push('nothing has changed');
  if (shown < count) all.push(`${shown} of ${count} files shown`);
  if (denied > 0) all.push(`${denied} left out: denied by the user's rules`);
  return all;
};

/** Git walks by paths. A folder that is swapped for a link meanwhile must not show what lies elsewhere, even by name ([TL1]). */
const isThere = (ws: Workspace, path: string): boolean => {
  const bare = path.replace(/\/$/, '');
  const slash = bare.lastIndexOf('/');
  try {
    const dir = ws.entry(bare.slice(0, Math.max(0, slash)));
    try {
      return dir.rel === bare.slice(0, Math.max(0, slash)) && ws.describe(dir, bare.slice(slash + 1)) !== null;
    } finally {
      ws.release(dir.node);
    }
  } catch (error) {
    if (fromSystem(error, path).code === 'internal') throw error;
    return false;
  }
};
