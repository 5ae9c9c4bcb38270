import { checkRecord, decodeEnvelope } from '../../src/protocol/envelope.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { emptySession, fold, type SessionState } from '../../src/protocol/session-state.ts';

/**
 * A small model of what a session's log may say, fed record by record as they are committed. It knows nothing of the actors:
 * it is the oracle. A violation is a sentence that begins with the id of the guarantee.
 */
export class LogChecker {
  state: SessionState;
  readonly texts: string[] = [];
  readonly accepted = new Set<string>();
  readonly terminal = new Map<string, 'done' | 'error' | 'cancelled' | 'interrupted'>();
  readonly contents = new Map<string, string>();
  readonly cancelledAtMs = new Map<string, number>();
  readonly stepTexts = new Map<string, string>();
  readonly #queue: string[] = [];
  #active: string | null = null;
  readonly #openRequests = new Map<string, string>();
  readonly #allowed = new Map<string, string>();
  readonly #started = new Set<string>();
  readonly #ended = new Set<string>();

  readonly sessionId: string;
  readonly #report: (violation: string) => void;
  readonly #cancelDeadlineMs: number;

  constructor(sessionId: string, cancelDeadlineMs: number, report: (violation: string) => void) {
    this.sessionId = sessionId;
    this.#report = report;
    this.#cancelDeadlineMs = cancelDeadlineMs;
    this.state = emptySession(sessionId);
  }

  get head(): number {
    return this.texts.length;
  }

  /** The call may run now: allowed, started, and all of that committed. */
  mayRun(turnId: string, callId: string): boolean {
    const key = `${turnId}/${callId}`;
    return this.#started.has(key) && !this.#ended.has(key) && this.#active === turnId;
  }

  add(text: string): void {
    const envelope = decodeEnvelope(text);
    const r = envelope.record;
    if (r.seq !== this.texts.length + 1) {
      this.#report(`EV1: ${this.sessionId} committed seq ${r.seq} after ${this.texts.length}`);
      return;
    }
    if (envelope.sessionId !== this.sessionId) this.#report(`EV1: record of ${envelope.sessionId} in ${this.sessionId}`);
    try {
      checkRecord(r);
    } catch (cause) {
      this.#report(`EV3: ${r.event} does not fit its schema: ${String(cause)}`);
    }
    this.texts.push(text);
    this.state = fold(this.state, r);
    this.#rules(r);
  }

  #bad(rule: string, r: LogRecord): void {
    this.#report(`${rule} (${this.sessionId} seq ${r.seq} ${r.event})`);
  }

  #rules(r: LogRecord): void {
    const turnId = 'turnId' in r.payload ? r.payload.turnId : undefined;
    if (r.event !== 'session.cancelled' && turnId !== undefined) {
      if (this.terminal.has(turnId)) this.#bad('TQ3: a record follows the terminal of its turn', r);
      if (r.event !== 'turn.queued' && !this.accepted.has(turnId)) this.#bad('TQ6: a record of a turn that was never accepted', r);
    }
    switch (r.event) {
      case 'turn.queued':
        if (this.accepted.has(r.payload.turnId)) this.#bad('TQ5: accepted twice', r);
        this.accepted.add(r.payload.turnId);
        this.contents.set(r.payload.content, r.payload.turnId);
        if (r.payload.onBusy === 'interrupt') this.#queue.unshift(r.payload.turnId);
        else this.#queue.push(r.payload.turnId);
        return;
      case 'turn.start':
        if (this.#active !== null) this.#bad('TQ1: two turns run', r);
        if (this.#queue[0] !== r.payload.turnId) this.#bad('TQ2: started out of order', r);
        this.#queue.shift();
        this.#active = r.payload.turnId;
        return;
      case 'turn.token': {
        if (this.#active !== r.payload.turnId) this.#bad('TQ1: text of a turn that does not run', r);
        const key = `${r.payload.turnId}/${r.payload.step}`;
        this.stepTexts.set(key, (this.stepTexts.get(key) ?? '') + r.payload.text);
        return;
      }
      case 'session.cancelled':
        if (r.payload.turnId !== undefined) this.cancelledAtMs.set(r.payload.turnId, Date.parse(r.ts));
        return;
      case 'permission.request':
        this.#openRequests.set(r.payload.requestId, r.payload.turnId);
        return;
      case 'permission.resolved': {
        const { requestId, callId } = r.payload;
        const key = `${r.payload.turnId}/${callId}`;
        if (r.payload.reason === 'person' && !this.#openRequests.has(requestId)) this.#bad('PM2: decided a request that is not open', r);
        this.#openRequests.delete(requestId);
        if (r.payload.decision === 'allow') this.#allowed.set(key, r.payload.decidedBy);
        return;
      }
      case 'tool.start': {
        const key = `${r.payload.turnId}/${r.payload.id}`;
        const by = r.payload.decidedBy;
        if (this.#started.has(key) && !this.#ended.has(key)) this.#bad('PM4: a call started twice', r);
        if (by.startsWith('person:') && this.#allowed.get(key) !== by) this.#bad('PM4: started without the allow it names', r);
        if (!by.startsWith('person:') && !by.startsWith('rule:')) this.#bad('PM4: started by nobody', r);
        if ((r.payload.name === 'write' || r.payload.name === 'exec') && !by.startsWith('person:')) {
          this.#bad('PM4: a call that must be asked for was started by a rule', r);
        }
        if (this.#started.size > this.#ended.size) this.#bad('TL2: two calls of one turn run at once', r);
        this.#started.add(key);
        this.#ended.delete(key);
        return;
      }
      case 'tool.end': {
        const key = `${r.payload.turnId}/${r.payload.id}`;
        if (!this.#started.has(key) || this.#ended.has(key)) this.#bad('PM4: ended what did not run', r);
        this.#ended.add(key);
        return;
      }
      case 'turn.done':
      case 'turn.error':
        this.#end(r);
        return;
    }
  }

  #end(r: LogRecord & { event: 'turn.done' | 'turn.error' }): void {
    const { turnId, outcome } = r.payload;
    this.terminal.set(turnId, outcome);
    if ([...this.#openRequests.values()].includes(turnId)) this.#bad('PM1: a request outlives its turn', r);
    if (this.#active === turnId && this.#started.size !== this.#ended.size) this.#bad('CX4: a call outlives its turn', r);
    const since = this.cancelledAtMs.get(turnId);
    if (since !== undefined) {
      if (outcome === 'done' || outcome === 'error') this.#bad('CX3: cancelled and yet not', r);
      if (outcome === 'cancelled' && Date.parse(r.ts) - since > this.#cancelDeadlineMs) this.#bad('CX2: the cancel took too long', r);
    }
    if (this.#active === turnId) this.#active = null;
    else if (this.#queue.includes(turnId)) this.#queue.splice(this.#queue.indexOf(turnId), 1);
    else this.#bad('TQ3: the end of a turn that neither ran nor waited', r);
  }

  /** What must hold when nothing moves any more. */
  quiet(): void {
    for (const turnId of this.accepted) {
      if (!this.terminal.has(turnId)) this.#report(`TQ3: turn ${turnId} of ${this.sessionId} never ended`);
    }
  }
}
