import type { Message } from '../../protocol/session.ts';
import type { ActiveTurn } from '../../protocol/session-state.ts';
import type { Stats, Usage } from '../../protocol/turn.ts';

/**
 * The figures of a turn. Token counts are the server's own when it gave them, else a quarter of the characters, which is what
 * existing clients were shown before.
 */
export const turnStats = (
  turn: ActiveTurn,
  messages: Message[],
  usage: Usage | null,
  firstDeltaAtMs: number | null,
  nowMs: number,
): Stats => {
  const startedAtMs = Date.parse(turn.startedAt);
  const elapsedMs = Math.max(0, nowMs - startedAtMs);
  const completionTokens = usage?.completionTokens ?? Math.ceil((saidBefore(messages) + turn.text.length) / 4);
  const promptTokens = usage?.promptTokens ?? Math.ceil(turn.content.length / 4);
  const generatingMs = firstDeltaAtMs === null ? 0 : nowMs - firstDeltaAtMs;
  return {
    tokens: completionTokens,
    promptTokens,
    completionTokens,
    toolCalls: turn.toolCalls,
    elapsed: elapsedMs / 1000,
    elapsedMs,
    speed: generatingMs > 0 ? completionTokens / (generatingMs / 1000) : 0,
    firstTokenLatencyMs: firstDeltaAtMs === null ? null : Math.max(0, firstDeltaAtMs - startedAtMs),
  };
};

/** Characters of the turn's earlier steps: what the assistant said since the last prompt. */
const saidBefore = (messages: Message[]): number =>
  messages
    .slice(messages.findLastIndex((m) => m.role === 'user') + 1)
    .reduce((n, m) => (m.role === 'assistant' ? n + m.content.length : n), 0);
