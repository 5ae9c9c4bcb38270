import type { Case, Family, World } from '../case.ts';

const plain = (name: string, args: string[], more: Partial<Case> = {}): Case => ({
  name,
  args: ['mcp', ...args],
  in: 'empty',
  ...more,
});
/** Neither of the two answers. */
const added = async ({ opta }: World): Promise<void> => {
  await opta('mcp', 'add', 'files', 'no-such-command-here --root /tmp', '--env', 'TOKEN=very-secret');
  await opta('mcp', 'add', 'far', 'http://127.0.0.1:9/mcp');
};
const TIMES = [
  [/("(?:latencyMs)":\s?)\d+/g, '$1<n>'],
  [/(probe failed: )[^"]+/g, '$1<reason>'],
] as const;

const CASES: Case[] = [
  plain('list-none', ['list']),
  plain('list-none-json', ['list', '--json']),
  plain('list', ['list'], { before: added }),
  plain('list-json', ['list', '--json'], { before: added }),
  plain('list-reveal-json', ['list', '--json', '--reveal'], { before: added }),
  plain('add', ['add', 'files', 'npx -y some-package', '--env', 'A=b,C=d'], { show: ['config.json'] }),
  plain('add-json', ['add', 'far', 'http://127.0.0.1:9/mcp', '--json']),
  plain('add-again-json', ['add', 'files', 'other', '--json'], { before: added }),
  plain('add-needs-a-command', ['add', 'files']),
  plain('add-playwright-json', ['add-playwright', '--json'], { show: ['config.json'] }),
  plain('add-playwright-bad-mode-json', ['add-playwright', '--mode', 'fly', '--json']),
  plain('remove', ['remove', 'files'], { before: added }),
  plain('remove-missing-json', ['remove', 'nobody', '--json']),
  plain('test-missing-json', ['test', 'nobody', '--json']),
  plain('test-dead-json', ['test', 'files', '--json'], { before: added, stable: TIMES }),
  plain('health-none-json', ['health', '--json']),
  plain('health-json', ['health', '--json'], { before: added, stable: TIMES }),
  plain('health-bad-timeout-json', ['health', '--timeout-ms', 'soon', '--json']),
  plain('help', ['--help']),
];

export default { cases: CASES } satisfies Family;
