import type { Clock } from '../actors/ports.ts';

/** The machine's own clock, for an engine that was given none. Its timers keep no process alive: the sockets do that. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms).unref(),
  clearTimeout: (id) => clearTimeout(id as NodeJS.Timeout),
  soon: (fn) => void setImmediate(fn),
};
