import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseStatus, relativeName } from '../../src/tools/git/changes.ts';
import { gitIn, hasGit, putIn, toolsIn } from './git.support.ts';
import { BOUNDS, fingerprint, type Site, site } from './support.ts';

let at: Site;
let git: ReturnType<typeof gitIn>;
let put: ReturnType<typeof putIn>;
beforeEach(() => {
  at = site();
  git = gitIn(at.ws);
  put = putIn(at.ws);
});
afterEach(() => at.remove());

const repository = (): void => {
  git('init', '-q');
  put('a.txt', 'one\ntwo\nthree\n');
  put('dir/b.txt', 'b\n');
  git('add', '.');
  git('commit', '-qm', 'first');
};
const tools = (denied: string[] = []) => toolsIn(at.ws, denied);
const leftovers = (): string[] => fs.readdirSync(tmpdir()).filter((name) => name.startsWith('opta-git-'));

describe.skipIf(!hasGit)('git tools (skipped where git is not installed)', () => {
  test('[TL7] status says the branch, what is staged, what is not, and what is new', async () => {
    repository();
    expect(await tools().status()).toMatch(/^On branch main at [0-9a-f]{10}\n\[nothing has changed\]$/);
    put('a.txt', 'one\n2\nthree\n');
    put('new.txt', 'n');
    put('newdir/x', 'n');
    git('mv', 'dir/b.txt', 'dir/ü "c".txt');
    const lines = (await tools().status()).split('\n');
    expect(lines.slice(1)).toEqual([' M a.txt', 'R  dir/b.txt -> dir/ü "c".txt', '?? new.txt', '?? newdir/', '']);
    expect((await tools().status({ path: 'dir' })).split('\n').slice(1)).toEqual(['R  dir/b.txt -> dir/ü "c".txt', '']);
    expect(await tools().status({ path: '../x' })).toMatch(/^Error \(outside-workspace\)/);
  });

  test('[TL7] diff shows what git shows: unstaged, staged, since a commit, one path', async () => {
    repository();
    put('a.txt', 'one\n2\nthree\n');
    const plain = git('diff', '--full-index');
    expect(plain).toContain('+2');
    expect(await tools().diff()).toBe(plain);
    expect(await tools().diff({ staged: true })).toMatch(/^\[nothing is staged; without staged: true/);
    git('add', '.');
    expect(await tools().diff({ staged: true })).toBe(plain);
    expect(await tools().diff()).toBe('[no unstaged changes; there are staged ones (staged: true)]');
    put('dir/b.txt', 'bb\n');
    expect(await tools().diff({ base: 'HEAD' })).toBe(git('diff', '--full-index', 'HEAD'));
    expect(await tools().diff({ base: 'main', path: 'dir' })).toBe(git('diff', '--full-index', 'HEAD', '--', 'dir'));
    fs.rmSync(join(at.ws, 'a.txt'));
    expect(await tools().diff({ path: 'a.txt' })).toBe(git('diff', '--full-index', '--', 'a.txt'));
    expect(await tools().diff({ base: 'nope' })).toBe('Error (not-found): nope is no commit that this repository has');
    expect(await tools().diff({ base: '--output=x' })).toMatch(/^Error \(/);
    expect(fs.existsSync(join(at.ws, 'x'))).toBe(false);
  });

  test('[TL7] a mode, a link, a binary file, line ends by attributes, and a file whose name is no word', async () => {
    repository();
    fs.symlinkSync('a.txt', join(at.ws, 'link'));
    put('bin', Buffer.from([0, 1, 2]));
    put('é\n"', 'x\n');
    put('win.txt', 'a\r\nb\r\n');
    put('.gitattributes', 'win.txt text eol=crlf\n');
    git('add', '.');
    git('commit', '-qm', 'second');
    fs.chmodSync(join(at.ws, 'a.txt'), 0o755);
    fs.rmSync(join(at.ws, 'link'));
    fs.symlinkSync('/etc', join(at.ws, 'link'));
    put('bin', Buffer.from([0, 1, 3]));
    put('é\n"', 'y\n');
    put('win.txt', 'a\r\nB\r\n');
    const mine = await tools().diff();
    expect(mine).toBe(git('-c', 'core.quotePath=false', 'diff', '--full-index'));
    expect(mine).toContain('new mode 100755');
    expect(mine).toContain('+/etc');
    expect(mine).toContain('Binary files');
    expect(mine).toContain('"a/é\\n\\""');
    expect(mine.match(/^-b$/gm)).toHaveLength(1);
    expect(await tools().status()).toContain(' M é\\u{a}"\n');
  });

  test('[TL7] no repository, an empty one, a detached head, a subfolder, one above', async () => {
    expect(await tools().status()).toBe('Error (tool-failed): there is no git repository in the workspace');
    fs.mkdirSync(join(at.ws, '.git'));
    expect(await tools().log()).toMatch(/there is no git repository/);
    git('init', '-q');
    expect(await tools().status()).toBe('No commits yet on main\n[nothing has changed]');
    expect(await tools().log()).toBe('[there are no commits yet]');
    put('a', 'a\n');
    git('add', '.');
    expect(await tools().diff({ staged: true })).toContain('+a\n');
    git('commit', '-qm', 'c');
    git('checkout', '-q', '--detach');
    expect(await tools().status()).toMatch(/^HEAD detached at [0-9a-f]{10}\n/);
    fs.mkdirSync(join(at.ws, 'sub', 'own'), { recursive: true });
    expect(await toolsIn(join(at.ws, 'sub')).status()).toMatch(/begins in a folder above it, which is outside/);
    gitIn(join(at.ws, 'sub', 'own'))('init', '-q');
    put('sub/own/f', 'f');
    for (const path of ['sub/own', 'sub/own/f', './sub//own/x/../f', join(at.ws, 'sub/own')])
      expect(await tools().status({ path })).toBe('No commits yet on main\n?? sub/own/f\n[the repository is sub/own]');
  });

  test('[TL7] log is one line a commit, of a path too, and says that there are older ones', async () => {
    repository();
    put('dir/b.txt', 'c\n');
    git('commit', '-qam', 'second: \u202e\u001b[31m\n\nbody');
    const lines = (await tools().log()).split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/^[0-9a-f]{10} \d{4}-\d\d-\d\dT\S+ A U Thor: second: \\u\{202e\}\\u\{1b\}\[31m$/);
    expect(await tools().log({ path: 'a.txt' })).toMatch(/first\n$/);
    expect(await tools().log({ limit: 1 })).toMatch(/\n\[there are older ones; ask with a larger limit\]$/);
    expect(await tools().log({ path: 'gone' })).toBe('[no commit touches it]');
  });

  test('[TL7] a conflict is shown against our side; what is ignored is not; a worktree inside works', async () => {
    repository();
    put('.gitignore', 'junk\n');
    put('.git/info/exclude', 'own\n');
    git('add', '.');
    git('commit', '-qm', 'ignore');
    git('branch', 'other');
    put('a.txt', 'one\nours\nthree\n');
    git('commit', '-qam', 'ours');
    git('checkout', '-q', 'other');
    put('a.txt', 'one\ntheirs\nthree\n');
    git('commit', '-qam', 'theirs');
    expect(() => git('merge', 'main')).toThrow();
    put('junk', 'j');
    put('own', 'o');
    expect((await tools().status()).split('\n').slice(1)).toEqual(['UU a.txt', '']);
    expect(await tools().diff()).toMatch(/\+<<<<<<< HEAD\n theirs\n\+=======\n\+ours\n\+>>>>>>> main\n/);
    git('merge', '--abort');
    git('worktree', 'add', '-q', 'tree', 'main');
    put('tree/a.txt', 'in the tree\n');
    expect(await tools().status({ path: 'tree' })).toMatch(/^On branch main at .*\n M tree\/a.txt\n/);
    expect(await tools().diff({ path: 'tree/a.txt' })).toContain('+in the tree');
  });

  test('[TL7, PM5] a path that the rules deny is in no diff, staged or not, under no name of a rename, and in no status', async () => {
    repository();
    put('secret/key', 'one secret line\n');
    put('s.env', 'an old secret\n');
    git('add', '.');
    git('commit', '-qm', 'secrets');
    put('secret/key', 'another secret line\n');
    put('a.txt', 'open\n');
    git('mv', 's.env', 'renamed.env');
    put('secret/new', 'x');
    const denied = tools(['secret/*', '*.env']);
    for (const args of [{}, { staged: true }, { base: 'HEAD' }, { base: 'HEAD~1' }, { path: 'secret' }]) {
      const said = await denied.diff(args);
      expect(said, JSON.stringify(args)).not.toMatch(/secret line|old secret|secret\/key|s\.env|renamed/);
    }
    expect(await denied.diff()).toContain('+open');
    expect(await denied.diff({ base: 'HEAD' })).toContain("files left out: denied by the user's rules");
    expect(await denied.diff({ path: 'secret/key' })).toBe(
      "Error (tool-failed): secret/key is denied by the user's rules",
    );
    expect(await denied.log({ path: 's.env' })).toMatch(/denied by the user's rules/);
    const status = await denied.status();
    expect(status).not.toMatch(/key|env/);
    expect(status).toContain(' M a.txt\n');
  });

  test('[TL7] nothing is written, in the repository or elsewhere', async () => {
    repository();
    put('a.txt', 'changed\n');
    fs.utimesSync(join(at.ws, 'dir/b.txt'), 1, 1);
    const before = fingerprint(at.top);
    const left = leftovers();
    await tools().status();
    await tools().diff();
    await tools().diff({ base: 'HEAD' });
    await tools().log();
    expect(fingerprint(at.top)).toBe(before);
    expect(leftovers().filter((name) => !left.includes(name))).toEqual([]);
  });

  test('[TL7] a file that was changed in the moment of its commit is seen, though size and time are those of the index', async () => {
    repository();
    const { mtime, atime } = fs.statSync(join(at.ws, '.git/index'));
    put('a.txt', 'ONE\ntwo\nthree\n');
    fs.utimesSync(join(at.ws, 'a.txt'), atime, mtime);
    expect(await tools().status()).toContain(' M a.txt');
  });

  test('[TL7, SV3] a diff keeps within its budget, and one that takes too long is ended', async () => {
    repository();
    put('a.txt', 'line of text\n'.repeat(100_000));
    const said = await tools().diff({}, { ...BOUNDS, outputBytesMax: 4_096 });
    expect(Buffer.byteLength(said)).toBeLessThanOrEqual(4_096);
    expect(said).toMatch(/\[cut: \d+ of \d+ bytes shown\]$/);
    expect(await tools().diff({}, { ...BOUNDS, deadlineMs: 0 })).toMatch(/^Error \(tool-timeout\)/);
    put('a.txt', Buffer.alloc(17 << 20, 'x\n'));
    expect(await tools().diff()).toContain('1 files not compared: a.txt (larger than 16777216 bytes)');
  });
});

test('[TL7] what git says of changes is read as it is meant, whatever the names are', () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((s) => !s.includes('\0'));
  const id = 'a'.repeat(40);
  const change = fc.oneof(
    name.map((path) => ({ line: [`1 .M N... 100644 100644 100644 ${id} ${id} ${path}`], xy: ' M', path, from: null })),
    fc.tuple(name, name).map(([path, from]) => ({
      line: [`2 R. N... 100644 100644 100644 ${id} ${id} R100 ${path}`, from],
      xy: 'R ',
      path,
      from,
    })),
    name.map((path) => ({
      line: [`u UU N... 100644 100644 100644 100644 ${id} ${id} ${id} ${path}`],
      xy: 'UU',
      path,
      from: null,
    })),
    name.map((path) => ({ line: [`? ${path}`], xy: '??', path, from: null })),
  );
  fc.assert(
    fc.property(fc.array(change), (all) => {
      const read = parseStatus(['# branch.oid (initial)', '# branch.head x', ...all.flatMap((c) => c.line)]);
      expect(read.changes.map(({ xy, path, from }) => ({ xy, path, from }))).toEqual(
        all.map(({ xy, path, from }) => ({ xy, path, from })),
      );
      expect(read.head).toBe('No commits yet on x');
    }),
  );
});

test('[TL7] a path is taken by name, and none leads above the workspace', () => {
  const ws = { root: '/r', entry: () => expect.fail('not asked') };
  const part = fc.constantFrom('a', 'b', '..', '.', '');
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), fc.boolean(), (parts, whole) => {
      const path = `${whole ? '/r/' : ''}${parts.join('/')}`;
      if (path.startsWith('/') && !whole) return;
      let depth = 0;
      const leaves = parts.some((p) => {
        depth += p === '..' ? -1 : p === '' || p === '.' ? 0 : 1;
        return depth < 0;
      });
      if (leaves) expect(() => relativeName(ws, path)).toThrow(/outside/);
      else expect(join('/r', relativeName(ws, path))).toBe(join('/r', parts.join('/')).replace(/(?<=.)\/$/, ''));
    }),
  );
});
