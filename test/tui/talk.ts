import fc from 'fast-check';
import { SessionView, type View } from '../../src/client/session-view.ts';
import type { EventName, LogRecord } from '../../src/protocol/events.ts';
import type { Message } from '../../src/protocol/session.ts';
import type { Row } from '../../src/tui/text.ts';

/** A session as its log makes it, one event after the other. */
export class Talk {
  readonly view = new SessionView('s1');
  /** When the events happen. */
  at = '2026-01-01T00:00:00.000Z';
  #seq = 0;
  #turn = 0;
  #call = 0;

  constructor(messages: readonly Message[] = []) {
    const counts = { queuedTurns: 0, toolCallCount: 0, writerCount: 0 };
    const snapshot = { sessionId: 's1', model: 'm', createdAt: '', updatedAt: '', ...counts };
    this.happens('session.snapshot', { snapshot, messages });
  }

  get now(): View {
    return this.view.current;
  }

  happens(event: EventName, payload: object): void {
    this.#seq += 1;
    const record = { seq: this.#seq, ts: this.at, event, payload };
    this.view.apply(record as unknown as LogRecord);
  }

  queue(content = 'hello', writerId = 'ada'): string {
    this.#turn += 1;
    const turnId = `t${this.#turn}`;
    const asked = { turnId, writerId, clientId: 'c', mode: 'chat', content, onBusy: 'enqueue' };
    const queueSize = this.now.state.queue.length;
    this.happens('turn.queued', { ...asked, queueSize, position: queueSize + 1 });
    return turnId;
  }

  begin(content?: string, writerId?: string): string {
    const turnId = this.queue(content, writerId);
    this.happens('turn.start', { turnId, writerId: writerId ?? 'ada', clientId: 'c', mode: 'chat' });
    return turnId;
  }

  says(text: string, kind: 'turn.token' | 'turn.thinking' = 'turn.token'): void {
    this.happens(kind, { turnId: this.#active(), text, step: 1 });
  }

  calls(name: string, args: unknown): string {
    this.#call += 1;
    const id = `c${this.#call}`;
    const call = { id, name, args: typeof args === 'string' ? args : JSON.stringify(args), decidedBy: 'rule' };
    this.happens('tool.start', { turnId: this.#active(), ...call });
    return id;
  }

  /** A call that waits for a decision; `more` is what the request has besides. */
  asks(name: string, summary: string, more: { preview?: string; question?: object; forMs?: number } = {}): string {
    this.#call += 1;
    const id = `c${this.#call}`;
    const { forMs = 60_000, ...shown } = more;
    const step = { turnId: this.#active(), phase: 'model.response', message: null, provider: null, step: 1 };
    this.happens('turn.progress', { ...step, calls: [{ id, name, args: '{}' }] });
    const expiresAt = new Date(Date.now() + forMs).toISOString();
    const asked = { requestId: `r${this.#call}`, callId: id, toolName: name, args: {}, summary, expiresAt, ...shown };
    this.happens('permission.request', { turnId: this.#active(), ...asked });
    return asked.requestId;
  }

  decides(requestId: string, decidedBy: string, decision: 'allow' | 'deny' = 'allow'): void {
    const item = this.now.active?.items.find((i) => i.kind === 'permission' && i.requestId === requestId);
    if (item?.kind !== 'permission') throw new Error(`nothing asks as ${requestId}`);
    const { callId, toolName } = item;
    const resolved = { requestId, callId, toolName, decision, reason: 'person', decidedBy };
    this.happens('permission.resolved', { turnId: this.#active(), ...resolved });
  }

  returns(id: string, result: string, isError = false): void {
    this.happens('tool.end', { turnId: this.#active(), id, name: 'x', result, isError, elapsedMs: 1_234 });
  }

  ends(): void {
    const stats = { elapsedMs: 4_200, tokens: 10, promptTokens: 3, completionTokens: 10, speed: 3 };
    this.happens('turn.done', { turnId: this.#active(), stats, model: 'm' });
  }

  /** One that never ran. */
  drops(turnId: string): void {
    const error = { outcome: 'cancelled', code: 'cancelled', message: 'cancelled', partial: false };
    this.happens('turn.error', { turnId, ...error });
  }

  #active(): string {
    return this.now.active?.turnId ?? '';
  }
}

export const textOf = (row: Row): string => row.map(([text]) => text).join('');

// biome-ignore lint/suspicious/noControlCharactersInRegex: none may be left
export const STEERS = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/;

/** Letters, wide ones, joined ones, marks, and what would steer a terminal; markdown among them. */
export const hostile = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      'a',
      'b ',
      ' ',
      '\n',
      '\n\n',
      '\t',
      '你',
      'e\u0301',
      '\u0301',
      '👩‍🚀',
      '🇩🇪',
      '🇩',
      '⚠️',
      '1️⃣',
      '👍🏽',
      'ก็',
      'ｱ',
    ),
    fc.constantFrom(
      '\u001b[2J',
      '\u001b]0;x\u0007',
      '\u009b1m',
      '\u202e',
      '\u2066',
      '\u200f',
      '\u200d',
      '\u2028',
      '\r',
      '\u0000',
    ),
    fc.constantFrom(
      '# ',
      '- ',
      '1. ',
      '> ',
      '```ts\n',
      '`',
      '**',
      '_',
      '[x](http://a.b)',
      '| a | b |\n|---|---|\n',
      '---\n',
      '<b>',
      '  ',
    ),
    fc.string({ unit: 'binary', maxLength: 3 }),
  ),
  maxLength: 60,
});
