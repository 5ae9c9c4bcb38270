import { z } from 'zod';
import { BackgroundChunkSchema, BackgroundProcessSchema, SignalSchema, StartBackgroundSchema } from '../background.ts';
import { SessionIdSchema } from '../ids.ts';
import { none, type Operation, read, WRITE_ERRORS, whole } from './operation.ts';

const told = z.object({ process: BackgroundProcessSchema });
/** The id is no more than text: what is none is not found, like one that ended long ago. */
const params = z.object({ processId: z.string() });
const query = z.object({ sessionId: SessionIdSchema.optional() });
const readProcess = { ...read, params, query, errors: ['background-not-found'] } as const;
const write = { method: 'POST', safety: 'write', bodyFault: 'Invalid body' } as const;

/** Commands that run beside the turns of a session. */
export const BACKGROUND_OPERATIONS = {
  'background.list': {
    ...read,
    summary: 'Background processes of a session, or of all that are loaded; ended ones for a while',
    paths: ['/v3/background'],
    query,
    response: z.object({ processes: z.array(BackgroundProcessSchema) }),
    errors: ['session-not-found'],
  },
  'background.start': {
    ...write,
    summary: 'Start a command; answered when its start is on disk',
    paths: ['/v3/background/start'],
    params: none,
    query: none,
    body: StartBackgroundSchema,
    status: 201,
    response: told,
    errors: [...WRITE_ERRORS, 'session-not-found', 'session-deleted', 'background-failed'],
  },
  'background.status': {
    ...readProcess,
    summary: 'One background process',
    paths: ['/v3/background/:processId/status'],
    response: told,
  },
  'background.output': {
    ...readProcess,
    summary: 'What a background process wrote, after a chunk of it',
    paths: ['/v3/background/:processId/output'],
    query: query.extend({
      afterSeq: whole(0, Number.MAX_SAFE_INTEGER).optional(),
      limit: whole(1, 500).optional(),
      stream: z.enum(['stdout', 'stderr', 'both']).optional(),
    }),
    /** `nextSeq`: the `afterSeq` of the next call. */
    response: told.extend({ chunks: z.array(BackgroundChunkSchema), nextSeq: z.number().int(), hasMore: z.boolean() }),
  },
  'background.kill': {
    ...write,
    summary: 'End a background process and all it started; answered when nothing of it is alive',
    paths: ['/v3/background/:processId/kill'],
    params,
    query,
    body: z.object({ signal: SignalSchema.optional() }),
    nullIsEmpty: true,
    status: 200,
    /** `killed`: it ran, and this ended it. */
    response: told.extend({ killed: z.boolean() }),
    errors: [...WRITE_ERRORS, 'background-not-found'],
  },
} as const satisfies Record<string, Operation>;
