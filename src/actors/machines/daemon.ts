import { assign, setup } from 'xstate';
import { mayRestart, type RestartLimits, restartDelayMs, withCrash } from '../domain/restart-policy.ts';
import type { DaemonEvent } from '../messages.ts';

export interface DaemonInput {
  limits: RestartLimits & { storageReopenBackoffMs: number; drainDeadlineMs: number };
}

export interface DaemonContext extends DaemonInput {
  /** Recent crash times of sessions that crashed lately; empty for everybody else. */
  crashes: ReadonlyMap<string, number[]>;
  quarantined: ReadonlyMap<string, { reason: string; atMs: number }>;
  storage: { reason: string; sinceMs: number } | null;
}

/**
 * The root. It supervises sessions, which are root actors in a registry of their own (ten thousand children of one machine
 * would cost milliseconds each): the registry reports a crash, this chart decides restart or quarantine, the registry carries
 * it out. It also holds the daemon's own life and the state of storage, so that "read-only" is a state people can see.
 */
export const daemonMachine = setup({
  types: { input: {} as DaemonInput, context: {} as DaemonContext, events: {} as DaemonEvent },
  delays: {
    reopen: ({ context }) => context.limits.storageReopenBackoffMs,
    drainDeadline: ({ context }) => context.limits.drainDeadlineMs,
  },
  actions: {
    // Bound to the registry by the actor system.
    loadOpenSessions: () => undefined,
    restartSession: (_, _params: { sessionId: string; delayMs: number }) => undefined,
    quarantineSession: (_, _params: { sessionId: string; reason: string }) => undefined,
    reopenStorage: () => undefined,
    stopSessions: () => undefined,
    allStopped: () => undefined,

    noteCrash: assign({
      crashes: ({ context, event }) =>
        event.type === 'session.crashed'
          ? new Map(context.crashes).set(
              event.sessionId,
              withCrash(context.crashes.get(event.sessionId) ?? [], event.at, context.limits),
            )
          : context.crashes,
    }),
    noteQuarantine: assign(({ context, event }) => {
      if (event.type !== 'session.crashed') return {};
      const { sessionId, reason, at } = event;
      const crashes = new Map(context.crashes);
      crashes.delete(sessionId);
      return { crashes, quarantined: new Map(context.quarantined).set(sessionId, { reason, atMs: at }) };
    }),
    noteStorage: assign({
      storage: ({ context, event }) =>
        event.type === 'storage.failed'
          ? (context.storage ?? { reason: event.reason, sinceMs: event.at })
          : context.storage,
    }),
    clearStorage: assign({ storage: null }),
  },
  guards: {
    mayRestart: ({ context, event }) =>
      event.type === 'session.crashed' &&
      mayRestart(withCrash(context.crashes.get(event.sessionId) ?? [], event.at, context.limits), context.limits),
  },
}).createMachine({
  id: 'daemon',
  context: ({ input }) => ({ ...input, crashes: new Map(), quarantined: new Map(), storage: null }),
  initial: 'starting',
  on: {
    'session.crashed': [
      {
        guard: 'mayRestart',
        actions: [
          'noteCrash',
          {
            type: 'restartSession',
            params: ({ context, event }) => ({
              sessionId: event.sessionId,
              delayMs: restartDelayMs(context.crashes.get(event.sessionId) ?? [], context.limits),
            }),
          },
        ],
      },
      {
        actions: [
          'noteQuarantine',
          { type: 'quarantineSession', params: ({ event }) => ({ sessionId: event.sessionId, reason: event.reason }) },
        ],
      },
    ],
    drain: '.draining',
  },
  states: {
    // Sessions with open work are loaded and closed or resumed before the first client is let in ([CR1]).
    starting: {
      entry: 'loadOpenSessions',
      on: { 'boot.done': 'ready' },
      initial: 'reading',
      states: {
        reading: { on: { 'storage.failed': { target: 'stalled', actions: 'noteStorage' } } },
        stalled: {
          entry: 'reopenStorage',
          after: { reopen: { target: 'stalled', reenter: true } },
          on: {
            'storage.reopened': { target: 'reading', actions: 'clearStorage' },
            'storage.failed': { actions: 'noteStorage' },
            'boot.done': '#daemon.readOnly',
          },
        },
      },
    },
    ready: { on: { 'storage.failed': { target: 'readOnly', actions: 'noteStorage' } } },
    readOnly: {
      entry: 'reopenStorage',
      after: { reopen: { target: 'readOnly', reenter: true } },
      on: {
        'storage.reopened': { target: 'ready', actions: 'clearStorage' },
        'storage.failed': { actions: 'noteStorage' },
      },
    },
    draining: {
      entry: 'stopSessions',
      after: { drainDeadline: 'stopped' },
      on: { drained: 'stopped', drain: {}, 'session.crashed': {} },
    },
    stopped: { entry: 'allStopped', type: 'final' },
  },
});
