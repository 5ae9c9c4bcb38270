import type { Resolved } from '../../config/load.ts';
import type { KeyringWait } from './keyring.ts';
import { Secrets, type SecretsWorld, type StoreKind } from './secrets.ts';

export interface InferenceKey {
  key: string;
  /** `config`: `connection.apiKey` of a file; `keychain`: what `opta keychain set-lmx` stored. */
  source: 'env' | 'config' | 'keychain';
  /** Where a key of the keychain stands. */
  backend?: StoreKind;
}

/** [KY3] `OPTA_API_KEY`, then `connection.apiKey`, then the keychain, which is not asked when one of the others is set. */
export const inferenceKey = async (
  world: SecretsWorld,
  { config, sourceOf }: Resolved,
): Promise<InferenceKey | null> => {
  const { apiKey } = config.connection;
  if (apiKey !== undefined)
    return { key: apiKey, source: sourceOf('connection.apiKey').kind === 'env' ? 'env' : 'config' };
  const kept = await new Secrets(world).get('lmx');
  return kept === null ? null : { key: kept.key, source: 'keychain', backend: kept.from };
};

/** A daemon's start waits at most this long for the keyring. */
const START: KeyringWait = { aliveMs: 1_500, totalMs: 1_500 };

/**
 * The keychain's key for the inference host, for a daemon whose configuration names none. Never rejects: a keychain that cannot be read
 * is said, and the daemon starts without it.
 */
export const keychainKeyAtStart = async (
  world: SecretsWorld,
  warn: (why: string) => void,
): Promise<string | undefined> => {
  try {
    return (await new Secrets(world).get('lmx', START))?.key;
  } catch (cause) {
    warn(cause instanceof Error ? cause.message : String(cause));
    return undefined;
  }
};
