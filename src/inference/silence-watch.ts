import type { Clock } from '../actors/ports.ts';

/** Calls `silent` when `touch` was not called for `ms`. One timer a stream, not one a delta. */
export interface SilenceWatch {
  touch(): void;
  /** While nothing is read, silence means nothing. */
  pause(paused: boolean): void;
  stop(): void;
}

export const watchSilence = (clock: Clock, ms: number, silent: () => void): SilenceWatch => {
  let last = clock.now();
  let paused = false;
  let stopped = false;
  const check = () => {
    if (stopped) return;
    if (paused) last = clock.now();
    const left = last + ms - clock.now();
    if (left <= 0) {
      stopped = true;
      silent();
    } else timer = clock.setTimeout(check, left);
  };
  let timer = clock.setTimeout(check, ms);
  return {
    touch: () => {
      last = clock.now();
    },
    pause: (now) => {
      paused = now;
      last = clock.now();
    },
    stop: () => {
      stopped = true;
      clock.clearTimeout(timer);
    },
  };
};
