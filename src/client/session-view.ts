import type { LogRecord } from '../protocol/events.ts';
import { emptySession, fold, type SessionState } from '../protocol/session-state.ts';

/**
 * A client's picture of one session: the daemon's own fold over the events it has been given, so the two cannot disagree
 * ([CR2]). Feed it an attachment that begins at 0.
 */
export class SessionView {
  #state: SessionState;
  #listeners = new Set<(state: SessionState, record: LogRecord) => void>();

  constructor(sessionId: string) {
    this.#state = emptySession(sessionId);
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Throws on a record that does not follow the last one: a picture with a hole is worse than none ([EV2]). */
  apply(record: LogRecord): void {
    if (record.seq !== this.#state.seq + 1) {
      throw new Error(`event ${record.seq} does not follow ${this.#state.seq}`);
    }
    this.#state = fold(this.#state, record);
    for (const listener of this.#listeners) listener(this.#state, record);
  }

  subscribe(listener: (state: SessionState, record: LogRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
