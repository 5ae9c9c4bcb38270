import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { projectRules } from '../../src/config/project.ts';
import { diffOf } from '../../src/operations/diff.ts';
import { gitCheck } from '../../src/operations/doctor-tools.ts';
import { git as runGit } from '../../src/operations/git.ts';
import { scaffold } from '../../src/operations/init.ts';
import type { Call } from '../../src/protocol/operations.ts';
import { cli, removeDir, tempDir } from '../support/cli.ts';

let dir: string;
let work: string;
beforeEach(() => {
  dir = tempDir();
  work = join(dir, 'project');
  mkdirSync(work);
});
afterEach(() => removeDir(dir));

/** Nobody's own git settings count. */
const env = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' };
const git = (...args: string[]): string =>
  execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], {
    cwd: work,
    env,
    encoding: 'utf8',
  });
const write = (name: string, text: string): void => writeFileSync(join(work, name), text);

const noCall: Call = () => Promise.reject(new Error('no daemon is needed'));
/** A daemon with one session whose tools wrote these paths. */
const wrote = (...paths: string[]): Call =>
  (async () => ({
    sessionId: 's',
    workspace: work,
    messages: [
      { role: 'user', content: 'x' },
      {
        role: 'assistant',
        content: '',
        tool_calls: [
          ...paths.map((path) => ({ function: { name: 'write_file', arguments: JSON.stringify({ path }) } })),
          { function: { name: 'read_file', arguments: '{"path":"other.txt"}' } },
          { function: { name: 'edit_file', arguments: '{"path":"cut sho' } },
        ],
      },
    ],
  })) as unknown as Call;

describe('diff', { timeout: 120_000 }, () => {
  test('[OP8] shows changed and new files against the last commit, also before the first one', async () => {
    git('init', '-q');
    write('new.txt', 'one\n');
    const early = await diffOf({ workspace: work }, { call: noCall, env });
    expect(early).toMatchObject({ repository: work, files: [{ path: 'new.txt', status: '??' }], truncated: false });
    git('add', '.');
    expect((await diffOf({ workspace: work }, { call: noCall, env })).diff).toContain('+one');
    git('commit', '-qm', 'x');
    expect(await diffOf({ workspace: work }, { call: noCall, env })).toMatchObject({ files: [], diff: '' });
    write('new.txt', 'two\n');
    mkdirSync(join(work, 'sub'));
    write('sub/fresh file.txt', 'fresh\n');
    const { diff, files } = await diffOf({ workspace: join(work, 'sub') }, { call: noCall, env });
    // A folder is its own limit.
    expect(files).toEqual([{ path: 'sub/fresh file.txt', status: '??' }]);
    expect(diff).toContain('+fresh');
    expect(diff).not.toContain('+two');
    const all = await diffOf({ workspace: work }, { call: noCall, env });
    expect(all.diff).toMatch(/-one\n\+two\n[\s\S]*\+fresh\n/);
    git('stash', '-qu');
    execFileSync('git', ['apply'], { cwd: work, input: all.diff, env });
    expect(readFileSync(join(work, 'sub', 'fresh file.txt'), 'utf8')).toBe('fresh\n');
  });

  test('[OP8] of a session: only what its tools wrote, and nothing outside its folder', async () => {
    git('init', '-q');
    for (const name of ['mine.txt', 'other.txt', '*.txt']) write(name, 'old\n');
    git('add', '.');
    git('commit', '-qm', 'x');
    for (const name of ['mine.txt', 'other.txt', '*.txt', 'born.txt']) write(name, 'now\n');
    const of = (...paths: string[]) => diffOf({ session: 's' }, { call: wrote(...paths), env });
    expect((await of('mine.txt', './born.txt')).files.map((f) => f.path)).toEqual(['mine.txt', 'born.txt']);
    // A name is a name and no pattern.
    expect((await of('*.txt')).files.map((f) => f.path)).toEqual(['*.txt']);
    expect(await of('../elsewhere', '/etc/passwd', 'a\0b')).toMatchObject({ session: 's', files: [], diff: '' });
    for (const workspace of [`${work}\0`, 'project'])
      await expect(diffOf({ workspace }, { call: noCall, env })).rejects.toMatchObject({ code: 'invalid-request' });
    expect(await of()).toMatchObject({ files: [], diff: '' });
  });

  test('[OP8] nothing that a repository configures is run, and outside one there is nothing', async () => {
    git('init', '-q');
    const trap = join(dir, 'ran');
    write('trap.sh', `#!/bin/sh\ntouch '${trap}'\n`);
    execFileSync('chmod', ['+x', join(work, 'trap.sh')]);
    write('a.txt', 'a\n');
    write('.gitattributes', '*.txt diff=trap\n');
    git('add', '.');
    git('commit', '-qm', 'x');
    for (const key of ['core.fsmonitor', 'diff.external', 'diff.trap.textconv', 'diff.trap.command'])
      git('config', key, join(work, 'trap.sh'));
    write('a.txt', 'b\n');
    expect((await diffOf({ workspace: work }, { call: noCall, env })).diff).toContain('-a\n+b');
    expect(() => readFileSync(trap)).toThrow('ENOENT');

    // Filters run over each file that is looked at: of the repository, and of one inside of it.
    git('config', '--unset', 'core.fsmonitor');
    const inner = join(work, 'inner');
    mkdirSync(inner);
    for (const at of [inner, work]) {
      const here = (...args: string[]) => git('-C', at, ...args);
      if (at === inner) here('init', '-q');
      const driver = at === inner ? 'within' : 'a=b';
      writeFileSync(join(at, '.gitattributes'), `*.txt filter=${driver}\n`);
      writeFileSync(join(at, 'f.txt'), 'a\n');
      here('-c', 'advice.addEmbeddedRepo=false', 'add', '-A', '.');
      here('commit', '-qm', 'x');
      here('config', `filter.${driver}.required`, 'true');
      here('config', `filter.${driver}.clean`, join(work, 'trap.sh'));
      writeFileSync(join(at, 'f.txt'), 'c\n');
    }
    expect((await diffOf({ workspace: work }, { call: noCall, env })).diff).toContain('-a\n+c');
    expect((await gitCheck(work, env)).message).toContain('uncommitted');
    expect(() => readFileSync(trap)).toThrow('ENOENT');

    // What a repository lacks is fetched where it says, by what it says.
    const lost = git('rev-parse', 'HEAD:f.txt').trim();
    rmSync(join(work, '.git', 'objects', lost.slice(0, 2), lost.slice(2)));
    for (const [key, value] of [
      ['core.repositoryformatversion', '1'],
      ['extensions.partialClone', 'origin'],
      ['remote.origin.promisor', 'true'],
      ['remote.origin.url', `ext::${join(work, 'trap.sh')}`],
      ['protocol.ext.allow', 'always'],
    ] as const)
      git('config', key, value);
    await diffOf({ workspace: work }, { call: noCall, env });
    expect(() => readFileSync(trap)).toThrow('ENOENT');

    const outside = join(dir, 'plain');
    mkdirSync(outside);
    expect(await diffOf({ workspace: outside }, { call: noCall, env })).toMatchObject({ repository: null, diff: '' });
  });

  test('[OP8][SV3] many that ask at once start a few programs at a time', async () => {
    const [bin, log] = [join(dir, 'bin'), join(dir, 'log')];
    mkdirSync(bin);
    writeFileSync(join(bin, 'git'), `#!/bin/sh\necho + >> '${log}'\nsleep 0.1\necho - >> '${log}'\n`, { mode: 0o755 });
    const slow = { env: { PATH: `${bin}:${process.env.PATH}` } };
    const control = new AbortController();
    const asked = Array.from({ length: 7 }, () => runGit(['--version'], slow));
    const left = runGit(['--version'], { ...slow, signal: control.signal });
    control.abort();
    expect(await Promise.all(asked)).toEqual(Array(7).fill(''));
    expect(await left).toBeNull();
    const lines = readFileSync(log, 'utf8').trim().split('\n');
    const running = lines.map((_, i) => lines.slice(0, i + 1).reduce((n, line) => n + (line === '+' ? 1 : -1), 0));
    expect([lines.length, Math.max(...running)]).toEqual([14, 2]);
  });

  test('[OP8] the command: the diff on stdout as it is, the rest on stderr, and exit 0 in any case', async () => {
    const run = (...args: string[]) => cli(dir, ['diff', ...args], { cwd: work, env });
    expect(await run()).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('no git repository') });
    git('init', '-q');
    write('a.txt', 'a\u001b[31m\n');
    expect(await run()).toMatchObject({ code: 0, stdout: expect.stringContaining('+a\u001b[31m\n'), stderr: '' });
    expect(JSON.parse((await run('--json')).stdout)).toMatchObject({ workspace: work, files: [{ path: 'a.txt' }] });
  });
});

describe('init', { timeout: 120_000 }, () => {
  test('[OP9] writes both files, keeps what is there, replaces it only by force, and its rules count', () => {
    write('package.json', '{"name":"thing","scripts":{"test":"x","build":"y"}}');
    const config = join('.opta', 'config.json');
    expect(scaffold(work)).toEqual({ workspace: work, created: [config, 'AGENTS.md'], replaced: [], kept: [] });
    expect(readFileSync(join(work, 'AGENTS.md'), 'utf8')).toMatch(
      /^# thing\n[\s\S]*\* `npm run build`\n\* `npm run test`\n/,
    );
    const warned: string[] = [];
    const rules = projectRules(work, (why) => warned.push(why), { OPTA_HOME: dir, HOME: dir });
    expect(rules).toEqual(['*.env', '*.env.*', '*.pem'].map((path) => ({ tool: '*', path, action: 'deny' })));
    expect(warned).toEqual([]);
    write('AGENTS.md', 'mine');
    expect(scaffold(work)).toMatchObject({ created: [], replaced: [], kept: [config, 'AGENTS.md'] });
    expect(readFileSync(join(work, 'AGENTS.md'), 'utf8')).toBe('mine');
    expect(scaffold(work, { force: true })).toMatchObject({ replaced: [config, 'AGENTS.md'], kept: [] });
    expect(readFileSync(join(work, 'AGENTS.md'), 'utf8')).toMatch(/^# thing/);
  });

  test('[OP9] a link that leads nowhere counts as there; a folder that is none is refused', () => {
    symlinkSync(join(dir, 'nowhere'), join(work, 'AGENTS.md'));
    expect(scaffold(work).kept).toEqual(['AGENTS.md']);
    expect(() => readFileSync(join(dir, 'nowhere'))).toThrow('ENOENT');
    for (const bad of ['relative', join(work, 'absent'), join(work, '.opta', 'config.json')])
      expect(() => scaffold(bad)).toThrow(expect.objectContaining({ code: 'invalid-request' }));
  });

  test('[OP9] nothing is written through a link, by force neither, and what is no file is not waited for', () => {
    const mine = join(dir, 'mine.rc');
    writeFileSync(mine, 'mine');
    symlinkSync(mine, join(work, 'AGENTS.md'));
    execFileSync('mkfifo', [join(work, 'package.json')]);
    expect(scaffold(work, { force: true }).replaced).toEqual(['AGENTS.md']);
    expect(readFileSync(mine, 'utf8')).toBe('mine');
    expect(lstatSync(join(work, 'AGENTS.md')).isFile()).toBe(true);
    expect(readFileSync(join(work, 'AGENTS.md'), 'utf8')).toMatch(/^# project\n/);
    rmSync(join(work, 'package.json'));
    write('package.json', JSON.stringify({ name: 'x\nrm -rf /\n' }));
    scaffold(work, { force: true });
    expect(readFileSync(join(work, 'AGENTS.md'), 'utf8')).toMatch(/^# x rm -rf \/\n\n/);

    rmSync(join(work, '.opta'), { recursive: true });
    symlinkSync(dir, join(work, '.opta'));
    write('AGENTS.md', 'mine');
    expect(() => scaffold(work, { force: true })).toThrow(expect.objectContaining({ code: 'invalid-request' }));
    expect(() => readFileSync(join(dir, 'config.json'))).toThrow('ENOENT');
  });

  test('[OP9] the command, without a terminal, asks nothing', async () => {
    const run = (...args: string[]) => cli(dir, ['init', ...args], { cwd: work });
    const first = await run();
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toMatch(/^created {3}\.opta.config\.json\ncreated {3}AGENTS\.md\n$/);
    expect((await run('-y')).stdout).toMatch(/^kept .*\(--force replaces it\)\n/);
    const forced = await run('--yes', '--force', '--json');
    expect(JSON.parse(forced.stdout)).toMatchObject({
      workspace: work,
      replaced: expect.arrayContaining(['AGENTS.md']),
    });
  });
});
