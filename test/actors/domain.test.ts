import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deltaGate, split } from '../../src/actors/domain/delta-gate.ts';
import { deniedPaths, judge, rulePath, turnPolicy } from '../../src/actors/domain/permission-policy.ts';
import { mayRestart, restartDelayMs, withCrash } from '../../src/actors/domain/restart-policy.ts';
import { ModeSchema } from '../../src/protocol/turn.ts';

describe('permission policy', () => {
  const rule = (tool: string, action: 'allow' | 'ask' | 'deny', path?: string) => ({ tool, action, path });

  test('[PM4] the defaults of each mode and flag', () => {
    const table = [
      ['chat', {}, 'read', 'allow'],
      ['chat', {}, 'write', 'ask'],
      ['do', {}, 'write', 'ask'],
      ['do', { auto: true }, 'write', 'allow'],
      ['do', { auto: true }, 'exec', 'ask'],
      ['do', { dangerous: true }, 'exec', 'allow'],
      ['plan', { dangerous: true }, 'write', 'deny'],
      ['review', { auto: true }, 'exec', 'deny'],
      ['research', {}, 'read', 'allow'],
    ] as const;
    for (const [mode, overrides, toolClass, action] of table) {
      expect(judge(turnPolicy(mode, overrides, []), 't', { toolClass }).action, `${mode} ${toolClass}`).toBe(action);
    }
  });

  test('[PM5] for any rules, mode and flags a deny that matches is never a run', () => {
    const rules = fc.array(
      fc.record({
        tool: fc.constantFrom('*', 'write_*', 'write_file', 'x'),
        action: fc.constantFrom('allow', 'ask', 'deny'),
      }),
    );
    fc.assert(
      fc.property(
        rules,
        rules,
        fc.constantFrom(...ModeSchema.options),
        fc.boolean(),
        fc.boolean(),
        (before, after, mode, auto, dangerous) => {
          const all = [...before, rule('write_file', 'deny'), ...after];
          return (
            judge(turnPolicy(mode, { auto, dangerous }, all), 'write_file', { toolClass: 'write', path: 'a' })
              .action === 'deny'
          );
        },
      ),
    );
  });

  test('[PM4] for any rules a read-only mode never lets a writer run', () => {
    const rules = fc.array(
      fc.record({ tool: fc.constantFrom('*', 'w'), action: fc.constantFrom('allow', 'ask', 'deny') }),
    );
    fc.assert(
      fc.property(
        rules,
        fc.constantFrom('plan', 'review', 'research'),
        fc.constantFrom('write', 'exec', 'network', 'delegate'),
        fc.boolean(),
        (all, mode, toolClass, confined) => {
          const policy = turnPolicy(mode, { auto: true, dangerous: true }, all);
          const isReadingTheWeb = mode === 'research' && toolClass === 'network';
          return isReadingTheWeb || judge(policy, 'w', { toolClass, confined }).action === 'deny';
        },
      ),
    );
    const research = turnPolicy('research', {}, []);
    expect(judge(research, 'web_fetch', { toolClass: 'network' }).action).toBe('ask');
  });

  test('[TL5] --auto allows a command in the sandbox, and nothing that is not in it', () => {
    const auto = turnPolicy('do', { auto: true }, []);
    expect(judge(auto, 'run_command', { toolClass: 'exec', confined: true })).toEqual({
      action: 'allow',
      by: 'rule:auto',
    });
    expect(judge(auto, 'run_command', { toolClass: 'exec', confined: false }).action).toBe('ask');
    expect(judge(turnPolicy('do', {}, []), 'run_command', { toolClass: 'exec', confined: true }).action).toBe('ask');
  });

  test('[PM10] --auto does not cover what runs or decides something later, in any spelling; a rule or --dangerous may', () => {
    const at = (path: string, policy = turnPolicy('do', { auto: true }, [])) =>
      judge(policy, 'write_file', { toolClass: 'write', path: rulePath(path, '/w') });
    for (const path of [
      '.git/hooks/pre-commit',
      '/w/.git/config',
      'a/../.git/config',
      './.GIT/config',
      'sub/.git/hooks/x',
      'sub/.git',
      '.opta/config.json',
      'sub/.opta/tools/x.json',
      '.git',
    ])
      expect(at(path), path).toEqual({ action: 'ask', by: 'rule:write' });
    for (const path of ['.gitignore', 'src/git/x', '.github/workflows/x.yml', 'opta/config.json'])
      expect(at(path), path).toEqual({ action: 'allow', by: 'rule:auto' });
    expect(at('.git/config', turnPolicy('do', { dangerous: true }, [])).action).toBe('allow');
    const mine = turnPolicy('do', { auto: true }, [{ tool: 'write_file', path: '.opta/*', action: 'allow' }]);
    expect(at('.opta/rules.md', mine).by).toBe('rule:user:write_file');
    // A link may give them another name: where only --auto allowed the call, they are refused where the file is opened.
    expect(deniedPaths(mine, 'edit_file', 'rule:auto')).toContain('.git/*');
    expect(deniedPaths(mine, 'edit_file', 'rule:user:write_file')).toEqual([]);
    expect(deniedPaths(mine, 'read_file', 'rule:auto')).toEqual([]);
  });

  test('[PM9] a rule for commands widens for one program alone, and narrows for every part', () => {
    const rules = [
      { tool: 'run_command', command: 'npm test*', action: 'allow', from: 'project' },
      { tool: 'run_command', command: 'git push*', action: 'deny' },
    ] as const;
    const at = (command: string) =>
      judge(turnPolicy('do', {}, [...rules]), 'run_command', { toolClass: 'exec', command });
    expect(at('npm test -- --watch')).toEqual({ action: 'allow', by: 'rule:project:run_command' });
    for (const more of ['; rm -rf .', ' && x', ' | sh', ' > f', ' $(x)', ' `x`', '\nx', ' & x'])
      expect(at(`npm test${more}`).action, more).toBe('ask');
    for (const hidden of [
      'git push',
      'cd a && git push -f',
      'true; git push',
      'echo $(git push)',
      '(git push)',
      'a|git push',
    ])
      expect(at(hidden), hidden).toEqual({ action: 'deny', by: 'rule:user:run_command' });
    expect(at('git status').action).toBe('ask');
    fc.assert(
      fc.property(
        fc.string({ maxLength: 20 }),
        fc.constantFrom(';', '|', '&', '\n', '`', '$('),
        (text, sign) => at(`npm test ${text}${sign}x${text}`).action !== 'allow',
      ),
    );
  });

  test('[PM5] what may not be read is not shown by a search or by git', () => {
    const policy = turnPolicy('do', {}, [{ tool: 'read_file', path: '.env', action: 'deny' }]);
    for (const tool of ['read_file', 'search_files', 'git_diff', 'git_status', 'git_log'])
      expect(deniedPaths(policy, tool), tool).toEqual(['.env']);
    expect(deniedPaths(policy, 'write_file')).toEqual([]);
  });

  test('[PM5] rules match by glob on tool and path, last match wins, and no pattern is slow', () => {
    const rules = [rule('*', 'allow'), rule('write_*', 'ask', 'src/*'), rule('write_file', 'deny', 'src/secret*')];
    const at = (path: string | undefined) =>
      judge(turnPolicy('do', {}, rules), 'write_file', { toolClass: 'write', path }).action;
    expect([at('docs/a'), at('src/a'), at('src/secrets'), at(undefined)]).toEqual(['allow', 'ask', 'deny', 'allow']);
    const hostile = turnPolicy('do', {}, [rule(`${'*a'.repeat(200)}b`, 'deny')]);
    expect(judge(hostile, 'a'.repeat(2_000), { toolClass: 'read' }).action).toBe('allow');
  });
});

test('[SV1] restart intensity: allowed within the bound, then not; old crashes are forgotten; back-off is bounded', () => {
  const limits = { restartsMax: 3, restartWindowMs: 1_000, restartBackoffBaseMs: 10, restartBackoffMaxMs: 50 };
  let history: number[] = [];
  const verdicts = [0, 100, 200, 300].map((at) => {
    history = withCrash(history, at, limits);
    return [mayRestart(history, limits), restartDelayMs(history, limits)];
  });
  expect(verdicts).toEqual([
    [true, 10],
    [true, 20],
    [true, 40],
    [false, 50],
  ]);
  expect(withCrash(history, 2_000, limits)).toEqual([2_000]);
});

describe('delta gate', () => {
  test('[EV3] for any deltas and any bound: nothing lost, order kept, no surrogate pair parted, every piece within the bound', () => {
    const delta = fc.tuple(fc.constantFrom('text', 'thinking'), fc.string({ unit: 'grapheme', maxLength: 40 }));
    fc.assert(
      fc.property(fc.array(delta, { maxLength: 30 }), fc.integer({ min: 2, max: 20 }), (deltas, charsMax) => {
        const gate = deltaGate(charsMax);
        for (const [kind, text] of deltas) gate.push(kind as 'text', text);
        const out = gate.cut();
        const flat = (items: readonly (readonly [string, string])[], kind: string) =>
          items
            .filter(([k]) => k === kind)
            .map(([, t]) => t)
            .join('');
        const pieces = out.flatMap((run) => run.texts.map((t) => [run.kind, t] as const));
        expect(flat(pieces, 'text')).toBe(flat(deltas, 'text'));
        expect(flat(pieces, 'thinking')).toBe(flat(deltas, 'thinking'));
        expect(gate.size).toBe(0);
        for (const [, t] of pieces) {
          expect(t.length).toBeLessThanOrEqual(charsMax);
          expect(t.length).toBeGreaterThan(0);
          expect(/[\uD800-\uDBFF]$/.test(t) || /^[\uDC00-\uDFFF]/.test(t)).toBe(false);
        }
      }),
    );
  });

  test('[EV3] a lone surrogate at the cut does not loop', () => {
    expect(split('\uD800\uD800\uD800', 1)).toEqual(['\uD800', '\uD800', '\uD800']);
  });
});
