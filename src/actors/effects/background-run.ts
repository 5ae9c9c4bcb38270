import { fromCallback } from 'xstate';
import type { OutputPiece } from '../../protocol/background.ts';
import { outputBudget } from '../domain/output-budget.ts';
import type { Limits } from '../limits.ts';
import type { BackgroundInput } from '../machines/background-job.ts';
import type { BackgroundEvent, ProcessOrder } from '../messages.ts';
import type { Processes } from '../ports.ts';
import type { Journal } from './journal.ts';

/**
 * One process and what it writes. It begins when its start is committed. As with the deltas of a model, output is gathered while
 * the session has an uncommitted tail, and above `gateCharsMax` it is not read: a slow disk slows the process down instead of
 * filling memory ([SV3]). Whatever stops the actor, a crash of its session too, ends what there is of the process ([CX4]).
 */
export const backgroundEffect = (processes: Processes, journal: Journal, limits: Limits) =>
  fromCallback<ProcessOrder, BackgroundInput>(({ input: { argv, draft, model }, sendBack, receive }) => {
    const budget = outputBudget(limits);
    let waiting = false;
    let paused = false;
    /** It was told to end. What it still writes is taken at once, within the budget: its end is behind it in the same pipe. */
    let ending = false;
    let giveUp = (): void => undefined;

    const tell = (event: BackgroundEvent): void => sendBack(event);
    const say = (pieces: OutputPiece[]): void => {
      if (pieces.length > 0) tell({ type: 'background.wrote', pieces });
    };
    const onClean = (): void => {
      waiting = false;
      say(budget.cut());
      if (paused) handle.resume();
      paused = false;
    };
    const handle = processes.start(
      { ...draft, argv, ...(model ? { model } : {}) },
      {
        spawned: (facts) => tell({ type: 'background.spawned', ...facts }),
        output: (stream, text) => {
          budget.push(stream, text);
          if (!journal.dirty(draft.sessionId)) say(budget.cut());
          else if (!waiting) {
            waiting = true;
            journal.whenClean(draft.sessionId, onClean);
          }
          if (budget.size <= limits.gateCharsMax || paused || ending) return;
          paused = true;
          handle.pause();
        },
        gone: (end) => {
          say([...budget.cut(), ...budget.end()]);
          tell({ type: 'gone', ...end });
        },
        failed: ({ code, message }) => tell({ type: 'background.failed', code, message }),
      },
    );
    receive((order) => {
      if (order.type === 'signal') {
        ending = true;
        if (paused) handle.resume();
        paused = false;
        handle.signal(order.name);
      } else giveUp = journal.barrier(draft.sessionId, order.afterSeq, handle.go);
    });
    return () => {
      giveUp();
      handle.drop();
    };
  });
