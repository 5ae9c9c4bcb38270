import { callCancelled, cancelledText, canceller, targetCall } from '../domain/call-cancel.ts';
import type { Act, Command } from './session-commands.ts';
import { answer, deny, refusal, setContext, tell } from './session-context.ts';

/** What a session does with the cancel of one call ([CX5]); the guards of the chart have told where that call stands. */

/** It runs: its job is killed, and the answer waits for its end, which may yet be its own. */
export const cancelRunningCall = ({ context, event, enqueue }: Act): void => {
  const { ask, target } = event as Command<'turn.cancel'>;
  const { turnId = '', callId = '' } = target;
  setContext(enqueue, { endAsks: [...context.endAsks, { ask, turnId, callId, processIds: [], value: null }] });
  tell(enqueue, { type: 'call.cancel', callId, by: canceller(target) });
};

/** It waits for a decision or for its place: it is refused here and now. */
export const cancelOpenCall = ({ context, event, enqueue }: Act): void => {
  const { ask, target } = event as Command<'turn.cancel'>;
  const call = targetCall(context.f, target);
  if (!call) return;
  const { id: callId, progress } = call;
  const asked = progress.state === 'asked' ? progress : undefined;
  const by = canceller(target);
  const message = cancelledText(by, asked?.question === undefined ? 'waiting' : 'question');
  const requestId = asked?.requestId ?? callId;
  const f = deny(context, enqueue, { callId, requestId, reason: 'cancelled', by, message, cancelledBy: by });
  answer(enqueue, f, ask, callCancelled(true));
};

/** It has ended, or never was. */
export const cancelNoCall = ({ context, event, enqueue }: Act): void => {
  const { ask, target } = event as Command<'turn.cancel'>;
  if (target.turnId !== undefined) return answer(enqueue, context.f, ask, callCancelled(false));
  refusal(enqueue, event, 'invalid-request', '`callId` needs its `turnId`: calls are named within a turn');
};
