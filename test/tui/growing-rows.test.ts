import { expect, test } from 'vitest';
import { GrowingRows } from '../../src/tui/markdown-rows.ts';
import { HOSTILE } from '../screens/hostile.ts';

const WIDTH = 80;
const inPieces = (text: string): string[] => text.split(/(?<= )/);
const hostile = (parts: readonly string[]): string => parts.map((before) => `${before} ${HOSTILE}`).join('\n\n');

test.each([
  [
    'everything, and code at its end',
    hostile(['# Head', '* item', '> quote', '| a | b |\n|---|---|\n| c | d |', '```js', '', '`code`']),
  ],
  ['code behind a list that goes on', '- a\n\n```js\none two\nthree\n```\n\n- b'],
  ['two blocks of code', '```js\none two three\n```\n\n```js\none two three\n```\nend'],
])('[CT10] rows of a text that grows are those of the text: %s', (_, text) => {
  const growing = new GrowingRows(WIDTH);
  let said = '';
  for (const piece of inPieces(text)) {
    said += piece;
    expect([...growing.read(said)]).toEqual([...new GrowingRows(WIDTH).read(said)]);
  }
});
