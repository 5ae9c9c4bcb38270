import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codeLines } from '../../src/tui/code-rows.ts';
import { markdownRows } from '../../src/tui/markdown-rows.ts';
import { type Row, rowWidth } from '../../src/tui/text.ts';
import { Transcript } from '../../src/tui/transcript.ts';
import { hostile, STEERS, Talk, textOf } from './talk.ts';

const lines = (text: string, width = 40): string[] => markdownRows(text, width).map(textOf);

describe('markdown', () => {
  test.each([
    ['# One *two*\n### Three', ['One two', '', '### Three']],
    ['a **b** `c`\nd  \ne', ['a b c', 'd', 'e']],
    [
      '- one\n- two\n  - three\n    1. four\n- [ ] to do\n- [x] done',
      ['• one', '• two', '  • three', '    1. four', '[ ] to do', '[x] done'],
    ],
    ['9. nine\n10. ten', [' 9. nine', '10. ten']],
    ['> a\n>\n> > b', ['│ a', '│ ', '│ │ b']],
    ['a\n\n---\n\nb', ['a', '', '─'.repeat(40), '', 'b']],
    ['| a | bb |\n|--:|:-:|\n| 100 | x |\n| 你 | `y` |', ['  a │ bb', '────┼───', '100 │ x ', ' 你 │ y ']],
    ['```ts x\nlet a = 1;\n\n// b\n```', ['╭─ ts', '│ let a = 1;', '│ ', '│ // b', '╰─']],
    ['<b onclick="x">t</b> &lt;i&gt; ![i](http://a.b/c.png)', ['<b onclick="x">t</b> <i> [image: i]']],
  ])('[CT10] %j', (text, rows) => {
    expect(lines(text)).toEqual(rows);
  });

  test('[CT10] a table that is too wide is a list of what its columns say', () => {
    const text = `| Name | What |\n|---|---|\n| one | ${'words '.repeat(9)}|\n| two | short |`;
    expect(lines(text, 30)).toEqual([
      'Name: one',
      'What: words words words words',
      'words words words words words',
      '',
      'Name: two',
      'What: short',
    ]);
  });

  test('[CT10] a link says where it leads, unless its words do', () => {
    expect(lines('[https://good.example](https://evil.example) https://same.example <a@b.example>', 200)).toEqual([
      'https://good.example (https://evil.example) https://same.example a@b.example',
    ]);
    expect(lines('[run](javascript:alert(1)) [f](file:///etc/passwd)', 80)).toEqual(['run f']);
  });

  test('[CT10] no row is too wide, at any width; none steers the terminal', () => {
    fc.assert(
      fc.property(hostile, fc.integer({ min: 1, max: 50 }), (text, width) => {
        const talk = new Talk([{ role: 'assistant', content: text }]);
        for (const row of new Transcript().window(talk.now, width, 500).rows) {
          expect(rowWidth(row)).toBeLessThanOrEqual(width);
          expect(textOf(row)).not.toMatch(STEERS);
        }
      }),
    );
  });

  test('[CT10] it grows to what it would be at once, whatever its parts are', () => {
    const part = fc.constantFrom(
      '```ts\n',
      'let a = 1; /* b\n',
      '*/ c\n',
      '```\n',
      '`',
      '- one\n',
      '  - two\n',
      'words ',
      '\n',
      '\n\n',
      '> q\n',
      '# h\n',
      '| a | b |\n|---|---|\n',
      '| 1 | 2 |\n',
      '你',
      '🇩',
      '🇪',
      '1. x\n',
      '---\n',
      '    i\n',
    );
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 30 }), fc.integer({ min: 4, max: 30 }), (parts, width) => {
        const talk = new Talk();
        talk.begin();
        const growing = new Transcript();
        for (const text of parts) {
          talk.says(text);
          const rows = growing.window(talk.now, width, 1_000).rows;
          expect(rows.map(textOf)).toEqual(new Transcript().window(talk.now, width, 1_000).rows.map(textOf));
        }
      }),
    );
  });
});

test('code keeps its letters, and colours what goes on over lines', () => {
  const { rows } = codeLines(['a /* b', 'c */ "d" 1'], 'ts', 40);
  const styled = (row: Row | undefined): string[] => (row ?? []).map(([text, style]) => `${style}:${text}`);
  expect(styled(rows[0])).toEqual(['plain:a ', 'comment:/* b']);
  expect(styled(rows[1])).toEqual(['comment:c */', 'plain: ', 'string:"d"', 'plain: ', 'number:1']);
  expect(codeLines(['abcdefgh'], 'ts', 3).rows.map(textOf)).toEqual(['abc', 'def', 'gh']);
});

describe('a turn', () => {
  const open = new Map<string, boolean>();
  const draw = (talk: Talk, width = 60, height = 200) => {
    const transcript = new Transcript((id, byDefault) => open.get(id) ?? byDefault);
    return transcript.window(talk.now, width, height);
  };
  const texts = (talk: Talk, width?: number): string[] => draw(talk, width).rows.map((row) => textOf(row).trimEnd());

  test('[CT10] thoughts are one line until they are opened', () => {
    open.clear();
    const talk = new Talk();
    talk.begin();
    talk.says(`first words ${'and more of them '.repeat(30)}last`, 'turn.thinking');
    const [, , live = ''] = texts(talk);
    expect(live).toMatch(/^ {2}▸ thinking: /);
    expect(texts(talk)).toHaveLength(3);
    talk.says('so');
    expect(texts(talk)[2]).toMatch(/^ {2}▸ thought: first words .*…$/);
    const fold = draw(talk).folds[2];
    open.set(fold?.id ?? '', true);
    const opened = texts(talk);
    expect(opened[2]).toBe('  ▾ thought');
    expect(opened[3]).toMatch(/^ {4}first words/);
    expect(draw(talk).folds[5]).toEqual(fold);
  });

  test('[CT10] a call is one line until it is opened: then its arguments and the beginning of its result', () => {
    open.clear();
    const talk = new Talk();
    talk.begin();
    talk.returns(talk.calls('run_command', { command: 'npm test', cwd: 'a' }), 'line\n'.repeat(50));
    talk.returns(talk.calls('edit_file', { path: 'a.ts', old_text: 'x\ny', new_text: 'x\nz' }), 'no such file', true);
    const folded = texts(talk);
    expect(folded.slice(2)).toEqual([
      `  ▸ ✓ run_command npm test${' '.repeat(21)} done · 1.2 s`,
      `  ▸ ✗ edit_file no such file · a.ts${' '.repeat(10)} failed · 1.2 s`,
    ]);
    const { folds } = draw(talk);
    for (const i of [2, 3]) open.set(folds[i]?.id ?? '', true);
    const opened = texts(talk);
    expect(opened.slice(2, 9)).toEqual([
      `  ▾ ✓ run_command npm test${' '.repeat(21)} done · 1.2 s`,
      '  │ $ npm test',
      '  │ {',
      '  │   "cwd": "a"',
      '  │ }',
      '  │ ─── result',
      '  │ line',
    ]);
    const more = opened.indexOf('  │ … 31 more lines');
    expect(opened.slice(more + 2)).toEqual(['  │   x', '  │ - y', '  │ + z', '  │ ─── result', '  │ no such file']);
    open.set(draw(talk).folds[more]?.id ?? '', true);
    expect(texts(talk).filter((line) => line === '  │ line')).toHaveLength(50);
    expect(texts(talk)).toContain('  │ ▾ show less');
  });

  test('[CT3, CT10] who decided and how, what was asked and answered; what nobody decided says so when it is over', () => {
    open.clear();
    const talk = new Talk();
    const turnId = talk.begin();
    const call = (requestId: string, more: object): void => {
      const callId = talk.calls('write_file', {});
      const asked = { toolName: 'write_file', args: '{}', risk: 'write', summary: 'Write a.txt', expiresAt: '' };
      talk.happens('permission.request', { turnId, requestId, callId, ...asked, ...more });
    };
    const decide = (requestId: string, more: object): void =>
      talk.happens('permission.resolved', {
        turnId,
        requestId,
        callId: '',
        toolName: 'write_file',
        reason: 'user',
        decidedBy: 'person:eve',
        ...more,
      });
    call('r1', {});
    expect(texts(talk).at(-1)).toBe('    waits for a decision: Write a.txt');
    decide('r1', { decision: 'allow', remember: 'session' });
    call('r2', { question: { text: 'Which one?' } });
    decide('r2', { decision: 'allow', answer: 'the \u001b[31mfirst' });
    call('r3', {});
    decide('r3', { decision: 'deny' });
    call('r4', {});
    talk.ends();
    expect(texts(talk, 80).filter((line) => line.startsWith('    '))).toEqual([
      '    allowed write_file by person:eve · remembered for this session',
      '    asked: Which one?',
      '    answered by person:eve: the �[31mfirst',
      '    denied write_file by person:eve',
      '    not decided: Write a.txt',
    ]);
  });

  test('[CT10] what a key opens can be gone through, and comes into the window', () => {
    open.clear();
    const talk = new Talk();
    talk.begin();
    for (let i = 0; i < 30; i++) {
      talk.returns(talk.calls(`tool_${i}`, {}), 'x');
      talk.says('words\n\nmore\n\n');
    }
    const transcript = new Transcript((id, byDefault) => open.get(id) ?? byDefault);
    transcript.window(talk.now, 60, 10);
    expect(transcript.focus).toBeNull();
    const last = transcript.moveFocus(-1);
    const before = transcript.moveFocus(-1);
    expect(before).not.toEqual(last);
    for (let i = 0; i < 20; i++) transcript.moveFocus(-1);
    expect(transcript.following).toBe(false);
    const { rows, folds } = transcript.window(talk.now, 60, 10);
    const at = folds.findIndex((fold) => fold?.id === transcript.focus?.id);
    expect(rows[at]?.[0]?.[1]).toBe('chosen');
    for (let i = 0; i < 40; i++) transcript.moveFocus(1);
    expect(transcript.focus).toEqual(last);
    transcript.unfocus();
    expect(
      transcript
        .window(talk.now, 60, 10)
        .rows.flat()
        .some(([, style]) => style === 'chosen'),
    ).toBe(false);
  });

  test('[CT10] a session that began with messages shows their calls with their results', () => {
    open.clear();
    const call = { id: 'a', type: 'function' as const, function: { name: 'read_file', arguments: '{"path":"a.txt"}' } };
    const talk = new Talk([
      { role: 'system', content: 'hidden' },
      { role: 'user', content: 'read it' },
      { role: 'assistant', content: '', tool_calls: [call] },
      { role: 'tool', content: 'what it says', tool_call_id: 'a' },
      { role: 'assistant', content: 'There.' },
    ]);
    expect(texts(talk)).toEqual(['● user', '  read it', `  ▸ ✓ read_file a.txt${' '.repeat(34)} done`, '  There.']);
    open.set(draw(talk).folds[2]?.id ?? '', true);
    expect(texts(talk)).toContain('  │ what it says');
  });
});
