import type { IndexEntry, SessionCommit, StoredRecord } from '../../src/actors/ports.ts';
import { checkRecord, encodeEnvelope } from '../../src/protocol/envelope.ts';
import type { Fact, LogRecord } from '../../src/protocol/events.ts';
import { emptySession, fold, type SessionState, toSnapshot } from '../../src/protocol/session-state.ts';

const STATS = {
  tokens: 3,
  promptTokens: 1,
  completionTokens: 2,
  toolCalls: 1,
  elapsed: 0.1,
  elapsedMs: 100,
  speed: 20,
  firstTokenLatencyMs: null,
};
const START_MS = Date.parse('2026-03-01T00:00:00.000Z');
const TEXTS = ['plain', 'zwei Wörter', '日本語 ', '🦄🦄', '"quoted"\n\\', ''];

/** One session that writes a plausible log: turns with text, thinking, tool calls, permissions, cancels, each in a legal order. */
export class SessionLog {
  readonly records: LogRecord[] = [];
  readonly stored: StoredRecord[] = [];
  state: SessionState;
  #script: Fact[] = [];
  #turns = 0;
  readonly #id: string;
  readonly #random: () => number;

  constructor(sessionId: string, random: () => number = () => 0.5) {
    this.#id = sessionId;
    this.#random = random;
    this.state = emptySession(sessionId);
  }

  /** The next `count` records as one commit. `atMs` is when, for `updatedAt`. */
  commit(count: number, options: { snapshot?: boolean; atMs?: number; open?: boolean } = {}): SessionCommit {
    const from = this.stored.length;
    for (let i = 0; i < count; i++) this.#append(options.atMs ?? START_MS + this.records.length);
    return {
      sessionId: this.#id,
      records: this.stored.slice(from),
      index: this.index(options.atMs),
      open: options.open ?? (this.state.active !== null || this.state.queue.length > 0),
      ...(options.snapshot ? { snapshot: this.state } : {}),
    };
  }

  index(atMs?: number): IndexEntry {
    const s = this.state;
    return {
      sessionId: s.sessionId,
      model: s.model,
      createdAt: s.createdAt,
      updatedAt: atMs === undefined ? s.updatedAt : new Date(atMs).toISOString(),
      seq: s.seq,
      toolCallCount: s.toolCallCount,
      messageCount: s.messages.length,
      queuedTurns: s.queue.length,
      ...(s.active ? { activeTurnId: s.active.turnId } : {}),
    };
  }

  #append(atMs: number): void {
    const ts = new Date(atMs).toISOString();
    const fact = this.records.length === 0 ? this.#created(ts) : this.#next();
    const record = { ...fact, seq: this.records.length + 1, ts } as LogRecord;
    checkRecord(record);
    this.records.push(record);
    this.stored.push({ seq: record.seq, text: encodeEnvelope('daemon_test', this.#id, record) });
    this.state = fold(this.state, record);
  }

  #created(ts: string): Fact {
    const snapshot = { ...toSnapshot(this.state), model: 'm', createdAt: ts, updatedAt: ts };
    return { event: 'session.snapshot', payload: { snapshot, messages: [{ role: 'system', content: 'be brief' }] } };
  }

  #next(): Fact {
    if (this.#script.length === 0) this.#script = this.#turn(`turn_${++this.#turns}`);
    return this.#script.shift()!;
  }

  #text(): string {
    return TEXTS[Math.floor(this.#random() * TEXTS.length)]!;
  }

  #turn(turnId: string): Fact[] {
    const who = { turnId, writerId: 'w', clientId: 'c' };
    const queued: Fact = {
      event: 'turn.queued',
      payload: { ...who, queueSize: 1, position: 1, content: `go ${this.#text()}`, mode: 'do', onBusy: 'enqueue' },
    };
    const cancelled: Fact = {
      event: 'turn.error',
      payload: { ...who, message: 'cancelled', code: 'cancelled', outcome: 'cancelled', partial: false },
    };
    if (this.#random() < 0.15) return [queued, cancelled];
    const request = (step: number): Fact => ({
      event: 'turn.progress',
      payload: { turnId, phase: 'model.request', message: null, provider: null, step, model: 'm' },
    });
    const steps = Math.floor(this.#random() * 3);
    const facts: Fact[] = [queued, { event: 'turn.start', payload: { ...who, mode: 'do' } }];
    for (let step = 1; step <= steps; step++)
      facts.push(request(step), ...this.#words(turnId, step), ...this.#tool(turnId, step));
    facts.push(request(steps + 1), ...this.#words(turnId, steps + 1));
    if (this.#random() < 0.2) {
      facts.push(
        { event: 'session.cancelled', payload: { cancelled: 1, turnId } },
        { ...cancelled, payload: { ...cancelled.payload, partial: true } },
      );
    } else facts.push({ event: 'turn.done', payload: { ...who, stats: STATS, outcome: 'done' } });
    return facts;
  }

  #words(turnId: string, step: number): Fact[] {
    return Array.from({ length: 1 + Math.floor(this.#random() * 4) }, (_, i) => ({
      event: i === 0 ? ('turn.thinking' as const) : ('turn.token' as const),
      payload: { turnId, step, text: this.#text() },
    }));
  }

  #tool(turnId: string, step: number): Fact[] {
    const call = { id: `call_${turnId}_${step}`, name: 'read_file', args: '{"path":"a"}' };
    const asked = { turnId, requestId: `perm_${turnId}_${step}`, callId: call.id, toolName: call.name };
    const answer: Fact = {
      event: 'turn.progress',
      payload: { turnId, phase: 'model.response', message: null, provider: null, step, calls: [call] },
    };
    const request: Fact = {
      event: 'permission.request',
      payload: { ...asked, args: { path: 'a' }, summary: 'read a', expiresAt: new Date(START_MS).toISOString() },
    };
    const resolve = (decision: 'allow' | 'deny'): Fact => ({
      event: 'permission.resolved',
      payload: { ...asked, decision, reason: 'person', decidedBy: 'person:w' },
    });
    if (this.#random() < 0.3) return [answer, request, resolve('deny')];
    return [
      answer,
      request,
      resolve('allow'),
      { event: 'tool.start', payload: { turnId, ...call, decidedBy: 'person:w' } },
      {
        event: 'tool.end',
        payload: { turnId, id: call.id, name: call.name, result: this.#text(), isError: false, elapsedMs: 1 },
      },
    ];
  }
}

/** Seeded randomness (mulberry32). */
export const seeded = (seed: number): (() => number) => {
  let a = seed | 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
};
