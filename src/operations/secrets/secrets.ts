import type { Env, OptaPaths } from '../../config/paths.ts';
import { OptaError } from '../../protocol/errors.ts';
import {
  type Keyring,
  type KeyringAnswer,
  type KeyringRequest,
  type KeyringWait,
  systemKeyring,
  unavailable,
} from './keyring.ts';
import { accountOf, keyFrom, PROVIDERS, type Provider, SERVICE } from './providers.ts';
import { readSecrets, secretFileOf, writeSecret } from './secret-file.ts';

export type StoreKind = 'os' | 'file' | 'off';

/** Where a new key goes, and why there. */
export interface StoreInfo {
  backend: StoreKind;
  /** The keyring's name, or the file. */
  store: string;
  why: string;
}

export interface SecretsWorld {
  paths: OptaPaths;
  env: Env;
  /** Told why a keyring that should have been asked for a key gave no answer; then it may hold one all the same. */
  warn?: (why: string) => void;
}

const READ: KeyringWait = { aliveMs: 3_000, totalMs: 6_000 };
/** Somebody may have to find a password, to unlock the keyring. */
const CHANGE: KeyringWait = { aliveMs: 3_000, totalMs: 45_000 };

/**
 * Keys of providers, in the system's keyring or, where none answers, in a file. A key stands in the file only while no newer one went to
 * the keyring, so the file is looked at first; what is in both is taken out of the file. `OPTA_KEYRING` forces one of them, or none.
 */
export class Secrets {
  readonly #paths: OptaPaths;
  readonly #service: string;
  readonly #keyring: Keyring;
  readonly #backend: StoreKind;
  /** Why the keyring is not asked, or null. */
  readonly #unasked: string | null;
  readonly #forced: boolean;
  readonly #warn: ((why: string) => void) | undefined;

  constructor({ paths, env, warn }: SecretsWorld, keyring: Keyring = systemKeyring(env)) {
    const mode = modeOf(env);
    this.#paths = paths;
    this.#keyring = keyring;
    this.#forced = mode === 'os';
    this.#warn = warn;
    // An installation of its own neither sees nor changes the keys of another.
    this.#service = env.OPTA_HOME ? `${SERVICE} ${paths.configDir}` : SERVICE;
    this.#unasked = unaskedBecause(mode, env, keyring);
    this.#backend = mode === 'off' ? 'off' : this.#unasked === null ? 'os' : 'file';
  }

  /** Null when there is none. Rejects with `invalid-request` for a damaged file, `keyring-unavailable` only when it is forced. */
  async get(provider: Provider, wait: KeyringWait = READ): Promise<{ key: string; from: StoreKind } | null> {
    if (this.#backend === 'off') return null;
    const inFile = this.#forced ? undefined : readSecrets(this.#paths).get(accountOf(provider));
    if (inFile !== undefined) return { key: inFile, from: 'file' };
    const answers = await this.#try([{ op: 'get', account: accountOf(provider) }], wait);
    if ('why' in answers) {
      if (this.#backend === 'os') this.#warn?.(`${this.#keyring.name} cannot be used: ${answers.why}`);
      return null;
    }
    const [key] = answers.answers;
    return typeof key === 'string' && key !== '' ? { key, from: 'os' } : null;
  }

  /** Which keys there are, without reading them out. */
  async status(): Promise<StoreInfo & { stored: Map<Provider, StoreKind> }> {
    const stored = new Map<Provider, StoreKind>();
    if (this.#backend === 'off') return { ...this.#info(), stored };
    const requests = PROVIDERS.map((p): KeyringRequest => ({ op: 'has', account: accountOf(p) }));
    const asked = await this.#try(requests, READ);
    const inFile = this.#forced ? new Map() : readSecrets(this.#paths);
    for (const [i, provider] of PROVIDERS.entries()) {
      if (inFile.has(accountOf(provider))) stored.set(provider, 'file');
      else if ('answers' in asked && asked.answers[i] === true) stored.set(provider, 'os');
    }
    return { ...this.#info('why' in asked ? asked.why : null), stored };
  }

  /** Where it went. The key is there when this resolves. */
  async set(provider: Provider, text: string): Promise<StoreInfo> {
    const secret = keyFrom(text);
    if (this.#backend === 'off') throw unavailable('OPTA_KEYRING=off: no key is kept. Nothing was changed');
    const account = accountOf(provider);
    const asked = await this.#try([{ op: 'set', account, secret }], CHANGE);
    if ('answers' in asked && asked.answers[0] === true) {
      await writeSecret(this.#paths, account, null);
      return this.#info();
    }
    if (this.#forced) throw unavailable(`${this.#keyring.name} did not keep the key`);
    await writeSecret(this.#paths, account, secret);
    return this.#info('why' in asked ? asked.why : 'it did not keep the key');
  }

  /** From everywhere. `unasked` says why a key may still be in the keyring. */
  async delete(provider: Provider): Promise<{ deleted: boolean; unasked: string | null }> {
    if (this.#backend === 'off') throw unavailable('OPTA_KEYRING=off: no key is kept. Nothing was changed');
    const account = accountOf(provider);
    const asked = await this.#try([{ op: 'delete', account }], CHANGE);
    const inFile = await writeSecret(this.#paths, account, null);
    if ('why' in asked) return { deleted: inFile, unasked: this.#backend === 'os' ? asked.why : null };
    return { deleted: inFile || asked.answers[0] === true, unasked: null };
  }

  async #try(
    requests: readonly KeyringRequest[],
    wait: KeyringWait,
  ): Promise<{ answers: KeyringAnswer[] } | { why: string }> {
    if (this.#unasked !== null) return { why: this.#unasked };
    try {
      return { answers: await this.#keyring.ask({ service: this.#service, requests }, wait) };
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      if (this.#forced) throw unavailable(`${this.#keyring.name} cannot be used: ${why}`);
      return { why };
    }
  }

  #info(failed: string | null = null): StoreInfo {
    if (this.#backend === 'off') return { backend: 'off', store: '', why: 'OPTA_KEYRING=off' };
    const file = { backend: 'file' as const, store: secretFileOf(this.#paths) };
    if (this.#unasked !== null) return { ...file, why: this.#unasked };
    if (failed !== null) return { ...file, why: `${this.#keyring.name} cannot be used: ${failed}` };
    const why = this.#forced ? 'OPTA_KEYRING=os' : 'the keyring of the system answers';
    return { backend: 'os', store: this.#keyring.name, why };
  }
}

const MODES = ['auto', 'os', 'file', 'off'] as const;
type Mode = (typeof MODES)[number];

const modeOf = (env: Env): Mode => {
  const text = env.OPTA_KEYRING?.trim().toLowerCase() || 'auto';
  const mode = MODES.find((name) => name === text);
  if (mode !== undefined) return mode;
  throw new OptaError('invalid-request', `OPTA_KEYRING must be one of ${MODES.join(', ')}, not "${text}"`);
};

const unaskedBecause = (mode: Mode, env: Env, keyring: Keyring): string | null => {
  if (mode === 'file' || mode === 'off') return `OPTA_KEYRING=${mode}`;
  if (mode === 'os') return null;
  if (env.OPTA_HOME)
    return 'OPTA_HOME is set: its folder holds everything of this installation (OPTA_KEYRING=os: the keyring)';
  return keyring.absent;
};
