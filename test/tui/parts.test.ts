import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SessionView } from '../../src/client/session-view.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { cardRows } from '../../src/tui/card.ts';
import { Completion } from '../../src/tui/completion.ts';
import { Composer } from '../../src/tui/composer.ts';
import { frameOf } from '../../src/tui/frame.ts';
import { type Key, listenKeys } from '../../src/tui/keys.ts';
import { Panel } from '../../src/tui/panel.ts';
import { Picker } from '../../src/tui/picker.ts';
import { cellWidth, clean, cropped, graphemes, type Row, rowWidth, textWidth, wrap } from '../../src/tui/text.ts';
import { Transcript } from '../../src/tui/transcript.ts';
import { deskStore } from '../../src/views/session-desk.ts';

const signs = fc.string({
  unit: fc.constantFrom(
    'a',
    ' ',
    '\n',
    '\t',
    'é',
    'e\u0301',
    '你',
    '😀',
    '👩‍🚀',
    '🇩🇪',
    '✅',
    '⚠️',
    '\u001b',
    '\u202e',
    '\u200d',
    '👍🏽',
    '1️⃣',
    'ｱ',
    'ก็',
  ),
  maxLength: 40,
});

describe('text', () => {
  test.each([
    ['👩‍🚀', '👩', 2],
    ['👍🏽', '👍', 2],
    ['🇩🇪', 'DE', 2],
    ['⚠️', '⚠', 1],
    ['1️⃣', '1', 1],
    ['✅', '✅', 2],
    ['你好', '你好', 4],
    ['e\u0301', 'é', 1],
    ['ｱ', 'ｱ', 1],
    ['a\u001b[2Jb\u0007', 'a�[2Jb�', 7],
    ['\u202eevil', '�evil', 5],
  ])('[CT10] %j is drawn as %j', (text, drawn, width) => {
    expect(clean(text)).toBe(drawn);
    expect(textWidth(drawn)).toBe(width);
  });

  test('[CT10] wrapping loses nothing but spaces, and no row is too wide', () => {
    fc.assert(
      fc.property(signs, fc.integer({ min: 2, max: 12 }), (raw, width) => {
        const text = clean(raw);
        const rows = wrap(text, width);
        for (const row of rows) expect(textWidth(row)).toBeLessThanOrEqual(width);
        expect(rows.join('').replace(/\s/g, '')).toBe(text.replace(/\s/g, ''));
        // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be left
        expect(rows.join('')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
        expect(textWidth(cropped(rows[0] ?? '', width - 1))).toBeLessThanOrEqual(width - 1);
      }),
    );
  });

  test('[CT10] words stay whole where they can', () => {
    expect(wrap('the quick brown fox', 10)).toEqual(['the quick', 'brown fox']);
    expect(wrap('abcdefghijkl', 5)).toEqual(['abcde', 'fghij', 'kl']);
    expect(wrap('a\n\nb', 5)).toEqual(['a', '', 'b']);
    expect(wrap('aaa  👍你', 3)).toEqual(['aaa', '', '👍', '你']);
  });
});

describe('the composer', () => {
  test('[CT10] it is a text with a cursor, whatever is done to it', () => {
    const deeds = ['left', 'right', 'home', 'end', 'backspace', 'delete', 'up', 'down', 'cut', 'cutWord'] as const;
    fc.assert(
      fc.property(
        fc.array(fc.oneof(signs, fc.constantFrom(...deeds))),
        fc.integer({ min: 3, max: 20 }),
        (all, width) => {
          const composer = new Composer();
          for (const deed of all) {
            if ((deeds as readonly string[]).includes(deed)) composer[deed as 'left']();
            else composer.insert(deed);
            const { rows, x, y } = composer.layout(width);
            expect(y).toBeLessThan(rows.length);
            expect(x).toBeLessThan(Math.max(width, 1) + 1);
            for (const row of rows) expect(textWidth(row)).toBeLessThanOrEqual(width);
          }
        },
      ),
    );
  });

  test('[CT10] what is sent is what was written, signs that are drawn otherwise included', () => {
    const composer = new Composer();
    composer.insert('a👩‍🚀\r\nb');
    composer.left();
    composer.backspace();
    expect(composer.take()).toBe('a👩‍🚀b');
    composer.insert('draft');
    composer.up();
    expect(composer.text).toBe('a👩‍🚀b');
    composer.down();
    expect(composer.text).toBe('draft');
  });
});

test('[CT10] keys and pastes are told apart', async () => {
  const input = new PassThrough();
  const keys: Key[] = [];
  const pasted: string[] = [];
  const undo = listenKeys(input as unknown as NodeJS.ReadStream, {
    key: (k) => keys.push(k),
    paste: (t) => pasted.push(t),
  });
  input.write('a\r\u001b\r\u001b[200~x\ry\u001b[201~\u001f\u0003é');
  input.write('\u001b');
  await new Promise((resolve) => setTimeout(resolve, 200));
  undo();
  expect(
    keys.map(({ name, ctrl, meta, text }) => `${ctrl ? 'C-' : ''}${meta ? 'M-' : ''}${name}${text && `=${text}`}`),
  ).toEqual(['a=a', 'return', 'M-return', 'C-/', 'C-c', '=é', 'M-escape']);
  expect(pasted).toEqual(['x\ny']);
});

const record = (seq: number, event: string, payload: object): LogRecord =>
  ({ seq, ts: '2026-01-01T00:00:00.000Z', event, payload: { turnId: 't1', ...payload } }) as unknown as LogRecord;
const who = { writerId: 'ada', clientId: 'c' };
const textOf = (row: Row): string => row.map(([text]) => text).join('');

const begun = (): SessionView => {
  const view = new SessionView('s1');
  const snapshot = {
    sessionId: 's1',
    model: 'm',
    createdAt: '',
    updatedAt: '',
    queuedTurns: 0,
    toolCallCount: 0,
    writerCount: 0,
  };
  view.apply(record(1, 'session.snapshot', { snapshot, messages: [] }));
  view.apply(
    record(2, 'turn.queued', { ...who, queueSize: 0, position: 1, content: 'hello', mode: 'chat', onBusy: 'enqueue' }),
  );
  view.apply(record(3, 'turn.start', { ...who, mode: 'chat' }));
  return view;
};

describe('the conversation', () => {
  test('[CT10] text that grows is drawn as it would be drawn at once', () => {
    fc.assert(
      fc.property(fc.array(signs, { minLength: 1, maxLength: 12 }), fc.integer({ min: 4, max: 30 }), (parts, width) => {
        const view = begun();
        const growing = new Transcript();
        let seq = 3;
        for (const text of parts) {
          seq += 1;
          view.apply(record(seq, 'turn.token', { text, step: 1 }));
          const rows = growing.window(view.current, width, 1_000).rows;
          expect(rows.map(textOf)).toEqual(new Transcript().window(view.current, width, 1_000).rows.map(textOf));
        }
      }),
    );
  });

  const CARD = {
    requestId: 'r',
    callId: 'c',
    toolName: 'write_file',
    summary: 'Write 你.txt',
    preview: '+ a\n- b\n'.repeat(20),
    writerId: 'eve',
    expiresAtMs: 61_000,
    question: null,
  };
  const QUESTION = {
    ...CARD,
    toolName: 'ask_user',
    question: { text: 'which 你 one?\nsay', options: ['a 😀', 'b', ''] },
  };
  const NO_FILES = { commands: () => [{ name: 'help', about: 'the 你 commands' }], files: async () => [] };
  const keyed = (name: string): Key => ({ name, ctrl: false, meta: false, shift: false, text: '' });

  test('[CT10] every frame fits its screen, whatever is on it', () => {
    const view = begun();
    view.apply(record(4, 'turn.token', { text: 'one two 你好 😀 '.repeat(30), step: 1 }));
    const base = deskStore(view.current).getSnapshot().context;
    const lines = ['a 你 line', 'x'.repeat(100)];
    const list = (): Picker => {
      const items = lines.map((label, i) => ({ id: `${i}`, label, detail: '2026 你' }));
      const picker = new Picker({
        title: 'l 你',
        hint: 'h',
        search: 'typed',
        load: async () => items,
        choose: () => undefined,
        changed: () => undefined,
      });
      picker.key({ ...keyed('x'), text: 'x' });
      return picker;
    };
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 130 }),
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom('card', 'question', 'panel', 'list', 'completion', 'none'),
        fc.integer({ min: 0, max: 50 }),
        fc.boolean(),
        (width, height, over, up, sidebar) => {
          const composer = new Composer();
          composer.insert(over === 'completion' ? '/h' : 'some text\nin lines 你');
          const completion = new Completion(NO_FILES, () => undefined);
          completion.look(composer);
          const card = over === 'card' ? CARD : over === 'question' ? QUESTION : null;
          const scene = {
            desk: { ...base, card, cards: card ? [card, card] : [] },
            mode: 'plan',
            loud: true,
            composer,
            completion,
            overlay: over === 'panel' ? new Panel('p 你', lines) : over === 'list' ? list() : null,
            cardTop: 3,
            sidebar,
            note: '',
            lost: up > 25 ? 'gone since 你' : '',
            helpKey: 'F1',
            nowMs: 1_000,
          };
          const transcript = new Transcript();
          frameOf(scene, transcript, width, height);
          transcript.scroll(-up);
          const { rows, cursor } = frameOf(scene, transcript, width, height);
          expect(rows.length).toBeLessThanOrEqual(height);
          if (width >= 4) for (const row of rows) expect(rowWidth(row)).toBeLessThanOrEqual(width);
          if (cursor && height >= 3) expect(cursor.y).toBeLessThan(height);
        },
      ),
    );
  });

  test('[CT3] a card shows what it can of what is allowed, and says how much more there is', () => {
    const preview = Array.from({ length: 50 }, (_, i) => `+line ${i}`).join('\n');
    const scene = { card: { ...CARD, summary: 'Write a.txt', preview }, top: 0, more: 2, nowMs: 1_000 };
    const texts = cardRows(scene, 60, 10).rows.map(textOf);
    expect(texts).toHaveLength(10);
    expect(texts[0]).toContain('eve: allow this? (2 more)');
    expect(texts[1]).toContain('write_file Write a.txt');
    expect(texts.at(-2)).toContain('44 more lines below');
    expect(texts.at(-1)).toContain('60 s');
    const last = cardRows({ ...scene, top: 999 }, 60, 10);
    expect(textOf(last.rows.at(-3) ?? [])).toContain('+ line 49');
    expect(last.top).toBe(44);
  });

  test('[CT3] a card names its keys and the time left at every width', () => {
    for (const width of [20, 30, 51, 52, 80, 120]) {
      for (const card of [CARD, QUESTION]) {
        const foot = textOf(cardRows({ card, top: 0, more: 0, nowMs: 1_000 }, width, 8).rows.at(-1) ?? []);
        expect(foot).toContain('60 s');
      }
      expect(textOf(cardRows({ card: CARD, top: 0, more: 0, nowMs: 1_000 }, width, 8).rows.at(-1) ?? [])).toMatch(
        /y.*n.*a/,
      );
    }
  });
});

test('[CT10] a sign is as wide as its points', () => {
  for (const sign of graphemes('a你😀é')) expect(cellWidth(sign)).toBe(sign === '你' || sign === '😀' ? 2 : 1);
});
