import type { Mode, Overrides } from '../../protocol/turn.ts';
import type { ToolClass } from '../ports.ts';

/**
 * May this call run? One pure function, asked in the turn for every call. The policy is frozen when the turn starts, so that a
 * change of configuration never changes a running turn.
 *
 * Order: a user's `deny` is final ([PM5]); a read-only mode refuses everything but reading, whatever else says allow ([PM4]);
 * then the user's other rules, last match first; then the defaults of design.md section 6.
 */
export interface PermissionRule {
  /** Tool name or glob with `*`. */
  tool: string;
  /** Glob on the call's path, when it has one. */
  path?: string | undefined;
  action: 'allow' | 'ask' | 'deny';
}

export interface TurnPolicy {
  mode: Mode;
  auto: boolean;
  dangerous: boolean;
  rules: PermissionRule[];
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

const READ_ONLY: ReadonlySet<Mode> = new Set(['plan', 'review', 'research']);

export const judge = (policy: TurnPolicy, tool: string, toolClass: ToolClass, path: string | undefined): Verdict => {
  const matching = policy.rules.filter((rule) => applies(rule, tool, path));
  if (matching.some((rule) => rule.action === 'deny')) return { action: 'deny', by: `rule:user:${tool}` };
  if (READ_ONLY.has(policy.mode) && toolClass !== 'read') return { action: 'deny', by: `rule:mode:${policy.mode}` };
  const last = matching.at(-1);
  if (last) return { action: last.action, by: `rule:user:${last.tool}` };
  if (policy.dangerous) return { action: 'allow', by: 'rule:dangerous' };
  if (toolClass === 'read') return { action: 'allow', by: 'rule:read' };
  if (toolClass === 'write' && policy.auto) return { action: 'allow', by: 'rule:auto' };
  return { action: 'ask', by: `rule:${toolClass}` };
};

const applies = (rule: PermissionRule, tool: string, path: string | undefined): boolean =>
  glob(rule.tool, tool) && (rule.path === undefined || (path !== undefined && glob(rule.path, path)));

/** `*` matches any run of characters; linear in both lengths, so no pattern can stall the daemon. */
const glob = (pattern: string, text: string): boolean => {
  let p = 0;
  let t = 0;
  let star = -1;
  let mark = 0;
  while (t < text.length) {
    if (pattern[p] === '*') {
      star = p++;
      mark = t;
    } else if (pattern[p] === text[t]) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++mark;
    } else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
};
