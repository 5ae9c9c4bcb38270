import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { setKey } from '../config/edit.ts';
import { valueAt } from '../config/keys.ts';
import { readConfigFile, resolveConfig } from '../config/load.ts';
import { OptaError } from '../protocol/errors.ts';
import { define, nothing, type Operations } from './operation.ts';
import { type Copied, copyText } from './secrets/clipboard.ts';
import { type InferenceKey, inferenceKey } from './secrets/inference-key.ts';
import { keyFrom, masked } from './secrets/providers.ts';
import { Secrets, type SecretsWorld } from './secrets/secrets.ts';

const CONFIG_KEY = 'connection.apiKey';

const found = (world: SecretsWorld): Promise<InferenceKey | null> =>
  inferenceKey(world, resolveConfig({ env: world.env, file: world.paths.configFile }));

export interface KeyShown {
  /** Covered, unless it was to be revealed; '' when there is none. */
  key: string;
  source: InferenceKey['source'] | 'unset';
  configured: boolean;
  copy?: Copied;
}

export const showKey = async (world: SecretsWorld, reveal: boolean, copy: boolean): Promise<KeyShown> => {
  const has = await found(world);
  if (has === null) return { key: '', source: 'unset', configured: false };
  const shown = { key: reveal ? has.key : masked(has.key), source: has.source, configured: true };
  return copy ? { ...shown, copy: await copyText(has.key, world.env) } : shown;
};

/** Rejects with `not-found` when there is none. */
export const copyKey = async (world: SecretsWorld): Promise<Copied> => {
  const has = await found(world);
  if (has !== null) return copyText(has.key, world.env);
  throw new OptaError('not-found', 'No inference key is set: opta key create, or opta keychain set-lmx -');
};

export interface KeyCreated {
  ok: true;
  /** Covered. */
  key: string;
  /** Where it stands: a name or a file. */
  store: string;
  /** What has the last word all the same, such as OPTA_API_KEY. */
  overriddenBy?: string;
  remote: { ok: boolean; message: string };
  copy: Copied;
}

/**
 * Makes a key, or takes the one that is given, for requests to the inference host. It replaces `connection.apiKey` where the user's file
 * sets that, since this outranks the keychain; else it goes to the keychain.
 */
export const createKey = async (
  world: SecretsWorld,
  { value, remote, copy }: { value?: string; remote: boolean; copy: boolean },
): Promise<KeyCreated> => {
  const { paths, env } = world;
  const key = value === undefined ? `opta_${randomBytes(32).toString('base64url')}` : keyFrom(value);
  const inFile = valueAt(readConfigFile(paths.configFile), CONFIG_KEY) !== undefined;
  const store = inFile ? paths.configFile : (await new Secrets(world).set('lmx', key)).store;
  if (inFile) await setKey(paths, env, CONFIG_KEY, JSON.stringify(key));
  const { kind, from } = resolveConfig({ env, file: paths.configFile }).sourceOf(CONFIG_KEY);
  return {
    ok: true,
    key: masked(key),
    store,
    ...(kind === 'env' ? { overriddenBy: from ?? 'the environment' } : {}),
    remote: { ok: false, message: remote ? NO_REMOTE : 'not asked for' },
    copy: copy ? await copyText(key, env) : { ok: false, message: 'not asked for' },
  };
};

const NO_REMOTE = 'This build does not set keys on the inference host: give it the same key there';

/** `key.*`. The key itself never leaves by the wire. */
export const KEY_OPERATIONS: Operations = {
  'key.create': define({
    title: 'Create an inference key',
    description: 'Makes a key for the inference host, or takes the one that is given. Its answer covers it.',
    safety: 'write',
    input: z.object({
      value: z.string().min(1).optional(),
      remote: z.boolean().default(true),
      copy: z.boolean().default(false),
    }),
    run: (world, { value, remote, copy }) =>
      createKey(world, { remote, copy, ...(value === undefined ? {} : { value }) }),
  }),
  'key.show': define({
    title: 'Show the inference key',
    description: 'Whether there is a key for the inference host, and where it comes from. It is always covered here.',
    safety: 'read',
    input: nothing,
    run: (world) => showKey(world, false, false),
  }),
  'key.copy': define({
    title: 'Copy the inference key',
    description: "Puts the key for the inference host on the clipboard of the daemon's machine.",
    safety: 'write',
    input: nothing,
    run: copyKey,
  }),
};
