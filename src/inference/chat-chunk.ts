import type { Usage } from '../protocol/turn.ts';
import type { AnswerSink } from './answer.ts';
import type { CallPart } from './call-gatherer.ts';
import { failureOf, fromServer } from './error-map.ts';

/** Readers for the OpenAI shapes. They take what is there and pass over what is not: servers differ in everything optional. */
export type Json = { [name: string]: unknown };

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const str = (value: unknown): string => (typeof value === 'string' ? value : '');
const num = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

export const usageOf = (value: unknown): Usage | null =>
  isObject(value) && typeof value.prompt_tokens === 'number' && typeof value.completion_tokens === 'number'
    ? { promptTokens: value.prompt_tokens, completionTokens: value.completion_tokens }
    : null;

/** One call or a piece of one. Arguments that a server sends as an object are put back into JSON text. */
export const callPartOf = (value: unknown): CallPart => {
  const call = isObject(value) ? value : {};
  const fn = isObject(call.function) ? call.function : call;
  const args = isObject(fn.arguments) ? JSON.stringify(fn.arguments) : str(fn.arguments);
  const index = num(call.index);
  return { id: str(call.id), name: str(fn.name), args, ...(index === undefined ? {} : { index }) };
};

/** Applies one chunk of a stream, or the whole of an answer that was not streamed: the two differ in one member's name. */
export const applyChunk = (chunk: Json, answer: AnswerSink) => {
  if (chunk.error !== undefined && chunk.error !== null) return answer.fail(fromServer(failureOf(chunk)));
  const usage = usageOf(chunk.usage);
  if (usage) answer.usage(usage);
  const choice = (Array.isArray(chunk.choices) ? chunk.choices : []).find(
    (c): c is Json => isObject(c) && (num(c.index) ?? 0) === 0,
  );
  if (!choice) return;
  answer.accepted(str(chunk.model));
  const delta = isObject(choice.delta) ? choice.delta : isObject(choice.message) ? choice.message : {};
  answer.thinking(str(delta.reasoning_content) || str(delta.reasoning));
  answer.text(str(delta.content));
  const calls = Array.isArray(delta.tool_calls) ? delta.tool_calls : [];
  for (const call of calls) answer.call(callPartOf(call));
  if (typeof choice.finish_reason === 'string' && choice.finish_reason !== '') answer.finish(choice.finish_reason);
};
