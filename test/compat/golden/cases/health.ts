import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fakeAdmin } from '../../../support/fake-lmx-admin.ts';
import type { Case, Family, Rule } from '../case.ts';

/** Of the machine and not of the command: the system, Node, the disk, other servers, the adapter of the network. */
const MACHINE: readonly Rule[] = [
  [
    /("name": "(?:Operating System|Node\.js|Disk Headroom|LMX Discovery|Sandbox|Transport)",\n\s+"status": )"\w+"(,\n\s+"message": )"(?:[^"\\]|\\.)*"(?:(,\n\s+"detail": )"(?:[^"\\]|\\.)*")?/g,
    '$1<status>$2<machine>',
  ],
  [
    /^\S (Operating System|Node\.js|Disk Headroom|LMX Discovery|Sandbox|Transport)( +).*(?:\n +→ .*)?$/gm,
    '<status> $1$2<machine>',
  ],
  [/planes over \w+/g, 'planes over <adapter>'],
  [/("(?:passed|warnings)": )\d+/g, '$1<n>'],
  [/\d+ passed, \d+ warnings?/g, '<n> passed, <n> warnings'],
];
const check = (name: string, args: string[], more: Partial<Case> = {}): Case => ({
  name,
  args,
  stable: MACHINE,
  ...more,
});
const broken: Partial<Case> = {
  in: 'empty',
  before: ({ home }) => writeFileSync(join(home, 'config.json'), '{'),
};

const CASES: Case[] = [
  check('doctor', ['doctor']),
  check('doctor-json', ['doctor', '--json']),
  check('doctor-format-json', ['doctor', '-f', 'json', '--fix'], { in: 'empty', env: { OPTA_PORT: '9' } }),
  check('doctor-exit-code', ['doctor', '--exit-code'], { in: 'empty', env: { OPTA_PORT: '9' } }),
  check('doctor-broken-settings', ['doctor'], broken),
  check('doctor-broken-settings-exit-code', ['doctor', '--json', '--exit-code'], broken),
  check('doctor-unknown-format', ['doctor', '-f', 'xml']),
  check('doctor-unknown-option', ['doctor', '--json', '--frobnicate']),
  check('doctor-help', ['doctor', '--help']),
  check('status', ['status']),
  check('status-json', ['status', '--json']),
  check('status-full-json', ['status', '--full', '--json']),
  check('status-host-away', ['status'], { in: 'empty', env: { OPTA_PORT: '9' } }),
  check('status-host-away-json', ['status', '--json'], { in: 'empty', env: { OPTA_PORT: '9' } }),
  check('health', ['health']),
  check('health-json', ['health', '--json']),
  check('health-skip-lmx-json', ['health', '--skip-lmx', '--json'], { in: 'empty' }),
  check('onboard', ['onboard']),
  check('onboard-json', ['onboard', '--json']),
];

export default { lmx: fakeAdmin().options, cases: CASES } satisfies Family;
