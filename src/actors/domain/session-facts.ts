import type { Fact } from '../../protocol/events.ts';
import { openRequests, type SessionState } from '../../protocol/session-state.ts';
import type { SubmitTurn } from '../../protocol/turn.ts';
import { terminal } from './closing.ts';

/** The facts that a session records, made from its state and a command. One place each, so a record has one shape. */
export const callName = (f: SessionState, callId: string): string =>
  f.active?.calls.find((c) => c.id === callId)?.name ?? '';

export const toolStart = (f: SessionState, callId: string, decidedBy: string): Fact => {
  const call = f.active?.calls.find((c) => c.id === callId);
  const { turnId } = f.active ?? { turnId: '' };
  return {
    event: 'tool.start',
    payload: { turnId, id: callId, name: call?.name ?? '', args: call?.args ?? '', decidedBy },
  };
};

export const turnQueued = (turnId: string, input: SubmitTurn, position: number, queueSize: number): Fact => ({
  event: 'turn.queued',
  payload: {
    turnId,
    writerId: input.writerId,
    clientId: input.clientId,
    queueSize,
    position,
    content: input.content,
    mode: input.mode,
    onBusy: input.onBusy ?? 'enqueue',
    ...(input.overrides === undefined ? {} : { overrides: input.overrides }),
    ...(input.metadata === undefined ? {} : { metadata: input.metadata }),
  },
});

/** One aggregate, then a terminal event for each queued turn; the running turn's follows when it has ended. */
export const cancelFacts = (
  f: SessionState,
  target: { turnId?: string | undefined; writerId?: string | undefined },
  queued: string[],
  active: boolean,
): Fact[] => {
  const cancelled = queued.length + (active ? 1 : 0);
  if (cancelled === 0) return [];
  const { turnId, writerId } = target;
  const named = turnId !== undefined ? { turnId } : writerId !== undefined ? { writerId } : {};
  const gone = f.queue.filter((t) => queued.includes(t.turnId));
  return [
    { event: 'session.cancelled', payload: { cancelled, ...named } },
    ...gone.map((t) => terminal(t, { how: 'cancelled', message: 'Turn cancelled' }, false)),
  ];
};

export const requestIsOpen = (f: SessionState, requestId: string | undefined): boolean =>
  openRequests(f).some((open) => open.asked.requestId === requestId);
