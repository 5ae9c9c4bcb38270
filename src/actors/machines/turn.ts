import {
  and,
  assign,
  type CallbackActorLogic,
  enqueueActions,
  fromCallback,
  not,
  raise,
  sendParent,
  sendTo,
  setup,
} from 'xstate';
import { repeats } from '../domain/stagnation.ts';
import type { TurnEvent, TurnOutcome, TurnReport } from '../messages.ts';
import { permissionMachine } from './permission.ts';
import { streamMachine } from './stream.ts';
import { toolJobMachine } from './tool-job.ts';
import {
  add,
  current,
  type Done,
  distinct,
  doneOutcome,
  type FlyingCall,
  failedOutcome,
  isAnswered,
  jobInput,
  judgeCall,
  marked,
  NO_BRIEF,
  newTurn,
  SUMMARY_CHARS_MAX,
  shares,
  spent,
  type TurnContext,
  type TurnInput,
  UNBRIEFED,
  usageOf,
} from './turn-context.ts';
import { allowReport, askReport, expiryReport, refusalReport, resultReport } from './turn-reports.ts';
import {
  compactedReport,
  fitted,
  isTooLong,
  measured,
  requestOf,
  sentChars,
  summaryInput,
  tighter,
} from './turn-window.ts';

/** What is gathered for it when it begins. */
export type BriefInput = Pick<TurnInput, 'sessionId' | 'mode' | 'model' | 'workspace'>;

export type { TurnInput } from './turn-context.ts';

const report = (fact: TurnReport): TurnReport => fact;

/** The jobs of calls that run beside others are children of this name and the call's. */
const FLYING = 'flying:';

/**
 * One turn: model call, then its tool calls, which end as if run in call order ([TL2]), and again until the model answers without
 * calls. Calls are judged one after another; those that only read run beside each other (`flight`), every other one alone
 * (`acting`). It decides and reports; the session records. Nothing here survives a crash: recovery closes the turn from the log.
 */
const briefing: CallbackActorLogic<{ type: 'none' }, BriefInput> = fromCallback(({ sendBack }) =>
  sendBack({ type: 'briefed', brief: NO_BRIEF } satisfies TurnEvent),
);

export const turnMachine = setup({
  types: {
    input: {} as TurnInput,
    context: {} as TurnContext,
    events: {} as TurnEvent | Done,
    output: {} as TurnOutcome,
    children: {} as {
      brief: 'brief';
      stream: 'stream';
      summary: 'stream';
      job: 'toolJob';
      permission: 'permission';
      [flying: `flying:${string}`]: 'toolJob';
    },
  },
  actors: { brief: briefing, stream: streamMachine, toolJob: toolJobMachine, permission: permissionMachine },
  delays: {
    openDeadline: ({ context }) => context.limits.turnOpenMs,
    turnDeadline: ({ context }) => context.limits.turnDurationMs,
  },
  guards: {
    answeredWithCalls: ({ event }) =>
      event.type === 'xstate.done.actor.stream' && event.output.kind === 'answered' && event.output.calls.length > 0,
    tooManyCalls: ({ context, event }) =>
      event.type === 'xstate.done.actor.stream' &&
      event.output.kind === 'answered' &&
      (event.output.calls.length > context.limits.stepCallsMax ||
        context.callsTotal + event.output.calls.length > context.limits.turnCallsMax),
    answered: ({ event }) => event.type === 'xstate.done.actor.stream' && event.output.kind === 'answered',
    mayFitAgain: ({ context, event }) => isTooLong(event) && context.refits < context.limits.turnRefitsMax,
    mustCompact: ({ context }) => context.fit?.kind === 'compact',
    isExhausted: ({ context }) => context.fit?.kind === 'exhausted',
    tokensSpent: ({ context: { usage, limits } }) =>
      usage !== null && usage.promptTokens + usage.completionTokens >= limits.turnTokensMax,
    stepsSpent: ({ context }) => context.step >= context.limits.turnStepsMax,
    goesInCircles: ({ context }) => repeats(marked(context)) >= context.limits.turnRepeatsMax,
    callsDone: ({ context }) => context.next >= context.calls.length,
    isFlying: ({ context }) => context.flight.length > 0,
    isFlight: ({ event }) => 'actorId' in event && event.actorId.startsWith(FLYING),
    isAloft: ({ context, event }) => 'callId' in event && context.flight.some(({ call }) => call.id === event.callId),
    /** Its turn has come, but not while these others run. */
    mustLand: ({ context: { current: call, flight, limits } }) =>
      call !== null && flight.length > 0 && (!shares(call) || flight.length >= limits.turnParallelMax),
    callShares: ({ context }) => context.current !== null && shares(context.current),
    nextIsRefused: ({ context }) => context.refused.includes(context.calls[context.next]?.id ?? ''),
    isEnding: ({ context }) => context.outcome !== null,
    callInvalid: ({ context }) => context.current?.verdict.action === 'invalid',
    callDenied: ({ context }) => context.current?.verdict.action === 'deny',
    callAsks: ({ context }) => context.current?.verdict.action === 'ask',
    isCurrent: ({ context, event }) => 'callId' in event && event.callId === context.current?.call.id,
  },
  actions: {
    nextStep: assign({
      step: ({ context }) => context.step + 1,
      marks: ({ context }) => marked(context),
      calls: [],
      next: 0,
      current: null,
      results: {},
    }),
    reportReady: sendParent(({ context }) =>
      report({ type: 'step.ready', turnId: context.turnId, step: context.step }),
    ),
    takeBrief: assign({ brief: ({ context, event }) => (event.type === 'briefed' ? event.brief : context.brief) }),
    noBrief: assign({ brief: { ...NO_BRIEF, notes: [UNBRIEFED] } }),
    takeGiven: assign({ given: ({ context, event }) => (event.type === 'step.go' ? event : context.given) }),
    fitIn: assign({ fit: ({ context }) => fitted(context), summary: '' }),
    noteSent: assign({ sentChars: ({ context }) => sentChars(context) }),
    gather: assign({
      summary: ({ context, event }) =>
        event.type === 'delta' && event.kind === 'text'
          ? (context.summary + event.texts.join('')).slice(0, SUMMARY_CHARS_MAX)
          : context.summary,
    }),
    compact: enqueueActions(({ context, event, enqueue }) => {
      const fact = compactedReport(context, event.type === 'xstate.done.actor.summary' && isAnswered(event));
      enqueue.sendTo(context.session, fact);
      const { upTo, summary } = fact;
      const { step, compactions, given } = context;
      enqueue.assign({ given: { ...given, compaction: { upTo, summary } }, compactedStep: step });
      enqueue.assign({ compactions: compactions + 1 });
    }),
    takeUsage: assign({
      usage: ({ context, event }) => add(context.usage, usageOf(event)),
      tokensPerChar: ({ context, event }) =>
        event.type === 'xstate.done.actor.stream' ? measured(context, usageOf(event)) : context.tokensPerChar,
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
    reportAllow: sendParent(({ context }) => allowReport(context)),
    reportAsk: sendParent(({ context }) => askReport(context)),
    reportRefusal: enqueueActions(({ context, enqueue }) => {
      const fact = refusalReport(context);
      enqueue.sendTo(context.session, fact);
      enqueue.assign({ results: { ...context.results, [fact.callId]: fact.message } });
    }),
    reportExpiry: sendParent(({ context }) => expiryReport(context)),
    takeTicket: assign({
      afterSeq: ({ event, context }) => (event.type === 'call.granted' ? event.afterSeq : context.afterSeq),
      toolStartedAtMs: ({ context }) => context.now(),
    }),
    reportResult: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'xstate.done.actor.job') return;
      const { toolStartedAtMs: startedAtMs, cancelledBy } = context;
      const fact = resultReport(context, { call: current(context).call, startedAtMs, cancelledBy }, event.output);
      enqueue.sendTo(context.session, fact);
      enqueue.assign({ results: { ...context.results, [fact.callId]: fact.result.result } });
    }),
    launch: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'call.granted') return;
      const flying: FlyingCall = { call: current(context).call, startedAtMs: context.now(), cancelledBy: null };
      enqueue.spawnChild('toolJob', { id: `${FLYING}${flying.call.id}`, input: jobInput(context, event.afterSeq) });
      enqueue.assign({ flight: [...context.flight, flying] });
    }),
    land: enqueueActions(({ context, event, enqueue }) => {
      if (!('actorId' in event)) return;
      const callId = event.actorId.slice(FLYING.length);
      const flying = context.flight.find(({ call }) => call.id === callId);
      if (!flying) return;
      enqueue.stopChild(event.actorId);
      enqueue.assign({ flight: context.flight.filter((one) => one !== flying) });
      if (context.outcome !== null) return;
      const fact = resultReport(context, flying, event.output);
      enqueue.sendTo(context.session, fact);
      enqueue.assign({ results: { ...context.results, [callId]: fact.result.result } });
    }),
    killFlying: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'call.cancel') return;
      const { callId, by } = event;
      const flight = context.flight.map((one) => (one.call.id === callId ? { ...one, cancelledBy: by } : one));
      enqueue.assign({ flight });
      enqueue.sendTo(`${FLYING}${callId}`, { type: 'kill' });
    }),
    killFlight: enqueueActions(({ context, enqueue }) => {
      for (const { call } of context.flight) enqueue.sendTo(`${FLYING}${call.id}`, { type: 'kill' });
    }),
    done: assign({ outcome: ({ context, event }) => doneOutcome(context, event) }),
    failed: assign({ outcome: ({ context, event }) => failedOutcome(context, event) }),
    fitTighter: assign(({ context }) => tighter(context)),
    overCalls: assign({ outcome: ({ context }) => spent(context, 'calls') }),
    overSteps: assign({ outcome: ({ context }) => spent(context, 'steps') }),
    overTokens: assign({ outcome: ({ context }) => spent(context, 'tokens') }),
    overTime: assign({ outcome: ({ context }) => spent(context, 'time') }),
    overContext: assign({ outcome: ({ context }) => spent(context, 'context') }),
    inCircles: assign({ outcome: ({ context }) => spent(context, 'stagnation') }),
    stopped: assign({ outcome: { kind: 'stopped' } }),
    killJob: sendTo('job', { type: 'kill' }),
  },
}).createMachine({
  id: 'turn',
  context: ({ input }) => newTurn(input),
  initial: 'working',
  states: {
    working: {
      initial: 'opening',
      after: { turnDeadline: { actions: raise({ type: 'deadline' }) } },
      on: {
        stop: [
          { guard: 'isFlying', target: '.ending', actions: 'stopped' },
          { target: 'over', actions: 'stopped' },
        ],
        deadline: [
          { guard: 'isFlying', target: '.ending', actions: 'overTime' },
          { target: 'over', actions: 'overTime' },
        ],
        'call.refused': { actions: 'noteRefused' },
        // XState names the end of a child after it.
        'xstate.done.actor.*': { guard: 'isFlight', actions: 'land' },
        'call.cancel': { guard: 'isAloft', actions: 'killFlying' },
      },
      states: {
        // What the workspace brings is made ready; what is not by then is left out, and the model is told.
        opening: {
          invoke: { id: 'brief', src: 'brief', input: ({ context }) => context },
          after: { openDeadline: { target: 'preparing', actions: 'noBrief' } },
          on: { briefed: { target: 'preparing', actions: 'takeBrief' } },
        },
        preparing: {
          entry: ['nextStep', 'reportReady'],
          on: { 'step.go': { target: 'fitting', actions: 'takeGiven' } },
        },
        fitting: {
          entry: 'fitIn',
          always: [
            { guard: 'isExhausted', target: '#turn.over', actions: 'overContext' },
            { guard: 'mustCompact', target: 'compacting' },
            { target: 'generating', actions: 'noteSent' },
          ],
        },
        // At most once a step: the next look at the same step sends it or ends the turn ([TB3]).
        compacting: {
          invoke: {
            id: 'summary',
            src: 'stream',
            input: ({ context, self }) => summaryInput(context, self),
            onDone: { target: 'fitting', actions: ['takeUsage', 'compact'] },
          },
          on: { delta: { actions: 'gather' } },
        },
        generating: {
          invoke: {
            id: 'stream',
            src: 'stream',
            input: ({ context }) => {
              const { session, limits } = context;
              return { session, limits, request: requestOf(context) };
            },
            onDone: [
              { guard: 'tooManyCalls', target: '#turn.over', actions: ['takeUsage', 'overCalls'] },
              { guard: 'answeredWithCalls', target: 'deciding', actions: ['takeUsage', 'takeCalls'] },
              { guard: 'answered', target: '#turn.over', actions: ['takeUsage', 'done'] },
              // The server knows better how long it is: what is sent is shortened further ([TB3]).
              { guard: 'mayFitAgain', target: 'fitting', actions: 'fitTighter' },
              { target: '#turn.over', actions: 'failed' },
            ],
          },
        },
        deciding: {
          always: [
            { guard: and(['callsDone', 'isFlying']), target: 'finishing' },
            { guard: and(['callsDone', 'goesInCircles']), target: '#turn.over', actions: 'inCircles' },
            { guard: and(['callsDone', 'stepsSpent']), target: '#turn.over', actions: 'overSteps' },
            { guard: and(['callsDone', 'tokensSpent']), target: '#turn.over', actions: 'overTokens' },
            { guard: 'callsDone', target: 'preparing' },
            { guard: 'nextIsRefused', target: 'deciding', reenter: true, actions: 'passNext' },
            { target: 'judged', actions: 'judgeNext' },
          ],
        },
        judged: {
          always: [
            { guard: 'callInvalid', target: 'deciding', actions: 'reportRefusal' },
            { guard: 'callDenied', target: 'deciding', actions: 'reportRefusal' },
            { guard: 'mustLand', target: 'landing' },
            { guard: 'callAsks', target: 'asking' },
            { target: 'granting' },
          ],
        },
        // The next call waits until it may run beside, or after, those that run.
        landing: { always: { guard: not('mustLand'), target: 'judged' } },
        // All calls of the step are decided; some still run.
        finishing: { always: { guard: not('isFlying'), target: 'deciding' } },
        // Nothing more is begun; what runs is ended and waited for ([CX4]).
        ending: {
          entry: 'killFlight',
          always: { guard: not('isFlying'), target: '#turn.over' },
          on: { stop: {}, deadline: {} },
        },
        granting: {
          entry: 'reportAllow',
          on: {
            'call.granted': [
              { guard: and(['isCurrent', 'callShares']), target: 'deciding', actions: 'launch' },
              { guard: 'isCurrent', target: 'acting', actions: 'takeTicket' },
            ],
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
            input: ({ context }) => jobInput(context, context.afterSeq),
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
                deadline: { target: 'dying', actions: 'overTime' },
                'call.cancel': { guard: 'isCurrent', target: 'cancelling', actions: 'noteCanceller' },
              },
            },
            // This call alone is to end; the turn goes on with what it left ([CX5]).
            cancelling: {
              entry: 'killJob',
              on: {
                stop: { target: 'dying', actions: 'stopped' },
                deadline: { target: 'dying', actions: 'overTime' },
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
