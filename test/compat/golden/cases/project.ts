import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, Family, World } from '../case.ts';

const plain = (name: string, args: string[], more: Partial<Case> = {}): Case => ({ name, args, in: 'empty', ...more });
/** A repository with one change that is not committed. */
const repository = ({ cwd }: World): void => {
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.invalid', ...args], { cwd, stdio: 'ignore' });
  git('init', '-q', '-b', 'main');
  writeFileSync(join(cwd, 'a.txt'), 'one\n');
  git('add', '.');
  git('commit', '-q', '-m', 'one');
  writeFileSync(join(cwd, 'a.txt'), 'two\n');
};

const CASES: Case[] = [
  plain('init', ['init', '--yes'], { show: ['.opta/config.json', 'AGENTS.md'] }),
  plain('init-json', ['init', '-y', '--json']),
  plain('init-again', ['init', '--yes'], { before: ({ opta }) => opta('init', '--yes') }),
  plain('diff', ['diff'], { before: repository, stable: [[/here\/\.git\/.*\n/g, '']] }),
  plain('diff-json', ['diff', '--json'], { before: repository, stable: [[/here\/\.git\/.*\n/g, '']] }),
  plain('diff-no-repository', ['diff']),
  plain('diff-no-repository-json', ['diff', '--json']),
  plain('init-help', ['init', '--help']),
];

export default { cases: CASES } satisfies Family;
