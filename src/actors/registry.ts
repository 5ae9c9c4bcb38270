import { type ActorRefFrom, createActor } from 'xstate';
import { decodeEnvelope } from '../protocol/envelope.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import type { LogRecord } from '../protocol/events.ts';
import { emptySession, foldAll, type SessionState } from '../protocol/session-state.ts';
import type { Asks } from './effects/asks.ts';
import type { Attachments } from './effects/attachments.ts';
import { halt } from './effects/halt.ts';
import type { Journal } from './effects/journal.ts';
import type { Limits } from './limits.ts';
import type { sessionMachine } from './machines/session.ts';
import type { SessionEnv } from './machines/session-context.ts';
import type { DaemonEvent, SessionCommand } from './messages.ts';
import type { Clock, Log, LogStore } from './ports.ts';

/**
 * Who is loaded. Sessions are root actors; this holds them, loads them from the log on demand, and carries out what the daemon
 * chart decides about the ones that crashed. One slot for each id, so there is never a second owner of a log.
 *
 * Invariants: nothing is loaded while it has uncommitted records; a crashed or halted actor is stopped with all its children
 * before its log is read again; what waits meanwhile is bounded and is answered, one way or the other.
 */
export type SessionActor = ActorRefFrom<typeof sessionMachine>;

export type Slot =
  | { state: 'live'; actor: SessionActor }
  /** `halted`: its commit failed and storage is not back. `backoff`: it crashed and will be restarted. */
  | { state: 'loading' | 'halted' | 'backoff'; inbox: Visitor[] }
  | { state: 'quarantined'; reason: string; sinceMs: number };

/** Something that waits for a session to be there. */
export interface Visitor {
  enter(actor: SessionActor): void;
  refuse(error: OptaError): void;
  /** Called in place of `refuse` when the log does not know the session; the state makes a new one. */
  create?(): { state: SessionState; record: LogRecord };
}

export interface Registry {
  readonly slots: ReadonlyMap<string, Slot>;
  /** Of a session that is loaded. */
  stateOf(sessionId: string): SessionState | null;
  visit(sessionId: string, visitor: Visitor): void;
  deliver(sessionId: string, command: SessionCommand & { ask: number }): void;
  /** Until `work` releases it nobody loads the session; who comes waits. False when it is loaded, or the daemon stops. */
  hold(sessionId: string, work: (release: () => void) => void): boolean;
  /** Loads the sessions with open work, then calls back. */
  loadOpen(done: () => void): void;
  restart(sessionId: string, delayMs: number): void;
  quarantine(sessionId: string, reason: string): void;
  passivate(sessionId: string): void;
  halt(sessionIds: string[]): void;
  /** Storage is back (`true`), or is not but can perhaps be read (`false`). */
  resume(writable: boolean): void;
  stopAll(done: () => void): void;
  stopped(sessionId: string): void;
}

export interface RegistryParts {
  logic: typeof sessionMachine;
  env: SessionEnv;
  store: LogStore;
  clock: Clock;
  log: Log;
  limits: Limits;
  journal: Journal;
  asks: Asks;
  attachments: Attachments;
  supervise: (event: DaemonEvent) => void;
  /** An actor is made and about to start. */
  starting?: (sessionId: string, actor: SessionActor) => void;
}

export const createRegistry = (parts: RegistryParts): Registry => {
  const { store, clock, log, limits, journal, asks, attachments } = parts;
  const slots = new Map<string, Slot>();
  let draining: (() => void) | null = null;

  const start = (sessionId: string, state: SessionState): SessionActor => {
    const actor = createActor(parts.logic, { input: { state, env: parts.env }, clock: xstateClock(clock) });
    slots.set(sessionId, { state: 'live', actor });
    actor.subscribe({ error: (cause) => crashed(sessionId, actor, cause) });
    parts.starting?.(sessionId, actor);
    actor.start();
    return actor;
  };

  const crashed = (sessionId: string, actor: SessionActor, cause: unknown): void => {
    const slot = slots.get(sessionId);
    if (slot?.state !== 'live' || slot.actor !== actor) return;
    const { message: reason } = toOptaError(cause);
    log.error('session crashed', { sessionId, reason });
    // The order matters: first nothing of it runs any more, then its waits are let go.
    halt(actor);
    slots.set(sessionId, { state: 'backoff', inbox: [] });
    journal.drop(sessionId);
    asks.abandon(sessionId, 'The session failed while it handled this; read it again to see what was recorded.');
    parts.supervise({ type: 'session.crashed', sessionId, reason, at: clock.now() });
    // It is not restarted into a daemon that stops.
    drained();
  };

  const load = (sessionId: string): void => {
    const slot = slots.get(sessionId);
    if (slot?.state !== 'loading') return;
    journal.whenClean(sessionId, () => {
      store.load(sessionId, (error, stored) => {
        if (slots.get(sessionId) !== slot) return;
        if (draining) return leave(sessionId, slot, new OptaError('shutting-down', 'The daemon is stopping.'));
        if (error) {
          journal.settle(sessionId, null);
          return leave(sessionId, slot, error);
        }
        if (!stored) return missing(sessionId, slot);
        let state: SessionState;
        try {
          state = recovered(sessionId, stored);
        } catch (cause) {
          journal.settle(sessionId, null);
          slots.set(sessionId, { state: 'backoff', inbox: slot.inbox });
          const reason = `log unreadable: ${toOptaError(cause).message}`;
          return parts.supervise({ type: 'session.crashed', sessionId, reason, at: clock.now() });
        }
        journal.settle(sessionId, state.seq);
        journal.noteLoaded(sessionId, stored.records.length);
        attachments.moved(sessionId, state.seq);
        enterAll(sessionId, slot.inbox, state);
      });
    });
  };

  /** What waited goes in, as long as the session stays up. */
  const enterAll = (sessionId: string, inbox: Visitor[], state: SessionState): void => {
    const actor = start(sessionId, state);
    for (const visitor of inbox) {
      const now = slots.get(sessionId);
      if (now?.state === 'live' && now.actor === actor) visitor.enter(actor);
      else visit(sessionId, visitor);
    }
  };

  const missing = (sessionId: string, slot: Slot & { inbox: Visitor[] }): void => {
    journal.settle(sessionId, 0);
    const maker = slot.inbox.find((v) => v.create);
    const born = maker?.create?.();
    if (!born) return leave(sessionId, slot, new OptaError('session-not-found', `Session not found: ${sessionId}`));
    journal.append(born.state, [born.record]);
    enterAll(sessionId, slot.inbox, born.state);
  };

  const leave = (sessionId: string, slot: Slot & { inbox: Visitor[] }, error: OptaError): void => {
    slots.delete(sessionId);
    for (const visitor of slot.inbox) visitor.refuse(error);
    drained();
  };

  /** `patient`: waits for a session whose storage is not back; others are told at once. */
  const visit = (sessionId: string, visitor: Visitor, patient = false): void => {
    const slot = slots.get(sessionId);
    if (slot?.state === 'live') return visitor.enter(slot.actor);
    if (slot?.state === 'quarantined') {
      return visitor.refuse(new OptaError('session-quarantined', `The session is quarantined: ${slot.reason}`));
    }
    if (slot?.state === 'halted' && !patient) {
      return visitor.refuse(
        new OptaError('storage-read-only', 'Nothing can be stored now; the session goes on when storage is back.'),
      );
    }
    if (draining) return visitor.refuse(new OptaError('shutting-down', 'The daemon is stopping.'));
    if (slot) {
      if (slot.inbox.length < limits.inboxCommandsMax) slot.inbox.push(visitor);
      else
        visitor.refuse(
          new OptaError('too-many-requests', 'Too much waits for this session already.', { retryAfterMs: 1_000 }),
        );
      return;
    }
    if (slots.size >= limits.sessionsLiveMax && !makeRoom()) {
      return visitor.refuse(
        new OptaError('too-many-requests', `${slots.size} sessions are loaded.`, { retryAfterMs: 1_000 }),
      );
    }
    slots.set(sessionId, { state: 'loading', inbox: [visitor] });
    load(sessionId);
  };

  const remove = (sessionId: string): void => {
    slots.delete(sessionId);
    journal.forget(sessionId);
  };

  /** Stops an idle session with nothing uncommitted; its log stays. One synchronous step, so nothing can come between. */
  const unload = (sessionId: string): boolean => {
    const slot = slots.get(sessionId);
    if (slot?.state !== 'live' || journal.dirty(sessionId)) return false;
    const snapshot = slot.actor.getSnapshot();
    if (!snapshot.matches('idle') && !snapshot.matches('deleted')) return false;
    if (snapshot.context.jobs.length > 0) return false;
    halt(slot.actor);
    remove(sessionId);
    return true;
  };

  /** The session that was loaded first and is idle gives up its place. */
  const makeRoom = (): boolean => [...slots.keys()].some(unload);

  const sendAll = (event: { type: 'session.stop' }): void => {
    for (const slot of [...slots.values()]) if (slot.state === 'live') slot.actor.send(event);
  };

  const drained = (): void => {
    if (!draining || [...slots.values()].some((s) => s.state === 'live' || s.state === 'loading')) return;
    const done = draining;
    draining = () => undefined;
    store.flush(() => done());
  };

  return {
    slots,
    stateOf(sessionId) {
      const slot = slots.get(sessionId);
      return slot?.state === 'live' ? slot.actor.getSnapshot().context.f : null;
    },
    visit,
    deliver(sessionId, command) {
      visit(sessionId, {
        enter: (actor) => actor.send(command),
        refuse: (error) => asks.refuse(command.ask, error.code, error.message, error.facts),
      });
    },
    hold(sessionId, work) {
      if (draining || slots.has(sessionId)) return false;
      const slot: Slot & { inbox: Visitor[] } = { state: 'loading', inbox: [] };
      slots.set(sessionId, slot);
      work(() => {
        if (slot.inbox.length > 0) return load(sessionId);
        slots.delete(sessionId);
        drained();
      });
      return true;
    },
    loadOpen(done) {
      store.open((error, ids) => {
        if (error) {
          log.error('open sessions cannot be read', { reason: error.message });
          return done();
        }
        let left = ids.length;
        if (left === 0) return done();
        const one = (): void => {
          left--;
          if (left === 0) done();
        };
        // What the recovery of a session recorded must be stored before anybody is let in; if that fails, it is tried again.
        const recover = (id: string): void => {
          const stored = (): void => {
            const slot = slots.get(id);
            if (slot && 'inbox' in slot) recover(id);
            else one();
          };
          visit(id, { refuse: one, enter: () => journal.whenClean(id, stored) }, true);
        };
        for (const id of ids) recover(id);
      });
    },
    restart(sessionId, delayMs) {
      clock.setTimeout(() => {
        const slot = slots.get(sessionId);
        if (slot?.state !== 'backoff') return;
        slots.set(sessionId, { state: 'loading', inbox: slot.inbox });
        load(sessionId);
      }, delayMs);
    },
    quarantine(sessionId, reason) {
      const slot = slots.get(sessionId);
      slots.set(sessionId, { state: 'quarantined', reason, sinceMs: clock.now() });
      journal.settle(sessionId, null);
      if (slot && 'inbox' in slot) {
        for (const v of slot.inbox)
          v.refuse(new OptaError('session-quarantined', `The session is quarantined: ${reason}`));
      }
    },
    passivate(sessionId) {
      // Not in the actor's own stack.
      clock.soon(() => {
        unload(sessionId);
      });
    },
    halt(sessionIds) {
      for (const id of sessionIds) {
        const slot = slots.get(id);
        if (slot?.state === 'quarantined') continue;
        if (slot?.state === 'live') halt(slot.actor);
        slots.set(id, { state: 'halted', inbox: slot && 'inbox' in slot ? slot.inbox : [] });
        asks.abandon(id, 'Storage failed while this was handled; read the session again to see what was recorded.');
      }
    },
    resume(writable) {
      for (const [id, slot] of [...slots]) {
        if (slot.state !== 'halted') continue;
        if (writable) {
          slots.set(id, { state: 'loading', inbox: slot.inbox });
          load(id);
        } else {
          store.load(id, (error, stored) => {
            if (!error) journal.settle(id, stored ? headOf(stored) : 0);
          });
        }
      }
    },
    stopAll(done) {
      if (draining) return;
      const late = clock.setTimeout(() => sendAll({ type: 'session.stop' }), limits.drainGraceMs);
      draining = () => {
        clock.clearTimeout(late);
        done();
      };
      for (const [id, slot] of [...slots]) {
        if (slot.state === 'live') slot.actor.send({ type: 'session.drain' });
        else if ('inbox' in slot && slot.state !== 'loading') {
          leave(id, slot, new OptaError('shutting-down', 'The daemon is stopping.'));
        }
      }
      drained();
    },
    stopped(sessionId) {
      clock.soon(() => {
        journal.whenClean(sessionId, () => {
          const slot = slots.get(sessionId);
          if (slot?.state !== 'live') return;
          halt(slot.actor);
          remove(sessionId);
          drained();
        });
      });
    },
  };
};

const headOf = (stored: { snapshot: SessionState | null; records: { seq: number }[] }): number =>
  stored.records.at(-1)?.seq ?? stored.snapshot?.seq ?? 0;

/** State as the fold of what is stored: newest snapshot, then the records after it ([CR2]). Throws on a log it cannot read. */
export const recovered = (
  sessionId: string,
  stored: { snapshot: SessionState | null; records: { seq: number; text: string }[] },
): SessionState => {
  // A snapshot of an older version lacks what has been added since; an empty session has it.
  const from = { ...emptySession(sessionId), ...stored.snapshot };
  const records = stored.records.map((r) => decodeEnvelope(r.text).record);
  records.forEach((r, i) => {
    if (r.seq !== from.seq + 1 + i)
      throw new OptaError('storage', `record ${r.seq} stands where ${from.seq + 1 + i} belongs`);
  });
  return foldAll(from, records);
};

const xstateClock = (clock: Clock) => ({
  setTimeout: (fn: (...args: unknown[]) => void, ms: number) => clock.setTimeout(fn, ms),
  clearTimeout: (id: unknown) => clock.clearTimeout(id),
});
