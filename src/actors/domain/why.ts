import { isRunning } from '../../protocol/background.ts';
import type { Why } from '../../protocol/inspection.ts';
import { openRequests, type SessionState } from '../../protocol/session-state.ts';

/**
 * What a session waits for, since when, until when, and who can end it, in words: from its state and the active states of the
 * actors below it.
 */
export interface Below {
  /** `running.active`, `running.cancelling`, `idle` … */
  session: string;
  turn: string;
  stream: string;
  queuedAhead: number;
}

export const explain = (s: SessionState, below: Below, limits: { cancelDeadlineMs: number }): Why => {
  const base = { sessionId: s.sessionId };
  const turn = s.active;
  if (!turn) {
    const processes = s.background.filter(isRunning).length;
    return {
      ...base,
      state: 'idle',
      text: processes === 0 ? 'Nothing runs and nothing waits.' : `No turn runs; background processes: ${processes}.`,
      since: s.updatedAt,
      unblock: 'submit a turn',
    };
  }
  const who = `Turn ${turn.turnId} of ${turn.writerId}`;
  const behind =
    s.queue.length === 0
      ? ''
      : ` ${s.queue.length} more ${s.queue.length === 1 ? 'turn waits' : 'turns wait'} behind it.`;
  const cancel = `opta: cancel turn ${turn.turnId}`;
  if (turn.cancelling || below.session.includes('cancelling')) {
    return {
      ...base,
      state: 'cancelling',
      text: `${who} was cancelled; what it started is being ended.${behind}`,
      since: turn.startedAt,
      unblock: `itself, within ${limits.cancelDeadlineMs} ms`,
    };
  }
  const open = openRequests(s)[0];
  if (open) {
    const { question, summary, expiresAt, requestId } = open.asked;
    const isQuestion = question !== undefined;
    return {
      ...base,
      state: 'waiting-for-permission',
      text: `${who} waits for ${isQuestion ? 'an answer' : 'permission'}: ${summary}.${behind}`,
      since: turn.startedAt,
      until: expiresAt,
      unblock: `anybody attached: ${isQuestion ? 'answer' : 'allow'} or deny ${requestId}; without an answer it is denied`,
    };
  }
  const running = turn.calls.find((c) => c.progress.state === 'started');
  if (running?.progress.state === 'started') {
    return {
      ...base,
      state: 'running-tool',
      text: `${who} runs ${running.name}.${behind}`,
      since: running.progress.startedAt,
      unblock: cancel,
    };
  }
  if (below.stream.includes('streaming')) {
    return {
      ...base,
      state: 'streaming',
      text: `${who} writes its answer (step ${turn.step}).${behind}`,
      since: turn.startedAt,
      unblock: cancel,
    };
  }
  const retry = below.stream.includes('backoff') ? ' after a failed attempt' : '';
  return {
    ...base,
    state: 'waiting-for-model',
    text: `${who} waits for the inference server to begin${retry} (step ${turn.step}).${behind}`,
    since: turn.startedAt,
    unblock: `the inference server, or ${cancel}`,
  };
};
