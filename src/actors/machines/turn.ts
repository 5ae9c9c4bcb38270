import { type AnyActorRef, assign, enqueueActions, raise, sendParent, sendTo, setup } from 'xstate';
import type { Mode, Usage } from '../../protocol/turn.ts';
import { cancelledText } from '../domain/call-cancel.ts';
import { deniedPaths, judge, rulePath, type TurnPolicy, type Verdict } from '../domain/permission-policy.ts';
import { promptFor } from '../domain/prompt.ts';
import type { Limits } from '../limits.ts';
import type { StreamOutcome, ToolJobOutcome, TurnEvent, TurnOutcome, TurnReport } from '../messages.ts';
import type { RequestedCall, ToolPlan, Tools } from '../ports.ts';
import { permissionMachine } from './permission.ts';
import { streamMachine } from './stream.ts';
import { toolJobMachine } from './tool-job.ts';

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

export interface TurnContext extends TurnInput {
  step: number;
  calls: RequestedCall[];
  next: number;
  callsTotal: number;
  /** Ids of all calls of the turn so far. */
  callIds: string[];
  current: CurrentCall | null;
  /** Calls of this step that are refused already, whether their place has come or not. */
  refused: string[];
  /** Who wants the running call to end. */
  cancelledBy: string | null;
  afterSeq: number;
  toolStartedAtMs: number;
  usage: Usage | null;
  outcome: TurnOutcome | null;
}

type Done =
  | { type: 'deadline' }
  | { type: 'xstate.done.actor.stream'; output: StreamOutcome }
  | { type: 'xstate.done.actor.job'; output: ToolJobOutcome }
  | { type: 'xstate.done.actor.permission'; output: { requestId: string } };

const add = (a: Usage | null, b: Usage | null): Usage | null =>
  a && b
    ? { promptTokens: a.promptTokens + b.promptTokens, completionTokens: a.completionTokens + b.completionTokens }
    : (a ?? b);

const report = (fact: TurnReport): TurnReport => fact;

/**
 * One turn: model call, then its tool calls one after another in call order ([TL2]), and again until the model answers without
 * calls. It decides and reports; the session records. Nothing here survives a crash: recovery closes the turn from the log.
 */
export const turnMachine = setup({
  types: {
    input: {} as TurnInput,
    context: {} as TurnContext,
    events: {} as TurnEvent | Done,
    output: {} as TurnOutcome,
    children: {} as { stream: 'stream'; job: 'toolJob'; permission: 'permission' },
  },
  actors: { stream: streamMachine, toolJob: toolJobMachine, permission: permissionMachine },
  delays: { turnDeadline: ({ context }) => context.limits.turnDurationMs },
  guards: {
    answeredWithCalls: ({ event }) =>
      event.type === 'xstate.done.actor.stream' && event.output.kind === 'answered' && event.output.calls.length > 0,
    tooManyCalls: ({ context, event }) =>
      event.type === 'xstate.done.actor.stream' &&
      event.output.kind === 'answered' &&
      (event.output.calls.length > context.limits.stepCallsMax ||
        context.callsTotal + event.output.calls.length > context.limits.turnCallsMax),
    answered: ({ event }) => event.type === 'xstate.done.actor.stream' && event.output.kind === 'answered',
    stepsSpent: ({ context }) => context.next >= context.calls.length && context.step >= context.limits.turnStepsMax,
    callsDone: ({ context }) => context.next >= context.calls.length,
    nextIsRefused: ({ context }) => context.refused.includes(context.calls[context.next]?.id ?? ''),
    isEnding: ({ context }) => context.outcome !== null,
    callInvalid: ({ context }) => context.current?.verdict.action === 'invalid',
    callDenied: ({ context }) => context.current?.verdict.action === 'deny',
    callAsks: ({ context }) => context.current?.verdict.action === 'ask',
    isCurrent: ({ context, event }) => 'callId' in event && event.callId === context.current?.call.id,
  },
  actions: {
    nextStep: assign({ step: ({ context }) => context.step + 1, calls: [], next: 0, current: null }),
    reportReady: sendParent(({ context }) =>
      report({ type: 'step.ready', turnId: context.turnId, step: context.step }),
    ),
    takeUsage: assign({
      usage: ({ context, event }) =>
        event.type === 'xstate.done.actor.stream' && event.output.kind === 'answered'
          ? add(context.usage, event.output.usage)
          : context.usage,
    }),
    takeCalls: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'xstate.done.actor.stream' || event.output.kind !== 'answered') return;
      const calls = distinct(event.output.calls, context.callIds, context.step);
      const callIds = [...context.callIds, ...calls.map((c) => c.id)];
      enqueue.assign({ calls, next: 0, callsTotal: callIds.length, callIds, refused: [] });
      const { turnId, step } = context;
      enqueue.sendTo(context.session, report({ type: 'step.calls', turnId, step, calls, usage: event.output.usage }));
    }),
    judgeNext: assign({
      current: ({ context }) => (context.next < context.calls.length ? judgeCall(context) : null),
      next: ({ context }) => context.next + 1,
      cancelledBy: null,
    }),
    passNext: assign({ next: ({ context }) => context.next + 1 }),
    noteRefused: assign({
      refused: ({ context, event }) =>
        event.type === 'call.refused' ? [...context.refused, event.callId] : context.refused,
    }),
    noteCanceller: assign({
      cancelledBy: ({ context, event }) => (event.type === 'call.cancel' ? event.by : context.cancelledBy),
    }),
    reportAllow: sendParent(({ context }) => {
      const { call, verdict } = current(context);
      return report({
        type: 'call.allow',
        turnId: context.turnId,
        callId: call.id,
        by: verdict.action === 'invalid' ? 'daemon' : verdict.by,
      });
    }),
    reportAsk: sendParent(({ context }) => {
      const { call, plan, requestId } = current(context);
      const { args, summary, question } = plan ?? { args: {}, summary: call.name };
      const preview = plan?.preview?.();
      const asked = { args, summary, ...(question ? { question } : {}), ...(preview === undefined ? {} : { preview }) };
      return report({ type: 'call.ask', turnId: context.turnId, callId: call.id, requestId, ...asked });
    }),
    reportRefusal: sendParent(({ context }) => {
      const { call, verdict } = current(context);
      const { turnId } = context;
      return verdict.action === 'invalid'
        ? report({
            type: 'call.refuse',
            turnId,
            callId: call.id,
            reason: 'invalid',
            by: 'daemon',
            message: verdict.message,
          })
        : report({
            type: 'call.refuse',
            turnId,
            callId: call.id,
            reason: 'rule',
            by: verdict.by,
            message: `Not allowed here (${verdict.by.replace('rule:', '')}). Go on without it.`,
          });
    }),
    reportExpiry: sendParent(({ context }) => {
      const { call, requestId } = current(context);
      return report({ type: 'call.expire', turnId: context.turnId, callId: call.id, requestId });
    }),
    takeTicket: assign({
      afterSeq: ({ event, context }) => (event.type === 'call.granted' ? event.afterSeq : context.afterSeq),
      toolStartedAtMs: ({ context }) => context.now(),
    }),
    reportResult: sendParent(({ context, event }) => {
      const { call } = current(context);
      const end =
        event.type === 'xstate.done.actor.job'
          ? event.output
          : { result: { result: 'The call ended without a result.', isError: true }, ran: false, killed: false };
      const elapsedMs = context.now() - context.toolStartedAtMs;
      const at = { turnId: context.turnId, callId: call.id, elapsedMs };
      const { cancelledBy } = context;
      // A result that was quicker than the kill is the call's own.
      if (cancelledBy === null || !end.killed) return report({ type: 'call.result', ...at, result: end.result });
      const result = { result: cancelledText(cancelledBy, end.ran ? 'running' : 'waiting'), isError: true };
      return report({ type: 'call.result', ...at, result, cancelledBy });
    }),
    done: assign({ outcome: ({ context }) => ({ kind: 'done', usage: context.usage }) }),
    failed: assign({
      outcome: ({ context, event }) =>
        event.type === 'xstate.done.actor.stream' && event.output.kind === 'failed'
          ? failure(context, event.output.code, event.output.message)
          : failure(context, 'internal', 'The turn ended without an answer.'),
    }),
    overBudget: assign({
      outcome: ({ context }) => failure(context, 'budget-exceeded', 'The turn used up its steps, calls or time.'),
    }),
    stopped: assign({ outcome: { kind: 'stopped' } }),
    killJob: sendTo('job', { type: 'kill' }),
  },
}).createMachine({
  id: 'turn',
  context: ({ input }) => ({
    ...input,
    step: 0,
    calls: [],
    next: 0,
    callsTotal: 0,
    callIds: [],
    current: null,
    refused: [],
    cancelledBy: null,
    afterSeq: 0,
    toolStartedAtMs: 0,
    usage: null,
    outcome: null,
  }),
  initial: 'working',
  states: {
    working: {
      initial: 'preparing',
      after: { turnDeadline: { actions: raise({ type: 'deadline' }) } },
      on: {
        stop: { target: 'over', actions: 'stopped' },
        deadline: { target: 'over', actions: 'overBudget' },
        'call.refused': { actions: 'noteRefused' },
      },
      states: {
        preparing: {
          entry: ['nextStep', 'reportReady'],
          on: { 'step.go': 'generating' },
        },
        generating: {
          invoke: {
            id: 'stream',
            src: 'stream',
            input: ({ context, event }) => ({
              session: context.session,
              limits: context.limits,
              request: {
                sessionId: context.sessionId,
                turnId: context.turnId,
                step: context.step,
                model: context.model,
                messages: promptFor(event.type === 'step.go' ? event.messages : [], context),
                tools: context.tools.offered(context),
              },
            }),
            onDone: [
              { guard: 'tooManyCalls', target: '#turn.over', actions: ['takeUsage', 'overBudget'] },
              { guard: 'answeredWithCalls', target: 'deciding', actions: ['takeUsage', 'takeCalls'] },
              { guard: 'answered', target: '#turn.over', actions: ['takeUsage', 'done'] },
              { target: '#turn.over', actions: 'failed' },
            ],
          },
        },
        deciding: {
          always: [
            { guard: 'stepsSpent', target: '#turn.over', actions: 'overBudget' },
            { guard: 'callsDone', target: 'preparing' },
            { guard: 'nextIsRefused', target: 'deciding', reenter: true, actions: 'passNext' },
            { target: 'judged', actions: 'judgeNext' },
          ],
        },
        judged: {
          always: [
            { guard: 'callInvalid', target: 'deciding', actions: 'reportRefusal' },
            { guard: 'callDenied', target: 'deciding', actions: 'reportRefusal' },
            { guard: 'callAsks', target: 'asking' },
            { target: 'granting' },
          ],
        },
        granting: {
          entry: 'reportAllow',
          on: {
            'call.granted': { guard: 'isCurrent', target: 'acting', actions: 'takeTicket' },
            'call.refused': { guard: 'isCurrent', target: 'deciding' },
          },
        },
        asking: {
          entry: 'reportAsk',
          invoke: {
            id: 'permission',
            src: 'permission',
            input: ({ context }) => ({
              requestId: current(context).requestId,
              deadlineMs: context.permissionDeadlineMs,
            }),
            onDone: { actions: 'reportExpiry' },
          },
          on: {
            'call.granted': { guard: 'isCurrent', target: 'acting', actions: 'takeTicket' },
            'call.refused': { guard: 'isCurrent', target: 'deciding' },
            'call.answered': { guard: 'isCurrent', target: 'deciding' },
          },
        },
        acting: {
          invoke: {
            id: 'job',
            src: 'toolJob',
            input: ({ context }) => ({
              afterSeq: context.afterSeq,
              killDeadlineMs: context.limits.toolKillDeadlineMs,
              run: {
                sessionId: context.sessionId,
                turnId: context.turnId,
                callId: current(context).call.id,
                name: current(context).call.name,
                args: current(context).plan?.args ?? {},
                workspace: context.workspace ?? '',
                deniedPaths: deniedPaths(context.policy, current(context).call.name),
                deadlineMs: context.limits.toolDeadlineMs,
              },
            }),
            onDone: [
              { guard: 'isEnding', target: '#turn.over' },
              { target: 'deciding', actions: 'reportResult' },
            ],
          },
          initial: 'running',
          states: {
            // A running job is told to die and waited for ([CX4]); every other wait is over the moment its state is left.
            running: {
              on: {
                stop: { target: 'dying', actions: 'stopped' },
                deadline: { target: 'dying', actions: 'overBudget' },
                'call.cancel': { guard: 'isCurrent', target: 'cancelling', actions: 'noteCanceller' },
              },
            },
            // This call alone is to end; the turn goes on with what it left ([CX5]).
            cancelling: {
              entry: 'killJob',
              on: {
                stop: { target: 'dying', actions: 'stopped' },
                deadline: { target: 'dying', actions: 'overBudget' },
              },
            },
            dying: { entry: 'killJob', on: { stop: {}, deadline: {} } },
          },
        },
      },
    },
    over: { type: 'final' },
  },
  output: ({ context }) => context.outcome ?? { kind: 'stopped' },
});

const current = (c: TurnContext): CurrentCall => {
  if (!c.current) throw new Error('no current call');
  return c.current;
};

const failure = (c: TurnContext, code: string, message: string): TurnOutcome => ({
  kind: 'error',
  code,
  message,
  usage: c.usage,
});

const judgeCall = (c: TurnContext): CurrentCall => {
  const call = c.calls[c.next];
  if (!call) throw new Error('no call to judge');
  const requestId = `perm_${c.turnId}_${c.step}_${c.next}`;
  const plan = c.tools.plan(call.name, call.args, c);
  if (typeof plan === 'string') return { call, plan: null, verdict: { action: 'invalid', message: plan }, requestId };
  const path = typeof plan.args.path === 'string' ? rulePath(plan.args.path, c.workspace) : undefined;
  return { call, plan, verdict: judge(c.policy, call.name, plan.toolClass, path), requestId };
};

/** Servers repeat or omit call ids; ours must name one call of one turn. */
const distinct = (calls: RequestedCall[], taken: string[], step: number): RequestedCall[] => {
  const seen = new Set(taken);
  return calls.map((call, i) => {
    const id = call.id === '' || seen.has(call.id) ? `call_${step}_${i}` : call.id;
    seen.add(id);
    return { ...call, id };
  });
};
