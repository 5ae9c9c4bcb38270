import type { Case, Family, World } from '../case.ts';

const plain = (name: string, args: string[], more: Partial<Case> = {}): Case => ({ name, args, in: 'empty', ...more });
const saved = async ({ opta }: World): Promise<void> => {
  await opta(
    'env',
    'save',
    'home',
    '--host',
    '127.0.0.1',
    '--port',
    '4321',
    '--admin-key',
    'very-secret',
    '--model',
    'm',
  );
};
const UPDATED = [[/("updatedAt":\s?)\d+/g, '$1<n>']] as const;

const CASES: Case[] = [
  plain('list-none', ['env']),
  plain('list-none-json', ['env', '--json']),
  plain('list', ['env', 'list'], { before: saved }),
  plain('list-json', ['env', 'ls', '--json'], { before: saved, stable: UPDATED }),
  plain('show', ['env', 'show', 'home'], { before: saved }),
  plain('show-json', ['env', 'show', 'home', '--json'], { before: saved, stable: UPDATED }),
  plain('save', ['env', 'save', 'Home Office', '--host', '127.0.0.1']),
  plain('save-json', ['env', 'set', 'home', '--provider', 'claude', '--json'], { stable: UPDATED }),
  plain('save-bad-provider', ['env', 'save', 'home', '--provider', 'nope', '--json']),
  plain('save-bad-map', ['env', 'save', 'home', '--admin-keys-by-host', 'nonsense', '--json']),
  plain('save-needs-a-name', ['env', 'save', '--json']),
  plain('use', ['env', 'use', 'home'], { before: saved, show: ['config.json'], stable: UPDATED }),
  plain('use-json', ['env', 'switch', 'home', '--json'], { before: saved, stable: UPDATED }),
  plain('use-missing', ['env', 'use', 'nobody']),
  plain('use-missing-json', ['env', 'use', 'nobody', '--json']),
  plain('delete', ['env', 'delete', 'home'], { before: saved }),
  plain('delete-json', ['env', 'rm', 'home', '--json'], { before: saved }),
  plain('delete-missing-json', ['env', 'remove', 'nobody', '--json']),
  plain('unknown-action', ['env', 'frobnicate']),
  plain('unknown-action-json', ['env', 'frobnicate', '--json']),
  plain('help', ['env', '--help']),
];

export default { cases: CASES } satisfies Family;
