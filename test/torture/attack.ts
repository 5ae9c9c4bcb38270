import type { Daemon } from '../support/daemon.ts';
import type { Door } from './raw-client.ts';

export interface Target extends Door {
  daemon: Daemon;
  /** A session with a few hundred events, on which nothing runs. */
  sessionId: string;
  /** The one number or the other, as the run is a quick or a long one. */
  size(quick: number, long: number): number;
}

export interface Attack {
  name: string;
  what: string;
  /** Comes back when the attackers have gone, with what was wrong meanwhile. */
  run(target: Target): Promise<string[]>;
  /** How long the daemon may take until it is at its baseline again; some things end by a deadline of their own. */
  settleMs?: number;
  /** What sessions that it made still hold when a quick run ends. They leave memory after a minute, which a long one waits for. */
  keepsMiB?: number;
}
