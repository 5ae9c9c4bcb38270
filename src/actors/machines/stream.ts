import { type AnyActorRef, assign, type CallbackActorLogic, fromCallback, sendTo, setup } from 'xstate';
import type { StreamEvent, StreamOutcome } from '../messages.ts';
import type { InferenceRequest } from '../ports.ts';

export interface StreamLimits {
  firstDeltaDeadlineMs: number;
  deltaGapDeadlineMs: number;
  streamRetriesMax: number;
  streamRetryBaseMs: number;
}

export interface StreamInput {
  request: InferenceRequest;
  /** Deltas take one hop: from the effect straight to the session, which numbers them. */
  session: AnyActorRef;
  limits: StreamLimits;
}

export interface StreamContext extends StreamInput {
  attempt: number;
  retryAfterMs: number;
  outcome: StreamOutcome | null;
}

const failed = (code: string, message: string, tooLong = false): StreamOutcome => ({
  kind: 'failed',
  code,
  message,
  ...(tooLong ? { tooLong } : {}),
});

/**
 * Full jitter, so that sessions which failed together do not come back together: each turn has its own share of the wait. The share
 * follows from the turn's id, since a chart draws no lots.
 */
const jittered = (maxMs: number, { request, attempt }: StreamContext): number => {
  let hash = 0x811c9dc5;
  for (const c of `${request.turnId}.${request.step}.${attempt}`) hash = Math.imul(hash ^ c.charCodeAt(0), 0x01000193);
  return Math.round((maxMs * ((hash >>> 0) % 1_000)) / 1_000);
};

const inference: CallbackActorLogic<{ type: 'none' }, StreamInput> = fromCallback(() => {
  throw new Error('effect not provided');
});

/**
 * One model call. It is tried again only while nothing was emitted: after the first delta an answer is never spliced from two
 * runs of the model. Leaving `live` stops the effect, which frees the engine: that is the cancel.
 */
export const streamMachine = setup({
  types: {
    input: {} as StreamInput,
    context: {} as StreamContext,
    events: {} as StreamEvent,
    output: {} as StreamOutcome,
  },
  actors: { inference },
  delays: {
    firstDelta: ({ context }) => context.limits.firstDeltaDeadlineMs,
    gap: ({ context }) => context.limits.deltaGapDeadlineMs,
    backoff: ({ context }) => context.retryAfterMs,
  },
  guards: {
    mayRetry: ({ context, event }) =>
      event.type === 'fail' && event.retryable && context.attempt < context.limits.streamRetriesMax,
  },
  actions: {
    answered: assign({
      outcome: ({ event }) =>
        event.type === 'end'
          ? { kind: 'answered', calls: event.calls, usage: event.usage, finishReason: event.finishReason }
          : null,
    }),
    broken: assign({
      outcome: ({ event }) => (event.type === 'fail' ? failed(event.code, event.message, event.tooLong) : null),
    }),
    planRetry: assign({
      attempt: ({ context }) => context.attempt + 1,
      retryAfterMs: ({ context, event }) =>
        Math.min(
          (event.type === 'fail' ? event.retryAfterMs : null) ??
            jittered(context.limits.streamRetryBaseMs * 2 ** context.attempt, context),
          context.limits.firstDeltaDeadlineMs,
        ),
    }),
    silentStart: assign({ outcome: failed('lmx-timeout', 'The inference server did not begin its answer in time.') }),
    silentGap: assign({
      outcome: failed('lmx-timeout', 'The inference server fell silent in the middle of its answer.'),
    }),
  },
}).createMachine({
  id: 'stream',
  context: ({ input }) => ({ ...input, attempt: 0, retryAfterMs: 0, outcome: null }),
  initial: 'live',
  states: {
    live: {
      invoke: { id: 'inference', src: 'inference', input: ({ context }) => context },
      initial: 'opening',
      on: {
        end: { target: 'over', actions: 'answered' },
        accepted: {
          actions: sendTo(
            ({ context }) => context.session,
            ({ event, context: { request } }) => ({
              type: 'step.accepted',
              turnId: request.turnId,
              step: request.step,
              model: event.model,
              provider: event.provider,
            }),
          ),
        },
      },
      states: {
        opening: {
          after: { firstDelta: { target: '#stream.over', actions: 'silentStart' } },
          on: {
            alive: 'streaming',
            keepalive: { target: 'opening', reenter: true },
            fail: [
              { guard: 'mayRetry', target: '#stream.backoff', actions: 'planRetry' },
              { target: '#stream.over', actions: 'broken' },
            ],
          },
        },
        streaming: {
          after: { gap: { target: '#stream.over', actions: 'silentGap' } },
          on: {
            alive: { target: 'streaming', reenter: true },
            keepalive: { target: 'streaming', reenter: true },
            fail: { target: '#stream.over', actions: 'broken' },
          },
        },
      },
    },
    backoff: { after: { backoff: 'live' } },
    over: { type: 'final' },
  },
  output: ({ context }) => context.outcome ?? failed('internal', 'The stream ended without an outcome.'),
});
