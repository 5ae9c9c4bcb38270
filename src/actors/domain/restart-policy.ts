/**
 * Restart intensity (OTP's term): a session that crashes more than `restartsMax` times within `restartWindowMs` is quarantined,
 * so that a poisoned log or input cannot keep the daemon busy. Store failures never count: they are not the session's.
 */
export interface RestartLimits {
  restartsMax: number;
  restartWindowMs: number;
  restartBackoffBaseMs: number;
  restartBackoffMaxMs: number;
}

/** Crash times within the window, with the new one; older ones are forgotten. */
export const withCrash = (history: readonly number[], at: number, limits: RestartLimits): number[] => [
  ...history.filter((t) => t > at - limits.restartWindowMs),
  at,
];

export const mayRestart = (history: readonly number[], limits: RestartLimits): boolean =>
  history.length <= limits.restartsMax;

export const restartDelayMs = (history: readonly number[], limits: RestartLimits): number =>
  Math.min(limits.restartBackoffBaseMs * 2 ** Math.max(0, history.length - 1), limits.restartBackoffMaxMs);
