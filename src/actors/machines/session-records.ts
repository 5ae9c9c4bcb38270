import type { Fact } from '../../protocol/events.ts';
import { openRequests, type SessionState, toSnapshot } from '../../protocol/session-state.ts';
import type { Question } from '../../protocol/turn.ts';
import { closing } from '../domain/closing.ts';
import { misfit, rememberedBy } from '../domain/decisions.ts';
import { allowed, callName, toolStart } from '../domain/session-facts.ts';
import { turnStats } from '../domain/turn-stats.ts';
import type { TurnOutcome } from '../messages.ts';
import type { Act, Command } from './session-commands.ts';
import { answer, commit, deny, refusal, setContext, settle, tell } from './session-context.ts';

/** What a session records of its running turn: reports from below, decisions by people, and the turn's one end. */

export const endTurn = ({ context, event, enqueue }: Act): void => {
  const turn = context.f.active;
  if (!turn) return;
  const outcome: TurnOutcome = 'output' in event ? (event.output as TurnOutcome) : { kind: 'stopped' };
  const nowMs = context.env.now();
  const usage = outcome.kind === 'stopped' ? null : outcome.usage;
  const stats = turnStats(turn, context.f.messages, usage, context.firstDeltaAtMs, nowMs);
  const { turnId, writerId, clientId, model } = turn;
  const facts: Fact[] = turn.cancelling
    ? closing(turn, { how: 'cancelled', message: 'Turn cancelled' }, nowMs, stats)
    : outcome.kind === 'done'
      ? [
          {
            event: 'turn.done',
            payload: {
              turnId,
              writerId,
              clientId,
              stats,
              outcome: 'done',
              stopReason: outcome.stop,
              ...(model === undefined ? {} : { model }),
            },
          },
        ]
      : outcome.kind === 'error'
        ? closing(turn, { ...outcome, how: 'error' }, nowMs, stats)
        : closing(turn, { how: 'interrupted', message: STOPPED }, nowMs, stats);
  let f = commit(context, enqueue, facts);
  if (outcome.kind === 'done' && !turn.cancelling) {
    f = commit({ ...context, f }, enqueue, [{ event: 'session.updated', payload: { snapshot: toSnapshot(f) } }]);
  }
  settle(context, enqueue, f);
};

export const goStep = ({ context, enqueue }: Act): void => {
  const { messages, compaction, files = [] } = context.f;
  const undone = files.filter((one) => one.undone).map(({ turnId }) => turnId);
  const more = { ...(compaction === undefined ? {} : { compaction }), ...(undone.length > 0 ? { undone } : {}) };
  tell(enqueue, { type: 'step.go', messages, ...more });
};

export const recordCompacted = ({ context, event, enqueue }: Act): void => {
  const { type: _, ...payload } = event as Command<'step.compacted'>;
  commit(context, enqueue, [{ event: 'context.compacted', payload }]);
};

export const recordAccepted = ({ context, event, enqueue }: Act): void => {
  const { turnId, step, model, provider } = event as Command<'step.accepted'>;
  const payload = { turnId, phase: 'model.request', message: null, provider, step, model } as const;
  commit(context, enqueue, [{ event: 'turn.progress', payload }]);
};

export const recordDelta = ({ context, event, enqueue }: Act): void => {
  const { turnId, step, kind, texts } = event as Command<'delta'>;
  const name = kind === 'text' ? 'turn.token' : 'turn.thinking';
  if (context.firstDeltaAtMs === null) setContext(enqueue, { firstDeltaAtMs: context.env.now() });
  commit(
    context,
    enqueue,
    texts.map((text): Fact => ({ event: name, payload: { turnId, text, step } })),
  );
};

export const recordCalls = ({ context, event, enqueue }: Act): void => {
  const { turnId, step, calls, usage } = event as Command<'step.calls'>;
  const payload = { turnId, phase: 'model.response', message: null, provider: null, step, calls } as const;
  commit(context, enqueue, [{ event: 'turn.progress', payload: { ...payload, ...(usage ? { usage } : {}) } }]);
};

export const recordAllow = ({ context, event, enqueue }: Act): void => {
  const { callId, by } = event as Command<'call.allow'>;
  const f = commit(context, enqueue, [toolStart(context.f, callId, by)]);
  tell(enqueue, { type: 'call.granted', callId, afterSeq: f.seq });
};

/** As if a rule had allowed it: the turn waits for a decision, and has it. */
export const recordRemembered = ({ context, event, enqueue }: Act): void => {
  const { callId } = event as Command<'call.ask'>;
  const by = rememberedBy(context.f, callId) ?? '';
  const f = commit(context, enqueue, [toolStart(context.f, callId, by)]);
  tell(enqueue, { type: 'call.granted', callId, afterSeq: f.seq });
};

export const recordAsk = ({ context, event, enqueue }: Act): void => {
  const { turnId, callId, requestId, args, summary, question, preview } = event as Command<'call.ask'>;
  const toolName = callName(context.f, callId);
  const nowMs = context.env.now();
  const expiresAt = new Date(nowMs + context.env.permissionDeadlineMs).toISOString();
  const asked = { args, summary, ...(question ? { question } : {}), ...(preview === undefined ? {} : { preview }) };
  const payload = { turnId, requestId, callId, toolName, ...asked, expiresAt };
  commit(context, enqueue, [{ event: 'permission.request', payload }], nowMs);
};

export const recordUnattended = ({ context, event, enqueue }: Act): void => {
  const { callId, requestId, question } = event as Command<'call.ask'>;
  const message = untold(question).unattended;
  deny(context, enqueue, { callId, requestId, reason: 'unattended', by: 'daemon', message });
};

export const recordRefusal = ({ context, event, enqueue }: Act): void => {
  const { callId, reason, by, message } = event as Command<'call.refuse'>;
  deny(context, enqueue, { callId, requestId: callId, reason, by, message });
};

export const recordExpiry = ({ context, event, enqueue }: Act): void => {
  const { callId, requestId } = event as Command<'call.expire'>;
  const open = openRequests(context.f).find(({ asked }) => asked.requestId === requestId);
  const message = untold(open?.asked.question).expired;
  deny(context, enqueue, { callId, requestId, reason: 'timeout', by: 'daemon', message });
};

export const recordResult = ({ context, event, enqueue }: Act): void => {
  const { turnId, callId, result, elapsedMs, cancelledBy } = event as Command<'call.result'>;
  const alone = cancelledBy === undefined ? {} : { cancelledBy };
  const payload = { turnId, id: callId, name: callName(context.f, callId), ...result, elapsedMs, ...alone };
  const f = commit(context, enqueue, [{ event: 'tool.end', payload }]);
  settle(context, enqueue, f);
};

export const refuseMisfit = ({ context, event, enqueue }: Act): void =>
  refusal(
    enqueue,
    event,
    'invalid-request',
    misfit(context.f, (event as Command<'permission.resolve'>).decision) ?? '',
  );

export const decide = ({ context, event, enqueue }: Act): void => {
  const { ask, decision: d } = event as Command<'permission.resolve'>;
  const open = openRequests(context.f).find((o) => o.asked.requestId === d.requestId);
  if (!open) return;
  const { call, asked } = open;
  let f: SessionState;
  if (d.decision === 'allow') {
    f = commit(context, enqueue, allowed(context.f, call, d));
    const callId = call.id;
    tell(
      enqueue,
      d.answer === undefined ? { type: 'call.granted', callId, afterSeq: f.seq } : { type: 'call.answered', callId },
    );
  } else {
    const by = `person:${d.decidedBy}`;
    const message = untold(asked.question).declined;
    f = deny(context, enqueue, { callId: call.id, requestId: d.requestId, reason: 'person', by, message });
  }
  const value = { ok: true, conflict: false, decision: d.decision };
  answer(enqueue, f, ask, value);
};

export const decideLate = ({ context, event, enqueue }: Act): void => {
  const { ask, decision: d } = event as Command<'permission.resolve'>;
  const won = context.f.decisions.findLast((taken) => taken.requestId === d.requestId);
  if (!won) return;
  const message = 'Permission request already resolved';
  const value = { ok: false, conflict: true, message, decision: won.decision, decidedBy: won.decidedBy };
  answer(enqueue, context.f, ask, value);
};

/** The turn was cancelled first: its open request is as good as denied, and the log will say so. */
export const decideCancelled = ({ context, event, enqueue }: Act): void => {
  const { ask } = event as Command<'permission.resolve'>;
  const message = 'The turn was cancelled before this decision';
  answer(enqueue, context.f, ask, { ok: false, conflict: true, message, decision: 'deny', decidedBy: 'daemon' });
};

export const refuseUnknownRequest = ({ event, enqueue }: Act): void =>
  refusal(enqueue, event, 'permission-not-found', 'Unknown permission request');

const STOPPED = 'The daemon stopped while this turn ran. What it had written so far is kept.';

/** What the model is told when nobody allowed its call, or nobody answered its question. */
const untold = (question: Question | undefined) => (question === undefined ? NOT_ALLOWED : NOT_ANSWERED);
const NOT_ALLOWED = {
  declined: 'User declined this action.',
  expired: 'Nobody allowed this call in time, so it was not run.',
  unattended: 'This call needs permission and nobody is attached who could give it, so it was not run.',
};
const NOT_ANSWERED = {
  declined: 'No answer: the user declined to give one.',
  expired: 'No answer: nobody gave one in time.',
  unattended: 'No answer: nobody is attached who could give one.',
};
