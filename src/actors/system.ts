import { createActor } from 'xstate';
import { OptaError } from '../protocol/errors.ts';
import type { SessionSnapshot } from '../protocol/session.ts';
import { type SessionState, toSnapshot } from '../protocol/session-state.ts';
import { bindSession } from './binding.ts';
import { wordsOf } from './domain/command-line.ts';
import { forkedSession, newSession } from './domain/session-birth.ts';
import { DELETED } from './domain/session-facts.ts';
import { digestOf } from './domain/submit-digest.ts';
import { createAsks } from './effects/asks.ts';
import { createAttachments } from './effects/attachments.ts';
import { foldUntil } from './effects/fold-until.ts';
import type { Gates } from './effects/inference-stream.ts';
import { createJournal, type Journal } from './effects/journal.ts';
import { purgeExpired } from './effects/purge.ts';
import { sessionTools } from './effects/session-tools.ts';
import { gauges } from './gauges.ts';
import { daemonMachine } from './machines/daemon.ts';
import type { SessionEnv } from './machines/session-context.ts';
import type { Ask, SessionCommand } from './messages.ts';
import type { Done, StoreStatus } from './ports.ts';
import { createRegistry, type Registry, recovered } from './registry.ts';
import type { ForkAt, RuntimeHealth } from './runtime.ts';
import type { System, SystemParts } from './system-parts.ts';
import { createInspectionFeed } from './watch/inspection-feed.ts';
import { createLooks } from './watch/looks.ts';

export type { System, SystemParts } from './system-parts.ts';

/**
 * The actor system: the charts bound to their effects, the registry of sessions, and the daemon actor that supervises them.
 * Everything it touches comes through a port, so the simulator runs this very system.
 */
export const createSystem = (p: SystemParts): System => {
  const { clock, limits, store, log } = p;
  const asks = createAsks(() => journal);
  const attachments = createAttachments({ store, clock, limits });
  const gates: Gates = new Set();
  let ingressSeq = 0;
  let stored = 0;
  let onBoot: (() => void) | null = null;
  let onStopped: (() => void) | null = null;
  let storageFailures = 0;

  const journal: Journal = createJournal({
    store,
    clock,
    daemonId: p.daemonId,
    snapshotEveryRecords: limits.snapshotEveryRecords,
    publish: (sessionId, records) => {
      attachments.publish(sessionId, records);
      p.published?.(sessionId, records);
    },
    failed: (sessionIds, error) => {
      log.error('commit failed', { reason: error.message, sessions: sessionIds.length });
      registry.halt(sessionIds);
      storageFailures++;
      daemon.send({ type: 'storage.failed', reason: error.message, at: clock.now() });
    },
    ...(p.check ? { check: p.check } : {}),
  });

  const env: SessionEnv = {
    now: clock.now,
    limits,
    tools: p.tools,
    rules: p.rules,
    ...(p.workspaceRules ? { workspaceRules: p.workspaceRules } : {}),
    permissionDeadlineMs: p.permissionDeadlineMs,
    attended: attachments.attended,
    processesInAll: () => processes(),
    keepsProcesses: p.processes.adopt !== undefined,
    home: p.processes.home,
    ...(p.keepsVersions === undefined ? {} : { keepsVersions: p.keepsVersions }),
  };

  const ofSession = sessionTools({
    ...p,
    stateOf: (id) => registry.stateOf(id),
    runtime: () => system,
    command: (id, done, make) => deliver(id, done, make),
  });

  const registry: Registry = createRegistry({
    logic: bindSession(p, journal, asks, gates, () => registry, ofSession),
    env,
    store,
    clock,
    log,
    limits,
    journal,
    asks,
    attachments,
    supervise: (event) => daemon.send(event),
    starting: (sessionId, actor) => feed.started(sessionId, actor),
  });

  const reopen = (): void =>
    journal.reopen((error) => {
      registry.resume(error === null);
      if (error) daemon.send({ type: 'storage.failed', reason: error.message, at: clock.now() });
      else daemon.send({ type: 'storage.reopened' });
    });

  const daemon = createActor(
    daemonMachine.provide({
      actions: {
        loadOpenSessions: () => registry.loadOpen(() => daemon.send({ type: 'boot.done' })),
        restartSession: (_, { sessionId, delayMs }) => registry.restart(sessionId, delayMs),
        quarantineSession: (_, { sessionId, reason }) => registry.quarantine(sessionId, reason),
        reopenStorage: reopen,
        // Not in the daemon's own stack: every session answers the stop with transitions of its own.
        stopSessions: () => clock.soon(() => registry.stopAll(() => daemon.send({ type: 'drained' }))),
        allStopped: () => onStopped?.(),
      },
    }),
    {
      input: { limits },
      clock: { setTimeout: (fn, ms) => clock.setTimeout(fn, ms), clearTimeout: (id) => clock.clearTimeout(id) },
    },
  );
  const feed = createInspectionFeed({ daemon, slots: () => registry.slots, clock, log });
  daemon.subscribe((s) => {
    if (s.matches('ready')) {
      // Those of sessions that could not be loaded are nobody's.
      if (onBoot) p.processes.endStrays(new Set(loaded().flatMap(({ jobs }) => jobs)));
      onBoot?.();
      onBoot = null;
    }
  });

  const life = (): RuntimeHealth['state'] => {
    const { value } = daemon.getSnapshot();
    if (typeof value !== 'string') return 'starting';
    return value === 'readOnly' ? 'read-only' : (value as RuntimeHealth['state']);
  };

  /** Whether a command that writes is let in now. */
  const barred = (): OptaError | null => {
    const state = life();
    if (state === 'read-only') {
      const reason = daemon.getSnapshot().context.storage?.reason ?? 'storage failed';
      return new OptaError('storage-read-only', `Nothing can be stored now: ${reason}`, { retryAfterMs: 1_000 });
    }
    if (state !== 'ready') return new OptaError('shutting-down', `The daemon is ${state}.`);
    if (journal.tailBytes > limits.tailBytesMax || asks.size > limits.answersPendingMax) {
      return new OptaError('too-many-requests', 'Storage is behind; try again.', { retryAfterMs: 500 });
    }
    return null;
  };

  /** State that is committed, whether or not the session is loaded. */
  const read = (sessionId: string, done: Done<SessionState>): void => {
    const slot = registry.slots.get(sessionId);
    if (slot?.state === 'live') {
      const { f } = slot.actor.getSnapshot().context;
      // A tail that is lost is not read any more: then it is what the log has.
      journal.barrier(
        sessionId,
        f.seq,
        () => done(null, f),
        () => readStored(sessionId, done),
      );
      return;
    }
    readStored(sessionId, done);
  };

  const readStored = (sessionId: string, done: Done<SessionState>): void =>
    journal.whenClean(sessionId, () =>
      store.load(sessionId, (error, found) => {
        const none = new OptaError('session-not-found', `Session not found: ${sessionId}`);
        if (error ?? !found) return done(error ?? none, null as never);
        try {
          done(null, recovered(sessionId, found));
        } catch (cause) {
          done(new OptaError('storage', `The log of ${sessionId} cannot be read: ${String(cause)}`), null as never);
        }
      }),
    );

  const deliver = <T>(sessionId: string, done: Done<T>, make: (ask: Ask) => SessionCommand & { ask: Ask }): void =>
    registry.deliver(sessionId, make(asks.open(sessionId, done)));

  /** A command that changes something, unless the daemon takes none. */
  const command: typeof deliver = (sessionId, done, make) => {
    const bar = barred();
    if (bar) done(bar, null as never);
    else deliver(sessionId, done, make);
  };

  const loaded = () =>
    [...registry.slots.values()].flatMap((slot) => (slot.state === 'live' ? [slot.actor.getSnapshot().context] : []));
  const processes = (): number => loaded().reduce((n, { jobs }) => n + jobs.length, 0);

  const fork = (sessionId: string, at: ForkAt, done: Done<SessionSnapshot>): void => {
    const bar = barred();
    if (bar) return done(bar, null as never);
    const id = at.sessionId ?? p.ids.session();
    foldUntil({ store, journal }, sessionId, at.atSeq, (error, source) => {
      if (error) return done(error, null as never);
      let born = false;
      registry.visit(id, {
        create: () => {
          born = true;
          stored++;
          return forkedSession(id, source, at, clock.now());
        },
        enter: (actor) => {
          const { f } = actor.getSnapshot().context;
          if (born) asks.answer(asks.open(id, done), f.seq, toSnapshot(f));
          else done(new OptaError('session-exists', `There is a session ${id} already`), null as never);
        },
        refuse: (problem) => done(problem, null as never),
      });
    });
  };

  const system: System = {
    daemonId: p.daemonId,
    parts: { journal, registry, attachments, asks, feed },

    start(done) {
      onBoot = done;
      store.list({ limit: 1 }, (_error, page) => {
        stored = page?.total ?? 0;
        daemon.start();
      });
    },
    stop(done) {
      onStopped = () => {
        attachments.closeAll();
        done();
      };
      daemon.send({ type: 'drain' });
    },

    committed: (sessionId, fact) =>
      command(
        sessionId,
        (error) => error && log.warn('a commit is not on record', { sessionId, reason: error.message }),
        (ask) => ({ type: 'session.committed', ask, fact }),
      ),

    purge: (done) =>
      purgeExpired(
        { store, hold: registry.hold, purged: attachments.purged, beforeMs: clock.now() - limits.deletedRetentionMs },
        done,
      ),

    create(input, done) {
      const bar = barred();
      if (bar) return done(bar, null as never);
      if (JSON.stringify(input.metadata ?? {}).length > limits.metadataCharsMax) {
        return done(tooLong('metadata', limits.metadataCharsMax, 'characters'), null as never);
      }
      const sessionId = input.sessionId ?? p.ids.session();
      const born = () => {
        stored++;
        return newSession(sessionId, input, { model: p.defaultModel }, clock.now());
      };
      const reply = (state: SessionState): void =>
        asks.answer(asks.open(sessionId, done), state.seq, toSnapshot(state));
      if (input.sessionId === undefined) {
        // A fresh id has no log and no actor yet: its first command will load it.
        const { state, record } = born();
        journal.append(state, [record]);
        reply(state);
        return;
      }
      registry.visit(sessionId, {
        enter: (actor) => {
          const { f } = actor.getSnapshot().context;
          if (f.deletedAt === undefined) reply(f);
          else done(new OptaError('session-deleted', DELETED, { deletedAt: f.deletedAt }), null as never);
        },
        refuse: (error) => done(error, null as never),
        create: born,
      });
    },
    get: read,
    list: (page, done) => store.list(page, done),
    submit(sessionId, input, done) {
      const bar = barred();
      if (bar) return done(bar, null as never);
      if (Buffer.byteLength(input.content) > limits.contentBytesMax) {
        return done(tooLong('content', limits.contentBytesMax, 'bytes'), null as never);
      }
      ingressSeq++;
      const ask = asks.open(sessionId, done);
      const digest = input.idempotencyKey === undefined ? {} : { digest: digestOf(input) };
      registry.deliver(sessionId, { type: 'turn.submit', ask, turnId: p.ids.turn(), input, ...digest });
    },
    editQueued(sessionId, turnId, edit, done) {
      if (Buffer.byteLength(edit.content ?? '') > limits.contentBytesMax) {
        return done(tooLong('content', limits.contentBytesMax, 'bytes'), null as never);
      }
      command(sessionId, done, (ask) => ({ type: 'queue.edit', ask, turnId, edit }));
    },
    withdraw: (sessionId, turnId, writerId, done) =>
      command(sessionId, done, (ask) => ({ type: 'queue.withdraw', ask, turnId, writerId })),
    patch: (sessionId, patch, done) => command(sessionId, done, (ask) => ({ type: 'session.patch', ask, patch })),
    delete: (sessionId, done) => command(sessionId, done, (ask) => ({ type: 'session.delete', ask })),
    undelete: (sessionId, done) => command(sessionId, done, (ask) => ({ type: 'session.undelete', ask })),
    fork: (sessionId, at, done) => fork(sessionId, at, done),
    undo: (sessionId, undo, done) => command(sessionId, done, (ask) => ({ type: 'session.undo', ask, ...undo })),
    // A cancel and a decision are let in whatever the daemon's state: they only end what was begun.
    cancel: (sessionId, target, done) => deliver(sessionId, done, (ask) => ({ type: 'turn.cancel', ask, target })),
    resolve: (sessionId, decision, done) =>
      deliver(sessionId, done, (ask) => ({ type: 'permission.resolve', ask, decision })),
    read(sessionId, afterSeq, limit, done) {
      const recordsMax = Math.min(limit, limits.readPageRecordsMax * 20);
      store.read(sessionId, afterSeq, { recordsMax, bytesMax: limits.readPageBytesMax * 8 }, done);
    },
    flushed: (sessionId, seq, done) => asks.answer(asks.open(sessionId, done), seq, undefined),
    startBackground(input, done) {
      const argv = input.shell ? ['/bin/sh', '-c', input.command] : wordsOf(input.command);
      if (!argv) return done(new OptaError('invalid-request', UNREADABLE), null as never);
      const processId = p.ids.process();
      command(input.sessionId, done, (ask) => ({ type: 'background.start', ask, processId, input, argv }));
    },
    killBackground: (sessionId, processId, signal, done) =>
      deliver(sessionId, done, (ask) => ({ type: 'background.kill', ask, processId, signal })),
    backgroundHomes: (id) =>
      loaded().flatMap(({ f }) => (f.background.some((b) => (id ?? b.processId) === b.processId) ? [f.sessionId] : [])),
    attach: attachments.attach,
    presence: attachments.presence,

    ...createLooks({ daemon, registry, clock, limits, presence: attachments.presence, feed, read }),
    health() {
      const live = [...registry.slots.values()].flatMap((s) =>
        s.state === 'live' ? [s.actor.getSnapshot().context.f] : [],
      );
      const { quarantined, storage } = daemon.getSnapshot().context;
      const storageStatus: StoreStatus = storage
        ? { state: 'read-only', reason: storage.reason, since: storage.sinceMs }
        : { state: 'ok' };
      return {
        state: life(),
        sessionCount: stored,
        activeTurnCount: live.filter((f) => f.active).length,
        queuedTurnCount: live.reduce((n, f) => n + f.queue.length, 0),
        subscriberCount: attachments.total,
        ingressSeq,
        quarantined: [...quarantined].map(([sessionId, q]) => ({
          sessionId,
          reason: q.reason,
          since: new Date(q.atMs).toISOString(),
        })),
        storage: storageStatus,
      };
    },
    metrics: () => {
      const { crashes } = daemon.getSnapshot().context;
      return gauges(limits, {
        registry,
        journal,
        asks,
        attachments,
        gates,
        crashes,
        now: clock.now(),
        storageFailures,
        processes: processes(),
      });
    },
  };
  return system;
};

const tooLong = (what: string, max: number, unit: string): OptaError =>
  new OptaError('payload-too-large', `${what} is longer than ${max} ${unit}`);

const UNREADABLE = 'The command names no program, or a quote is not closed';
