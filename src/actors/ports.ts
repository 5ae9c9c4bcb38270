import type { ErrorCode, OptaError } from '../protocol/errors.ts';
import type { FileChange } from '../protocol/files.ts';
import type { LmxOperationId } from '../protocol/operations/lmx.ts';
import type { Message, PresenceEntry, Role } from '../protocol/session.ts';
import type { SessionState } from '../protocol/session-state.ts';
import type { Question, Usage } from '../protocol/turn.ts';

/**
 * What the actors need from the world. Owned here, implemented outside.
 *
 * Ports answer by callback, never in the caller's own stack: the same actors then run under a simulated clock without an
 * `await`, and a seed replays exactly (docs/decisions/0002). Every callback is called at most once.
 */
export type Done<T = void> = (error: OptaError | null, value: T) => void;

// --- time, identity, log -------------------------------------------------------------------------------------------

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  setTimeout(fn: () => void, ms: number): unknown;
  clearTimeout(id: unknown): void;
  /** Runs `fn` after what is ready now: the next turn of the event loop. */
  soon(fn: () => void): void;
}

export interface Ids {
  turn(): string;
  session(): string;
  request(): string;
  /** Unguessable: processes are told apart from others' by it. */
  process(): string;
}

export interface Log {
  info(msg: string, facts?: object): void;
  warn(msg: string, facts?: object): void;
  error(msg: string, facts?: object): void;
}

// --- storage -------------------------------------------------------------------------------------------------------

/** One record as it is stored, published and replayed: the encoded envelope. */
export interface StoredRecord {
  seq: number;
  text: string;
}

export interface IndexEntry {
  sessionId: string;
  title?: string;
  model: string;
  workspace?: string;
  tags?: string[];
  createdAt: string;
  updatedAt: string;
  seq: number;
  toolCallCount: number;
  messageCount: number;
  queuedTurns: number;
  activeTurnId?: string;
  /** How the first prompt begins. */
  preview?: string;
  deletedAt?: string;
  /** Its events are gone, or on their way; only the id stays taken, so that no `seq` of it is ever given again ([EV1]). */
  purgedAt?: string;
}

/** What one session adds in one commit. Records, index and snapshot land together or not at all. */
export interface SessionCommit {
  sessionId: string;
  /** Dense, in order, continuing the stored head. */
  records: StoredRecord[];
  index: IndexEntry;
  /** The session has a queued or running turn: it is loaded at boot ([CR1]). */
  open: boolean;
  /** State after the last record, when one is due. */
  snapshot?: SessionState;
}

export interface StoredSession {
  /** Newest snapshot, or null. */
  snapshot: SessionState | null;
  /** The records after it (all of them when there is none). */
  records: StoredRecord[];
}

export interface LogPage {
  records: StoredRecord[];
  /** Newest committed `seq` of the session; 0 when the session is unknown. */
  head: number;
}

export type StoreStatus =
  | { state: 'ok' }
  /** Nothing can be written; reading goes on. */
  | { state: 'read-only'; reason: string; since: number };

export interface ListPage {
  limit: number;
  /** Opaque. */
  cursor?: string;
  /** Words that must all stand in title, preview, model, workspace or id; case does not count. */
  q?: string;
  /** Deleted sessions in place of the others. */
  deleted?: boolean;
}

export interface LogStore {
  /** Committed: visible to readers and safe from `kill -9`. Called with one commit in flight at a time. May fail and yet have landed. */
  commit(batch: SessionCommit[], done: Done): void;
  /** Flushed: everything committed before this call is on disk, safe from a power cut. */
  flush(done: Done): void;
  load(sessionId: string, done: Done<StoredSession | null>): void;
  /** Records after `afterSeq`, oldest first, within both bounds but at least one if there is one. */
  read(
    sessionId: string,
    afterSeq: number,
    bounds: { recordsMax: number; bytesMax: number },
    done: Done<LogPage>,
  ): void;
  /** Newest `updatedAt` first. With a search a page may be shorter than `limit` and still have a `cursor`. */
  list(page: ListPage, done: Done<{ sessions: IndexEntry[]; cursor?: string; total: number }>): void;
  /** Sessions with a queued or running turn. */
  open(done: Done<string[]>): void;
  /** Deleted sessions that were put away before that moment and still have something stored; some of them when there are many. */
  expired(beforeMs: number, done: Done<string[]>): void;
  /**
   * Removes a part of what a session has stored that was put away before that moment; true when nothing is left to do. From the first call on the session reads as
   * unknown and `load` fails with `session-deleted`: its id is never used again.
   */
  purge(sessionId: string, beforeMs: number, done: Done<boolean>): void;
  /** After a failed commit: makes the store usable again, or says why not. */
  reopen(done: Done): void;
  close(done: Done): void;
}

// --- inference -----------------------------------------------------------------------------------------------------

export interface ToolSpec {
  name: string;
  description: string;
  /** JSON Schema of the arguments. */
  parameters: object;
}

export interface InferenceRequest {
  sessionId: string;
  turnId: string;
  step: number;
  /** Empty: the engine's default. */
  model: string;
  messages: Message[];
  tools: ToolSpec[];
}

export interface RequestedCall {
  id: string;
  name: string;
  /** Raw JSON text, complete. Never a part of a call. */
  args: string;
}

export interface InferenceEvents {
  /** The engine has the request; `model` is the one that answers. */
  accepted(facts: { model: string; provider: string }): void;
  /** The server says that it is still at it; the deadlines for silence start anew. */
  alive?(): void;
  text(delta: string): void;
  thinking(delta: string): void;
  /** Exactly one of `end` and `fail`, last. */
  end(result: { finishReason: 'stop' | 'tool_calls' | 'length'; calls: RequestedCall[]; usage?: Usage }): void;
  /** `retryable` holds only while nothing was emitted; `retryAfterMs` is the server's hint. */
  fail(error: OptaError): void;
}

export interface InferenceStream {
  /** Frees the engine. No event follows. */
  cancel(): void;
  /** Back-pressure: stop and go on reading from the engine. */
  pause(): void;
  resume(): void;
}

export interface Inference {
  stream(request: InferenceRequest, on: InferenceEvents): InferenceStream;
  /** Context of a model in tokens, as far as its server has said so; asks nobody. */
  contextTokens?(model: string): number | null;
}

// --- administration of the inference host ---------------------------------------------------------------------------

export interface LmxCall {
  id: LmxOperationId;
  /** What stands for `:id` in the path. */
  item?: string;
  /** The fields of the body, or of the query. */
  fields?: { readonly [name: string]: unknown };
}

export interface LmxAdmin {
  /**
   * Answers in the shape of the operation, within `lmxReadMs` or `lmxChangeMs`. A read may be tried again; a change that may have
   * arrived is not, and fails with `outcome-unknown` when nobody can tell what became of it.
   */
  run(call: LmxCall, done: Done<unknown>): void;
  /** Calls that have no answer yet. */
  readonly open: number;
  /** Since when nothing has been heard of the host, as far as it was asked; null while it answers. */
  readonly away: { since: string; reason: string } | null;
  /** Ends what waits with `shutting-down`, and refuses the rest. */
  close(): void;
}

export type { FileChange, FileVersion } from '../protocol/files.ts';
export type { LeftProcess, ProcessEvents, Processes, ProcessHandle, ProcessRun } from './ports-processes.ts';

// --- tools ---------------------------------------------------------------------------------------------------------

/** `question`: nothing runs; people answer it. */
export type ToolClass = 'read' | 'write' | 'exec' | 'network' | 'delegate' | 'question';

/** A call that was understood, before anything is decided about it. */
export interface ToolPlan {
  toolClass: ToolClass;
  /** One line for people: what the call would do. */
  summary: string;
  args: { [key: string]: unknown };
  /** Of the class `question`, and of no other. */
  question?: Question;
  /** Of the class `exec`: it can do no more than write in the workspace, since it runs in a sandbox without a network. */
  confined?: boolean;
  /** Its own deadline, in place of `toolDeadlineMs`. */
  deadlineMs?: number;
  /** What it would write, line by line, for whoever is asked. Made when somebody is; undefined when `summary` says it all. */
  preview?(): string | undefined;
}

export interface ToolRun {
  sessionId: string;
  turnId: string;
  callId: string;
  name: string;
  args: { [key: string]: unknown };
  /** Absolute path; no file tool leaves it ([TL1]). */
  workspace: string;
  /** Globs of paths below the workspace that this tool may not touch, whatever name leads there ([PM5]). */
  deniedPaths: string[];
  deadlineMs: number;
  /** Whether what it overwrites is kept, so that it can be taken back. */
  keepVersions?: boolean;
  /** As its plan said, and as it was judged: a call that was allowed for the sandbox runs in it, or not at all. */
  confined?: boolean;
  /** Of a command: what its environment has besides. */
  env?: { [name: string]: string };
}

export interface ToolResult {
  result: string;
  isError: boolean;
  truncatedFrom?: number;
  /** What it wrote in files, in the order in which it did. */
  changes?: FileChange[];
  /** It did not run: this refused it, after it was allowed. */
  vetoedBy?: string;
}

/** What was taken back, as `restore_files` answers it in JSON. */
export interface Restored {
  restored: string[];
  kept: { path: string; why: string }[];
}

export interface ToolJobHandle {
  /** Ends the job and everything it started. `dead` is called when nothing of it is alive. No result follows. */
  kill(dead: () => void): void;
}

/** What the tools of a turn depend on besides the call. */
export interface ToolScope {
  mode: string;
  workspace: string | undefined;
}

/** What a turn is told when it begins; read once. */
export interface TurnBrief {
  /** Files of rules that the workspace brings. */
  rules: { file: string; text: string }[];
  /** One line each: the system, the day, and what else the model needs to know of where it is. */
  environment: string[];
  /** One line each: what of the workspace could not be had. */
  notes: string[];
  /** The context of the model in tokens, when its server says so. */
  contextTokens?: number;
}

export interface Briefing {
  /**
   * Gathers what a turn begins with, and gets ready what its workspace brings. Calls back once, soon or late: the turn waits for
   * `turnOpenMs` at most. The answer gives up.
   */
  brief(scope: ToolScope & { model: string }, done: (brief: TurnBrief) => void): () => void;
}

export interface Tools {
  /** The tools offered to the model; read-only modes offer no writers (and refuse them at execution too). */
  offered(scope: ToolScope): ToolSpec[];
  /** Parses a call; a string is the error for the model. Pure and quick: it runs inside a transition. */
  plan(name: string, argsText: string, scope: ToolScope): ToolPlan | string;
  /** `start` is called only after the call's permission and `tool.start` are committed ([PM4]), and never for a question. */
  start(run: ToolRun, done: (result: ToolResult) => void): ToolJobHandle;
}

/** What stands before and after every call that runs, whoever made it ([HK1]). */
export interface ToolGate {
  /** Calls back once: with null the call runs, with a result it does not. The answer gives up, and ends what was started. */
  before(run: ToolRun, done: (refusal: ToolResult | null) => void): ToolJobHandle;
  /** Nobody waits for what it starts but the next call of the session. */
  after(run: ToolRun, result: ToolResult): void;
}

// --- event plane ---------------------------------------------------------------------------------------------------

/** One connection's end of an attachment. */
export interface Reader {
  send(frame: string): void;
  /** Bytes given to `send` that the peer has not taken yet. */
  bufferedBytes(): number;
  /** An error the reader is told about while it stays attached. */
  warn(code: ErrorCode, message: string): void;
  /** Ends the attachment from this side, with its reason. */
  close(code: ErrorCode, message: string): void;
  /** Who is attached, whenever that changes; only readers that have this are told. */
  presence?(present: PresenceEntry[], total: number): void;
}

/** Who an attachment says that it is. */
export interface Who {
  role: Role;
  via: 'ws' | 'sse' | 'http';
  clientId?: string;
  writerId?: string;
}

export interface Attachment {
  readonly id: string;
  /** Last `seq` given to the reader. */
  readonly cursor: number;
  /** It has said more about itself; `watch` asks for presence from now on. */
  introduce(who: Partial<Who>, watch?: boolean): void;
  /** The peer took what was buffered: more can be sent. */
  drained(): void;
  detach(): void;
}
