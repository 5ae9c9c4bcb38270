import { fakeAdmin } from '../../../support/fake-lmx-admin.ts';
import type { Case, Family } from '../case.ts';

const SEEN = [[/("(?:firstSeenAt|lastSeenAt)":\s?)"[^"]+"/g, '$1"<time>"']] as const;
const models = (name: string, args: string[], more: Partial<Case> = {}): Case => ({
  name,
  args: ['models', ...args],
  ...more,
});
const away: Partial<Case> = { in: 'empty', env: { OPTA_PORT: '9' } };

const CASES: Case[] = [
  models('list', ['list']),
  models('list-json', ['list', '--json']),
  models('no-action-json', ['--json']),
  models('list-full-json', ['list', '--full', '--json']),
  models('dashboard', ['dashboard']),
  models('dashboard-json', ['dashboard', '--json']),
  models('info', ['info', 'fake']),
  models('info-json', ['info', 'fake-model', '--json']),
  models('info-missing', ['info', 'nobody']),
  models('info-missing-json', ['info', 'nobody', '--json']),
  models('info-needs-a-name-json', ['info', '--json']),
  models('use-json', ['use', 'fake-model', '--json'], { alone: true }),
  models('use-needs-a-name', ['use']),
  models('load-json', ['load', 'fake-model', '--json'], { alone: true }),
  models('unload-json', ['unload', 'fake-model', '--json'], { alone: true }),
  models('unload-missing-json', ['unload', 'nobody', '--json']),
  models('swap-needs-two-json', ['swap', 'fake-model', '--json']),
  models('aliases-json', ['aliases', '--json']),
  models('alias-json', ['alias', 'mine', 'fake-model', '--json'], { alone: true }),
  models('unalias-missing-json', ['unalias', 'nobody', '--json']),
  models('history-json', ['history', '--json'], { in: 'empty', stable: SEEN }),
  models('health-json', ['health', '--json']),
  models('rag-json', ['rag', 'collections', '--json']),
  models('browse', ['browse']),
  models('help', ['help']),
  models('usage', ['--help']),
  models('list-host-away', ['list'], away),
  models('list-host-away-json', ['list', '--json'], away),
  models('bad-device-json', ['list', '--device', 'a b', '--json']),
  { name: 'embed-json', args: ['embed', 'some', 'text', '--json'] },
  { name: 'embed-host-away-json', args: ['embed', 'some', 'text', '--json'], ...away },
  { name: 'embed-needs-text-json', args: ['embed', '--json'] },
  { name: 'rerank-json', args: ['rerank', 'query', '-d', 'a|b', '--json'] },
  { name: 'rerank-needs-documents-json', args: ['rerank', 'query', '--json'] },
  { name: 'serve', args: ['serve'] },
  { name: 'serve-json', args: ['serve', '--json'] },
  { name: 'serve-start-json', args: ['serve', 'start', '--json'] },
  { name: 'serve-host-away-json', args: ['serve', '--json'], ...away },
];

export default { lmx: fakeAdmin().options, cases: CASES } satisfies Family;
