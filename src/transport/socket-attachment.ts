import { LIMITS } from '../actors/limits.ts';
import type { Attachment, Reader, Runtime, Who } from '../actors/runtime.ts';
import { errorBody, errorRow, OptaError, toOptaError } from '../protocol/errors.ts';
import {
  FEATURES,
  type Feature,
  type InboundFrame,
  type PresenceFrame,
  type SnapshotFrame,
} from '../protocol/frames.ts';
import type { PresenceEntry } from '../protocol/session.ts';
import type { SessionState } from '../protocol/session-state.ts';
import { ask, type Timers } from './ask.ts';
import { readOnly } from './auth.ts';
import type { Dispatch } from './dispatch.ts';
import type { Socket, SocketEnd } from './port.ts';
import { type CommandFrame, echoOf, parseFrame, runCommand } from './socket-commands.ts';

export interface SocketDeps {
  runtime: Runtime;
  dispatch: Dispatch;
  onFault(where: string, fault: unknown): void;
  now(): number;
  timers: Timers;
  /** The attachments that are open, for whoever measures them. */
  live: Set<SocketAttachment>;
}

/** What a socket's URL and token say. */
export interface SocketStart {
  sessionId: string;
  /** Undefined: from the beginning, or with a snapshot from there on. */
  afterSeq: number | undefined;
  who: Who;
  features: readonly string[];
  /** Its token is an observer's: it can never become anything else. */
  looksOn: boolean;
}

type HelloFrame = Extract<InboundFrame, { type: 'hello' }>;

/** One socket on one session: the runtime's reader on one side, commands on the other. */
export class SocketAttachment implements SocketEnd, Reader {
  readonly #deps: SocketDeps;
  readonly #socket: Socket;
  readonly #start: SocketStart;
  #who: Who;
  #features: Feature[];
  #attachment: Attachment | null = null;
  /** Frames that wait for the first snapshot: a command of a socket that is not attached yet would find nobody watching. */
  #held: InboundFrame[] | null = null;
  #unanswered = 0;
  #presenceOwed = false;
  #open = true;

  constructor(deps: SocketDeps, socket: Socket, start: SocketStart) {
    this.#deps = deps;
    this.#socket = socket;
    this.#start = start;
    this.#who = start.who;
    this.#features = known(start.features);
    this.#watchPresence();
    deps.live.add(this);
    if (!this.#features.includes('snapshot')) this.#attach(start.afterSeq ?? 0);
    else {
      this.#held = [];
      this.#begin().catch((fault: unknown) => {
        const error = this.#told('snapshot', fault);
        this.close(error.code, error.message);
      });
    }
  }

  /** Commands that wait for their answer, and frames that wait for the first snapshot. */
  get unanswered(): number {
    return this.#unanswered + (this.#held?.length ?? 0);
  }

  // --- what the runtime calls

  /** Only while the client asked for it: the runtime tells readers that have it. */
  presence?: (present: PresenceEntry[], total: number) => void;

  send(frame: string): void {
    if (this.#open) this.#socket.send(frame);
  }

  bufferedBytes(): number {
    return this.#socket.bufferedBytes();
  }

  warn(code: OptaError['code'], message: string): void {
    this.#error(new OptaError(code, message));
  }

  close(code: OptaError['code'], message: string): void {
    if (!this.#open) return;
    // A stop is not a failure of this client's doing: it finds the next daemon by itself.
    if (code !== 'shutting-down') this.#error(new OptaError(code, message));
    this.closed();
    this.#socket.close(closeCode(code), code);
  }

  // --- what the socket calls

  message(text: string | null): void {
    if (!this.#open) return;
    let frame: InboundFrame;
    try {
      frame = parseFrame(text);
    } catch (fault) {
      this.#error(toOptaError(fault));
      return;
    }
    if (this.#held === null) this.#take(frame);
    else if (this.#held.length >= LIMITS.socketCommandsMax) this.#error(tooMany(frame));
    else this.#held.push(frame);
  }

  drain(): void {
    this.#attachment?.drained();
    if (!this.#presenceOwed) return;
    const all = this.#deps.runtime.presence(this.#start.sessionId);
    this.#tellPresence(all.slice(0, LIMITS.presenceEntriesMax), all.length);
  }

  closed(): void {
    this.#open = false;
    this.#held = null;
    this.#deps.live.delete(this);
    this.#attachment?.detach();
    this.#attachment = null;
  }

  // --- attaching

  /** [EV2] The snapshot is the fold of the log up to its `seq`; what follows it begins at the cursor, or right after it. */
  async #begin(): Promise<void> {
    let from = this.#start.afterSeq;
    try {
      const state = await this.#state();
      this.#snapshot(state);
      from ??= state.seq;
    } catch (fault) {
      const error = this.#told('snapshot', fault);
      // A session that is not there yet is told by its attachment, and followed from its first event.
      if (error.code !== 'session-not-found') return this.close(error.code, error.message);
    }
    if (!this.#open) return;
    this.#attach(from ?? 0);
    const held = this.#held ?? [];
    this.#held = null;
    for (const frame of held) this.#take(frame);
  }

  #attach(afterSeq: number): void {
    try {
      const attachment = this.#deps.runtime.attach(this.#start.sessionId, afterSeq, this, this.#who);
      // The runtime may have closed this end before it gave the attachment out.
      if (this.#open) this.#attachment = attachment;
      else attachment.detach();
    } catch (fault) {
      const error = this.#told('attach', fault);
      this.close(error.code, error.message);
    }
  }

  #state(): Promise<SessionState> {
    const { runtime, timers } = this.#deps;
    return ask(timers, LIMITS.askDeadlineMs, (done) => runtime.get(this.#start.sessionId, done));
  }

  // --- frames

  #take(frame: InboundFrame): void {
    if (!this.#open) return;
    if (frame.type === 'ping') this.#heartbeat(frame.requestId);
    else if (frame.type === 'hello') this.#hello(frame);
    else if (this.#who.role === 'observer') this.#error(withEcho(readOnly(), frame));
    else if (this.#unanswered >= LIMITS.socketCommandsMax) this.#error(tooMany(frame));
    else this.#run(frame);
  }

  #run(frame: CommandFrame): void {
    this.#unanswered += 1;
    void runCommand(this.#deps.dispatch, frame).then((answer) => {
      this.#unanswered -= 1;
      this.#say(answer);
    });
  }

  /** Says more about the client than its URL did. Without a `requestId` there is no answer, as existing clients expect. */
  #hello(frame: HelloFrame): void {
    const { role, clientId, writerId, features, requestId } = frame;
    const said: Partial<Who> = {
      ...(role && !this.#start.looksOn ? { role } : {}),
      ...(clientId ? { clientId } : {}),
      ...(writerId ? { writerId } : {}),
    };
    this.#who = { ...this.#who, ...said };
    if (features) this.#features = known(features);
    this.#watchPresence();
    if (features) this.#attachment?.introduce(said, this.#features.includes('presence'));
    else if (Object.keys(said).length > 0) this.#attachment?.introduce(said);
    if (requestId !== undefined) {
      const attached = { attachmentId: this.#attachment?.id, seq: this.#attachment?.cursor ?? 0 };
      const accepted = { features: this.#features, role: this.#who.role };
      this.#say({ type: 'ack', action: 'hello', requestId, ...accepted, ...attached });
    }
    if (features && this.#features.includes('snapshot')) this.#snapshotNow(frame);
  }

  #snapshotNow(frame: HelloFrame): void {
    if (this.#unanswered >= LIMITS.socketCommandsMax) {
      this.#error(tooMany(frame));
      return;
    }
    this.#unanswered += 1;
    void this.#state().then(
      (state) => {
        this.#unanswered -= 1;
        this.#snapshot(state, echoOf(frame));
      },
      (fault: unknown) => {
        this.#unanswered -= 1;
        this.#error(withEcho(this.#told('snapshot', fault), frame));
      },
    );
  }

  #snapshot(state: SessionState, echo: { requestId?: string } = {}): void {
    const frame: SnapshotFrame = { type: 'snapshot', sessionId: state.sessionId, seq: state.seq, state, ...echo };
    this.#say(frame);
  }

  #watchPresence(): void {
    if (this.#features.includes('presence')) this.presence = (present, total) => this.#tellPresence(present, total);
    else delete this.presence;
  }

  /** Of the moment: a client that has much to take is told once it has taken it, and then how things are by then. */
  #tellPresence(present: PresenceEntry[], total: number): void {
    if (!this.#features.includes('presence')) return;
    this.#presenceOwed = this.#socket.bufferedBytes() > LIMITS.readerBytesMax;
    if (this.#presenceOwed) return;
    const frame: PresenceFrame = { type: 'presence', sessionId: this.#start.sessionId, present, total };
    this.#say(frame);
  }

  /** What is not an `OptaError` is a bug: its text goes to the log and not to the client. */
  #told(where: string, fault: unknown): OptaError {
    if (fault instanceof OptaError) return fault;
    this.#deps.onFault(where, fault);
    return new OptaError('internal', 'Internal error');
  }

  #error(error: OptaError): void {
    this.#say(errorBody(error));
  }

  #say(frame: object): void {
    if (this.#open) this.#socket.send(JSON.stringify(frame));
  }

  /**
   * Shaped for the clients that exist: `event` because one of them shows any other frame as a card, the socket's own cursor as
   * `seq` because another takes the largest `seq` it sees as its cursor, and no `payload`, so that none takes it for a record.
   */
  #heartbeat(requestId: string | undefined): void {
    this.#say({
      type: 'heartbeat',
      event: 'heartbeat',
      sessionId: this.#start.sessionId,
      seq: this.#attachment?.cursor ?? 0,
      ts: new Date(this.#deps.now()).toISOString(),
      ...(requestId === undefined ? {} : { requestId }),
    });
  }
}

/** Those that exist, each once. */
const known = (names: readonly string[]): Feature[] => FEATURES.filter((feature) => names.includes(feature));

const withEcho = (error: OptaError, frame: InboundFrame): OptaError =>
  new OptaError(error.code, error.message, { ...error.facts, ...echoOf(frame) });

const tooMany = (frame: InboundFrame): OptaError =>
  withEcho(
    new OptaError(
      'too-many-requests',
      `More than ${LIMITS.socketCommandsMax} commands of this socket wait for an answer`,
    ),
    frame,
  );

/** 1001 going away, 1013 try again later, 1011 internal; or the table's own code. */
const closeCode = (code: OptaError['code']): number => {
  const row = errorRow(code);
  if (row.close !== undefined) return row.close;
  if (code === 'shutting-down') return 1001;
  return row.retryable ? 1013 : 1011;
};
