import { describe, expect, test } from 'vitest';
import { GrowingCode } from '../../src/views/growing-code.ts';
import { highlight } from '../../src/views/highlight.ts';

const CODE = Array.from({ length: 130 }, (_, i) =>
  i % 30 === 3 ? '/* a comment' : i % 30 === 5 ? 'that ends */ let x = "1";' : `const v${i} = ${i}; // word`,
).join('\n');

describe('code that grows', () => {
  test('has at each length the colours that it has as a whole', () => {
    const code = new GrowingCode();
    for (let chars = 0; chars <= CODE.length; chars += 37) {
      const text = CODE.slice(0, chars);
      expect(code.read(text, 'ts').flat()).toEqual(highlight(text, 'ts'));
    }
    expect(code.read('another', 'ts').flat()).toEqual(highlight('another', 'ts'));
  });

  test('chunks before the change are the same objects', () => {
    const code = new GrowingCode();
    const before = code.read(CODE, 'ts');
    const after = code.read(`${CODE} more`, 'ts');
    expect(before.length).toBeGreaterThan(2);
    expect(after.slice(0, -1).every((chunk, i) => chunk === before[i])).toBe(true);
    expect(after.at(-1)).not.toBe(before.at(-1));
    expect(code.read(`${CODE} more`, 'ts')).toBe(after);
  });

  test('another language is read anew', () => {
    const code = new GrowingCode();
    code.read('# a\nif x', 'ts');
    expect(code.read('# a\nif x', 'python').flat()).toEqual(highlight('# a\nif x', 'python'));
  });
});
