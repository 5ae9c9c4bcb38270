import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { atStart, type Place, type Roll, revealed, scrolled, shareOf, topOf } from '../../src/tui/scroll.ts';
import { rowWidth } from '../../src/tui/text.ts';
import { type Shown, Transcript } from '../../src/tui/transcript.ts';
import { hostile, STEERS, Talk, textOf } from './talk.ts';

class Heights implements Roll {
  asked = 0;
  readonly heights: readonly number[];
  constructor(heights: readonly number[]) {
    this.heights = heights;
  }
  get count(): number {
    return this.heights.length;
  }
  id = (index: number): string => `i${index}`;
  height(index: number): number {
    this.asked += 1;
    return this.heights[index] as number;
  }
}

describe('a place in a list', () => {
  const lists = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 30 });

  /** The same by counting all rows. */
  const rowsAbove = (list: Heights, place: Place, height: number): number => {
    const top = topOf(list, place, height);
    return list.heights.slice(0, top.index).reduce((sum, h) => sum + h, 0) + top.row;
  };

  test('moves as by rows counted from the start, and never shows less than it could', () => {
    fc.assert(
      fc.property(
        lists,
        fc.integer({ min: 1, max: 12 }),
        fc.array(fc.integer({ min: -25, max: 25 })),
        (hs, height, moves) => {
          const list = new Heights(hs);
          const total = hs.reduce((sum, h) => sum + h, 0);
          const last = Math.max(0, total - height);
          let place: Place = null;
          let model = last;
          for (const by of moves) {
            place = scrolled(list, place, by, height);
            model = Math.max(0, Math.min(last, model + by));
            expect(rowsAbove(list, place, height)).toBe(model);
            expect(place === null).toBe(model === last);
            const share = shareOf(list, topOf(list, place, height), height);
            expect(share).toBeGreaterThanOrEqual(0);
            expect(share).toBeLessThanOrEqual(1);
          }
          expect(rowsAbove(list, atStart(list, height), height)).toBe(0);
        },
      ),
    );
  });

  test('what is brought into the window is in it, and what was in it does not move', () => {
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 12 }), fc.nat(60), fc.nat(29), (hs, height, up, at) => {
        fc.pre(at < hs.length);
        const list = new Heights(hs);
        const before = scrolled(list, null, -up, height);
        const above = hs.slice(0, at).reduce((sum, h) => sum + h, 0);
        const first = rowsAbove(list, before, height);
        const shown = Math.min(hs[at] as number, height);
        const after = rowsAbove(list, revealed(list, before, at, height), height);
        if (above >= first && above + shown <= first + height) expect(after).toBe(first);
        expect(above).toBeGreaterThanOrEqual(after);
        expect(above + shown).toBeLessThanOrEqual(after + height);
      }),
    );
  });

  test('a key asks for the heights of what is near, in a list of any length', () => {
    const list = new Heights(new Array(100_000).fill(3));
    let place = atStart(list, 40);
    for (let i = 0; i < 10; i++) place = scrolled(list, place, 39, 40);
    place = scrolled(list, null, -1_000, 40);
    shareOf(list, topOf(list, place, 40), 40);
    expect(list.asked).toBeLessThan(2_000);
  });
});

type Deed =
  | { do: 'token' | 'thought' | 'call' | 'say'; text: string }
  | { do: 'return'; text: string }
  | { do: 'end' | 'drop' | 'ask' | 'decide' }
  | { do: 'fold' | 'scroll' | 'focus'; by: number }
  | { do: 'resize'; width: number; height: number };

const deeds: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('token', 'thought', 'call', 'say'), text: hostile }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('return'), text: hostile }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('end', 'drop', 'ask', 'decide') }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('fold', 'scroll', 'focus'), by: fc.integer({ min: -15, max: 8 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('resize'),
      width: fc.integer({ min: 1, max: 60 }),
      height: fc.integer({ min: 1, max: 12 }),
    }),
  },
) as fc.Arbitrary<Deed>;

class Reader {
  readonly talk = new Talk([
    { role: 'user', content: 'from before' },
    { role: 'assistant', content: 'a long answer '.repeat(20) },
  ]);
  readonly open = new Map<string, boolean>();
  readonly transcript = new Transcript((id, byDefault) => this.open.get(id) ?? byDefault);
  width = 40;
  height = 8;
  calls: string[] = [];
  asked = false;

  constructor() {
    this.talk.begin();
  }

  look(): Shown {
    return this.transcript.window(this.talk.now, this.width, this.height);
  }

  /** What stands in the first row, while it is not being written: that may turn out to be something else. */
  get top(): { id: string; row: number } | null {
    const { index, row } = this.transcript.top;
    const id = this.transcript.id(index);
    const active = this.talk.now.active;
    return active && id === `${active.turnId}/${active.items.length}` ? null : { id, row };
  }

  does(deed: Deed, shown: Shown): void {
    const { talk } = this;
    const turnId = talk.now.active?.turnId ?? '';
    switch (deed.do) {
      case 'token':
        return talk.says(deed.text);
      case 'thought':
        return talk.says(deed.text, 'turn.thinking');
      case 'call':
        return void this.calls.push(talk.calls(deed.text, { path: deed.text, content: deed.text }));
      case 'return': {
        const id = this.calls.pop();
        return id === undefined ? undefined : talk.returns(id, deed.text);
      }
      case 'say':
      case 'end':
        talk.ends();
        [this.calls, this.asked] = [[], false];
        talk.begin(deed.do === 'say' ? deed.text : 'next', deed.do === 'say' ? deed.text : 'eve');
        return;
      case 'drop':
        return talk.drops(talk.queue());
      case 'ask': {
        const id = this.calls.at(-1);
        if (id === undefined || this.asked) return;
        this.asked = true;
        const told = {
          toolName: 'x',
          args: '{}',
          risk: 'write',
          summary: 'a summary',
          expiresAt: '2026-01-01T00:01:00.000Z',
        };
        return talk.happens('permission.request', { turnId, requestId: 'r', callId: id, ...told });
      }
      case 'decide': {
        const id = this.calls.at(-1);
        if (id === undefined || !this.asked) return;
        this.asked = false;
        const told = { toolName: 'x', decision: 'allow', reason: 'user', decidedBy: 'person:eve' };
        return talk.happens('permission.resolved', { turnId, requestId: 'r', callId: id, ...told });
      }
      case 'fold': {
        const fold = shown.folds.findLast((f) => f !== null);
        if (fold) this.open.set(fold.id, !(this.open.get(fold.id) ?? fold.byDefault));
        return;
      }
      case 'scroll':
        return this.transcript.scroll(deed.by);
      case 'focus':
        return void this.transcript.moveFocus(deed.by < 0 ? -1 : 1);
      case 'resize':
        [this.width, this.height] = [deed.width, deed.height];
    }
  }
}

describe('what is being read', () => {
  test('[CT10] stays where it is whatever comes, folds or is decided; nothing is wider or longer than the window or steers it', () => {
    fc.assert(
      fc.property(fc.array(deeds, { minLength: 5, maxLength: 40 }), (all) => {
        const reader = new Reader();
        let shown = reader.look();
        for (const deed of all) {
          const before = reader.top;
          const first = shown.rows[0];
          // At the end there may be less below than the window has room for.
          const reading = !reader.transcript.following && shown.below;
          reader.does(deed, shown);
          shown = reader.look();
          expect(shown.rows.length).toBeLessThanOrEqual(reader.height);
          expect(shown.folds).toHaveLength(shown.rows.length);
          for (const row of shown.rows) {
            expect(rowWidth(row)).toBeLessThanOrEqual(reader.width);
            expect(textOf(row)).not.toMatch(STEERS);
          }
          if (shown.above) expect(shown.rows).toHaveLength(reader.height);
          const moves = deed.do === 'scroll' || deed.do === 'focus' || deed.do === 'resize';
          if (!reading || moves || before === null || !shown.below) continue;
          if (deed.do === 'fold' && shown.folds[0] !== null) continue;
          // What has an end, a result or a decision now may be shorter than it was.
          const grows = deed.do === 'fold' || deed.do === 'drop' || deed.do === 'token' || deed.do === 'thought';
          if (grows) expect([reader.top, shown.rows[0]]).toEqual([before, first]);
          else expect(reader.top?.id).toBe(before.id);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('[CT10] text that streams in below moves nothing, also in the item that is read', () => {
    const talk = new Talk();
    talk.begin();
    talk.says(Array.from({ length: 60 }, (_, i) => `word${i} `).join(''));
    const transcript = new Transcript();
    transcript.window(talk.now, 30, 10);
    transcript.scroll(-5);
    const before = transcript.window(talk.now, 30, 10).rows;
    for (let i = 0; i < 50; i++) talk.says(`more${i} `);
    expect(transcript.window(talk.now, 30, 10).rows).toEqual(before);
    talk.ends();
    expect(transcript.window(talk.now, 30, 10).rows).toEqual(before);
    transcript.toEnd();
    expect(textOf(transcript.window(talk.now, 30, 10).rows.at(-2) ?? [])).toContain('10 tokens');
  });

  test('[CT11] a screen that changes its size keeps the words in the first row, and comes back to where it was', () => {
    const words = Array.from({ length: 400 }, (_, i) => `word${i}`);
    const talk = new Talk();
    talk.begin();
    talk.says(words.join(' '));
    talk.ends();
    talk.begin();
    talk.says('below\n\n'.repeat(100));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 70 }),
        fc.array(fc.integer({ min: 12, max: 120 }), { minLength: 1 }),
        (down, widths) => {
          const transcript = new Transcript();
          transcript.window(talk.now, 40, 10);
          transcript.toStart();
          transcript.scroll(2 + down);
          const start = transcript.window(talk.now, 40, 10).rows;
          const word = textOf(start[0] ?? [])
            .trim()
            .split(' ')[0] as string;
          fc.pre(word.startsWith('word'));
          for (const width of widths) {
            const { rows } = transcript.window(talk.now, width, 10);
            expect(
              textOf(rows[0] ?? [])
                .trim()
                .split(' '),
            ).toContain(word);
          }
          expect(transcript.window(talk.now, 40, 10).rows).toEqual(start);
        },
      ),
    );
  });
});

test('[CT10] a frame and a key draw what is shown, in a conversation of any length', () => {
  const messages = Array.from({ length: 40_000 }, (_, i) => ({
    role: i % 2 ? ('assistant' as const) : ('user' as const),
    content: `message ${i}`,
  }));
  const talk = new Talk(messages);
  talk.begin();
  talk.says('some words');
  const transcript = new Transcript();
  let drawn = 0;
  const height = transcript.height.bind(transcript);
  transcript.height = (index) => {
    drawn += 1;
    return height(index);
  };
  transcript.window(talk.now, 80, 40);
  drawn = 0;
  transcript.window(talk.now, 80, 40);
  transcript.scroll(-39);
  transcript.window(talk.now, 80, 40);
  transcript.toStart();
  const { rows, share, above } = transcript.window(talk.now, 80, 40);
  expect(textOf(rows[1] ?? [])).toContain('message 0');
  expect([share, above]).toEqual([0, false]);
  expect(drawn).toBeLessThan(2_000);
});
