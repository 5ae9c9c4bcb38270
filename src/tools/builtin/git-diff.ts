import { LIMITS } from '../../actors/limits.ts';
import type { ToolResult } from '../../actors/ports.ts';
import { type Change, changesIn, inWorkspace, pathBelow, relativeName } from '../git/changes.ts';
import { gitFailed, gitText, records, runGit } from '../git/process.ts';
import { type Repository, withRepository } from '../git/repository.ts';
import { putBack, putWorkspace, stagedTree, treeOf } from '../git/snapshot.ts';
import type { Bounds } from '../jobs.ts';
import { Output, printable } from '../outcome.ts';
import type { Workspace } from '../workspace.ts';

export interface GitDiffArgs {
  path?: string | undefined;
  staged?: boolean | undefined;
  base?: string | undefined;
}

/** Two trees are compared: nothing that stands in the workspace is read by git, but from copies ([TL7]). */
const DIFF = ['diff', '--cached', '--no-color', '--no-ext-diff', '--no-textconv', '--find-renames'];
const PLAIN = ['--submodule=short', '--ignore-submodules=none', '--src-prefix=a/', '--dst-prefix=b/', '--full-index'];

/** What is not staged; `staged`: what is; `base`: either of them since that commit. As git means it, so without new files. */
export const gitDiff = (ws: Workspace, args: GitDiffArgs, bounds: Bounds): Promise<ToolResult> =>
  withRepository(ws, relativeName(ws, args.path ?? '.'), 0.8 * bounds.deadlineMs, async (repository) => {
    const { place } = repository;
    const rel = pathBelow(ws, repository, args.path);
    const { changes } = await changesIn(repository, rel, { untracked: false, renames: false });
    const staged = await stagedTree(place, changes);
    const base = await baseOf(repository, args, staged);
    const notes = [...repository.notes];
    if (args.staged !== true) notes.push(...(await withUnstaged(ws, repository, changes)));
    notes.push(...(await withoutDenied(ws, repository, base)));
    const said = await runGit(place, [...DIFF, ...PLAIN, base, '--', rel === '' ? '.' : rel], {
      bytesMax: LIMITS.toolGitBytesMax,
    });
    if (said.exit !== 0 && !said.cut) throw gitFailed('diff', said);
    const text = said.stdout.toString();
    if (text === '') notes.push(nothing(args, changes));
    if (said.cut) notes.push('the comparison is longer still; name a path');
    const output = new Output(bounds.outputBytesMax);
    output.add(text);
    return output.done(notes);
  });

const baseOf = async ({ place }: Repository, { base, staged }: GitDiffArgs, index: string): Promise<string> => {
  if (base !== undefined) return treeOf(place, base);
  return staged === true ? treeOf(place, 'HEAD') : index;
};

const withUnstaged = async (ws: Workspace, repository: Repository, changes: readonly Change[]): Promise<string[]> => {
  const files = changes.filter((c) => (c.xy[1] !== ' ' || c.isConflict) && !ws.denies(inWorkspace(repository, c.path)));
  const omitted = await putWorkspace(
    ws,
    repository,
    files.map((c) => c.path),
  );
  const named = omitted.slice(0, 5).map(({ path, why }) => `${printable(inWorkspace(repository, path))} (${why})`);
  return omitted.length === 0 ? [] : [`${omitted.length} files not compared: ${named.join(', ')}`];
};

/** [PM5] What the rules deny is no different, whatever it is. */
const withoutDenied = async (ws: Workspace, repository: Repository, base: string): Promise<string[]> => {
  const { place } = repository;
  const text = await gitText(place, ['diff', '--cached', '--name-only', '-z', '--no-renames', base, '--']);
  const denied = records(text).filter((path) => ws.denies(inWorkspace(repository, path)));
  await putBack(place, base, denied);
  return denied.length === 0 ? [] : [`${denied.length} files left out: denied by the user's rules`];
};

const nothing = ({ staged, base }: GitDiffArgs, changes: readonly Change[]): string => {
  if (base !== undefined) return 'no difference';
  const other = changes.some((c) => c.xy[staged === true ? 1 : 0] !== ' ');
  if (staged === true) return `nothing is staged${other ? '; without staged: true there are changes' : ''}`;
  return `no unstaged changes${other ? '; there are staged ones (staged: true)' : ''}`;
};
