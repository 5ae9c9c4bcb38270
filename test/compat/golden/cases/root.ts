import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, Family } from '../case.ts';

const plain = (name: string, args: string[], more: Partial<Case> = {}): Case => ({ name, args, in: 'empty', ...more });
const clientOnly: Partial<Case> = {
  before: ({ home }) => writeFileSync(join(home, 'config.json'), '{"hostPolicy":{"role":"client"}}'),
};

const CASES: Case[] = [
  plain('version', ['--version']),
  plain('version-short', ['-V']),
  plain('no-arguments', []),
  plain('help', ['--help']),
  plain('help-command', ['help', 'do']),
  plain('unknown-command', ['frobnicate']),
  plain('unknown-command-json', ['frobnicate', '--json']),
  plain('unknown-option', ['--frobnicate']),
  plain('misspelt-command', ['sesions']),
  plain('verbose', ['--verbose', 'daemon', 'status']),
  plain('verbose-after-the-command', ['daemon', 'status', '--verbose']),
  plain('lmx-serve', ['lmx', 'serve']),
  plain('lmx-serve-json', ['lmx', 'serve', '--json']),
  plain('lmx-status', ['lmx', 'status']),
  plain('lmx-status-json', ['lmx', 'status', '--json']),
  plain('lmx-stop', ['lmx', 'stop']),
  plain('lmx-stop-json', ['lmx', 'stop', '--json']),
  plain('lmx-serve-refused', ['lmx', 'serve'], clientOnly),
  plain('lmx-serve-refused-json', ['lmx', 'serve', '--json'], clientOnly),
];

export default { cases: CASES } satisfies Family;
