import type { AnyActorRef, InspectionEvent } from 'xstate';
import { INSPECTED_ACTORS_MAX, type InspectedSnapshot, type InspectMessage } from '../../protocol/feeds/inspection.ts';
import { chartOf, facts } from '../inspection.ts';
import type { Clock, Log } from '../ports.ts';
import type { Slot } from '../registry.ts';
import type { Inspection } from '../runtime.ts';

/**
 * What live actors do, for whoever watches. Every session is an XState system of its own, so an observer is given to each system
 * that somebody watches, and taken back with the last who does: until then there is none, and XState's hooks do nothing ([FD1]).
 *
 * Of one actor at most `PER_SECOND` messages are told in a second; what is passed over is counted, and its last state always comes
 * ([FD2]). Contexts are reduced to the facts of `/v3/inspect`, events to their type and scalar ids ([FD3]).
 */
export interface InspectionFeed {
  /** Of one session, or of the daemon and all sessions. Messages are JSON texts, made once for all who watch. */
  watch(sessionId: string | null, tell: (message: string) => void): Inspection;
  /** A session's actor is made and about to start. */
  started(sessionId: string, actor: AnyActorRef): void;
  /** Systems with an observer; for tests. */
  readonly observed: number;
}

export interface FeedParts {
  daemon: AnyActorRef;
  slots(): ReadonlyMap<string, Slot>;
  clock: Clock;
  log: Pick<Log, 'error'>;
}

/** The version of `@statelyai/inspect` whose shape this is. */
const SHAPE = '0.7.2';
const PER_SECOND = 16;
const FLUSH_MS = 250;
/** Fields of events that name something, and no more than that. */
const IDS = ['turnId', 'requestId', 'callId', 'processId', 'sessionId', 'attachmentId', 'step', 'attempt', 'seq'];
const ID_CHARS_MAX = 128;

interface Watcher {
  sessionId: string | null;
  tell(message: string): void;
}

/** One observed system. */
interface Root {
  /** `daemon`, or the session's id. */
  id: string;
  actor: AnyActorRef;
  undo(): void;
}

/** How much of one actor was told of late. */
interface Pace {
  root: Root;
  sinceMs: number;
  told: number;
  skipped: number;
  /** The event after which the state is owed. */
  owed: { type: string } | null;
}

type Draft = InspectMessage extends infer M ? (M extends unknown ? Omit<M, 'createdAt'> : never) : never;

export const createInspectionFeed = ({ daemon, slots, clock, log }: FeedParts): InspectionFeed => {
  const watchers = new Set<Watcher>();
  const roots = new Map<string, Root>();
  const paces = new Map<AnyActorRef, Pace>();
  let timer: unknown = null;

  const wanted = (id: string): boolean => [...watchers].some((w) => w.sessionId === null || w.sessionId === id);
  const stamped = (draft: Draft): string => JSON.stringify({ ...draft, createdAt: String(clock.now()) });
  const tell = (rootId: string, draft: Draft): void => {
    const text = stamped(draft);
    for (const w of watchers) if (w.sessionId === null || w.sessionId === rootId) w.tell(text);
  };

  const paceOf = (actor: AnyActorRef, root: Root): Pace => {
    const now = clock.now();
    const pace = paces.get(actor) ?? { root, sinceMs: now, told: 0, skipped: 0, owed: null };
    paces.set(actor, pace);
    if (now - pace.sinceMs >= 1_000) Object.assign(pace, { sinceMs: now, told: 0 });
    return pace;
  };

  const tellState = (actor: AnyActorRef, pace: Pace, event: { type: string }): void => {
    const snapshot = snapshotOf(actor);
    const skipped = pace.skipped > 0 ? { skipped: pace.skipped } : {};
    Object.assign(pace, { skipped: 0, owed: null, told: pace.told + 1 });
    tell(pace.root.id, { type: '@xstate.snapshot', event, snapshot, ...skipped, ...namesOf(actor, pace.root) });
    if (snapshot.status === 'active') return;
    paces.delete(actor);
    if (actor === pace.root.actor) leave(pace.root);
  };

  const flush = (): void => {
    timer = null;
    for (const [actor, pace] of [...paces]) if (pace.owed) tellState(actor, pace, pace.owed);
  };

  /** Runs in the stack of the actor that it looks at: nothing that goes wrong here may reach that. */
  const observe = (root: Root) => (inspected: InspectionEvent) => {
    try {
      look(root, inspected);
    } catch (fault) {
      log.error('inspection failed', { reason: String(fault) });
    }
  };

  const look = (root: Root, inspected: InspectionEvent): void => {
    const actor = inspected.actorRef as AnyActorRef;
    if (inspected.type === '@xstate.actor') return tell(root.id, actorMessage(actor, root, BEING_MADE));
    if (inspected.type === '@xstate.event') return onEvent(root, actor, inspected.event, inspected.sourceRef);
    if (inspected.type === '@xstate.snapshot') onState(root, actor, inspected.event);
  };

  const onEvent = (root: Root, actor: AnyActorRef, event: { type: string }, source: unknown): void => {
    const from = source as AnyActorRef | undefined;
    // XState tells a failure to the parent, and not as a state of the one that failed.
    if (from && event.type.startsWith('xstate.error.actor')) tellState(from, paceOf(from, root), idsOf(event));
    const pace = paceOf(actor, root);
    if (pace.told >= PER_SECOND) {
      pace.skipped += 1;
      return;
    }
    pace.told += 1;
    const sourceId = from === undefined ? {} : { sourceId: from.sessionId };
    tell(root.id, { type: '@xstate.event', event: idsOf(event), ...sourceId, ...namesOf(actor, root) });
  };

  const onState = (root: Root, actor: AnyActorRef, event: { type: string }): void => {
    const pace = paceOf(actor, root);
    const over = (actor.getSnapshot() as { status?: string } | undefined)?.status !== 'active';
    if (pace.told < PER_SECOND || over) return tellState(actor, pace, idsOf(event));
    if (pace.owed) pace.skipped += 1;
    pace.owed = idsOf(event);
    timer ??= clock.setTimeout(flush, FLUSH_MS);
  };

  const join = (id: string, actor: AnyActorRef): void => {
    if (roots.get(id)?.actor === actor) return;
    roots.get(id)?.undo();
    const root: Root = { id, actor, undo: () => undefined };
    const observer = actor.system.inspect(observe(root));
    // A session that fails says so to nobody but who listens for it. The daemon's own failure is nobody's to swallow.
    const failed = (): void => void (roots.get(id) === root && tellState(actor, paceOf(actor, root), FAILED));
    const failure = id === DAEMON ? null : actor.subscribe({ error: failed });
    root.undo = () => {
      observer.unsubscribe();
      failure?.unsubscribe();
    };
    roots.set(id, root);
  };

  const leave = (root: Root): void => {
    root.undo();
    if (roots.get(root.id) === root) roots.delete(root.id);
    for (const [actor, pace] of paces) if (pace.root === root) paces.delete(actor);
  };

  const joinAll = (): void => {
    if (wanted(DAEMON)) join(DAEMON, daemon);
    for (const [id, slot] of slots()) if (slot.state === 'live' && wanted(id)) join(id, slot.actor);
  };

  const pictureOf = (sessionId: string | null): string[] => {
    joinAll();
    const actors: Draft[] = [];
    for (const root of roots.values()) {
      if (sessionId === null || sessionId === root.id) gather(root.actor, root, actors);
    }
    return [{ type: '@opta.picture', actors: actors.length } as const, ...actors].map(stamped);
  };

  return {
    watch(sessionId, told) {
      const watcher = { sessionId, tell: told };
      watchers.add(watcher);
      joinAll();
      return {
        picture: () => pictureOf(sessionId),
        end: () => {
          watchers.delete(watcher);
          for (const root of [...roots.values()]) if (!wanted(root.id)) leave(root);
          if (watchers.size > 0) return;
          clock.clearTimeout(timer);
          timer = null;
        },
      };
    },
    started(sessionId, actor) {
      if (watchers.size === 0 || !wanted(sessionId)) return;
      join(sessionId, actor);
      const root = roots.get(sessionId);
      if (root) tell(sessionId, actorMessage(actor, root));
    },
    get observed() {
      return roots.size;
    },
  };
};

const DAEMON = 'daemon';
const FAILED = { type: 'xstate.error' };

const gather = (actor: AnyActorRef, root: Root, into: Draft[]): void => {
  if (into.length >= INSPECTED_ACTORS_MAX) return;
  into.push(actorMessage(actor, root));
  const { children = {} } = (actor.getSnapshot() ?? {}) as { children?: { [id: string]: AnyActorRef | undefined } };
  for (const child of Object.values(children)) if (child) gather(child, root, into);
};

/** XState tells of an actor while it makes it: then there is no state to read yet. */
const BEING_MADE: InspectedSnapshot = { status: 'active', context: {} };

const actorMessage = (actor: AnyActorRef, root: Root, snapshot = snapshotOf(actor)): Draft => {
  const names = namesOf(actor, root);
  const parent = parentOf(actor);
  const parentId = parent === undefined ? {} : { parentId: parent.sessionId };
  return { type: '@xstate.actor', name: names.id, snapshot, ...parentId, ...names };
};

const parentOf = (actor: AnyActorRef): AnyActorRef | undefined => (actor as { _parent?: AnyActorRef })._parent;

const namesOf = (actor: AnyActorRef, root: Root) => ({
  sessionId: actor.sessionId,
  rootId: root.actor.sessionId,
  id: pathOf(actor, root),
  _version: SHAPE,
  chart: actor === root.actor ? (root.id === DAEMON ? DAEMON : 'session') : chartOf(actor),
});

/** As in `/v3/inspect`. */
const pathOf = (actor: AnyActorRef, root: Root): string => {
  const parent = actor === root.actor ? undefined : parentOf(actor);
  return parent === undefined ? root.id : `${pathOf(parent, root)}/${actor.id}`;
};

const snapshotOf = (actor: AnyActorRef): InspectedSnapshot => {
  const { status = 'active', value, context } = (actor.getSnapshot() ?? {}) as Partial<InspectedSnapshot>;
  return { status, ...(value === undefined ? {} : { value }), context: facts(context) };
};

/** Nothing of an event but what it is called and what it is about. */
const idsOf = (event: { type: string; [field: string]: unknown }): { type: string } => {
  const ids = IDS.flatMap((name): [string, unknown][] => {
    const value = event[name];
    if (typeof value === 'string') return [[name, value.slice(0, ID_CHARS_MAX)]];
    return typeof value === 'number' ? [[name, value]] : [];
  });
  return { ...Object.fromEntries(ids), type: event.type.slice(0, ID_CHARS_MAX) };
};
