import { resolve } from 'node:path';
import { type Background, type BackgroundProcess, isRunning, toProcess } from '../../protocol/background.ts';
import type { Fact } from '../../protocol/events.ts';
import type { SessionState } from '../../protocol/session-state.ts';
import type { BackgroundEnd } from '../messages.ts';
import type { Act, Command } from './session-commands.ts';
import {
  answer,
  commit,
  type EndAsk,
  jobs,
  refusal,
  type SessionContext,
  setContext,
  settle,
} from './session-context.ts';

/** What a session does with background processes: each is a child of its own, and only what is recorded here begins. */
export const startProcess = ({ context, event, enqueue }: Act): void => {
  const { ask, processId, input, argv, model } = event as Command<'background.start'>;
  const { f, env } = context;
  const { command, label, timeoutMs = env.limits.backgroundTimeoutMs } = input;
  const cwd = resolve(f.workspace ?? env.home, input.cwd ?? '');
  const named = label === undefined ? {} : { label };
  const draft = { processId, sessionId: f.sessionId, command, ...named, cwd, timeoutMs };
  setContext(enqueue, { jobs: [...context.jobs, processId] });
  jobs(enqueue).start(processId, { ask, argv, draft, limits: env.limits, ...(model ? { model } : {}) });
};

export const refuseProcesses = ({ context, event, enqueue }: Act): void => {
  const { backgroundSessionMax, backgroundMax } = context.env.limits;
  const max = context.jobs.length < backgroundSessionMax ? backgroundMax : backgroundSessionMax;
  refusal(enqueue, event, 'too-many-requests', `Max concurrent processes (${max}) reached`, { retryAfterMs: 1_000 });
};

export const recordStarted = ({ context, event, enqueue }: Act): void => {
  const { ask, draft, pid, identity } = event as Command<'background.spawned'>;
  const startedAt = new Date(context.env.now()).toISOString();
  const fresh = { pid, state: 'running', exitCode: null, startedAt, endedAt: null, runtimeMs: 0 } as const;
  const process: BackgroundProcess = { ...draft, ...fresh };
  const payload = { process, reason: 'started', identity } as const;
  const f = commit(context, enqueue, [{ event: 'background.status', payload }]);
  if (ask !== undefined) answer(enqueue, f, ask, { process });
  jobs(enqueue).tell(draft.processId, { type: 'go', afterSeq: f.seq });
};

/** The job of a process is over. */
const drop = (context: SessionContext, enqueue: unknown, processId: string, f: SessionState): void => {
  const left = context.jobs.filter((id) => id !== processId);
  setContext(enqueue, { jobs: left });
  jobs(enqueue).stop(processId);
  settle({ ...context, jobs: left }, enqueue, f);
};

export const refuseStart = ({ context, event, enqueue }: Act): void => {
  const { draft, code, message } = event as Command<'background.failed'>;
  refusal(enqueue, event, code, message);
  drop(context, enqueue, draft.processId, context.f);
};

export const recordOutput = ({ context, event, enqueue }: Act): void => {
  const { draft, pieces } = event as Command<'background.wrote'>;
  const { processId, sessionId } = draft;
  const { pid = 0, chunks = 0 } = processOf(context.f, processId) ?? {};
  const at = { processId, sessionId, pid, ts: new Date(context.env.now()).toISOString() };
  commit(
    context,
    enqueue,
    pieces.map((p, i): Fact => ({ event: 'background.output', payload: { ...at, seq: chunks + 1 + i, ...p } })),
  );
};

export const recordEnded = ({ context, event, enqueue }: Act): void => {
  const { processId, ...end } = event as Command<'background.ended'>;
  const p = processOf(context.f, processId);
  drop(context, enqueue, processId, p ? commit(context, enqueue, [ended(context, p, end)]) : context.f);
};

/** Answered when nothing of it is alive ([CX4]). */
export const killProcess = ({ context, event, enqueue }: Act): void => {
  const { ask, processId, signal } = event as Command<'background.kill'>;
  setContext(enqueue, { endAsks: [...context.endAsks, { ask, processIds: [processId], value: null }] });
  jobs(enqueue).tell(processId, { type: 'kill', how: 'killed', signal, graceMs: context.env.limits.backgroundGraceMs });
};

export const answerEnded = ({ context: { f, env }, event, enqueue }: Act): void => {
  const { ask, processId } = event as Command<'background.kill'>;
  const p = processOf(f, processId);
  if (p && isRunning(p)) refusal(enqueue, event, 'shutting-down', LEFT);
  else if (p) answer(enqueue, f, ask, { killed: false, process: toProcess(f.sessionId, p, env.now()) });
  else refusal(enqueue, event, 'background-not-found', 'Background process not found');
};

const endAll = ({ context, enqueue }: Act, how: BackgroundEnd['how'], graceMs: number): void => {
  for (const id of context.jobs) jobs(enqueue).tell(id, { type: 'kill', how, signal: 'SIGTERM', graceMs });
};
export const endProcesses = (act: Act): void => endAll(act, 'killed', act.context.env.limits.backgroundGraceMs);
/** The daemon stops: its processes are ended, or left to the next one ([BG7]). */
export const interruptProcesses = (act: Act): void => {
  const { env, jobs: ids } = act.context;
  if (!env.keepsProcesses) return endAll(act, 'interrupted', env.limits.backgroundStopGraceMs);
  for (const id of ids) jobs(act.enqueue).tell(id, { type: 'leave' });
};
const LEFT = 'The daemon is stopping, and the process is left to the next one.';

/** Who asked for its end meanwhile is told that it did not come. */
export const recordLeft = ({ context, event, enqueue }: Act): void => {
  const { type, processId } = event as Command<'background.left'>;
  const waits = (one: EndAsk): boolean => one.processIds.includes(processId);
  for (const { ask } of context.endAsks.filter(waits)) refusal(enqueue, { type, ask }, 'shutting-down', LEFT);
  const endAsks = context.endAsks.filter((one) => !waits(one));
  setContext(enqueue, { endAsks });
  drop({ ...context, endAsks }, enqueue, processId, context.f);
};

/** They ran when this session, or its daemon, came to an end: they are taken over, or what is left of them is ended. */
export const recoverProcesses = (act: Act): void => {
  const { context, enqueue } = act;
  const { f, env } = context;
  if (!env.keepsProcesses) return closeProcesses(act);
  const left = f.background.filter(isRunning);
  setContext(enqueue, { jobs: left.map((p) => p.processId) });
  for (const p of left) {
    const { processId, command, label, cwd, timeoutMs } = p;
    const draft = {
      processId,
      sessionId: f.sessionId,
      command,
      ...(label === undefined ? {} : { label }),
      cwd,
      timeoutMs,
    };
    const timeLeftMs = Math.max(1, Date.parse(p.startedAt) + timeoutMs - env.now());
    jobs(enqueue).start(processId, { argv: [], draft, left: { ...p, timeLeftMs }, limits: env.limits });
  }
};

const closeProcesses = ({ context, enqueue }: Act): void => {
  const left = context.f.background.filter(isRunning);
  const end = { how: 'interrupted', exitCode: null, signal: null } as const;
  const facts = left.map((p) => ended(context, p, end));
  commit(context, enqueue, facts);
  for (const p of left) jobs(enqueue).reap(p);
};

const processOf = (f: SessionState, processId: string): Background | undefined =>
  f.background.find((p) => p.processId === processId);

/** The one end of a process. A signal that nobody here sent counts as a kill, as it always did. */
const ended = ({ f, env }: SessionContext, p: Background, { how, exitCode, signal }: BackgroundEnd): Fact => {
  const byItself = signal !== null ? 'killed' : exitCode === 0 ? 'completed' : 'failed';
  const reason = how === 'exit' ? byItself : how;
  const endedAt = new Date(env.now()).toISOString();
  const process = toProcess(f.sessionId, { ...p, state: reason, exitCode, endedAt }, env.now());
  const named = reason === 'killed' && signal !== null ? { signal } : {};
  return { event: 'background.status', payload: { process, reason, previousState: p.state, ...named } };
};
