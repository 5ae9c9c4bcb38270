import { z } from 'zod';
import { BackgroundProcessSchema } from '../background.ts';
import { EnvelopeSchema } from '../envelope.ts';
import { ERRORS, type ErrorCode } from '../errors.ts';
import { EVENTS, type EventName, ResolveReasonSchema } from '../events.ts';
import {
  ActorMessageSchema,
  EventMessageSchema,
  PictureMessageSchema,
  SnapshotMessageSchema,
} from '../feeds/inspection.ts';
import { OverviewSchema } from '../feeds/overview.ts';
import { FEATURES, type PresenceFrame, type SnapshotFrame } from '../frames.ts';
import { OPERATIONS } from '../operations.ts';
import { MessageSchema, PresenceEntrySchema, RoleSchema } from '../session.ts';
import type { SessionState } from '../session-state.ts';
import { DecisionSchema, queuedFields } from '../turn.ts';

/** What the daemon sends that nothing parses on its way out, as schemas: for the descriptions, and for who checks them. */
export const ErrorCodeSchema = z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]);

export const ErrorBodySchema = z.looseObject({
  error: z.string(),
  code: z.string(),
  retryable: z.boolean(),
  details: z.unknown().optional(),
  /** There when `code` is another server's word. */
  cause: ErrorCodeSchema.optional(),
});

/** RFC 9457. */
export const ProblemSchema = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  instance: z.string(),
  code: z.string(),
  retryable: z.boolean(),
  cause: ErrorCodeSchema.optional(),
});

const { exactOptional } = z;
const { overrides, metadata, steers: _, ...always } = queuedFields;
const queuedTurn = {
  turnId: z.string(),
  writerId: z.string(),
  clientId: z.string(),
  ...always,
  steers: exactOptional(z.string()),
  overrides: exactOptional(overrides.unwrap()),
  metadata: exactOptional(metadata.unwrap()),
  queuedAt: z.string(),
};

const CallStateSchema = z.discriminatedUnion('state', [
  z.object({ state: z.literal('waiting') }),
  z.object({
    state: z.literal('asked'),
    requestId: z.string(),
    expiresAt: z.string(),
    summary: z.string(),
    preview: exactOptional(z.string()),
  }),
  z.object({ state: z.literal('started'), decidedBy: z.string(), startedAt: z.string() }),
  z.object({ state: z.literal('ended') }),
  z.object({ state: z.literal('refused'), reason: ResolveReasonSchema }),
]);

const { sessionId: __, runtimeMs: ___, label, ...process } = BackgroundProcessSchema.shape;

export const SessionStateSchema = z.object({
  sessionId: z.string(),
  seq: z.number().int(),
  revision: z.number().int(),
  model: z.string(),
  title: exactOptional(z.string()),
  createdAt: z.string(),
  updatedAt: z.string(),
  workspace: exactOptional(z.string()),
  metadata: exactOptional(z.record(z.string(), z.unknown())),
  onBusy: exactOptional(queuedFields.onBusy),
  forkedFrom: exactOptional(z.object({ sessionId: z.string(), atSeq: z.number().int() })),
  deletedAt: exactOptional(z.string()),
  messages: z.array(MessageSchema),
  toolCallCount: z.number().int(),
  queue: z.array(z.object(queuedTurn)),
  active: z
    .object({
      ...queuedTurn,
      startedAt: z.string(),
      startedSeq: z.number().int(),
      step: z.number().int(),
      text: z.string(),
      hasText: z.boolean(),
      calls: z.array(z.object({ id: z.string(), name: z.string(), args: z.string(), progress: CallStateSchema })),
      toolCalls: z.number().int(),
      cancelling: z.boolean(),
      model: exactOptional(z.string()),
    })
    .nullable(),
  keys: z.array(z.object({ key: z.string(), digest: z.string(), turnId: z.string(), seq: z.number().int() })),
  decisions: z.array(z.object({ requestId: z.string(), decision: DecisionSchema, decidedBy: z.string() })),
  background: z.array(
    z.object({
      ...process,
      label,
      identity: z.string().nullable(),
      chunks: z.number().int(),
      marks: z.array(z.number().int()),
    }),
  ),
}) satisfies z.ZodType<SessionState>;

const requestId = exactOptional(z.string());
const ack = <A extends string>(action: A) => z.object({ type: z.literal('ack'), action: z.literal(action), requestId });

/** Frames that are no events, by the name of their message. */
export const OUTBOUND_FRAMES = {
  'ack.hello': ack('hello')
    .required({ requestId: true })
    .extend({
      features: z.array(z.enum(FEATURES)),
      role: RoleSchema,
      attachmentId: z.string().optional(),
      seq: z.number().int(),
    }),
  'ack.turn.submit': ack('turn.submit').extend(OPERATIONS['turns.submit'].response.shape),
  'ack.turn.cancel': ack('turn.cancel').extend({
    cancelled: z.object({ cancelledQueued: z.number().int(), cancelledActive: z.boolean() }),
  }),
  /** A refused decision is an ack like an accepted one, with the members of an error in it. */
  'ack.permission.resolve': ack('permission.resolve').extend({
    result: z.union([
      OPERATIONS['permissions.resolve'].response,
      z.looseObject({ ok: z.literal(false), conflict: z.boolean(), message: z.string(), code: z.string() }),
    ]),
  }),
  error: ErrorBodySchema.extend({ requestId }),
  heartbeat: z.object({
    type: z.literal('heartbeat'),
    event: z.literal('heartbeat'),
    sessionId: z.string(),
    seq: z.number().int(),
    ts: z.string(),
    requestId,
  }),
  presence: z.object({
    type: z.literal('presence'),
    sessionId: z.string(),
    present: z.array(PresenceEntrySchema),
    total: z.number().int(),
  }) satisfies z.ZodType<PresenceFrame>,
  snapshot: z.object({
    type: z.literal('snapshot'),
    sessionId: z.string(),
    seq: z.number().int(),
    state: SessionStateSchema,
    requestId,
  }) satisfies z.ZodType<SnapshotFrame>,
} as const;
export type OutboundFrameName = keyof typeof OUTBOUND_FRAMES;

/** Messages of the streams that are of no session, by name, with what each is. */
export const STREAM_MESSAGES = {
  overview: ['The daemon at this moment', OverviewSchema],
  'inspect.picture': ['Forget what was told; so many actors follow', PictureMessageSchema],
  'inspect.actor': ['An actor lives', ActorMessageSchema],
  'inspect.event': ['An event was given to an actor', EventMessageSchema],
  'inspect.snapshot': ['The state of an actor after an event', SnapshotMessageSchema],
} as const satisfies { [name: string]: readonly [summary: string, schema: z.ZodType] };
export type StreamMessageName = keyof typeof STREAM_MESSAGES;

/** A message of `/v3/health/stream`. `ts`: milliseconds. */
export const HealthMessageSchema = OPERATIONS['v3.health'].response.extend({ ts: z.number().int() });

/** The envelope of one event. */
export const eventSchema = (name: EventName) =>
  EnvelopeSchema.extend({ event: z.literal(name), payload: EVENTS[name] });
