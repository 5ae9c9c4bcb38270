import { z } from 'zod';
import { ResolvePermissionSchema } from '../frames.ts';
import { ClientIdSchema, RequestIdSchema, SessionIdSchema, TurnIdSchema, WriterIdSchema } from '../ids.ts';
import { CancelSchema, DecisionSchema, EditQueuedSchema, QueuedTurnSchema, SubmitTurnSchema } from '../turn.ts';
import { none, type Operation, readSession, session, writeSession } from './operation.ts';

const queuedTurn = z.object({ id: SessionIdSchema, turnId: TurnIdSchema });
const QUEUE_ERRORS = [...writeSession.errors, 'turn-not-queued', 'not-your-turn'] as const;

/** Turns, the queue they wait in, and the decisions they ask for. */
export const TURN_OPERATIONS = {
  'turns.submit': {
    ...writeSession,
    summary: 'Submit a turn; answered once it is on disk',
    paths: ['/v3/sessions/:id/turns'],
    body: SubmitTurnSchema,
    /** [TQ5] One key is one turn, for the life of the session. */
    headers: { 'idempotency-key': 'idempotencyKey' },
    status: 202,
    response: z.object({
      turnId: z.string(),
      queued: z.number().int(),
      seq: z.number().int(),
      /** This key was used before with the same content: the turn is the one of then. */
      replayed: z.literal(true).optional(),
    }),
    errors: [
      ...writeSession.errors,
      'state-conflict',
      'session-busy',
      'queue-full',
      'idempotency-mismatch',
      'session-deleted',
      'session-full',
    ],
  },
  'turns.cancel': {
    summary: 'Cancel a turn, one call of it, or the turns of a writer; answered when they have ended',
    method: 'POST',
    paths: ['/v3/sessions/:id/cancel'],
    params: session,
    query: none,
    body: CancelSchema,
    status: 200,
    response: z.object({
      ok: z.literal(true),
      cancelled: z.number().int(),
      cancelledQueued: z.number().int(),
      cancelledActive: z.boolean(),
      /** Added, when a call was named: 1 if this ended it, else 0. */
      cancelledCalls: z.number().int().optional(),
    }),
    errors: writeSession.errors,
    safety: 'write',
  },
  'turns.undo': {
    ...writeSession,
    summary: 'Take back what a turn did to files; all of it, or nothing when somebody changed one of them since',
    paths: ['/v3/sessions/:id/undo'],
    body: z.object({
      /** Without it, the newest turn that changed files. */
      turnId: TurnIdSchema.optional(),
      writerId: WriterIdSchema,
      clientId: ClientIdSchema.optional(),
      /** Only say what would be done. */
      dryRun: z.boolean().optional(),
    }),
    response: z.object({
      turnId: z.string(),
      undone: z.boolean(),
      restored: z.array(z.string()),
      kept: z.array(z.object({ path: z.string(), why: z.string() })),
    }),
    errors: [...writeSession.errors, 'nothing-to-undo', 'undo-conflict', 'session-busy', 'session-deleted'],
  },
  'queue.list': {
    ...readSession,
    summary: 'The turns that wait, in the order in which they will start',
    paths: ['/v3/sessions/:id/queue'],
    response: z.object({
      turns: z.array(QueuedTurnSchema),
      activeTurnId: z.string().optional(),
      seq: z.number().int(),
      revision: z.number().int(),
    }),
  },
  'queue.edit': {
    ...writeSession,
    summary: 'Change a turn that waits, or move it among the waiting turns of its writer',
    method: 'PATCH',
    paths: ['/v3/sessions/:id/queue/:turnId'],
    params: queuedTurn,
    body: EditQueuedSchema,
    response: z.object({ turnId: z.string(), position: z.number().int(), seq: z.number().int() }),
    errors: QUEUE_ERRORS,
  },
  'queue.withdraw': {
    ...writeSession,
    summary: 'Take back a turn that waits',
    method: 'DELETE',
    paths: ['/v3/sessions/:id/queue/:turnId'],
    params: queuedTurn,
    query: z.object({ writerId: WriterIdSchema }),
    body: null,
    response: z.object({ turnId: z.string(), seq: z.number().int() }),
    errors: QUEUE_ERRORS,
  },
  'permissions.resolve': {
    summary: 'Decide a permission request; the first valid decision wins',
    method: 'POST',
    paths: ['/v3/sessions/:id/permissions/:requestId', '/v3/sessions/:id/permission'],
    params: session.extend({ requestId: RequestIdSchema.optional() }),
    query: none,
    /** `requestId` may be left out when the path has it. */
    body: ResolvePermissionSchema.partial({ requestId: true }),
    status: 200,
    response: z.object({ ok: z.literal(true), conflict: z.literal(false), decision: DecisionSchema }),
    errors: [...writeSession.errors, 'permission-not-found', 'permission-resolved'],
    safety: 'write',
  },
} as const satisfies Record<string, Operation>;
