import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Composer } from '../../src/tui/composer.ts';
import { textWidth } from '../../src/tui/text.ts';
import { hostile } from './talk.ts';

const composed = (text: string): Composer => {
  const composer = new Composer();
  composer.insert(text);
  return composer;
};
const rowsOf = (composer: Composer, width = 20, max?: number): string[] => composer.layout(width, max).rows;

const DEEDS = [
  'left',
  'right',
  'home',
  'end',
  'wordLeft',
  'wordRight',
  'backspace',
  'delete',
  'cut',
  'cutEnd',
  'cutWord',
  'cutWordRight',
  'yank',
  'up',
  'down',
  'enter',
  'take',
] as const;

describe('the prompt', () => {
  test('[CT10] the rows near the cursor are those of the whole text, whatever was done to it', () => {
    const deed = fc.oneof(
      { weight: 2, arbitrary: hostile },
      { weight: 3, arbitrary: fc.constantFrom(...DEEDS) },
      { weight: 1, arbitrary: fc.constant('big') },
    );
    fc.assert(
      fc.property(
        fc.array(deed, { maxLength: 30 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 4 }),
        (all, width, max) => {
          const composer = new Composer();
          for (const one of all) {
            if ((DEEDS as readonly string[]).includes(one)) composer[one as 'left']();
            else if (one === 'big') composer.paste('x\n'.repeat(20));
            else composer.insert(one);
            const near = composer.layout(width, max);
            expect(near.rows.length).toBeLessThanOrEqual(max);
            expect(near.y).toBeLessThan(near.rows.length);
            expect(near.x).toBeLessThanOrEqual(width);
            for (const row of near.rows) expect(textWidth(row)).toBeLessThanOrEqual(width);
            const whole = composer.layout(width);
            const from = whole.y - near.y;
            expect(near.rows).toEqual(whole.rows.slice(from, from + near.rows.length));
            expect([near.above, near.below]).toEqual([from > 0, from + near.rows.length < whole.rows.length]);
            // What was kept from before a change is what would be made now.
            const anew = new Composer();
            if (composer.text === '' || all.includes('big')) continue;
            anew.insert(composer.text);
            expect(whole.rows).toEqual(anew.layout(width).rows);
          }
        },
      ),
    );
  });

  test('[CT10] rows are broken at words, and a space hangs over', () => {
    expect(rowsOf(composed('the quick brown fox'), 10)).toEqual(['the quick ', 'brown fox']);
    expect(rowsOf(composed('aaaa bbb'), 4)).toEqual(['aaaa', 'bbb']);
    expect(composed('aaaa ').layout(4)).toMatchObject({ rows: ['aaaa'], x: 4, y: 0 });
    expect(rowsOf(composed('你好你好'), 5)).toEqual(['你好', '你好']);
  });

  test('[CT10] Up and Down go by rows, keep their column, and then go through what was sent; a draft is kept', () => {
    const composer = composed('sent before');
    composer.take();
    composer.remember(['said first', 'said second']);
    composer.insert('abcd efgh\nij\nklmnop');
    composer.layout(6);
    composer.up();
    composer.up();
    composer.insert('|');
    expect(composer.text).toBe('abcd efgh|\nij\nklmnop');
    composer.up();
    expect(composer.text).toContain('|');
    composer.up();
    expect(composer.text).toBe('sent before');
    composer.layout(40);
    composer.up();
    composer.up();
    composer.up();
    expect(composer.text).toBe('said first');
    for (let i = 0; i < 4; i++) composer.down();
    expect(composer.text).toBe('abcd efgh|\nij\nklmnop');
  });

  test('[CT10] words and lines can be cut, and come back', () => {
    const composer = composed('one two-three  four');
    composer.wordLeft();
    composer.wordLeft();
    composer.insert('|');
    expect(composer.text).toBe('one two-|three  four');
    composer.cutWordRight();
    expect(composer.text).toBe('one two-|  four');
    composer.home();
    composer.yank();
    composer.wordRight();
    composer.cutEnd();
    expect(composer.text).toBe('threeone');
    composer.cutWord();
    expect(composer.empty).toBe(true);
    composer.yank();
    expect(composer.text).toBe('threeone');
  });

  test('[CT10] a backslash before Enter makes a line', () => {
    const composer = composed('one\\');
    expect(composer.enter()).toBe(false);
    composer.insert('two');
    expect(composer.enter()).toBe(true);
    expect(composer.take()).toBe('one\ntwo');
  });

  test('[CT10] a long paste is one sign that says how long it is, and is sent as it was', () => {
    const pasted = `${'a line\n'.repeat(119)}the last`;
    const composer = composed('look: ');
    composer.paste(pasted);
    composer.insert('!');
    expect(rowsOf(composer, 40)).toEqual(['look: [pasted 120 lines]!']);
    expect(rowsOf(composer, 10)).toEqual(['look: ', '[pasted 1…', '!']);
    composer.left();
    composer.backspace();
    expect(composer.text).toBe('look: !');
    composer.paste(pasted);
    composer.paste('short\npaste');
    composer.paste('x'.repeat(3_000));
    expect(composer.layout(80).rows[0]).toBe('look: [pasted 120 lines]short');
    expect(composer.layout(80).rows[1]).toBe('paste[pasted 3000 characters]!');
    const sent = `look: ${pasted}short\npaste${'x'.repeat(3_000)}!`;
    expect(composer.take()).toBe(sent);
    composer.up();
    expect(composer.text).toBe(sent);
  });

  test('[CT10] no sign of a text can pass for a paste, and no text is longer than it may be', () => {
    const composer = composed('');
    composer.paste('secret\n'.repeat(20));
    composer.insert('\u{f0000}');
    expect(composer.text).toBe(`${'secret\n'.repeat(20)}\ufffd`);
    for (let i = 0; i < 4; i++) composer.paste('y'.repeat(400_000));
    composer.insert('z'.repeat(400_000));
    expect(composer.text.length).toBe(1 << 20);
  });

  test('[CT10] a key in a long text breaks what is near it, and no more', () => {
    const composer = composed('ก็ ก็ '.repeat(30_000));
    composer.layout(40, 6);
    let widths = 0;
    const { segment } = Intl.Segmenter.prototype;
    Intl.Segmenter.prototype.segment = function (text: string) {
      widths += text.length;
      return segment.call(this, text);
    };
    try {
      for (let i = 0; i < 10; i++) {
        composer.insert('世');
        composer.layout(40, 6);
        composer.left();
        composer.layout(40, 6);
      }
    } finally {
      Intl.Segmenter.prototype.segment = segment;
    }
    expect(widths).toBeLessThan(100_000);
  });
});
