import type { SessionState } from '../../protocol/session-state.ts';
import {
  cancelHits,
  conflicts,
  metadataOverflows,
  policyOf,
  queueFull,
  queueProblem,
  steering,
  usedKey,
} from '../domain/arbitration.ts';
import { targetCall } from '../domain/call-cancel.ts';
import { misfit, rememberedBy, requestIsOpen } from '../domain/decisions.ts';
import { callState } from '../domain/session-facts.ts';
import { undoProblem } from '../domain/undo.ts';
import type { SessionEvent, TurnOutcome } from '../messages.ts';
import * as commands from './session-commands.ts';
import type { SessionContext } from './session-context.ts';

/** What a session hears besides commands and reports. */
export type Internal = { type: 'xstate.done.actor.turn'; output: TurnOutcome } | { type: 'deadline' };

/** The questions that the session chart asks before it moves: pure functions of its state and what came. */
interface Asked {
  context: SessionContext;
  event: SessionEvent | Internal;
}

const stale = (f: SessionState, event: { type: string; turnId?: string }): boolean => f.active?.turnId !== event.turnId;

const rollsBackNow = ({ active, files = [] }: SessionState): boolean =>
  active?.rollback !== undefined && files.some(({ turnId }) => turnId === active.turnId);

export const SESSION_GUARDS = {
  hasQueued: ({ context }: Asked) => context.f.queue.length > 0,
  isConflict: ({ context, event }: Asked) => event.type === 'turn.submit' && conflicts(context.f, event.input),
  isFull: ({ context, event }: Asked) =>
    event.type === 'turn.submit' && queueFull(context.f, context.env.limits.queueTurnsMax),
  rejects: ({ context, event }: Asked) => event.type === 'turn.submit' && policyOf(context.f, event.input) === 'reject',
  interrupts: ({ context, event }: Asked) =>
    event.type === 'turn.submit' && policyOf(context.f, event.input) === 'interrupt',
  rollsBack: ({ context, event }: Asked) =>
    event.type === 'turn.submit' && policyOf(context.f, event.input) === 'rollback',
  /** Also while its terminal event is not recorded yet: that is done on the way out. */
  hasRollback: ({ context: { f } }: Asked) => f.rollback !== undefined || rollsBackNow(f),
  cannotUndo: ({ context, event }: Asked) =>
    event.type === 'session.undo' && undoProblem(context.f, event.turnId) !== null,
  steers: ({ context, event }: Asked) => event.type === 'turn.submit' && policyOf(context.f, event.input) === 'steer',
  hasSteering: ({ context, event }: Asked) => !stale(context.f, event) && steering(context.f).length > 0,
  isReplay: ({ context, event }: Asked) =>
    event.type === 'turn.submit' && usedKey(context.f, event.input)?.digest === (event.digest ?? null),
  isMismatch: ({ context, event }: Asked) =>
    event.type === 'turn.submit' && usedKey(context.f, event.input) !== undefined,
  isKeysFull: ({ context, event }: Asked) =>
    event.type === 'turn.submit' &&
    event.input.idempotencyKey !== undefined &&
    context.f.keys.length >= context.env.limits.idempotencyKeysMax,
  isDraining: ({ context }: Asked) => context.draining,
  isDeleted: ({ context }: Asked) => context.f.deletedAt !== undefined,
  isNotYours: ({ context, event }: Asked) =>
    (event.type === 'queue.edit' || event.type === 'queue.withdraw') &&
    queueProblem(context.f, event.turnId, commands.writerOf(event)) !== null,
  isBadMove: ({ context, event }: Asked) =>
    event.type === 'queue.edit' &&
    typeof event.edit.before === 'string' &&
    (event.edit.before === event.turnId || queueProblem(context.f, event.edit.before, event.edit.writerId) !== null),
  isMetadataLarge: ({ context, event }: Asked) =>
    event.type === 'session.patch' && metadataOverflows(context.f, event.patch, context.env.limits.metadataCharsMax),
  isProcessRunning: ({ context, event }: Asked) =>
    event.type === 'background.kill' && context.jobs.includes(event.processId),
  processesFull: ({ context: { jobs, env } }: Asked) =>
    jobs.length >= env.limits.backgroundSessionMax || env.processesInAll() >= env.limits.backgroundMax,
  noProcesses: ({ context }: Asked) => context.jobs.length === 0,
  namesCall: ({ event }: Asked) => event.type === 'turn.cancel' && event.target.callId !== undefined,
  hitsRunningCall: ({ context, event }: Asked) =>
    event.type === 'turn.cancel' && targetCall(context.f, event.target)?.progress.state === 'started',
  hitsOpenCall: ({ context, event }: Asked) =>
    event.type === 'turn.cancel' &&
    ['asked', 'waiting'].includes(targetCall(context.f, event.target)?.progress.state ?? ''),
  isRefusedCall: ({ context, event }: Asked) =>
    'callId' in event && !stale(context.f, event) && callState(context.f, event.callId) === 'refused',
  hitsActive: ({ context, event }: Asked) => event.type === 'turn.cancel' && cancelHits(context.f, event.target).active,
  isCurrent: ({ context, event }: Asked) => !stale(context.f, event),
  isUnattended: ({ context, event }: Asked) => !stale(context.f, event) && !context.env.attended(context.f.sessionId),
  isRemembered: ({ context, event }: Asked) =>
    event.type === 'call.ask' &&
    event.question === undefined &&
    !stale(context.f, event) &&
    rememberedBy(context.f, event.callId) !== null,
  isMisfit: ({ context, event }: Asked) =>
    event.type === 'permission.resolve' && misfit(context.f, event.decision) !== null,
  isOpenRequest: ({ context, event }: Asked) =>
    event.type === 'permission.resolve' && requestIsOpen(context.f, event.decision.requestId),
  isExpirable: ({ context, event }: Asked) => event.type === 'call.expire' && requestIsOpen(context.f, event.requestId),
  isDecided: ({ context, event }: Asked) =>
    event.type === 'permission.resolve' &&
    context.f.decisions.some((taken) => taken.requestId === event.decision.requestId),
};
