import { recordOf } from '../protocol/envelope.ts';
import { OptaError, toOptaError } from '../protocol/errors.ts';
import { isTerminal } from '../protocol/events.ts';
import type { PresenceFrame } from '../protocol/frames.ts';
import type { Role } from '../protocol/session.ts';
import type { Remember } from '../protocol/turn.ts';
import type { AttachOptions, AttachState, Frame, Received } from './attach-options.ts';
import type { Attachment } from './attachment.ts';
import type { OptaClient } from './client.ts';
import {
  type Cancelled,
  type CancelTarget,
  DEADLINE_MS,
  decideSafely,
  freshId,
  type NewTurn,
  type Submitted,
  submitSafely,
} from './control.ts';
import { failureOf, type RetryOptions, untilAnswered } from './faults.ts';
import { SessionView } from './session-view.ts';
import { emptyTurn, foldTurn, type TurnView, turnOf } from './turn-view.ts';

export interface LinkOptions extends Pick<AttachOptions, 'retryForMs' | 'backoff' | 'pingEveryMs' | 'random' | 'now'> {
  /** Who speaks: the program, and whose turns and decisions these are. Both are written into the log. */
  clientId?: string;
  writerId?: string;
  role?: Role;
  /** `start`, the default: the whole log. `snapshot`: the state of now, for a client that does not show the history. */
  from?: 'start' | 'snapshot';
  /** Asks to be told who is attached. */
  presence?: boolean;
}

export interface DecideOptions {
  /** The link's writer unless said. */
  decidedBy?: string;
  /** With `allow`: this tool is not asked about again in this session. */
  remember?: Remember;
  /** With `allow` of a question, and required there. */
  answer?: string;
}

/** A turn as a link submits it: who it is of, the link knows. */
export type LinkTurn = Omit<NewTurn, 'clientId' | 'writerId' | 'mode'> & Partial<Pick<NewTurn, 'writerId' | 'mode'>>;

interface LinkEvents {
  state: AttachState;
  /** Connected again after a loss. `cursor`: from where the log is read on. */
  reconnect: { cursor: number; count: number };
  event: Received;
  /** What a person should know: an error frame, a log that was rewound, a repeat. */
  notice: OptaError;
}
type LinkEvent = keyof LinkEvents;

interface Waiting {
  sent: boolean;
  resolve(frame: Frame): void;
  reject(error: OptaError): void;
}

/**
 * One client's place in a session: a view that is always the fold of the log, and commands on the same socket, each matched to
 * its own answer. Connections come and go below it; a command whose answer was lost with one is sent again on the next, which
 * is safe for each of them: a submit has a key, a cancel hits once, and the first decision stands.
 */
export class SessionLink {
  readonly sessionId: string;
  readonly view: SessionView;
  /** Settles with the reason when the link is over, or null after `close()`. */
  readonly ended: Promise<OptaError | null>;
  readonly #attachment: Attachment;
  readonly #who: { clientId: string; writerId: string };
  readonly #waiting = new Map<string, Waiting>();
  readonly #listeners = new Map<LinkEvent, Set<(value: never) => void>>();
  readonly #opening = new Set<() => void>();
  readonly #client: OptaClient;
  #connected = 0;

  constructor(client: OptaClient, sessionId: string, options: LinkOptions = {}) {
    const { clientId = 'opta-client', writerId = clientId, role, from, presence, ...tuning } = options;
    this.sessionId = sessionId;
    this.#who = { clientId, writerId };
    this.#client = client;
    const view = new SessionView(sessionId);
    this.view = view;
    this.#attachment = client.attach({
      ...tuning,
      sessionId,
      afterSeq: 0,
      hello: { clientId, writerId, ...(role === undefined ? {} : { role }) },
      ...(presence ? { features: ['presence'] } : {}),
      ...(from === 'snapshot' ? { snapshot: { head: () => this.#head(), take: (state) => view.load(state) } } : {}),
      onEnvelope: (envelope) => {
        view.apply(envelope.record);
        this.#tell('event', envelope);
      },
      onRewound: () => view.load(),
      onNotice: (error) => this.#tell('notice', error),
      onFrame: (frame) => this.#answered(frame),
      onState: (state) => this.#moved(state),
    });
    this.ended = this.#attachment.ended;
  }

  get state(): AttachState {
    return this.#attachment.state;
  }

  get cursor(): number {
    return this.#attachment.cursor;
  }

  /** Looks for the daemon now, in place of the pause between two attempts; of an open connection, asks for a sign of life. */
  wake(): void {
    this.#attachment.wake();
  }

  on<E extends LinkEvent>(event: E, listener: (value: LinkEvents[E]) => void): () => void {
    const all = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, all.add(listener));
    return () => all.delete(listener);
  }

  /** [TQ5] One turn, however often the frame had to be sent. Resolves once the turn is on disk. */
  submit(turn: LinkTurn, options: RetryOptions = {}): Promise<Submitted> {
    const { mode = 'chat', ...rest } = turn;
    const send = async (body: NewTurn, ms: number): Promise<Submitted> => {
      const { turnId, queued, seq, replayed } = await this.#ask({ type: 'turn.submit', ...body }, 'requestId', ms);
      return { turnId, queued, seq, ...(replayed === true ? { replayed } : {}) } as Submitted;
    };
    return submitSafely({ ...this.#who, mode, ...rest }, this.#told(options), send, () => this.#client.knowsKeys());
  }

  /** Submits, and waits for the turn's end as the log has it. Aborting cancels the turn; its own outcome is what counts. */
  async run(turn: LinkTurn, { signal, ...options }: RetryOptions = {}): Promise<TurnView> {
    // Not aborted with it: only an answer tells what there is to cancel.
    const { turnId, seq } = await this.submit(turn, options);
    const cancel = (): void => void this.cancel({ turnId }).catch((error) => this.#tell('notice', toOptaError(error)));
    signal?.addEventListener('abort', cancel, { once: true });
    if (signal?.aborted) cancel();
    try {
      return await this.#end(turnId, seq);
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Answered when what it hit has ended. `callId`, with its `turnId`: that call alone. The counts are those of the last attempt. */
  cancel(target: CancelTarget, options: RetryOptions = {}): Promise<Cancelled> {
    const who = target.callId === undefined ? {} : { cancelledBy: this.#who.writerId };
    const deadlineMs = options.deadlineMs ?? DEADLINE_MS.retry;
    return untilAnswered(
      async (leftMs) => {
        const ms = Math.min(leftMs, DEADLINE_MS.cancel);
        const { cancelled } = await this.#ask({ type: 'turn.cancel', ...who, ...target }, 'requestId', ms);
        const hit = cancelled as Pick<Cancelled, 'cancelledQueued' | 'cancelledActive' | 'cancelledCalls'>;
        const { cancelledQueued, cancelledActive, cancelledCalls = 0 } = hit;
        return { ok: true, cancelled: cancelledQueued + (cancelledActive ? 1 : 0) + cancelledCalls, ...hit };
      },
      { ...this.#told(options), deadlineMs },
    );
  }

  /** Throws `permission-resolved`, with who it was, when somebody else decided first ([PM2]). */
  decide(requestId: string, decision: 'allow' | 'deny', options: RetryOptions & DecideOptions = {}): Promise<void> {
    const { decidedBy = this.#who.writerId, remember, answer, ...retry } = options;
    const more = { ...(remember === undefined ? {} : { remember }), ...(answer === undefined ? {} : { answer }) };
    const mine = { decision, decidedBy, ...more };
    return decideSafely(mine, this.#told(retry), async (ms) => {
      const frame = { type: 'permission.resolve', requestId, ...mine };
      const { result } = await this.#ask(frame, 'ackId', ms);
      if ((result as { ok: boolean }).ok !== true) throw failureOf(result, 'internal');
    });
  }

  close(): void {
    this.#attachment.close();
  }

  async #head(): Promise<number> {
    return (await this.#client.call('queue.list', { params: { id: this.sessionId } })).seq;
  }

  #end(turnId: string, seq: number): Promise<TurnView> {
    const { past, active, state } = this.view.current;
    const over = past.findLast((turn) => turn.turnId === turnId);
    if (over) return Promise.resolve(over);
    const ahead = state.seq < seq || active?.turnId === turnId || state.queue.some((turn) => turn.turnId === turnId);
    // A key of long ago, and a view that began later: its end stands in the log.
    if (!ahead) return this.#readEnd(emptyTurn(turnId), seq - 1);
    // Its end is told once, and may have been before this turn's number was known.
    if (this.state === 'ended') {
      return this.ended.then((error) => {
        throw error ?? closed();
      });
    }
    return new Promise((resolve, reject) => {
      const undo = [
        this.view.subscribe((view, record) => {
          if (record === null || !isTerminal(record) || turnOf(record) !== turnId) return;
          for (const stop of undo) stop();
          resolve(view.past.findLast((turn) => turn.turnId === turnId) ?? foldTurn(emptyTurn(turnId), record));
        }),
        this.on('state', (now) => {
          if (now !== 'ended') return;
          for (const stop of undo) stop();
          void this.ended.then((error) => reject(error ?? closed()));
        }),
      ];
    });
  }

  async #readEnd(turn: TurnView, afterSeq: number): Promise<TurnView> {
    const { events } = await this.#client.events(this.sessionId, afterSeq);
    const view = events.reduce((t, event) => (t.end ? t : foldTurn(t, recordOf(event))), turn);
    const last = events.at(-1);
    if (view.end) return view;
    if (!last) throw new OptaError('internal', `The log has no end of turn ${turn.turnId}`);
    return this.#readEnd(view, last.seq);
  }

  /** Sends one command on the open connection, or on the next one, and waits for the frame that answers it. */
  async #ask(command: object, echo: 'requestId' | 'ackId', deadlineMs: number): Promise<Frame> {
    const id = freshId();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let send: () => void = () => undefined;
    try {
      return await new Promise<Frame>((resolve, reject) => {
        const waiting: Waiting = { sent: false, resolve, reject };
        this.#waiting.set(id, waiting);
        timer = setTimeout(() => reject(late(waiting.sent, deadlineMs)), deadlineMs);
        send = () => {
          waiting.sent = this.#attachment.send({ ...command, sessionId: this.sessionId, [echo]: id });
        };
        if (this.state === 'ended') reject(closed());
        else if (this.state === 'open') send();
        else this.#opening.add(send);
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
      this.#opening.delete(send);
    }
  }

  #answered(frame: Frame): void {
    if (frame.type === 'presence') {
      this.view.note({ presence: (frame as unknown as PresenceFrame).present });
      return;
    }
    const waiting = this.#waiting.get(String(frame.requestId));
    if (typeof frame.error === 'string') waiting?.reject(failureOf(frame, 'internal'));
    else if (frame.type === 'ack') waiting?.resolve(frame);
  }

  #moved(state: AttachState): void {
    if (state === 'open') {
      for (const send of this.#opening) send();
      this.#opening.clear();
      this.#connected += 1;
      if (this.#connected > 1) this.#tell('reconnect', { cursor: this.cursor, count: this.#connected - 1 });
    } else if (state === 'waiting') {
      const broken = new OptaError('daemon-unreachable', 'The connection broke before the answer');
      // What was not sent yet goes on waiting, for the next connection.
      for (const { sent, reject } of this.#waiting.values()) if (sent) reject(broken);
    } else if (state === 'ended') {
      void this.ended.then((error) => {
        for (const { reject } of this.#waiting.values()) reject(error ?? closed());
      });
    }
    this.view.note({ connection: state, ...(state === 'open' ? {} : { presence: [] }) });
    this.#tell('state', state);
  }

  #told(options: RetryOptions): RetryOptions {
    return { onRetry: (error) => this.#tell('notice', error), ...options };
  }

  #tell<E extends LinkEvent>(event: E, value: LinkEvents[E]): void {
    for (const listener of this.#listeners.get(event) ?? []) (listener as (value: LinkEvents[E]) => void)(value);
  }
}

const closed = (): OptaError => new OptaError('cancelled', 'The link was closed');

const late = (sent: boolean, ms: number): OptaError =>
  sent
    ? new OptaError('timeout', `No answer within ${ms} ms`)
    : new OptaError('daemon-unreachable', `No connection to the daemon within ${ms} ms`);
