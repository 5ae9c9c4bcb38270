import type { TurnView } from '../../client/turn-view.ts';
import type { SessionState } from '../../protocol/session-state.ts';
import { EXIT, exitCodeOf } from '../exit.ts';

const STATUS = { done: 'completed', error: 'error', cancelled: 'cancelled', interrupted: 'interrupted' } as const;

/**
 * One turn as `--format json` prints it. Of a finished one, the last message of the assistant as the conversation has it; of
 * another, the error. `state` is that of the moment in which the turn ended.
 */
export const answerJson = (turn: TurnView, state: SessionState): object => {
  const { end } = turn;
  const more = {
    session_id: state.sessionId,
    turn_id: turn.turnId,
    status: end === null ? 'error' : STATUS[end.outcome],
  };
  if (end === null || end.outcome !== 'done') {
    const { message, code } = end ?? { message: 'The turn has no end', code: 'internal' };
    return { error: message, exit_code: exitCodeOf(code), code, ...more };
  }
  const last = state.messages.findLast((message) => message.role === 'assistant');
  return {
    role: 'assistant',
    content: last?.content ?? '',
    tool_calls: last?.tool_calls ?? [],
    ...more,
    model: turn.model || state.model,
  };
};

export const exitOf = ({ end }: TurnView): number => {
  if (end === null) return EXIT.error;
  return end.outcome === 'done' ? EXIT.ok : exitCodeOf(end.code);
};
