import { editFile } from '../config/edit.ts';
import { valueAt } from '../config/keys.ts';
import { isLayer, type Layer, setAt } from '../config/layer.ts';
import { readConfigFile, resolveConfig } from '../config/load.ts';
import type { Profile } from '../config/schema.ts';
import { covered } from '../config/secrets.ts';
import { OptaError } from '../protocol/errors.ts';
import type { OperationWorld } from './operation.ts';

/** Named sets of settings in the user's configuration: `profiles.environments`, and which was applied last. */
type World = Pick<OperationWorld, 'env' | 'paths'>;

/** What a profile says in place of what holds now. */
export interface ProfileInput {
  host?: string | undefined;
  port?: number | undefined;
  /** Empty: none. */
  adminKey?: string | undefined;
  adminKeysByHost?: { [host: string]: string } | undefined;
  model?: string | undefined;
  provider?: string | undefined;
  mode?: Profile['defaultMode'] | undefined;
}

const NAME_CHARS_MAX = 64;

/** As the older program wrote names, so that scripts find what they saved. Throws `invalid-request` when nothing is left. */
export const profileName = (text: string | undefined): string => {
  const name = (text ?? '')
    .trim()
    .toLowerCase()
    .replace(/\s+/g, '-')
    .replace(/[^a-z0-9._-]/g, '')
    .replace(/^[._-]+/, '')
    .slice(0, NAME_CHARS_MAX);
  if (name === '') throw new OptaError('invalid-request', 'Missing profile name: opta env <action> <name>');
  return name;
};

const hidden = (profile: Profile): unknown => covered('profiles.environments', { [profile.name]: profile });
/** Without its secrets. */
const shownProfile = (profile: Profile): unknown => (hidden(profile) as Layer)[profile.name];

const stored = ({ env, paths }: World): { profiles: { [name: string]: Profile }; current: string | null } => {
  const { environments, activeEnvironment } = resolveConfig({ env, file: paths.configFile }).config.profiles;
  const current = activeEnvironment !== undefined && environments[activeEnvironment] ? activeEnvironment : null;
  return { profiles: environments, current };
};

const unknown = (name: string, profiles: object): OptaError => {
  const names = Object.keys(profiles).sort();
  const which = names.length === 0 ? 'There is none: opta env save <name>' : `There are: ${names.join(', ')}`;
  return new OptaError('not-found', `Environment profile not found: ${name}. ${which}`, { profiles: names });
};

export const listProfiles = (world: World) => {
  const { profiles, current } = stored(world);
  const newest = Object.values(profiles).sort((a, b) => b.updatedAt - a.updatedAt || a.name.localeCompare(b.name));
  return { current, profiles: newest.map(shownProfile) as Profile[] };
};

/** Without a name, the active one. */
export const showProfile = (world: World, text: string | undefined) => {
  const { profiles, current } = stored(world);
  if (text === undefined && current === null)
    throw new OptaError('not-found', 'No environment profile is active: opta env use <name>');
  const name = text === undefined ? (current as string) : profileName(text);
  const profile = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (profile === undefined) throw unknown(name, profiles);
  return { current, profile: shownProfile(profile) as Profile };
};

/**
 * What holds now, with `input` in its place. Keys come from the user's file or `input`: one that the environment lends is not written
 * down. The first profile counts as the active one, as it always did.
 */
export const saveProfile = async (world: World, text: string | undefined, input: ProfileInput) => {
  const name = profileName(text);
  const { env, paths } = world;
  const { connection, model, defaultMode } = resolveConfig({ env, file: paths.configFile }).config;
  const user = readConfigFile(paths.configFile);
  const adminKey = input.adminKey ?? valueAt(user, 'connection.adminKey');
  const apiKey = valueAt(user, 'connection.apiKey');
  const adminKeysByHost = input.adminKeysByHost ?? valueAt(user, 'connection.adminKeysByHost');
  const profile = {
    name,
    connection: {
      host: input.host ?? connection.host,
      port: input.port ?? connection.port,
      ...(adminKey ? { adminKey } : {}),
      ...(apiKey ? { apiKey } : {}),
      ...(isLayer(adminKeysByHost) && Object.keys(adminKeysByHost).length > 0 ? { adminKeysByHost } : {}),
    },
    modelDefault: input.model ?? model.default,
    provider: input.provider ?? (valueAt(user, 'provider.active') as string | undefined) ?? 'lmx',
    defaultMode: input.mode ?? defaultMode,
    updatedAt: Date.now(),
  } as Profile;
  await editFile(paths, env, (layer) => {
    setAt(layer, ['profiles', 'environments', name], profile);
    if (valueAt(layer, 'profiles.activeEnvironment') === undefined)
      setAt(layer, ['profiles', 'activeEnvironment'], name);
  });
  return { saved: name, profile: shownProfile(profile) as Profile };
};

/** Writes the profile's settings into the user's configuration. A running daemon has them after a restart. */
export const applyProfile = async (world: World, text: string | undefined) => {
  const name = profileName(text);
  const { env, paths } = world;
  return editFile(paths, env, (layer) => {
    const profile = valueAt(layer, `profiles.environments`) as { [name: string]: Profile } | undefined;
    const found = profile && Object.hasOwn(profile, name) ? profile[name] : undefined;
    if (found === undefined) throw unknown(name, profile ?? {});
    const { connection, modelDefault, provider, defaultMode } = found;
    applyKeys(layer, connection);
    const applied: { [key: string]: unknown } = {
      'connection.host': connection.host,
      'connection.port': connection.port,
      'provider.active': provider,
      defaultMode,
      'model.default': modelDefault,
    };
    for (const [key, value] of Object.entries(applied)) setAt(layer, key.split('.'), value);
    setAt(layer, ['profiles', 'activeEnvironment'], name);
    return { active: name, applied };
  });
};

/**
 * Keys go with their host. The profile's are put in place, and nothing that the tables say of its host stands before them. A key that
 * it does not have moves to the table, under the host that it was for: it is neither lost nor sent to the next one.
 */
const applyKeys = (layer: Layer, next: Profile['connection']): void => {
  const before = valueAt(layer, 'connection.host');
  for (const kind of ['apiKey', 'adminKey'] as const) {
    const table = `${kind}sByHost`;
    const old = valueAt(layer, `connection.${kind}`);
    if (next[kind] === undefined && typeof before === 'string' && before !== next.host && old !== undefined) {
      const known = valueAt(layer, `connection.${table}`);
      if (!isLayer(known) || !Object.hasOwn(known, before)) setAt(layer, ['connection', table, before], old);
      setAt(layer, ['connection', kind], undefined);
    }
    if (next[kind] === undefined) continue;
    setAt(layer, ['connection', kind], next[kind]);
    for (const of of [next.host, `${next.host}:${next.port}`])
      if (valueAt(layer, `connection.${table}`) !== undefined) setAt(layer, ['connection', table, of], undefined);
  }
  for (const [host, key] of Object.entries(next.adminKeysByHost ?? {}))
    setAt(layer, ['connection', 'adminKeysByHost', host], key);
};

/** The settings that it has given stay. None is active when it was; no other one has been applied in its place. */
export const deleteProfile = async (world: World, text: string | undefined) => {
  const name = profileName(text);
  return editFile(world.paths, world.env, (layer) => {
    const profiles = valueAt(layer, 'profiles.environments');
    if (!isLayer(profiles) || !Object.hasOwn(profiles, name)) throw unknown(name, isLayer(profiles) ? profiles : {});
    setAt(layer, ['profiles', 'environments', name], undefined);
    if (valueAt(layer, 'profiles.activeEnvironment') === name)
      setAt(layer, ['profiles', 'activeEnvironment'], undefined);
    return { deleted: name };
  });
};
