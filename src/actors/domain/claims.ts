import type { ToolClass } from '../ports.ts';

/**
 * Which calls of one message may run beside each other, so that the message ends as if they had run in call order ([TL2]).
 *
 * A call claims the workspace, shared or alone, or nothing of it. Claims are not by path: two names can be one file, through links
 * of either kind, so that names prove nothing (docs/decisions/0014). Whoever only reads shares; whatever may write is alone.
 */
export type Claim = 'none' | 'shared' | 'alone';

const OF: { [C in ToolClass]: Claim } = {
  read: 'shared',
  network: 'none',
  write: 'alone',
  exec: 'alone',
  delegate: 'alone',
  question: 'alone',
};

export const claimOf = (toolClass: ToolClass): Claim => OF[toolClass];
