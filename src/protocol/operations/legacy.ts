import { z } from 'zod';
import { IdempotencyKeySchema, OverridesSchema, StatsSchema } from '../turn.ts';
import { none, type Operation, WRITE_ERRORS } from './operation.ts';

/** The longest that a caller may ask a request to wait; the daemon's own bound comes first. */
const TIMEOUT_MS_MAX = 24 * 3_600_000;

const ChatSchema = z.object({
  message: z.string().min(1),
  /** Old scripts send what they have: anything but a text, and the empty text, counts as absent. */
  session_id: z.string().optional().catch(undefined),
  /** Added: absolute path of the folder that the tools of a new session may touch. Without it there is none. */
  workspace: z.string().startsWith('/').max(4_096).optional(),
  /** Added, as a header: the same where neither request nor session names one; percent-encoded. */
  default_workspace: z.string().startsWith('/').max(12_288).optional(),
  /** Added: as of a submit. */
  overrides: OverridesSchema.optional(),
  /** Added: answer with 504 after this long; the turn goes on. */
  timeout_ms: z.number().int().min(1).max(TIMEOUT_MS_MAX).optional(),
  /** Added: the same key is the same turn; also as the header. */
  idempotency_key: IdempotencyKeySchema.optional(),
});
export type Chat = z.infer<typeof ChatSchema>;

/** What scripts from before v3 call. */
export const LEGACY_OPERATIONS = {
  'legacy.chat': {
    summary: 'One message and its answer: submits a turn and is answered when it has ended',
    method: 'POST',
    paths: ['/v1/chat'],
    params: none,
    query: none,
    body: ChatSchema,
    bodyFault: 'Missing required field: message (string)',
    bodyFaultField: 'message',
    looseType: true,
    waits: true,
    headers: { 'idempotency-key': 'idempotency_key', 'opta-default-workspace': 'default_workspace' },
    status: 200,
    response: z.object({
      session_id: z.string(),
      /** Text of the turn's last assistant message, empty when it has none. */
      response: z.string(),
      stats: StatsSchema.optional(),
      model: z.string().optional(),
      turn_id: z.string(),
    }),
    errors: [
      ...WRITE_ERRORS,
      'state-conflict',
      'permission-unattended',
      'queue-full',
      'idempotency-mismatch',
      'session-deleted',
      'session-full',
      'interrupted',
    ],
    /** How the turn has ended. */
    quotes: ['502', '503'],
    safety: 'write',
  },
} as const satisfies Record<string, Operation>;
