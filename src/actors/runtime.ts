import type { BackgroundProcess, Signal, StartBackground } from '../protocol/background.ts';
import type { OverviewJob, OverviewSession } from '../protocol/feeds/overview.ts';
import type { ResolvePermission } from '../protocol/frames.ts';
import type { InspectedActor, Why } from '../protocol/inspection.ts';
import type { CreateSession, PatchSession, PresenceEntry, SessionSnapshot } from '../protocol/session.ts';
import type { SessionState } from '../protocol/session-state.ts';
import type { CancelTarget, EditQueued, SubmitTurn } from '../protocol/turn.ts';
import type { Attachment, Done, IndexEntry, ListPage, LogPage, Reader, StoreStatus, Who } from './ports.ts';

/** `undone` is false for a dry run. */
export interface UndoResult {
  turnId: string;
  undone: boolean;
  restored: string[];
  kept: { path: string; why: string }[];
}

export type { InspectedActor, Why } from '../protocol/inspection.ts';
export type { Attachment, Reader, Who } from './ports.ts';

/**
 * The actor system as the transport sees it. Every answer is given once, and a successful answer to a command only when its
 * fact is flushed to disk ([EV5]); a `storage` or `outcome-unknown` error says that it is not, or that nobody can tell.
 */
export interface Runtime {
  readonly daemonId: string;

  /** Opens the session if it exists (its model and title stay), else creates it. */
  create(input: CreateSession, done: Done<SessionSnapshot>): void;
  get(sessionId: string, done: Done<SessionState>): void;
  list(page: ListPage, done: Done<{ sessions: IndexEntry[]; cursor?: string; total: number }>): void;
  patch(sessionId: string, patch: PatchSession, done: Done<SessionSnapshot>): void;
  /** Cancels what runs and waits, then puts the session away. Answered when its turns have ended. */
  delete(sessionId: string, done: Done<{ sessionId: string; deletedAt: string; cancelled: number; seq: number }>): void;
  undelete(sessionId: string, done: Done<SessionSnapshot>): void;
  /** A new session with the conversation of `sessionId` as it was after `atSeq` (its head by default). */
  fork(sessionId: string, at: ForkAt, done: Done<SessionSnapshot>): void;
  /** `queued`: this turn's place in the queue, 1 = next; 0 when it runs at once. `seq`: of its `turn.queued`. */
  submit(sessionId: string, input: SubmitTurn, done: Done<Submitted>): void;
  /** Changes or moves a waiting turn of `edit.writerId`. */
  editQueued(sessionId: string, turnId: string, edit: EditQueued, done: Done<QueuePlace>): void;
  withdraw(sessionId: string, turnId: string, writerId: string, done: Done<{ turnId: string; seq: number }>): void;
  /** Answered when every turn it hit is terminal ([CX2]). A target that matches nothing is not an error. */
  cancel(sessionId: string, target: CancelTarget, done: Done<CancelResult>): void;
  /** What a turn did to files is taken back, whole or not at all ([TL4]); answered when it has been, or why not. */
  undo(sessionId: string, undo: { turnId?: string; by: string; dryRun: boolean }, done: Done<UndoResult>): void;
  resolve(sessionId: string, decision: ResolvePermission, done: Done<ResolveResult>): void;
  /** Committed records after `afterSeq`; an unknown session has none. */
  read(sessionId: string, afterSeq: number, limit: number, done: Done<LogPage>): void;

  /** Answered once the committed record `seq` is on disk too: for who answers a command by what a reader was sent ([EV5]). */
  flushed(sessionId: string, seq: number, done: Done): void;

  startBackground(input: StartBackground, done: Done<{ process: BackgroundProcess }>): void;
  /** Answered when nothing of it is alive ([CX4]); `killed` is false when it had ended before. */
  killBackground(sessionId: string, processId: string, signal: Signal, done: Done<KillResult>): void;
  /** Sessions that are loaded and remember a process, or this one; each with a running process is loaded. */
  backgroundHomes(processId?: string): string[];

  /** Joins replay and live without gap or repeat ([EV2], [EV3]). Delivery starts after this call returns. */
  attach(sessionId: string, afterSeq: number, reader: Reader, who?: Who): Attachment;
  /** Who is attached now. */
  presence(sessionId: string): PresenceEntry[];

  /** Statechart and active states of the daemon, or of one session and everything below it. */
  inspect(sessionId: string | null, done: Done<InspectedActor>): void;
  why(sessionId: string, done: Done<Why>): void;
  /** The sessions in memory, as a dashboard shows them. */
  overview(): LiveOverview;
  /** What live actors do, of one session or of all: JSON texts in the shape of `protocol/feeds/inspection.ts`. */
  observe(sessionId: string | null, tell: (message: string) => void): Inspection;
  health(): RuntimeHealth;
  metrics(): Gauge[];
}

export interface Inspection {
  /** All that live now, as the messages that a watcher begins with. */
  picture(): string[];
  /** Nothing is told after it. */
  end(): void;
}

export interface LiveOverview {
  /** The last changed ones. */
  sessions: OverviewSession[];
  liveCount: number;
  /** What to say of sessions that have a place and no actor: they load, wait for storage, or are kept still. */
  words: ReadonlyMap<string, string>;
  jobs: OverviewJob[];
  jobCount: number;
  /** Changes when anything of a session may have changed that is stored. */
  mark: string;
}

export interface KillResult {
  killed: boolean;
  process: BackgroundProcess;
}

export interface Submitted {
  turnId: string;
  queued: number;
  seq: number;
  /** The idempotency key was used before: this is the turn of then ([TQ5]). */
  replayed?: true;
}

export interface QueuePlace {
  turnId: string;
  /** 1 = next. */
  position: number;
  seq: number;
}

export interface ForkAt {
  atSeq?: number;
  sessionId?: string;
  title?: string;
}

export interface CancelResult {
  cancelled: number;
  cancelledQueued: number;
  cancelledActive: boolean;
  /** When a call was named. */
  cancelledCalls?: number;
}

export type ResolveResult =
  | { ok: true; conflict: false; decision: 'allow' | 'deny' }
  /** Somebody was first; `decision` and `decidedBy` are theirs ([PM2]). */
  | { ok: false; conflict: true; message: string; decision: 'allow' | 'deny'; decidedBy: string };

export interface RuntimeHealth {
  state: 'starting' | 'ready' | 'read-only' | 'draining' | 'stopped';
  sessionCount: number;
  activeTurnCount: number;
  queuedTurnCount: number;
  subscriberCount: number;
  ingressSeq: number;
  quarantined: { sessionId: string; reason: string; since: string }[];
  storage: StoreStatus;
}

export interface Gauge {
  name: string;
  value: number;
  /** The bound from `limits.ts`, when the figure has one. */
  max?: number;
  /** That bound's name. */
  limit?: string;
  help: string;
}
