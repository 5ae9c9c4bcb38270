import type { Fact } from '../../protocol/events.ts';
import type { ActiveTurn, QueuedTurn } from '../../protocol/session-state.ts';
import type { Stats, StopReason } from '../../protocol/turn.ts';

/**
 * How a turn ends when it does not end by itself: everything it left open is closed, then its one terminal event ([TQ3]).
 * The same facts serve cancel, failure, stop and recovery, so a client sees one shape of ending.
 */
export type Ending =
  | { how: 'cancelled'; message: string }
  | { how: 'interrupted'; message: string }
  | { how: 'error'; code: string; message: string; stop?: StopReason };

const RUNNING_TOOL = {
  cancelled: 'The call was cancelled while it ran; it may have had part of its effect.',
  interrupted: 'The daemon stopped while the call ran; it may have had part of its effect.',
  error: 'The turn failed while the call ran; it may have had part of its effect.',
} as const;

const UNDECIDED = {
  cancelled: 'The turn was cancelled before anybody decided.',
  interrupted: 'The daemon stopped before anybody decided.',
  error: 'The turn ended before anybody decided.',
} as const;

export const closing = (turn: ActiveTurn, ending: Ending, nowMs: number, stats?: Stats): Fact[] => [
  ...turn.calls.flatMap((call): Fact[] => {
    const { id, name, progress } = call;
    if (progress.state === 'asked') {
      const reason = ending.how === 'interrupted' ? 'interrupted' : 'cancelled';
      const { requestId } = progress;
      const payload = {
        turnId: turn.turnId,
        requestId,
        callId: id,
        toolName: name,
        reason,
        decidedBy: 'daemon',
      } as const;
      return [
        { event: 'permission.resolved', payload: { ...payload, decision: 'deny', message: UNDECIDED[ending.how] } },
      ];
    }
    if (progress.state === 'started') {
      const elapsedMs = Math.max(0, nowMs - Date.parse(progress.startedAt));
      const payload = { turnId: turn.turnId, id, name, result: RUNNING_TOOL[ending.how], isError: true, elapsedMs };
      return [{ event: 'tool.end', payload }];
    }
    return [];
  }),
  terminal(turn, ending, turn.hasText, stats, stopOf(ending)),
];

const stopOf = (ending: Ending): StopReason => (ending.how === 'error' ? (ending.stop ?? 'inference') : ending.how);

/** The terminal event of a turn that is not done; alone it ends a queued turn. */
export const terminal = (
  turn: QueuedTurn,
  ending: Ending,
  partial: boolean,
  stats?: Stats,
  stop?: StopReason,
): Fact => ({
  event: 'turn.error',
  payload: {
    turnId: turn.turnId,
    writerId: turn.writerId,
    clientId: turn.clientId,
    message: ending.message,
    code: ending.how === 'error' ? ending.code : ending.how,
    outcome: ending.how,
    partial,
    ...(stop === undefined ? {} : { stopReason: stop }),
    ...(stats ? { stats } : {}),
  },
});
