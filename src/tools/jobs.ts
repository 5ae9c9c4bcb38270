import type { ToolResult } from '../actors/ports.ts';
import type { Workspace } from './workspace.ts';

/** What goes to a tool process, and what it answers. Arguments were checked against the tool's schema before. */
export interface JobMessage {
  job: number;
  tool: ToolName;
  args: { [key: string]: unknown };
  workspace: string;
  deniedPaths: string[];
  bounds: Bounds;
}

export interface Bounds {
  outputBytesMax: number;
  /** What is left of the job's deadline when it starts. */
  deadlineMs: number;
  /** Where the outputs of this session's commands are kept; null or absent: nowhere. */
  outputsDir?: string | null;
  /** Where versions of files are kept; null or absent: nowhere. */
  versionsDir?: string | null;
}

export interface JobAnswer extends ToolResult {
  job: number;
}

export type ToolName =
  | 'list_dir'
  | 'read_file'
  | 'search_files'
  | 'find_files'
  | 'write_file'
  | 'edit_file'
  | 'multi_edit'
  | 'delete_file'
  | 'restore_files'
  | 'git_status'
  | 'git_diff'
  | 'git_log'
  | 'web_fetch'
  | 'save_memory';

/** One tool, carried out. Throws an `OptaError` for what the model should hear as an error. */
export type Builtin = (ws: Workspace, args: never, bounds: Bounds) => ToolResult | Promise<ToolResult>;
