import type { Reader } from '../../actors/ports.ts';
import { type ErrorCode, OptaError } from '../../protocol/errors.ts';
import type { EventPayload } from '../../protocol/events.ts';

/** How a turn ended, with the text of its last step: what its last assistant message says. */
export interface TurnEnd {
  end:
    | { event: 'turn.done'; payload: EventPayload<'turn.done'> }
    | { event: 'turn.error'; payload: EventPayload<'turn.error'> };
  text: string;
  /** Of the terminal event. */
  seq: number;
}

export interface TurnWatcher {
  ended(end: TurnEnd): void;
  /** A tool was refused because nobody is attached who could have allowed it. */
  unattended(call: EventPayload<'permission.resolved'>): void;
  /** The log cannot be followed any further. */
  lost(error: OptaError): void;
}

type Seen =
  | { event: 'turn.progress'; payload: EventPayload<'turn.progress'> }
  | { event: 'turn.token'; payload: EventPayload<'turn.token'> }
  | { event: 'permission.resolved'; payload: EventPayload<'permission.resolved'> }
  | TurnEnd['end'];

/**
 * A reader of one session that follows one turn to its end. Another turn may begin in the same instant, so the answer is gathered
 * from this turn's own events and not from the conversation.
 */
export class TurnWait implements Reader {
  readonly #turnId: string;
  readonly #watcher: TurnWatcher;
  #step = 0;
  #texts: string[] = [];

  constructor(turnId: string, watcher: TurnWatcher) {
    this.#turnId = turnId;
    this.#watcher = watcher;
  }

  send(frame: string): void {
    // Most of what a busy session says is of other turns and need not be parsed.
    if (!frame.includes(this.#turnId)) return;
    const seen = JSON.parse(frame) as Seen & { seq: number };
    if (seen.payload.turnId !== this.#turnId) return;
    switch (seen.event) {
      case 'turn.progress':
        this.#enter(seen.payload.step);
        break;
      case 'turn.token':
        this.#enter(seen.payload.step);
        this.#texts.push(seen.payload.text);
        break;
      case 'permission.resolved':
        if (seen.payload.reason === 'unattended') this.#watcher.unattended(seen.payload);
        break;
      case 'turn.done':
      case 'turn.error':
        this.#watcher.ended({ end: seen, text: this.#texts.join(''), seq: seen.seq });
        break;
    }
  }

  #enter(step: number): void {
    if (step === this.#step) return;
    this.#step = step;
    this.#texts = [];
  }

  /** What it is given stays nowhere but here. */
  bufferedBytes(): number {
    return 0;
  }

  warn(): void {
    // Said of a session that does not exist; this one does.
  }

  close(code: ErrorCode, message: string): void {
    this.#watcher.lost(new OptaError(code, message));
  }
}
