import type { Case, Family } from '../case.ts';

const plain = (name: string, args: string[], more: Partial<Case> = {}): Case => ({ name, args, in: 'empty', ...more });
/** What they hold is the tree of commands, which the help of each tells. */
const SCRIPT = [[/--- stdout\n[\s\S]+?--- stderr/, '--- stdout\n<script>\n--- stderr']] as const;

const CASES: Case[] = [
  plain('version', ['version']),
  plain('version-json', ['version', '--json'], { stable: [[/"\d+\.\d+\.\d+"/g, '"<version>"']] }),
  plain('version-check', ['version', '--check'], { stable: [[/\b\d+\.\d+\.\d+\b/g, '<version>']] }),
  plain('completions-bash', ['completions', 'bash'], { stable: SCRIPT }),
  plain('completions-install', ['completions', 'fish', '--install']),
  plain('completions-of-shell', ['completions'], { env: { SHELL: '/bin/zsh' }, stable: SCRIPT }),
  plain('completions-unknown-shell', ['completions', 'tcsh']),
  ...['account', 'vault', 'apps', 'workspace', 'benchmark', 'ceo-bench', 'browser', 'update', 'memory'].flatMap(
    (name) => [
      plain(`absent-${name}`, [name, 'status', '--some-flag']),
      plain(`absent-${name}-json`, [name, '--json']),
    ],
  ),
];

export default { cases: CASES } satisfies Family;
