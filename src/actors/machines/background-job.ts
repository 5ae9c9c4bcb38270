import { assign, type CallbackActorLogic, fromCallback, raise, sendParent, sendTo, setup } from 'xstate';
import type { Background } from '../../protocol/background.ts';
import type { Limits } from '../limits.ts';
import type { Ask, BackgroundEvent, BackgroundReport, JobDraft, ProcessOrder } from '../messages.ts';
import type { ProcessRun } from '../ports.ts';

export interface BackgroundInput {
  /** Not there when it is adopted. */
  ask?: Ask;
  argv: string[];
  draft: JobDraft;
  /** One that an earlier daemon has left, and what is left of its time. */
  left?: Background & { timeLeftMs: number };
  model?: ProcessRun['model'];
  limits: Limits;
}
export interface BackgroundContext extends BackgroundInput {
  ending: Pick<BackgroundEvent & { type: 'kill' }, 'how' | 'signal' | 'graceMs'>;
}

const placeholder: CallbackActorLogic<ProcessOrder, BackgroundInput> = fromCallback(() => {
  throw new Error('effect not provided');
});

/** The longest that a timer takes, 24 days: as good as none. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * One background process. It becomes the command only when its start, with its pid and what proves it, is committed. It ends once,
 * when nothing of it is alive ([CX4]): by itself, or by a signal that is followed by SIGKILL, and that by a deadline ([SV2]). Where
 * processes outlive a daemon ([BG7]) one that runs is left to the next, which takes it over here.
 */
export const backgroundMachine = setup({
  types: { input: {} as BackgroundInput, context: {} as BackgroundContext, events: {} as BackgroundEvent },
  actors: { process: placeholder },
  delays: {
    startDeadline: ({ context }) => context.limits.backgroundStartMs,
    timeout: ({ context: { draft, left } }) =>
      draft.timeoutMs === 0 ? TIMER_MS_MAX : (left?.timeLeftMs ?? draft.timeoutMs),
    grace: ({ context }) => context.ending.graceMs,
    killDeadline: ({ context }) => context.limits.toolKillDeadlineMs,
  },
  guards: {
    isForced: ({ event }) => event.type === 'kill' && event.signal === 'SIGKILL',
    isLeft: ({ context }) => context.left !== undefined,
  },
  actions: {
    report: sendParent(({ context: { ask, draft }, event }) => ({ ...event, ask, draft })),
    reportLeft: sendParent(
      ({ context: { draft } }): BackgroundReport => ({ type: 'background.left', processId: draft.processId }),
    ),
    // Whatever was asked of it meanwhile, that is not what ended it.
    reportLost: sendParent(({ context: { draft } }): BackgroundReport => {
      const end = { how: 'interrupted', exitCode: null, signal: null } as const;
      return { type: 'background.ended', processId: draft.processId, ...end };
    }),
    // Given up on at the deadline, nobody saw how it ended; the effect goes on ending it.
    reportEnded: sendParent(({ context: { draft, ending }, event }): BackgroundReport => {
      const { exitCode, signal } = event.type === 'gone' ? event : { exitCode: null, signal: ending.signal };
      return { type: 'background.ended', processId: draft.processId, how: ending.how, exitCode, signal };
    }),
    fail: raise(({ context }) => {
      const message = `Background process failed to start: ${context.argv[0]}`;
      return { type: 'background.failed', code: 'background-failed', message };
    }),
    takeKill: assign(({ context, event }) => ({ ending: event.type === 'kill' ? event : context.ending })),
    takeTimeout: assign(({ context: { limits } }) => ({
      ending: { how: 'timeout', signal: 'SIGTERM', graceMs: limits.backgroundGraceMs },
    })),
    go: sendTo('process', ({ event }) => event as ProcessOrder),
    leave: sendTo('process', { type: 'leave' }),
    sendSignal: sendTo('process', ({ context }) => ({ type: 'signal', name: context.ending.signal })),
    sendKill: sendTo('process', { type: 'signal', name: 'SIGKILL' }),
  },
}).createMachine({
  id: 'background-job',
  context: ({ input }) => ({ ...input, ending: { how: 'exit', signal: 'SIGTERM', graceMs: 0 } }),
  initial: 'live',
  states: {
    live: {
      invoke: { id: 'process', src: 'process', input: ({ context }) => context },
      initial: 'choosing',
      on: {
        'background.wrote': { actions: 'report' },
        gone: { target: 'over', actions: 'reportEnded' },
        lost: { target: 'over', actions: 'reportLost' },
      },
      states: {
        choosing: { always: [{ guard: 'isLeft', target: 'adopting' }, { target: 'starting' }] },
        adopting: {
          after: { startDeadline: { target: '#background-job.over', actions: 'reportLost' } },
          on: {
            adopted: 'running',
            kill: { target: 'asked', actions: 'takeKill' },
            leave: 'leaving',
          },
        },
        starting: {
          after: { startDeadline: { actions: 'fail' } },
          on: {
            'background.spawned': { target: 'running', actions: 'report' },
            'background.failed': { target: '#background-job.over', actions: 'report' },
            kill: { actions: 'fail' },
            leave: { actions: 'fail' },
          },
        },
        // First it only waits, for `go` and the commit of its start.
        running: {
          after: { timeout: { target: 'asked', actions: 'takeTimeout' } },
          on: { go: { actions: 'go' }, kill: { target: 'asked', actions: 'takeKill' }, leave: 'leaving' },
        },
        leaving: {
          entry: 'leave',
          after: { killDeadline: { target: '#background-job.over', actions: 'reportLeft' } },
          on: { left: { target: '#background-job.over', actions: 'reportLeft' } },
        },
        asked: {
          entry: 'sendSignal',
          after: { grace: 'forced' },
          on: { kill: { guard: 'isForced', target: 'forced' } },
        },
        forced: {
          entry: 'sendKill',
          after: { killDeadline: { target: '#background-job.over', actions: 'reportEnded' } },
        },
      },
    },
    over: { type: 'final' },
  },
});
