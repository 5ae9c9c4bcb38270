import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { gitFailed, programFolders } from '../../src/tools/git/process.ts';
import { gitIn, hasGit, putIn, toolsIn } from './git.support.ts';
import { CANARY, fingerprint, processes, runner, type Site, site, starter } from './support.ts';

/**
 * Repositories that were made to do harm. Each has a trap that leaves a mark when it is run; where ordinary git falls into it, the test
 * makes sure of that first, so that it is a trap.
 */
let at: Site;
let git: ReturnType<typeof gitIn>;
let put: ReturnType<typeof putIn>;
let mark: string;
let trap: string;
beforeEach(() => {
  at = site();
  git = gitIn(at.ws);
  put = putIn(at.ws);
  mark = join(at.top, 'sprung');
  trap = join(at.ws, 'trap.sh');
  git('init', '-q');
  // A filter gives back what it gets; whoever calls with words is left without an answer.
  put('trap.sh', `#!/bin/sh\necho sprung >> '${mark}'\n[ $# -gt 0 ] || cat\n`);
  fs.chmodSync(trap, 0o755);
  put('a.txt', 'one\n');
  put('sub/b.txt', 'b\n');
  git('add', '.');
  git('commit', '-qm', 'first');
});
afterEach(() => at.remove());

const sprung = (): boolean => fs.existsSync(mark);
const disturb = (): void => put('a.txt', 'two\n');

/** Everything that the tools do. */
const everything = async (folder = at.ws): Promise<string> => {
  const tools = toolsIn(folder);
  const said = [await tools.status(), await tools.status({ path: 'sub' })];
  for (const args of [{}, { staged: true }, { base: 'HEAD' }, { base: 'main' }, { path: 'a.txt' }])
    said.push(await tools.diff(args));
  said.push(await tools.log(), await tools.log({ path: 'a.txt' }));
  return said.join('\n');
};

/** What somebody at a terminal would do; a failure counts as little as a success. */
const ordinary = (...args: string[]): void => {
  try {
    git(...args);
  } catch {
    // Only what was run on the way matters.
  }
};

const ATTRIBUTES = '*.txt filter=evil diff=evil\n';

const LIVE: [what: string, set: () => void, falls: string[][]][] = [
  ['core.fsmonitor', () => git('config', 'core.fsmonitor', trap), [['status']]],
  ['diff.external', () => git('config', 'diff.external', trap), [['diff']]],
  [
    'textconv',
    () => {
      put('.gitattributes', ATTRIBUTES);
      git('config', 'diff.evil.textconv', trap);
    },
    [['diff']],
  ],
  [
    'an own diff command',
    () => {
      put('.gitattributes', ATTRIBUTES);
      git('config', 'diff.evil.command', trap);
    },
    [['diff']],
  ],
  [
    'a clean filter',
    () => {
      put('.gitattributes', ATTRIBUTES);
      git('config', 'filter.evil.clean', trap);
    },
    [['status'], ['diff']],
  ],
  [
    'a filter process',
    () => {
      put('.gitattributes', ATTRIBUTES);
      git('config', 'filter.evil.process', trap);
      git('config', 'filter.evil.required', 'true');
    },
    [['status']],
  ],
  [
    'a filter whose name has dots and a line end, by attributes that are not tracked',
    () => {
      put('.git/info/attributes', '*.txt filter=e.v.il\n');
      git('config', 'filter.e.v.il.clean', trap);
      git('config', 'filter.e\u00e9 x.clean', trap);
    },
    [['status']],
  ],
  [
    'settings that are included',
    () => {
      put('.gitattributes', ATTRIBUTES);
      put('more', `[filter "evil"]\n\tclean = ${trap}\n[core]\n\tfsmonitor = ${trap}\n`);
      git('config', 'include.path', '../more');
      git('config', 'includeIf.gitdir:**.path', '../more');
    },
    [['status']],
  ],
  [
    'settings of the worktree',
    () => {
      git('config', 'extensions.worktreeConfig', 'true');
      put('.git/config.worktree', `[core]\n\tfsmonitor = ${trap}\n`);
    },
    [['status']],
  ],
  [
    'core.pager',
    () => {
      git('config', 'core.pager', trap);
      git('config', 'pager.log', trap);
    },
    // Only where somebody sits at a terminal.
    [],
  ],
  [
    'a hook after the index was written',
    () => {
      fs.copyFileSync(trap, join(at.ws, '.git/hooks/post-index-change'));
      git('config', 'core.hooksPath', '.git/hooks');
    },
    [['add', '.']],
  ],
  [
    'gpg.program',
    () => {
      const signed = git('cat-file', 'commit', 'HEAD').replace(
        '\n\n',
        '\ngpgsig -----BEGIN PGP SIGNATURE-----\n x\n -----END PGP SIGNATURE-----\n\n',
      );
      put('.git/signed', signed);
      git('update-ref', 'HEAD', git('hash-object', '-w', '-t', 'commit', '.git/signed').trim());
      git('config', 'gpg.program', trap);
      git('config', 'log.showSignature', 'true');
    },
    [['log']],
  ],
  [
    'a submodule with a monitor of its own',
    () => {
      put('mod/f', 'f\n');
      const inner = gitIn(join(at.ws, 'mod'));
      inner('init', '-q');
      inner('add', '.');
      inner('commit', '-qm', 'm');
      git('add', 'mod');
      git('commit', '-qm', 'with a module');
      inner('config', 'core.fsmonitor', trap);
      put('mod/f', 'g\n');
    },
    [['status']],
  ],
  [
    'objects that would be fetched when they are missed',
    () => {
      disturb();
      git('commit', '-qam', 'second');
      git('config', 'core.repositoryformatversion', '1');
      git('config', 'extensions.partialClone', 'origin');
      git('config', 'remote.origin.promisor', 'true');
      git('config', 'remote.origin.url', `ext::${trap} %S`);
      git('config', 'protocol.ext.allow', 'always');
      const id = git('rev-parse', 'HEAD:a.txt').trim();
      fs.rmSync(join(at.ws, '.git/objects', id.slice(0, 2), id.slice(2)), { force: true });
    },
    [['diff', 'HEAD~1', 'HEAD']],
  ],
  [
    'ssh, credentials and aliases',
    () => {
      git('config', 'core.sshCommand', trap);
      git('config', 'credential.helper', trap);
      git('config', 'core.askPass', trap);
      git('config', 'core.gitProxy', trap);
      git('config', 'core.alternateRefsCommand', trap);
      git('config', 'core.editor', trap);
      for (const name of ['status', 'diff', 'log', 'st']) git('config', `alias.${name}`, `!${trap}`);
    },
    [['st']],
  ],
];

/** `sub` is a folder and a link out in turn, for some ten milliseconds each, so that git may meet either. */
const SWAPPER = `
  const fs = require('node:fs');
  const [ws, outside] = process.argv.slice(1);
  const nap = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.random() * 20);
  fs.symlinkSync(outside, ws + '/.git/away');
  process.send('ready');
  for (;;) {
    fs.renameSync(ws + '/sub', ws + '/.git/aside'); fs.renameSync(ws + '/.git/away', ws + '/sub');
    nap();
    fs.renameSync(ws + '/sub', ws + '/.git/away'); fs.renameSync(ws + '/.git/aside', ws + '/sub');
    nap();
  }`;

describe.skipIf(!hasGit)('a hostile repository (skipped where git is not installed)', () => {
  test.each(LIVE)('[TL7] runs nothing: %s', async (_what, set, falls) => {
    set();
    disturb();
    fs.rmSync(mark, { force: true });
    for (const args of falls) {
      ordinary(...args);
      expect(sprung(), `git ${args.join(' ')} does not fall into the trap`).toBe(true);
      fs.rmSync(mark, { force: true });
    }
    const said = await everything();
    expect(sprung(), said).toBe(false);
    // It was not only refused.
    expect(said).toMatch(/^On branch main at /);
  });

  test('[TL7] runs no program of the workspace that is called git', async () => {
    put('node_modules/.bin/git', `#!/bin/sh\necho sprung >> '${mark}'\n`);
    fs.chmodSync(join(at.ws, 'node_modules/.bin/git'), 0o755);
    fs.copyFileSync(join(at.ws, 'node_modules/.bin/git'), join(at.ws, 'git'));
    const before = process.env.PATH;
    try {
      process.env.PATH = `.::bin:${join(at.ws, 'node_modules/.bin')}:${at.ws}:${before}`;
      expect(await everything()).toMatch(/^On branch main at /);
    } finally {
      process.env.PATH = before;
    }
    expect(sprung()).toBe(false);
    expect(programFolders('/bin:/r/x:/r:r:/rr:/usr/../r/y:', '/r')).toBe('/bin:/rr');
  });

  const elsewhere = (): { folder: string; git: ReturnType<typeof gitIn> } => {
    const folder = join(at.outside, 'private');
    fs.mkdirSync(folder);
    const theirs = gitIn(folder);
    theirs('init', '-q');
    putIn(folder)('secret', `${CANARY}\n`);
    theirs('add', '.');
    theirs('commit', '-qm', CANARY);
    return { folder, git: theirs };
  };

  const AWAY: [what: string, lead: (outside: string) => void][] = [
    ['.git is a file that names a folder outside', (o) => swap('.git', () => put('.git', `gitdir: ${o}/.git\n`))],
    [
      '.git is a file with a way out',
      (o) => swap('.git', () => put('.git', `gitdir: ../outside/${o.split('/').at(-1)}/.git`)),
    ],
    ['.git is a link', (o) => swap('.git', () => fs.symlinkSync(`${o}/.git`, join(at.ws, '.git')))],
    ['the folder that is shared is outside', (o) => put('.git/commondir', `${o}/.git\n`)],
    ['the working tree is outside', (o) => void git('config', 'core.worktree', o)],
    ['objects are borrowed from outside', (o) => put('.git/objects/info/alternates', `${o}/.git/objects\n`)],
    ...['objects', 'objects/pack', 'objects/info', 'refs', 'HEAD', 'index', 'config', 'packed-refs', 'info'].map(
      (name): [string, (o: string) => void] => [
        `${name} is a link`,
        (o) =>
          swap(`.git/${name}`, () => {
            fs.symlinkSync(join(o, '.git', name), join(at.ws, '.git', name));
          }),
      ],
    ),
    [
      'one folder of objects is a link',
      (o) => {
        const [first] = fs.readdirSync(join(o, '.git/objects')).filter((n) => n.length === 2);
        fs.rmSync(join(at.ws, '.git/objects', first as string), { recursive: true, force: true });
        fs.symlinkSync(join(o, '.git/objects', first as string), join(at.ws, '.git/objects', first as string));
      },
    ],
    [
      'the refs hold a link',
      (o) =>
        swap('.git/refs/heads/main', () =>
          fs.symlinkSync(join(o, '.git/refs/heads/main'), join(at.ws, '.git/refs/heads/main')),
        ),
    ],
  ];
  const swap = (path: string, make: () => void): void => {
    fs.rmSync(join(at.ws, path), { recursive: true, force: true });
    make();
  };

  test.each(AWAY)('[TL1, TL7] shows nothing from outside the workspace: %s', async (_what, lead) => {
    const outside = elsewhere();
    lead(outside.folder);
    disturb();
    const before = fingerprint(at.outside);
    const said = await everything();
    expect(said).not.toContain(CANARY);
    expect(said).not.toContain(outside.git('rev-parse', 'HEAD').trim().slice(0, 10));
    expect(said).toMatch(/Error \((?:outside-workspace|tool-failed)\)|commits yet|On branch main/);
    expect(fingerprint(at.outside)).toBe(before);
  });

  test('[TL7] a repository whose parts lie outside is refused in words', async () => {
    const { folder } = elsewhere();
    put('.git/objects/info/alternates', `${folder}/.git/objects\n`);
    expect(await toolsIn(at.ws).log()).toBe(
      'Error (outside-workspace): the repository borrows objects from another folder; git is not run there',
    );
    fs.rmSync(join(at.ws, '.git/objects/info/alternates'));
    git('config', 'core.worktree', folder);
    expect(await toolsIn(at.ws).status()).toBe(
      "Error (outside-workspace): its working tree is outside the session's workspace; git is not run there",
    );
    git('config', 'core.worktree', '../sub');
    expect(await toolsIn(at.ws).status()).toMatch(/the working tree of the repository is another folder/);
    swap('.git', () => put('.git', `gitdir: ${folder}/.git\n`));
    expect(await toolsIn(at.ws).diff()).toBe(
      "Error (outside-workspace): its .git folder is outside the session's workspace; git is not run there",
    );
  });

  test('[TL1, TL7] an index that names files outside is refused', async () => {
    const id = git('hash-object', '-w', 'a.txt').trim();
    // Git would not write such a name itself; the file is changed by hand, and its sum made right.
    put('xx/outside/secret.txt', 'guess\n');
    git('update-index', '--add', '--cacheinfo', `100644,${id},xx/outside/secret.txt`);
    const file = join(at.ws, '.git/index');
    const bytes = fs.readFileSync(file).subarray(0, -20);
    const changed = Buffer.from(
      bytes.toString('latin1').replace('xx/outside/secret.txt', '../outside/secret.txt'),
      'latin1',
    );
    const sum = execFileSync('sha1sum', { input: changed }).toString().slice(0, 40);
    fs.writeFileSync(file, Buffer.concat([changed, Buffer.from(sum, 'hex')]));
    expect(git('ls-files')).toContain('../outside/secret.txt');
    const said = await everything();
    expect(said).toContain('Error (outside-workspace): the index of the repository names ../outside/secret.txt');
    expect(said).not.toContain(CANARY);
  });

  test('[TL1, TL7] a tracked file that is a link now is compared as a link, and a folder that is one as gone', async () => {
    swap('a.txt', () => fs.symlinkSync(join(at.outside, 'secret.txt'), join(at.ws, 'a.txt')));
    swap('sub', () => fs.symlinkSync(join(at.outside, 'sub'), join(at.ws, 'sub')));
    fs.writeFileSync(join(at.outside, 'sub', 'b.txt'), `${CANARY} three\n`);
    const said = await toolsIn(at.ws).diff();
    expect(said).toContain(`+${join(at.outside, 'secret.txt')}`);
    expect(said).toMatch(/^diff --git a\/sub\/b.txt b\/sub\/b.txt\ndeleted file mode 100644$/m);
    expect(said).not.toContain(`${CANARY} `);
    expect(await toolsIn(at.ws).status()).not.toContain(CANARY);
  });

  test('[TL1, TL7] a repository inside that stands for one outside shows nothing of it, in complaints neither', async () => {
    const { folder } = elsewhere();
    fs.writeFileSync(join(folder, '.git', 'config'), `${CANARY} is no setting\n`);
    put('mod/.git', `gitdir: ${folder}/.git\n`);
    git('update-index', '--add', '--cacheinfo', `160000,${'1'.repeat(40)},mod`);
    put('new/.git', `gitdir: ${folder}/.git\n`);
    const said = await everything();
    expect(said).not.toContain(CANARY);
    expect(said).not.toContain(at.outside);
    expect(await toolsIn(at.ws).status({ path: 'mod' })).toMatch(
      /^Error \(outside-workspace\): its .git folder is outside/,
    );
    const complaint = `fatal: bad line in file ${folder}/config: 'x'`;
    expect(gitFailed('status', { exit: 128, complaint }).message).toBe(
      "git status failed (exit 128): fatal: bad line in file …: 'x'",
    );
  });

  test('[TL1, TL7] nothing from outside is shown while somebody swaps a tracked folder for a link out', async () => {
    fs.writeFileSync(join(at.outside, 'sub', 'b.txt'), `${CANARY} three\n`);
    put('sub/b.txt', 'changed\n');
    const swapper = spawn(process.execPath, ['-e', SWAPPER, at.ws, join(at.outside, 'sub')], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    try {
      await new Promise((resolve) => swapper.once('message', resolve));
      const tools = toolsIn(at.ws);
      const seen = new Set<string>();
      const end = Date.now() + 10_000;
      // Both sides of the race have to be met, else this test shows nothing.
      while (Date.now() < end && !(seen.has('changed') && seen.has('gone'))) {
        const said = await tools.diff();
        expect(said).not.toContain(CANARY);
        if (said.includes('+changed')) seen.add('changed');
        if (said.includes('deleted file')) seen.add('gone');
        expect(await tools.status()).not.toContain(CANARY);
      }
      expect([...seen].sort()).toEqual(['changed', 'gone']);
    } finally {
      swapper.kill('SIGKILL');
    }
  }, 20_000);

  test.skipIf(process.platform !== 'linux')(
    '[TL7, CX4] a git that waits for ever is ended with its call (skipped outside Linux)',
    async () => {
      // A FIFO in place of a file of rules: git waits for a writer that never comes.
      execFileSync('mkfifo', [join(at.ws, 'sub', '.gitignore')]);
      put('sub/new.txt', 'c\n');
      const { tools } = runner();
      try {
        const call = starter(tools, at.ws)('git_status', {}, 2_500);
        expect((await call.result).result).toBe('Error (tool-timeout): git took too long and was ended');
        const waits = processes().filter((p) => p.command.includes('--porcelain=v2') && p.state !== 'Z');
        expect(waits.map((p) => p.command)).toEqual([]);
      } finally {
        await tools.close();
      }
    },
  );
});
