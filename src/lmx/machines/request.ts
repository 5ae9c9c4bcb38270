import { assign, setup } from 'xstate';
import type { FinishReason, TokenUsage } from '../engine.ts';
import { LmxError } from '../errors.ts';

export interface RequestInput {
  id: string;
  model: string;
  limits: { slotWaitMs: number; answerMs: number; retryAfterMs: number };
  /** What the chart does to the world. In the input and not provided, since a machine of its own for each request would cost more than the request. */
  effects: RequestEffects;
}

export interface RequestEffects {
  startEngine(): void;
  stopEngine(): void;
  settle(outcome: RequestOutcome | null): void;
}

export type RequestOutcome =
  | { kind: 'done'; finishReason: FinishReason; usage: TokenUsage | null; trimmed: number }
  | { kind: 'refused' | 'failed'; error: LmxError }
  | { kind: 'cancelled'; told: boolean };

export type RequestEvent =
  | { type: 'wait' }
  | { type: 'refuse'; error: LmxError }
  | { type: 'admit' }
  | { type: 'first' }
  | { type: 'end'; finishReason: FinishReason; usage: TokenUsage | null; trimmed: number }
  | { type: 'fail'; error: LmxError }
  | { type: 'cancel'; told: boolean };

export interface RequestContext extends RequestInput {
  outcome: RequestOutcome | null;
}

const slotLate = (retryAfterMs: number) =>
  new LmxError('rate_limit_exceeded', 'The server is busy: no slot became free in time.', { retryAfterMs });
const answerLate = () => new LmxError('timeout', 'The answer took longer than the server allows.');

/**
 * One request. The engine works exactly while this is in `working`: entering starts it, leaving stops it, whatever the reason. No
 * token passes through here; the machine hears of the first one.
 */
export const requestMachine = setup({
  types: { input: {} as RequestInput, context: {} as RequestContext, events: {} as RequestEvent },
  delays: {
    slotWait: ({ context }) => context.limits.slotWaitMs,
    answer: ({ context }) => context.limits.answerMs,
  },
  actions: {
    startEngine: ({ context }) => context.effects.startEngine(),
    stopEngine: ({ context }) => context.effects.stopEngine(),
    settle: ({ context }) => context.effects.settle(context.outcome),

    ended: assign(({ event }) =>
      event.type === 'end'
        ? {
            outcome: {
              kind: 'done' as const,
              finishReason: event.finishReason,
              usage: event.usage,
              trimmed: event.trimmed,
            },
          }
        : {},
    ),
    broke: assign(({ event }) =>
      event.type === 'fail' ? { outcome: { kind: 'failed' as const, error: event.error } } : {},
    ),
    refused: assign(({ event }) =>
      event.type === 'refuse' ? { outcome: { kind: 'refused' as const, error: event.error } } : {},
    ),
    cancelled: assign(({ event }) =>
      event.type === 'cancel' ? { outcome: { kind: 'cancelled' as const, told: event.told } } : {},
    ),
    waitedTooLong: assign(({ context }) => ({
      outcome: { kind: 'refused' as const, error: slotLate(context.limits.retryAfterMs) },
    })),
    tookTooLong: assign({ outcome: () => ({ kind: 'failed' as const, error: answerLate() }) }),
  },
}).createMachine({
  id: 'request',
  context: ({ input }) => ({ ...input, outcome: null }),
  initial: 'arriving',
  on: {
    cancel: { target: '.over', actions: 'cancelled' },
    refuse: { target: '.over', actions: 'refused' },
  },
  states: {
    arriving: { on: { wait: 'queued', admit: 'working' } },
    queued: {
      after: { slotWait: { target: 'over', actions: 'waitedTooLong' } },
      on: { admit: 'working' },
    },
    working: {
      entry: 'startEngine',
      exit: 'stopEngine',
      after: { answer: { target: 'over', actions: 'tookTooLong' } },
      initial: 'prefill',
      on: {
        end: { target: 'over', actions: 'ended' },
        fail: { target: 'over', actions: 'broke' },
      },
      states: {
        prefill: { on: { first: 'generating' } },
        generating: {},
      },
    },
    over: { entry: 'settle', type: 'final' },
  },
});
