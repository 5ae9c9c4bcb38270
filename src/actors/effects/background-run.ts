import { fromCallback } from 'xstate';
import type { OutputPiece } from '../../protocol/background.ts';
import { outputBudget } from '../domain/output-budget.ts';
import type { Limits } from '../limits.ts';
import type { BackgroundInput } from '../machines/background-job.ts';
import type { BackgroundEvent, ProcessOrder } from '../messages.ts';
import type { LogStore, ProcessEvents, Processes, ProcessHandle } from '../ports.ts';
import type { Journal } from './journal.ts';
import { outputUsed } from './output-used.ts';

/**
 * One process and what it writes. It begins when its start is committed. As with the deltas of a model, output is gathered while
 * the session has an uncommitted tail, and above `gateCharsMax` it is not read: a slow disk slows the process down instead of
 * filling memory ([SV3]). Whatever stops the actor, a crash of its session too, ends what there is of the process ([CX4]), unless it
 * was left to the next daemon ([BG7]).
 */
export const backgroundEffect = (
  processes: Processes,
  journal: Journal,
  limits: Limits,
  store: Pick<LogStore, 'read'>,
) =>
  fromCallback<ProcessOrder, BackgroundInput>(({ input: { argv, draft, model, left }, sendBack, receive }) => {
    let budget = outputBudget(limits);
    let handle: ProcessHandle | null = null;
    let waiting = false;
    let paused = false;
    /** It was told to end. What it still writes is taken at once, within the budget: its end is behind it in the same pipe. */
    let ending = false;
    let stopped = false;
    let began = left !== undefined;
    let leaving = false;
    let giveUp = (): void => undefined;
    /** What was ordered before there was a handle. */
    const early: ProcessOrder[] = [];

    const tell = (event: BackgroundEvent): void => sendBack(event);
    const say = (pieces: OutputPiece[]): void => {
      if (pieces.length > 0) tell({ type: 'background.wrote', pieces });
    };
    const onClean = (): void => {
      waiting = false;
      say(budget.cut());
      if (paused) handle?.resume();
      paused = false;
    };
    const on: ProcessEvents = {
      spawned: (facts) => tell(left ? { type: 'adopted' } : { type: 'background.spawned', ...facts }),
      output: (stream, text) => {
        budget.push(stream, text);
        if (!journal.dirty(draft.sessionId)) say(budget.cut());
        else if (!waiting) {
          waiting = true;
          journal.whenClean(draft.sessionId, onClean);
        }
        if (budget.size <= limits.gateCharsMax || paused || ending) return;
        paused = true;
        handle?.pause();
      },
      gone: (end) => {
        say([...budget.cut(), ...budget.end()]);
        tell({ type: 'gone', ...end });
      },
      failed: ({ code, message }) => {
        if (!left) return tell({ type: 'background.failed', code, message });
        say([...budget.cut(), ...budget.end()]);
        tell({ type: 'lost' });
      },
    };
    const leave = (): void => {
      leaving = true;
      if (!began || !handle?.leave) return;
      handle.leave();
      stopped = true;
      // Its last words until now: the next daemon does not have them.
      say([...budget.cut(), ...budget.end()]);
      tell({ type: 'left' });
    };
    const carryOut = (order: ProcessOrder): void => {
      if (!handle) return void early.push(order);
      if (order.type === 'signal') {
        ending = true;
        if (paused) handle.resume();
        paused = false;
        handle.signal(order.name);
      } else if (order.type === 'leave') leave();
      else
        giveUp = journal.barrier(draft.sessionId, order.afterSeq, () => {
          handle?.go();
          began = true;
          if (leaving) leave();
        });
    };
    const begin = (make: () => ProcessHandle): void => {
      handle = make();
      for (const order of early.splice(0)) carryOut(order);
    };

    receive(carryOut);
    const { adopt } = processes;
    if (left === undefined) {
      const run = { ...draft, argv, ...(model ? { model } : {}), ...(adopt ? { kept: true } : {}) };
      begin(() => processes.start(run, on));
    } else {
      outputUsed(store, draft.sessionId, left, limits, (used) => {
        if (stopped) return;
        budget = outputBudget(limits, used);
        if (adopt) begin(() => adopt(left, on));
        else tell({ type: 'lost' });
      });
    }
    return () => {
      giveUp();
      if (!stopped) handle?.drop();
      // Given up on while its output was still counted: nobody else has it in hand.
      if (!stopped && !handle && left) processes.reap(left);
      stopped = true;
    };
  });
