import fc from 'fast-check';
import type { Fact, LogRecord, SessionChange } from '../../src/protocol/events.ts';
import { number } from './records.ts';

/**
 * Logs that a session could have written: each choice is one thing that happens next, out of those that may. It keeps its own
 * account of what is open and shares nothing with the fold that it is to test. Call ids repeat from turn to turn, as servers
 * repeat them, and are unique only within a turn.
 */
type CallPlace = 'waiting' | 'asked' | 'started';
interface Running {
  turnId: string;
  writerId: string;
  step: number;
  asking: boolean;
  calls: { id: string; place: CallPlace }[];
  made: number;
  cancelled: boolean;
  wrote: boolean;
}

const WRITERS = ['ada', 'bob', 'eve'];
const ZERO = {
  tokens: 0,
  promptTokens: 0,
  completionTokens: 0,
  toolCalls: 0,
  elapsed: 0,
  elapsedMs: 0,
  speed: 0,
  firstTokenLatencyMs: null,
};

const AT = '2026-01-01T00:00:00.000Z';
const SNAPSHOT = {
  sessionId: 's',
  model: 'm',
  createdAt: AT,
  updatedAt: AT,
  queuedTurns: 0,
  toolCallCount: 0,
  writerCount: 0,
};

class Writer {
  readonly facts: Fact[] = [];
  #queue: { turnId: string; writerId: string; steers?: string }[] = [];
  #deleted = false;
  #remembered = false;
  #running: Running | null = null;
  #turns = 0;
  readonly #processes: { processId: string; chunks: number }[] = [];
  #started = 0;

  constructor(seeded: boolean) {
    this.#put({
      event: 'session.snapshot',
      payload: { snapshot: SNAPSHOT, messages: seeded ? [{ role: 'system', content: 'be brief' }] : [] },
    });
  }

  #put(fact: Fact): void {
    this.facts.push(fact);
  }

  /** Whatever `n` is, something that may happen happens. */
  next(n: number): void {
    const running = this.#running;
    const kind = n % 16;
    const more = n >> 4;
    if (kind === 12 && more % 2 === 0) this.#background(more >> 1);
    else if (kind === 15 && n % 3 > 0) this.#change(more);
    else if (kind < 2 && this.#queue.length < 5 && !this.#deleted) this.#submit(more, running !== null && kind === 1);
    else if (kind === 2) this.#cancel(more);
    else if (!running) this.#start();
    else if (running.cancelled) this.#end('cancelled');
    else if (kind === 3) this.#end(more % 2 === 0 ? 'error' : 'interrupted');
    else this.#work(running, kind, more);
  }

  #submit(n: number, interrupt: boolean): void {
    const turn = { turnId: `t${++this.#turns}`, writerId: WRITERS[n % WRITERS.length] as string };
    const queueSize = this.#queue.length + 1;
    const position = interrupt ? 1 : queueSize;
    const onBusy = interrupt ? ('interrupt' as const) : ('enqueue' as const);
    this.#put({
      event: 'turn.queued',
      payload: { ...turn, clientId: 'c', queueSize, position, content: `do ${turn.turnId}`, mode: 'do', onBusy },
    });
    if (interrupt) this.#queue.unshift(turn);
    else this.#queue.push(turn);
    if (interrupt && this.#running && !this.#running.cancelled) {
      this.#put({ event: 'session.cancelled', payload: { cancelled: 1, turnId: this.#running.turnId } });
      this.#running.cancelled = true;
    }
  }

  /** A process starts, writes or ends; it has nothing to do with turns. */
  #background(n: number): void {
    const told = (processId: string, state: 'running' | 'completed' | 'killed') => ({
      processId,
      sessionId: 's',
      pid: 7,
      command: 'x',
      cwd: '/w',
      state,
      exitCode: state === 'completed' ? 0 : null,
      startedAt: '2026-01-01T00:00:00.000Z',
      endedAt: state === 'running' ? null : '2026-01-01T00:00:01.000Z',
      runtimeMs: 0,
      timeoutMs: 0,
    });
    const first = this.#processes[0];
    if (!first || n % 3 === 0) {
      const processId = `b${++this.#started}`;
      this.#processes.push({ processId, chunks: 0 });
      const payload = { process: told(processId, 'running'), reason: 'started', identity: 'i' } as const;
      this.#put({ event: 'background.status', payload });
    } else if (n % 3 === 1) {
      const at = { processId: first.processId, sessionId: 's', pid: 7, ts: '2026-01-01T00:00:00.000Z' };
      const chunk = { seq: ++first.chunks, stream: 'stdout', text: `line ${n}` } as const;
      this.#put({ event: 'background.output', payload: { ...at, ...chunk } });
    } else {
      const state = n % 2 === 0 ? 'completed' : 'killed';
      this.#processes.shift();
      const payload = { process: told(first.processId, state), reason: state, previousState: 'running' } as const;
      this.#put({ event: 'background.status', payload });
    }
  }

  /** What changes the session or its queue besides turns that come and go. */
  #change(n: number): void {
    const run = this.#running;
    const [first] = this.#queue;
    if (n % 6 === 0 && run && !run.cancelled && !this.#deleted) this.#steer(run.turnId);
    else if (n % 6 === 1 && first) {
      const order = this.#queue.map((t) => t.turnId).reverse();
      this.#queue.reverse();
      this.#updated({ kind: 'queue', turnId: first.turnId, content: `edited ${n}`, order });
    } else if (n % 6 === 2)
      this.#updated({ kind: 'settings', title: n % 4 ? `title ${n}` : null, metadata: { n, m: null } });
    else if (n % 6 === 3 && this.#deleted) {
      this.#deleted = false;
      this.#updated({ kind: 'restored' });
    } else if (n % 6 === 4 && !this.#deleted) this.#delete();
    else if (n % 4 === 1) {
      this.#remembered = false;
      this.#updated({ kind: 'settings', forget: ['tool', 'other'] });
    } else this.#updated({ kind: 'settings', onBusy: 'reject', model: `m${n}` });
  }

  #steer(into: string): void {
    const turn = { turnId: `t${++this.#turns}`, writerId: WRITERS[this.#turns % WRITERS.length] as string };
    const ahead = this.#queue.filter((t) => t.steers === into).length;
    const key = { idempotencyKey: `k${turn.turnId}`, digest: 'd' };
    const place = { queueSize: this.#queue.length + 1, position: ahead + 1, steers: into };
    this.#put({
      event: 'turn.queued',
      payload: { ...turn, ...place, ...key, clientId: 'c', content: `do ${turn.turnId}`, mode: 'do', onBusy: 'steer' },
    });
    this.#queue.splice(ahead, 0, { ...turn, steers: into });
  }

  #takeSteering(into: string): void {
    for (const { turnId, writerId } of this.#queue.filter((t) => t.steers === into)) {
      this.#put({
        event: 'turn.done',
        payload: { turnId, writerId, clientId: 'c', stats: ZERO, outcome: 'done', steeredInto: into },
      });
    }
    this.#queue = this.#queue.filter((t) => t.steers !== into);
  }

  #delete(): void {
    const run = this.#running?.cancelled === false ? this.#running : null;
    const cancelled = this.#queue.length + (run ? 1 : 0);
    if (cancelled > 0) this.#put({ event: 'session.cancelled', payload: { cancelled, all: true } });
    for (const turn of this.#queue) this.#put(this.#failure(turn, 'cancelled', false));
    this.#queue = [];
    this.#deleted = true;
    this.#updated({ kind: 'deleted', at: '2026-01-01T00:00:01.000Z' });
    if (run) run.cancelled = true;
  }

  #updated(change: SessionChange): void {
    this.#put({ event: 'session.updated', payload: { snapshot: SNAPSHOT, change } });
  }

  #cancel(n: number): void {
    if (this.#running === null && n % 3 === 0)
      this.#put({
        event: 'files.restored',
        payload: { ofTurn: 'gone', how: 'undo', by: 'ada', restored: [], kept: [{ path: 'f', why: 'w' }] },
      });
    if (n % 5 === 0)
      this.#put({ event: 'files.committed', payload: { ofTurn: 'gone', commit: null, paths: [], why: 'w' } });
    const writerId = WRITERS[n % WRITERS.length] as string;
    const gone = this.#queue.filter((t) => t.writerId === writerId);
    const running = this.#running?.writerId === writerId && !this.#running.cancelled ? this.#running : null;
    if (gone.length === 0 && !running) return;
    this.#put({ event: 'session.cancelled', payload: { cancelled: gone.length + (running ? 1 : 0), writerId } });
    for (const turn of gone) this.#put(this.#failure(turn, 'cancelled', false));
    this.#queue = this.#queue.filter((t) => t.writerId !== writerId);
    if (running) running.cancelled = true;
  }

  #start(): void {
    const next = this.#queue.shift();
    if (!next) return;
    const turn = { turnId: next.turnId, writerId: next.writerId };
    this.#put({ event: 'turn.start', payload: { ...turn, clientId: 'c', mode: 'do' } });
    this.#running = { ...turn, step: 0, asking: false, calls: [], made: 0, cancelled: false, wrote: false };
  }

  #work(run: Running, kind: number, n: number): void {
    const { turnId } = run;
    const call = run.calls[0];
    if (call && n % 7 === 6 && this.#cancelLast(run)) return;
    if (call) return this.#settle(run, call, n);
    if (!run.asking) {
      this.#takeSteering(turnId);
      run.step += 1;
      run.asking = true;
      if (n % 5 === 4) {
        const payload = { turnId, step: run.step, upTo: 1, summary: `s${n}`, by: 'digest' } as const;
        this.#put({ event: 'context.compacted', payload: { ...payload, tokensBefore: 9, tokensAfter: 1 } });
      }
      this.#put({
        event: 'turn.progress',
        payload: { turnId, phase: 'model.request', message: null, provider: 'x', step: run.step, model: 'm' },
      });
    } else if (kind < 10) {
      run.wrote ||= kind < 9;
      this.#put({
        event: kind < 9 ? 'turn.token' : 'turn.thinking',
        payload: { turnId, text: `w${n} `, step: run.step },
      });
    } else if (kind < 14) {
      run.calls = Array.from({ length: 1 + (n % 3) }, () => ({ id: `call_${run.made++}`, place: 'waiting' }));
      const calls = run.calls.map(({ id }) => ({ id, name: 'tool', args: '{}' }));
      run.asking = false;
      this.#put({
        event: 'turn.progress',
        payload: { turnId, phase: 'model.response', message: null, provider: null, step: run.step, calls },
      });
    } else this.#end('done');
  }

  /** The last call, whose place has not come, is cancelled alone. */
  #cancelLast(run: Running): boolean {
    const last = run.calls.at(-1);
    if (run.calls.length < 2 || last?.place !== 'waiting') return false;
    const { turnId } = run;
    const by = 'person:eve';
    const at = { turnId, requestId: last.id, callId: last.id, toolName: 'tool' };
    this.#put({
      event: 'permission.resolved',
      payload: { ...at, decision: 'deny', reason: 'cancelled', decidedBy: by, cancelledBy: by, message: 'eve: no' },
    });
    run.calls.pop();
    return true;
  }

  /** The first open call takes one step. */
  #settle(run: Running, call: { id: string; place: CallPlace }, n: number): void {
    const { turnId } = run;
    const requestId = `perm_${turnId}_${call.id}`;
    const at = { turnId, callId: call.id, toolName: 'tool' };
    const start = (decidedBy: string): void => {
      this.#put({ event: 'tool.start', payload: { turnId, id: call.id, name: 'tool', args: '{}', decidedBy } });
      call.place = 'started';
    };
    if (call.place === 'started') {
      this.#put({
        event: 'tool.end',
        payload: {
          turnId,
          id: call.id,
          name: 'tool',
          result: `r${n}`,
          isError: n % 5 === 0,
          elapsedMs: 1,
          ...(n % 5 === 0 ? { cancelledBy: 'person:bob' } : {}),
        },
      });
      run.calls.shift();
    } else if (call.place === 'asked') {
      const decision = n % 2 === 0 ? ('allow' as const) : ('deny' as const);
      const remember = decision === 'allow' && n % 3 !== 1 && n % 4 === 0 ? { remember: 'session' as const } : {};
      const reason = n % 3 === 1 ? 'timeout' : 'person';
      this.#put({
        event: 'permission.resolved',
        payload: { ...at, requestId, decision, reason, decidedBy: 'person:ada', ...remember },
      });
      if ('remember' in remember) this.#remembered = true;
      if (decision === 'allow') start('person:ada');
      else run.calls.shift();
    } else if (n % 3 === 0) {
      start(this.#remembered ? 'remembered:ada' : 'rule:read');
    } else if (n % 3 === 1) {
      this.#put({
        event: 'permission.request',
        payload: { ...at, requestId, args: {}, summary: 'x', expiresAt: '2026-01-01T00:02:00.000Z' },
      });
      call.place = 'asked';
    } else {
      this.#put({
        event: 'permission.resolved',
        payload: {
          ...at,
          requestId: call.id,
          decision: 'deny',
          reason: n % 2 ? 'rule' : 'invalid',
          decidedBy: 'rule:x',
          message: 'no',
        },
      });
      run.calls.shift();
    }
  }

  #failure(
    turn: { turnId: string; writerId: string },
    outcome: 'error' | 'cancelled' | 'interrupted',
    partial: boolean,
  ): Fact {
    const { turnId, writerId } = turn;
    return {
      event: 'turn.error',
      payload: { turnId, writerId, clientId: 'c', message: 'm', code: outcome, outcome, partial },
    };
  }

  #end(how: 'done' | 'error' | 'cancelled' | 'interrupted'): void {
    const run = this.#running;
    if (!run) return;
    const { turnId, writerId } = run;
    for (const { id, place } of run.calls) {
      if (place === 'asked') {
        const reason = how === 'interrupted' ? 'interrupted' : 'cancelled';
        this.#put({
          event: 'permission.resolved',
          payload: {
            turnId,
            requestId: `perm_${turnId}_${id}`,
            callId: id,
            toolName: 'tool',
            decision: 'deny',
            reason,
            decidedBy: 'daemon',
          },
        });
      }
      if (place === 'started')
        this.#put({
          event: 'tool.end',
          payload: { turnId, id, name: 'tool', result: 'cut', isError: true, elapsedMs: 1 },
        });
    }
    if (how === 'done')
      this.#put({ event: 'turn.done', payload: { turnId, writerId, clientId: 'c', stats: ZERO, outcome: 'done' } });
    else this.#put(this.#failure(run, how, run.wrote));
    this.#running = null;
  }
}

export const legalLog: fc.Arbitrary<LogRecord[]> = fc
  .tuple(fc.boolean(), fc.array(fc.nat(16 * 64 - 1), { maxLength: 120, size: 'max' }))
  .map(([seeded, choices]) => {
    const writer = new Writer(seeded);
    for (const n of choices) writer.next(n);
    return number(writer.facts);
  });
