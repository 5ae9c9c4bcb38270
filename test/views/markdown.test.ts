import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Block, GrowingMarkdown, type Inline, markdown, safeHref } from '../../src/views/markdown.ts';

const words = (of: readonly Inline[]): string =>
  of.map((part) => ('text' in part ? part.text : 'of' in part ? words(part.of) : '\n')).join('');

const allText = (blocks: readonly Block[]): string => blocks.map(textOf).join('\n');

const textOf = (block: Block): string => {
  switch (block.kind) {
    case 'paragraph':
    case 'heading':
      return words(block.of);
    case 'code':
      return block.text;
    case 'quote':
      return allText(block.of);
    case 'list':
      return block.items.map((item) => allText(item.of)).join('\n');
    case 'table':
      return [block.head, ...block.rows].map((row) => row.map(words).join(' ')).join('\n');
    case 'rule':
      return '';
  }
};

const KINDS = new Set(['paragraph', 'heading', 'code', 'quote', 'list', 'table', 'rule']);

/** Pieces of which markdown is made, so that the generator meets its corners. */
const piece = fc.oneof(
  fc.constantFrom(
    '# a\n',
    '- x\n',
    '  - y\n',
    '1. z\n',
    '> q\n',
    '```ts\nlet a\n```\n',
    '```\nopen',
    '| a | b |\n|---|:-:|\n| 1 | 2 |\n',
  ),
  fc.constantFrom(
    '**b**',
    '*e*',
    '`c`',
    '[l](http://x.y)',
    '![i](http://x.y/z.png)',
    '<b>h</b>',
    '&lt;',
    '---\n',
    '\n\n',
    '\n',
    '  \n',
    '\\',
  ),
  fc.constantFrom(
    '[a]: http://x.y\n',
    '~~d~~',
    'a\n===\n',
    '    code\n',
    '\t',
    '\r\n',
    '- [x] t\n',
    '\u0000',
    '\u001b[31m',
    '<script>',
  ),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
);
const text = fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join(''));

describe('markdown', () => {
  test('reads what models write', () => {
    const blocks = markdown(
      '# Head *line*\n\nOne **two** `three` [four](https://x.y/z)\n\n- a\n- [x] b\n  1. c\n\n> said\n\n```TS title\nlet a = 1;\n```\n\n---\n\n| A | B |\n|---|--:|\n| 1 | `2` |\n',
    );
    expect(blocks).toEqual([
      {
        kind: 'heading',
        level: 1,
        of: [
          { kind: 'text', text: 'Head ' },
          { kind: 'em', of: [{ kind: 'text', text: 'line' }] },
        ],
      },
      {
        kind: 'paragraph',
        of: [
          { kind: 'text', text: 'One ' },
          { kind: 'strong', of: [{ kind: 'text', text: 'two' }] },
          { kind: 'text', text: ' ' },
          { kind: 'code', text: 'three' },
          { kind: 'text', text: ' ' },
          { kind: 'link', href: 'https://x.y/z', of: [{ kind: 'text', text: 'four' }] },
        ],
      },
      {
        kind: 'list',
        ordered: false,
        start: 1,
        items: [
          { checked: null, of: [{ kind: 'paragraph', of: [{ kind: 'text', text: 'a' }] }] },
          {
            checked: true,
            of: [
              { kind: 'paragraph', of: [{ kind: 'text', text: 'b' }] },
              {
                kind: 'list',
                ordered: true,
                start: 1,
                items: [{ checked: null, of: [{ kind: 'paragraph', of: [{ kind: 'text', text: 'c' }] }] }],
              },
            ],
          },
        ],
      },
      { kind: 'quote', of: [{ kind: 'paragraph', of: [{ kind: 'text', text: 'said' }] }] },
      { kind: 'code', lang: 'ts', text: 'let a = 1;' },
      { kind: 'rule' },
      {
        kind: 'table',
        align: [null, 'right'],
        head: [[{ kind: 'text', text: 'A' }], [{ kind: 'text', text: 'B' }]],
        rows: [[[{ kind: 'text', text: '1' }], [{ kind: 'code', text: '2' }]]],
      },
    ]);
  });

  test('[VW1] markup of the web is text, an image is words, and a link goes to the web or to mail', () => {
    const hostile =
      'a <img src=x onerror=alert(1)> b\n\n<script>alert(1)</script>\n\n![x](http://evil.test/p.png)\n\n[go](javascript:alert(1)) [ok](https://x.y) [data](data:text/html,x)';
    const blocks = markdown(hostile);
    const shown = allText(blocks);
    for (const part of ['<img src=x onerror=alert(1)>', '<script>alert(1)</script>', '[image: x]', 'go', 'ok']) {
      expect(shown).toContain(part);
    }
    const links = blocks.flatMap((block) =>
      block.kind === 'paragraph' ? block.of.flatMap((part) => (part.kind === 'link' ? [part.href] : [])) : [],
    );
    expect(links).toEqual([null, 'https://x.y', null]);
    for (const bad of [
      'javascript:alert(1)',
      'java\nscript:x',
      ' https://x',
      'https://x y',
      'file:///etc/passwd',
      '//x.y',
      '/v3',
    ])
      expect(safeHref(bad), bad).toBeNull();
  });

  test('[VW1] whatever comes, the tree has known kinds and nothing throws', () => {
    fc.assert(
      fc.property(text, (t) => {
        for (const block of markdown(t)) expect(KINDS.has(block.kind)).toBe(true);
      }),
      { numRuns: 400 },
    );
  });

  test('nesting without end is shown as text, and quickly', () => {
    for (const deep of [
      '>'.repeat(5_000),
      '- '.repeat(5_000),
      '*'.repeat(20_000),
      '['.repeat(20_000),
      '`'.repeat(20_000),
    ]) {
      expect(markdown(`${deep}x`).length).toBeGreaterThan(0);
    }
    const long = 'word '.repeat(200_000);
    expect(markdown(long)).toEqual([{ kind: 'paragraph', of: [{ kind: 'text', text: long }] }]);
  });

  test('[VW2] text that grows piece by piece ends as the whole would', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 24 }), (pieces) => {
        const growing = new GrowingMarkdown();
        let soFar = '';
        let before: readonly Block[] = growing.read('');
        for (const next of pieces) {
          soFar += next;
          const now = growing.read(soFar);
          before = now;
        }
        expect(growing.read(soFar)).toBe(before);
        // Definitions of links reach back to text that was settled before they came; nothing else does.
        fc.pre(!/^\s*\[[^\]]*\]:/m.test(soFar));
        expect(allText(before).replace(/\s+/g, ' ').trim()).toBe(allText(markdown(soFar)).replace(/\s+/g, ' ').trim());
      }),
      { numRuns: 400 },
    );
  });

  test('[VW2] blocks before the last are kept', () => {
    const growing = new GrowingMarkdown();
    const first = growing.read('# One\n\nTwo two\n\nThr');
    const second = growing.read('# One\n\nTwo two\n\nThree and `more`');
    expect(second.slice(0, 2).every((block, i) => block === first[i])).toBe(true);
    expect(second).toEqual(markdown('# One\n\nTwo two\n\nThree and `more`'));
    expect(growing.read('other')).toEqual(markdown('other'));
  });
});

test('a long last block is not read again for each word; nothing of the text is missing meanwhile, and in the end all is read', () => {
  for (const line of ['- an item\n', 'words of a paragraph ']) {
    const growing = new GrowingMarkdown();
    let text = line.repeat(1_000);
    let blocks = growing.read(text);
    let kept = 0;
    for (let i = 0; i < 200; i++) {
      text += `word${i}${i % 10 === 9 ? `\n${line}` : ' '}`;
      const next = growing.read(text);
      if (next[0] === blocks[0] && line.startsWith('-')) kept += 1;
      blocks = next;
      expect(JSON.stringify(blocks)).toContain(`word${i}`);
    }
    if (line.startsWith('-')) expect(kept).toBeGreaterThan(150);
    expect(new GrowingMarkdown().read(text)).toEqual(markdown(text));
  }
});

describe('text that is written to hold up whoever reads it', () => {
  test('a table of more cells than a budget is shown as it is written, a table within it is one', () => {
    const rows = (columns: number, count: number): string =>
      `${'|a'.repeat(columns)}|\n${'|-'.repeat(columns)}|\n${'|b\n'.repeat(count)}`;
    expect(markdown(rows(10, 100)).map(({ kind }) => kind)).toEqual(['table']);
    // Short rows are filled up to the head: this would be 400 million cells.
    const wide = markdown(rows(20_000, 20_000));
    expect(wide.some(({ kind }) => kind === 'table')).toBe(false);
    expect(allText(wide).match(/a/g)).toHaveLength(20_000);
  });

  test('emphasis that opens and never closes is text when there is too much of it', () => {
    for (const unit of ['~a~~b ', '*a _b ', 'a*b_', '**a ', '*a **b ']) {
      const text = unit.repeat(40_000 / unit.length);
      expect(allText(markdown(text)).replace(/\s/g, '')).toBe(text.replace(/\s/g, ''));
    }
    const much = 'some **bold** and *other* words. '.repeat(100);
    expect(markdown(much)).toEqual([
      expect.objectContaining({ of: expect.arrayContaining([expect.objectContaining({ kind: 'strong' })]) }),
    ]);
  });

  test('lists and quotes in one another are read as far as a budget goes; the rest is there as text', () => {
    const lazy = `${'- '.repeat(24)}x\n${'y\n'.repeat(20_000)}`;
    const blocks = markdown(lazy);
    expect(blocks.map(({ kind }) => kind)).toEqual(['list', 'paragraph']);
    expect(allText(blocks).match(/y/g)).toHaveLength(20_000);
    // A sign for each level, of numbers too.
    const deep = `${'1) '.repeat(10_000)}x`;
    expect(markdown(deep)).toEqual([{ kind: 'paragraph', of: [{ kind: 'text', text: deep }] }]);
    expect(markdown(`${'- '.repeat(60)}\n`)).toEqual([{ kind: 'rule' }]);
    const usual = '- a\n  - b\n'.repeat(1_000);
    expect(markdown(usual).map(({ kind }) => kind)).toEqual(['list']);
    // What follows lists is not of them.
    const after = `- a\n\n${'word\n\n'.repeat(7_000)}**b**\n`;
    expect(markdown(after).at(-1)).toEqual({
      kind: 'paragraph',
      of: [{ kind: 'strong', of: [{ kind: 'text', text: 'b' }] }],
    });
  });
});
