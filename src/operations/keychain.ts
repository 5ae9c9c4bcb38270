import { z } from 'zod';
import { KEY_OPERATIONS } from './key.ts';
import { define, type NamedOperation, nothing, type Operations } from './operation.ts';
import { fieldOf, PROVIDERS, type Provider } from './secrets/providers.ts';
import { Secrets, type SecretsWorld, type StoreInfo } from './secrets/secrets.ts';

/** Whether keys can be kept, where, and for whom there is one: a member for each provider. */
export interface KeychainStatus extends StoreInfo {
  available: boolean;
  [provider: string]: unknown;
}

export const keychainStatus = async (world: SecretsWorld): Promise<KeychainStatus> => {
  const { stored, ...info } = await new Secrets(world).status();
  const kept = Object.fromEntries(PROVIDERS.map((provider) => [fieldOf(provider), stored.has(provider)]));
  return { available: info.backend !== 'off', ...kept, ...info };
};

export interface KeychainSet extends StoreInfo {
  provider: Provider;
  stored: true;
  status: KeychainStatus;
}

export const keychainSet = async (world: SecretsWorld, provider: Provider, key: string): Promise<KeychainSet> => {
  const info = await new Secrets(world).set(provider, key);
  return { provider, stored: true, ...info, status: await keychainStatus(world) };
};

export interface KeychainDelete {
  provider: Provider;
  /** Whether there was one. */
  deleted: boolean;
  /** Why the keyring could not be asked, when one may still be there. */
  unasked?: string;
  status: KeychainStatus;
}

export const keychainDelete = async (world: SecretsWorld, provider: Provider): Promise<KeychainDelete> => {
  const { deleted, unasked } = await new Secrets(world).delete(provider);
  const status = await keychainStatus(world);
  return { provider, deleted, ...(unasked === null ? {} : { unasked }), status };
};

/** Those that have operations of their own; the others are for the command line alone. */
const WITH_OPERATIONS = ['anthropic', 'lmx', 'gemini', 'openai', 'opencode-zen'] as const satisfies readonly Provider[];

const rows = (verb: 'set' | 'delete', row: (provider: Provider) => NamedOperation): Operations =>
  Object.fromEntries(WITH_OPERATIONS.map((provider) => [`keychain.${verb}-${provider}`, row(provider)]));

/** `keychain.*` and `key.*`. */
export const KEYCHAIN_OPERATIONS: Operations = {
  ...KEY_OPERATIONS,
  'keychain.status': define({
    title: 'Keychain status',
    description: 'Where keys of providers are kept, and for which providers there is one.',
    safety: 'read',
    input: nothing,
    run: keychainStatus,
  }),
  ...rows('set', (provider) =>
    define({
      title: `Store the ${provider} key`,
      description: `Keeps the API key of ${provider} in the keychain.`,
      safety: 'write',
      input: z.object({ apiKey: z.string().min(1) }),
      run: (world, { apiKey }) => keychainSet(world, provider, apiKey),
    }),
  ),
  ...rows('delete', (provider) =>
    define({
      title: `Delete the ${provider} key`,
      description: `Removes the API key of ${provider} from the keychain.`,
      safety: 'write',
      input: nothing,
      run: (world) => keychainDelete(world, provider),
    }),
  ),
};
