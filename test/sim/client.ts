import type { Clock } from '../../src/actors/ports.ts';
import type { Socket, SocketEnd } from '../../src/transport/port.ts';
import type { Random } from './random.ts';

/**
 * One client: a socket on a session that is cut, slow or late by the seed, and resumes from its cursor. It accepts only what a
 * correct client may accept, and reports everything else.
 */
export interface ClientHooks {
  connect(sessionId: string, afterSeq: number, socket: Socket, observer: boolean): SocketEnd;
  /** Every envelope that arrived, before it is accepted. */
  received(sessionId: string, seq: number, text: string): void;
  answered(frame: { [key: string]: unknown }): void;
  report(violation: string): void;
}

interface Envelope {
  event: string;
  seq: number;
  payload: { requestId?: string; question?: object; turnId?: string; id?: string; calls?: { id: string }[] };
}

export class SimClient {
  cursor = 0;
  /** Permission requests seen and not yet seen resolved. */
  readonly requests = new Set<string>();
  /** Those among them, now or before, that are questions. */
  readonly questions = new Set<string>();
  /** A permission request has arrived. */
  onAsked: () => void = () => undefined;
  /** A model wants a call made, or it runs. */
  onCall: (turnId: string, callId: string) => void = () => undefined;
  readonly sessionId: string;
  #end: SocketEnd | null = null;
  #buffered = 0;
  #backlog: string[] = [];
  #draining = false;
  slow = false;
  /** It came as an observer this time. */
  #observer = false;
  readonly #hooks: ClientHooks;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(sessionId: string, hooks: ClientHooks, clock: Clock, random: Random) {
    this.sessionId = sessionId;
    this.#hooks = hooks;
    this.#clock = clock;
    this.#random = random;
  }

  get attached(): boolean {
    return this.#end !== null;
  }

  attach(): void {
    if (this.#end) return;
    const epoch = {};
    this.#epoch = epoch;
    const mine = (fn: () => void) => () => {
      if (this.#epoch === epoch) fn();
    };
    this.#observer = this.#random.chance(0.1);
    const socket: Socket = {
      send: (text) => {
        if (this.#epoch !== epoch) return;
        this.#backlog.push(text);
        this.#buffered += text.length;
        this.#pull(mine);
      },
      bufferedBytes: () => (this.#epoch === epoch ? this.#buffered : 0),
      close: () => this.#clock.soon(mine(() => this.cut())),
    };
    this.#end = this.#hooks.connect(this.sessionId, this.cursor, socket, this.#observer);
  }

  /** The wire breaks: what was on the way is lost. */
  cut(): void {
    const end = this.#end;
    this.#end = null;
    this.#epoch = {};
    this.#backlog = [];
    this.#buffered = 0;
    this.#draining = false;
    end?.closed(1006, '');
  }

  send(frame: object): void {
    this.#end?.message(JSON.stringify(frame));
  }

  sendRaw(text: string | null): void {
    this.#end?.message(text);
  }

  #epoch: object = {};

  #pull(mine: (fn: () => void) => () => void): void {
    if (this.#draining) return;
    this.#draining = true;
    const delay = this.slow ? this.#random.int(5, 60) : this.#random.int(0, 2);
    this.#clock.setTimeout(
      mine(() => {
        this.#draining = false;
        const n = this.slow ? 1 : this.#random.int(1, 20);
        for (const text of this.#backlog.splice(0, n)) {
          this.#buffered -= text.length;
          this.#take(text);
        }
        this.#end?.drain();
        if (this.#backlog.length > 0) this.#pull(mine);
      }),
      delay,
    );
  }

  #take(text: string): void {
    const frame = JSON.parse(text) as Partial<Envelope> & { [key: string]: unknown };
    if (frame.event === undefined || frame.event === 'heartbeat') {
      if (this.#observer && frame.type === 'ack')
        this.#hooks.report(`AC2: an observer's ${String(frame.action)} was taken`);
      this.#hooks.answered(frame);
      return;
    }
    const { seq, event, payload } = frame as Envelope;
    this.#hooks.received(this.sessionId, seq, text);
    if (seq !== this.cursor + 1) {
      this.#hooks.report(`EV2: a reader of ${this.sessionId} at ${this.cursor} was given ${seq}`);
      return;
    }
    this.cursor = seq;
    for (const { id } of payload.calls ?? []) this.onCall(payload.turnId ?? '', id);
    if (event === 'tool.start') this.onCall(payload.turnId ?? '', payload.id ?? '');
    if (event === 'permission.request' && payload.requestId) {
      this.requests.add(payload.requestId);
      if (payload.question) this.questions.add(payload.requestId);
      this.onAsked();
    }
    if (event === 'permission.resolved' && payload.requestId) this.requests.delete(payload.requestId);
  }
}
