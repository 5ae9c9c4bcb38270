import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fuzzyRanked, fuzzyScore } from '../../src/views/fuzzy.ts';
import { highlight } from '../../src/views/highlight.ts';
import { langOfPath, toolArgs } from '../../src/views/tool-body.ts';

describe('colours of code', () => {
  const shown = (text: string, lang: string): string =>
    highlight(text, lang)
      .map((line) => line.map(({ kind, text: part }) => (kind === 'plain' ? part : `<${kind[0]}:${part}>`)).join(''))
      .join('\n');

  test.each([
    ['ts', 'const a = "b\\"c"; // d', '<k:const> a = <s:"b\\"c">; <c:// d>'],
    ['ts', '`a\nb \\` c` + 0x1F', '<s:`a>\n<s:b \\` c`> + <n:0x1F>'],
    ['ts', 'a1 /* b\nc */ if', 'a1 <c:/* b>\n<c:c */> <k:if>'],
    ['ts', '"a // b" https', '<s:"a // b"> https'],
    ['py', 'def f(x): # y\n  """a\n  b""" + 1.5', '<k:def> f(x): <c:# y>\n  <s:"""a>\n<s:  b"""> + <n:1.5>'],
    ['sh', 'echo a#b $# # c', '<k:echo> a#b $# <c:# c>'],
    ['sql', 'Select 1 -- x', '<k:Select> <n:1> <c:-- x>'],
    ['html', '<a href="b"><!-- c\nd --></a>', '<a href=<s:"b">><c:<!-- c>\n<c:d -->></a>'],
    ['json', '{"a": [1, true]}', '{<s:"a">: [<n:1>, <k:true>]}'],
    ['yaml', "a: don't # b", "a: don't <c:# b>"],
    ['', 'const a = 1', 'const a = 1'],
    ['nonsense', 'const a = 1', 'const a = 1'],
  ])('%s: %j', (lang, text, look) => {
    expect(shown(text, lang)).toBe(look);
  });

  test('a quote without an end takes one look, however many backslashes or quotes follow', () => {
    const slashes = `"${'\\'.repeat(1_500)}`;
    expect(shown(slashes, 'ts')).toBe(slashes);
    const quotes = `"${`\\"`.repeat(900)}`;
    expect(shown(quotes, 'py')).toBe(quotes);
    expect(shown(`it's "a" 'b'`, 'ts')).toBe(`it<s:'s "a" '>b'`);
    expect(shown(`don't say "no"`, 'sh')).toBe(`don't say <s:"no">`);
  });

  test('never change the text, whatever it is', () => {
    const unit = fc.oneof(
      fc.constantFrom('"', "'", '`', '\\', '/*', '*/', '//', '#', '"""', '<!--', '\n', 'if', '1', '_'),
      fc.string(),
    );
    fc.assert(
      fc.property(
        fc.array(unit),
        fc.constantFrom('ts', 'py', 'sh', 'sql', 'html', 'css', 'json', 'yaml', 'lua', 'x'),
        (parts, lang) => {
          const text = parts.join('');
          expect(
            highlight(text, lang)
              .map((line) => line.map((span) => span.text).join(''))
              .join('\n'),
          ).toBe(text);
        },
      ),
    );
  });

  test('a line that a program made is not looked at', () => {
    const line = '"a" '.repeat(100_000);
    expect(highlight(line, 'ts')).toEqual([[{ kind: 'plain', text: line }]]);
  });
});

describe('arguments of a call', () => {
  test('a command, a change, a file; everything else is JSON, and nothing is hidden', () => {
    expect(toolArgs('{"command":"ls","cwd":"/tmp"}')).toEqual({
      kind: 'command',
      text: 'ls',
      rest: '{\n  "cwd": "/tmp"\n}',
    });
    expect(toolArgs('{"path":"a","old_text":"x\\ny","new_text":"x\\nz"}')).toEqual({
      kind: 'change',
      lines: [
        { kind: 'same', text: 'x' },
        { kind: 'removed', text: 'y' },
        { kind: 'added', text: 'z' },
      ],
      rest: '',
    });
    expect(toolArgs('{"path":"a.PY","content":"x","mode":1}')).toMatchObject({
      kind: 'content',
      lang: 'py',
      rest: '{\n  "mode": 1\n}',
    });
    expect(toolArgs('{"a":1}')).toEqual({ kind: 'json', text: '{\n  "a": 1\n}', rest: '' });
    for (const odd of ['', '[1]', 'null', '{"command":1', '"x"']) expect(toolArgs(odd).kind).toBe('json');
  });

  test('lines that look like marks of a diff are lines', () => {
    const { lines } = toolArgs('{"path":"a","old_text":"-- x","new_text":"++ y"}') as { lines: unknown };
    expect(lines).toEqual([
      { kind: 'removed', text: '-- x' },
      { kind: 'added', text: '++ y' },
    ]);
    expect(langOfPath('a/b')).toBe('');
  });
});

describe('names by some of their letters', () => {
  const ranked = (typed: string, names: string[]): string[] => fuzzyRanked(typed, names, (name) => [name], 10);

  test('the beginning goes before the middle, the last part of a path before folders, words before scattered letters', () => {
    expect(ranked('se', ['reset', 'sessions', 'server'])).toEqual(['server', 'sessions', 'reset']);
    expect(ranked('text', ['src/text/other.ts', 'src/tui/text.ts'])).toEqual(['src/tui/text.ts', 'src/text/other.ts']);
    expect(ranked('sv', ['src/absurd-vase', 'SessionView'])).toEqual(['SessionView', 'src/absurd-vase']);
    expect(ranked('xyz', ['abc'])).toEqual([]);
    expect(ranked('', ['b', 'a'])).toEqual(['b', 'a']);
  });

  test('all letters must be there, in order', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (typed, name) => {
        const letters = [...name.toLowerCase()];
        const there = [...typed.toLowerCase()].every((letter) => {
          const at = letters.indexOf(letter);
          letters.splice(0, at + 1);
          return at >= 0;
        });
        expect(fuzzyScore(typed, name) !== null).toBe(there);
      }),
    );
  });
});
