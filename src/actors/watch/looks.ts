import type { AnyActorRef } from 'xstate';
import type { SessionState } from '../../protocol/session-state.ts';
import { inspectActor, inspectSlot, whyLive, whySlot } from '../inspection.ts';
import type { Limits } from '../limits.ts';
import type { Clock, Done } from '../ports.ts';
import type { Registry } from '../registry.ts';
import type { Runtime } from '../runtime.ts';
import type { InspectionFeed } from './inspection-feed.ts';
import { liveOverview } from './overview.ts';

export interface LookParts {
  daemon: AnyActorRef;
  registry: Pick<Registry, 'slots'>;
  clock: Pick<Clock, 'now'>;
  limits: Limits;
  presence: Runtime['presence'];
  feed: InspectionFeed;
  /** State that is committed, of any session. */
  read(sessionId: string, done: Done<SessionState>): void;
}

/** Sessions shown in the tree of the whole daemon. */
const TREE_SESSIONS_MAX = 200;

/** What the runtime shows of itself to whoever looks. None of it changes anything. */
export const createLooks = ({
  daemon,
  registry: { slots },
  clock,
  limits,
  presence,
  feed,
  read,
}: LookParts): Pick<Runtime, 'inspect' | 'why' | 'overview' | 'observe'> => ({
  inspect(sessionId, done) {
    if (sessionId === null) {
      const root = inspectActor(daemon, 'daemon', 'daemon');
      const sessions = [...slots].slice(0, TREE_SESSIONS_MAX).map(([id, slot]) => inspectSlot(id, slot));
      return done(null, { ...root, children: [...root.children, ...sessions] });
    }
    const slot = slots.get(sessionId);
    if (slot) return done(null, inspectSlot(sessionId, slot));
    read(sessionId, (error, f) =>
      error
        ? done(error, null as never)
        : done(null, { id: sessionId, chart: 'session', state: 'passivated', facts: { seq: f.seq }, children: [] }),
    );
  },
  why(sessionId, done) {
    const slot = slots.get(sessionId);
    if (slot?.state === 'live') return done(null, whyLive(slot.actor, limits));
    if (slot) return done(null, whySlot(sessionId, slot, clock.now()));
    read(sessionId, (error, f) => {
      if (error) return done(error, null as never);
      const text = 'Nothing runs and nothing waits; the session is on disk and costs no memory.';
      done(null, { sessionId, state: 'idle', text, since: f.updatedAt, unblock: 'submit a turn' });
    });
  },
  observe: feed.watch,
  overview: () => liveOverview(slots, presence, limits, clock.now()),
});
