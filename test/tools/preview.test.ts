import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { previewOf } from '../../src/tools/preview.ts';

const edit = (old_text: string, new_text: string): string | undefined =>
  previewOf('edit_file', { path: 'a', old_text, new_text });

describe('a preview', () => {
  test('of an edit has what goes, what comes, and a little of what stays', () => {
    expect(edit('a\nb\nc', 'a\nB\nc')).toBe(' a\n-b\n+B\n c');
    expect(edit('1\n2\n3\n4\n5\nx', '1\n2\n3\n4\n5\ny')).toBe(' 3\n 4\n 5\n-x\n+y');
    expect(edit('x\n1\n2\n3\n4\n5', 'y\n1\n2\n3\n4\n5')).toBe('-x\n+y\n 1\n 2\n 3');
    expect(edit('a\n', '')).toBe('-a');
    expect(edit('a\na', 'a\na\na')).toBe(' a\n a\n+a');
  });

  test('of a whole file is what it will be; of what writes nothing there is none', () => {
    expect(previewOf('write_file', { path: 'a', content: 'x\ny' })).toBe('+x\n+y');
    expect(previewOf('write_file', { path: 'a', content: 'x\n\n' })).toBe('+x\n+');
    expect(previewOf('write_file', { path: 'a', content: '' })).toBeUndefined();
    expect(previewOf('read_file', { path: 'a' })).toBeUndefined();
  });

  test('[PM8] leaves out the middle when there is much, says how much, and shows both ends', () => {
    const content = Array.from({ length: 10_000 }, (_, i) => `line ${i}`).join('\n');
    const shown = previewOf('write_file', { content }) as string;
    const lines = shown.split('\n');
    expect(lines).toHaveLength(401);
    expect([lines[0], lines[199], lines[200], lines[201], lines.at(-1)]).toEqual([
      '+line 0',
      '+line 199',
      '@@ 9600 lines left out @@',
      '+line 9800',
      '+line 9999',
    ]);
    const long = previewOf('write_file', { content: 'x'.repeat(1 << 20) }) as string;
    expect(long).toMatch(/^\+x{1999}… 1046577 characters more$/);
  });

  test('[PM8] is bounded, and each line of it is a line of the change, whatever is written', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 30 }), fc.array(fc.string(), { maxLength: 30 }), (a, b) => {
        const [before, after] = [a, b].map((lines) => lines.map((line) => `${line}\n`).join('')) as [string, string];
        const shown = edit(before, after) ?? '';
        for (const line of shown.split('\n')) {
          if (line === '') continue;
          const from = line[0] === '+' ? after : before;
          expect(from.split('\n')).toContain(line.slice(1));
        }
        const removed = shown.split('\n').filter((line) => line.startsWith('-')).length;
        const added = shown.split('\n').filter((line) => line.startsWith('+')).length;
        expect(added - removed).toBe(b.length - a.length);
      }),
    );
  });
});
