import { setup } from 'xstate';

export interface GatewayInput {
  limits: { drainMs: number; closeMs: number };
}

export type GatewayMachineEvent = { type: 'drain' } | { type: 'empty' } | { type: 'closed' };

/** The server's own life: what is accepted in which state. Requests and models are actors of their own beside it. */
export const gatewayMachine = setup({
  types: { input: {} as GatewayInput, context: {} as GatewayInput, events: {} as GatewayMachineEvent },
  delays: { drain: ({ context }) => context.limits.drainMs, close: ({ context }) => context.limits.closeMs },
  actions: {
    // Bound by the gateway's system.
    refuseQueued: () => undefined,
    tellIfEmpty: () => undefined,
    cancelAll: () => undefined,
    closeEngine: () => undefined,
    stopped: () => undefined,
  },
}).createMachine({
  id: 'gateway',
  context: ({ input }) => input,
  initial: 'serving',
  states: {
    serving: { on: { drain: 'draining' } },
    draining: {
      entry: ['refuseQueued', 'tellIfEmpty'],
      after: { drain: { target: 'closing', actions: 'cancelAll' } },
      on: { empty: 'closing' },
    },
    // An engine that does not close holds nobody up.
    closing: { entry: 'closeEngine', after: { close: 'stopped' }, on: { closed: 'stopped' } },
    stopped: { entry: 'stopped', type: 'final' },
  },
});
