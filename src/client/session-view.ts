import type { LogRecord } from '../protocol/events.ts';
import type { Message, PresenceEntry } from '../protocol/session.ts';
import { emptySession, fold, type SessionState } from '../protocol/session-state.ts';
import { stateHash } from '../protocol/state-hash.ts';
import type { AttachState } from './attach-options.ts';
import {
  activeTurn,
  added,
  committedText,
  foldTurn,
  noteEntry,
  queuedTurn,
  restoredText,
  type TurnView,
  turnOf,
} from './turn-view.ts';

/** A client's picture of one session at one moment. Immutable: what did not change is the same object as before. */
export interface View {
  /** The shared fold: settings, conversation, the queue with its authors, the running turn as the daemon sees it. */
  state: SessionState;
  /** The conversation from before the first event of this view: what the session was made with, or a snapshot had. */
  seed: readonly Message[];
  /** Turns that have ended, oldest first, those that never ran included. */
  past: readonly TurnView[];
  active: TurnView | null;
  /** Who is attached; empty until the daemon says. */
  presence: readonly PresenceEntry[];
  connection: AttachState | 'detached';
}

type Listener = (view: View, record: LogRecord | null) => void;

/**
 * The daemon's own fold over the events that it is given, so the two cannot disagree ([CL3]), and a transcript beside it.
 * Feed it an attachment that begins at 0, or `load` a snapshot first.
 */
export class SessionView {
  #view: View;
  #listeners = new Set<Listener>();

  constructor(sessionId: string) {
    this.#view = viewOf(emptySession(sessionId));
  }

  get current(): View {
    return this.#view;
  }

  get state(): SessionState {
    return this.#view.state;
  }

  /** Equal for all who have folded the same log up to the same `seq` (docs/PROTOCOL.md, state hash). */
  stateHash(): string {
    return stateHash(this.#view.state);
  }

  /** Throws on a record that does not follow the last one: a picture with a hole is worse than none ([EV2]). */
  apply(record: LogRecord): void {
    const before = this.#view.state;
    if (record.seq !== before.seq + 1) throw new Error(`event ${record.seq} does not follow ${before.seq}`);
    this.#show(transcribed({ ...this.#view, state: fold(before, record) }, before, record), record);
  }

  /** Begins anew, from a state or from nothing. */
  load(state: SessionState = emptySession(this.#view.state.sessionId)): void {
    const { presence, connection } = this.#view;
    this.#show({ ...viewOf(state), presence, connection }, null);
  }

  /** What is of the moment and in no log. */
  note(change: Partial<Pick<View, 'presence' | 'connection'>>): void {
    this.#show({ ...this.#view, ...change }, null);
  }

  /** `record` is null when the change was not an event's. Returns the undo. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #show(view: View, record: LogRecord | null): void {
    this.#view = view;
    for (const listener of this.#listeners) listener(view, record);
  }
}

const viewOf = (state: SessionState): View => ({
  state,
  seed: state.messages,
  past: [],
  active: state.active ? activeTurn(state.active) : null,
  presence: [],
  connection: 'detached',
});

const transcribed = (v: View, before: SessionState, r: LogRecord): View => {
  if (r.event === 'session.snapshot' && r.seq === 1) return { ...v, seed: v.state.messages };
  if (r.event === 'files.restored') return noted(v, r.seq, restoredText(r.payload));
  if (r.event === 'files.committed') return noted(v, r.seq, committedText(r.payload));
  const turnId = turnOf(r);
  if (turnId === undefined || r.event === 'turn.queued') return v;
  if (v.active?.turnId === turnId) {
    const active = foldTurn(v.active, r);
    return active.end ? { ...v, active: null, past: [...v.past, active] } : { ...v, active };
  }
  const waited = before.queue.find((turn) => turn.turnId === turnId);
  if (!waited) return v;
  const turn = foldTurn(queuedTurn(waited), r);
  if (r.event === 'turn.start') return { ...v, active: turn };
  if (r.event === 'turn.done' && v.active && r.payload.steeredInto === v.active.turnId) {
    const { writerId, content: text } = waited;
    return { ...v, active: added(v.active, { kind: 'user', turnId, writerId, text }) };
  }
  return turn.end ? { ...v, past: [...v.past, turn] } : v;
};

const noted = (v: View, seq: number, text: string): View =>
  v.active
    ? { ...v, active: added(v.active, { kind: 'note', text }) }
    : { ...v, past: [...v.past, noteEntry(seq, text)] };
