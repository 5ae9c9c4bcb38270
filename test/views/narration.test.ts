import { describe, expect, test } from 'vitest';
import { SessionView } from '../../src/client/session-view.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { Narrator } from '../../src/views/narration.ts';

const BEGAN = 1_700_000_000_000;

/** Feeds a view, and collects what is said. */
const listening = (me = 'bob') => {
  const view = new SessionView('s');
  const narrator = new Narrator(BEGAN, me);
  const said: string[] = [];
  let seq = 0;
  view.subscribe((now, record) => said.push(...narrator.hear(now, record)));
  const tell = (event: string, payload: object, ts = BEGAN + 1_000): void =>
    view.apply({ seq: ++seq, ts: new Date(ts).toISOString(), event, payload } as unknown as LogRecord);
  tell('session.snapshot', { snapshot: { model: '', createdAt: '', updatedAt: '' }, messages: [] }, BEGAN - 5_000);
  return {
    said,
    tell,
    begin: (ts?: number) => {
      const who = { turnId: 't', writerId: 'ada', clientId: 'c', mode: 'chat' };
      tell('turn.queued', { ...who, queueSize: 1, position: 1, content: 'x', onBusy: 'enqueue' }, ts);
      tell('turn.start', who, ts);
      tell('turn.progress', { turnId: 't', phase: 'model.request', message: null, step: 1 }, ts);
    },
    token: (text: string, ts?: number) => tell('turn.token', { turnId: 't', text, step: 1 }, ts),
    done: () => tell('turn.done', { turnId: 't', writerId: 'ada', clientId: 'c', stats: {} }),
  };
};

describe('what is said aloud', () => {
  test('that somebody else waits, only while a turn runs', () => {
    const { said, begin, tell } = listening();
    begin();
    const next = { clientId: 'c', queueSize: 1, position: 1, content: 'x', mode: 'chat', onBusy: 'enqueue' };
    tell('turn.queued', { ...next, turnId: 't2', writerId: 'eve' });
    tell('turn.queued', { ...next, turnId: 't3', writerId: 'bob' });
    expect(said).toEqual(['The turn of ada runs.', 'eve has queued a message.']);
  });

  test('paragraphs when they are finished, never tokens, and the rest at the end', () => {
    const { said, begin, token, done } = listening();
    begin();
    for (const part of ['The fir', 'st one.', '\n', '\nThe sec', 'ond **one**']) token(part);
    expect(said).toEqual(['The turn of ada runs.', 'The first one.']);
    token('.\n\n- a list\n- of two');
    expect(said.at(-1)).toBe('The second one.');
    done();
    expect(said.slice(-2)).toEqual(['a list of two', 'The turn is done.']);
  });

  test('code is said as what it is when it is whole, also with empty lines in it', () => {
    const { said, begin, token, done } = listening();
    begin();
    token('Look:\n\n```ts\nconst a = 1;\n\nconst b = 2;\n');
    expect(said.slice(1)).toEqual(['Look:']);
    token('```\n\nThat is all.');
    expect(said.slice(1)).toEqual(['Look:', 'Code, 3 lines.']);
    done();
    expect(said.slice(3)).toEqual(['That is all.', 'The turn is done.']);
  });

  test('history is not said, and what was said of a text before is not said again', () => {
    const { said, begin, token } = listening();
    begin(BEGAN - 4_000);
    token('An old paragraph.\n\nA half', BEGAN - 3_000);
    expect(said).toEqual([]);
    token(' new one.\n\n');
    expect(said).toEqual(['new one.']);
  });

  test("one's own turn is one's own, and a question is read", () => {
    const { said, begin, tell } = listening('ada');
    begin();
    expect(said).toEqual(['Your turn runs.']);
    const asked = { turnId: 't', requestId: 'r', callId: 'k', expiresAt: '', summary: 'Ask' };
    tell('permission.request', { ...asked, toolName: 'ask_user', question: { text: 'Which\u001b[2J one?' } });
    expect(said.at(-1)).toBe('A question waits: Which\uFFFD[2J one?');
    tell('permission.resolved', {
      turnId: 't',
      requestId: 'r',
      callId: 'k',
      toolName: 'ask_user',
      decision: 'allow',
      reason: 'person',
      decidedBy: 'person:eve',
      answer: 'this one',
    });
    expect(said.at(-1)).toBe('ask_user answered by eve.');
  });
});
