import { z } from 'zod';
import { RequestIdSchema, SessionIdSchema } from './ids.ts';
import { CancelSchema, DecisionSchema, SubmitTurnSchema } from './turn.ts';

/** Echoed in the ack or error that answers the frame, so that two submits in flight are told apart. */
const requestId = z.string().min(1).max(128).optional();
const addressed = z.object({ sessionId: SessionIdSchema, requestId });

export const ResolvePermissionSchema = z.object({
  requestId: RequestIdSchema,
  decision: DecisionSchema,
  decidedBy: z.string().min(1).max(256),
});
export type ResolvePermission = z.infer<typeof ResolvePermissionSchema>;

export const InboundFrameSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('hello'),
    requestId,
    clientId: z.string().max(256).optional(),
    sessionId: z.string().optional(),
    afterSeq: z.number().int().min(0).optional(),
    features: z.array(z.string()).max(16).optional(),
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
    requestId: RequestIdSchema,
    decision: DecisionSchema,
    decidedBy: z.string().min(1).max(256),
    ackId: z.string().max(128).optional(),
  }),
  z.object({ type: z.literal('ping'), requestId }),
]);
export type InboundFrame = z.infer<typeof InboundFrameSchema>;

export interface AckFrame {
  type: 'ack';
  action: 'turn.submit' | 'turn.cancel' | 'permission.resolve';
  requestId?: string;
  [field: string]: unknown;
}
