import { LIMITS } from '../../actors/limits.ts';
import type { ToolResult } from '../../actors/ports.ts';
import { OptaError } from '../../protocol/errors.ts';
import { pathBelow, relativeName } from '../git/changes.ts';
import { gitFailed, records, runGit } from '../git/process.ts';
import { withRepository } from '../git/repository.ts';
import { hasCommits } from '../git/snapshot.ts';
import type { Bounds } from '../jobs.ts';
import { Output, printable } from '../outcome.ts';
import type { Workspace } from '../workspace.ts';

export interface GitLogArgs {
  path?: string | undefined;
  limit?: number | undefined;
}

const COMMITS = 20;
const FORMAT = '--format=tformat:%h%x01%aI%x01%an%x01%s';

/** One line a commit, the newest first: id, time, author, subject ([TL7]). */
export const gitLog = (ws: Workspace, args: GitLogArgs, bounds: Bounds): Promise<ToolResult> =>
  withRepository(ws, relativeName(ws, args.path ?? '.'), 0.8 * bounds.deadlineMs, async (repository) => {
    const { place, notes } = repository;
    const rel = pathBelow(ws, repository, args.path);
    if (!(await hasCommits(place))) return { result: '[there are no commits yet]', isError: false };
    const limit = args.limit ?? COMMITS;
    const asked = [
      'log',
      '-z',
      FORMAT,
      '--abbrev=10',
      '--no-color',
      '--no-mailmap',
      `--max-count=${limit + 1}`,
      'HEAD',
      '--',
    ];
    const said = await runGit(place, rel === '' ? asked : [...asked, rel], { bytesMax: LIMITS.toolGitBytesMax });
    if (said.exit !== 0 && !said.cut) throw gitFailed('log', said);
    const commits = records(said.stdout.toString());
    if (commits.length === 0 && said.cut)
      throw new OptaError('tool-failed', 'the newest commit is too large to be shown');
    const output = new Output(bounds.outputBytesMax);
    for (const commit of commits.slice(0, limit)) output.add(lineOf(commit));
    const all = [...notes];
    if (commits.length === 0) all.push('no commit touches it');
    if (commits.length > limit || said.cut) all.push('there are older ones; ask with a larger limit');
    return output.done(all);
  });

const SUBJECT_CHARS_MAX = 500;

const lineOf = (commit: string): string => {
  const [id = '', time = '', author = '', ...subject] = commit.split('\x01');
  return `${id} ${time} ${printable(author.slice(0, 100))}: ${printable(subject.join('\x01').slice(0, SUBJECT_CHARS_MAX))}\n`;
};
