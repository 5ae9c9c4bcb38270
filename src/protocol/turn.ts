import { z } from 'zod';
import { CallIdSchema, ClientIdSchema, TurnIdSchema, WriterIdSchema } from './ids.ts';
import { MetadataSchema } from './metadata.ts';

export const ModeSchema = z.enum(['chat', 'do', 'plan', 'review', 'research']);
export type Mode = z.infer<typeof ModeSchema>;

/**
 * Why a turn came to its end: the model was done, or its answer was cut at its length; a budget of the turn was used up; it went in
 * circles; its conversation no longer fitted; the inference server failed; or somebody, or the end of the daemon, ended it.
 */
export const StopReasonSchema = z.enum([
  'completed',
  'length',
  'calls',
  'steps',
  'tokens',
  'time',
  'stagnation',
  'context',
  'inference',
  'cancelled',
  'interrupted',
]);
export type StopReason = z.infer<typeof StopReasonSchema>;

/** What a submit asks for while another turn runs or waits. Each is a transition of the session chart; rules in SPEC.md. */
export const OnBusySchema = z.enum(['enqueue', 'reject', 'interrupt', 'rollback', 'steer']);
export type OnBusy = z.infer<typeof OnBusySchema>;

export const OverridesSchema = z.object({
  model: z.string().min(1).max(256).optional(),
  provider: z.string().optional(),
  dangerous: z.boolean().optional(),
  auto: z.boolean().optional(),
  noCommit: z.boolean().optional(),
  noCheckpoints: z.boolean().optional(),
  format: z.enum(['markdown', 'text', 'json']).optional(),
  autonomyMode: z.enum(['execution', 'ceo']).optional(),
  autonomyLevel: z.number().int().min(1).max(5).optional(),
});
export type Overrides = z.infer<typeof OverridesSchema>;

/** Printable ASCII, so that it can be a header. */
export const IdempotencyKeySchema = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/, 'must be 1-255 printable ASCII characters');

export const SubmitTurnSchema = z.object({
  clientId: ClientIdSchema,
  writerId: WriterIdSchema,
  content: z.string().min(1),
  mode: ModeSchema,
  metadata: MetadataSchema.optional(),
  /** Refused with `state-conflict` when a turn was accepted or ended after this `seq`. */
  lastSeenSeq: z.number().int().min(0).optional(),
  overrides: OverridesSchema.optional(),
  /** Absent: the session's own default, and `enqueue` without one. */
  onBusy: OnBusySchema.optional(),
  /** [TQ5] Submitting twice with one key is one turn, for the life of the session. */
  idempotencyKey: IdempotencyKeySchema.optional(),
});
export type SubmitTurn = z.infer<typeof SubmitTurnSchema>;

export const CancelSchema = z.object({
  turnId: TurnIdSchema.optional(),
  writerId: WriterIdSchema.optional(),
  /** Added: this call of that turn alone; the turn goes on. */
  callId: CallIdSchema.optional(),
  /** Added: who cancels the call, for the log and the model. */
  cancelledBy: z.string().min(1).max(256).optional(),
});
export type CancelTarget = z.infer<typeof CancelSchema>;

export const DecisionSchema = z.enum(['allow', 'deny']);
export type Decision = z.infer<typeof DecisionSchema>;

/** For how long an allow holds beyond the one call: in this session, or in every session of its workspace from its next turn on. */
export const RememberSchema = z.enum(['session', 'workspace']);
export type Remember = z.infer<typeof RememberSchema>;
export const ANSWER_CHARS_MAX = 8_000;

/** Added: what the model asks the people of a session, and the answers that it proposes. */
export const QuestionSchema = z.object({ text: z.string(), options: z.array(z.string()).optional() });
export type Question = z.infer<typeof QuestionSchema>;

export const StatsSchema = z.object({
  tokens: z.number(),
  promptTokens: z.number(),
  completionTokens: z.number(),
  toolCalls: z.number(),
  /** Seconds, as existing clients expect. */
  elapsed: z.number(),
  elapsedMs: z.number(),
  /** Completion tokens a second. */
  speed: z.number(),
  firstTokenLatencyMs: z.number().nullable(),
});
export type Stats = z.infer<typeof StatsSchema>;

export const UsageSchema = z.object({ promptTokens: z.number(), completionTokens: z.number() });
export type Usage = z.infer<typeof UsageSchema>;

/** What a turn that waits has of its submit, in lists and in the log. */
export const queuedFields = {
  content: z.string(),
  mode: ModeSchema,
  onBusy: OnBusySchema,
  /** Added: the running turn that takes this one in at its next step. */
  steers: z.string().optional(),
  overrides: OverridesSchema.optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
};

/** A turn that waits, as lists show it. `position` 1 is next. */
export const QueuedTurnSchema = z.object({
  turnId: z.string(),
  writerId: z.string(),
  clientId: z.string(),
  ...queuedFields,
  queuedAt: z.string(),
  position: z.number().int(),
});

/** What its writer may change of a turn that waits. */
export const EditQueuedSchema = z.object({
  writerId: WriterIdSchema,
  content: z.string().min(1).optional(),
  mode: ModeSchema.optional(),
  overrides: OverridesSchema.optional(),
  metadata: MetadataSchema.optional(),
  /** The waiting turn of the same writer that this one is to start before; null: it becomes the writer's last. */
  before: TurnIdSchema.nullable().optional(),
});
export type EditQueued = z.infer<typeof EditQueuedSchema>;
