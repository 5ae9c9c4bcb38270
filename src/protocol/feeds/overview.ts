import { z } from 'zod';
import { GaugeSchema, QuarantinedSchema, RuntimeFactsSchema, RuntimeStateSchema } from '../operations/daemon.ts';
import { PresenceEntrySchema } from '../session.ts';

/**
 * The daemon at one moment, as a dashboard shows it. Everything in it is bounded; the counts beside the lists say how many there
 * are. Titles, names and texts come from models and users: they are text, never markup.
 */
export const OVERVIEW_MAX = {
  sessions: 100,
  jobs: 100,
  models: 200,
  /** Of one session. */
  queued: 5,
  asks: 5,
  presence: 20,
  contentChars: 120,
  commandChars: 200,
  summaryChars: 200,
} as const;

const count = z.number().int();

export const OverviewAskSchema = z.object({
  requestId: z.string(),
  turnId: z.string(),
  toolName: z.string(),
  summary: z.string(),
  expiresAt: z.string(),
  /** Wants an answer in words, not an allow. */
  question: z.literal(true).optional(),
});
export type OverviewAsk = z.infer<typeof OverviewAskSchema>;

export const OverviewSessionSchema = z.object({
  sessionId: z.string(),
  title: z.string().optional(),
  model: z.string(),
  workspace: z.string().optional(),
  updatedAt: z.string(),
  /** The word of `why`: idle, waiting-for-model, streaming, waiting-for-permission, running-tool, cancelling, recovering, quarantined. */
  state: z.string(),
  active: z.object({ turnId: z.string(), writerId: z.string(), startedAt: z.string(), toolCalls: count }).nullable(),
  /** The next ones, in order; of each the beginning of its text. */
  queued: z.array(z.object({ turnId: z.string(), writerId: z.string(), content: z.string() })),
  queuedCount: count,
  /** Permission requests and questions that wait for somebody. */
  asks: z.array(OverviewAskSchema),
  presence: z.array(PresenceEntrySchema),
  presenceCount: count,
  /** Held in memory; a sleeping one costs nothing and is shown from the index. */
  live: z.boolean(),
});
export type OverviewSession = z.infer<typeof OverviewSessionSchema>;

export const OverviewJobSchema = z.object({
  sessionId: z.string(),
  processId: z.string(),
  command: z.string(),
  startedAt: z.string(),
  state: z.string(),
});
export type OverviewJob = z.infer<typeof OverviewJobSchema>;

export const OverviewSchema = z.object({
  ts: z.string(),
  daemonId: z.string(),
  version: z.string(),
  /** Seconds. */
  uptime: count,
  state: RuntimeStateSchema,
  runtime: RuntimeFactsSchema,
  transport: z.object({ adapter: z.string(), why: z.string() }),
  engine: z.unknown(),
  storage: z.unknown(),
  /** How late the event loop was since the look before; null until there is a second look. */
  loop: z.object({ p50Ms: z.number(), p99Ms: z.number(), maxMs: z.number() }).nullable(),
  memory: z.object({ rssBytes: count, heapUsedBytes: count }),
  /** The inference host; null with an engine that has none. */
  lmx: z
    .object({
      host: z.string(),
      port: count,
      /** Since when nothing has been heard of it; null while it answers. */
      away: z.object({ since: z.string(), reason: z.string() }).nullable(),
      /** When it was last asked for its models; null before its first answer or failure. */
      askedAt: z.string().nullable(),
      /** Why it did not say them. */
      problem: z.object({ code: z.string(), message: z.string() }).nullable(),
    })
    .nullable(),
  /** As the inference host last named them; `status` is its own word. */
  models: z.array(z.object({ id: z.string(), loaded: z.boolean(), status: z.string() })),
  limits: z.array(GaugeSchema),
  /** Live ones first, then by time of change, newest first. */
  sessions: z.array(OverviewSessionSchema),
  /** Held in memory. */
  liveCount: count,
  /** Background processes that run. */
  jobs: z.array(OverviewJobSchema),
  jobCount: count,
  quarantined: z.array(QuarantinedSchema),
});
export type Overview = z.infer<typeof OverviewSchema>;
