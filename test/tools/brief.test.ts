import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import { rulesOf } from '../../src/tools/brief.ts';

describe('rules of a workspace', () => {
  let top: string;
  let n = 0;
  beforeAll(() => {
    top = mkdtempSync(join(tmpdir(), 'opta-brief-'));
    writeFileSync(join(top, 'outside.md'), 'SECRET');
  });
  afterAll(() => rmSync(top, { recursive: true, force: true }));
  const workspace = (): string => {
    const path = join(top, `w${++n}`);
    mkdirSync(join(path, '.opta'), { recursive: true });
    return path;
  };

  test('[TB4] plain files of the workspace, in a fixed order; one that is long is cut and says so', async () => {
    const w = workspace();
    writeFileSync(join(w, '.opta', 'memory.md'), 'remember');
    writeFileSync(join(w, 'AGENTS.md'), 'é'.repeat(LIMITS.ruleFileBytesMax));
    const [first, second] = await rulesOf(w);
    expect(first?.file).toBe('AGENTS.md');
    expect(first?.text).toMatch(/^é+.?\n\[AGENTS\.md is longer/);
    expect(second).toEqual({ file: '.opta/memory.md', text: 'remember' });
    expect(await rulesOf(undefined)).toEqual([]);
    expect(await rulesOf(join(w, 'gone'))).toEqual([]);
  });

  test('[TB4] a link within the workspace counts, one that leaves it does not; nor does a FIFO, a folder or a binary file', async () => {
    const w = workspace();
    writeFileSync(join(w, 'CLAUDE.md'), 'inside');
    symlinkSync('CLAUDE.md', join(w, 'AGENTS.md'));
    symlinkSync(join(top, 'outside.md'), join(w, '.opta', 'rules.md'));
    writeFileSync(join(w, '.opta', 'memory.md'), 'a\0b');
    expect(await rulesOf(w)).toEqual([{ file: 'AGENTS.md', text: 'inside' }]);
    const other = workspace();
    execFileSync('mkfifo', [join(other, 'AGENTS.md')]);
    mkdirSync(join(other, '.opta', 'rules.md'));
    expect(await rulesOf(other)).toEqual([]);
    const linked = join(top, `l${++n}`);
    symlinkSync(w, linked);
    expect(await rulesOf(linked)).toHaveLength(1);
    const away = workspace();
    rmSync(join(away, '.opta'), { recursive: true });
    mkdirSync(join(top, 'elsewhere'), { recursive: true });
    writeFileSync(join(top, 'elsewhere', 'rules.md'), 'SECRET');
    symlinkSync(join(top, 'elsewhere'), join(away, '.opta'));
    expect(await rulesOf(away)).toEqual([]);
  });
});
