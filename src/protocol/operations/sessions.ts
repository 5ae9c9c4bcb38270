import { z } from 'zod';
import { EnvelopeSchema } from '../envelope.ts';
import { SessionIdSchema } from '../ids.ts';
import {
  CreateSessionSchema,
  MessageSchema,
  PatchSessionSchema,
  PresenceEntrySchema,
  SessionSnapshotSchema,
} from '../session.ts';
import {
  cursor,
  EVENT_STREAM,
  none,
  type Operation,
  read,
  readSession,
  session,
  WRITE_ERRORS,
  whole,
  writeSession,
} from './operation.ts';

const SessionIndexSchema = z.object({
  sessionId: z.string(),
  title: z.string().optional(),
  model: z.string(),
  workspace: z.string().optional(),
  /** The texts in `metadata.tags`. */
  tags: z.array(z.string()).optional(),
  createdAt: z.string(),
  updatedAt: z.string(),
  seq: z.number().int(),
  toolCallCount: z.number().int(),
  messageCount: z.number().int(),
  queuedTurns: z.number().int(),
  activeTurnId: z.string().optional(),
  /** How the first prompt begins. */
  preview: z.string().optional(),
  deletedAt: z.string().optional(),
});

/** Sessions as a whole: made, found, changed, put away, taken up again from an earlier point. */
export const SESSION_OPERATIONS = {
  'sessions.create': {
    summary: 'Create a session, or open the one with this id',
    method: 'POST',
    paths: ['/v3/sessions'],
    params: none,
    query: none,
    body: CreateSessionSchema,
    nullIsEmpty: true,
    status: 201,
    response: SessionSnapshotSchema,
    errors: [...WRITE_ERRORS, 'session-deleted'],
    safety: 'write',
  },
  'sessions.list': {
    ...read,
    summary: 'Sessions, newest change first; `q` finds words of title, first prompt, model, folder or id',
    paths: ['/v3/sessions'],
    query: z.object({
      limit: whole(1, 500).optional(),
      cursor: z.string().min(1).max(512).optional(),
      q: z.string().max(256).optional(),
      /** Deleted sessions in place of the others. */
      deleted: z
        .enum(['true', 'false'])
        .transform((text) => text === 'true')
        .optional(),
    }),
    /** With `q` or `deleted` a page may hold fewer than `limit` and still have a `cursor`: a search looks at a bounded number. */
    response: z.object({
      sessions: z.array(SessionIndexSchema),
      cursor: z.string().optional(),
      total: z.number().int(),
    }),
  },
  'sessions.get': {
    ...readSession,
    summary: 'Snapshot and conversation of a session',
    paths: ['/v3/sessions/:id'],
    response: SessionSnapshotSchema.extend({ messages: z.array(MessageSchema) }),
  },
  'sessions.patch': {
    ...writeSession,
    summary: 'Change title, model, default policy or metadata of a session',
    method: 'PATCH',
    paths: ['/v3/sessions/:id'],
    body: PatchSessionSchema,
    response: SessionSnapshotSchema,
    errors: [...writeSession.errors, 'session-deleted'],
  },
  'sessions.delete': {
    ...writeSession,
    summary:
      'Put a session away: what runs and waits is cancelled, nothing is taken on; it can be taken back for a while',
    method: 'DELETE',
    paths: ['/v3/sessions/:id'],
    body: null,
    response: z.object({
      sessionId: z.string(),
      deletedAt: z.string(),
      cancelled: z.number().int(),
      seq: z.number().int(),
    }),
  },
  'sessions.undelete': {
    ...writeSession,
    summary: 'Take a deleted session back',
    paths: ['/v3/sessions/:id/undelete'],
    body: none,
    response: SessionSnapshotSchema,
  },
  'sessions.fork': {
    ...writeSession,
    summary: 'A new session with the conversation as it was at a seq',
    paths: ['/v3/sessions/:id/fork'],
    body: z.object({
      /** The last event that the fork knows; the head by default. */
      atSeq: z.number().int().min(1).optional(),
      sessionId: SessionIdSchema.optional(),
      title: z.string().max(500).optional(),
    }),
    status: 201,
    response: SessionSnapshotSchema,
    errors: [...writeSession.errors, 'session-exists'],
  },
  'sessions.export': {
    ...readSession,
    summary: 'The whole session as one file: the event log as JSON Lines, one JSON document, or Markdown',
    paths: ['/v3/sessions/:id/export'],
    query: z.object({ format: z.enum(['json', 'jsonl', 'markdown']).optional() }),
    media: 'application/json, application/jsonl or text/markdown',
    response: z.unknown(),
  },
  'sessions.presence': {
    ...readSession,
    summary: 'Who is attached to a session, in which role, and how far behind',
    paths: ['/v3/sessions/:id/presence'],
    response: z.object({ sessionId: z.string(), present: z.array(PresenceEntrySchema) }),
  },
  'events.read': {
    ...read,
    summary: 'Stored events after a cursor, byte for byte as they were published',
    paths: ['/v3/sessions/:id/events'],
    params: session,
    query: z.object({
      afterSeq: whole(0, Number.MAX_SAFE_INTEGER).optional(),
      limit: whole(1, 100_000).optional(),
    }),
    /** `more`: the answer's bound was reached; ask again after the last `seq`. */
    response: z.object({ events: z.array(EnvelopeSchema), more: z.literal(true).optional() }),
  },
  'events.stream': {
    ...read,
    summary: 'The events of a session as an event stream: replay, then live',
    paths: ['/v3/sse/events'],
    query: z.object({ sessionId: SessionIdSchema, afterSeq: cursor, lastEventId: cursor }),
    /** What a browser sends when it reconnects by itself; it wins over `afterSeq` and `lastEventId` of the URL, which are then out of date. */
    headers: { 'last-event-id': 'lastEventId' },
    media: EVENT_STREAM,
    response: z.unknown(),
  },
} as const satisfies Record<string, Operation>;
