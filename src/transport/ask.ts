import type { Done } from '../actors/ports.ts';
import { OptaError } from '../protocol/errors.ts';

/** A callback answer as a promise, within a deadline ([SV2]). An answer that comes later is ignored: nobody waits for it. */
export const ask = <T>(deadlineMs: number, call: (done: Done<T>) => void): Promise<T> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new OptaError('timeout', `No answer within ${deadlineMs} ms; the outcome is not known`)),
      deadlineMs,
    );
    try {
      call((error, value) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve(value);
      });
    } catch (fault) {
      clearTimeout(timer);
      reject(fault);
    }
  });
