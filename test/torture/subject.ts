import { decodeEnvelope } from '../../src/protocol/envelope.ts';
import { isTerminal, type LogRecord } from '../../src/protocol/events.ts';
import type { Message } from '../../src/protocol/session.ts';
import { checkedLog, ofTurn } from '../e2e/world.ts';
import type { CancelAck, Daemon, TestSocket } from '../support/daemon.ts';

/** What a turn's model says, so that its text can be checked afterwards. */
export interface Said {
  before: string;
  text: string;
}

/**
 * One session as the world outside has seen it, over all lives of the daemon: every frame that any socket got, and every answer
 * that anybody got. After each restart the stored log has to agree with all of it.
 */
export class Subject {
  readonly sessionId: string;
  readonly workspace: string;
  /** By `seq`; kept by whoever saw it first, compared by everybody after. */
  readonly seen = new Map<number, string>();
  readonly submits = new Map<string, { seq: number }>();
  readonly cancels: { turnId: string; ack: CancelAck }[] = [];
  readonly decisions: { requestId: string; decision: string }[] = [];
  readonly said = new Map<string, Said>();
  rounds = 0;
  /** Frames that came while the daemon was under load, before it was killed. */
  seenLive = 0;
  underLoad = false;
  /** Last `seq` of the reader that was there from the beginning. */
  cursor = 0;
  reader: TestSocket | null = null;
  readonly #report: (violation: string) => void;

  constructor(sessionId: string, workspace: string, report: (violation: string) => void) {
    this.sessionId = sessionId;
    this.workspace = workspace;
    this.#report = (violation) => report(`${sessionId}: ${violation}`);
  }

  /** Attaches the reader where it was cut. */
  async attach(daemon: Daemon): Promise<TestSocket> {
    this.reader = await this.watch(daemon, this.cursor, (record) => {
      this.cursor = record.seq;
    });
    return this.reader;
  }

  /** A socket whose frames count as seen, from the very first on. */
  async watch(daemon: Daemon, afterSeq: number, onRecord?: (record: LogRecord) => void): Promise<TestSocket> {
    const socket = daemon.rawSocket(`/v3/ws?sessionId=${this.sessionId}&afterSeq=${afterSeq}`, {
      authorization: `Bearer ${daemon.token}`,
    });
    let last = afterSeq;
    socket.onRecord = (record, text) => {
      if (record.seq !== last + 1) this.#report(`EV2: a socket got ${record.seq} after ${last}`);
      last = record.seq;
      if (this.underLoad) this.seenLive += 1;
      const before = this.seen.get(record.seq);
      if (before === undefined) this.seen.set(record.seq, text);
      else if (before !== text) this.#report(`EV3: seq ${record.seq} had other bytes before`);
      onRecord?.(record);
    };
    await socket.opened;
    return socket;
  }

  /** Nothing runs and nothing waits, and all of that is committed: the answer waits for what it tells. */
  async isQuiet(daemon: Daemon): Promise<boolean> {
    const { json } = await daemon.get(`/v3/sessions/${this.sessionId}`);
    return json.activeTurnId === undefined && json.queuedTurns === 0;
  }

  /** Everything that was seen and answered is in the log, and the log is one that may be. The session is quiet. */
  async verify(daemon: Daemon): Promise<Counts> {
    const stored = await daemon.log(this.sessionId);
    for (const [seq, text] of this.seen) {
      if (stored[seq - 1] === undefined) this.#report(`EV4: seq ${seq} was seen and is gone`);
      else if (stored[seq - 1] !== text) this.#report(`EV1: seq ${seq} was seen with other bytes`);
    }
    const replay = await this.watch(daemon, 0);
    await replay.wait('the whole replay', () => replay.frames.length >= stored.length);
    if (replay.frames.join('\n') !== stored.join('\n')) this.#report('EV3: the replay differs from the log');
    replay.close();

    const { checker, records, violations } = checkedLog(this.sessionId, stored);
    for (const violation of violations) this.#report(violation);
    this.#checkAnswers(records, checker.terminal);
    this.#checkTexts(records, checker.stepTexts, checker.terminal);
    const { messages } = (await daemon.get(`/v3/sessions/${this.sessionId}`)).json as { messages: Message[] };
    if (JSON.stringify(messages) !== JSON.stringify(checker.state.messages)) {
      this.#report('CR2: the conversation is not the fold of the log');
    }
    return this.#checkCrashes(records, stored, messages);
  }

  #checkAnswers(records: LogRecord[], ends: ReadonlyMap<string, string>): void {
    for (const [turnId, { seq }] of this.submits) {
      const at = records[seq - 1];
      if (at?.event !== 'turn.queued' || at.payload.turnId !== turnId) {
        this.#report(`EV5: ${turnId} was accepted at seq ${seq} and is not there`);
      }
      if (!ends.has(turnId)) this.#report(`TQ3: ${turnId} was accepted and has no end`);
    }
    for (const { turnId, ack } of this.cancels) {
      const hit = ack.cancelled > 0;
      if (hit !== (ends.get(turnId) === 'cancelled')) {
        this.#report(`CX3: the cancel of ${turnId} was answered ${JSON.stringify(ack)}; it ended ${ends.get(turnId)}`);
      }
    }
    for (const { requestId, decision } of this.decisions) {
      const at = records.find((r) => r.event === 'permission.resolved' && r.payload.requestId === requestId);
      if (at?.event !== 'permission.resolved' || at.payload.decision !== decision || at.payload.reason !== 'person') {
        this.#report(`PM2: the answered ${decision} of ${requestId} is not in the log`);
      }
    }
  }

  #checkTexts(records: LogRecord[], steps: ReadonlyMap<string, string>, ends: ReadonlyMap<string, string>): void {
    const contents = new Map<string, Said>();
    for (const r of records) {
      const said = r.event === 'turn.queued' ? this.said.get(r.payload.content) : undefined;
      if (said && r.event === 'turn.queued') contents.set(r.payload.turnId, said);
    }
    for (const [key, text] of steps) {
      const said = contents.get(key.split('/')[0] as string);
      if (said && !said.text.startsWith(text) && !said.before.startsWith(text)) {
        this.#report(`EV3: step ${key} has a text that the model did not write: ${text.slice(0, 80)}`);
      }
    }
    for (const [turnId, how] of ends) {
      const said = contents.get(turnId);
      const last = [...steps].filter(([key]) => key.startsWith(`${turnId}/`)).at(-1)?.[1] ?? '';
      if (how === 'done' && said && last !== said.text)
        this.#report(`EV3: ${turnId} is done with only a part of its text`);
    }
  }

  /** What ran when a daemon died is closed by the next one first thing, with its text kept; what was queued runs. */
  #checkCrashes(records: LogRecord[], stored: string[], messages: Message[]): Counts {
    const counts = { events: stored.length, interrupted: 0, withText: 0, resumed: 0 };
    const daemons = stored.map((text) => decodeEnvelope(text).daemonId);
    let active: string | null = null;
    let cancelling = false;
    const queued = new Set<string>();
    records.forEach((r, i) => {
      if (i > 0 && daemons[i] !== daemons[i - 1]) {
        counts.resumed += queued.size;
        if (active !== null) {
          const end = records.slice(i).find((later) => isTerminal(later)) as LogRecord & { event: 'turn.error' };
          const wanted = cancelling ? 'cancelled' : 'interrupted';
          if (end.payload.turnId !== active || end.payload.outcome !== wanted || daemons[end.seq - 1] !== daemons[i]) {
            this.#report(`CR1: ${active} ran when the daemon died and was not closed as ${wanted}`);
          }
          counts.interrupted += 1;
          if (this.#keptText(records, active, messages)) counts.withText += 1;
        }
      }
      if (r.event === 'turn.queued') queued.add(r.payload.turnId);
      if (r.event === 'turn.start') {
        queued.delete(r.payload.turnId);
        active = r.payload.turnId;
        cancelling = false;
      }
      if (r.event === 'session.cancelled' && r.payload.turnId === active) cancelling = true;
      if (isTerminal(r) && 'turnId' in r.payload) {
        const turnId = r.payload.turnId as string;
        if (queued.delete(turnId) && r.event === 'turn.error' && r.payload.outcome !== 'cancelled') {
          this.#report(`CR1: ${turnId} waited in the queue and ended ${r.payload.outcome} without having run`);
        }
        if (turnId === active) active = null;
      }
    });
    return counts;
  }

  /** True when there was text of the broken step; then it must stand in the conversation. */
  #keptText(records: LogRecord[], turnId: string, messages: Message[]): boolean {
    const mine = ofTurn(records, turnId);
    const from = mine.findLastIndex((r) => r.event === 'turn.progress' && r.payload.phase === 'model.response');
    const text = mine
      .slice(from + 1)
      .map((r) => (r.event === 'turn.token' ? r.payload.text : ''))
      .join('');
    if (text === '') return false;
    if (!messages.some((m) => m.role === 'assistant' && m.content === text)) {
      this.#report(`CR1: the partial text of ${turnId} is not in the conversation`);
    }
    return true;
  }
}

export interface Counts {
  events: number;
  interrupted: number;
  withText: number;
  resumed: number;
}
