import type { Case, Family, World } from '../case.ts';

const plain = (name: string, args: string[], more: Partial<Case> = {}): Case => ({ name, args, in: 'empty', ...more });
const kept = ({ opta }: World): Promise<unknown> => opta('keychain', 'set-openai', 'sk-very-secret');
const made = ({ opta }: World): Promise<unknown> => opta('key', 'create', '--no-copy', '--value', 'key-very-secret');
/** A key that was made up. */
const RANDOM = [[/("key":\s?")[^"(]{8,}(")/g, '$1<key>$2']] as const;

const CASES: Case[] = [
  plain('keychain-status', ['keychain']),
  plain('keychain-status-json', ['keychain', 'status', '--json'], { before: kept }),
  plain('keychain-set', ['keychain', 'set-anthropic', 'sk-very-secret']),
  plain('keychain-set-stdin-json', ['keychain', 'set-claude', '-', '--json'], { stdin: 'sk-very-secret\n' }),
  plain('keychain-set-needs-a-key', ['keychain', 'set-openai'], { stdin: { closed: true } }),
  plain('keychain-delete-json', ['keychain', 'delete-openai', '--json'], { before: kept }),
  plain('keychain-delete-missing-json', ['keychain', 'delete-openai', '--json']),
  plain('keychain-unknown-provider-json', ['keychain', 'set-nobody', 'x', '--json']),
  plain('keychain-unknown-action', ['keychain', 'frobnicate']),
  plain('keychain-off-json', ['keychain', 'set-openai', 'x', '--json'], { env: { OPTA_KEYRING: 'off' } }),
  plain('key-show', ['key', 'show']),
  plain('key-show-json', ['key', 'show', '--json'], { before: made }),
  plain('key-show-reveal-json', ['key', 'show', '--reveal', '--json'], { before: made }),
  plain('key-create-json', ['key', 'create', '--no-copy', '--no-remote', '--json'], { stable: RANDOM }),
  plain('key-copy-none-json', ['key', 'copy', '--json']),
  plain('keychain-help', ['keychain', '--help']),
  plain('key-help', ['key', '--help']),
];

export default { cases: CASES } satisfies Family;
