import { toProcess } from '../../protocol/background.ts';
import type { ErrorCode, ErrorFacts } from '../../protocol/errors.ts';
import type { Fact, ResolveReason } from '../../protocol/events.ts';
import { fold, type SessionState } from '../../protocol/session-state.ts';
import type { CancelTarget } from '../../protocol/turn.ts';
import { callCancelled, targetCall } from '../domain/call-cancel.ts';
import { type PermissionRule, turnPolicy } from '../domain/permission-policy.ts';
import { callName } from '../domain/session-facts.ts';
import type { Limits } from '../limits.ts';
import type { Ask, BackgroundEvent, TurnEvent } from '../messages.ts';
import type { LeftProcess, Tools } from '../ports.ts';
import type { BackgroundInput } from './background-job.ts';
import type { Undoing } from './session-undo.ts';
import type { TurnInput } from './turn.ts';

/** What a session needs to know of the daemon. The functions read; they change nothing. */
export interface SessionEnv {
  now: () => number;
  limits: Limits;
  tools: Pick<Tools, 'offered' | 'plan'>;
  rules: PermissionRule[];
  /** What the workspace's own file adds to them; read when a turn starts. Never throws. */
  workspaceRules?: (workspace: string | undefined) => PermissionRule[];
  permissionDeadlineMs: number;
  /** Somebody is attached who could answer a permission request. */
  attended: (sessionId: string) => boolean;
  /** [BG7] Background processes outlive the daemon. */
  keepsProcesses: boolean;
  /** Background processes of all sessions. */
  processesInAll: () => number;
  /** Folder of a command that is given none, in a session without a workspace. */
  home: string;
  /** False: what files held before is not kept, whatever a turn says. */
  keepsVersions?: boolean;
}

export interface SessionInput {
  state: SessionState;
  env: SessionEnv;
}

/** Later work is none of its business: a turn and processes are named, not "whatever runs". */
export interface EndAsk {
  ask: Ask;
  turnId?: string;
  /** Of that turn: it is waited for and not the turn. */
  callId?: string;
  processIds: string[];
  /** The answer; null: what has become of the call, or of the one process. */
  value: object | null;
}

export interface SessionContext {
  f: SessionState;
  env: SessionEnv;
  /** Commands that are answered when what they name has ended. */
  endAsks: EndAsk[];
  /** Background processes that run or are about to: those that have an actor. */
  jobs: string[];
  firstDeltaAtMs: number | null;
  /** Whose changes of files are being taken back. */
  undoing: Undoing | null;
  /** The daemon stops: the running turn may still end by itself, nothing is started after it. */
  draining: boolean;
}

/**
 * What the actions below enqueue. XState types an enqueue inside `setup` without the actions that are being declared, so it is
 * named here once.
 */
interface Enqueue {
  (action: { type: 'append' | 'answer' | 'refuse' | 'reap'; params: object }): void;
  assign(change: Partial<SessionContext>): void;
  sendTo(child: string, event: TurnEvent | BackgroundEvent): void;
  spawnChild(src: 'backgroundJob', options: { id: string; input: BackgroundInput }): void;
  stopChild(id: string): void;
}
const on = (enqueue: unknown): Enqueue => enqueue as Enqueue;

export const answer = (enqueue: unknown, f: SessionState, ask: Ask, value: object): void =>
  on(enqueue)({ type: 'answer', params: { ask, sessionId: f.sessionId, afterSeq: f.seq, value } });

/**
 * The only place where `seq` is given. Moves the state by the same records that the journal stores. `nowMs`: for facts that name
 * a moment of their own, so that it and the record's are read from the clock once.
 */
export const commit = (
  context: SessionContext,
  enqueue: unknown,
  facts: Fact[],
  nowMs: number = context.env.now(),
): SessionState => {
  if (facts.length === 0) return context.f;
  const ts = new Date(nowMs).toISOString();
  const records = facts.map((fact, i) => ({ ...fact, seq: context.f.seq + 1 + i, ts }));
  const f = records.reduce(fold, context.f);
  on(enqueue).assign({ f });
  on(enqueue)({ type: 'append', params: { state: f, records } });
  return f;
};

export const setContext = (enqueue: unknown, change: Partial<SessionContext>): void => on(enqueue).assign(change);

export const tell = (enqueue: unknown, event: TurnEvent): void => on(enqueue).sendTo('turn', event);

/** The background jobs among the children. */
export const jobs = (enqueue: unknown) => ({
  start: (id: string, input: BackgroundInput) =>
    on(enqueue).spawnChild('backgroundJob', { id: `process:${id}`, input }),
  tell: (id: string, event: BackgroundEvent) => on(enqueue).sendTo(`process:${id}`, event),
  /** XState keeps a child that is done until it is told otherwise. */
  stop: (id: string) => on(enqueue).stopChild(`process:${id}`),
  reap: (left: LeftProcess) => on(enqueue)({ type: 'reap', params: left }),
});

/** Something has ended: answers who waited for it. */
export const settle = (context: SessionContext, enqueue: unknown, f: SessionState): void => {
  const callOf = ({ turnId, callId }: EndAsk) => targetCall(f, { turnId, callId } as CancelTarget)?.progress;
  const runs = (one: EndAsk): boolean =>
    one.callId === undefined ? f.active?.turnId === one.turnId : callOf(one)?.state === 'started';
  const waits = (one: EndAsk): boolean =>
    one.processIds.some((id) => context.jobs.includes(id)) || (one.turnId !== undefined && runs(one));
  for (const one of context.endAsks.filter((each) => !waits(each))) {
    const { ask, processIds, value } = one;
    if (one.callId !== undefined) {
      const end = callOf(one);
      answer(enqueue, f, ask, callCancelled(end?.state === 'ended' && end.cancelledBy !== undefined));
      continue;
    }
    const p = f.background.find(({ processId }) => processId === processIds[0]);
    answer(enqueue, f, ask, value ?? { killed: true, process: p && toProcess(f.sessionId, p, context.env.now()) });
  }
  setContext(enqueue, { endAsks: context.endAsks.filter(waits) });
};

export const refusal = (
  enqueue: unknown,
  event: { type: string; ask?: Ask },
  code: ErrorCode,
  message: string,
  facts?: ErrorFacts,
): void => {
  if (event.ask === undefined) return;
  on(enqueue)({ type: 'refuse', params: { ask: event.ask, code, message, ...(facts ? { facts } : {}) } });
};

export const deny = (
  context: SessionContext,
  enqueue: unknown,
  d: {
    callId: string;
    requestId: string;
    reason: ResolveReason;
    by: string;
    message: string;
    cancelledBy?: string;
  },
): SessionState => {
  const { callId, requestId, reason, message } = d;
  const at = { turnId: context.f.active?.turnId ?? '', requestId, callId, toolName: callName(context.f, callId) };
  const alone = d.cancelledBy === undefined ? {} : { cancelledBy: d.cancelledBy };
  const payload = { ...at, ...alone, decision: 'deny', reason, decidedBy: d.by, message } as const;
  const f = commit(context, enqueue, [{ event: 'permission.resolved', payload }]);
  tell(enqueue, { type: 'call.refused', callId });
  return f;
};

export const turnInput = (context: SessionContext, self: TurnInput['session']): TurnInput => {
  const { f, env } = context;
  const turn = f.active;
  if (!turn) throw new Error('no active turn');
  return {
    sessionId: f.sessionId,
    turnId: turn.turnId,
    mode: turn.mode,
    model: turn.overrides?.model ?? f.model,
    workspace: f.workspace,
    policy: turnPolicy(turn.mode, turn.overrides, [...env.rules, ...(env.workspaceRules?.(f.workspace) ?? [])]),
    tools: env.tools,
    keepVersions: turn.overrides?.noCheckpoints !== true && env.keepsVersions !== false,
    limits: env.limits,
    permissionDeadlineMs: env.permissionDeadlineMs,
    session: self,
    now: env.now,
  };
};
