import type { Call, SessionState } from '../../protocol/session-state.ts';
import type { CancelTarget } from '../../protocol/turn.ts';

/** [CX5] The cancel of one call: which one it is, who it is by, and what the model is told. */
export const targetCall = (f: SessionState, target: CancelTarget): Call | undefined =>
  f.active !== null && f.active.turnId === target.turnId
    ? f.active.calls.find(({ id }) => id === target.callId)
    : undefined;

export const canceller = ({ cancelledBy = 'somebody' }: CancelTarget): string => `person:${cancelledBy}`;

/** Names are anybody's text, and this goes to the model. */
const nameOf = (by: string): string =>
  [
    ...by
      .replace(/^person:/, '')
      .replace(/\p{C}+/gu, ' ')
      .trim(),
  ]
    .slice(0, 64)
    .join('');

export const cancelledText = (by: string, was: 'running' | 'waiting' | 'question'): string => {
  if (was === 'question') return `No answer: ${nameOf(by)} cancelled the question.`;
  return was === 'running'
    ? `${nameOf(by)} cancelled this call while it ran; it may have had part of its effect. Go on without it.`
    : `${nameOf(by)} cancelled this call before it ran. Go on without it.`;
};

/** The answer to such a cancel, when the call has ended or was not there. */
export const callCancelled = (hit: boolean) => {
  const cancelled = hit ? 1 : 0;
  return { cancelled, cancelledQueued: 0, cancelledActive: false, cancelledCalls: cancelled };
};
