import type { AnyActorRef } from 'xstate';
import type { Mode, StopReason, Usage } from '../../protocol/turn.ts';
import { cancelledText } from '../domain/call-cancel.ts';
import { claimOf } from '../domain/claims.ts';
import { deniedPaths, judge, rulePath, type TurnPolicy, type Verdict } from '../domain/permission-policy.ts';
import { MARKS_KEPT_MAX, stepMark } from '../domain/stagnation.ts';
import type { Limits } from '../limits.ts';
import type { ToolJobOutcome, TurnOutcome, TurnReport } from '../messages.ts';
import type { RequestedCall, ToolPlan, Tools } from '../ports.ts';
import type { ToolJobInput } from './tool-job.ts';

export interface TurnInput {
  sessionId: string;
  turnId: string;
  mode: Mode;
  model: string;
  workspace: string | undefined;
  policy: TurnPolicy;
  tools: Pick<Tools, 'offered' | 'plan'>;
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
  outcome: TurnOutcome | null;
}

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
  const path = typeof plan.args.path === 'string' ? rulePath(plan.args.path, c.workspace) : undefined;
  return { call, plan, verdict: judge(c.policy, call.name, plan.toolClass, path), requestId };
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
  const { call, plan } = current(c);
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
      deniedPaths: deniedPaths(c.policy, call.name),
      deadlineMs: c.limits.toolDeadlineMs,
    },
  };
};

/** A result that was quicker than the kill is the call's own. */
export const resultReport = (
  c: TurnContext,
  { call, startedAtMs, cancelledBy }: FlyingCall,
  { result, ran, killed }: ToolJobOutcome,
): TurnReport & { type: 'call.result' } => {
  const at = { type: 'call.result', turnId: c.turnId, callId: call.id, elapsedMs: c.now() - startedAtMs } as const;
  if (cancelledBy === null || !killed) return { ...at, result };
  const text = cancelledText(cancelledBy, ran ? 'running' : 'waiting');
  return { ...at, result: { result: text, isError: true }, cancelledBy };
};

/** The marks with the step that is over. */
export const marked = (c: TurnContext): string[] => {
  const calls = c.calls.map(({ id, name, args }) => ({ name, args, result: c.results[id] }));
  return calls.length === 0 ? c.marks : [...c.marks.slice(1 - MARKS_KEPT_MAX), stepMark(calls)];
};
