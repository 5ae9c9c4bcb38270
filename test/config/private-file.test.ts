import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readPrivateFile, writePrivateFile } from '../../src/config/paths.ts';

describe.skipIf(process.platform === 'win32')('[WB3] a file that gives rights', () => {
  let dir: string;
  let file: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'opta-test-'));
    file = join(dir, 'keys.json');
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  test('is read as it was written, and is nothing where there is none', () => {
    expect(readPrivateFile(file, 10)).toBeNull();
    writePrivateFile(file, 'text');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readPrivateFile(file, 4)).toBe('text');
  });

  test('is refused when others may write to it', () => {
    writePrivateFile(file, 'text');
    for (const mode of [0o620, 0o602, 0o666]) {
      chmodSync(file, mode);
      expect(() => readPrivateFile(file, 10)).toThrow('other users may write to it');
    }
    chmodSync(file, 0o644);
    expect(readPrivateFile(file, 10)).toBe('text');
  });

  test('is refused when it is large, a folder, a link or a pipe, which is not waited for', () => {
    writePrivateFile(file, 'text');
    expect(() => readPrivateFile(file, 3)).toThrow('it has 4 bytes');
    const at = (name: string): string => join(dir, name);
    symlinkSync(file, at('link'));
    expect(() => readPrivateFile(at('link'), 10)).toThrow('ELOOP');
    mkdirSync(at('folder'));
    expect(() => readPrivateFile(at('folder'), 10)).toThrow('it is no file');
    execFileSync('mkfifo', [at('pipe')]);
    expect(() => readPrivateFile(at('pipe'), 10)).toThrow('it is no file');
  });

  test('replaces a link, and not what it leads to', () => {
    const other = join(dir, 'other');
    writeFileSync(other, 'theirs');
    symlinkSync(other, file);
    writePrivateFile(file, 'ours');
    expect([readPrivateFile(file, 10), readPrivateFile(other, 10)]).toEqual(['ours', 'theirs']);
  });
});
