import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Compaction, charsOf, fitInto, type Room, tokensOf } from '../../src/actors/domain/context-window.ts';
import { promptFor } from '../../src/actors/domain/prompt.ts';
import { digest, summaryRequest } from '../../src/actors/domain/summary.ts';
import { LIMITS } from '../../src/actors/limits.ts';
import type { Briefing } from '../../src/actors/ports.ts';
import type { Message } from '../../src/protocol/session.ts';
import { Harness } from './harness.ts';

const user = (content: string): Message => ({ role: 'user', content });
const said = (content: string): Message => ({ role: 'assistant', content });
const call = (id: string, result: string): Message[] => [
  {
    role: 'assistant',
    content: '',
    tool_calls: [{ id, type: 'function', function: { name: 'read_file', arguments: '{"path":"a"}' } }],
  },
  { role: 'tool', tool_call_id: id, content: result },
];
const room = (tokensMax: number): Room => ({ tokensMax, tokensPerChar: 0.25, compactAt: 0.7, overheadChars: 200 });

/** Every call has its result and every result its call, in what is sent. */
const isPaired = (messages: readonly Message[]): boolean => {
  const open = new Set<string>();
  for (const m of messages) {
    if (m.role === 'tool') {
      if (!open.delete(m.tool_call_id ?? '')) return false;
    } else if (open.size > 0) return false;
    for (const c of m.tool_calls ?? []) open.add(c.id);
  }
  return open.size === 0;
};

const conversation = fc
  .array(
    fc.oneof(
      fc.string({ maxLength: 400 }).map((text) => [user(text)]),
      fc.string({ maxLength: 400 }).map((text) => [said(text)]),
      fc.nat({ max: 30_000 }).map((n) => call('?', 'r'.repeat(n))),
    ),
    { minLength: 1, maxLength: 40 },
  )
  .map((parts) => [
    user('the task'),
    ...parts.flatMap((part, i) =>
      part.map((m) => ({
        ...m,
        ...(m.tool_calls ? { tool_calls: m.tool_calls.map((c) => ({ ...c, id: `c${i}` })) } : {}),
        ...(m.tool_call_id === undefined ? {} : { tool_call_id: `c${i}` }),
      })),
    ),
  ]);

describe('what is sent of a conversation', () => {
  test('[TB3] it fits, or it is to be summarised once and then fits, or the turn ends; pairs stay pairs, and the task is there', () => {
    fc.assert(
      fc.property(conversation, fc.integer({ min: 300, max: 40_000 }), (all, tokensMax) => {
        const r = room(tokensMax);
        let compaction: Compaction | undefined;
        let found = fitInto(all, compaction, r, true);
        if (found.kind === 'compact') {
          expect(found.upTo).toBeGreaterThan(0);
          expect(all[found.upTo]?.role).not.toBe('tool');
          const most = Math.floor((tokensMax * 0.1) / r.tokensPerChar);
          const summary = digest(found.head, most);
          expect(summary.length).toBeLessThanOrEqual(most);
          compaction = { upTo: found.upTo, summary };
          found = fitInto(all, compaction, r, false);
        }
        expect(found.kind).not.toBe('compact');
        if (found.kind !== 'fits') return;
        expect(tokensOf(found.messages, r)).toBeLessThanOrEqual(tokensMax);
        expect(isPaired(found.messages)).toBe(true);
        const task = all.findLast((m) => m.role === 'user')?.content ?? '';
        expect(found.messages.some((m) => m.content.includes(task.slice(0, 200)))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test('[TB3] what fits is sent as it is; results of older calls are shortened in strides, so that the beginning stays the same', () => {
    const all = [user('task'), ...Array.from({ length: 30 }, (_, i) => call(`c${i}`, `${i} `.repeat(2_000))).flat()];
    expect(fitInto(all.slice(0, 5), undefined, room(100_000), true)).toMatchObject({ messages: all.slice(0, 5) });
    const sizes = [57, 59, 61].map((n) => {
      const found = fitInto(all.slice(0, n), undefined, room(25_000), true);
      return found.kind === 'fits' ? JSON.stringify(found.messages.slice(0, 40)) : found.kind;
    });
    expect(new Set(sizes).size).toBe(1);
    expect(sizes[0]).toContain('left out to save room');
  });

  test('[TB3] a second summary reaches further than the first and takes it in', () => {
    const all = [user('task'), ...Array.from({ length: 40 }, (_, i) => said(`${i} `.repeat(300)))];
    const first = fitInto(all, undefined, room(4_000), true);
    if (first.kind !== 'compact') throw new Error(first.kind);
    const more = [...all, ...Array.from({ length: 20 }, (_, i) => said(`later ${i} `.repeat(200)))];
    const second = fitInto(more, { upTo: first.upTo, summary: 'FIRST' }, room(4_000), true);
    if (second.kind !== 'compact') throw new Error(second.kind);
    expect(second.upTo).toBeGreaterThan(first.upTo);
    expect(second.head[0]?.content).toContain('FIRST');
    expect(charsOf(summaryRequest(second.head, 2_000))).toBeLessThan(3_000);
  });
});

describe('in a turn', () => {
  const long = 'x'.repeat(3_000);
  const narrow = { contextTokensMax: 2_500 };

  test('[TB3] an event says what is sent in place of what; the log keeps all; the turn goes on', () => {
    const h = new Harness(narrow);
    h.create('s');
    h.attach('s');
    for (let i = 0; i < 4; i++) {
      h.submit('s', `say ${i}${long}`);
      h.run(300);
    }
    expect(h.ends('s').map(([, outcome]) => outcome)).toEqual(['done', 'done', 'done', 'done']);
    const compacted = h.log('s').filter((r) => r.event === 'context.compacted');
    expect(compacted.length).toBeGreaterThan(0);
    for (const { payload } of compacted) expect(payload.tokensAfter).toBeLessThan(payload.tokensBefore);
    expect(h.requests.every((r) => charsOf(r.messages) < 12_000)).toBe(true);
    expect(h.log('s').filter((r) => r.event === 'turn.token').length).toBeGreaterThanOrEqual(4);
  });

  test('[TB3] a server that refuses what is too long is sent less, and when less is not enough its word is the end', () => {
    const h = new Harness();
    h.create('s');
    for (let i = 0; i < 6; i++) {
      h.submit('s', `say ${i}${long}`);
      h.run(300);
    }
    // Some forty thousand characters so far, of a window of 32,768 tokens by our guess.
    h.messageCharsMax = 24_000;
    const before = h.requests.length;
    h.submit('s', 'say less');
    h.run(600);
    expect(h.ends('s').at(-1)?.[1]).toBe('done');
    expect(h.log('s').filter((r) => r.event === 'context.compacted').length).toBeGreaterThan(0);
    const sizes = h.requests.slice(before).map((r) => JSON.stringify(r.messages).length);
    expect(sizes[0]).toBeGreaterThan(24_000);
    expect(sizes.at(-1)).toBeLessThan(24_000);
    h.messageCharsMax = 500;
    const again = h.requests.length;
    h.submit('s', `say ${'z'.repeat(2_000)}`);
    h.run(900);
    expect(h.ends('s').at(-1)?.[1]).toBe('error');
    expect(h.log('s').findLast((r) => r.event === 'turn.error')?.payload).toMatchObject({
      code: expect.stringMatching(/^(?:lmx-request-rejected|context-exhausted)$/),
    });
    expect(h.requests.length - again).toBeLessThanOrEqual(2 * (LIMITS.turnRefitsMax + 1));
  });

  test('[TB3] what cannot be made to fit ends the turn, and says so', () => {
    const said: Briefing = {
      brief(_, done) {
        done({ rules: [], notes: [], environment: [], contextTokens: 2_500 });
        return () => undefined;
      },
    };
    const h = new Harness({}, said);
    h.create('s');
    h.submit('s', `say ${'y'.repeat(40_000)}`);
    h.run(300);
    const end = h.log('s').find((r) => r.event === 'turn.error');
    expect(end?.payload).toMatchObject({ code: 'context-exhausted', stopReason: 'context' });
  });

  test('[TB3] a size that no server said is a guess: what cannot be made to fit is sent, and the server decides', () => {
    const h = new Harness(narrow);
    h.create('s');
    h.submit('s', `say ${'y'.repeat(40_000)}`);
    h.run(300);
    expect(h.requests[0]?.messages.some(({ content }) => content.length > 40_000)).toBe(true);
    expect(h.ends('s').map(([, outcome]) => outcome)).toEqual(['done']);
  });

  test('[TB4] the system message is made for the turn and is not in the conversation; a client’s own is left alone', () => {
    const brief = {
      rules: [{ file: 'AGENTS.md', text: 'Tabs only.' }],
      environment: ['Today is a day.'],
      notes: ['N.'],
    };
    const turn = { mode: 'plan', workspace: '/w', brief, undone: ['t9'] } as const;
    const [system, ...rest] = promptFor([user('hi')], turn);
    expect(rest).toEqual([user('hi')]);
    for (const part of ['/w', 'may not change', 'AGENTS.md:\nTabs only.', 'Today is a day.', 'N.', 't9'])
      expect(system?.content).toContain(part);
    const own: Message = { role: 'system', content: 'mine' };
    expect(promptFor([own, user('hi')], turn)).toEqual([own, user('hi')]);
    const h = new Harness();
    h.create('s');
    h.submit('s', 'say hello');
    h.run(100);
    expect(h.requests[0]?.messages[0]?.role).toBe('system');
    const snapshot = h.log('s').find((r) => r.event === 'session.snapshot');
    expect(JSON.stringify([snapshot, ...h.log('s')])).not.toContain('You are Opta');
  });

  test('[TB4] [SV2] a brief that never comes is not waited for longer than its time', () => {
    const h = new Harness({ turnOpenMs: 500 }, { brief: () => () => undefined });
    h.create('s');
    h.submit('s', 'say hello');
    h.run(400);
    expect(h.requests).toEqual([]);
    h.run(300);
    expect(h.ends('s')).toEqual([['say hello', 'done']]);
    expect(h.requests[0]?.messages[0]?.content).toContain('was not ready in time');
    h.submit('s', 'hang');
    h.run(100);
    const cancel = h.cancel('s', { turnId: 't2' });
    h.run(100);
    expect(cancel.answer).toMatchObject({ cancelledActive: true });
  });

  test('[TB2] a turn that repeats itself is told before it is ended', () => {
    const h = new Harness({ turnRepeatsMax: 4 });
    h.create('s');
    h.submit('s', 'again read');
    h.run(2_000);
    const told = h.requests.map((r) => r.messages.some((m) => m.content.startsWith('[Note]')));
    expect(told).toEqual([false, false, true, true]);
  });
});
