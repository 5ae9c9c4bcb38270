import { LIMITS, type Limits } from '../../src/actors/limits.ts';
import type { Clock, StoredRecord } from '../../src/actors/ports.ts';
import { createSystem, type System } from '../../src/actors/system.ts';
import { decodeEnvelope } from '../../src/protocol/envelope.ts';
import type { SnapshotFrame } from '../../src/protocol/frames.ts';
import { emptySession, foldAll } from '../../src/protocol/session-state.ts';
import { type Dispatch, dispatcher } from '../../src/transport/dispatch.ts';
import { eventPlane } from '../../src/transport/event-plane.ts';
import { handlers, NO_OPERATIONS } from '../../src/transport/handlers.ts';
import { Latency } from '../../src/transport/latency.ts';
import { LoopDelay } from '../../src/transport/loop-delay.ts';
import type { Socket, SocketEnd } from '../../src/transport/port.ts';
import { SseStreams } from '../../src/transport/sse.ts';
import { checkBegun, checkInterrupted, checkOutput, checkOwners } from './background-commands.ts';
import { SimClient } from './client.ts';
import { type Life, VirtualClock } from './clock.ts';
import { type Faults, SimDisk } from './disk.ts';
import { type FakeInference, fakeInference } from './fake-inference.ts';
import { ProcessTable } from './fake-processes.ts';
import { type FakeTools, fakeTools } from './fake-tools.ts';
import { LogChecker } from './log-checker.ts';
import { Random } from './random.ts';

/** Small bounds, so that a short run meets them all. */
export const SIM_LIMITS: Limits = {
  ...LIMITS,
  queueTurnsMax: 4,
  turnStepsMax: 6,
  turnCallsMax: 12,
  turnDurationMs: 20_000,
  passivateAfterMs: 400,
  cancelDeadlineMs: 500,
  toolKillDeadlineMs: 300,
  permissionDeadlineMs: 1_500,
  firstDeltaDeadlineMs: 800,
  deltaGapDeadlineMs: 600,
  streamRetryBaseMs: 10,
  tokenCharsMax: 64,
  gateCharsMax: 256,
  toolDeadlineMs: 400,
  snapshotEveryRecords: 24,
  readerBytesMax: 2_000,
  readerStallMs: 3_000,
  ringFramesMax: 16,
  ringBytesMax: 4_000,
  inboxCommandsMax: 8,
  storageReopenBackoffMs: 40,
  restartBackoffBaseMs: 1,
  drainGraceMs: 200,
  drainDeadlineMs: 2_000,
  backgroundSessionMax: 3,
  backgroundMax: 5,
  backgroundStartMs: 400,
  backgroundGraceMs: 60,
  backgroundStopGraceMs: 40,
  backgroundOutputCharsMax: 3_000,
  backgroundTailCharsMax: 200,
};

interface Daemon {
  life: Life;
  clock: Clock;
  system: System;
  dispatch: Dispatch;
  connect: (sessionId: string, afterSeq: number, socket: Socket, observer: boolean) => SocketEnd;
  inference: FakeInference;
  tools: FakeTools;
  ready: boolean;
}

/** The world: one disk that outlives everything, one daemon at a time, clients that come and go. */
export class World {
  readonly violations: string[] = [];
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly faults: Faults = { failing: 0, landed: 0.25, full: false, slow: 0.05 };
  readonly disk: SimDisk;
  readonly processes = new ProcessTable();
  readonly clients: SimClient[] = [];
  readonly sessionIds: string[];
  readonly outside: Clock;
  checkers = new Map<string, LogChecker>();
  daemon: Daemon | null = null;
  /** Commands that wait for their answer, by requestId. */
  readonly pending = new Map<
    string,
    {
      kind: string;
      sessionId: string;
      content?: string;
      turnId?: string;
      callId?: string;
      decidedBy?: string;
      key?: string;
    }
  >();
  readonly refused = new Set<string>();
  /** Submits with an idempotency key, to be said again. */
  readonly keyed: { sessionId: string; content: string; idempotencyKey: string }[] = [];
  /** Keys that were also tried with another task: either may have been first. */
  readonly abused = new Set<string>();
  /** [BG7] Background processes outlive their daemon. */
  readonly keeps: boolean;
  /** The turn that each key was said to be. */
  readonly #turnOfKey = new Map<string, string>();
  readonly acked: { sessionId: string; seq: number; turnId: string }[] = [];
  poison = true;
  /** The daemon is on its way to a clean end. */
  stopping = false;
  steps = 0;
  /** Snapshot frames that were compared with the log. */
  snapshots = 0;
  daemons = 0;
  #dispatching = 0;
  #ids = 0;

  constructor(seed: number, sessions: number, clients: number) {
    this.random = new Random(seed);
    this.keeps = seed % 3 === 0;
    this.outside = this.clock.for({ alive: true });
    this.disk = new SimDisk(this.outside);
    this.sessionIds = Array.from({ length: sessions }, (_, i) => `s${i}`);
    for (let i = 0; i < clients; i++) {
      const sessionId = this.sessionIds[i % sessions]!;
      this.clients.push(new SimClient(sessionId, this.#hooks(), this.outside, this.random.fork()));
    }
  }

  report = (violation: string): void => {
    if (this.violations.length < 20)
      this.violations.push(`t+${this.clock.time - Date.parse('2026-01-01')}ms ${violation}`);
  };

  id(prefix: string): string {
    return `${prefix}${++this.#ids}`;
  }

  checker(sessionId: string): LogChecker {
    const found = this.checkers.get(sessionId);
    if (found) return found;
    const made = new LogChecker(sessionId, SIM_LIMITS, this.report);
    this.checkers.set(sessionId, made);
    return made;
  }

  // --- the daemon's life -------------------------------------------------------------------------------------------

  boot(): void {
    const life: Life = { alive: true };
    const clock = this.clock.for(life);
    const random = this.random.fork();
    const inference = fakeInference(clock, random.fork());
    const tools = fakeTools(clock, random.fork(), (run, alive) => {
      if (run.name === 'restore_files') return;
      if (!this.checker(run.sessionId).mayRun(run.turnId, run.callId)) {
        this.report(`PM4: ${run.name} of ${run.turnId} ran before its permission was committed`);
      }
      if (run.name === 'ask') this.report(`PM7: a question of ${run.turnId} ran as a tool`);
      const beside = [...alive.values()].filter((other) => other.turnId === run.turnId);
      if (beside.length > 0 && [...beside, run].some(({ name }) => name !== 'read'))
        this.report('TL2: a tool that may change something runs beside another');
    });
    const plan = tools.plan.bind(tools);
    const store = this.disk.mount(
      clock,
      random.fork(),
      this.faults,
      (id, records) => this.#committed(id, records),
      this.report,
    );
    const daemonId = `daemon_${++this.daemons}`;
    const system = createSystem({
      daemonId,
      clock,
      ids: {
        turn: () => this.id('t'),
        session: () => this.id('g'),
        request: () => this.id('r'),
        process: () => this.id('p'),
      },
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
      limits: SIM_LIMITS,
      store,
      inference,
      tools: {
        ...tools,
        plan: (name, args, scope) => {
          if (this.poison && this.random.chance(0.01)) throw new Error('poisoned');
          return plan(name, args, scope);
        },
      },
      processes: this.processes.mount(
        life,
        clock,
        random.fork(),
        (run) => checkBegun(this, run.processId),
        this.keeps ? this.outside : undefined,
      ),
      rules: [],
      permissionDeadlineMs: SIM_LIMITS.permissionDeadlineMs,
      defaultModel: 'sim-model',
      // A fault in the middle of whatever a session was doing.
      check: (record) => {
        if (this.poison && record.event !== 'session.snapshot' && this.random.chance(0.001)) {
          this.excuse();
          throw new Error('poisoned');
        }
      },
    });
    const onFault = (where: string, fault: unknown): void => this.report(`SV1: fault in ${where}: ${String(fault)}`);
    const latency = new Latency();
    const inner = dispatcher({
      latency,
      onFault,
      checkAnswers: true,
      handlers: handlers({
        runtime: system,
        version: '0',
        transport: { adapter: 'sim', why: 'simulated' },
        latency,
        facts: () => ({ toolWorkers: { workers: 0, busy: 0, queued: 0 }, engine: 'sim' }),
        gauges: () => [],
        streams: new SseStreams(clock),
        exports: new Set<never>(),
        waits: new Set<never>(),
        loop: new LoopDelay(),
        now: clock.now,
        timers: clock,
        operations: () => NO_OPERATIONS,
        web: {} as never,
        onFault,
      }),
    });
    const dispatch: Dispatch = (id, raw) => {
      this.#dispatching++;
      return inner(id, raw).finally(() => {
        this.#dispatching--;
      });
    };
    const daemon: Daemon = {
      life,
      clock,
      system,
      dispatch,
      inference,
      tools,
      ready: false,
      connect: (sessionId, afterSeq, socket, observer) => {
        const end = eventPlane({
          runtime: system,
          dispatch,
          auth: {
            http: () => ({ right: 'full' }),
            socket: () => ({ right: 'full' }),
            hold: () => () => undefined,
            counts: () => true,
          },
          access: { check: () => undefined, cors: () => [] } as never,
          closing: () => false,
          sockets: () => 0,
          onFault,
          now: clock.now,
          timers: clock,
          live: new Set(),
        })({ method: 'GET', path: '/v3/ws', query: this.#url(sessionId, afterSeq, observer), headers: new Map() });
        if (!('open' in end)) throw new Error('the upgrade was refused');
        return end.open(socket);
      },
    };
    this.daemon = daemon;
    system.start(() => {
      daemon.ready = true;
    });
  }

  /** What a socket asks for: most nothing, some who is there or the state of now. */
  #url(sessionId: string, afterSeq: number, observer: boolean): string {
    const { random } = this;
    const features = ['presence', 'snapshot'].filter(() => random.chance(0.15));
    const asks = features.length === 0 ? '' : `&features=${features.join(',')}`;
    return `sessionId=${sessionId}&afterSeq=${afterSeq}${asks}${observer ? '&role=observer' : ''}`;
  }

  /** `kill -9`; with `power` the machine loses its power too. */
  crash(power: boolean): void {
    if (!this.daemon) return;
    this.daemon.life.alive = false;
    this.daemon = null;
    const faulty = this.poison || this.faults.failing > 0 || this.faults.full;
    this.processes.orphan(this.random, power, faulty);
    for (const c of this.clients) c.cut();
    // Nobody will hear of what was under way.
    this.pending.clear();
    this.#dispatching = 0;
    if (power) {
      this.disk.crash(true);
      this.#rebuild();
    }
    this.excuse();
  }

  excuse(): void {
    for (const c of this.checkers.values()) c.excuse();
  }

  #rebuild(): void {
    this.checkers = new Map();
    for (const id of this.disk.sessions()) for (const r of this.disk.records(id)) this.checker(id).add(r.text);
    for (const { sessionId, seq, turnId } of this.acked) {
      if (this.checker(sessionId).head < seq)
        this.report(`EV5: turn ${turnId} was acknowledged and is gone after a power cut`);
    }
    for (const c of this.clients) {
      const head = this.checker(c.sessionId).head;
      if (c.cursor > head) c.cursor = head;
    }
  }

  // --- what is watched ---------------------------------------------------------------------------------------------

  #committed(sessionId: string, records: StoredRecord[]): void {
    const checker = this.checker(sessionId);
    for (const r of records) {
      const record = checker.add(r.text);
      if (!record) return;
      const said = this.daemon?.inference.said;
      if (record.event === 'turn.token') {
        const key = `${record.payload.turnId}/${record.payload.step}`;
        if (!(said?.get(key) ?? '').startsWith(checker.stepTexts.get(key) ?? ''))
          this.report(`EV3: text of ${key} is not what was said`);
      }
      if (record.event === 'background.status' && record.payload.reason === 'interrupted') checkInterrupted(this);
      if (record.event === 'background.status' && record.payload.reason !== 'started')
        checkOutput(this, sessionId, record.payload.process.processId);
      if (record.event === 'turn.done') {
        for (const [key, text] of checker.stepTexts) {
          if (key.startsWith(`${record.payload.turnId}/`) && said?.get(key) !== text)
            this.report(`EV3: text of ${key} was lost`);
        }
      }
    }
  }

  #hooks() {
    return {
      connect: (sessionId: string, afterSeq: number, socket: Socket, observer: boolean): SocketEnd => {
        if (!this.daemon) throw new Error('no daemon');
        return this.daemon.connect(sessionId, afterSeq, socket, observer);
      },
      received: (sessionId: string, seq: number, text: string): void => {
        const stored = this.checker(sessionId).texts[seq - 1];
        if (stored === undefined) this.report(`EV4: ${sessionId} seq ${seq} was seen before it was committed`);
        else if (stored !== text) this.report(`EV3: ${sessionId} seq ${seq} was sent with other bytes`);
      },
      answered: (frame: { [key: string]: unknown }) => this.#answered(frame),
      report: this.report,
    };
  }

  #answered(frame: { [key: string]: unknown }): void {
    if (frame.type === 'snapshot') return this.#checkSnapshot(frame as unknown as SnapshotFrame);
    const requestId = frame.requestId as string | undefined;
    const asked = requestId === undefined ? undefined : this.pending.get(requestId);
    if (!asked || requestId === undefined) return;
    this.pending.delete(requestId);
    const checker = this.checker(asked.sessionId);
    if (asked.kind === 'submit') {
      if (frame.type === 'ack') {
        const { seq, turnId } = frame as { seq: number; turnId: string };
        if (this.disk.flushedHead(asked.sessionId) < seq)
          this.report(`EV5: ${turnId} was acknowledged before it was flushed`);
        if (!checker.accepted.has(turnId)) this.report(`EV5: ${turnId} was acknowledged and is not in the log`);
        this.acked.push({ sessionId: asked.sessionId, seq, turnId });
        if (asked.key !== undefined) {
          const before = this.#turnOfKey.get(asked.key);
          if (before !== undefined && before !== turnId)
            this.report(`TQ5: ${asked.key} was ${before} and is ${turnId}`);
          this.#turnOfKey.set(asked.key, turnId);
        }
      } else if (frame.code === 'idempotency-mismatch') {
        if (!this.abused.has(asked.key ?? ''))
          this.report(`TQ5: ${asked.key} was refused although nothing else was said with it`);
      } else if (frame.code !== 'outcome-unknown' && frame.code !== 'timeout' && asked.content && !asked.key) {
        // With a key another attempt may have been taken.
        this.refused.add(asked.content);
      }
    }
    if (asked.kind === 'mismatch' && frame.type === 'ack' && this.#turnOfKey.has(asked.key ?? '')) {
      this.report(`TQ5: ${asked.key} took another request`);
    }
    if (asked.kind === 'cancel' && frame.type === 'ack' && asked.turnId) {
      const { cancelledActive, cancelledQueued } = frame.cancelled as {
        cancelledActive: boolean;
        cancelledQueued: number;
      };
      const outcome = checker.terminal.get(asked.turnId);
      const hit = cancelledActive || cancelledQueued > 0;
      if (hit && outcome !== 'cancelled')
        this.report(`CX3: ${asked.turnId} was said to be cancelled and is ${outcome}`);
      if (!hit && outcome === undefined && checker.accepted.has(asked.turnId) && this.daemon?.ready) {
        this.report(`CX1: a cancel of ${asked.turnId} missed it`);
      }
    }
    if (asked.kind === 'cancelCall' && frame.type === 'ack') {
      const { cancelledCalls, cancelledActive } = frame.cancelled as {
        cancelledCalls: number;
        cancelledActive: boolean;
      };
      const key = `${asked.turnId}/${asked.callId}`;
      if (cancelledActive) this.report(`CX5: a cancel of the call ${key} was one of its turn`);
      if (cancelledCalls === 1 && !checker.cancelledCalls.has(key))
        this.report(`CX5: ${key} was said to be cancelled and the log does not say so`);
      // A turn that the daemon's stop ends takes its calls along, as one that is being cancelled does.
      if (cancelledCalls === 0 && !this.stopping && checker.callIsOpen(asked.turnId ?? '', asked.callId ?? ''))
        this.report(`CX5: a cancel of ${key} missed it`);
    }
    if (asked.kind === 'misfit' && frame.type === 'ack' && (frame.result as { ok: boolean }).ok) {
      this.report(`PM7: ${asked.turnId} took a decision that does not fit it`);
    }
    if (asked.kind === 'decide' && frame.type === 'ack') {
      const result = frame.result as { ok: boolean; conflict: boolean; decidedBy?: string; code?: string };
      const taken = checker.state.decisions.find((d) => d.requestId === asked.turnId);
      if (result.ok && taken?.decidedBy !== `person:${asked.decidedBy}`)
        this.report('PM2: told it won and the log names another');
      // A session that failed in between answers that nobody can tell; a plain "unknown request" would be a lie.
      if (!result.ok && !result.conflict && result.code === 'permission-not-found' && taken)
        this.report('PM2: the loser was not told who won');
      if (result.conflict && taken && taken.decidedBy !== result.decidedBy)
        this.report('PM2: the loser was told of another winner');
    }
  }

  /** A snapshot is the fold of what is committed, up to the `seq` that it names. */
  #checkSnapshot({ sessionId, seq, state }: SnapshotFrame): void {
    const { texts } = this.checker(sessionId);
    if (seq > texts.length)
      return this.report(`EV4: a snapshot of ${sessionId} is at ${seq}, its log at ${texts.length}`);
    const records = texts.slice(0, seq).map((text) => decodeEnvelope(text).record);
    if (JSON.stringify(foldAll(emptySession(sessionId), records)) !== JSON.stringify(state))
      this.report(`CR2: a snapshot of ${sessionId} at ${seq} is not the fold of its log`);
    this.snapshots++;
  }

  /** Runs the world a little. */
  async settle(steps: number): Promise<void> {
    for (let i = 0; i < steps; i++) {
      await this.drain();
      if (!this.clock.step()) break;
      this.steps++;
    }
    await this.drain();
    this.#orphans();
    checkOwners(this);
    for (const violation of this.processes.violations.splice(0)) this.report(violation);
  }

  /** What a session started never runs without it. */
  #orphans(): void {
    const d = this.daemon;
    if (!d) return;
    const owners = [...d.tools.running.values(), ...d.inference.live.values()];
    for (const { sessionId, turnId, ...run } of owners) {
      if ('name' in run && run.name === 'restore_files') continue;
      const slot = d.system.parts.registry.slots.get(sessionId);
      const active = slot?.state === 'live' ? slot.actor.getSnapshot().context.f.active?.turnId : undefined;
      if (active !== turnId) this.report(`CX4: something of ${turnId} runs and the turn does not`);
    }
  }

  /** Promises of the dispatch are let through; without one under way there is nothing to let through. */
  async drain(): Promise<void> {
    if (this.#dispatching === 0) return;
    for (let i = 0; i < 24; i++) await null;
  }

  /** Live state equals the fold of the log, and snapshot plus rest equals the fold from the beginning. */
  checkFolds(): void {
    for (const sessionId of this.disk.sessions()) {
      const records = this.disk.records(sessionId).map((r) => decodeEnvelope(r.text).record);
      const whole = JSON.stringify(foldAll(emptySession(sessionId), records));
      const snapshot = this.disk.stored(sessionId)?.snapshot;
      if (snapshot) {
        const rest = foldAll(snapshot, records.slice(snapshot.seq));
        if (JSON.stringify(rest) !== whole) this.report(`CR2: snapshot and rest of ${sessionId} differ from its log`);
      }
      const slot = this.daemon?.system.parts.registry.slots.get(sessionId);
      if (slot?.state === 'live' && !this.daemon?.system.parts.journal.dirty(sessionId)) {
        const live = JSON.stringify(slot.actor.getSnapshot().context.f);
        if (live !== whole) this.report(`CR2: live state of ${sessionId} differs from its log`);
      }
    }
  }
}
