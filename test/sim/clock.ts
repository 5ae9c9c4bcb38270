import type { Clock } from '../../src/actors/ports.ts';

/**
 * Virtual time. Work that is ready runs first, in order; then time jumps to the next deadline, ties by age. A part of the world
 * that dies (a crashed daemon) has its own `life`, and nothing of a dead life ever runs.
 */
export interface Life {
  alive: boolean;
}

interface Timer {
  at: number;
  id: number;
  fn: () => void;
  life: Life;
}

export class VirtualClock {
  time = Date.parse('2026-01-01T00:00:00.000Z');
  #ready: { fn: () => void; life: Life }[] = [];
  #readyAt = 0;
  readonly #heap: Timer[] = [];
  readonly #cancelled = new Set<number>();
  #ids = 0;

  /** The clock as one life sees it. */
  for(life: Life): Clock {
    return {
      now: () => this.time,
      soon: (fn) => {
        this.#ready.push({ fn, life });
      },
      setTimeout: (fn, ms) => {
        const id = ++this.#ids;
        this.#push({ at: this.time + Math.max(0, ms), id, fn, life });
        return id;
      },
      clearTimeout: (id) => {
        if (typeof id === 'number') this.#cancelled.add(id);
      },
    };
  }

  /** Runs one thing. False when nothing is left. */
  step(): boolean {
    while (this.#readyAt < this.#ready.length) {
      const next = this.#ready[this.#readyAt++]!;
      if (this.#readyAt > 1024) {
        this.#ready = this.#ready.slice(this.#readyAt);
        this.#readyAt = 0;
      }
      if (!next.life.alive) continue;
      next.fn();
      return true;
    }
    for (let t = this.#pop(); t; t = this.#pop()) {
      if (!t.life.alive || this.#cancelled.delete(t.id)) continue;
      this.time = Math.max(this.time, t.at);
      t.fn();
      return true;
    }
    return false;
  }

  /** Deadline of the next timer, or null. */
  nextAt(): number | null {
    for (let top = this.#heap[0]; top; top = this.#heap[0]) {
      if (top.life.alive && !this.#cancelled.has(top.id)) return top.at;
      this.#pop();
    }
    return null;
  }

  /** Timers of a life that are still armed. */
  armed(life: Life): number {
    return this.#heap.filter((t) => t.life === life && !this.#cancelled.has(t.id)).length;
  }

  get idle(): boolean {
    return this.#readyAt >= this.#ready.length;
  }

  #push(t: Timer): void {
    const h = this.#heap;
    h.push(t);
    for (let i = h.length - 1; i > 0; ) {
      const up = (i - 1) >> 1;
      if (!before(h[i]!, h[up]!)) break;
      [h[i], h[up]] = [h[up]!, h[i]!];
      i = up;
    }
  }

  #pop(): Timer | undefined {
    const h = this.#heap;
    const top = h[0];
    const last = h.pop();
    if (h.length === 0 || !last) return top;
    h[0] = last;
    for (let i = 0; ; ) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) if (child < h.length && before(h[child]!, h[least]!)) least = child;
      if (least === i) break;
      [h[i], h[least]] = [h[least]!, h[i]!];
      i = least;
    }
    return top;
  }
}

const before = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.id < b.id);
