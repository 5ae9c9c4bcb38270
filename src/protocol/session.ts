import { z } from 'zod';
import { SessionIdSchema } from './ids.ts';

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

const METADATA_DEPTH_MAX = 32;

/** What clients attach to a session or a turn. Its depth is bounded, because it is written out again with every record of it. */
export const MetadataSchema = z
  .record(z.string(), z.unknown())
  .refine((value) => depthWithin(value, METADATA_DEPTH_MAX), `metadata is nested deeper than ${METADATA_DEPTH_MAX}`);

const depthWithin = (value: unknown, depthMax: number): boolean => {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > depthMax) return false;
    level = level.flatMap((v) => (typeof v === 'object' && v !== null ? Object.values(v) : []));
  }
  return true;
};

export const CreateSessionSchema = z.object({
  sessionId: SessionIdSchema.optional(),
  model: z.string().min(1).max(256).optional(),
  title: z.string().max(500).optional(),
  messages: MessagesIn.optional(),
  /** `metadata.workspace`: absolute path of the folder that this session's tools may touch. */
  metadata: MetadataSchema.optional(),
});
export type CreateSession = z.infer<typeof CreateSessionSchema>;
