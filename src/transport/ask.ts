import type { Clock, Done } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';

export type Timers = Pick<Clock, 'setTimeout' | 'clearTimeout'>;

/** A callback answer as a promise, within a deadline ([SV2]). An answer that comes later is ignored: nobody waits for it. */
export const ask = <T>(timers: Timers, deadlineMs: number, call: (done: Done<T>) => void): Promise<T> =>
  new Promise((resolve, reject) => {
    const timer = timers.setTimeout(
      () => reject(new OptaError('timeout', `No answer within ${deadlineMs} ms; the outcome is not known`)),
      deadlineMs,
    );
    try {
      call((error, value) => {
        timers.clearTimeout(timer);
        if (error) reject(error);
        else resolve(value);
      });
    } catch (fault) {
      timers.clearTimeout(timer);
      reject(fault);
    }
  });
