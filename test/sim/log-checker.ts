import { checkRecord, decodeEnvelope } from '../../src/protocol/envelope.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { emptySession, fold, type SessionState } from '../../src/protocol/session-state.ts';
import { BackgroundChecker } from './background-checker.ts';

/** Of the simulator, and of the daemon. */
const isQuestion = (tool: string): boolean => tool === 'ask' || tool === 'ask_user';

/** Tools that change nothing, of the simulator and of the daemon. */
const READS = /^(?:read|list_dir|read_file|search_files|find_files|git_\w+|bg_status|bg_output|web_fetch)$/;

/**
 * A small model of what a session's log may say, fed record by record as they are committed. It knows nothing of the actors:
 * it is the oracle. A violation is a sentence that begins with the id of the guarantee.
 */
export class LogChecker {
  state: SessionState;
  readonly background: BackgroundChecker;
  readonly texts: string[] = [];
  readonly accepted = new Set<string>();
  readonly terminal = new Map<string, 'done' | 'error' | 'cancelled' | 'interrupted'>();
  readonly contents = new Map<string, string>();
  readonly keys = new Map<string, string>();
  readonly #steers = new Map<string, string>();
  #deleted = false;
  readonly cancelledAtMs = new Map<string, number>();
  readonly stepTexts = new Map<string, string>();
  readonly #queue: string[] = [];
  #active: string | null = null;
  readonly #openRequests = new Map<string, { turnId: string; untilMs: number }>();
  readonly #allowed = new Map<string, string>();
  /** Turns that changed files, the one whose changes are to be taken back, and whether that is due. */
  readonly #changed = new Set<string>();
  #rollback: string | null = null;
  #due: string | null = null;
  /** Names of the calls that were started. */
  readonly #started = new Map<string, string>();
  /** The calls of the running step, in call order, and how far their starts have come. */
  #step: { calls: string[]; at: number } = { calls: [], at: -1 };
  readonly #ended = new Set<string>();
  readonly #turns = new Map<
    string,
    { writerId: string; mode: string; overrides?: { auto?: boolean | undefined } | undefined }
  >();
  readonly #steps = new Set<string>();
  readonly #cancelNamed = new Set<string>();
  /** Tools that are not asked about again, and who said so. */
  readonly #remembered = new Map<string, string>();
  /** Of the running turn: what was allowed for its whole workspace. */
  readonly #allowedHere = new Map<string, string>();
  /** By call. */
  readonly #answers = new Map<string, string>();

  readonly sessionId: string;
  readonly #report: (violation: string) => void;
  readonly #cancelDeadlineMs: number;
  readonly #queueTurnsMax: number;

  constructor(
    sessionId: string,
    limits: { cancelDeadlineMs: number; queueTurnsMax: number; backgroundSessionMax: number },
    report: (violation: string) => void,
  ) {
    this.sessionId = sessionId;
    this.#report = report;
    this.#cancelDeadlineMs = limits.cancelDeadlineMs;
    this.#queueTurnsMax = limits.queueTurnsMax;
    this.state = emptySession(sessionId);
    this.background = new BackgroundChecker(limits.backgroundSessionMax, (rule, r) => this.#bad(rule, r));
  }

  get head(): number {
    return this.texts.length;
  }

  /** Deadlines do not hold across a crash or while the disk refuses. */
  excuse(): void {
    for (const turnId of this.cancelledAtMs.keys()) this.cancelledAtMs.set(turnId, Number.NaN);
    for (const open of this.#openRequests.values()) open.untilMs = Number.POSITIVE_INFINITY;
  }

  /** By turn and call: ended alone. */
  readonly cancelledCalls = new Set<string>();

  /** It waits, is asked about or runs, in a turn that is not being cancelled. */
  callIsOpen(turnId: string, callId: string): boolean {
    const { active } = this.state;
    if (active?.turnId !== turnId || active.cancelling) return false;
    const call = active.calls.find(({ id }) => id === callId);
    return call !== undefined && call.progress.state !== 'ended' && call.progress.state !== 'refused';
  }

  /** The call may run now: allowed, started, and all of that committed. */
  mayRun(turnId: string, callId: string): boolean {
    const key = `${turnId}/${callId}`;
    return this.#started.has(key) && !this.#ended.has(key) && this.#active === turnId;
  }

  add(text: string): LogRecord | null {
    const envelope = decodeEnvelope(text);
    const r = envelope.record;
    if (r.seq !== this.texts.length + 1) {
      this.#report(`EV1: ${this.sessionId} committed seq ${r.seq} after ${this.texts.length}`);
      return null;
    }
    if (envelope.sessionId !== this.sessionId)
      this.#report(`EV1: record of ${envelope.sessionId} in ${this.sessionId}`);
    try {
      checkRecord(r);
    } catch (cause) {
      this.#report(`EV3: ${r.event} does not fit its schema: ${String(cause)}`);
    }
    this.texts.push(text);
    this.state = fold(this.state, r);
    this.#rules(r);
    this.background.add(r);
    return r;
  }

  #bad(rule: string, r: LogRecord): void {
    this.#report(`${rule} (${this.sessionId} seq ${r.seq} ${r.event})`);
  }

  #rules(r: LogRecord): void {
    const turnId = 'turnId' in r.payload ? r.payload.turnId : undefined;
    if (r.event !== 'session.cancelled' && turnId !== undefined) {
      if (this.terminal.has(turnId)) this.#bad('TQ3: a record follows the terminal of its turn', r);
      if (r.event !== 'turn.queued' && !this.accepted.has(turnId))
        this.#bad('TQ6: a record of a turn that was never accepted', r);
    }
    switch (r.event) {
      case 'turn.queued':
        if (this.accepted.has(r.payload.turnId)) this.#bad('TQ5: accepted twice', r);
        this.accepted.add(r.payload.turnId);
        this.contents.set(r.payload.content, r.payload.turnId);
        this.#enqueue(r);
        if (this.#queue.length > this.#queueTurnsMax) this.#bad('TQ4: the queue is above its bound', r);
        this.#turns.set(r.payload.turnId, r.payload);
        return;
      case 'session.updated':
        this.#change(r);
        return;
      case 'turn.start':
        this.#allowedHere.clear();
        if (this.#active !== null) this.#bad('TQ1: two turns run', r);
        if (this.#due !== null) this.#bad('WP8: a turn starts before the files of another were taken back', r);
        if (this.#queue[0] !== r.payload.turnId) this.#bad('TQ2: started out of order', r);
        this.#queue.shift();
        this.#active = r.payload.turnId;
        return;
      case 'turn.token': {
        if (this.#active !== r.payload.turnId) this.#bad('TQ1: text of a turn that does not run', r);
        const key = `${r.payload.turnId}/${r.payload.step}`;
        if (!this.#steps.has(key)) this.#bad('TQ3: text of a step that was not announced', r);
        this.stepTexts.set(key, (this.stepTexts.get(key) ?? '') + r.payload.text);
        return;
      }
      case 'turn.progress':
        if (r.payload.phase === 'model.request') this.#steps.add(`${r.payload.turnId}/${r.payload.step}`);
        else this.#step = { calls: (r.payload.calls ?? []).map(({ id }) => id), at: -1 };
        return;
      case 'files.restored':
        if (r.payload.how === 'rollback' && r.payload.ofTurn !== this.#due)
          this.#bad('WP8: files are taken back that nobody asked for', r);
        if (this.#active !== null) this.#bad('WP8: files are taken back while a turn runs', r);
        this.#due = null;
        return;
      case 'session.cancelled':
        if (r.payload.rollback !== undefined) this.#rollback = this.#active;
        if (r.payload.turnId !== undefined) this.cancelledAtMs.set(r.payload.turnId, Date.parse(r.ts));
        this.#nameCancelled(r.payload);
        return;
      case 'permission.request':
        if (isQuestion(r.payload.toolName) !== (r.payload.question !== undefined))
          this.#bad('PM7: a question that is none, or the other way round', r);
        if (this.#remembered.has(r.payload.toolName)) this.#bad('PM6: asked about a tool that was allowed for good', r);
        this.#openRequests.set(r.payload.requestId, {
          turnId: r.payload.turnId,
          untilMs: Date.parse(r.payload.expiresAt),
        });
        return;
      case 'permission.resolved': {
        const { requestId, callId } = r.payload;
        const key = `${r.payload.turnId}/${callId}`;
        if (r.payload.reason === 'person' && !this.#openRequests.has(requestId))
          this.#bad('PM2: decided a request that is not open', r);
        if (r.payload.decision === 'allow' && r.payload.reason !== 'person') this.#bad('PM3: allowed by nobody', r);
        // A recovery closes what a dead daemon left open, whenever it comes.
        const late =
          r.payload.reason !== 'interrupted' &&
          Date.parse(r.ts) > (this.#openRequests.get(requestId)?.untilMs ?? Number.POSITIVE_INFINITY);
        if (late) this.#bad('PM3: decided after its deadline', r);
        this.#openRequests.delete(requestId);
        if (r.payload.cancelledBy !== undefined) this.cancelledCalls.add(key);
        if (r.payload.decision === 'allow') this.#allowed.set(key, r.payload.decidedBy);
        if (r.payload.decision === 'allow' && isQuestion(r.payload.toolName) !== (r.payload.answer !== undefined))
          this.#bad('PM7: a question without an answer, or an answer without a question', r);
        if (r.payload.answer !== undefined) this.#answers.set(key, r.payload.answer);
        if (r.payload.remember !== undefined) {
          if (isQuestion(r.payload.toolName)) this.#bad('PM7: the answer of a question is remembered', r);
          if (r.payload.decision !== 'allow' || r.payload.reason !== 'person')
            this.#bad('PM6: remembered by nobody', r);
          const memory = r.payload.remember === 'session' ? this.#remembered : this.#allowedHere;
          memory.set(r.payload.toolName, r.payload.decidedBy.replace('person:', 'remembered:'));
        }
        return;
      }
      case 'tool.start': {
        const key = `${r.payload.turnId}/${r.payload.id}`;
        const by = r.payload.decidedBy;
        if (this.cancelledCalls.has(key)) this.#bad('CX5: a call that was cancelled runs all the same', r);
        if (this.#started.has(key) && !this.#ended.has(key)) this.#bad('PM4: a call started twice', r);
        if (by.startsWith('person:') && this.#allowed.get(key) !== by)
          this.#bad('PM4: started without the allow it names', r);
        const remembered = this.#remembered.get(r.payload.name) === by || this.#allowedHere.get(r.payload.name) === by;
        if (!by.startsWith('person:') && !by.startsWith('rule:') && !remembered) this.#bad('PM4: started by nobody', r);
        if (isQuestion(r.payload.name) && !by.startsWith('person:'))
          this.#bad('PM7: a question that nobody answered', r);
        const isAuto = r.payload.name === 'write' && this.#turns.get(r.payload.turnId)?.overrides?.auto === true;
        const isFree = (isAuto && by === 'rule:auto') || by.startsWith('person:') || remembered;
        if ((r.payload.name === 'write' || r.payload.name === 'exec') && !isFree) {
          this.#bad('PM4: a call that must be asked for was started by a rule', r);
        }
        if (
          this.#turns.get(r.payload.turnId)?.mode === 'plan' &&
          (!READS.test(r.payload.name) || r.payload.name === 'web_fetch') &&
          !isQuestion(r.payload.name)
        ) {
          this.#bad('PM4: a read-only turn runs a tool that changes things', r);
        }
        const beside = [...this.#started].filter(([other]) => !this.#ended.has(other)).map(([, name]) => name);
        if (beside.length > 0 && ![...beside, r.payload.name].every((name) => READS.test(name)))
          this.#bad('TL2: a call that may change something runs beside another', r);
        const at = this.#step.calls.indexOf(r.payload.id);
        if (at <= this.#step.at) this.#bad('TL2: calls begin in another order than theirs', r);
        this.#step.at = at;
        this.#started.set(key, r.payload.name);
        this.#ended.delete(key);
        return;
      }
      case 'tool.end': {
        const key = `${r.payload.turnId}/${r.payload.id}`;
        if (!this.#started.has(key) || this.#ended.has(key)) this.#bad('PM4: ended what did not run', r);
        const answer = this.#answers.get(key);
        if (answer !== undefined && r.payload.result !== answer) this.#bad('PM7: the result is not the answer', r);
        this.#ended.add(key);
        if (r.payload.changes !== undefined) this.#changed.add(r.payload.turnId);
        if (r.payload.cancelledBy !== undefined) {
          if (!r.payload.isError) this.#bad('CX5: cancelled, and yet no error', r);
          this.cancelledCalls.add(key);
        }
        return;
      }
      case 'turn.done':
      case 'turn.error':
        this.#end(r);
        return;
    }
  }

  /** The place is the policy's, and a key has one turn. */
  #enqueue(r: LogRecord & { event: 'turn.queued' }): void {
    const { turnId, onBusy, steers, position, idempotencyKey } = r.payload;
    if (this.#deleted) this.#bad('TQ6: accepted by a session that was put away', r);
    if (idempotencyKey !== undefined) {
      if (this.keys.has(idempotencyKey)) this.#bad('TQ5: one key, two turns', r);
      this.keys.set(idempotencyKey, turnId);
    }
    if (steers !== undefined && (steers !== this.#active || onBusy !== 'steer'))
      this.#bad('WP4: steers a turn that does not run', r);
    const ahead = this.#queue.filter((id) => this.#steers.get(id) === steers).length;
    const place =
      onBusy === 'interrupt' || onBusy === 'rollback' ? 1 : steers !== undefined ? ahead + 1 : this.#queue.length + 1;
    if (position !== place) this.#bad(`TQ2: ${onBusy} got place ${position} and not ${place}`, r);
    if (steers !== undefined) this.#steers.set(turnId, steers);
    this.#queue.splice(position - 1, 0, turnId);
  }

  #change(r: LogRecord & { event: 'session.updated' }): void {
    const { change } = r.payload;
    if (change?.kind === 'deleted') this.#deleted = true;
    if (change?.kind === 'restored') this.#deleted = false;
    if (change?.kind === 'settings') for (const tool of change.forget ?? []) this.#remembered.delete(tool);
    if (change?.kind !== 'queue') return;
    const { turnId, order } = change;
    if (!this.#queue.includes(turnId)) this.#bad('WP5: a turn was edited that does not wait', r);
    if (!order) return;
    const writer = (id: string | undefined) => this.#turns.get(id ?? '')?.writerId;
    if ([...order].sort().join() !== [...this.#queue].sort().join()) this.#bad('WP5: a move lost or made a turn', r);
    const pushed = this.#queue.some((id, i) => writer(id) !== writer(turnId) && order[i] !== id);
    if (pushed) this.#bad('WP5: a move pushed the turn of somebody else', r);
    this.#queue.splice(0, this.#queue.length, ...order);
  }

  #nameCancelled(target: { turnId?: string | undefined; writerId?: string | undefined; all?: true | undefined }): void {
    for (const [turnId, turn] of this.#turns) {
      if (this.terminal.has(turnId)) continue;
      if (target.all || (target.turnId === undefined ? turn.writerId === target.writerId : turnId === target.turnId))
        this.#cancelNamed.add(turnId);
    }
  }

  #end(r: LogRecord & { event: 'turn.done' | 'turn.error' }): void {
    const { turnId, outcome } = r.payload;
    this.terminal.set(turnId, outcome);
    if (r.event === 'turn.done' && this.#active !== turnId) {
      const into = r.payload.steeredInto;
      if (into === undefined || into !== this.#active || this.#steers.get(turnId) !== into)
        this.#bad('WP4: done, and neither ran nor was taken in by the turn that it steers', r);
      if (this.#started.size > this.#ended.size) this.#bad('WP4: taken in while a call is open', r);
    }
    if (outcome === 'cancelled' && !this.#cancelNamed.has(turnId)) this.#bad('CX1: cancelled and never named', r);
    if ([...this.#openRequests.values()].some((open) => open.turnId === turnId))
      this.#bad('PM1: a request outlives its turn', r);
    if (this.#active === turnId && this.#started.size !== this.#ended.size)
      this.#bad('CX4: a call outlives its turn', r);
    const since = this.cancelledAtMs.get(turnId);
    if (since !== undefined) {
      if (outcome === 'done' || outcome === 'error') this.#bad('CX3: cancelled and yet not', r);
      if (outcome === 'cancelled' && Date.parse(r.ts) - since > this.#cancelDeadlineMs)
        this.#bad('CX2: the cancel took too long', r);
    }
    if (this.#active === turnId && this.#rollback === turnId && this.#changed.has(turnId)) this.#due = turnId;
    if (this.#active === turnId) this.#active = null;
    else if (this.#queue.includes(turnId)) this.#queue.splice(this.#queue.indexOf(turnId), 1);
    else this.#bad('TQ3: the end of a turn that neither ran nor waited', r);
  }

  /** What must hold when nothing moves any more. */
  quiet(): void {
    for (const turnId of this.accepted) {
      if (!this.terminal.has(turnId)) this.#report(`TQ3: turn ${turnId} of ${this.sessionId} never ended`);
    }
    this.background.quiet((violation) => this.#report(`${violation} (${this.sessionId})`));
  }
}
