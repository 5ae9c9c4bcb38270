import type { CallDelta, FinishReason, TokenUsage } from '../engine.ts';
import { asToolCalls, type WholeCall } from './gathered.ts';

/** The shapes of OpenAI's answers. What has no value is `null`, not absent: clients of old count on it. */
export interface AnswerFacts {
  id: string;
  model: string;
  /** Seconds since 1970. */
  created: number;
}

/** Null where the engine did not count: a figure that nobody has is not made up. */
export const usageOf = (usage: TokenUsage | null, trimmed = 0) =>
  usage && {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    ...(trimmed > 0 ? { trimmed_messages: trimmed } : {}),
  };

interface Delta {
  role?: string;
  content?: string;
  reasoning_content?: string;
  tool_calls?: unknown[];
}

const chunk = (facts: AnswerFacts, delta: Delta, finish: string | null) => ({
  id: facts.id,
  object: 'chat.completion.chunk',
  created: facts.created,
  model: facts.model,
  choices: [
    {
      index: 0,
      delta: { role: null, content: null, tool_calls: null, ...delta },
      finish_reason: finish,
    },
  ],
  usage: null,
});

export const roleChunk = (f: AnswerFacts) => chunk(f, { role: 'assistant', content: '' }, null);
export const textChunk = (f: AnswerFacts, content: string) => chunk(f, { content }, null);
export const reasoningChunk = (f: AnswerFacts, text: string) => chunk(f, { reasoning_content: text }, null);
/** Each piece as it came; `id`, `type` and `name` are in the first of a call alone. */
export const callChunk = (f: AnswerFacts, { index, id, name, arguments: args }: CallDelta) =>
  chunk(
    f,
    {
      tool_calls: [
        {
          index,
          ...(id === undefined ? {} : { id, type: 'function' }),
          function: { ...(name === undefined ? {} : { name }), arguments: args },
        },
      ],
    },
    null,
  );
export const finishChunk = (f: AnswerFacts, reason: FinishReason | 'cancelled') => chunk(f, {}, reason);
export const usageChunk = (f: AnswerFacts, usage: TokenUsage | null, trimmed: number) => ({
  ...chunk(f, {}, null),
  choices: [],
  usage: usageOf(usage, trimmed),
});

export const wholeAnswer = (
  facts: AnswerFacts,
  said: { text: string; reasoning: string; calls: readonly WholeCall[] },
  end: { finishReason: FinishReason | 'cancelled'; usage: TokenUsage | null; trimmed: number },
) => ({
  id: facts.id,
  object: 'chat.completion',
  created: facts.created,
  model: facts.model,
  choices: [
    {
      index: 0,
      message: {
        role: 'assistant',
        content: said.text === '' && said.calls.length > 0 ? null : said.text,
        ...(said.reasoning === '' ? {} : { reasoning_content: said.reasoning }),
        tool_calls: said.calls.length === 0 ? null : asToolCalls(said.calls),
      },
      finish_reason: end.finishReason,
    },
  ],
  usage: usageOf(end.usage, end.trimmed),
});
