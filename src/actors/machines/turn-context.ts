import type { AnyActorRef } from 'xstate';
import type { Mode, StopReason, Usage } from '../../protocol/turn.ts';
import { claimOf } from '../domain/claims.ts';
import { type Fit, TOKENS_PER_CHAR } from '../domain/context-window.ts';
import { deniedPaths, judge, rulePath, type TurnPolicy, type Verdict } from '../domain/permission-policy.ts';
import { MARKS_KEPT_MAX, stepMark } from '../domain/stagnation.ts';
import type { Limits } from '../limits.ts';
import type { Given, StreamOutcome, ToolJobOutcome, TurnEvent, TurnOutcome } from '../messages.ts';
import type { RequestedCall, ToolPlan, Tools, TurnBrief } from '../ports.ts';
import type { ToolJobInput } from './tool-job.ts';

export interface TurnInput {
  sessionId: string;
  turnId: string;
  mode: Mode;
  model: string;
  workspace: string | undefined;
  policy: TurnPolicy;
  tools: Pick<Tools, 'offered' | 'plan'>;
  /** What its calls overwrite is kept, so that it can be taken back. */
  keepVersions: boolean;
  limits: Limits;
  permissionDeadlineMs: number;
  session: AnyActorRef;
  now: () => number;
}

/** The call that the turn is busy with. */
export interface CurrentCall {
  call: RequestedCall;
  plan: ToolPlan | null;
  verdict: Verdict | { action: 'invalid'; message: string };
  requestId: string;
}

/** A call that runs beside others. */
export interface FlyingCall {
  call: RequestedCall;
  startedAtMs: number;
  /** Who wants it to end. */
  cancelledBy: string | null;
}

export interface TurnContext extends TurnInput {
  step: number;
  calls: RequestedCall[];
  next: number;
  callsTotal: number;
  /** Ids of all calls of the turn so far. */
  callIds: string[];
  current: CurrentCall | null;
  /** Calls that only read, and run while the next is looked at. */
  flight: FlyingCall[];
  /** Calls of this step that are refused already, whether their place has come or not. */
  refused: string[];
  /** Who wants the running call to end. */
  cancelledBy: string | null;
  afterSeq: number;
  toolStartedAtMs: number;
  usage: Usage | null;
  /** What each call of this step answered, by its id. */
  results: { [callId: string]: string };
  /** The steps so far, as marks that are equal when the steps are. */
  marks: string[];
  brief: TurnBrief;
  /** The conversation as it stands before this step. */
  given: Given;
  /** What of it is sent, or why it is not. */
  fit: Fit | null;
  /** As counted by the server for the last request. */
  tokensPerChar: number;
  sentChars: number;
  /** The step that was made room for last, and how often that was done. */
  compactedStep: number;
  compactions: number;
  /** How often the server said that what was sent is too long, and what can be sent since, in tokens as they are counted here. */
  refits: number;
  windowMax: number;
  /** What the model wrote so far of a summary. */
  summary: string;
  outcome: TurnOutcome | null;
}

export const NO_BRIEF: TurnBrief = { rules: [], environment: [], notes: [] };

/** What its children tell it when they end. */
export type Done =
  | { type: 'deadline' }
  | { type: 'xstate.done.actor.stream'; output: StreamOutcome }
  | { type: 'xstate.done.actor.summary'; output: StreamOutcome }
  | { type: 'xstate.done.actor.job'; output: ToolJobOutcome }
  | { type: 'xstate.done.actor.flying'; actorId: string; output: ToolJobOutcome }
  | { type: 'xstate.done.actor.permission'; output: { requestId: string } };

export const newTurn = (input: TurnInput): TurnContext => ({
  ...input,
  step: 0,
  calls: [],
  next: 0,
  callsTotal: 0,
  callIds: [],
  current: null,
  flight: [],
  refused: [],
  cancelledBy: null,
  afterSeq: 0,
  toolStartedAtMs: 0,
  usage: null,
  results: {},
  marks: [],
  brief: NO_BRIEF,
  given: { messages: [] },
  fit: null,
  tokensPerChar: TOKENS_PER_CHAR,
  sentChars: 0,
  compactedStep: 0,
  compactions: 0,
  refits: 0,
  windowMax: Number.MAX_SAFE_INTEGER,
  summary: '',
  outcome: null,
});

export const current = (c: TurnContext): CurrentCall => {
  if (!c.current) throw new Error('no current call');
  return c.current;
};

export const failure = (c: TurnContext, code: string, message: string, stop?: StopReason): TurnOutcome => ({
  kind: 'error',
  code,
  message,
  usage: c.usage,
  ...(stop === undefined ? {} : { stop }),
});

/** May this call run? Asked when its place has come, with the policy that was frozen when the turn began. */
export const judgeCall = (c: TurnContext): CurrentCall => {
  const call = c.calls[c.next];
  if (!call) throw new Error('no call to judge');
  const requestId = `perm_${c.turnId}_${c.step}_${c.next}`;
  const plan = c.tools.plan(call.name, call.args, c);
  if (typeof plan === 'string') return { call, plan: null, verdict: { action: 'invalid', message: plan }, requestId };
  const { path, command } = plan.args;
  const judged = {
    toolClass: plan.toolClass,
    confined: plan.confined,
    path: typeof path === 'string' ? rulePath(path, c.workspace) : undefined,
    command: typeof command === 'string' ? command : undefined,
  };
  return { call, plan, verdict: judge(c.policy, call.name, judged), requestId };
};

/** It is allowed without a question and changes nothing: others may run beside it ([TL2]). */
export const shares = ({ plan, verdict }: CurrentCall): boolean =>
  verdict.action === 'allow' && plan !== null && claimOf(plan.toolClass) !== 'alone';

/** Servers repeat or omit call ids; ours must name one call of one turn. */
export const distinct = (calls: RequestedCall[], taken: string[], step: number): RequestedCall[] => {
  const seen = new Set(taken);
  return calls.map((call, i) => {
    const id = call.id === '' || seen.has(call.id) ? `call_${step}_${i}` : call.id;
    seen.add(id);
    return { ...call, id };
  });
};

export const jobInput = (c: TurnContext, afterSeq: number): ToolJobInput => {
  const { call, plan, verdict } = current(c);
  return {
    afterSeq,
    killDeadlineMs: c.limits.toolKillDeadlineMs,
    run: {
      sessionId: c.sessionId,
      turnId: c.turnId,
      callId: call.id,
      name: call.name,
      args: plan?.args ?? {},
      workspace: c.workspace ?? '',
      deniedPaths: deniedPaths(c.policy, call.name, verdict.action === 'allow' ? verdict.by : undefined),
      keepVersions: c.keepVersions,
      ...(plan?.confined === undefined ? {} : { confined: plan.confined }),
      deadlineMs: plan?.deadlineMs ?? c.limits.toolDeadlineMs,
    },
  };
};

/** The marks with the step that is over. */
export const marked = (c: TurnContext): string[] => {
  const calls = c.calls.map(({ id, name, args }) => ({ name, args, result: c.results[id] }));
  return calls.length === 0 ? c.marks : [...c.marks.slice(1 - MARKS_KEPT_MAX), stepMark(calls)];
};

export const add = (a: Usage | null, b: Usage | null): Usage | null =>
  a && b
    ? { promptTokens: a.promptTokens + b.promptTokens, completionTokens: a.completionTokens + b.completionTokens }
    : (a ?? b);

export const isAnswered = ({ output }: { output: StreamOutcome }): boolean => output.kind === 'answered';

export const usageOf = (event: { type: string; output?: unknown }): Usage | null => {
  const output = event.output as StreamOutcome | undefined;
  return output?.kind === 'answered' ? output.usage : null;
};

const SPENT = {
  calls: ['budget-exceeded', 'The turn used up its tool calls.'],
  steps: ['budget-exceeded', 'The turn used up its model calls.'],
  tokens: ['budget-exceeded', 'The turn used up its tokens.'],
  time: ['budget-exceeded', 'The turn used up its time.'],
  context: [
    'context-exhausted',
    'The conversation does not fit into what the model can read, also after it was shortened.',
  ],
  stagnation: ['stagnation', 'The turn made the same calls with the same results again and again, so it was ended.'],
} as const;

/** The end of a turn that reached one of its bounds. */
export const spent = (c: TurnContext, stop: keyof typeof SPENT): TurnOutcome =>
  failure(c, SPENT[stop][0], SPENT[stop][1], stop);

export const UNBRIEFED = 'What the workspace brings, rules and tools, was not ready in time.';
/** A summary is cut to its share of the context anyway. */
export const SUMMARY_CHARS_MAX = 256 * 1024;

const answeredBy = (event: TurnEvent | Done): StreamOutcome | null =>
  event.type === 'xstate.done.actor.stream' ? event.output : null;

export const doneOutcome = ({ usage }: TurnContext, event: TurnEvent | Done): TurnOutcome => {
  const output = answeredBy(event);
  const isCut = output?.kind === 'answered' && output.finishReason === 'length';
  return { kind: 'done', usage, stop: isCut ? 'length' : 'completed' };
};

export const failedOutcome = (c: TurnContext, event: TurnEvent | Done): TurnOutcome => {
  const output = answeredBy(event);
  return output?.kind === 'failed'
    ? failure(c, output.code, output.message)
    : failure(c, 'internal', 'The turn ended without an answer.');
};
