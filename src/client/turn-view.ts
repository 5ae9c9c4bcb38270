import type { EventPayload, LogRecord } from '../protocol/events.ts';
import type { Stats } from '../protocol/turn.ts';

/** What a one-shot client keeps of its turn: it never needs the session's history. */
export interface TurnView {
  turnId: string;
  /** Text of the current step; after the end, of the last one: the answer. */
  text: string;
  step: number;
  toolCalls: number;
  model: string;
  end: TurnEnd | null;
}

export type TurnEnd =
  | { outcome: 'done'; stats: Stats }
  | { outcome: 'error' | 'cancelled' | 'interrupted'; code: string; message: string; partial: boolean };

export const emptyTurn = (turnId: string): TurnView => ({
  turnId,
  text: '',
  step: 0,
  toolCalls: 0,
  model: '',
  end: null,
});

export const foldTurn = (t: TurnView, r: LogRecord): TurnView => {
  if (turnOf(r) !== t.turnId) return t;
  switch (r.event) {
    case 'turn.progress':
      return { ...stepped(t, r.payload.step), model: r.payload.model ?? t.model };
    case 'turn.token': {
      const s = stepped(t, r.payload.step);
      return { ...s, text: s.text + r.payload.text };
    }
    case 'tool.start':
      return { ...t, toolCalls: t.toolCalls + 1 };
    case 'turn.done':
      return { ...t, model: r.payload.model ?? t.model, end: { outcome: 'done', stats: r.payload.stats } };
    case 'turn.error':
      return { ...t, end: ended(r.payload) };
    default:
      return t;
  }
};

/** The turn that a record belongs to, if it belongs to one. */
export const turnOf = (r: LogRecord): string | undefined => (r.payload as { turnId?: string }).turnId;

const stepped = (t: TurnView, step: number): TurnView => (step === t.step ? t : { ...t, step, text: '' });

const ended = (p: EventPayload<'turn.error'>): TurnEnd => ({
  outcome: p.outcome,
  code: p.code,
  message: p.message,
  partial: p.partial,
});
