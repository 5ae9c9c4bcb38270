import { enqueueActions, setup } from 'xstate';
import type { ErrorCode, ErrorFacts } from '../../protocol/errors.ts';
import type { Fact, LogRecord } from '../../protocol/events.ts';
import { openRequests, type SessionState, toSnapshot } from '../../protocol/session-state.ts';
import { cancelHits, conflicts, queueFull } from '../domain/arbitration.ts';
import { closing, type Ending } from '../domain/closing.ts';
import { callName, cancelFacts, requestIsOpen, toolStart, turnQueued } from '../domain/session-facts.ts';
import { turnStats } from '../domain/turn-stats.ts';
import type { Ask, SessionEvent, TurnOutcome } from '../messages.ts';
import {
  answer,
  commit,
  deny,
  refusal,
  type SessionContext,
  type SessionInput,
  tell,
  turnInput,
} from './session-context.ts';
import { turnMachine } from './turn.ts';

type Internal = { type: 'xstate.done.actor.turn'; output: TurnOutcome } | { type: 'deadline' };
type Command<T extends SessionEvent['type']> = Extract<SessionEvent, { type: T }>;

const stale = (f: SessionState, event: { type: string; turnId?: string }): boolean => f.active?.turnId !== event.turnId;

/**
 * A session: the one owner of its log's numbering. State and log move by the same records, and the same fold serves recovery
 * and clients. It advances at once; the journal holds back what may not leave before it is durable.
 *
 * Invariants: [EV1] `seq` is given here and nowhere else; [TQ1] a turn is invoked only by `running`; [TQ3] the terminal event is
 * recorded on leaving `running`; [CX3] a cancel that was accepted outranks whatever the turn returns.
 */
export const sessionMachine = setup({
  types: {
    input: {} as SessionInput,
    context: {} as SessionContext,
    events: {} as SessionEvent | Internal,
    children: {} as { turn: 'turn' },
  },
  actors: { turn: turnMachine },
  delays: {
    idle: ({ context }) => context.env.limits.passivateAfterMs,
    cancelDeadline: ({ context }) => context.env.limits.cancelDeadlineMs,
  },
  actions: {
    // Bound to the journal and to the asks by the actor system.
    append: (_, _params: { state: SessionState; records: LogRecord[] }) => undefined,
    answer: (_, _params: { ask: Ask; sessionId: string; afterSeq: number; value: unknown }) => undefined,
    refuse: (_, _params: { ask: Ask; code: ErrorCode; message: string; facts?: ErrorFacts }) => undefined,
    passivate: (_, _params: { sessionId: string }) => undefined,
    halted: (_, _params: { sessionId: string }) => undefined,

    recover: enqueueActions(({ context, enqueue }) => {
      const turn = context.f.active;
      if (!turn) return;
      const ending: Ending = turn.cancelling
        ? { how: 'cancelled', message: 'Turn cancelled' }
        : {
            how: 'interrupted',
            message: 'The daemon stopped while this turn ran. What it had written so far is kept.',
          };
      commit(context, enqueue, closing(turn, ending, context.env.now()));
    }),
    admit: enqueueActions(({ context, event, enqueue }) => {
      const { ask, turnId, input } = event as Command<'turn.submit'>;
      const head = input.onBusy === 'interrupt';
      const busy = context.f.active !== null;
      const queued = context.f.queue.length;
      const f = commit(context, enqueue, [turnQueued(turnId, input, head ? 1 : queued + 1, queued + 1)]);
      const value = { turnId, queued: busy ? (head ? 1 : queued + 1) : 0, seq: f.seq };
      answer(enqueue, f, ask, value);
    }),
    refuseConflict: enqueueActions(({ context, event, enqueue }) => {
      const { seq, revision } = context.f;
      refusal(enqueue, event, 'state-conflict', CONFLICT, { seq, revision });
    }),
    refuseFull: enqueueActions(({ context, event, enqueue }) => {
      const queued = context.f.queue.length;
      refusal(enqueue, event, 'queue-full', `The queue holds ${queued} turns; try again later.`, {
        retryAfterMs: 1_000,
      });
    }),
    refuseBusy: enqueueActions(({ context, event, enqueue }) =>
      refusal(enqueue, event, 'session-busy', 'A turn is running.', { activeTurnId: context.f.active?.turnId }),
    ),
    refuseStopping: enqueueActions(({ event, enqueue }) =>
      refusal(enqueue, event, 'shutting-down', 'The daemon is stopping.'),
    ),
    startNext: enqueueActions(({ context, enqueue }) => {
      const turn = context.f.queue[0];
      if (!turn) return;
      const { turnId, writerId, clientId, mode } = turn;
      enqueue.assign({ firstDeltaAtMs: null });
      commit(context, enqueue, [{ event: 'turn.start', payload: { turnId, writerId, clientId, mode } }]);
    }),

    // A cancel hits queued turns at once; one that hits the running turn is answered with its terminal event.
    cancelQueued: enqueueActions(({ context, event, enqueue }) => {
      const { ask, target } = event as Command<'turn.cancel'>;
      const hits = cancelHits(context.f, target);
      const f = commit(context, enqueue, cancelFacts(context.f, target, hits.queued, false));
      const cancelledQueued = hits.queued.length;
      const value = { cancelled: cancelledQueued, cancelledQueued, cancelledActive: false };
      answer(enqueue, f, ask, value);
    }),
    cancelActive: enqueueActions(({ context, event, enqueue }) => {
      const { ask, target } = event as Command<'turn.cancel'>;
      const { queued } = cancelHits(context.f, target);
      const first = context.f.active?.cancelling === false;
      commit(context, enqueue, cancelFacts(context.f, target, queued, first));
      const waiting = { ask, cancelled: queued.length + 1, cancelledQueued: queued.length };
      enqueue.assign({ cancelAsks: [...context.cancelAsks, waiting] });
    }),
    interruptActive: enqueueActions(({ context, enqueue }) => {
      const turnId = context.f.active?.turnId;
      if (turnId !== undefined) commit(context, enqueue, cancelFacts(context.f, { turnId }, [], true));
    }),
    stopTurn: enqueueActions(({ enqueue }) => tell(enqueue, { type: 'stop' })),

    endTurn: enqueueActions(({ context, event, enqueue }) => {
      const turn = context.f.active;
      if (!turn) return;
      const outcome: TurnOutcome = event.type === 'xstate.done.actor.turn' ? event.output : { kind: 'stopped' };
      const nowMs = context.env.now();
      const usage = outcome.kind === 'stopped' ? null : outcome.usage;
      const stats = turnStats(turn, context.f.messages, usage, context.firstDeltaAtMs, nowMs);
      const { turnId, writerId, clientId, model } = turn;
      const facts: Fact[] = turn.cancelling
        ? closing(turn, { how: 'cancelled', message: 'Turn cancelled' }, nowMs, stats)
        : outcome.kind === 'done'
          ? [
              {
                event: 'turn.done',
                payload: {
                  turnId,
                  writerId,
                  clientId,
                  stats,
                  outcome: 'done',
                  ...(model === undefined ? {} : { model }),
                },
              },
            ]
          : outcome.kind === 'error'
            ? closing(turn, { how: 'error', code: outcome.code, message: outcome.message }, nowMs, stats)
            : closing(turn, { how: 'interrupted', message: STOPPED }, nowMs, stats);
      let f = commit(context, enqueue, facts);
      if (outcome.kind === 'done' && !turn.cancelling) {
        f = commit({ ...context, f }, enqueue, [{ event: 'session.updated', payload: { snapshot: toSnapshot(f) } }]);
      }
      for (const { ask, cancelled, cancelledQueued } of context.cancelAsks) {
        const value = { cancelled, cancelledQueued, cancelledActive: true };
        answer(enqueue, f, ask, value);
      }
      enqueue.assign({ cancelAsks: [] });
    }),

    // --- reports of the running turn -------------------------------------------------------------------------------
    goStep: enqueueActions(({ context, enqueue }) => tell(enqueue, { type: 'step.go', messages: context.f.messages })),
    recordAccepted: enqueueActions(({ context, event, enqueue }) => {
      const { turnId, step, model, provider } = event as Command<'step.accepted'>;
      const payload = { turnId, phase: 'model.request', message: null, provider, step, model } as const;
      commit(context, enqueue, [{ event: 'turn.progress', payload }]);
    }),
    recordDelta: enqueueActions(({ context, event, enqueue }) => {
      const { turnId, step, kind, texts } = event as Command<'delta'>;
      const name = kind === 'text' ? 'turn.token' : 'turn.thinking';
      if (context.firstDeltaAtMs === null) enqueue.assign({ firstDeltaAtMs: context.env.now() });
      commit(
        context,
        enqueue,
        texts.map((text): Fact => ({ event: name, payload: { turnId, text, step } })),
      );
    }),
    recordCalls: enqueueActions(({ context, event, enqueue }) => {
      const { turnId, step, calls, usage } = event as Command<'step.calls'>;
      const payload = { turnId, phase: 'model.response', message: null, provider: null, step, calls } as const;
      commit(context, enqueue, [{ event: 'turn.progress', payload: { ...payload, ...(usage ? { usage } : {}) } }]);
    }),
    recordAllow: enqueueActions(({ context, event, enqueue }) => {
      const { callId, by } = event as Command<'call.allow'>;
      const f = commit(context, enqueue, [toolStart(context.f, callId, by)]);
      tell(enqueue, { type: 'call.granted', callId, afterSeq: f.seq });
    }),
    recordAsk: enqueueActions(({ context, event, enqueue }) => {
      const { turnId, callId, requestId, args, summary } = event as Command<'call.ask'>;
      const toolName = callName(context.f, callId);
      const expiresAt = new Date(context.env.now() + context.env.permissionDeadlineMs).toISOString();
      commit(context, enqueue, [
        { event: 'permission.request', payload: { turnId, requestId, callId, toolName, args, summary, expiresAt } },
      ]);
    }),
    recordUnattended: enqueueActions(({ context, event, enqueue }) => {
      const { callId, requestId } = event as Command<'call.ask'>;
      deny(context, enqueue, { callId, requestId, reason: 'unattended', by: 'daemon', message: UNATTENDED });
    }),
    recordRefusal: enqueueActions(({ context, event, enqueue }) => {
      const { callId, reason, by, message } = event as Command<'call.refuse'>;
      deny(context, enqueue, { callId, requestId: callId, reason, by, message });
    }),
    recordExpiry: enqueueActions(({ context, event, enqueue }) => {
      const { callId, requestId } = event as Command<'call.expire'>;
      deny(context, enqueue, { callId, requestId, reason: 'timeout', by: 'daemon', message: EXPIRED });
    }),
    recordResult: enqueueActions(({ context, event, enqueue }) => {
      const { turnId, callId, result, elapsedMs } = event as Command<'call.result'>;
      const payload = { turnId, id: callId, name: callName(context.f, callId), ...result, elapsedMs };
      commit(context, enqueue, [{ event: 'tool.end', payload }]);
    }),

    // --- decisions by people ---------------------------------------------------------------------------------------
    decide: enqueueActions(({ context, event, enqueue }) => {
      const { ask, decision: d } = event as Command<'permission.resolve'>;
      const open = openRequests(context.f).find((o) => o.asked.requestId === d.requestId);
      const turnId = context.f.active?.turnId;
      if (!open || turnId === undefined) return;
      const by = `person:${d.decidedBy}`;
      let f: SessionState;
      if (d.decision === 'allow') {
        const resolved = { turnId, requestId: d.requestId, callId: open.call.id, toolName: open.call.name } as const;
        f = commit(context, enqueue, [
          {
            event: 'permission.resolved',
            payload: { ...resolved, decision: 'allow', reason: 'person', decidedBy: by },
          },
          toolStart(context.f, open.call.id, by),
        ]);
        tell(enqueue, { type: 'call.granted', callId: open.call.id, afterSeq: f.seq });
      } else {
        f = deny(context, enqueue, {
          callId: open.call.id,
          requestId: d.requestId,
          reason: 'person',
          by,
          message: DECLINED,
        });
      }
      const value = { ok: true, conflict: false, decision: d.decision };
      answer(enqueue, f, ask, value);
    }),
    decideLate: enqueueActions(({ context, event, enqueue }) => {
      const { ask, decision: d } = event as Command<'permission.resolve'>;
      const won = context.f.decisions.findLast((taken) => taken.requestId === d.requestId);
      if (!won) return;
      const message = 'Permission request already resolved';
      const value = { ok: false, conflict: true, message, decision: won.decision, decidedBy: won.decidedBy };
      answer(enqueue, context.f, ask, value);
    }),
    /** The turn was cancelled first: its open request is as good as denied, and the log will say so. */
    decideCancelled: enqueueActions(({ context, event, enqueue }) => {
      const { ask } = event as Command<'permission.resolve'>;
      const message = 'The turn was cancelled before this decision';
      answer(enqueue, context.f, ask, { ok: false, conflict: true, message, decision: 'deny', decidedBy: 'daemon' });
    }),
    refuseUnknownRequest: enqueueActions(({ event, enqueue }) =>
      refusal(enqueue, event, 'permission-not-found', 'Unknown permission request'),
    ),
  },
  guards: {
    hasQueued: ({ context }) => context.f.queue.length > 0,
    isConflict: ({ context, event }) => event.type === 'turn.submit' && conflicts(context.f, event.input),
    isFull: ({ context, event }) =>
      event.type === 'turn.submit' && queueFull(context.f, context.env.limits.queueTurnsMax),
    rejects: ({ event }) => event.type === 'turn.submit' && event.input.onBusy === 'reject',
    interrupts: ({ event }) => event.type === 'turn.submit' && event.input.onBusy === 'interrupt',
    hitsActive: ({ context, event }) => event.type === 'turn.cancel' && cancelHits(context.f, event.target).active,
    isCurrent: ({ context, event }) => !stale(context.f, event),
    isUnattended: ({ context, event }) => !stale(context.f, event) && !context.env.attended(context.f.sessionId),
    isOpenRequest: ({ context, event }) =>
      event.type === 'permission.resolve' && requestIsOpen(context.f, event.decision.requestId),
    isExpirable: ({ context, event }) => event.type === 'call.expire' && requestIsOpen(context.f, event.requestId),
    isDecided: ({ context, event }) =>
      event.type === 'permission.resolve' &&
      context.f.decisions.some((taken) => taken.requestId === event.decision.requestId),
  },
}).createMachine({
  id: 'session',
  context: ({ input }) => ({ f: input.state, env: input.env, cancelAsks: [], firstDeltaAtMs: null, stopping: false }),
  initial: 'recovering',
  on: {
    'permission.resolve': [
      { guard: 'isDecided', actions: 'decideLate' },
      { guard: 'isOpenRequest', actions: 'decideCancelled' },
      { actions: 'refuseUnknownRequest' },
    ],
    'turn.cancel': { actions: 'cancelQueued' },
  },
  states: {
    recovering: {
      entry: 'recover',
      always: [{ guard: 'hasQueued', target: 'running' }, { target: 'idle' }],
    },
    idle: {
      after: {
        idle: {
          target: 'idle',
          reenter: true,
          actions: { type: 'passivate', params: ({ context }) => ({ sessionId: context.f.sessionId }) },
        },
      },
      on: {
        'turn.submit': [
          { guard: 'isConflict', actions: 'refuseConflict' },
          { target: 'running', actions: 'admit' },
        ],
        'session.stop': 'stopped',
      },
    },
    running: {
      entry: 'startNext',
      exit: 'endTurn',
      invoke: {
        id: 'turn',
        src: 'turn',
        input: ({ context, self }) => turnInput(context, self),
        onDone: [{ guard: 'hasQueued', target: 'running', reenter: true }, { target: 'idle' }],
      },
      initial: 'active',
      states: {
        active: {
          on: {
            'turn.submit': [
              { guard: 'isConflict', actions: 'refuseConflict' },
              { guard: 'isFull', actions: 'refuseFull' },
              { guard: 'rejects', actions: 'refuseBusy' },
              { guard: 'interrupts', target: 'cancelling', actions: ['admit', 'interruptActive'] },
              { actions: 'admit' },
            ],
            'turn.cancel': [
              { guard: 'hitsActive', target: 'cancelling', actions: 'cancelActive' },
              { actions: 'cancelQueued' },
            ],
            'permission.resolve': [
              { guard: 'isOpenRequest', actions: 'decide' },
              { guard: 'isDecided', actions: 'decideLate' },
              { actions: 'refuseUnknownRequest' },
            ],
            'session.stop': 'stopping',
            'step.ready': { guard: 'isCurrent', actions: 'goStep' },
            'step.accepted': { guard: 'isCurrent', actions: 'recordAccepted' },
            delta: { guard: 'isCurrent', actions: 'recordDelta' },
            'step.calls': { guard: 'isCurrent', actions: 'recordCalls' },
            'call.allow': { guard: 'isCurrent', actions: 'recordAllow' },
            'call.ask': [
              { guard: 'isUnattended', actions: 'recordUnattended' },
              { guard: 'isCurrent', actions: 'recordAsk' },
            ],
            'call.refuse': { guard: 'isCurrent', actions: 'recordRefusal' },
            'call.expire': { guard: 'isExpirable', actions: 'recordExpiry' },
            'call.result': { guard: 'isCurrent', actions: 'recordResult' },
          },
        },
        // The cancel has won ([CX3]): what the turn still reports is dropped, only its end is waited for ([CX2], [CX4]).
        cancelling: {
          entry: 'stopTurn',
          after: {
            cancelDeadline: [
              { guard: 'hasQueued', target: '#session.running', reenter: true },
              { target: '#session.idle' },
            ],
          },
          on: {
            'turn.submit': [
              { guard: 'isConflict', actions: 'refuseConflict' },
              { guard: 'isFull', actions: 'refuseFull' },
              { guard: 'rejects', actions: 'refuseBusy' },
              { actions: 'admit' },
            ],
            'turn.cancel': [{ guard: 'hitsActive', actions: 'cancelActive' }, { actions: 'cancelQueued' }],
            'session.stop': 'stopping',
          },
        },
        stopping: {
          entry: 'stopTurn',
          after: { cancelDeadline: '#session.stopped' },
          on: {
            'turn.submit': { actions: 'refuseStopping' },
            'turn.cancel': [{ guard: 'hitsActive', actions: 'cancelActive' }, { actions: 'cancelQueued' }],
            'xstate.done.actor.turn': '#session.stopped',
          },
        },
      },
    },
    stopped: {
      entry: { type: 'halted', params: ({ context }) => ({ sessionId: context.f.sessionId }) },
      on: { 'turn.submit': { actions: 'refuseStopping' } },
    },
  },
});

const CONFLICT = 'Session state conflict: context has been modified since last seen';
const STOPPED = 'The daemon stopped while this turn ran. What it had written so far is kept.';
const DECLINED = 'User declined this action.';
const EXPIRED = 'Nobody allowed this call in time, so it was not run.';
const UNATTENDED = 'This call needs permission and nobody is attached who could give it, so it was not run.';
