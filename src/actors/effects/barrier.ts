import { fromCallback } from 'xstate';
import type { BarrierInput } from '../machines/tool-job.ts';
import type { Journal } from './journal.ts';

/** A tool waits here until its permission and its `tool.start` are committed ([PM4]). Leaving the state gives up the wait. */
export const barrierEffect = (journal: Journal) =>
  fromCallback<{ type: 'kill' }, BarrierInput>(({ input, sendBack }) =>
    journal.barrier(input.sessionId, input.afterSeq, () => sendBack({ type: 'barrier.passed' })),
  );
