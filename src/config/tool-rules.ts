import type { Config, PermissionRule } from './schema.ts';

/** Keys of `permissions` that are no tool. */
const OTHERS: ReadonlySet<string> = new Set(['deadlineMs', 'rules']);

/**
 * The rules that `permissions.<tool>` says, for the front of the others: what is said with a path comes later and decides, but a deny
 * is final wherever it stands ([PM5]).
 */
export const toolRules = (permissions: Config['permissions']): PermissionRule[] =>
  Object.entries(permissions).flatMap(([tool, action]) =>
    OTHERS.has(tool) ? [] : [{ tool, action: action as PermissionRule['action'] }],
  );

/** Tools whose calls run unasked when no rule speaks of them: those that only read. */
const READING = ['read_file', 'list_dir', 'search_files', 'find_files', 'git_status', 'git_diff', 'git_log'];
/** Tools, of this program or the older one, whose calls are asked about. */
const ASKED = [
  'write_file',
  'edit_file',
  'multi_edit',
  'delete_file',
  'run_command',
  'bg_start',
  'bg_kill',
  'spawn_agent',
  'delegate_task',
  'lsp_rename',
  'git_commit',
  'save_memory',
  'web_fetch',
  'ask_user',
];

/** What `permissions.<tool>` is when nobody said; undefined for a tool that nobody knows. */
export const toolDefault = (key: string): PermissionRule['action'] | undefined => {
  const tool = key.startsWith('permissions.') ? key.slice('permissions.'.length) : '';
  if (READING.includes(tool)) return 'allow';
  return ASKED.includes(tool) ? 'ask' : undefined;
};
