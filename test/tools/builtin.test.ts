import * as fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ToolResult } from '../../src/actors/ports.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { findFiles } from '../../src/tools/builtin/find-files.ts';
import { listDir } from '../../src/tools/builtin/list-dir.ts';
import { readFile } from '../../src/tools/builtin/read-file.ts';
import { searchFiles } from '../../src/tools/builtin/search-files.ts';
import { cutToBytes, Output, printable } from '../../src/tools/outcome.ts';
import { Workspace } from '../../src/tools/workspace.ts';
import { BOUNDS, type Site, site } from './support.ts';

let at: Site;
let ws: Workspace;
beforeEach(() => {
  at = site();
  ws = new Workspace(at.ws);
});
afterEach(() => {
  ws.close();
  at.remove();
});

const put = (path: string, content: string | Buffer): void => {
  fs.mkdirSync(join(at.ws, path, '..'), { recursive: true });
  fs.writeFileSync(join(at.ws, path), content);
};
const numbered = (content: string): string =>
  (content.match(/[^\n]*\n|[^\n]+$/g) ?? []).map((line, i) => `${i + 1}\t${line}`).join('');
const bodyOf = ({ result }: ToolResult): string => result.slice(0, result.lastIndexOf('['));

test('[TL3] read_file gives back every byte of a text, numbered', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 80 }), fc.constantFrom('\n', '\r\n', '\n\n'), (a, end) => {
      const content = `${a}${end}x${a}`.replaceAll('\0', '');
      put('f', content);
      expect(readFile(ws, { path: 'f' }, BOUNDS)).toEqual({ result: numbered(content), isError: false });
    }),
    { numRuns: 60 },
  );
});

test('[SV3] a page of read_file says where to go on; past the end says how long the file is', () => {
  put('f', 'a\nb\nc\nd');
  expect(readFile(ws, { path: 'f', offset: 2, limit: 2 }, BOUNDS).result).toBe(
    '2\tb\n3\tc\n[more lines follow; go on with offset 4]',
  );
  expect(readFile(ws, { path: 'f', offset: 3, limit: 2 }, BOUNDS).result).toBe('3\tc\n4\td');
  expect(() => readFile(ws, { path: 'f', offset: 5 }, BOUNDS)).toThrow(/line 5 is past the end: f has only 4 lines/);
  put('empty', '');
  expect(readFile(ws, { path: 'empty' }, BOUNDS).result).toBe('[empty is empty]');
  put('ended', 'a\n');
  expect(readFile(ws, { path: 'ended' }, BOUNDS).result).toBe('1\ta\n');
});

test('[TL1] a binary file is refused in words', () => {
  put('f', Buffer.from([0x7f, 0x45, 0, 1]));
  expect(() => readFile(ws, { path: 'f' }, BOUNDS)).toThrow(/binary file \(4 bytes\)/);
});

test('[SV3] a result keeps within its budget and counts exactly what it left out', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'grapheme', maxLength: 200 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 600, max: 4_000 }),
      (lines, outputBytesMax) => {
        const content = lines.map((l) => l.replace(/[\0\r\n]/g, '')).join('\n');
        put('f', content);
        const full = numbered(content);
        const got = readFile(ws, { path: 'f' }, { ...BOUNDS, outputBytesMax });
        expect(Buffer.byteLength(got.result)).toBeLessThanOrEqual(outputBytesMax);
        if (got.truncatedFrom === undefined) {
          expect(got.result).toBe(full === '' ? '[f is empty]' : full);
          return;
        }
        expect(got.truncatedFrom).toBe(Buffer.byteLength(full));
        expect(full.startsWith(bodyOf(got).replace(/\n$/, ''))).toBe(true);
        expect(got.result).toContain(`the file has ${full.match(/^\d+\t/gm)!.length} lines`);
      },
    ),
    { numRuns: 60 },
  );
});

test('[SV3] one line longer than the budget is cut, also in the middle of a character, and counted', () => {
  put('f', '🤖'.repeat(200_000));
  const got = readFile(ws, { path: 'f' }, BOUNDS);
  expect(got.truncatedFrom).toBe(800_002);
  expect(Buffer.byteLength(got.result)).toBeLessThanOrEqual(BOUNDS.outputBytesMax);
  expect(got.result).not.toContain('\ufffd');
});

test('[SV3] a file larger than all memory for it is read from its start', () => {
  put('f', 'first\nsecond\n');
  fs.truncateSync(join(at.ws, 'f'), 1 << 30);
  const at0 = process.memoryUsage().rss;
  // Zeros follow after the first bytes; with them in the first block the file would be binary.
  put('g', `${'line\n'.repeat(4_000)}`);
  fs.truncateSync(join(at.ws, 'g'), 1 << 30);
  expect(readFile(ws, { path: 'g', limit: 2 }, BOUNDS).result).toContain('1\tline\n2\tline\n[more lines');
  expect(() => readFile(ws, { path: 'f', limit: 2 }, BOUNDS)).toThrow(/binary/);
  expect(process.memoryUsage().rss - at0).toBeLessThan(100 << 20);
});

test('[SV3] cutting never splits a character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(60), (s, max) => {
      const cut = cutToBytes(s, max);
      expect(s.startsWith(cut)).toBe(true);
      expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(max);
      const next = [...s.slice(cut.length)][0];
      if (next !== undefined) expect(Buffer.byteLength(cut + next)).toBeGreaterThan(max);
    }),
  );
});

test('[SV3] nothing is shown after the first piece that did not fit', () => {
  const output = new Output(612);
  expect(output.add('a'.repeat(99))).toBe(true);
  expect(output.add('bb')).toBe(false);
  expect(output.add('c')).toBe(false);
  const { result, truncatedFrom } = output.done(['note']);
  expect(result).toBe(`${'a'.repeat(99)}b\n[note; cut: 100 of 102 bytes shown]`);
  expect(truncatedFrom).toBe(102);
});

test('[TL1] list_dir shows folders, sizes and links, and does not enter what it should not', () => {
  put('b.txt', 'four');
  put('a/x', '');
  put('node_modules/m/i.js', '');
  put('.git/HEAD', '');
  put('new\nline', '');
  fs.symlinkSync('a', join(at.ws, 'l'));
  const flat = '.git/\na/\nb.txt\t4\nl -> a\nnew\\u{a}line\t0\nnode_modules/\n';
  expect(listDir(ws, {}, BOUNDS).result).toBe(flat);
  expect(listDir(ws, { recursive: true }, BOUNDS).result).toBe(flat.replace('a/\n', 'a/\na/x\t0\n'));
  expect(() => listDir(ws, { path: 'b.txt' }, BOUNDS)).toThrow(/is a file/);
  expect(() => listDir(ws, { path: 'zzz' }, BOUNDS)).toThrow(OptaError);
});

test('[SV3] list_dir and find_files say exactly how much they left out', () => {
  fs.mkdirSync(join(at.ws, 'many'));
  let bytes = 0;
  for (let i = 0; i < 2_100; i++) {
    fs.writeFileSync(join(at.ws, 'many', `f${i}`), '');
    bytes += Buffer.byteLength(`many/f${i}\n`);
  }
  const found = findFiles(ws, { pattern: '**/f*' }, BOUNDS);
  expect(found.result).toContain('2000 of 2100 files shown');
  expect(found.truncatedFrom).toBe(bytes);
  const listed = listDir(ws, { recursive: true }, BOUNDS);
  expect(listed.result).toContain('2000 of 2101 entries shown');
  // A size of "\t0" a file, and the folder's own line.
  expect(listed.truncatedFrom).toBe(bytes + 2 * 2_100 + 'many/\n'.length);
});

test('[TL1] find_files follows .gitignore files at every level, and the deepest one decides', () => {
  put('.gitignore', 'dist/\n*.log\n/top.txt\n');
  put('sub/.gitignore', '!keep.log\nlocal.txt\n');
  for (const p of [
    'a.ts',
    'dist/a.ts',
    'x.log',
    'top.txt',
    'sub/top.txt',
    'sub/keep.log',
    'sub/o.log',
    'sub/local.txt',
  ])
    put(p, '');
  put('.git/config', '');
  put('local.txt', '');
  put('.github/ci.yml', '');
  const all = ['.github/ci.yml', '.gitignore', 'a.ts', 'local.txt', 'sub/.gitignore', 'sub/keep.log', 'sub/top.txt'];
  expect(findFiles(ws, { pattern: '**' }, BOUNDS).result).toBe(all.map((p) => `${p}\n`).join(''));
  expect(findFiles(ws, { pattern: '*', path: 'sub' }, BOUNDS).result).toBe(
    'sub/.gitignore\nsub/keep.log\nsub/top.txt\n',
  );
  expect(findFiles(ws, { pattern: 'sub/*.log' }, BOUNDS).result).toBe('sub/keep.log\n');
  expect(findFiles(ws, { pattern: 'zzz/**' }, BOUNDS).result).toBe('[no file matches]');
});

test('[SV3] search_files shows 200 lines in order and counts the others; long lines are shown around the match', async () => {
  put('b', 'hit\n'.repeat(150));
  put('a', 'hit\n'.repeat(150));
  put('.gitignore', 'skipped\n');
  put('skipped', 'hit\n');
  put('long', `${'x'.repeat(100_000)}needle ä${'y'.repeat(100_000)}\r\n`);
  const got = await searchFiles(ws, { pattern: 'hit' }, BOUNDS);
  expect(got.result.split('\n').slice(0, 2)).toEqual(['a:1: hit', 'a:2: hit']);
  expect(got.result).toContain('b:50: hit\n[200 of 300 matching lines shown;');
  const bytes = (from: number, to: number): number => {
    let n = 0;
    for (let i = from; i <= to; i++) n += `a:${i}: hit\n`.length;
    return n;
  };
  expect(got.truncatedFrom).toBe(2 * bytes(1, 150));
  const long = (await searchFiles(ws, { pattern: 'needle' }, BOUNDS)).result;
  expect(long).toMatch(/^long:1: …x+needle äy+…\n$/);
  expect(long.length).toBeLessThan(450);
});

test('[TL1] search_files takes a file, a folder and a glob; a bad pattern is explained', async () => {
  put('sub/.gitignore', 'no.ts\n');
  for (const p of ['a.ts', 'a.js', 'sub/b.ts', 'sub/no.ts', 'node_modules/m.ts']) put(p, 'say -x here');
  const run = async (args: object): Promise<string> =>
    (await searchFiles(ws, { pattern: '-x', ...args }, BOUNDS)).result;
  expect(await run({})).toBe('a.js:1: say -x here\na.ts:1: say -x here\nsub/b.ts:1: say -x here\n');
  expect(await run({ glob: '*.ts', path: 'sub' })).toBe('sub/b.ts:1: say -x here\n');
  expect(await run({ path: 'sub/no.ts' })).toBe('sub/no.ts:1: say -x here\n');
  expect(await run({ glob: '!*.ts' })).toBe('a.js:1: say -x here\n');
  await expect(run({ pattern: 'a(' })).rejects.toThrow(/unclosed group/);
  put('binary', Buffer.from('say -x\0here'));
  expect(await run({ path: 'binary' })).toContain('the file is binary');
});

test('[TL1] search_files without ripgrep says so', async () => {
  put('a', 'x');
  const missing = searchFiles(ws, { pattern: 'x' }, BOUNDS, async () => '/nonexistent/rg');
  await expect(missing).rejects.toThrow(/cannot start ripgrep/);
});

test('[TL1] no name can forge a line', () => {
  expect(printable('a\nb\u202ec\td\u007f')).toBe('a\\u{a}b\\u{202e}c\\u{9}d\\u{7f}');
});
