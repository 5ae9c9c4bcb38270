import { assign, enqueueActions, setup } from 'xstate';
import type { ErrorCode, ErrorFacts } from '../../protocol/errors.ts';
import type { LogRecord } from '../../protocol/events.ts';
import type { SessionState } from '../../protocol/session-state.ts';
import type { Ask, SessionEvent } from '../messages.ts';
import type { LeftProcess } from '../ports.ts';
import { backgroundMachine } from './background-job.ts';
import * as background from './session-background.ts';
import * as calls from './session-calls.ts';
import * as commands from './session-commands.ts';
import { type SessionContext, type SessionInput, turnInput } from './session-context.ts';
import { type Internal, SESSION_GUARDS } from './session-guards.ts';
import * as records from './session-records.ts';
import * as undo from './session-undo.ts';
import { turnMachine } from './turn.ts';

/** A submit is looked at in this order everywhere: a key that is known, then what the conversation says, then the room there is. */
const KNOWN_KEY = [
  { guard: 'isReplay', actions: 'answerReplay' },
  { guard: 'isMismatch', actions: 'refuseMismatch' },
  { guard: 'isKeysFull', actions: 'refuseKeysFull' },
  { guard: 'isConflict', actions: 'refuseConflict' },
] as const;
const BUSY = [
  ...KNOWN_KEY,
  { guard: 'isFull', actions: 'refuseFull' },
  { guard: 'rejects', actions: 'refuseBusy' },
] as const;
/** While the turn ends already, its calls end with it. */
const CANCEL_AGAIN = [
  { guard: 'namesCall', actions: 'cancelNoCall' },
  { guard: 'hitsActive', actions: 'cancelActive' },
  { actions: 'cancelQueued' },
] as const;
/** Where a session goes when nothing of it runs. */
const NEXT = [
  { guard: 'hasQueued', target: 'running', reenter: true },
  { guard: 'isDeleted', target: 'deleted' },
  { target: 'idle' },
] as const;
/** What else changes the session is refused while the daemon stops: it would come after the last flush. */
const STOPPING = {
  'turn.submit': { actions: 'refuseStopping' },
  'queue.edit': { actions: 'refuseStopping' },
  'queue.withdraw': { actions: 'refuseStopping' },
  'session.patch': { actions: 'refuseStopping' },
  'session.delete': { actions: 'refuseStopping' },
  'session.undelete': { actions: 'refuseStopping' },
  'session.undo': { actions: 'refuseStopping' },
  'session.committed': { actions: 'refuseStopping' },
  'background.start': { actions: 'refuseStopping' },
} as const;

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
  actors: { turn: turnMachine, backgroundJob: backgroundMachine, restore: undo.restoring },
  delays: {
    idle: ({ context }) => context.env.limits.passivateAfterMs,
    cancelDeadline: ({ context }) => context.env.limits.cancelDeadlineMs,
    restoreDeadline: ({ context }) => context.env.limits.toolDeadlineMs + context.env.limits.toolKillDeadlineMs,
  },
  actions: {
    // Bound to the journal and to the asks by the actor system.
    append: (_, _params: { state: SessionState; records: LogRecord[] }) => undefined,
    answer: (_, _params: { ask: Ask; sessionId: string; afterSeq: number; value: unknown }) => undefined,
    refuse: (_, _params: { ask: Ask; code: ErrorCode; message: string; facts?: ErrorFacts }) => undefined,
    passivate: (_, _params: { sessionId: string }) => undefined,
    halted: (_, _params: { sessionId: string }) => undefined,
    reap: (_, _params: LeftProcess) => undefined,

    noteDrain: assign({ draining: true }),
    recover: enqueueActions(commands.recover),
    admit: enqueueActions(commands.admit),
    answerReplay: enqueueActions(commands.answerReplay),
    refuseMismatch: enqueueActions(commands.refuseMismatch),
    refuseKeysFull: enqueueActions(commands.refuseKeysFull),
    refuseConflict: enqueueActions(commands.refuseConflict),
    refuseFull: enqueueActions(commands.refuseFull),
    refuseBusy: enqueueActions(commands.refuseBusy),
    refuseStopping: enqueueActions(commands.refuseStopping),
    refuseDeleted: enqueueActions(commands.refuseDeleted),
    startNext: enqueueActions(commands.startNext),
    takeSteering: enqueueActions(commands.takeSteering),
    cancelQueued: enqueueActions(commands.cancelQueued),
    cancelActive: enqueueActions(commands.cancelActive),
    cancelRunningCall: enqueueActions(calls.cancelRunningCall),
    cancelOpenCall: enqueueActions(calls.cancelOpenCall),
    cancelNoCall: enqueueActions(calls.cancelNoCall),
    interruptActive: enqueueActions(commands.interruptActive),
    rollActiveBack: enqueueActions(commands.rollActiveBack),
    refuseUndo: enqueueActions(undo.refuseUndo),
    beginUndo: enqueueActions(undo.beginUndo),
    beginRollback: enqueueActions(undo.beginRollback),
    recordRestored: enqueueActions(undo.recordRestored),
    giveUpRestore: enqueueActions(undo.giveUpRestore),
    recordCommitted: enqueueActions(undo.recordCommitted),
    stopTurn: enqueueActions(commands.stopTurn),
    refuseQueue: enqueueActions(commands.refuseQueue),
    refuseMove: enqueueActions(commands.refuseMove),
    editQueued: enqueueActions(commands.editQueued),
    withdraw: enqueueActions(commands.withdraw),
    patchSession: enqueueActions(commands.patchSession),
    refuseMetadata: enqueueActions(commands.refuseMetadata),
    deleteSession: enqueueActions(commands.deleteSession),
    answerDeleted: enqueueActions(commands.answerDeleted),
    restoreSession: enqueueActions(commands.restoreSession),
    answerAlive: enqueueActions(commands.answerAlive),
    startProcess: enqueueActions(background.startProcess),
    refuseProcesses: enqueueActions(background.refuseProcesses),
    recordStarted: enqueueActions(background.recordStarted),
    refuseStart: enqueueActions(background.refuseStart),
    recordOutput: enqueueActions(background.recordOutput),
    recordEnded: enqueueActions(background.recordEnded),
    killProcess: enqueueActions(background.killProcess),
    answerEnded: enqueueActions(background.answerEnded),
    endProcesses: enqueueActions(background.endProcesses),
    interruptProcesses: enqueueActions(background.interruptProcesses),
    recordLeft: enqueueActions(background.recordLeft),
    recoverProcesses: enqueueActions(background.recoverProcesses),
    endTurn: enqueueActions(records.endTurn),
    goStep: enqueueActions(records.goStep),
    recordAccepted: enqueueActions(records.recordAccepted),
    recordCompacted: enqueueActions(records.recordCompacted),
    recordDelta: enqueueActions(records.recordDelta),
    recordCalls: enqueueActions(records.recordCalls),
    recordAllow: enqueueActions(records.recordAllow),
    recordAsk: enqueueActions(records.recordAsk),
    recordRemembered: enqueueActions(records.recordRemembered),
    recordUnattended: enqueueActions(records.recordUnattended),
    recordRefusal: enqueueActions(records.recordRefusal),
    recordExpiry: enqueueActions(records.recordExpiry),
    recordResult: enqueueActions(records.recordResult),
    refuseMisfit: enqueueActions(records.refuseMisfit),
    decide: enqueueActions(records.decide),
    decideLate: enqueueActions(records.decideLate),
    decideCancelled: enqueueActions(records.decideCancelled),
    refuseUnknownRequest: enqueueActions(records.refuseUnknownRequest),
  },
  guards: SESSION_GUARDS,
}).createMachine({
  id: 'session',
  context: ({ input }) => ({
    f: input.state,
    env: input.env,
    endAsks: [],
    jobs: [],
    firstDeltaAtMs: null,
    undoing: null,
    draining: false,
  }),
  initial: 'recovering',
  on: {
    'permission.resolve': [
      { guard: 'isMisfit', actions: 'refuseMisfit' },
      { guard: 'isDecided', actions: 'decideLate' },
      { guard: 'isOpenRequest', actions: 'decideCancelled' },
      { actions: 'refuseUnknownRequest' },
    ],
    'turn.cancel': [{ guard: 'namesCall', actions: 'cancelNoCall' }, { actions: 'cancelQueued' }],
    'queue.edit': [
      { guard: 'isNotYours', actions: 'refuseQueue' },
      { guard: 'isBadMove', actions: 'refuseMove' },
      { actions: 'editQueued' },
    ],
    'queue.withdraw': [{ guard: 'isNotYours', actions: 'refuseQueue' }, { actions: 'withdraw' }],
    'session.patch': [
      { guard: 'isDeleted', actions: 'refuseDeleted' },
      { guard: 'isMetadataLarge', actions: 'refuseMetadata' },
      { actions: 'patchSession' },
    ],
    'session.undelete': [{ guard: 'isDeleted', actions: 'restoreSession' }, { actions: 'answerAlive' }],
    'session.undo': { actions: 'refuseBusy' },
    'session.committed': { actions: 'recordCommitted' },
    'background.start': [
      { guard: 'isDeleted', actions: 'refuseDeleted' },
      { guard: 'processesFull', actions: 'refuseProcesses' },
      { actions: 'startProcess' },
    ],
    'background.kill': [{ guard: 'isProcessRunning', actions: 'killProcess' }, { actions: 'answerEnded' }],
    'background.spawned': { actions: 'recordStarted' },
    'background.failed': { actions: 'refuseStart' },
    'background.wrote': { actions: 'recordOutput' },
    'background.ended': { actions: 'recordEnded' },
    'background.left': { actions: 'recordLeft' },
  },
  states: {
    recovering: {
      entry: ['recover', 'recoverProcesses'],
      always: [{ guard: 'hasRollback', target: 'undoing' }, ...NEXT],
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
        'turn.submit': [...KNOWN_KEY, { target: 'running', actions: 'admit' }],
        'session.undo': [
          { guard: 'cannotUndo', actions: 'refuseUndo' },
          { target: 'undoing', actions: 'beginUndo' },
        ],
        'session.delete': { target: 'deleted', actions: ['deleteSession', 'endProcesses'] },
        'session.drain': 'closing',
        'session.stop': 'closing',
      },
    },
    running: {
      entry: 'startNext',
      exit: 'endTurn',
      invoke: {
        id: 'turn',
        src: 'turn',
        input: ({ context, self }) => turnInput(context, self),
        onDone: [{ guard: 'isDraining', target: 'closing' }, { guard: 'hasRollback', target: 'undoing' }, ...NEXT],
      },
      initial: 'active',
      on: { 'session.drain': { actions: 'noteDrain' } },
      states: {
        active: {
          on: {
            'turn.submit': [
              ...BUSY,
              { guard: 'interrupts', target: 'cancelling', actions: ['admit', 'interruptActive'] },
              { guard: 'rollsBack', target: 'cancelling', actions: ['admit', 'rollActiveBack'] },
              // It waits at the head until the running turn's next step takes it in ([WP4]).
              { guard: 'steers', actions: 'admit' },
              { actions: 'admit' },
            ],
            'turn.cancel': [
              { guard: 'hitsRunningCall', actions: 'cancelRunningCall' },
              { guard: 'hitsOpenCall', actions: 'cancelOpenCall' },
              { guard: 'namesCall', actions: 'cancelNoCall' },
              { guard: 'hitsActive', target: 'cancelling', actions: 'cancelActive' },
              { actions: 'cancelQueued' },
            ],
            'permission.resolve': [
              { guard: 'isMisfit', actions: 'refuseMisfit' },
              { guard: 'isOpenRequest', actions: 'decide' },
              { guard: 'isDecided', actions: 'decideLate' },
              { actions: 'refuseUnknownRequest' },
            ],
            'session.delete': { target: 'cancelling', actions: ['deleteSession', 'endProcesses'] },
            'session.stop': 'stopping',
            'step.ready': [
              { guard: 'hasSteering', actions: ['takeSteering', 'goStep'] },
              { guard: 'isCurrent', actions: 'goStep' },
            ],
            'step.accepted': { guard: 'isCurrent', actions: 'recordAccepted' },
            'step.compacted': { guard: 'isCurrent', actions: 'recordCompacted' },
            delta: { guard: 'isCurrent', actions: 'recordDelta' },
            'step.calls': { guard: 'isCurrent', actions: 'recordCalls' },
            // Its cancel was quicker than the turn ([CX5]): the turn is told, and nothing of it is recorded.
            'call.allow': [{ guard: 'isRefusedCall' }, { guard: 'isCurrent', actions: 'recordAllow' }],
            'call.ask': [
              { guard: 'isRefusedCall' },
              // Somebody allowed this tool for the rest of the session ([PM6]).
              { guard: 'isRemembered', actions: 'recordRemembered' },
              { guard: 'isUnattended', actions: 'recordUnattended' },
              { guard: 'isCurrent', actions: 'recordAsk' },
            ],
            'call.refuse': [{ guard: 'isRefusedCall' }, { guard: 'isCurrent', actions: 'recordRefusal' }],
            'call.expire': { guard: 'isExpirable', actions: 'recordExpiry' },
            'call.result': { guard: 'isCurrent', actions: 'recordResult' },
          },
        },
        // The cancel has won ([CX3]): what the turn still reports is dropped, only its end is waited for ([CX2], [CX4]).
        cancelling: {
          entry: 'stopTurn',
          after: {
            cancelDeadline: [
              { guard: 'isDraining', target: '#session.closing' },
              { guard: 'hasRollback', target: '#session.undoing' },
              { guard: 'hasQueued', target: '#session.running', reenter: true },
              { guard: 'isDeleted', target: '#session.deleted' },
              { target: '#session.idle' },
            ],
          },
          on: {
            'turn.submit': [{ guard: 'isDeleted', actions: 'refuseDeleted' }, ...BUSY, { actions: 'admit' }],
            'turn.cancel': CANCEL_AGAIN,
            'session.delete': [
              { guard: 'isDeleted', actions: 'answerDeleted' },
              { actions: ['deleteSession', 'endProcesses'] },
            ],
            'session.stop': 'stopping',
          },
        },
        stopping: {
          entry: ['stopTurn', 'interruptProcesses'],
          after: { cancelDeadline: '#session.closing' },
          on: {
            ...STOPPING,
            'turn.cancel': CANCEL_AGAIN,
            'xstate.done.actor.turn': '#session.closing',
          },
        },
      },
    },
    // Files are taken back ([TL4], [WP8]): whatever comes waits for it, and it is short.
    undoing: {
      entry: 'beginRollback',
      invoke: { id: 'restore', src: 'restore', input: ({ context }) => undo.restoreInput(context) },
      after: { restoreDeadline: { target: 'undone', actions: 'giveUpRestore' } },
      on: {
        'restore.done': { target: 'undone', actions: 'recordRestored' },
        'turn.submit': [{ guard: 'isDeleted', actions: 'refuseDeleted' }, ...BUSY, { actions: 'admit' }],
        'session.delete': { actions: 'refuseBusy' },
        'session.drain': { actions: 'noteDrain' },
        'session.stop': { actions: 'noteDrain' },
      },
    },
    undone: { always: [{ guard: 'isDraining', target: 'closing' }, ...NEXT] },
    // Put away: everything is still there to read, nothing is taken on.
    deleted: {
      after: {
        idle: {
          target: 'deleted',
          reenter: true,
          actions: { type: 'passivate', params: ({ context }) => ({ sessionId: context.f.sessionId }) },
        },
      },
      on: {
        'turn.submit': { actions: 'refuseDeleted' },
        'session.delete': { actions: 'answerDeleted' },
        'session.undelete': { target: 'idle', actions: 'restoreSession' },
        'session.drain': 'closing',
        'session.stop': 'closing',
      },
    },
    // The daemon stops, and no turn runs any more: the background processes are ended too, or left to the next one.
    closing: {
      entry: 'interruptProcesses',
      always: { guard: 'noProcesses', target: 'stopped' },
      after: { cancelDeadline: 'stopped' },
      on: STOPPING,
    },
    stopped: {
      entry: { type: 'halted', params: ({ context }) => ({ sessionId: context.f.sessionId }) },
      on: STOPPING,
    },
  },
});
