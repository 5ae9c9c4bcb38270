import type { FoundOperation, Safety } from '../protocol/operations/named.ts';

const absent = (safety: Safety, why: string): Required<FoundOperation> => ({
  safety,
  absent: `Not part of this build: ${why}`,
});

const ACCOUNT = 'there are no accounts; keys are kept on this machine (keychain.*)';
const VAULT = 'nothing is synchronised between machines; rules are in the configuration (config.*)';
const APPS = 'there are no other apps to install';
const BENCHMARK = 'it measures no models';
const BROWSER = 'it drives no browser; an MCP server can (mcp.add-playwright)';
const SERVE = 'it does not reach into the machine of the inference server; on that machine: opta lmx serve';
const AUDIO = 'it handles text only';

/**
 * Ids that other versions run and this one does not, each with its reason. They are not listed; a run answers `not-in-this-build`,
 * so that a client can tell them from a mistyped id.
 */
export const ABSENT: { readonly [id: string]: Required<FoundOperation> } = {
  'account.status': absent('read', ACCOUNT),
  'account.signup': absent('write', ACCOUNT),
  'account.login': absent('write', ACCOUNT),
  'account.logout': absent('write', ACCOUNT),
  'account.keys.list': absent('read', ACCOUNT),
  'account.keys.push': absent('write', ACCOUNT),
  'account.keys.delete': absent('write', ACCOUNT),
  'vault.pull': absent('write', VAULT),
  'vault.pull-keys': absent('write', VAULT),
  'vault.pull-rules': absent('write', VAULT),
  'vault.push-rules': absent('write', VAULT),
  'vault.status': absent('read', VAULT),
  'apps.list': absent('read', APPS),
  'apps.install': absent('write', APPS),
  'apps.uninstall': absent('write', APPS),
  'update.run': absent('write', 'it has no update source; install a newer version over this one'),
  'onboard.apply': absent(
    'write',
    'its questions are asked at a terminal (opta onboard); set what you need with config.set',
  ),
  'browser.runtime': absent('write', BROWSER),
  'browser.host': absent('write', BROWSER),
  benchmark: absent('dangerous', BENCHMARK),
  'ceo.benchmark': absent('dangerous', BENCHMARK),
  'serve.start': absent('write', SERVE),
  'serve.stop': absent('write', SERVE),
  'serve.restart': absent('write', SERVE),
  'serve.logs': absent('read', SERVE),
  'models.browse.library': absent('read', 'it has no library of models; a download names its repository'),
  'audio.transcribe': absent('read', AUDIO),
  'audio.tts': absent('read', AUDIO),
};
