import { setup } from 'xstate';

/**
 * One permission request waits for a person, for as long as it has ([PM1], [PM3]). The decision itself is the session's: only
 * the session may record one, so "first valid decision wins" is decided in one place. This chart is the deadline.
 */
export const permissionMachine = setup({
  types: {
    input: {} as { requestId: string; deadlineMs: number },
    context: {} as { requestId: string; deadlineMs: number },
    output: {} as { requestId: string },
  },
  delays: { deadline: ({ context }) => context.deadlineMs },
}).createMachine({
  id: 'permission',
  context: ({ input }) => input,
  initial: 'open',
  states: {
    open: { after: { deadline: 'expired' } },
    expired: { type: 'final' },
  },
  output: ({ context }) => ({ requestId: context.requestId }),
});
