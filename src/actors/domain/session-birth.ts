import type { LogRecord } from '../../protocol/events.ts';
import type { CreateSession } from '../../protocol/session.ts';
import { emptySession, fold, type SessionState, toSnapshot } from '../../protocol/session-state.ts';

/** The first record of a session, and its state after it. */
export const newSession = (
  sessionId: string,
  input: CreateSession,
  defaults: { model: string },
  nowMs: number,
): { state: SessionState; record: LogRecord } => {
  const ts = new Date(nowMs).toISOString();
  const { workspace, ...metadata } = input.metadata ?? {};
  const draft: SessionState = {
    ...emptySession(sessionId),
    model: input.model ?? defaults.model,
    createdAt: ts,
    updatedAt: ts,
    ...(input.title === undefined ? {} : { title: input.title }),
    ...(typeof workspace === 'string' && workspace !== '' ? { workspace } : {}),
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
  };
  const { seq: _, revision: __, ...snapshot } = toSnapshot(draft);
  const messages = input.messages ?? [];
  const record: LogRecord = { event: 'session.snapshot', payload: { snapshot, messages }, seq: 1, ts };
  return { record, state: fold(emptySession(sessionId), record) };
};
