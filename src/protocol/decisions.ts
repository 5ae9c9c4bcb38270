import type { Remembered } from './session.ts';
import type { Decision } from './turn.ts';

/** What a session's state keeps of the decisions that people took. */
export interface DecisionTaken {
  requestId: string;
  decision: Decision;
  decidedBy: string;
}

/** Above this the oldest is forgotten and a second answer to it finds no request. */
export const DECISIONS_KEPT_MAX = 1_000;
/** Above this the oldest is forgotten, and its tool is asked about again. */
export const REMEMBERED_MAX = 100;

export const foldDecision = (
  all: DecisionTaken[],
  { requestId, decision, decidedBy }: DecisionTaken,
): DecisionTaken[] => [...all.slice(-(DECISIONS_KEPT_MAX - 1)), { requestId, decision, decidedBy }];

type Memory = { remembered?: Remembered[] };

/** The newest decision about a tool is the one that holds. Absent when there is none. */
export const remembering = (all: Remembered[] = [], tool: string, decidedBy: string): Memory => ({
  remembered: [...all.filter((one) => one.tool !== tool).slice(-(REMEMBERED_MAX - 1)), { tool, decidedBy }],
});

export const forgetting = (all: Remembered[] = [], tools: string[] = []): Memory => {
  const left = all.filter(({ tool }) => !tools.includes(tool));
  return left.length === 0 ? {} : { remembered: left };
};

/** Allowed for the whole workspace within a turn; its later turns have a rule for it ([PM11]). */
export interface AllowedHere {
  tool: string;
  /** Of a tool that runs commands: this very one. */
  command?: string;
  decidedBy: string;
}

/** What a call runs, by its arguments; undefined when it runs nothing. */
export const commandOf = (args: string): string | undefined => {
  try {
    const { command } = JSON.parse(args) as { command?: unknown };
    return typeof command === 'string' ? command : undefined;
  } catch {
    return undefined;
  }
};

interface Running {
  calls: { id: string; args: string }[];
  allowedHere?: AllowedHere[];
}

/** The turn with one more that was allowed for the whole workspace. */
const allowedHere = <A extends Running>(
  active: A | null,
  { callId, toolName, decidedBy }: { callId: string; toolName: string; decidedBy: string },
): A | null => {
  if (active === null) return null;
  const command = commandOf(active.calls.find(({ id }) => id === callId)?.args ?? '');
  const one = { tool: toolName, ...(command === undefined ? {} : { command }), decidedBy };
  return { ...active, allowedHere: [...(active.allowedHere ?? []), one] };
};

/** What is kept of a decision beyond its call. */
export const keeping = <A extends Running>(
  s: { remembered?: Remembered[]; active: A | null },
  p: { remember?: string | undefined; callId: string; toolName: string; decidedBy: string },
): Memory | { active: A | null } => {
  if (p.remember === 'session') return remembering(s.remembered, p.toolName, p.decidedBy);
  return p.remember === 'workspace' ? { active: allowedHere(s.active, p) } : {};
};
