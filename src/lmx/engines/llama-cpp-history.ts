import type { ChatMessage, ToolDefinition } from '../engine.ts';

/** Conversations and tools as node-llama-cpp takes them: only the parts that are used here. */
export type HistoryItem =
  | { type: 'system'; text: string }
  | { type: 'user'; text: string }
  | { type: 'model'; response: (string | FunctionCall)[] };

export interface FunctionCall {
  type: 'functionCall';
  name: string;
  params: unknown;
  result: unknown;
}

export interface Functions {
  [name: string]: { description?: string; params?: object };
}

/**
 * The conversation with an empty place at its end for the answer. A tool's result goes to the call that it belongs to; one without a
 * call is told as if the user had said it, so that nothing is lost.
 */
export const historyOf = (messages: readonly ChatMessage[]): HistoryItem[] => {
  const items: HistoryItem[] = [];
  const calls = new Map<string, FunctionCall>();
  const model = (): (string | FunctionCall)[] => {
    const last = items.at(-1);
    if (last?.type === 'model') return last.response;
    const made: HistoryItem = { type: 'model', response: [] };
    items.push(made);
    return made.response;
  };
  for (const message of messages) {
    const text = textOf(message.content);
    if (message.role === 'system' || message.role === 'developer') items.push({ type: 'system', text });
    else if (message.role === 'assistant') {
      if (text !== '') model().push(text);
      for (const { id, function: fn } of message.tool_calls ?? []) {
        const call: FunctionCall = { type: 'functionCall', name: fn.name, params: parsed(fn.arguments), result: '' };
        calls.set(id, call);
        model().push(call);
      }
    } else if (message.role === 'tool') {
      const call = calls.get(message.tool_call_id ?? '');
      if (call) call.result = text;
      else items.push({ type: 'user', text });
    } else items.push({ type: 'user', text });
  }
  if (items.at(-1)?.type !== 'model') items.push({ type: 'model', response: [] });
  return items;
};

export const functionsOf = (tools: readonly ToolDefinition[]): Functions =>
  Object.fromEntries(
    tools.map(({ function: { name, description, parameters } }) => [
      name,
      {
        ...(description === undefined ? {} : { description }),
        ...(parameters === undefined ? {} : { params: parameters }),
      },
    ]),
  );

const textOf = (content: ChatMessage['content']): string =>
  typeof content === 'string' ? content : (content ?? []).map((p) => (p.type === 'text' ? p.text : '')).join('\n');

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text === '' ? '{}' : text);
  } catch {
    return text;
  }
};
