import { hostKey } from '../../config/host-keys.ts';
import type { Resolved } from '../../config/load.ts';
import type { KeyringWait } from './keyring.ts';
import { Secrets, type SecretsWorld, type StoreKind } from './secrets.ts';

export interface InferenceKey {
  key: string;
  /** `config`: `connection.apiKey` of a file; `config-per-host`: `connection.apiKeysByHost`; `keychain`: what `opta keychain set-lmx` stored. */
  source: 'env' | 'config' | 'config-per-host' | 'keychain';
  /** Where a key of the keychain stands. */
  backend?: StoreKind;
}

/** [KY3] The key for the configured host of the environment and the files, then the keychain, which is not asked when one of the others is set. */
export const inferenceKey = async (world: SecretsWorld, settings: Resolved): Promise<InferenceKey | null> => {
  const key = hostKey(settings, 'apiKey');
  if (key !== undefined) return { key, source: sourceOf(settings, key) };
  const kept = await new Secrets(world).get('lmx');
  return kept === null ? null : { key: kept.key, source: 'keychain', backend: kept.from };
};

const sourceOf = ({ config, sourceOf: of }: Resolved, key: string): 'env' | 'config' | 'config-per-host' => {
  if (key !== config.connection.apiKey) return 'config-per-host';
  return of('connection.apiKey').kind === 'env' ? 'env' : 'config';
};

/** A daemon's start waits at most this long for the keyring. */
const START: KeyringWait = { aliveMs: 1_500, totalMs: 1_500 };

/**
 * The keychain's key for the inference host, for a daemon whose configuration names none. Never rejects: a keychain that cannot be read
 * is told to `world.warn`, and the daemon starts without it.
 */
export const keychainKeyAtStart = async (
  world: SecretsWorld & { warn: (why: string) => void },
): Promise<string | undefined> => {
  try {
    return (await new Secrets(world).get('lmx', START))?.key;
  } catch (cause) {
    world.warn(cause instanceof Error ? cause.message : String(cause));
    return undefined;
  }
};
