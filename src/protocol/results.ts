import type { Message } from './session.ts';

/**
 * The conversation with one call's result. Results stand in the order of the calls, whichever ended first: a call that is cancelled
 * while an earlier one runs has its own before that one's.
 */
export const withResult = (
  messages: Message[],
  calls: readonly { id: string }[],
  callId: string,
  content: string,
): Message[] => {
  const place = calls.findIndex(({ id }) => id === callId);
  if (place < 0) return messages;
  const later = new Set(calls.slice(place + 1).map(({ id }) => id));
  let at = messages.length;
  while (later.has(messages[at - 1]?.tool_call_id ?? '')) at--;
  return [...messages.slice(0, at), { role: 'tool', content, tool_call_id: callId }, ...messages.slice(at)];
};
