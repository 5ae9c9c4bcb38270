import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ToolResult } from '../../src/actors/ports.ts';
import { OptaError } from '../../src/protocol/errors.ts';
import { editFile } from '../../src/tools/builtin/edit-file.ts';
import { findFiles } from '../../src/tools/builtin/find-files.ts';
import { listDir } from '../../src/tools/builtin/list-dir.ts';
import { readFile } from '../../src/tools/builtin/read-file.ts';
import { searchFiles } from '../../src/tools/builtin/search-files.ts';
import { writeFile } from '../../src/tools/builtin/write-file.ts';
import { canonicalLookup, descriptorLookup, type Lookup } from '../../src/tools/path-lookup.ts';
import { Workspace } from '../../src/tools/workspace.ts';
import { BOUNDS, CANARY, fingerprint, type Site, site } from './support.ts';

let at: Site;
beforeEach(() => {
  at = site();
});
afterEach(() => at.remove());

const inWorkspace = <T>(lookup: Lookup, run: (ws: Workspace) => T): T => {
  const ws = new Workspace(at.ws, { lookup });
  try {
    return run(ws);
  } finally {
    ws.close();
  }
};

/** The outcome as text; only an `OptaError` is an answer. */
const attempt = (run: () => ToolResult): string => {
  try {
    return run().result;
  } catch (error) {
    if (error instanceof OptaError) return `Error (${error.code})`;
    throw error;
  }
};

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof OptaError) return error.code;
    throw error;
  }
  return 'ok';
};

const LOOKUPS: [string, Lookup][] = [
  ['descriptors', descriptorLookup],
  ['canonical paths', canonicalLookup],
];

describe.each(LOOKUPS)('with %s', (_, lookup) => {
  test.each([
    '..',
    '../outside/secret.txt',
    'a/../../outside/secret.txt',
    '/etc/passwd',
    '/',
    '//etc/passwd',
    '../ws2/x',
    './/.././outside',
  ])('[TL1] %s is refused as outside', (path) => {
    fs.mkdirSync(join(at.ws, 'a'));
    inWorkspace(lookup, (ws) => {
      expect(codeOf(() => ws.entry(path))).toBe('outside-workspace');
      if (!path.endsWith('/')) expect(codeOf(() => ws.slot(path, true))).toBe('outside-workspace');
    });
  });

  test('[TL1] an absolute path below the workspace is a path in it; a sibling that shares its name is not', () => {
    fs.writeFileSync(join(at.ws, 'f'), 'x');
    fs.mkdirSync(`${at.ws}-sibling`);
    inWorkspace(lookup, (ws) => {
      expect(ws.entry(join(at.ws, 'f')).rel).toBe('f');
      expect(ws.entry(at.ws).rel).toBe('');
      expect(codeOf(() => ws.entry(`${at.ws}-sibling`))).toBe('outside-workspace');
      expect(codeOf(() => ws.entry(`${at.ws}/../outside`))).toBe('outside-workspace');
    });
  });

  test('[TL1] a symlink out of the workspace is refused: file, folder, new file below, dangling, chain', () => {
    fs.symlinkSync('../outside/secret.txt', join(at.ws, 'file'));
    fs.symlinkSync(at.outside, join(at.ws, 'dir'));
    fs.symlinkSync('../outside/new.txt', join(at.ws, 'dangling'));
    fs.symlinkSync('dir', join(at.ws, 'chain'));
    const before = fingerprint(at.outside);
    inWorkspace(lookup, (ws) => {
      for (const path of [
        'file',
        'dir',
        'dir/secret.txt',
        'dir/sub/x/new.txt',
        'dangling',
        'chain/secret.txt',
        'dir/..',
      ]) {
        expect(
          codeOf(() => readFile(ws, { path }, BOUNDS)),
          path,
        ).toBe('outside-workspace');
        expect(
          codeOf(() => writeFile(ws, { path, content: 'x' })),
          path,
        ).toBe('outside-workspace');
        expect(
          codeOf(() => editFile(ws, { path, old_text: 'one', new_text: 'x' })),
          path,
        ).toBe('outside-workspace');
        expect(
          codeOf(() => listDir(ws, { path, recursive: true }, BOUNDS)),
          path,
        ).toBe('outside-workspace');
        expect(
          codeOf(() => findFiles(ws, { pattern: '**', path }, BOUNDS)),
          path,
        ).toBe('outside-workspace');
      }
    });
    expect(fingerprint(at.outside)).toBe(before);
  });

  test('[TL1] links that stay inside work, and a write goes through them', () => {
    fs.mkdirSync(join(at.ws, 'real/deep'), { recursive: true });
    fs.writeFileSync(join(at.ws, 'real/f'), 'old');
    fs.symlinkSync('real', join(at.ws, 'dir'));
    fs.symlinkSync(join(at.ws, 'real/f'), join(at.ws, 'absolute'));
    fs.symlinkSync('../real/deep', join(at.ws, 'real/up'));
    inWorkspace(lookup, (ws) => {
      expect(ws.entry('dir/f').rel).toBe('real/f');
      expect(ws.entry('dir/up/../f').rel).toBe('real/f');
      writeFile(ws, { path: 'absolute', content: 'new' });
      writeFile(ws, { path: 'dir/up/a/b', content: 'b' });
    });
    expect(fs.readFileSync(join(at.ws, 'real/f'), 'utf8')).toBe('new');
    expect(fs.lstatSync(join(at.ws, 'absolute')).isSymbolicLink()).toBe(true);
    expect(fs.readFileSync(join(at.ws, 'real/deep/a/b'), 'utf8')).toBe('b');
  });

  test('[TL1] loops, endless depth, NUL and over-long paths end with an error', () => {
    fs.symlinkSync('loop', join(at.ws, 'loop'));
    fs.symlinkSync('b', join(at.ws, 'a'));
    fs.symlinkSync('a/x', join(at.ws, 'b'));
    fs.symlinkSync('.', join(at.ws, 'self'));
    inWorkspace(lookup, (ws) => {
      for (const path of ['loop', 'a', 'a/x', 'self/'.repeat(40), 'x\0y', 'x'.repeat(5_000), 'x'.repeat(300)]) {
        expect(codeOf(() => ws.entry(path))).toBe('tool-failed');
        expect(codeOf(() => writeFile(ws, { path: path || 'x', content: '' }))).toBe('tool-failed');
      }
      expect(codeOf(() => writeFile(ws, { path: `${'d/'.repeat(200)}f`, content: '' }))).toBe('tool-failed');
      expect(ws.entry('self/self').rel).toBe('');
    });
  });

  test('[TL1] any path over any layout of links: nothing outside is read or written, and what is found is what the kernel finds', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'f.txt');
    const part = fc.oneof({ weight: 4, arbitrary: name }, { weight: 2, arbitrary: fc.constantFrom('..', '.', '') });
    const path = fc.oneof(
      { weight: 6, arbitrary: fc.array(part, { minLength: 1, maxLength: 6 }).map((p) => p.join('/')) },
      { weight: 1, arbitrary: fc.array(part, { maxLength: 4 }).map((p) => `{ws}/${p.join('/')}`) },
      {
        weight: 1,
        arbitrary: fc.constantFrom('{outside}/secret.txt', '{outside}', '../outside/sub', '/proc/self/root'),
      },
    );
    const thing = fc.record({ in: fc.array(name, { maxLength: 2 }), name, target: fc.option(path, { freq: 2 }) });
    fc.assert(
      fc.property(
        fc.array(thing, { maxLength: 10 }),
        fc.array(path, { minLength: 1, maxLength: 6 }),
        (things, paths) => {
          fs.rmSync(at.ws, { recursive: true, force: true });
          fs.mkdirSync(at.ws);
          const real = (p: string): string => p.replace('{ws}', at.ws).replace('{outside}', at.outside);
          build(things.map((t) => ({ ...t, target: t.target === null ? null : real(t.target) })));
          const before = fingerprint(at.outside);
          for (const p of paths.map(real)) inWorkspace(lookup, (ws) => attack(ws, p));
          expect(fingerprint(at.outside)).toBe(before);
        },
      ),
      { numRuns: 100 },
    );
  });
});

/** Makes folders, files and links where they can be made; the rest of the plan is skipped. */
const build = (things: { in: string[]; name: string; target: string | null }[]): void => {
  for (const { in: dirs, name, target } of things) {
    const folder = join(at.ws, ...dirs);
    try {
      fs.mkdirSync(folder, { recursive: true });
      // The layout's own making must not follow a link that it made before.
      if (!`${fs.realpathSync(folder)}/`.startsWith(`${at.ws}/`)) continue;
      if (target !== null && target !== '') fs.symlinkSync(target, join(folder, name));
      else fs.writeFileSync(join(folder, name), 'inside\n', { flag: 'wx' });
    } catch (error) {
      if (!(error instanceof Error && 'syscall' in error)) throw error;
    }
  }
};

const kernelPath = (path: string): string | null => {
  try {
    return fs.realpathSync.native(path.startsWith('/') ? path : `${at.ws}/${path}`);
  } catch {
    // Missing, a loop, or no folder on the way: nothing to compare with.
    return null;
  }
};

const attack = (ws: Workspace, path: string): void => {
  const kernel = kernelPath(path);
  const code = codeOf(() => {
    const entry = ws.entry(path);
    // A trailing slash after a file is the one thing that is more lenient here.
    if (kernel !== null) expect(join(at.ws, entry.rel)).toBe(kernel);
  });
  if (kernel !== null && kernel !== at.ws && !kernel.startsWith(`${at.ws}/`)) expect(code).not.toBe('ok');
  const seen = [
    attempt(() => readFile(ws, { path }, BOUNDS)),
    attempt(() => listDir(ws, { path, recursive: true }, BOUNDS)),
    attempt(() => findFiles(ws, { path, pattern: '**/*' }, BOUNDS)),
    attempt(() => findFiles(ws, { pattern: `${path}/**` }, BOUNDS)),
    attempt(() => findFiles(ws, { pattern: `{${path},x}/*` }, BOUNDS)),
    attempt(() => editFile(ws, { path, old_text: 'inside', new_text: 'edited' })),
    attempt(() => editFile(ws, { path, old_text: CANARY, new_text: 'gone' })),
    attempt(() => writeFile(ws, { path, content: 'inside\n' })),
    attempt(() => writeFile(ws, { path: `${path}/new/f`, content: 'inside\n' })),
  ].join('\n');
  expect(seen).not.toContain(CANARY);
  // A way around the door that leads to itself would show here.
  expect(seen).not.toContain('/proc/self/fd');
};

test('[TL1] special files are recognised without being opened', async () => {
  execFileSync('mkfifo', [join(at.ws, 'fifo')]);
  fs.mkdirSync(join(at.ws, 'real'));
  fs.symlinkSync('../fifo', join(at.ws, 'real/link'));
  const ws = new Workspace(at.ws);
  for (const path of ['fifo', 'real/link']) {
    // Opening a FIFO for reading would wait for a writer for ever.
    expect(codeOf(() => readFile(ws, { path }, BOUNDS))).toBe('tool-failed');
    expect(codeOf(() => writeFile(ws, { path, content: 'x' }))).toBe('tool-failed');
    expect(codeOf(() => editFile(ws, { path, old_text: 'x', new_text: 'y' }))).toBe('tool-failed');
    await expect(searchFiles(ws, { pattern: 'x', path }, BOUNDS)).rejects.toMatchObject({ code: 'tool-failed' });
  }
  expect((await searchFiles(ws, { pattern: 'x' }, BOUNDS)).result).toBe('[no match]');
  expect(listDir(ws, {}, BOUNDS).result).toContain('fifo\t(special file)');
  expect(findFiles(ws, { pattern: '**' }, BOUNDS).result).toBe('[no file matches]');
  ws.close();
  expect(fs.lstatSync(join(at.ws, 'fifo')).isFIFO()).toBe(true);
});

test('[TL1] a hard link to a file outside is never written through', () => {
  fs.linkSync(join(at.outside, 'secret.txt'), join(at.ws, 'hard'));
  inWorkspace(descriptorLookup, (ws) => {
    editFile(ws, { path: 'hard', old_text: 'one', new_text: 'two' });
    writeFile(ws, { path: 'hard', content: 'three' });
  });
  expect(fs.readFileSync(join(at.outside, 'secret.txt'), 'utf8')).toBe(`${CANARY} one\n`);
});

test('[TL1] search does not leave by its pattern, its glob, a link or an ignore file', async () => {
  fs.symlinkSync(at.outside, join(at.ws, 'dir'));
  fs.symlinkSync('../outside/secret.txt', join(at.ws, 'file'));
  fs.writeFileSync(join(at.ws, 'own.txt'), '--files\n--pre=cat\n');
  const ws = new Workspace(at.ws);
  for (const pattern of ['--files', '--pre=cat', '-e', '--follow', CANARY]) {
    for (const glob of [undefined, '../**', '!x', '--follow', '*']) {
      const { result } = await searchFiles(ws, { pattern, ...(glob === undefined ? {} : { glob }) }, BOUNDS);
      if (pattern === CANARY) expect(result).toBe('[no match]');
      else expect(result).not.toContain(CANARY);
    }
  }
  expect((await searchFiles(ws, { pattern: '--files' }, BOUNDS)).result).toBe('own.txt:1: --files\n');
  for (const path of ['dir', 'file', '../outside', at.outside]) {
    await expect(searchFiles(ws, { pattern: '.', path }, BOUNDS)).rejects.toMatchObject({ code: 'outside-workspace' });
  }
  ws.close();
});

test.each(['../*', 'a/../../x', '/etc/*', '{..,a}/*', '..\\/*', 'a|..'])('[TL1] the glob %s is refused', (pattern) => {
  inWorkspace(descriptorLookup, (ws) => {
    expect(codeOf(() => findFiles(ws, { pattern }, BOUNDS))).toBe('outside-workspace');
  });
});

describe('while somebody swaps folders for links out of the workspace', () => {
  /** `link` points inside and outside in turn, at every instant to one of them; `dir` is a folder and a link in turn. */
  const SWAPPER = `
    const fs = require('node:fs');
    const [ws, outside] = process.argv.slice(1);
    const point = (to) => { fs.symlinkSync(to, ws + '/next'); fs.renameSync(ws + '/next', ws + '/link'); };
    point('kept');
    fs.symlinkSync(outside, ws + '/away');
    process.send('ready');
    for (;;) {
      point(outside);
      fs.renameSync(ws + '/dir', ws + '/aside'); fs.renameSync(ws + '/away', ws + '/dir');
      point('kept');
      fs.renameSync(ws + '/dir', ws + '/away'); fs.renameSync(ws + '/aside', ws + '/dir');
    }`;
  let swapper: ChildProcess | null = null;
  afterEach(() => {
    swapper?.kill('SIGKILL');
  });

  const startSwapper = async (): Promise<void> => {
    for (const folder of ['kept', 'dir']) {
      fs.mkdirSync(join(at.ws, folder, 'sub'), { recursive: true });
      fs.writeFileSync(join(at.ws, folder, 'secret.txt'), 'inside one\n');
      fs.writeFileSync(join(at.ws, folder, 'sub/x.txt'), 'inside two\n');
    }
    const stdio = ['ignore', 'ignore', 'inherit', 'ipc'] as const;
    swapper = spawn(process.execPath, ['-e', SWAPPER, at.ws, at.outside], { stdio: [...stdio] });
    await new Promise((resolve) => swapper!.once('message', resolve));
  };

  test('[TL1] between check and use nothing outside is read, written, listed, found or searched', async () => {
    await startSwapper();
    const before = fingerprint(at.outside);
    const seen = new Set<string>();
    const note = (tool: string, text: string): void => {
      expect(text).not.toContain(CANARY);
      seen.add(`${tool} ${text.startsWith('Error') ? text : 'ok'}`);
    };
    // Both sides of the race have to be met, else this test shows nothing.
    const wanted = ['read', 'write', 'list'].flatMap((t) => [`${t} ok`, `${t} Error (outside-workspace)`]);
    const start = Date.now();
    for (let i = 0; Date.now() < start + 8_000; i++) {
      if (Date.now() > start + 800 && wanted.every((w) => seen.has(w))) break;
      const ws = new Workspace(at.ws, { lookup: descriptorLookup });
      for (const name of ['link', 'dir']) {
        const path = `${name}/secret.txt`;
        note(
          'read',
          attempt(() => readFile(ws, { path }, BOUNDS)),
        );
        note(
          'edit',
          attempt(() => editFile(ws, { path, old_text: 'one', new_text: 'one' })),
        );
        note(
          'list',
          attempt(() => listDir(ws, { path: name, recursive: true }, BOUNDS)),
        );
        note(
          'find',
          attempt(() => findFiles(ws, { pattern: `${name}/**` }, BOUNDS)),
        );
      }
      note(
        'write',
        attempt(() => writeFile(ws, { path: `link/sub/w${i % 3}/f`, content: 'w' })),
      );
      if (i % 10 === 0) note('search', (await searchFiles(ws, { pattern: 'one|two' }, BOUNDS)).result);
      ws.close();
    }
    swapper!.kill('SIGKILL');
    await new Promise((resolve) => swapper!.once('exit', resolve));
    expect(fingerprint(at.outside)).toBe(before);
    expect([...seen]).toEqual(expect.arrayContaining(wanted));
  }, 15_000);
});

test('[TL1] without a workspace every tool answers with a clear error', () => {
  expect(() => new Workspace('')).toThrow(/no workspace/);
  expect(() => new Workspace('relative')).toThrow(/absolute/);
  expect(() => new Workspace(join(at.top, 'missing'))).toThrow(/does not exist/);
  expect(() => new Workspace(join(at.outside, 'secret.txt'))).toThrow(/folder/);
});

test('[TL1] descriptors are given back', () => {
  fs.mkdirSync(join(at.ws, 'a/b/c'), { recursive: true });
  for (let i = 0; i < 300; i++) fs.writeFileSync(join(at.ws, `a/b/f${i}`), 'x\n');
  const count = (): number => fs.readdirSync('/proc/self/fd').length;
  const before = count();
  const ws = new Workspace(at.ws, { lookup: descriptorLookup });
  for (let i = 0; i < 300; i++) readFile(ws, { path: `a/b/f${i}` }, BOUNDS);
  listDir(ws, { recursive: true }, BOUNDS);
  findFiles(ws, { pattern: '**' }, BOUNDS);
  for (let i = 0; i < 50; i++) attempt(() => readFile(ws, { path: 'a/b/c/d/e' }, BOUNDS));
  ws.close();
  expect(count()).toBeLessThanOrEqual(before);
});

test("[PM5] a user's deny holds for the file itself, whatever name or link leads to it, and for what a search would show", async () => {
  fs.mkdirSync(join(at.ws, 'secrets'));
  fs.writeFileSync(join(at.ws, 'secrets', 'key.txt'), 'hidden words');
  fs.writeFileSync(join(at.ws, 'open.txt'), 'hidden words, but open');
  fs.symlinkSync('secrets/key.txt', join(at.ws, 'alias.txt'));
  fs.symlinkSync('secrets', join(at.ws, 'door'));
  const ws = new Workspace(at.ws, { denied: ['secrets/*'] });
  try {
    const names = [
      'secrets/key.txt',
      './secrets//key.txt',
      'alias.txt',
      'door/key.txt',
      join(at.ws, 'secrets/key.txt'),
    ];
    for (const name of names) {
      expect(
        attempt(() => readFile(ws, { path: name } as never, BOUNDS) as ToolResult),
        name,
      ).not.toContain('hidden');
      attempt(() => writeFile(ws, { path: name, content: 'taken' } as never) as ToolResult);
    }
    expect(fs.readFileSync(join(at.ws, 'secrets/key.txt'), 'utf8')).toBe('hidden words');
    attempt(() => writeFile(ws, { path: 'secrets/new.txt', content: 'x' } as never) as ToolResult);
    expect(fs.existsSync(join(at.ws, 'secrets/new.txt'))).toBe(false);
    const found = await searchFiles(ws, { pattern: 'hidden' } as never, BOUNDS);
    expect(found.result).toContain('open.txt');
    expect(found.result).not.toContain('key.txt:');
  } finally {
    ws.close();
  }
});
