import { z } from 'zod';
import { EVENT_STREAM, type Operation, read, readSession } from './operation.ts';

export const RuntimeFactsSchema = z.object({
  sessionCount: z.number(),
  activeTurnCount: z.number(),
  queuedTurnCount: z.number(),
  subscriberCount: z.number(),
  ingressSeq: z.number(),
  toolWorkers: z.object({ workers: z.number(), busy: z.number(), queued: z.number() }),
  /** From a request's arrival to its answer, over the newest samples. */
  latency: z.object({ p50Ms: z.number(), p99Ms: z.number(), samples: z.number() }),
});

export const RuntimeStateSchema = z.enum(['starting', 'ready', 'read-only', 'draining', 'stopped']);

export const QuarantinedSchema = z.object({ sessionId: z.string(), reason: z.string(), since: z.string() });

const HealthSchema = z.object({
  /** `ok` when ready, else the state's name. */
  status: z.string(),
  version: z.string(),
  daemonId: z.string(),
  /** Seconds. */
  uptime: z.number().int(),
  contract: z.object({ name: z.string(), version: z.number() }),
  /** What it can do beyond the v3 base. */
  features: z.array(z.string()),
  runtime: RuntimeFactsSchema,
  state: RuntimeStateSchema,
  quarantined: z.array(QuarantinedSchema),
  transport: z.object({ adapter: z.string(), why: z.string() }),
  engine: z.unknown(),
  storage: z.unknown(),
});

export const GaugeSchema = z.object({
  name: z.string(),
  value: z.number(),
  max: z.number().optional(),
  /** The bound's name in `limits.ts`. */
  limit: z.string().optional(),
  help: z.string(),
});

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

/** The daemon itself: health, figures, and what its actors are doing. */
export const DAEMON_OPERATIONS = {
  health: {
    ...read,
    summary: 'The process answers',
    paths: ['/health'],
    open: true,
    response: z.object({
      status: z.literal('ok'),
      version: z.string(),
      daemon: z.literal(true),
      /** Added, as `opta server` had them before v3: the model of a new session, empty when none is configured; whole seconds. */
      model: z.string(),
      uptime: z.number().int(),
    }),
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
  'health.stream': {
    ...read,
    summary: 'Health as an event stream: at once, on each change, and every few seconds',
    paths: ['/v3/health/stream'],
    media: EVENT_STREAM,
    response: z.unknown(),
  },
  'v3.metrics': {
    ...read,
    summary: 'Counters, and every bound with how full it is',
    paths: ['/v3/metrics'],
    response: z.object({
      daemonId: z.string(),
      runtime: RuntimeFactsSchema,
      ts: z.string(),
      limits: z.array(GaugeSchema),
      /** The bounds that nothing fills: deadlines, sizes of one thing. */
      settings: z.record(z.string(), z.number()),
    }),
  },
  'metrics.prometheus': {
    ...read,
    summary: 'The same for Prometheus',
    paths: ['/metrics'],
    media: 'text/plain; version=0.0.4; charset=utf-8',
    response: z.unknown(),
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
