import type { LogRecord } from '../../protocol/events.ts';
import { filesForFork } from '../../protocol/files.ts';
import type { CreateSession } from '../../protocol/session.ts';
import { emptySession, fold, type SessionState, toSnapshot } from '../../protocol/session-state.ts';
import { closing } from './closing.ts';

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
    ...(input.onBusy === undefined ? {} : { onBusy: input.onBusy }),
  };
  const { seq: _, revision: __, ...snapshot } = toSnapshot(draft);
  const messages = input.messages ?? [];
  const record: LogRecord = { event: 'session.snapshot', payload: { snapshot, messages }, seq: 1, ts };
  return { record, state: fold(emptySession(sessionId), record) };
};

/**
 * A session that begins with another one's conversation. A turn that was running then is as if it had been interrupted there: what
 * it had said stays, its open calls get their result, and what waited is left behind.
 */
export const forkedSession = (
  sessionId: string,
  source: SessionState,
  at: { title?: string },
  nowMs: number,
): { state: SessionState; record: LogRecord } => {
  const ts = new Date(nowMs).toISOString();
  const title = at.title ?? source.title;
  const { workspace, metadata, onBusy } = source;
  const draft: SessionState = {
    ...emptySession(sessionId),
    model: source.model,
    createdAt: ts,
    updatedAt: ts,
    ...(title === undefined ? {} : { title }),
    ...(workspace === undefined ? {} : { workspace }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(onBusy === undefined ? {} : { onBusy }),
    forkedFrom: { sessionId: source.sessionId, atSeq: source.seq },
  };
  const { seq: _, revision: __, ...snapshot } = toSnapshot(draft);
  const messages = settled(source, nowMs).messages;
  const files = filesForFork(source.files ?? []);
  const payload = { snapshot, messages, ...(files.length === 0 ? {} : { files }) };
  const record: LogRecord = { event: 'session.snapshot', payload, seq: 1, ts };
  return { record, state: fold(emptySession(sessionId), record) };
};

const settled = (s: SessionState, nowMs: number): SessionState => {
  if (!s.active) return s;
  const ts = new Date(nowMs).toISOString();
  const ending = { how: 'interrupted', message: '' } as const;
  return closing(s.active, ending, nowMs).reduce((f, fact) => fold(f, { ...fact, seq: f.seq + 1, ts }), s);
};
