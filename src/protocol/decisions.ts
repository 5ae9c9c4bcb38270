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
