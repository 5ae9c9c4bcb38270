import { z } from 'zod';
import { LmxError } from '../errors.ts';

/** What a client may say on `/v1/chat/stream`. The members of a request are read by `readChat`; here only what frames it. */
const id = z.string().min(1).max(256);
const FrameSchema = z.discriminatedUnion('type', [
  z.looseObject({
    type: z.literal('chat.request'),
    client_request_id: id.nullish(),
    priority: z.enum(['normal', 'high']).nullish(),
    client_id: z.string().max(256).nullish(),
    incremental_tools: z.boolean().nullish(),
  }),
  z.object({ type: z.literal('chat.cancel'), request_id: id.nullish(), client_request_id: id.nullish() }),
  z.object({ type: z.literal('ping'), t: z.unknown() }),
  z.object({ type: z.literal('auth'), token: z.string().min(1).max(4_096) }),
]);

export type ClientFrame = z.infer<typeof FrameSchema>;

/** Throws `invalid_request`. The ids of a frame that is wrong are in `idsOf`. */
export const readFrame = (value: unknown): ClientFrame => {
  const read = FrameSchema.safeParse(value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new LmxError('invalid_request', `${issue?.path.join('.') || 'The frame'}: ${issue?.message ?? 'is not right'}`);
};

/** The client's own id of a frame that may be no frame at all, so that its error finds its way back. */
export const clientIdOf = (value: unknown): string | null => {
  const found = (value as { client_request_id?: unknown } | null | undefined)?.client_request_id;
  return typeof found === 'string' && found.length <= 256 ? found : null;
};
