import type { View } from '../client/session-view.ts';
import { openRequests } from '../protocol/session-state.ts';

/** A call that waits for a person. */
export interface Card {
  requestId: string;
  callId: string;
  toolName: string;
  summary: string;
  /** The command, or the change as a diff; '' when there is nothing to show. */
  preview: string;
  /** Whose turn it is. */
  writerId: string;
  expiresAtMs: number;
  /** A question instead of a permission: answered with words. */
  question: { text: string; options: readonly string[] } | null;
}

/** All of the session, the one that waits longest first. */
export const cardsOf = ({ state }: View): Card[] =>
  openRequests(state).flatMap(({ call, asked }) => {
    // An allowed call counts as asked until its start, which is the next record.
    if (state.decisions.some(({ requestId }) => requestId === asked.requestId)) return [];
    const { question } = asked;
    return {
      requestId: asked.requestId,
      callId: call.id,
      toolName: call.name,
      summary: asked.summary,
      preview: asked.preview ?? '',
      writerId: state.active?.writerId ?? '',
      expiresAtMs: Date.parse(asked.expiresAt),
      question: question ? { text: question.text, options: question.options ?? [] } : null,
    };
  });

/** Whole seconds until a decision is too late, never below 0. */
export const secondsLeft = (card: Card, nowMs: number): number =>
  Math.max(0, Math.ceil((card.expiresAtMs - nowMs) / 1_000));
