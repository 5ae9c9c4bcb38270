import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Keys, readKeys } from '../../src/cli/chat/key-file.ts';
import { optaPaths } from '../../src/config/paths.ts';
import { projectConfig } from '../../src/config/project.ts';
import { decideTrust } from '../../src/config/trust.ts';

const KEYS = JSON.stringify({ palette: { key: 'ctrl+p' } });

describe('files of keys', () => {
  let home: string;
  let repo: string;
  beforeEach(() => {
    home = realpathSync(mkdtempSync(join(tmpdir(), 'opta-keys-')));
    repo = join(home, 'repo');
    mkdirSync(join(home, 'own'));
    mkdirSync(join(repo, '.git'), { recursive: true });
    mkdirSync(join(repo, '.opta'));
    mkdirSync(join(repo, 'deep', 'down'), { recursive: true });
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  const env = () => ({ OPTA_HOME: join(home, 'own'), HOME: home });
  const own = (): string => join(home, 'own', 'keybindings.json');
  const theirs = (): string => join(repo, '.opta', 'keybindings.json');
  const keysOf = (folder = repo): Keys => readKeys(optaPaths(env()), folder, env());
  const trust = async (trusted: boolean): Promise<void> => {
    writeFileSync(join(repo, '.opta', 'config.json'), '{}');
    const project = projectConfig(repo, env());
    if (!project) throw new Error('there is no project');
    await decideTrust(optaPaths(env()), project.file, { sha256: project.sha256, trusted });
  };
  /** Whoever waits for the pipe gets an end of it, late: a fault is a failure then, and no test that never ends. */
  const pipe = (path: string): (() => void) => {
    execFileSync('mkfifo', [path]);
    const late = spawn('sh', ['-c', 'sleep 3; : <> "$0"', path], { stdio: 'ignore' });
    return () => void late.kill();
  };

  test.runIf(process.platform !== 'win32')('[TM3] a pipe holds up nobody, and is said', () => {
    const end = pipe(own());
    const beganMs = Date.now();
    expect(keysOf()).toEqual({ overrides: {}, notes: [expect.stringMatching(/^keys: .*it is not a file$/)] });
    expect(Date.now() - beganMs).toBeLessThan(2_000);
    end();
  });

  test.each([
    ['a folder', () => mkdirSync(own()), /it is not a file/],
    ['a device', () => symlinkSync('/dev/zero', own()), /it is not a file/],
    ['more than 64 KiB', () => writeFileSync(own(), `${KEYS}${' '.repeat(65_537)}`), /larger than 65536 bytes/],
    ['64 KiB of two-byte signs', () => writeFileSync(own(), `"${'é'.repeat(40_000)}"`), /larger than 65536 bytes/],
    ['no JSON', () => writeFileSync(own(), '{'), /it has to be/],
    ['another shape', () => writeFileSync(own(), '{"palette": 1}'), /it has to be/],
  ])('[TM3] %s is passed over and said in one line', (_, make, said) => {
    make();
    const { overrides, notes } = keysOf();
    expect(overrides).toEqual({});
    expect(notes).toEqual([expect.stringMatching(said)]);
    expect(notes[0]).toContain(own());
    expect(notes[0]).not.toContain('\n');
  });

  test('[TM3] one’s own need not be private, and may be a link', () => {
    writeFileSync(join(home, 'dotfile'), KEYS, { mode: 0o666 });
    symlinkSync(join(home, 'dotfile'), own());
    expect(keysOf()).toEqual({ overrides: { palette: { key: 'ctrl+p' } }, notes: [] });
  });

  test.runIf(process.platform !== 'win32')('[TM3, CF3] a project’s is opened once the project is trusted', async () => {
    // What is read is said to be no file, so this shows whether it was.
    const end = pipe(theirs());
    const unread = [`keys: ${theirs()} is not used, since the project is not trusted`];
    expect(keysOf().notes).toEqual(unread);
    await trust(false);
    expect(keysOf().notes).toEqual(unread);
    await trust(true);
    expect(keysOf().notes).toEqual([expect.stringContaining('it is not a file')]);
    end();
    rmSync(theirs());
    writeFileSync(theirs(), KEYS);
    expect(keysOf()).toEqual({ overrides: { palette: { key: 'ctrl+p' } }, notes: [] });
    writeFileSync(join(repo, '.opta', 'config.json'), '{"ui": {}} ');
    expect(keysOf()).toEqual({ overrides: {}, notes: unread });
  });

  test('[TM3] it is found where the project’s configuration is: from folders below, and through links', async () => {
    writeFileSync(theirs(), KEYS);
    await trust(true);
    symlinkSync(join(repo, 'deep'), join(home, 'link'));
    for (const folder of [join(repo, 'deep', 'down'), join(home, 'link', 'down')])
      expect(keysOf(folder)).toEqual({ overrides: { palette: { key: 'ctrl+p' } }, notes: [] });
    // Beside no trusted configuration there are none.
    mkdirSync(join(repo, 'deep', '.opta'));
    writeFileSync(join(repo, 'deep', '.opta', 'keybindings.json'), JSON.stringify({ palette: { key: 'f9' } }));
    expect(keysOf(join(repo, 'deep')).overrides).toEqual({ palette: { key: 'ctrl+p' } });
  });
});
