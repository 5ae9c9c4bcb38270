import { glob } from '../../protocol/glob.ts';
import type { Mode, Overrides } from '../../protocol/turn.ts';
import type { ToolClass } from '../ports.ts';
import { matchesCommand } from './command-match.ts';

/**
 * May this call run? One pure function, asked in the turn for every call. The policy is frozen when the turn starts, so that a
 * change of configuration never changes a running turn.
 *
 * Order: a user's `deny` is final ([PM5]); a read-only mode refuses everything but reading, whatever else says allow ([PM4]);
 * then the user's other rules, last match first; then the defaults of design.md section 6. A question to the user is asked unless
 * a rule denies it: nothing can allow it in place of an answer ([PM7]).
 */
export interface PermissionRule {
  /** Tool name or glob with `*`. */
  tool: string;
  /** Glob on the call's path, when it has one. */
  path?: string | undefined;
  /** Glob on the command of a call that runs one. */
  command?: string | undefined;
  /** `command` is this very text, and no glob. */
  exact?: boolean | undefined;
  /** Whose rule it is; the user's own when absent. */
  from?: string | undefined;
  action: 'allow' | 'ask' | 'deny';
}

export interface TurnPolicy {
  mode: Mode;
  auto: boolean;
  dangerous: boolean;
  rules: PermissionRule[];
}

/** What of a call the rules look at. */
export interface Judged {
  toolClass: ToolClass;
  /** `rulePath` of the file that it names. */
  path?: string | undefined;
  command?: string | undefined;
  /** It runs in the sandbox, without a network. */
  confined?: boolean | undefined;
}

export interface Verdict {
  action: 'allow' | 'ask' | 'deny';
  /** `rule:<what decided>`; part of the record. */
  by: string;
}

export const turnPolicy = (mode: Mode, overrides: Overrides | undefined, rules: PermissionRule[]): TurnPolicy => ({
  mode,
  auto: overrides?.auto ?? false,
  dangerous: overrides?.dangerous ?? false,
  rules,
});

const AUTO = 'rule:auto';
/**
 * [PM10] What runs or decides something later, outside of any sandbox: hooks and settings of git, and what opta itself reads of a
 * workspace. To allow edits is not to allow these. Without regard to case, as some file systems are.
 */
const GUARDED = ['.git', '.git/*', '*/.git', '*/.git/*', '.opta', '.opta/*', '*/.opta', '*/.opta/*'];
const isGuarded = (path: string | undefined): boolean =>
  path !== undefined && GUARDED.some((pattern) => glob(pattern, path.toLowerCase()));

const READ_ONLY: ReadonlySet<Mode> = new Set(['plan', 'review', 'research']);

export const judge = (policy: TurnPolicy, tool: string, call: Judged): Verdict => {
  const { toolClass } = call;
  const matching = policy.rules.filter((rule) => applies(rule, tool, call));
  const denied = matching.find((rule) => rule.action === 'deny');
  if (denied) return { action: 'deny', by: `rule:${denied.from ?? 'user'}:${tool}` };
  if (toolClass === 'question') return { action: 'ask', by: 'rule:question' };
  const mayRead = toolClass === 'read' || (toolClass === 'network' && policy.mode === 'research');
  if (READ_ONLY.has(policy.mode) && !mayRead) return { action: 'deny', by: `rule:mode:${policy.mode}` };
  const last = matching.at(-1);
  if (last) return { action: last.action, by: `rule:${last.from ?? 'user'}:${last.tool}` };
  if (policy.dangerous) return { action: 'allow', by: 'rule:dangerous' };
  if (toolClass === 'read') return { action: 'allow', by: 'rule:read' };
  if (toolClass === 'write' && policy.auto && !isGuarded(call.path)) return { action: 'allow', by: AUTO };
  // What it is handed to is asked about the same things under the same policy.
  if (toolClass === 'delegate' && policy.auto) return { action: 'allow', by: AUTO };
  // It can do no more than a write could: see docs/decisions/0013.
  if (toolClass === 'exec' && call.confined && policy.auto) return { action: 'allow', by: AUTO };
  return { action: 'ask', by: `rule:${toolClass}` };
};

/**
 * The path that rules are written for: below the workspace, without `.`, `..` and doubled slashes. A path that leaves the
 * workspace stays as it is; the tool refuses it. Links are not seen here: see `deniedPaths`.
 */
export const rulePath = (path: string, workspace: string | undefined): string => {
  const root = workspace?.replace(/\/+$/, '');
  const below =
    root !== undefined && (path === root || path.startsWith(`${root}/`)) ? path.slice(root.length + 1) : path;
  const out: string[] = [];
  for (const name of below.split('/')) {
    if (name === '' || name === '.') continue;
    if (name !== '..') out.push(name);
    else if (out.pop() === undefined) return path;
  }
  return below.startsWith('/') ? `/${out.join('/')}` : out.join('/');
};

/**
 * The paths that are denied to this call: by the user's rules, and where it may write only because edits are allowed, the guarded
 * ones, which a link in the workspace may give another name. They go with the call and are compared once more with what the path really
 * means, links resolved, where the file is opened ([PM5]).
 */
export const deniedPaths = (policy: TurnPolicy, tool: string, allowedBy?: string): string[] => [
  ...(allowedBy === AUTO && WRITES_PATHS.has(tool) ? GUARDED : []),
  ...policy.rules.flatMap((rule) => {
    const isFor = glob(rule.tool, tool) || (SHOWS_CONTENT.has(tool) && glob(rule.tool, 'read_file'));
    return rule.action === 'deny' && rule.path !== undefined && isFor ? [rule.path] : [];
  }),
];

const WRITES_PATHS: ReadonlySet<string> = new Set(['write_file', 'edit_file', 'multi_edit', 'delete_file']);

/** What may not be read is not shown by these either. */
const SHOWS_CONTENT: ReadonlySet<string> = new Set(['search_files', 'git_status', 'git_diff', 'git_log']);

const applies = (rule: PermissionRule, tool: string, { path, command }: Judged): boolean =>
  glob(rule.tool, tool) &&
  (rule.path === undefined || (path !== undefined && glob(rule.path, path))) &&
  (rule.command === undefined ||
    (command !== undefined &&
      (rule.exact ? rule.command === command : matchesCommand(rule.command, command, rule.action))));
