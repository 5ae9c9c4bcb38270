import { cancelledText } from '../domain/call-cancel.ts';
import type { ToolJobOutcome, TurnReport } from '../messages.ts';
import { current, type FlyingCall, type TurnContext } from './turn-context.ts';

/** What a turn reports of its calls. The session records it, and answers. */
export const allowReport = (c: TurnContext): TurnReport => {
  const { call, verdict } = current(c);
  const by = verdict.action === 'invalid' ? 'daemon' : verdict.by;
  return { type: 'call.allow', turnId: c.turnId, callId: call.id, by };
};

export const askReport = (c: TurnContext): TurnReport => {
  const { call, plan, requestId } = current(c);
  const { args, summary, question } = plan ?? { args: {}, summary: call.name };
  const preview = plan?.preview?.();
  const asked = { args, summary, ...(question ? { question } : {}), ...(preview === undefined ? {} : { preview }) };
  return { type: 'call.ask', turnId: c.turnId, callId: call.id, requestId, ...asked };
};

export const refusalReport = (c: TurnContext): TurnReport & { type: 'call.refuse' } => {
  const { call, verdict } = current(c);
  const at = { type: 'call.refuse', turnId: c.turnId, callId: call.id } as const;
  if (verdict.action === 'invalid') return { ...at, reason: 'invalid', by: 'daemon', message: verdict.message };
  const message = `Not allowed here (${verdict.by.replace('rule:', '')}). Go on without it.`;
  return { ...at, reason: 'rule', by: verdict.by, message };
};

export const expiryReport = (c: TurnContext): TurnReport => {
  const { call, requestId } = current(c);
  return { type: 'call.expire', turnId: c.turnId, callId: call.id, requestId };
};

/** A result that was quicker than the kill is the call's own. */
export const resultReport = (
  c: TurnContext,
  { call, startedAtMs, cancelledBy }: FlyingCall,
  { result, ran, killed }: ToolJobOutcome,
): TurnReport & { type: 'call.result' } => {
  const at = { type: 'call.result', turnId: c.turnId, callId: call.id, elapsedMs: c.now() - startedAtMs } as const;
  if (cancelledBy === null || !killed) return { ...at, result };
  const text = cancelledText(cancelledBy, ran ? 'running' : 'waiting');
  return { ...at, result: { result: text, isError: true }, cancelledBy };
};
