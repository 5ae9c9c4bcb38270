import { z } from 'zod';
import { EnvelopeSchema } from './envelope.ts';
import type { ErrorCode } from './errors.ts';
import { ResolvePermissionSchema } from './frames.ts';
import { RequestIdSchema, SessionIdSchema } from './ids.ts';
import { CreateSessionSchema, MessageSchema, SessionSnapshotSchema } from './session.ts';
import { CancelSchema, DecisionSchema, SubmitTurnSchema } from './turn.ts';

/**
 * The operation table: the contract of the control plane, apart from its handlers. Routes, validation, statuses, the published
 * API description and the clients' types all come from these rows, so they cannot disagree.
 */
export interface Operation {
  summary: string;
  method: 'GET' | 'POST';
  /** `:name` marks a parameter. The first path is the documented one, the others are kept for older clients. */
  paths: readonly [string, ...string[]];
  /** Answered without a token. Everything else needs one ([AC1]). */
  open?: true;
  params: z.ZodType;
  query: z.ZodType;
  body: z.ZodType | null;
  /** A JSON `null` counts as `{}`. */
  nullIsEmpty?: true;
  /** Status of success. */
  status: 200 | 201 | 202;
  response: z.ZodType;
  /** Status of every failure that is not one of `COMMON_ERRORS`: a probe looks at nothing else. */
  failureStatus?: 503;
  /** Codes that this operation adds to `COMMON_ERRORS`. */
  errors: readonly ErrorCode[];
  /** `read`: may be repeated at will. `write`: changes a session. */
  safety: 'read' | 'write';
}

/** Any operation may answer these. */
export const COMMON_ERRORS = [
  'unauthorized',
  'forbidden-host',
  'forbidden-origin',
  'invalid-request',
  'payload-too-large',
  'uri-too-long',
  'too-many-requests',
  'shutting-down',
  'timeout',
  'internal',
] as const satisfies readonly ErrorCode[];

const none = z.object({});
const session = z.object({ id: SessionIdSchema });

/** Query values are text; a number is digits and nothing else, so `1e3`, `-1` and `NaN` are refused. */
const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().int().min(min).max(max));

const SessionIndexSchema = z.object({
  sessionId: z.string(),
  title: z.string().optional(),
  model: z.string(),
  workspace: z.string().optional(),
  createdAt: z.string(),
  updatedAt: z.string(),
  seq: z.number().int(),
  toolCallCount: z.number().int(),
  messageCount: z.number().int(),
  queuedTurns: z.number().int(),
  activeTurnId: z.string().optional(),
});

const RuntimeFactsSchema = z.object({
  sessionCount: z.number(),
  activeTurnCount: z.number(),
  queuedTurnCount: z.number(),
  subscriberCount: z.number(),
  ingressSeq: z.number(),
  toolWorkers: z.object({ workers: z.number(), busy: z.number(), queued: z.number() }),
  /** From a request's arrival to its answer, over the newest samples. */
  latency: z.object({ p50Ms: z.number(), p99Ms: z.number(), samples: z.number() }),
});

const RuntimeStateSchema = z.enum(['starting', 'ready', 'read-only', 'draining', 'stopped']);

const HealthSchema = z.object({
  /** `ok` when ready, else the state's name. */
  status: z.string(),
  version: z.string(),
  daemonId: z.string(),
  contract: z.object({ name: z.string(), version: z.number() }),
  runtime: RuntimeFactsSchema,
  state: RuntimeStateSchema,
  quarantined: z.array(z.object({ sessionId: z.string(), reason: z.string(), since: z.string() })),
  transport: z.object({ adapter: z.string(), why: z.string() }),
  engine: z.unknown(),
  storage: z.unknown(),
});

const GaugeSchema = z.object({ name: z.string(), value: z.number(), max: z.number().optional(), help: z.string() });

export const InspectedActorSchema = z.object({
  id: z.string(),
  chart: z.string(),
  state: z.unknown(),
  facts: z.record(z.string(), z.unknown()),
  mermaid: z.string().optional(),
  get children() {
    return z.array(InspectedActorSchema);
  },
});

const WhySchema = z.object({
  sessionId: z.string(),
  state: z.string(),
  text: z.string(),
  since: z.string(),
  until: z.string().optional(),
  unblock: z.string().optional(),
});

const read = { method: 'GET', params: none, query: none, body: null, status: 200, errors: [], safety: 'read' } as const;
const readSession = { ...read, params: session, errors: ['session-not-found'] } as const;
const WRITE_ERRORS = [
  'invalid-json',
  'unsupported-media-type',
  'session-quarantined',
  'storage',
  'storage-full',
  'storage-read-only',
  'outcome-unknown',
] as const;

export const OPERATIONS = {
  health: {
    ...read,
    summary: 'The process answers',
    paths: ['/health'],
    open: true,
    response: z.object({ status: z.literal('ok'), version: z.string(), daemon: z.literal(true) }),
  },
  readyz: {
    ...read,
    summary: 'Turns are taken on: 200, else 503',
    paths: ['/readyz'],
    open: true,
    response: z.object({ ready: z.literal(true), state: RuntimeStateSchema }),
    failureStatus: 503,
    errors: ['shutting-down', 'storage-read-only', 'daemon-unreachable'],
  },
  'v3.health': { ...read, summary: 'Health with runtime facts', paths: ['/v3/health'], response: HealthSchema },
  'v3.metrics': {
    ...read,
    summary: 'Counters, and every bound with how full it is',
    paths: ['/v3/metrics'],
    response: z.object({
      daemonId: z.string(),
      runtime: RuntimeFactsSchema,
      ts: z.string(),
      limits: z.array(GaugeSchema),
    }),
  },
  'sessions.create': {
    summary: 'Create a session, or open the one with this id',
    method: 'POST',
    paths: ['/v3/sessions'],
    params: none,
    query: none,
    body: CreateSessionSchema,
    nullIsEmpty: true,
    status: 201,
    response: SessionSnapshotSchema,
    errors: WRITE_ERRORS,
    safety: 'write',
  },
  'sessions.list': {
    ...read,
    summary: 'Sessions, newest change first',
    paths: ['/v3/sessions'],
    query: z.object({ limit: whole(1, 500).optional(), cursor: z.string().min(1).max(512).optional() }),
    response: z.object({
      sessions: z.array(SessionIndexSchema),
      cursor: z.string().optional(),
      total: z.number().int(),
    }),
  },
  'sessions.get': {
    ...readSession,
    summary: 'Snapshot and conversation of a session',
    paths: ['/v3/sessions/:id'],
    response: SessionSnapshotSchema.extend({ messages: z.array(MessageSchema) }),
  },
  'turns.submit': {
    summary: 'Submit a turn; answered once it is on disk',
    method: 'POST',
    paths: ['/v3/sessions/:id/turns'],
    params: session,
    query: none,
    body: SubmitTurnSchema,
    status: 202,
    response: z.object({ turnId: z.string(), queued: z.number().int(), seq: z.number().int() }),
    errors: [...WRITE_ERRORS, 'session-not-found', 'state-conflict', 'session-busy', 'queue-full'],
    safety: 'write',
  },
  'turns.cancel': {
    summary: 'Cancel a turn or the turns of a writer; answered when they have ended',
    method: 'POST',
    paths: ['/v3/sessions/:id/cancel'],
    params: session,
    query: none,
    body: CancelSchema,
    status: 200,
    response: z.object({
      ok: z.literal(true),
      cancelled: z.number().int(),
      cancelledQueued: z.number().int(),
      cancelledActive: z.boolean(),
    }),
    errors: [...WRITE_ERRORS, 'session-not-found'],
    safety: 'write',
  },
  'permissions.resolve': {
    summary: 'Decide a permission request; the first valid decision wins',
    method: 'POST',
    paths: ['/v3/sessions/:id/permissions/:requestId', '/v3/sessions/:id/permission'],
    params: session.extend({ requestId: RequestIdSchema.optional() }),
    query: none,
    /** `requestId` may be left out when the path has it. */
    body: ResolvePermissionSchema.partial({ requestId: true }),
    status: 200,
    response: z.object({ ok: z.literal(true), conflict: z.literal(false), decision: DecisionSchema }),
    errors: [...WRITE_ERRORS, 'session-not-found', 'permission-not-found', 'permission-resolved'],
    safety: 'write',
  },
  'events.read': {
    ...read,
    summary: 'Stored events after a cursor, byte for byte as they were published',
    paths: ['/v3/sessions/:id/events'],
    params: session,
    query: z.object({
      afterSeq: whole(0, Number.MAX_SAFE_INTEGER).optional(),
      limit: whole(1, 100_000).optional(),
    }),
    /** `more`: the answer's bound was reached; ask again after the last `seq`. */
    response: z.object({ events: z.array(EnvelopeSchema), more: z.literal(true).optional() }),
  },
  inspect: {
    ...read,
    summary: 'The actor tree with its active states',
    paths: ['/v3/inspect'],
    response: InspectedActorSchema,
  },
  'sessions.inspect': {
    ...readSession,
    summary: 'The actors of one session',
    paths: ['/v3/sessions/:id/inspect'],
    response: InspectedActorSchema,
  },
  'sessions.why': {
    ...readSession,
    summary: 'What the session waits for, since when, until when, and who can end the wait',
    paths: ['/v3/sessions/:id/why'],
    response: WhySchema,
  },
} as const satisfies Record<string, Operation>;

export type OperationId = keyof typeof OPERATIONS;

export interface OperationInput<K extends OperationId> {
  params: z.output<(typeof OPERATIONS)[K]['params']>;
  query: z.output<(typeof OPERATIONS)[K]['query']>;
  body: (typeof OPERATIONS)[K]['body'] extends z.ZodType ? z.output<(typeof OPERATIONS)[K]['body']> : undefined;
}
export type OperationOutput<K extends OperationId> = z.output<(typeof OPERATIONS)[K]['response']>;

export const operation = (id: OperationId): Operation => OPERATIONS[id];
export const OPERATION_IDS = Object.keys(OPERATIONS) as OperationId[];
