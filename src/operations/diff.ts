import { isAbsolute, relative, resolve } from 'node:path';
import type { Env } from '../config/paths.ts';
import { OptaError } from '../protocol/errors.ts';
import type { Call, OperationOutput } from '../protocol/operations.ts';
import { isWholePath } from './folder.ts';
import { GIT_BYTES_MAX, git, OWN_FILES, unfiltered } from './git.ts';

export interface DiffAsked {
  /** The folder; that of the session when one is named. */
  workspace?: string | undefined;
  /** Only what this session's tools wrote. */
  session?: string | undefined;
}

export interface Diff {
  workspace: string;
  /** The root of its repository; null outside one, and then there is nothing to compare with. */
  repository: string | null;
  session?: string;
  files: { path: string; status: string }[];
  /** Unified, against the last commit; new files as a whole. */
  diff: string;
  truncated: boolean;
}

/** So many new files are shown; the others are listed. */
const NEW_FILES_MAX = 50;

/** What is not committed: in a folder, or of what a session wrote. */
export const diffOf = async (
  { workspace, session }: DiffAsked,
  { call, env, signal }: { call: Call; env: Env; signal?: AbortSignal },
): Promise<Diff> => {
  if (session === undefined) {
    if (workspace === undefined || !isWholePath(workspace))
      throw new OptaError('invalid-request', 'Name a session, or a workspace by its whole path');
    return compare(workspace, ['.'], env, signal);
  }
  const found = await call('sessions.get', { params: { id: session } });
  const folder = workspace ?? found.workspace;
  if (folder === undefined) throw new OptaError('invalid-request', `Session ${session} has no workspace`);
  if (!isWholePath(folder)) throw new OptaError('invalid-request', `Not a folder with a whole path: ${folder}`);
  const paths = writtenPaths(found, folder);
  const none = { workspace: folder, repository: null, files: [], diff: '', truncated: false };
  return { ...(paths.length === 0 ? none : await compare(folder, paths, env, signal)), session };
};

const compare = async (workspace: string, paths: string[], env: Env, signal?: AbortSignal): Promise<Diff> => {
  const at = await unfiltered({ cwd: workspace, env, signal });
  const repository = (await git(['rev-parse', '--show-toplevel'], at))?.trim() ?? null;
  if (repository === null) return { workspace, repository, files: [], diff: '', truncated: false };
  const plain = ['--no-ext-diff', '--no-textconv', '--no-color', OWN_FILES];
  const base =
    (await git(['rev-parse', '--verify', '--quiet', 'HEAD'], at))?.trim() ??
    (await git(['hash-object', '-t', 'tree', '/dev/null'], at))?.trim() ??
    '';
  const tracked = (await git(['--literal-pathspecs', 'diff', ...plain, base, '--', ...paths], at)) ?? '';
  const status = ['status', '--porcelain=v1', '-z', '--untracked-files=all', OWN_FILES, '--', ...paths];
  const files = filesOf((await git(['--literal-pathspecs', ...status], at)) ?? '');
  const fresh = files.filter((file) => file.status === '??');
  const whole: string[] = [];
  let room = GIT_BYTES_MAX - tracked.length;
  for (const { path } of fresh.slice(0, NEW_FILES_MAX)) {
    if (room <= 0) break;
    const text = await git(['diff', ...plain, '--no-index', '--', '/dev/null', path], {
      ...at,
      cwd: repository,
      codes: [0, 1],
    });
    whole.push(text ?? '');
    room -= text?.length ?? 0;
  }
  const diff = tracked + whole.join('');
  return {
    workspace,
    repository,
    files,
    diff: diff.slice(0, GIT_BYTES_MAX),
    truncated: room <= 0 || fresh.length > NEW_FILES_MAX,
  };
};

/** Of `status --porcelain=v1 -z`: a renamed file is followed by its old name. */
const filesOf = (text: string): Diff['files'] => {
  const parts = text.split('\0').filter((part) => part !== '');
  const files: Diff['files'] = [];
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as string;
    const status = part.slice(0, 2);
    files.push({ path: part.slice(3), status: status.trim() });
    if (/[RC]/.test(status)) i += 1;
  }
  return files;
};

const WRITERS = new Set(['write_file', 'edit_file', 'multi_edit', 'delete_file']);

/** The paths below the folder that calls of writing tools have named. */
const writtenPaths = ({ messages }: OperationOutput<'sessions.get'>, folder: string): string[] => {
  const named = messages
    .flatMap((message) => message.tool_calls ?? [])
    .filter((call) => WRITERS.has(call.function.name))
    .flatMap((call) => pathOf(call.function.arguments));
  const below = named
    .map((path) => relative(folder, resolve(folder, path)))
    .filter((path) => path !== '' && !path.startsWith('..') && !isAbsolute(path) && !path.includes('\0'));
  return [...new Set(below)];
};

const pathOf = (args: string): string[] => {
  try {
    const { path } = JSON.parse(args) as { path?: unknown };
    return typeof path === 'string' ? [path] : [];
  } catch {
    // A call that the model did not finish.
    return [];
  }
};
