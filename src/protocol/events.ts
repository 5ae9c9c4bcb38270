import { z } from 'zod';
import { BACKGROUND_EVENTS } from './background.ts';
import { FileChangeSchema, TurnFilesSchema } from './files.ts';
import { MessageSchema, PatchSessionSchema, SessionSnapshotSchema } from './session.ts';
import {
  DecisionSchema,
  ModeSchema,
  OverridesSchema,
  QuestionSchema,
  queuedFields,
  RememberSchema,
  StatsSchema,
  StopReasonSchema,
  UsageSchema,
} from './turn.ts';

/**
 * The v3 event table: name → payload. The log holds these events and nothing else; an envelope's payload is checked against
 * it on the way out in tests and development. Names are the reference's, since an existing client shows an unknown name as a
 * card; fields marked "added" are ours.
 */
const turn = z.object({ turnId: z.string() });
const authored = turn.extend({ writerId: z.string(), clientId: z.string() });

/** Who or what decided: `person:<name>`, `rule:<rule>`, `remembered:<name>`, or the daemon itself. */
const decided = { decidedBy: z.string() };
/** Added: this call alone was cancelled, by `person:<name>`. */
const cancelled = { cancelledBy: z.string().optional() };
/** Why a permission ended as it did. */
export const ResolveReasonSchema = z.enum([
  'person',
  'rule',
  'timeout',
  'unattended',
  'invalid',
  'cancelled',
  'interrupted',
]);
export type ResolveReason = z.infer<typeof ResolveReasonSchema>;

const call = { id: z.string(), name: z.string(), args: z.string() };

/** What a `session.updated` changed, besides the snapshot that it shows. */
export const SessionChangeSchema = z.discriminatedUnion('kind', [
  PatchSessionSchema.extend({ kind: z.literal('settings') }),
  z.object({ kind: z.literal('deleted'), at: z.string() }),
  z.object({ kind: z.literal('restored') }),
  /** A waiting turn was changed by its writer: what is absent stays; `order` is the whole queue when a turn moved in it. */
  z.object({
    kind: z.literal('queue'),
    turnId: z.string(),
    content: z.string().optional(),
    mode: ModeSchema.optional(),
    overrides: OverridesSchema.optional(),
    metadata: z.record(z.string(), z.unknown()).optional(),
    order: z.array(z.string()).optional(),
  }),
]);
export type SessionChange = z.infer<typeof SessionChangeSchema>;

export const EVENTS = {
  'session.snapshot': z.object({
    snapshot: SessionSnapshotSchema,
    messages: z.array(MessageSchema),
    /** Added: of a fork, what the turns before it did to files, so that it can be taken back here too. */
    files: z.array(TurnFilesSchema).optional(),
  }),
  /** Without `change` a turn has ended. */
  'session.updated': z.object({ snapshot: SessionSnapshotSchema, change: SessionChangeSchema.optional() }),
  'session.cancelled': z.object({
    cancelled: z.number().int(),
    turnId: z.string().optional(),
    writerId: z.string().optional(),
    /** Added: everything was cancelled, because the session was put away. */
    all: z.literal(true).optional(),
    /** Added: what the running turn did to files is taken back when it has ended, for this writer. */
    rollback: z.string().optional(),
  }),

  'turn.queued': authored.extend({
    queueSize: z.number().int(),
    /** Added: place in the queue, 1 = next. */
    position: z.number().int(),
    ...queuedFields,
    /** Added: the submit's idempotency key, and the digest of what was submitted with it ([TQ5]). */
    idempotencyKey: z.string().optional(),
    digest: z.string().optional(),
  }),
  'turn.start': authored.extend({ mode: ModeSchema }),
  /**
   * `model.request`: a step's model call was sent. `model.response`: it ended with tool calls, which stand in `calls` in the
   * order in which they take effect. Both are needed to rebuild the conversation.
   */
  'turn.progress': turn.extend({
    phase: z.enum(['model.request', 'model.response']),
    message: z.string().nullable(),
    provider: z.string().nullable(),
    step: z.number().int(),
    model: z.string().optional(),
    calls: z.array(z.object(call)).optional(),
    usage: UsageSchema.optional(),
  }),
  /** Added: what the model is sent in place of the first `upTo` messages from now on. The log keeps those. Tokens are estimates. */
  'context.compacted': turn.extend({
    step: z.number().int(),
    upTo: z.number().int(),
    summary: z.string(),
    /** Who wrote it: the model, or the daemon out of the beginnings of the messages. */
    by: z.enum(['model', 'digest']),
    tokensBefore: z.number().int(),
    tokensAfter: z.number().int(),
  }),
  'turn.token': turn.extend({ text: z.string(), step: z.number().int() }),
  'turn.thinking': turn.extend({ text: z.string(), step: z.number().int() }),

  'permission.request': turn.extend({
    requestId: z.string(),
    callId: z.string(),
    toolName: z.string(),
    args: z.record(z.string(), z.unknown()),
    /** Added: one line for people, and what the call would change, if the tool can say. */
    summary: z.string(),
    preview: z.string().optional(),
    /** Added: it is a question, and an allow has to come with an answer. */
    question: QuestionSchema.optional(),
    expiresAt: z.string(),
  }),
  /** Also recorded, without a request before it, when a rule or an invalid call refuses: then `requestId` is the call's. */
  'permission.resolved': turn.extend({
    requestId: z.string(),
    callId: z.string(),
    toolName: z.string(),
    decision: DecisionSchema,
    reason: ResolveReasonSchema,
    ...decided,
    /** What the model is told when the decision is deny. */
    message: z.string().optional(),
    /** Added: further calls of this tool in this session are allowed by this decision. */
    remember: RememberSchema.optional(),
    /** Added: what a question was answered with. */
    answer: z.string().optional(),
    ...cancelled,
  }),
  'tool.start': turn.extend({ ...call, ...decided }),
  'tool.end': turn.extend({
    id: z.string(),
    name: z.string(),
    result: z.string(),
    isError: z.boolean(),
    /** Added: the result was cut to the output budget; how many bytes it had. */
    truncatedFrom: z.number().int().optional(),
    /** Added: what it wrote in files, as far as versions are kept. */
    changes: z.array(FileChangeSchema).optional(),
    /** Added: it did not run, though it was allowed: this hook refused it. */
    vetoedBy: z.string().optional(),
    elapsedMs: z.number(),
    ...cancelled,
  }),

  'turn.done': authored.extend({
    stats: StatsSchema,
    outcome: z.literal('done'),
    /** Added: why it ended. */
    stopReason: StopReasonSchema.optional(),
    model: z.string().optional(),
    /** Added: this turn never ran; its content was taken into that running turn, as `onBusy: steer` asks. */
    steeredInto: z.string().optional(),
  }),
  'turn.error': authored.extend({
    message: z.string(),
    code: z.string(),
    outcome: z.enum(['error', 'cancelled', 'interrupted']),
    /** Added: why it ended. Absent when nothing of it ran. */
    stopReason: StopReasonSchema.optional(),
    /** Partial text was kept in the conversation. */
    partial: z.boolean(),
    stats: StatsSchema.optional(),
  }),

  /** Added: what a turn did to files was taken back; files that somebody changed since are as they are. */
  'files.restored': z.object({
    ofTurn: z.string(),
    how: z.enum(['undo', 'rollback']),
    by: z.string(),
    restored: z.array(z.string()),
    kept: z.array(z.object({ path: z.string(), why: z.string() })),
  }),

  /** Added: what a turn did to files was committed to the workspace's repository, or was not. */
  'files.committed': z.object({
    ofTurn: z.string(),
    /** The commit's short id; null: nothing was committed. */
    commit: z.string().nullable(),
    paths: z.array(z.string()),
    why: z.string().optional(),
  }),

  ...BACKGROUND_EVENTS,
} as const;

export type EventName = keyof typeof EVENTS;
export type EventPayload<N extends EventName> = z.infer<(typeof EVENTS)[N]>;
export const isEventName = (name: string): name is EventName => Object.hasOwn(EVENTS, name);

/** A fact without its number: what a machine records. */
export type Fact = { [N in EventName]: { event: N; payload: EventPayload<N> } }[EventName];
/** A fact with its place in the log. `ts` is ISO 8601. */
export type LogRecord = Fact & { seq: number; ts: string };

/** The events that end a turn. Nothing of that turn follows one ([TQ3]). */
export const isTerminal = (fact: { event: string }): boolean =>
  fact.event === 'turn.done' || fact.event === 'turn.error';
