import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, Family, World } from '../case.ts';

const plain = (name: string, args: string[], more: Partial<Case> = {}): Case => ({ name, args, in: 'empty', ...more });
const settings =
  (text: string) =>
  ({ home }: World): void =>
    writeFileSync(join(home, 'config.json'), text, { mode: 0o600 });
const SECRETS = settings('{"connection":{"host":"127.0.0.1","apiKey":"sk-very-secret"},"model":{"default":"kept"}}\n');
const project = ({ cwd }: World): void => {
  mkdirSync(join(cwd, '.opta'));
  writeFileSync(join(cwd, '.opta', 'config.json'), '{"model":{"default":"of-the-project"}}\n');
};

const CASES: Case[] = [
  plain('list', ['config']),
  plain('list-json', ['config', 'list', '--json'], { before: SECRETS }),
  plain('list-covers-secrets', ['config', 'list'], { before: SECRETS }),
  plain('settings', ['settings', '--json']),
  plain('menu-without-a-terminal', ['config', 'menu']),
  plain('get', ['config', 'get', 'connection.host']),
  plain('get-json', ['config', 'get', 'connection.host', '--json']),
  plain('get-secret', ['config', 'get', 'connection.apiKey'], { before: SECRETS }),
  plain('get-section', ['config', 'get', 'connection'], { before: SECRETS }),
  plain('get-unknown', ['config', 'get', 'connection.hots']),
  plain('get-unknown-json', ['config', 'get', 'connection.hots', '--json']),
  plain('get-needs-a-key', ['config', 'get']),
  plain('set', ['config', 'set', 'model.default', 'new'], { show: ['config.json'] }),
  plain('set-json', ['config', 'set', 'connection.port', '4321', '--json'], { before: SECRETS, show: ['config.json'] }),
  plain('set-bad-value', ['config', 'set', 'connection.port', 'many'], { before: SECRETS, show: ['config.json'] }),
  plain('set-bad-value-json', ['config', 'set', 'connection.port', 'many', '--json']),
  plain('set-unknown', ['config', 'set', 'no.such', '1', '--json']),
  plain('set-needs-a-value', ['config', 'set', 'model.default']),
  plain('set-under-env', ['config', 'set', 'model.default', 'mine'], { env: { OPTA_MODEL: 'of-env' } }),
  plain('delete', ['config', 'delete', 'model.default'], { before: SECRETS, show: ['config.json'] }),
  plain('delete-unset-json', ['config', 'delete', 'model.default', '--json']),
  plain('reset', ['config', 'reset'], { before: SECRETS, show: ['config.json.bak'] }),
  plain('reset-nothing-json', ['config', 'reset', '--json']),
  plain('explain', ['config', 'explain', 'connection.host']),
  plain('explain-json', ['config', 'explain', 'model.default', '--json'], { before: project }),
  plain('path', ['config', 'path']),
  plain('path-json', ['config', 'path', '--json'], { before: project }),
  plain('trust', ['config', 'trust'], { before: project }),
  plain('trust-list-json', ['config', 'trust', 'list', '--json']),
  plain('trust-revoke', ['config', 'trust', '--revoke'], { before: project }),
  plain('trust-nothing', ['config', 'trust', '--json']),
  plain('unknown-action', ['config', 'frobnicate']),
  plain('unknown-action-json', ['config', 'frobnicate', '--json']),
  plain('broken-file', ['config', 'list', '--json'], { before: settings('{"model":') }),
  plain('help', ['config', '--help']),
];

export default { cases: CASES } satisfies Family;
