import * as fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import { rulesOf } from '../../src/tools/brief.ts';
import { saveMemory } from '../../src/tools/builtin/save-memory.ts';
import type { Memory } from '../../src/tools/memory-line.ts';
import { plan } from '../../src/tools/registry.ts';
import { Workspace } from '../../src/tools/workspace.ts';
import { type Site, site } from './support.ts';

let at: Site;
beforeEach(() => {
  at = site();
});
afterEach(() => at.remove());

const DAY = new Date('2026-03-04T05:06:07Z');
const file = (): string => join(at.ws, '.opta', 'memory.md');
const text = (): string => fs.readFileSync(file(), 'utf8');
const save = (args: Memory, denied: string[] = []): string => {
  const ws = new Workspace(at.ws, { denied });
  try {
    return saveMemory(ws, args, undefined, DAY).result;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    ws.close();
  }
};

test('[TL9] what is remembered is a dated line more, and what was there stays', () => {
  expect(save({ content: 'Tests run with  npm test.\n' })).toMatch(/^Added a line to .opta\/memory.md \(\d+ bytes\)$/);
  expect(text()).toBe('# Memory\n\n- 2026-03-04 Tests run with npm test.\n');
  fs.writeFileSync(file(), 'mine: \u00fc, without an end');
  save({ content: 'tabs', category: 'style' });
  expect(text()).toBe('mine: \u00fc, without an end\n- 2026-03-04 [style] tabs\n');
  const foreign = Buffer.from([0xff, 0xfe, 0x0a]);
  fs.writeFileSync(file(), foreign);
  save({ content: 'ü' });
  expect(fs.readFileSync(file())).toEqual(Buffer.concat([foreign, Buffer.from('- 2026-03-04 ü\n')]));
});

test('[TL9] the same once more, on whatever day, adds nothing', () => {
  fs.mkdirSync(join(at.ws, '.opta'));
  fs.writeFileSync(file(), '- 2020-01-01 [a] ü b\n');
  expect(save({ content: ' ü  b', category: 'a' })).toBe('.opta/memory.md says so already');
  expect(text()).toBe('- 2020-01-01 [a] ü b\n');
});

test('[TL9] no content makes more than one line, or hides in one', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.constantFrom(undefined, 'a b'),
      (content, category) => {
        fs.rmSync(join(at.ws, '.opta'), { recursive: true, force: true });
        save({ content, category });
        const lines = text().split('\n');
        expect(lines).toHaveLength(4);
        expect(lines[2]).toMatch(/^- 2026-03-04 /);
        expect(text().replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u);
      },
    ),
    { numRuns: 60 },
  );
});

test('[TL9] a memory that is full is refused and stays as it is; so is one that is a link out, or denied', () => {
  fs.mkdirSync(join(at.ws, '.opta'));
  const full = `${'x'.repeat(LIMITS.ruleFileBytesMax - 20)}\n`;
  fs.writeFileSync(file(), full);
  expect(save({ content: 'one too many' })).toMatch(/would exceed 32768 bytes/);
  expect(text()).toBe(full);
  expect(save({ content: 'a' }, ['.opta/*'])).toMatch(/denied by the user's rules/);
  fs.rmSync(file());
  fs.symlinkSync(join(at.outside, 'secret.txt'), file());
  expect(save({ content: 'a' })).toMatch(/outside the session's workspace/);
});

test('[TL9] people see the line before it is written', () => {
  const planned = plan('save_memory', JSON.stringify({ content: 'a\nb', category: 'c' }));
  if (typeof planned === 'string') return expect.fail(planned);
  expect([planned.toolClass, planned.summary, planned.preview?.()]).toEqual(['write', 'Remember: [c] a b', '+[c] a b']);
});

test('[TL9] what was remembered is what the next turn is told', async () => {
  save({ content: 'Answers are short.' });
  expect(await rulesOf(at.ws)).toEqual([
    { file: '.opta/memory.md', text: '# Memory\n\n- 2026-03-04 Answers are short.\n' },
  ]);
});
