import type { Done, StoredRecord } from '../../src/actors/ports.ts';
import type {
  Attachment,
  CancelResult,
  LiveOverview,
  Reader,
  ResolveResult,
  Runtime,
  RuntimeHealth,
  Who,
} from '../../src/actors/runtime.ts';
import { toProcess } from '../../src/protocol/background.ts';
import { encodeEnvelope } from '../../src/protocol/envelope.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import type { PresenceEntry } from '../../src/protocol/session.ts';
import { emptySession, fold, type SessionState, toSnapshot } from '../../src/protocol/session-state.ts';

const TS = '2026-01-02T03:04:05.678Z';
const DAEMON = 'daemon_fake0001';
const READER_BYTES_MAX = 256 * 1024;

interface FakeSession {
  state: SessionState;
  records: StoredRecord[];
}

class FakeAttachment implements Attachment {
  readonly id = 'attachment_1';
  cursor: number;
  drains = 0;
  who: Who;
  watching = false;
  readonly #runtime: FakeRuntime;
  readonly #sessionId: string;
  readonly #reader: Reader;

  constructor(runtime: FakeRuntime, sessionId: string, afterSeq: number, reader: Reader, who: Who) {
    this.who = who;
    this.#runtime = runtime;
    this.#sessionId = sessionId;
    this.#reader = reader;
    this.cursor = afterSeq;
  }

  get reader(): Reader {
    return this.#reader;
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  /** Gives what the reader has room for, as the real one does. */
  pump(): void {
    for (const record of this.#runtime.records(this.#sessionId)) {
      if (record.seq <= this.cursor) continue;
      if (!this.#runtime.ignoreBacklog && this.#reader.bufferedBytes() > READER_BYTES_MAX) return;
      this.cursor = record.seq;
      this.#reader.send(record.text);
    }
  }

  introduce(who: Partial<Who>, watch = this.watching): void {
    this.who = { ...this.who, ...who };
    this.watching = watch;
  }

  drained(): void {
    this.drains += 1;
    this.pump();
  }

  detach(): void {
    this.#runtime.detached += 1;
    this.#runtime.attachments.delete(this);
  }
}

/** Keeps sessions in memory. Answers come a turn of the event loop later, or never for ids that start with `never`. */
export class FakeRuntime implements Runtime {
  readonly daemonId = DAEMON;
  readonly sessions = new Map<string, FakeSession>();
  readonly attachments = new Set<FakeAttachment>();
  readonly submits: string[] = [];
  readonly decisions = new Map<string, { decision: 'allow' | 'deny'; decidedBy: string }>();
  readonly openRequests = new Set<string>();
  detached = 0;
  state: RuntimeHealth['state'] = 'ready';
  /** The next command fails with it. */
  fail: Error | null = null;
  /** Commands are kept until `release`. */
  hold = false;
  ignoreBacklog = false;
  attachFault: Error | null = null;
  readonly #held: (() => void)[] = [];
  #turns = 0;

  /** Commands that are kept now. */
  get held(): number {
    return this.#held.length;
  }

  release(): void {
    this.hold = false;
    for (const run of this.#held.splice(0)) run();
  }

  records(sessionId: string): StoredRecord[] {
    return this.sessions.get(sessionId)?.records ?? [];
  }

  /** Records, stores and publishes. `text` replaces the encoded envelope, to see whether its bytes survive. */
  record(sessionId: string, event: LogRecord['event'], payload: unknown, text?: string): number {
    const s = this.#session(sessionId);
    const seq = s.records.length + 1;
    const record = { event, payload, seq, ts: TS } as LogRecord;
    s.state = text === undefined ? fold(s.state, record) : { ...s.state, seq };
    s.records.push({ seq, text: text ?? encodeEnvelope(DAEMON, sessionId, record) });
    for (const a of this.attachments) if (a.sessionId === sessionId) a.pump();
    return seq;
  }

  token(sessionId: string, text: string): number {
    return this.record(sessionId, 'turn.token', { turnId: 't', text });
  }

  seed(sessionId: string): void {
    const state = { ...emptySession(sessionId), model: 'fake-model', createdAt: TS, updatedAt: TS };
    this.sessions.set(sessionId, { state, records: [] });
    this.record(sessionId, 'session.snapshot', { snapshot: toSnapshot(state), messages: [] });
  }

  create: Runtime['create'] = (input, done) =>
    this.#answer(done, 'created', () => {
      const id = input.sessionId ?? `s${this.sessions.size + 1}`;
      if (!this.sessions.has(id)) {
        this.seed(id);
        const s = this.#session(id);
        s.state = {
          ...s.state,
          ...(input.title === undefined ? {} : { title: input.title }),
          ...(input.model === undefined ? {} : { model: input.model }),
          messages: input.messages ?? [],
        };
      }
      return toSnapshot(this.#session(id).state);
    });

  get: Runtime['get'] = (id, done) => this.#answer(done, id, () => this.#session(id).state);

  list: Runtime['list'] = ({ limit, cursor }, done) =>
    this.#answer(done, 'list', () => {
      const all = [...this.sessions.values()].map(({ state }) => ({
        sessionId: state.sessionId,
        model: state.model,
        createdAt: TS,
        updatedAt: TS,
        seq: state.seq,
        toolCallCount: 0,
        messageCount: state.messages.length,
        queuedTurns: 0,
      }));
      const from = Number(cursor ?? 0);
      const next = from + limit;
      return {
        sessions: all.slice(from, next),
        total: all.length,
        ...(next < all.length ? { cursor: String(next) } : {}),
      };
    });

  submit: Runtime['submit'] = (id, input, done) => {
    this.submits.push(input.content);
    this.#answer(done, id, () => {
      this.#session(id);
      this.#turns += 1;
      const turnId = `turn-${this.#turns}`;
      const { writerId, clientId, content, mode } = input;
      const payload = { turnId, writerId, clientId, queueSize: 1, position: 1, content, mode, onBusy: 'enqueue' };
      return { turnId, queued: 0, seq: this.record(id, 'turn.queued', payload) };
    });
  };

  undo: Runtime['undo'] = (id, { turnId = 't', dryRun }, done) =>
    this.#answer(done, id, () => {
      this.#session(id);
      return { turnId, undone: !dryRun, restored: ['a'], kept: [] };
    });

  cancel: Runtime['cancel'] = (id, target, done) =>
    this.#answer<CancelResult>(done, id, () => {
      this.#session(id);
      const hit = target.turnId === 'active';
      return { cancelled: hit ? 1 : 0, cancelledQueued: 0, cancelledActive: hit };
    });

  resolve: Runtime['resolve'] = (id, { requestId, decision, decidedBy }, done) =>
    this.#answer<ResolveResult>(done, id, () => {
      this.#session(id);
      const first = this.decisions.get(requestId);
      if (first) return { ok: false, conflict: true, message: 'late', ...first };
      if (!this.openRequests.has(requestId)) throw new OptaError('permission-not-found', 'no such request');
      this.decisions.set(requestId, { decision, decidedBy });
      return { ok: true, conflict: false, decision };
    });

  read: Runtime['read'] = (id, afterSeq, limit, done) =>
    this.#answer(done, id, () => {
      const all = this.records(id);
      return { records: all.slice(afterSeq, afterSeq + Math.min(limit, 7)), head: all.length };
    });

  attach(
    sessionId: string,
    afterSeq: number,
    reader: Reader,
    who: Who = { role: 'controller', via: 'ws' },
  ): Attachment {
    if (this.attachFault) throw this.attachFault;
    const attachment = new FakeAttachment(this, sessionId, afterSeq, reader, who);
    this.attachments.add(attachment);
    setImmediate(() => this.attachments.has(attachment) && attachment.pump());
    return attachment;
  }

  /** What `overview` answers; a change of it is one of the daemon. */
  live: LiveOverview = { sessions: [], liveCount: 0, words: new Map(), jobs: [], jobCount: 0, mark: '' };
  overview = (): LiveOverview => this.live;

  /** Who watches the actors, and what a picture of them is. */
  readonly inspectors = new Map<(message: string) => void, string | null>();
  picture: string[] = ['{"type":"@opta.picture","actors":0,"createdAt":"0"}'];
  observe: Runtime['observe'] = (sessionId, tell) => {
    this.inspectors.set(tell, sessionId);
    return { picture: () => this.picture, end: () => void this.inspectors.delete(tell) };
  };

  presence(sessionId: string): PresenceEntry[] {
    return [...this.attachments]
      .filter((a) => a.sessionId === sessionId)
      .map((a) => ({ attachmentId: a.id, ...a.who, since: TS, cursor: a.cursor, lag: 0 }));
  }

  patch: Runtime['patch'] = (id, { title }, done) =>
    this.#answer(done, id, () => toSnapshot({ ...this.#session(id).state, ...(title ? { title } : {}) }));

  delete: Runtime['delete'] = (id, done) =>
    this.#answer(done, id, () => ({ sessionId: id, deletedAt: TS, cancelled: 0, seq: this.#session(id).state.seq }));

  undelete: Runtime['undelete'] = (id, done) => this.#answer(done, id, () => toSnapshot(this.#session(id).state));

  fork: Runtime['fork'] = (id, at, done) =>
    this.#answer(done, id, () => {
      const { state } = this.#session(id);
      const forkedFrom = { sessionId: id, atSeq: at.atSeq ?? state.seq };
      return toSnapshot({ ...state, sessionId: at.sessionId ?? 'forked', forkedFrom });
    });

  editQueued: Runtime['editQueued'] = (id, turnId, edit, done) =>
    this.#answer(done, id, () => {
      this.#session(id);
      if (turnId === 'gone') throw new OptaError('turn-not-queued', 'it has started');
      if (edit.writerId !== 'me') throw new OptaError('not-your-turn', 'not yours');
      return { turnId, position: 1, seq: 7 };
    });

  withdraw: Runtime['withdraw'] = (id, turnId, writerId, done) =>
    this.#answer(done, id, () => {
      this.#session(id);
      if (writerId !== 'me') throw new OptaError('not-your-turn', 'not yours');
      return { turnId, seq: 8 };
    });

  startBackground: Runtime['startBackground'] = ({ sessionId, command }, done) =>
    this.#answer(done, sessionId, () => {
      this.#session(sessionId);
      const times = { startedAt: TS, endedAt: null, runtimeMs: 0, timeoutMs: 1 };
      const process = { processId: 'b1', sessionId, pid: 7, command, cwd: '/', exitCode: null, ...times } as const;
      const payload = { process: { ...process, state: 'running' }, reason: 'started' } as const;
      this.record(sessionId, 'background.status', payload);
      return { process: payload.process };
    });

  killBackground: Runtime['killBackground'] = (id, processId, _signal, done) =>
    this.#answer(done, id, () => {
      const p = this.#session(id).state.background.find((one) => one.processId === processId);
      if (!p) throw new OptaError('background-not-found', 'gone');
      return { killed: true, process: toProcess(id, p, 0) };
    });

  flushed: Runtime['flushed'] = (_id, _seq, done) => queueMicrotask(() => done(null, undefined));

  backgroundHomes(processId?: string): string[] {
    return [...this.sessions.values()].flatMap(({ state: { sessionId, background } }) =>
      background.some((p) => processId === undefined || p.processId === processId) ? [sessionId] : [],
    );
  }

  inspect: Runtime['inspect'] = (id, done) =>
    this.#answer(done, id ?? 'daemon', () => {
      if (id !== null) this.#session(id);
      const child = { id: 'x', chart: 'turn', state: null, facts: {}, children: [] };
      return {
        id: id ?? 'daemon',
        chart: id === null ? 'daemon' : 'session',
        state: 'idle',
        facts: {},
        children: [child],
      };
    });

  why: Runtime['why'] = (id, done) =>
    this.#answer(done, id, () => {
      this.#session(id);
      return { sessionId: id, state: 'idle', text: 'Nothing to do.', since: TS };
    });

  health(): RuntimeHealth {
    return {
      state: this.state,
      sessionCount: this.sessions.size,
      activeTurnCount: 0,
      queuedTurnCount: 0,
      subscriberCount: this.attachments.size,
      ingressSeq: this.submits.length,
      quarantined: [],
      storage: { state: 'ok' },
    };
  }

  metrics() {
    return [{ name: 'tailBytes', value: 0, max: 64, help: 'Uncommitted bytes' }];
  }

  #session(id: string): FakeSession {
    const s = this.sessions.get(id);
    if (!s) throw new OptaError('session-not-found', `no session ${id}`);
    return s;
  }

  #answer<T>(done: Done<T>, id: string, run: () => T): void {
    if (id.startsWith('never')) return;
    const fail = this.fail;
    this.fail = null;
    const go = (): void => {
      setImmediate(() => {
        try {
          if (fail) throw fail;
          done(null, run());
        } catch (fault) {
          // A port's error is an OptaError; another one stands for a bug inside the runtime.
          done(fault as OptaError, undefined as T);
        }
      });
    };
    if (this.hold) this.#held.push(go);
    else go();
  }
}
