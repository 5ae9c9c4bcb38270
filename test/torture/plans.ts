import type { Random } from '../sim/random.ts';

/** When a round kills the daemon: each plan names a moment. */
export const PLANS = [
  'stream',
  'ack',
  'tool',
  'permission',
  'create',
  'decide',
  'cancel',
  'flood',
  'boot',
  'any',
] as const;
export type Plan = (typeof PLANS)[number];

/** What the turns of a plan do; absent: anything. */
export const KINDS: { [plan in Plan]?: 'stream' | 'flood' | 'search' | 'list' | 'write' } = {
  stream: 'stream',
  tool: 'search',
  permission: 'write',
  decide: 'write',
  cancel: 'stream',
  flood: 'flood',
  boot: 'stream',
};

/** The record or answer that a plan waits for, how many of them at most, and how long after it the kill comes (0: in its stack). */
const MOMENTS: { [plan in Plan]: { on: string; nth: number; delayMs: number } } = {
  stream: { on: 'turn.token', nth: 40, delayMs: 30 },
  flood: { on: 'turn.token', nth: 20, delayMs: 20 },
  boot: { on: 'turn.token', nth: 20, delayMs: 20 },
  tool: { on: 'tool.start', nth: 2, delayMs: 500 },
  permission: { on: 'permission.request', nth: 2, delayMs: 10 },
  ack: { on: 'ack', nth: 10, delayMs: 0 },
  create: { on: 'created', nth: 60, delayMs: 0 },
  decide: { on: 'decided', nth: 3, delayMs: 0 },
  cancel: { on: 'cancelled', nth: 4, delayMs: 0 },
  any: { on: 'turn.queued', nth: 8, delayMs: 150 },
};

export class Trigger {
  over = false;
  readonly #on: string;
  readonly #kill: () => void;
  readonly #delayMs: number;
  #left: number;

  constructor(plan: Plan, random: Random, kill: () => void) {
    const { on, nth, delayMs } = MOMENTS[plan];
    this.#on = on;
    this.#left = random.int(1, nth);
    this.#delayMs = Math.round(delayMs * random.next());
    this.#kill = kill;
  }

  record(what: string): void {
    if (this.over || what !== this.#on) return;
    this.#left -= 1;
    if (this.#left !== 0) return;
    if (this.#delayMs === 0) this.#kill();
    else setTimeout(this.#kill, this.#delayMs);
  }
}
