import type { LogRecord } from './events.ts';
import { foldUndone } from './files.ts';
import { withResult } from './results.ts';
import type { SessionState } from './session-state.ts';

/** The part of the fold that ends things: a cancel, the end of a turn, and what is taken back afterwards. */
export const restored = (s: SessionState, r: LogRecord & { event: 'files.restored' }): SessionState => {
  const { rollback, ...rest } = s;
  const pending = rollback !== undefined && rollback.turnId !== r.payload.ofTurn ? { rollback } : {};
  const files = s.files === undefined ? {} : { files: foldUndone(s.files, r.payload.ofTurn) };
  return { ...rest, ...pending, ...files, seq: r.seq };
};

export const cancelling = (s: SessionState, r: LogRecord & { event: 'session.cancelled' }): SessionState => {
  const { turnId, writerId, all } = r.payload;
  const hit = s.active && (all || (turnId === undefined ? s.active.writerId === writerId : s.active.turnId === turnId));
  const back = r.payload.rollback === undefined ? {} : { rollback: r.payload.rollback };
  return { ...s, seq: r.seq, active: s.active && hit ? { ...s.active, ...back, cancelling: true } : s.active };
};

const NOT_RUN = 'The call was not run: the turn ended before it.';

export const ended = (s: SessionState, r: LogRecord & { event: 'turn.done' | 'turn.error' }): SessionState => {
  const { turnId } = r.payload;
  const next = { ...s, seq: r.seq, revision: r.seq, updatedAt: r.ts };
  if (s.active?.turnId !== turnId) {
    const queue = s.queue.filter((t) => t.turnId !== turnId);
    const steered = r.event === 'turn.done' ? s.queue.find((t) => t.turnId === turnId) : undefined;
    // Taken into the running turn between two of its steps, where the conversation has no open call.
    const messages = steered ? [...s.messages, { role: 'user' as const, content: steered.content }] : s.messages;
    return { ...next, queue, messages };
  }
  const { calls } = s.active;
  const open = calls.filter((c) => c.progress.state !== 'ended' && c.progress.state !== 'refused');
  const messages = [
    ...open.reduce((all, c) => withResult(all, calls, c.id, NOT_RUN), s.messages),
    // A finished turn always leaves an answer; a broken one leaves what there was of it.
    ...(s.active.text !== '' || r.event === 'turn.done'
      ? [{ role: 'assistant' as const, content: s.active.text }]
      : []),
  ];
  const by = s.active.rollback;
  const isDue = by !== undefined && s.files?.some((f) => f.turnId === turnId) === true;
  return { ...next, messages, active: null, ...(isDue ? { rollback: { turnId, by } } : {}) };
};
