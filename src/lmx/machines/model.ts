import { assign, setup } from 'xstate';
import type { LoadedFacts } from '../engine.ts';
import { LmxError } from '../errors.ts';

export interface ModelInput {
  modelId: string;
  contextLength: number | undefined;
  /** False: the engine loads and tests its models by itself; loading is then a look whether it is there. */
  manages: boolean;
  limits: ModelLimits;
}

export interface ModelLimits {
  loadMs: number;
  canaryMs: number;
  unloadWaitMs: number;
  unloadMs: number;
  restartBaseMs: number;
  restartMaxMs: number;
  crashesMax: number;
  crashWindowMs: number;
}

export type ModelEvent =
  | { type: 'loaded'; facts: LoadedFacts; at: number }
  | { type: 'load.failed'; error: LmxError }
  | { type: 'canary.passed' }
  | { type: 'canary.failed'; reason: string }
  | { type: 'lost'; reason: string; at: number }
  /** A caller wants it, now: of effect only where it does not run by itself. */
  | { type: 'load'; contextLength: number | undefined }
  | { type: 'unload'; force: boolean }
  /** No request of it is left. */
  | { type: 'idle' }
  | { type: 'unloaded' };

export interface ModelContext extends ModelInput {
  facts: LoadedFacts;
  /** Since it last ran for `crashWindowMs`. */
  crashes: number;
  lastCrashAt: number;
  reason: string | null;
  /** Why it came to nothing, for those who wait for the load. */
  error: LmxError | null;
}

const NO_FACTS: LoadedFacts = { contextLength: null, memoryBytes: null };
const LOST = [
  { guard: 'lostTooOften', target: 'quarantined', actions: 'noteLost' },
  { target: 'restarting', actions: 'noteLost' },
] as const;
const loadLate = () => new LmxError('model_load_timeout', 'The model was not loaded in time.');

/**
 * One model that is loaded, or is to be. It answers only in `routable`. What is lost by itself comes back by itself, with growing
 * waits and up to a bound; what fails its self-test, or is lost too often, is quarantined until somebody loads it again.
 */
export const modelMachine = setup({
  types: { input: {} as ModelInput, context: {} as ModelContext, events: {} as ModelEvent },
  delays: {
    load: ({ context }) => context.limits.loadMs,
    canary: ({ context }) => context.limits.canaryMs,
    unloadWait: ({ context }) => context.limits.unloadWaitMs,
    unload: ({ context }) => context.limits.unloadMs,
    restart: ({ context: { crashes, limits } }) =>
      Math.min(limits.restartMaxMs, limits.restartBaseMs * 2 ** Math.max(0, crashes - 1)),
  },
  guards: {
    manages: ({ context }) => context.manages,
    // What an engine does not load by us comes back when it comes back: there is nothing to give up.
    lostTooOften: ({ context, event }) => {
      if (!context.manages || event.type !== 'lost') return false;
      const before = event.at - context.lastCrashAt < context.limits.crashWindowMs ? context.crashes : 0;
      return before + 1 >= context.limits.crashesMax;
    },
    comesBack: ({ context }) =>
      !context.manages || (context.crashes > 0 && context.crashes < context.limits.crashesMax),
    crashedBefore: ({ context }) => context.crashes > 0,
    isForced: ({ event }) => event.type === 'unload' && event.force,
  },
  actions: {
    // Bound by the gateway's system.
    startLoad: () => undefined,
    startCanary: () => undefined,
    stopCanary: () => undefined,
    startUnload: () => undefined,
    cancelRequests: () => undefined,
    tellIfIdle: () => undefined,
    killEngine: () => undefined,
    gone: () => undefined,

    noteWanted: assign(({ event }) =>
      event.type === 'load' && event.contextLength !== undefined ? { contextLength: event.contextLength } : {},
    ),
    noteLoaded: assign(({ event }) =>
      event.type === 'loaded' ? { facts: event.facts, reason: null, error: null } : {},
    ),
    noteFailed: assign(({ event }) =>
      event.type === 'load.failed' ? { error: event.error, reason: event.error.message } : {},
    ),
    noteLate: assign(() => ({ error: loadLate(), reason: loadLate().message })),
    noteCanary: assign(({ context, event }) => {
      const reason = event.type === 'canary.failed' ? event.reason : 'The self-test had no answer in time.';
      return { reason, crashes: context.crashes + 1, error: new LmxError('model_canary_failed', reason) };
    }),
    noteLost: assign(({ context, event }) => {
      if (event.type !== 'lost') return {};
      const before = event.at - context.lastCrashAt < context.limits.crashWindowMs ? context.crashes : 0;
      const error = new LmxError('model_loader_crashed', event.reason);
      return { crashes: before + 1, lastCrashAt: event.at, reason: event.reason, error };
    }),
    countFailure: assign(({ context }) => ({ crashes: context.crashes + 1 })),
    noteRoutable: assign(() => ({ reason: null, error: null })),
  },
}).createMachine({
  id: 'model',
  context: ({ input }) => ({
    ...input,
    facts: NO_FACTS,
    crashes: 0,
    lastCrashAt: Number.NEGATIVE_INFINITY,
    reason: null,
    error: null,
  }),
  initial: 'loading',
  states: {
    loading: {
      entry: 'startLoad',
      after: {
        load: [
          { guard: 'comesBack', target: 'restarting', actions: ['noteLate', 'killEngine', 'countFailure'] },
          { guard: 'crashedBefore', target: 'quarantined', actions: ['noteLate', 'killEngine'] },
          { target: 'gone', actions: ['noteLate', 'killEngine'] },
        ],
      },
      on: {
        loaded: [
          { guard: 'manages', target: 'canary', actions: 'noteLoaded' },
          { target: 'routable', actions: 'noteLoaded' },
        ],
        // The first load of all tells its caller and leaves nothing behind; one that brings a lost model back is tried again.
        'load.failed': [
          { guard: 'comesBack', target: 'restarting', actions: ['noteFailed', 'countFailure'] },
          { guard: 'crashedBefore', target: 'quarantined', actions: 'noteFailed' },
          { target: 'gone', actions: 'noteFailed' },
        ],
        lost: LOST,
        unload: 'unloading',
      },
    },
    canary: {
      entry: 'startCanary',
      exit: 'stopCanary',
      after: { canary: { target: 'quarantined', actions: ['noteCanary', 'killEngine'] } },
      on: {
        'canary.passed': 'routable',
        'canary.failed': { target: 'quarantined', actions: ['noteCanary', 'startUnload'] },
        lost: LOST,
        unload: 'unloading',
      },
    },
    routable: {
      entry: 'noteRoutable',
      on: {
        lost: LOST,
        unload: [{ guard: 'isForced', target: 'emptying', actions: 'cancelRequests' }, { target: 'emptying' }],
      },
    },
    // Takes no new requests; those that run may end.
    emptying: {
      entry: 'tellIfIdle',
      after: { unloadWait: { target: 'unloading', actions: 'cancelRequests' } },
      on: {
        idle: 'unloading',
        unload: { guard: 'isForced', actions: 'cancelRequests' },
        lost: { target: 'gone', actions: 'noteLost' },
      },
    },
    unloading: {
      entry: 'startUnload',
      after: { unload: { target: 'gone', actions: 'killEngine' } },
      on: { unloaded: 'gone', lost: 'gone' },
    },
    restarting: {
      after: { restart: 'loading' },
      on: { load: { target: 'loading', actions: 'noteWanted' }, unload: 'gone' },
    },
    quarantined: { on: { load: { target: 'loading', actions: 'noteWanted' }, unload: 'gone' } },
    gone: { entry: 'gone', type: 'final' },
  },
});
