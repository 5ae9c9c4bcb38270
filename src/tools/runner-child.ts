import { spawn } from 'node:child_process';
import type { Builtin, JobAnswer, JobMessage, ToolName } from './jobs.ts';
import { failureOf } from './outcome.ts';
import { Versions } from './versions.ts';
import { Workspace } from './workspace.ts';

/**
 * The process in which tools run: one job at a time, in the order in which they come. It lives and dies with its daemon.
 *
 * A tool may keep this thread busy for long, so the end of the daemon is not ours to notice. A shell of the same group waits at
 * a pipe that only the daemon holds open, and ends the group when it closes. The tools are loaded when they are first called.
 */
const GUARD_FD = 4;

const die = (): never => {
  process.kill(-process.pid, 'SIGKILL');
  return process.exit(1);
};

process.on('disconnect', die);
spawn('/bin/sh', ['-c', 'read -r _; kill -9 0'], { stdio: [GUARD_FD, 'ignore', 'ignore'], env: {} }).on(
  'error',
  (error) => process.stderr.write(`no guard: ${error.message}\n`),
);

const BUILTINS: { [name in ToolName]: () => Promise<Builtin> } = {
  list_dir: async () => (await import('./builtin/list-dir.ts')).listDir,
  read_file: async () => (await import('./builtin/read-file.ts')).readFile,
  search_files: async () => (await import('./builtin/search-files.ts')).searchFiles,
  find_files: async () => (await import('./builtin/find-files.ts')).findFiles,
  write_file: async () => (await import('./builtin/write-file.ts')).writeFile,
  edit_file: async () => (await import('./builtin/edit-file.ts')).editFile,
  multi_edit: async () => (await import('./builtin/multi-edit.ts')).multiEdit,
  restore_files: async () => (await import('./builtin/restore-files.ts')).restoreFiles,
  delete_file: async () => (await import('./builtin/delete-file.ts')).deleteFile,
  git_status: async () => (await import('./builtin/git-status.ts')).gitStatus,
  git_diff: async () => (await import('./builtin/git-diff.ts')).gitDiff,
  git_log: async () => (await import('./builtin/git-log.ts')).gitLog,
  web_fetch: async () => (await import('./builtin/web-fetch.ts')).webFetch,
  save_memory: async () => (await import('./builtin/save-memory.ts')).saveMemory,
};

const run = async (message: JobMessage): Promise<JobAnswer> => {
  let ws: Workspace | null = null;
  try {
    const builtin = await BUILTINS[message.tool]();
    const { versionsDir = null } = message.bounds;
    // What takes back keeps nothing: it can be taken back itself by nobody.
    const versions = versionsDir !== null && message.tool !== 'restore_files' ? new Versions(versionsDir) : null;
    ws = new Workspace(message.workspace, { denied: message.deniedPaths, versions });
    const answer = await builtin(ws, message.args as never, message.bounds);
    const changes = versions?.changes ?? [];
    return { job: message.job, ...answer, ...(changes.length > 0 ? { changes } : {}) };
  } catch (error) {
    return { job: message.job, ...failureOf(error) };
  } finally {
    ws?.close();
  }
};

process.on('message', (message) => {
  void run(message as JobMessage).then((answer) => process.send?.(answer));
});
