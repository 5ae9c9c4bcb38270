import type { EventPayload, LogRecord } from '../protocol/events.ts';
import type { PermissionRule } from './domain/permission-policy.ts';
import type { Asks } from './effects/asks.ts';
import type { Attachments } from './effects/attachments.ts';
import type { Journal } from './effects/journal.ts';
import type { Limits } from './limits.ts';
import type { SessionEnv } from './machines/session-context.ts';
import type {
  Briefing,
  Clock,
  Done,
  Ids,
  Inference,
  Log,
  LogStore,
  Processes,
  StoredRecord,
  ToolGate,
  Tools,
} from './ports.ts';
import type { Registry } from './registry.ts';
import type { Runtime } from './runtime.ts';
import type { InspectionFeed } from './watch/inspection-feed.ts';

/** What the actor system is made of, and what it is to whoever runs it. */
export interface SystemParts {
  daemonId: string;
  clock: Clock;
  ids: Ids;
  log: Log;
  limits: Limits;
  store: LogStore;
  inference: Inference;
  tools: Tools;
  processes: Processes;
  /** What turns are told when they begin; nothing without it. */
  briefing?: Briefing;
  /** What stands before and after every call that runs. */
  gate?: ToolGate;
  /** Told of what was committed, as it is published; may not throw. */
  published?: (sessionId: string, records: StoredRecord[]) => void;
  rules: PermissionRule[];
  workspaceRules?: SessionEnv['workspaceRules'];
  /** False: what files held before is not kept. */
  keepsVersions?: boolean;
  permissionDeadlineMs: number;
  defaultModel: string;
  /** Checks each outgoing record against the event table; on in tests and development. */
  check?: (record: LogRecord) => void;
}

export interface System extends Runtime {
  /** Loads sessions with open work and closes or resumes them; then calls back. Listen only after that ([CR1]). */
  start(done: () => void): void;
  /** Refuses what is new, ends running turns as interrupted, flushes, then calls back. Bounded by `drainDeadlineMs`. */
  stop(done: () => void): void;
  /** Removes what sessions deleted longer than `deletedRetentionMs` ago have stored; then calls back with how many. */
  purge(done: Done<number>): void;
  /** Puts on record what became of a commit of a turn's files. */
  committed(sessionId: string, fact: EventPayload<'files.committed'>): void;
  /** For tests and the simulator. */
  readonly parts: { journal: Journal; registry: Registry; attachments: Attachments; asks: Asks; feed: InspectionFeed };
}
