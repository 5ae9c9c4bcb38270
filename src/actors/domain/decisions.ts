import { commandOf } from '../../protocol/decisions.ts';
import type { ResolvePermission } from '../../protocol/frames.ts';
import { openRequests, type SessionState } from '../../protocol/session-state.ts';

/** What is said of decisions before they are recorded: whether one fits its request, and which one answers for a later call. */
export const requestIsOpen = (f: SessionState, requestId: string | undefined): boolean =>
  openRequests(f).some((open) => open.asked.requestId === requestId);

/** What is wrong with a decision, in words; null when it may be taken, or when its request is not open any more. */
export const misfit = (f: SessionState, d: ResolvePermission): string | null => {
  if (d.decision === 'deny') {
    return d.remember === undefined && d.answer === undefined ? null : '`remember` and `answer` go with an allow only';
  }
  const open = openRequests(f).find(({ asked }) => asked.requestId === d.requestId);
  if (!open) return null;
  if (open.asked.question === undefined) {
    return d.answer === undefined ? null : 'This request is no question: it takes no `answer`';
  }
  if (d.remember !== undefined) return 'A question is asked each time: its answer cannot be remembered';
  return d.answer === undefined ? 'This request is a question: an allow needs an `answer`' : null;
};

/** [PM6] Who allowed what this call does for the rest of the session, or for its folder ([PM11]), as a record names it. */
export const rememberedBy = (f: SessionState, callId: string): string | null => {
  const call = f.active?.calls.find(({ id }) => id === callId);
  if (!call) return null;
  const command = commandOf(call.args);
  const found =
    f.remembered?.find((one) => one.tool === call.name) ??
    f.active?.allowedHere?.find((one) => one.tool === call.name && one.command === command);
  return found === undefined ? null : `remembered:${found.decidedBy.replace(/^person:/, '')}`;
};
