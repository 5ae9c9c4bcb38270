import type { Entry as EntryOf } from '@napi-rs/keyring';
import type { KeyringAnswer, KeyringAsk, KeyringReply } from './keyring.ts';

/**
 * The process that talks to the system's keyring. A keyring behind a bus that hangs blocks whoever asks it, already when an entry is
 * made, and a blocked thread keeps a process from ending; so it is a process of its own, and its parent ends it at a deadline.
 */
const say = (reply: KeyringReply): Promise<void> => new Promise((resolve) => process.send?.(reply, () => resolve()));

const run = async ({ service, requests }: KeyringAsk): Promise<void> => {
  const { Entry } = await import('@napi-rs/keyring');
  // The kernel's own keyring, to which the library falls back, forgets at a restart of the machine: that is no place for keys.
  const entry = (account: string): EntryOf => new Entry(service, account, { linux: { store: 'secret-service' } });
  entry('probe').getPassword();
  await say({ alive: true });
  const answers = requests.map((request): KeyringAnswer => {
    const at = entry(request.account);
    if (request.op === 'set') {
      at.setPassword(request.secret);
      return at.getPassword() === request.secret;
    }
    if (request.op === 'delete') return at.deletePassword();
    const secret = at.getPassword();
    return request.op === 'get' ? secret : (secret ?? '') !== '';
  });
  await say({ answers });
};

process.once('message', (ask: KeyringAsk) => {
  run(ask)
    .catch((cause: unknown) => say({ failed: cause instanceof Error ? cause.message : String(cause) }))
    .finally(() => process.disconnect());
});
