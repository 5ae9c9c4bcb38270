import * as fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deleteFile } from '../../src/tools/builtin/delete-file.ts';
import { multiEdit } from '../../src/tools/builtin/multi-edit.ts';
import { plan } from '../../src/tools/registry.ts';
import { Workspace } from '../../src/tools/workspace.ts';
import { type Site, site } from './support.ts';

let at: Site;
beforeAll(() => {
  at = site();
});
afterAll(() => at.remove());
const file = (name = 'f'): string => join(at.ws, name);
const said = (act: (ws: Workspace) => { result: string }, denied: string[] = []): string => {
  const ws = new Workspace(at.ws, { denied });
  try {
    return act(ws).result;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    ws.close();
  }
};
const edit = (...edits: [string, string][]): string =>
  said((ws) => multiEdit(ws, { path: 'f', edits: edits.map(([old_text, new_text]) => ({ old_text, new_text })) }));
const remove = (path: string, denied: string[] = []): string => said((ws) => deleteFile(ws, { path }), denied);
const leftovers = (): string[] => fs.readdirSync(at.ws).filter((name) => name.startsWith('.opta-write-'));

describe('multi_edit', () => {
  test('[TL3] makes all edits in order, each of what the one before it left', () => {
    fs.writeFileSync(file(), 'one\ntwo\nthree\n');
    expect(edit(['one', 'two-and-a-half'], ['\ntwo\n', '\n2\n'], ['2\n', '2!\n'])).toMatch(/^Edited f in 3 places/);
    expect(fs.readFileSync(file(), 'utf8')).toBe('two-and-a-half\n2!\nthree\n');
  });

  test('[TL3] one edit that does not fit leaves the file as it was, and says which', () => {
    fs.writeFileSync(file(), 'a b a\n');
    const { mtimeMs, ino } = fs.statSync(file());
    expect(edit(['b', 'c'], ['a', 'x'])).toMatch(/edit 2 of 2: old_text occurs more than once/);
    expect(edit(['b', 'c'], ['b', 'x'])).toMatch(/edit 2 of 2: old_text does not occur/);
    expect(fs.readFileSync(file(), 'utf8')).toBe('a b a\n');
    expect(fs.statSync(file())).toMatchObject({ mtimeMs, ino });
    expect(leftovers()).toEqual([]);
  });

  test('[TL3] is the same as its edits one by one, or nothing at all', () => {
    const piece = fc.constantFrom('a', 'b', 'ab', '$&', '\n', '🤖', 'e\u0301');
    const words = fc.array(piece, { maxLength: 8 }).map((p) => p.join(''));
    fc.assert(
      fc.property(words, fc.array(fc.tuple(piece, words), { minLength: 1, maxLength: 4 }), (content, edits) => {
        fs.writeFileSync(file(), content);
        let model: string | null = content;
        for (const [old, next] of edits) {
          if (model === null) break;
          const i: number = model.indexOf(old);
          // Bytes, as the file has them: none of the pieces overlaps itself.
          model =
            i < 0 || model.indexOf(old, i + 1) >= 0 ? null : model.slice(0, i) + next + model.slice(i + old.length);
        }
        const answer = edit(...edits);
        expect(fs.readFileSync(file(), 'utf8')).toBe(model ?? content);
        expect(answer.startsWith('Edited')).toBe(model !== null);
      }),
      { numRuns: 300 },
    );
  });

  test('[PM8] shows every edit before it is allowed', () => {
    const planned = plan(
      'multi_edit',
      JSON.stringify({
        path: 'f',
        edits: [
          { old_text: 'a', new_text: 'b' },
          { old_text: 'c', new_text: '' },
        ],
      }),
    );
    expect(planned).toMatchObject({ toolClass: 'write', summary: 'Edit f in 2 places' });
    expect(typeof planned === 'string' ? '' : planned.preview?.()).toBe(
      '@@ edit 1 of 2 @@\n-a\n+b\n@@ edit 2 of 2 @@\n-c',
    );
    for (const bad of [
      '{"path":"f","edits":[]}',
      '{"path":"f","edits":[{"old_text":"","new_text":"x"}]}',
      '{"path":"f"}',
    ])
      expect(plan('multi_edit', bad)).toMatch(/invalid-request/);
  });
});

describe('delete_file', () => {
  beforeEach(() => {
    fs.writeFileSync(file('gone'), 'x');
  });

  test('deletes a file, and says so once', () => {
    expect(remove('gone')).toBe('Deleted gone (1 bytes)');
    expect(fs.existsSync(file('gone'))).toBe(false);
    expect(remove('gone')).toMatch(/does not exist/);
  });

  test('[TL1] deletes nothing that is outside, no folder, no device and nothing that a rule denies', () => {
    fs.mkdirSync(file('folder'), { recursive: true });
    fs.writeFileSync(join(at.outside, 'kept'), 'x');
    fs.symlinkSync(join(at.outside, 'kept'), file('away'));
    expect(remove('away')).toMatch(/outside/);
    expect(remove('../outside/kept')).toMatch(/outside/);
    expect(remove('folder')).toMatch(/folder/);
    expect(remove('gone', ['gone'])).not.toMatch(/^Deleted/);
    expect([
      fs.existsSync(join(at.outside, 'kept')),
      fs.existsSync(file('folder')),
      fs.existsSync(file('gone')),
    ]).toEqual([true, true, true]);
  });

  test('[TL1] of a link inside the workspace it deletes what the link stands for', () => {
    fs.symlinkSync('gone', file('link'));
    expect(remove('link')).toMatch(/^Deleted gone/);
    expect(fs.existsSync(file('gone'))).toBe(false);
    fs.rmSync(file('link'));
  });
});
