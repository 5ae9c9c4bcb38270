import type { PresenceEntry } from '../../protocol/session.ts';
import type { Limits } from '../limits.ts';
import type { Clock, Reader, Who } from '../ports.ts';

/** One attachment as the others see it. */
export interface Attendee {
  readonly id: string;
  readonly reader: Reader;
  readonly sinceMs: number;
  readonly cursor: number;
  who: Who;
  /** Wants to be told who is there. */
  watching: boolean;
}

/**
 * Who is attached to one session. Whoever watches is told when somebody comes, goes or says more about itself, once for all that
 * happens within `presenceGatherMs`; and at most every `presenceEveryMs` when only cursors have moved. Nobody watching: no
 * timer, no work ([SV3]).
 */
export interface Presence {
  /** Somebody came, went, or introduced itself. */
  changed(): void;
  entries(): PresenceEntry[];
  close(): void;
}

export const createPresence = (parts: {
  clock: Clock;
  limits: Limits;
  attendees(): Iterable<Attendee>;
  head(): number;
}): Presence => {
  const { clock, limits } = parts;
  let scheduled = false;
  let closed = false;
  let timer: unknown;
  let soon: unknown;
  let ticking = false;
  let told = '';

  const entries = (): PresenceEntry[] => {
    const head = parts.head();
    return [...parts.attendees()].map(({ id, who, sinceMs, cursor }) => ({
      attachmentId: id,
      ...who,
      since: new Date(sinceMs).toISOString(),
      cursor,
      lag: Math.max(0, head - cursor),
    }));
  };

  const tell = (): void => {
    if (closed) return;
    const watchers = [...parts.attendees()].filter((a) => a.watching);
    if (watchers.length === 0) return;
    const all = entries();
    const present = all.slice(0, limits.presenceEntriesMax);
    const text = JSON.stringify(present);
    if (text !== told) {
      told = text;
      for (const { reader } of watchers) reader.presence?.(present, all.length);
    }
    tick();
  };

  const tick = (): void => {
    if (ticking) return;
    ticking = true;
    timer = clock.setTimeout(() => {
      ticking = false;
      tell();
    }, limits.presenceEveryMs);
  };

  return {
    changed() {
      if (scheduled || closed) return;
      scheduled = true;
      soon = clock.setTimeout(() => {
        scheduled = false;
        // A newcomer is told even when nothing looks different to the others.
        told = '';
        tell();
      }, limits.presenceGatherMs);
    },
    entries,
    close() {
      closed = true;
      clock.clearTimeout(timer);
      clock.clearTimeout(soon);
    },
  };
};
