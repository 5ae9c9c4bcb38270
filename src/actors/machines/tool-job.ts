import { assign, type CallbackActorLogic, fromCallback, sendTo, setup } from 'xstate';
import type { ToolJobEvent, ToolJobOutcome } from '../messages.ts';
import type { ToolResult, ToolRun } from '../ports.ts';

export interface ToolJobInput {
  run: ToolRun;
  /** `seq` of the call's `tool.start`. */
  afterSeq: number;
  killDeadlineMs: number;
}

export interface ToolJobContext extends ToolJobInput {
  result: ToolResult | null;
  ran: boolean;
}

export interface BarrierInput {
  sessionId: string;
  afterSeq: number;
}

const placeholder = <I>(): CallbackActorLogic<{ type: 'kill' }, I> =>
  fromCallback<{ type: 'kill' }, I>(() => {
    throw new Error('effect not provided');
  });

const KILLED: ToolResult = { result: 'The call was cancelled.', isError: true };
const timedOut = (deadlineMs: number): ToolResult => ({
  result: `The call took longer than ${deadlineMs} ms and was ended.`,
  isError: true,
});

/**
 * One tool call. It runs only behind the barrier: its `tool.start`, and the permission before it, are committed ([PM4]).
 * A job that is killed is over only when nothing of it is alive ([CX4]), within a deadline ([SV2]).
 */
export const toolJobMachine = setup({
  types: {
    input: {} as ToolJobInput,
    context: {} as ToolJobContext,
    events: {} as ToolJobEvent,
    output: {} as ToolJobOutcome,
  },
  actors: { barrier: placeholder<BarrierInput>(), tool: placeholder<ToolRun>() },
  delays: {
    deadline: ({ context }) => context.run.deadlineMs,
    killDeadline: ({ context }) => context.killDeadlineMs,
  },
}).createMachine({
  id: 'tool-job',
  context: ({ input }) => ({ ...input, result: null, ran: false }),
  initial: 'waiting',
  states: {
    waiting: {
      invoke: {
        src: 'barrier',
        input: ({ context }) => ({ sessionId: context.run.sessionId, afterSeq: context.afterSeq }),
      },
      on: {
        'barrier.passed': { target: 'live', actions: assign({ ran: true }) },
        kill: { target: 'over', actions: assign({ result: KILLED }) },
      },
    },
    live: {
      invoke: { id: 'tool', src: 'tool', input: ({ context }) => context.run },
      initial: 'running',
      states: {
        running: {
          after: {
            deadline: {
              target: 'killing',
              actions: assign({ result: ({ context }) => timedOut(context.run.deadlineMs) }),
            },
          },
          on: {
            'job.done': { target: 'ended', actions: assign({ result: ({ event }) => event.result }) },
            kill: { target: 'killing', actions: assign({ result: KILLED }) },
          },
        },
        killing: {
          entry: sendTo('tool', { type: 'kill' }),
          after: { killDeadline: 'ended' },
          on: { 'job.dead': 'ended' },
        },
        ended: { type: 'final' },
      },
      onDone: 'over',
    },
    over: { type: 'final' },
  },
  output: ({ context }) => ({
    result: context.result ?? KILLED,
    ran: context.ran,
    killed: (context.result ?? KILLED) === KILLED,
  }),
});
