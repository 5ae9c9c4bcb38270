import { z } from 'zod';
import { SessionIdSchema } from './ids.ts';
import { MetadataSchema } from './metadata.ts';
import { OnBusySchema } from './turn.ts';

/** One tool call as the model asked for it. `arguments` is the raw JSON text, byte for byte. */
export const ToolCallSchema = z.object({
  id: z.string(),
  type: z.literal('function').default('function'),
  function: z.object({ name: z.string(), arguments: z.string() }),
});
export type ToolCall = z.infer<typeof ToolCallSchema>;

/** One message of the conversation, in the shape every OpenAI-compatible server takes. */
export const MessageSchema = z.object({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string(),
  tool_calls: z.array(ToolCallSchema).optional(),
  tool_call_id: z.string().optional(),
});
export type Message = z.infer<typeof MessageSchema>;

/** A decision that holds for every further call of a tool in this session. */
export const RememberedSchema = z.object({ tool: z.string(), decidedBy: z.string() });
export type Remembered = z.infer<typeof RememberedSchema>;

/** What `GET /v3/sessions/:id` answers and `session.snapshot` carries. Optional fields are absent, not null, when unset. */
export const SessionSnapshotSchema = z.object({
  sessionId: z.string(),
  model: z.string(),
  title: z.string().optional(),
  createdAt: z.string(),
  updatedAt: z.string(),
  activeTurnId: z.string().optional(),
  queuedTurns: z.number().int(),
  toolCallCount: z.number().int(),
  /** Distinct writers among the active and the queued turns. Not a count of connections. */
  writerCount: z.number().int(),
  /** Head of the event log. */
  seq: z.number().int().optional(),
  /** `seq` of the last change of the conversation: a turn accepted or ended. What `lastSeenSeq` is compared with. */
  revision: z.number().int().optional(),
  workspace: z.string().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  /** What a submit without `onBusy` asks for, when it is not `enqueue`. */
  onBusy: OnBusySchema.optional(),
  /** Added: tools that are not asked about again, and whose decision that was. */
  remembered: z.array(RememberedSchema).optional(),
  forkedFrom: z.object({ sessionId: z.string(), atSeq: z.number().int() }).optional(),
  deletedAt: z.string().optional(),
});
export type SessionSnapshot = z.infer<typeof SessionSnapshotSchema>;

/** Servers write `content: null` beside tool calls; here an absent text is an empty one. */
const MessageIn = z.preprocess(
  (item) =>
    typeof item === 'object' && item !== null && !Array.isArray(item) ? { ...item, content: textOf(item) } : item,
  MessageSchema,
);
const textOf = (item: object): unknown =>
  'content' in item ? (item.content ?? '') : 'tool_calls' in item ? '' : undefined;

/** Items without a known role and text content are dropped, as existing clients expect; the rest is kept in order. */
const MessagesIn = z.array(z.unknown()).transform((items) =>
  items.flatMap((item) => {
    const message = MessageIn.safeParse(item);
    return message.success ? [message.data] : [];
  }),
);

export const CreateSessionSchema = z.object({
  sessionId: SessionIdSchema.optional(),
  model: z.string().min(1).max(256).optional(),
  title: z.string().max(500).optional(),
  messages: MessagesIn.optional(),
  /** `metadata.workspace`: absolute path of the folder that this session's tools may touch. */
  metadata: MetadataSchema.optional(),
  onBusy: OnBusySchema.optional(),
});
export type CreateSession = z.infer<typeof CreateSessionSchema>;

/** What may change of a session. `metadata` is merged key by key; a key that is null goes. The workspace stays what it was. */
export const PatchSessionSchema = z.object({
  /** null: no title. */
  title: z.string().max(500).nullable().optional(),
  model: z.string().min(1).max(256).optional(),
  onBusy: OnBusySchema.optional(),
  metadata: MetadataSchema.optional(),
  /** Added: tools that are to be asked about again. One that is not remembered changes nothing. */
  forget: z.array(z.string().min(1).max(256)).max(100).optional(),
});
export type PatchSession = z.infer<typeof PatchSessionSchema>;

/** `observer` sees everything and changes nothing; `automation` is a program that may decide for itself. */
export const RoleSchema = z.enum(['controller', 'observer', 'automation']);
export type Role = z.infer<typeof RoleSchema>;

/** One attachment of a session. */
export const PresenceEntrySchema = z.object({
  attachmentId: z.string(),
  role: RoleSchema,
  clientId: z.string().optional(),
  writerId: z.string().optional(),
  /** `http`: a request that waits for a turn to end. */
  via: z.enum(['ws', 'sse', 'http']),
  since: z.string(),
  /** Last `seq` that was given to it, and how many it is behind the head. */
  cursor: z.number().int(),
  lag: z.number().int(),
});
export type PresenceEntry = z.infer<typeof PresenceEntrySchema>;
