import { z } from 'zod';
import { ClientIdSchema, RequestIdSchema, SessionIdSchema, WriterIdSchema } from './ids.ts';
import { type PresenceEntry, RoleSchema } from './session.ts';
import type { SessionState } from './session-state.ts';
import { ANSWER_CHARS_MAX, CancelSchema, DecisionSchema, RememberSchema, SubmitTurnSchema } from './turn.ts';

/** Echoed in the ack or error that answers the frame, so that two submits in flight are told apart. */
const requestId = z.string().min(1).max(128).optional();
const addressed = z.object({ sessionId: SessionIdSchema, requestId });

export const ResolvePermissionSchema = z.object({
  requestId: RequestIdSchema,
  decision: DecisionSchema,
  decidedBy: z.string().min(1).max(256),
  /** Added: with `allow`, this tool is not asked about again in this session. */
  remember: RememberSchema.optional(),
  /** Added: with `allow` of a question, and required there: what the model is told. */
  answer: z.string().min(1).max(ANSWER_CHARS_MAX).optional(),
});
export type ResolvePermission = z.infer<typeof ResolvePermissionSchema>;

export const InboundFrameSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('hello'),
    requestId,
    clientId: z.string().max(256).optional(),
    writerId: z.string().max(256).optional(),
    sessionId: z.string().optional(),
    afterSeq: z.number().int().min(0).optional(),
    /** Replaces what the URL asked for. Unknown ones are passed over. */
    features: z.array(z.string().max(64)).max(16).optional(),
    role: RoleSchema.optional(),
  }),
  addressed.extend(SubmitTurnSchema.shape).extend({
    type: z.literal('turn.submit'),
    mode: SubmitTurnSchema.shape.mode.default('chat'),
  }),
  addressed.extend(CancelSchema.shape).extend({ type: z.literal('turn.cancel') }),
  z.object({
    type: z.literal('permission.resolve'),
    sessionId: SessionIdSchema,
    /** On this frame `requestId` names the permission request, as in the reference; `ackId` is echoed instead. */
    ...ResolvePermissionSchema.shape,
    ackId: z.string().max(128).optional(),
  }),
  z.object({ type: z.literal('ping'), requestId }),
]);
export type InboundFrame = z.infer<typeof InboundFrameSchema>;

/** Who a socket says that it is, in its URL. */
export const SocketWhoSchema = z.object({
  role: RoleSchema.optional(),
  clientId: ClientIdSchema.optional(),
  writerId: WriterIdSchema.optional(),
});

export interface AckFrame {
  type: 'ack';
  action: 'hello' | 'turn.submit' | 'turn.cancel' | 'permission.resolve';
  requestId?: string;
  [field: string]: unknown;
}

/**
 * Frames without `seq` and without `event`, sent only to sockets that asked: they are of the moment, are not in the log, and no
 * client that does not know them takes them for a record.
 */
export const FEATURES = ['snapshot', 'presence'] as const;
export type Feature = (typeof FEATURES)[number];

/** `snapshot`: the session as the fold of its log up to `seq`; what follows on the socket begins after the socket's cursor. */
export interface SnapshotFrame {
  type: 'snapshot';
  sessionId: string;
  seq: number;
  state: SessionState;
  requestId?: string;
}

/** `presence`: who is attached now. Sent when somebody comes, goes or changes, and at most once a second for cursors. */
export interface PresenceFrame {
  type: 'presence';
  sessionId: string;
  /** The first hundred of `total`. */
  present: PresenceEntry[];
  total: number;
}
