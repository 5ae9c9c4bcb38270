import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { Surface } from '../../src/tui/surface.ts';

describe('a surface', () => {
  test('[CT10] what a row has forgotten to take out moves no cursor', () => {
    let written = '';
    const output = Object.assign(new PassThrough(), { columns: 60, rows: 4, isTTY: true });
    output.on('data', (part) => {
      written += part;
    });
    const surface = new Surface(output as unknown as NodeJS.WriteStream, { TERM: 'xterm-256color' });
    try {
      written = '';
      surface.paint([[['a\u001b]0;x\u0007b\u009b9mc\r\n\td\u0000\u007f\u202ee\u2066f\u2028g', 'plain']]], null);
      expect(written).toContain('a]0;xb9mcdefg');
      // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be left
      expect(written).not.toMatch(/\u001b\]|[\u0000\u0007\t\u007f\u009b\u202e\u2066\u2028]/);
    } finally {
      surface.close();
    }
  });
});
