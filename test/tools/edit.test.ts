import realFs, * as fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { editFile, splice } from '../../src/tools/builtin/edit-file.ts';
import { writeFile } from '../../src/tools/builtin/write-file.ts';
import { Workspace } from '../../src/tools/workspace.ts';
import { type Site, site } from './support.ts';

let at: Site;
beforeAll(() => {
  at = site();
});
afterAll(() => at.remove());

const file = (): string => join(at.ws, 'f');

const edit = (old_text: string, new_text: string): string => {
  const ws = new Workspace(at.ws);
  try {
    return editFile(ws, { path: 'f', old_text, new_text }).result;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    ws.close();
  }
};

/** Pieces that have gone wrong somewhere: replacement patterns, line ends, NUL, astral and combining characters. */
const piece = fc.oneof(
  fc.constantFrom(
    '$&',
    '$$',
    '$`',
    "$'",
    '$1',
    '$<n>',
    '\\',
    '\r\n',
    '\r',
    '\n',
    '\0',
    '\ufeff',
    'e\u0301',
    '🤖',
    '👩‍🚀',
    'a',
    'aa',
  ),
  fc.string({ unit: 'binary', maxLength: 4 }),
);
const text = fc
  .array(piece, { maxLength: 6 })
  .map((p) => p.join(''))
  .filter((s) => !/\p{Surrogate}/u.test(s));

const occurrences = (content: string, old: string): number => {
  let n = 0;
  for (let i = content.indexOf(old); i >= 0; i = content.indexOf(old, i + 1)) n++;
  return n;
};

test('[TL3] an edit yields prefix + new + suffix byte for byte, or leaves the file as it was', () => {
  fc.assert(
    fc.property(text, text, text, text, (prefix, old, suffix, next) => {
      const before = prefix + old + suffix;
      fs.writeFileSync(file(), before);
      const said = edit(old, next);
      const after = fs.readFileSync(file());
      if (old !== '' && occurrences(before, old) === 1) {
        expect(after.equals(Buffer.concat([prefix, next, suffix].map((s) => Buffer.from(s))))).toBe(true);
        expect(said).toContain(`at line ${prefix.split('\n').length} `);
      } else {
        expect(after.equals(Buffer.from(before))).toBe(true);
        expect(said).not.toContain('Edited');
      }
    }),
    { numRuns: 200 },
  );
});

test('[TL3] the same over bytes that are no text: what is not replaced stays', () => {
  const bytes = fc.uint8Array({ maxLength: 40 }).map((a) => Buffer.from(a));
  fc.assert(
    fc.property(bytes, bytes, text, text, (prefix, suffix, old, next) => {
      const before = Buffer.concat([prefix, Buffer.from(old), suffix]);
      const edited = splice(before, Buffer.from(old), Buffer.from(next));
      const first = before.indexOf(Buffer.from(old));
      const unique = old !== '' && first === before.lastIndexOf(Buffer.from(old));
      expect(typeof edited !== 'string').toBe(unique);
      if (typeof edited === 'string') return;
      const want = Buffer.concat([
        before.subarray(0, first),
        Buffer.from(next),
        before.subarray(first + Buffer.byteLength(old)),
      ]);
      expect(edited.after.equals(want)).toBe(true);
    }),
  );
});

test('[TL3] occurrences that overlap are more than one', () => {
  expect(splice(Buffer.from('aaa'), Buffer.from('aa'), Buffer.from('b'))).toMatch(/more than once \(lines 1, 1\)/);
});

test('[TL3] what is wrong with old_text is said', () => {
  fs.writeFileSync(file(), 'one\r\ntwo\r\nthree\n');
  expect(edit('one\ntwo', 'x')).toMatch(/CRLF/);
  expect(edit('  three', 'x')).toMatch(/white space/);
  expect(edit('four', 'x')).toMatch(/does not occur; nothing/);
  expect(edit('one\r\n', 'x\r\n')).toMatch(/Edited f at line 1 \(16 -> 14 bytes\)/);
  expect(fs.readFileSync(file(), 'utf8')).toBe('x\r\ntwo\r\nthree\n');
});

test('[TL3] a write keeps the mode, makes folders, says the bytes that it wrote and leaves nothing beside the file', () => {
  const ws = new Workspace(at.ws);
  fs.writeFileSync(file(), 'x');
  fs.chmodSync(file(), 0o751);
  expect(writeFile(ws, { path: 'f', content: 'ä🤖' }).result).toBe('Replaced f (6 bytes)');
  expect(fs.statSync(file()).mode & 0o777).toBe(0o751);
  expect(writeFile(ws, { path: 'new/er/g', content: '' }).result).toBe('Created new/er/g (0 bytes)');
  expect(fs.readdirSync(at.ws).sort()).toEqual(['f', 'new']);
  expect(fs.readdirSync(join(at.ws, 'new/er'))).toEqual(['g']);
  ws.close();
});

test('[TL3] a write that fails leaves the old file and nothing beside it', () => {
  fs.mkdirSync(join(at.ws, 'folder/x'), { recursive: true });
  const ws = new Workspace(at.ws);
  expect(() => writeFile(ws, { path: 'folder', content: 'x' })).toThrow(/is a folder/);
  expect(() => writeFile(ws, { path: 'folder/', content: 'x' })).toThrow(/names a folder/);
  expect(() => writeFile(ws, { path: 'f/g', content: 'x' })).toThrow(/is not a folder/);
  expect(() => writeFile(ws, { path: 'missing/../f', content: 'x' })).toThrow(/does not exist/);
  expect(fs.readdirSync(at.ws).sort()).toEqual(['f', 'folder', 'new']);
  ws.close();
});

test('[TL3] an edit does not undo what somebody else wrote between its reading and its writing', () => {
  fs.writeFileSync(file(), 'one two');
  const ws = new Workspace(at.ws);
  const open = ws.open.bind(ws);
  ws.open = (entry) => {
    const fd = open(entry);
    // The other writer saves right after this edit took its look.
    fs.writeFileSync(file(), 'one two three');
    return fd;
  };
  expect(() => editFile(ws, { path: 'f', old_text: 'two', new_text: '2' })).toThrow(/changed by somebody else/);
  expect(fs.readFileSync(file(), 'utf8')).toBe('one two three');
  ws.close();
});

test('[TL3] leftovers of writes that were killed long ago are removed, young ones and others are not', () => {
  const old = new Date(Date.now() - 2 * 3_600_000);
  for (const name of ['.opta-write-0123456789abcdef.tmp', '.opta-write-x.tmp']) {
    fs.writeFileSync(join(at.ws, name), '');
    fs.utimesSync(join(at.ws, name), old, old);
  }
  fs.writeFileSync(join(at.ws, '.opta-write-fedcba9876543210.tmp'), '');
  const ws = new Workspace(at.ws);
  writeFile(ws, { path: 'f', content: '' });
  ws.close();
  expect(fs.readdirSync(at.ws).sort()).toEqual([
    '.opta-write-fedcba9876543210.tmp',
    '.opta-write-x.tmp',
    'f',
    'folder',
    'new',
  ]);
});

/**
 * Runs `job` in a world that ends at its n-th call to the file system: that call does nothing, or half of its writing, and no
 * call after it does anything. Answers whether the end was reached before the job was done.
 */
const crashingAt = (n: number, half: boolean, job: () => void): boolean => {
  const names = [
    'openSync',
    'writeSync',
    'fchownSync',
    'fchmodSync',
    'fsyncSync',
    'lstatSync',
    'renameSync',
    'mkdirSync',
    'rmSync',
  ] as const;
  const saved = names.map((name) => [name, realFs[name]] as const);
  const table = realFs as unknown as { [name: string]: (...args: unknown[]) => unknown };
  let left = n;
  for (const [name, real] of saved) {
    table[name] = (...args) => {
      if (left-- > 1) return (real as (...args: unknown[]) => unknown)(...args);
      if (left === 0 && half && name === 'writeSync') {
        const [fd, bytes] = args as [number, Buffer];
        (real as typeof fs.writeSync)(fd, bytes, 0, bytes.length >> 1);
      }
      throw new Error('the world has ended');
    };
  }
  syncBuiltinESMExports();
  try {
    job();
    return left < 1;
  } catch {
    return true;
  } finally {
    for (const [name, real] of saved) table[name] = real as (...args: unknown[]) => unknown;
    syncBuiltinESMExports();
  }
};

test.each([false, true])(
  '[TL3] a crash at any call to the file system leaves the old file or the new one (half a write: %s)',
  (half) => {
    const before = 'old '.repeat(5_000);
    const jobs = {
      write: {
        after: 'new!'.repeat(9_000),
        run: (ws: Workspace) => writeFile(ws, { path: 'c', content: jobs.write.after }),
      },
      edit: {
        after: `new${before}`,
        run: (ws: Workspace) => editFile(ws, { path: 'c', old_text: '^', new_text: 'new' }),
      },
    };
    for (const [name, { after, run }] of Object.entries(jobs)) {
      const seen = new Set<string>();
      for (let n = 1; ; n++) {
        const start = name === 'edit' ? `^${before}` : before;
        const folder = fs.mkdtempSync(join(at.ws, 'crash-'));
        fs.writeFileSync(join(folder, 'c'), start);
        const ws = new Workspace(folder);
        const crashed = crashingAt(n, half, () => run(ws));
        ws.close();
        const now = fs.readFileSync(join(folder, 'c'), 'utf8');
        seen.add(
          now === start ? 'old' : now === after ? 'new' : `mixture of ${now.length} characters at call ${n} of ${name}`,
        );
        if (!crashed) break;
        expect(n).toBeLessThan(60);
      }
      expect([...seen]).toEqual(['old', 'new']);
    }
  },
);
