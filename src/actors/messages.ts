import type { BackgroundProcess, OutputPiece, Signal, StartBackground } from '../protocol/background.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import type { EventPayload, ResolveReason } from '../protocol/events.ts';
import type { ResolvePermission } from '../protocol/frames.ts';
import type { Message, PatchSession } from '../protocol/session.ts';
import type { CancelTarget, EditQueued, Question, StopReason, SubmitTurn, Usage } from '../protocol/turn.ts';
import type { Compaction } from './domain/context-window.ts';
import type { ProcessRun, RequestedCall, Restored, ToolResult, TurnBrief } from './ports.ts';

/**
 * What the actors say to each other. Commands are imperative and may be refused; reports are facts from below.
 * `ask` names the request that waits for the answer; work that could be stale names its turn and step.
 */
export type Ask = number;

/** Commands to a session: one for each row of the command table in SPEC.md. */
export type SessionCommand =
  /** `digest` is of what was submitted, when it came with an idempotency key. */
  | { type: 'turn.submit'; ask: Ask; turnId: string; input: SubmitTurn; digest?: string }
  | { type: 'turn.cancel'; ask: Ask; target: CancelTarget }
  | { type: 'permission.resolve'; ask: Ask; decision: ResolvePermission }
  | { type: 'queue.edit'; ask: Ask; turnId: string; edit: EditQueued }
  | { type: 'queue.withdraw'; ask: Ask; turnId: string; writerId: string }
  | { type: 'session.patch'; ask: Ask; patch: PatchSession }
  | { type: 'session.delete'; ask: Ask }
  | { type: 'session.undelete'; ask: Ask }
  /** What a turn did to files is to be taken back; without a name, the newest that did anything. */
  | { type: 'session.undo'; ask: Ask; turnId?: string; by: string; dryRun: boolean }
  /** What a turn did to files was committed, or was not: somebody else did that, and it is to be on record. */
  | { type: 'session.committed'; ask: Ask; fact: EventPayload<'files.committed'> }
  | {
      type: 'background.start';
      ask: Ask;
      processId: string;
      input: StartBackground;
      argv: string[];
      /** A model's, and how it is confined; else a person's. */
      model?: ProcessRun['model'];
    }
  | { type: 'background.kill'; ask: Ask; processId: string; signal: Signal }
  /** The daemon stops: the running turn may end by itself, the queue stays for the next start. */
  | { type: 'session.drain' }
  /** The time for that is over: the running turn ends as interrupted. */
  | { type: 'session.stop' };

/** Reports of a turn and its stream to their session. */
export type TurnReport =
  | { type: 'step.ready'; turnId: string; step: number }
  | { type: 'step.accepted'; turnId: string; step: number; model: string; provider: string }
  | { type: 'delta'; turnId: string; step: number; kind: 'text' | 'thinking'; texts: string[] }
  | {
      type: 'step.compacted';
      turnId: string;
      step: number;
      upTo: number;
      summary: string;
      by: 'model' | 'digest';
      tokensBefore: number;
      tokensAfter: number;
    }
  | { type: 'step.calls'; turnId: string; step: number; calls: RequestedCall[]; usage: Usage | null }
  | { type: 'call.allow'; turnId: string; callId: string; by: string }
  | {
      type: 'call.ask';
      turnId: string;
      callId: string;
      requestId: string;
      args: { [k: string]: unknown };
      summary: string;
      question?: Question;
      preview?: string;
    }
  | { type: 'call.refuse'; turnId: string; callId: string; reason: ResolveReason; by: string; message: string }
  | { type: 'call.expire'; turnId: string; callId: string; requestId: string }
  | {
      type: 'call.result';
      turnId: string;
      callId: string;
      result: ToolResult;
      elapsedMs: number;
      cancelledBy?: string;
    };

/** Reports of a background process to its session, which had the draft of it. One that was adopted had its `ask` long ago. */
export type BackgroundReport =
  | { type: 'background.spawned'; ask?: Ask; draft: JobDraft; pid: number; identity: string | null }
  | { type: 'background.failed'; ask?: Ask; draft: JobDraft; code: ErrorCode; message: string }
  | { type: 'background.wrote'; draft: JobDraft; pieces: OutputPiece[] }
  | ({ type: 'background.ended'; processId: string } & BackgroundEnd)
  /** It runs on, for the next daemon. */
  | { type: 'background.left'; processId: string };

export type RestoreOutcome = Restored;
/** From the effect that takes changes of files back. */
export type RestoreReport = { type: 'restore.done'; outcome: RestoreOutcome };

export type SessionEvent = SessionCommand | TurnReport | BackgroundReport | RestoreReport;

export type JobDraft = Pick<BackgroundProcess, 'processId' | 'sessionId' | 'command' | 'label' | 'cwd' | 'timeoutMs'>;

/** Why a process ended: by itself, or whose doing it was. */
export interface BackgroundEnd {
  how: 'exit' | 'killed' | 'timeout' | 'interrupted';
  exitCode: number | null;
  signal: string | null;
}

/** What a background job tells its effect. */
export type ProcessOrder =
  /** Its start is recorded with this `seq`: it may begin once that is committed. */
  | { type: 'go'; afterSeq: number }
  | { type: 'signal'; name: Signal }
  /** The daemon stops and the process does not: answered with `left` when the command has begun and all that was read is told. */
  | { type: 'leave' };

/** What a session and the effect tell a background job. */
export type BackgroundEvent =
  | { type: 'background.spawned'; pid: number; identity: string | null }
  | { type: 'background.failed'; code: ErrorCode; message: string }
  | { type: 'background.wrote'; pieces: OutputPiece[] }
  | { type: 'gone'; exitCode: number | null; signal: string | null }
  /** One of an earlier daemon is ours now, or nobody can tell what became of it. */
  | { type: 'adopted' }
  | { type: 'lost' }
  | { type: 'left' }
  | { type: 'leave' }
  | { type: 'go'; afterSeq: number }
  | { type: 'kill'; how: BackgroundEnd['how']; signal: Signal; graceMs: number };

/** The conversation that a step begins with. */
export interface Given {
  messages: Message[];
  /** What stands for its beginning, once that was summarised. */
  compaction?: Compaction;
  /** Turns whose changes of files were taken back. */
  undone?: string[];
}

/** What a session, and a child of its own, tell a turn. */
export type TurnEvent =
  | ({ type: 'step.go' } & Given)
  | { type: 'briefed'; brief: TurnBrief }
  /** Of a model call whose text is for the turn itself. */
  | Extract<TurnReport, { type: 'delta' | 'step.accepted' }>
  /** The call's `tool.start` has this `seq`: the tool may run once it is committed ([PM4]). */
  | { type: 'call.granted'; callId: string; afterSeq: number }
  /** Also of one whose place has not come: it is then passed over. */
  | { type: 'call.refused'; callId: string }
  /** This call alone is to end, because of whom. */
  | { type: 'call.cancel'; callId: string; by: string }
  /** The call was a question; its answer is recorded as its result. */
  | { type: 'call.answered'; callId: string }
  | { type: 'stop' };

export type TurnOutcome =
  | { kind: 'done'; usage: Usage | null; stop: StopReason }
  | { kind: 'error'; code: string; message: string; usage: Usage | null; stop?: StopReason }
  | { kind: 'stopped' };

/** What the inference effect tells its stream. */
export type StreamEvent =
  | { type: 'accepted'; model: string; provider: string }
  /** Something arrived: the gap deadline starts anew. */
  | { type: 'alive' }
  /** A sign of life without text, from a server that queues or reads a long prompt. */
  | { type: 'keepalive' }
  | { type: 'end'; finishReason: 'stop' | 'tool_calls' | 'length'; calls: RequestedCall[]; usage: Usage | null }
  /** `tooLong`: before anything of an answer, because the request does not fit into what the model can read. */
  | { type: 'fail'; code: string; message: string; retryable: boolean; retryAfterMs: number | null; tooLong?: boolean };

export type StreamOutcome =
  | { kind: 'answered'; calls: RequestedCall[]; usage: Usage | null; finishReason: 'stop' | 'tool_calls' | 'length' }
  | { kind: 'failed'; code: string; message: string; tooLong?: boolean };

/** What the barrier and the tool effect tell their job. */
export type ToolJobEvent =
  | { type: 'barrier.passed' }
  | { type: 'job.done'; result: ToolResult }
  /** Nothing that the job started is alive. */
  | { type: 'job.dead' }
  | { type: 'kill' };

/** `ran`: it got past the barrier. `killed`: it was told to end, and the result is not its own. */
export type ToolJobOutcome = { result: ToolResult; ran: boolean; killed: boolean };

export type DaemonEvent =
  | { type: 'boot.done' }
  | { type: 'session.crashed'; sessionId: string; reason: string; at: number }
  | { type: 'storage.failed'; reason: string; at: number }
  | { type: 'storage.reopened' }
  | { type: 'drain' }
  | { type: 'drained' };
