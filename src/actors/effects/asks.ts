import { type ErrorCode, type ErrorFacts, OptaError } from '../../protocol/errors.ts';
import type { Ask } from '../messages.ts';
import type { Done } from '../ports.ts';
import type { Journal } from './journal.ts';

/**
 * The requests that wait for an answer. Machines know an ask by number; this knows who is waiting. Each is answered once: by
 * its session after the flush that covers its facts ([EV5]), or by the supervisor when the session failed.
 */
export interface Asks {
  open<T>(sessionId: string, done: Done<T>): Ask;
  answer(ask: Ask, afterSeq: number, value: unknown): void;
  refuse(ask: Ask, code: ErrorCode, message: string, facts?: ErrorFacts): void;
  /** The session failed before it answered these: nobody can say whether their facts were recorded. */
  abandon(sessionId: string, message: string): void;
  readonly size: number;
}

interface Waiting {
  sessionId: string;
  done: Done<unknown>;
  /** The session has answered; only the flush is missing. */
  answered: boolean;
}

export const createAsks = (journal: () => Journal): Asks => {
  const waiting = new Map<Ask, Waiting>();
  let last = 0;

  const settle = (ask: Ask, error: OptaError | null, value: unknown): void => {
    const w = waiting.get(ask);
    if (!w) return;
    waiting.delete(ask);
    w.done(error, value);
  };

  return {
    open(sessionId, done) {
      last += 1;
      waiting.set(last, { sessionId, done: done as Done<unknown>, answered: false });
      return last;
    },
    answer(ask, afterSeq, value) {
      const w = waiting.get(ask);
      if (!w) return;
      w.answered = true;
      journal().flushed(w.sessionId, afterSeq, (problem) => {
        if (problem === null) settle(ask, null, value);
        else if (problem === 'lost')
          settle(ask, new OptaError('storage', 'The command could not be stored; it was not carried out.'), null);
        else
          settle(
            ask,
            new OptaError('outcome-unknown', 'Nobody can tell whether this was stored; read the session again.'),
            null,
          );
      });
    },
    refuse(ask, code, message, facts) {
      settle(ask, new OptaError(code, message, facts), null);
    },
    abandon(sessionId, message) {
      for (const [ask, w] of [...waiting]) {
        if (w.sessionId === sessionId && !w.answered) settle(ask, new OptaError('outcome-unknown', message), null);
      }
    },
    get size() {
      return waiting.size;
    },
  };
};
