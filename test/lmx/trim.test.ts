import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ChatMessage } from '../../src/lmx/engine.ts';
import { trimTo } from '../../src/lmx/trim.ts';

const size = (messages: readonly ChatMessage[]): number =>
  messages.reduce((n, m) => n + String(m.content ?? '').length + 1, 0);

/** Histories as agents write them: a system message, then turns, some of them with tools. */
const history = fc
  .array(fc.record({ text: fc.string({ maxLength: 30 }), tools: fc.integer({ min: 0, max: 3 }) }), {
    minLength: 1,
    maxLength: 12,
  })
  .map((turns) => {
    const messages: ChatMessage[] = [{ role: 'system', content: 'be brief' }];
    for (const [i, { text, tools }] of turns.entries()) {
      messages.push({ role: 'user', content: text });
      if (i % 4 === 3) messages.push({ role: 'system', content: 'and be kind' });
      if (tools === 0) messages.push({ role: 'assistant', content: text });
      else {
        const ids = Array.from({ length: tools }, (_, k) => `c${i}.${k}`);
        messages.push({
          role: 'assistant',
          content: null,
          tool_calls: ids.map((id) => ({ id, type: 'function', function: { name: 'f', arguments: '{}' } })),
        });
        for (const id of ids) messages.push({ role: 'tool', content: text, tool_call_id: id });
      }
    }
    return messages;
  });

test('[LG9] a history that is cut keeps its beginning and its end, fits, and has no result without its call', () => {
  fc.assert(
    fc.property(history, fc.integer({ min: 0, max: 400 }), (messages, budget) => {
      const cut = trimTo(messages, budget, size);
      if (cut === null) {
        expect(size(messages)).toBeGreaterThan(budget);
        return;
      }
      expect(size(cut.messages)).toBeLessThanOrEqual(budget);
      expect(cut.left).toBe(messages.length - cut.messages.length);
      expect(cut.messages[0]).toBe(messages[0]);
      const system = (of: readonly ChatMessage[]) => of.filter((m) => m.role === 'system');
      expect(system(cut.messages)).toEqual(system(messages));
      expect(cut.messages.at(-1)).toBe(messages.at(-1));
      const called = new Set<string>();
      for (const m of cut.messages) {
        for (const call of m.tool_calls ?? []) called.add(call.id);
        if (m.role === 'tool') expect(called.has(m.tool_call_id ?? '')).toBe(true);
      }
      // And no more than has to go.
      if (cut.left > 0) expect(size(messages)).toBeGreaterThan(budget);
    }),
  );
});

test('[LG9] what fits is not cut', () => {
  const messages: ChatMessage[] = [{ role: 'user', content: 'hi' }];
  expect(trimTo(messages, 3, size)).toEqual({ messages, left: 0 });
  expect(trimTo(messages, 2, size)).toBe(null);
});
