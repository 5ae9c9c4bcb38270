import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { OptaError } from '../protocol/errors.ts';
import { withFileLock } from './file-lock.ts';
import { KEYS, pathOf, valueAt } from './keys.ts';
import { isLayer, type Layer, merge, parseLayer, readText, setAt } from './layer.ts';
import { type Env, ensurePrivateDir, type OptaPaths, writePrivateFile } from './paths.ts';
import { ConfigSchema, type PermissionRule, TOOL_KEY } from './schema.ts';

/** What was taken over from the installation before this one; keys only, since values may be secret. */
export interface Imported {
  from: string;
  at: string;
  taken: string[];
  left: string[];
}

/**
 * [CF5] What could widen rights or run something if it ever counted stays behind; so does what belongs to this daemon. `defaultMode` is
 * taken where it narrows; permissions, servers and profiles are looked at one by one.
 */
const mayTake = (key: string, value: unknown): boolean => {
  // On without having been asked for there, it would change repositories here.
  if (key === 'git.autoCommit') return value === false;
  if (key === 'defaultMode') return ['safe', 'plan', 'review', 'research', 'ci'].includes(String(value));
  return !/^(?:hooks|engine|mcp\.servers|profiles\.environments|(?:permissions|daemon|hostPolicy)\..*|connection\.(?:trusted|loopbackOnly))$/.test(
    key,
  );
};

const membersOf = (old: Layer, key: string): [name: string, value: unknown][] => {
  const table = valueAt(old, key);
  return isLayer(table) ? Object.entries(table) : [];
};

/** Without the fields that profiles no longer have. */
const profileOf = (name: string, old: unknown): unknown => {
  if (!isLayer(old) || !isLayer(old.connection)) return old;
  const { host, port, adminKey, apiKey, adminKeysByHost } = old.connection;
  const { modelDefault = '', provider = 'lmx', defaultMode = 'safe', updatedAt = Date.now() } = old;
  const connection = JSON.parse(JSON.stringify({ host, port, adminKey, apiKey, adminKeysByHost })) as Layer;
  return { name, connection, modelDefault, provider, defaultMode, updatedAt };
};

/** Where the older program kept its settings, whatever its own pages said. */
export const oldConfigFile = (env: Env): string => {
  const home = env.HOME || homedir();
  if (process.platform === 'darwin') return join(home, 'Library', 'Preferences', 'opta-nodejs', 'config.json');
  if (process.platform === 'win32' && env.APPDATA) return join(env.APPDATA, 'opta-nodejs', 'Config', 'config.json');
  const xdg = env.XDG_CONFIG_HOME && isAbsolute(env.XDG_CONFIG_HOME) ? env.XDG_CONFIG_HOME : join(home, '.config');
  return join(xdg, 'opta-nodejs', 'config.json');
};

/**
 * [CF5] Reads the older program's settings once, when this one has none yet, and never changes them. What was done is recorded, so
 * that it is neither done nor said again. An `OPTA_HOME` is an installation of its own and imports nothing. Null: nothing to say.
 */
export const importOldConfig = async (paths: OptaPaths, env: Env): Promise<Imported | null> => {
  const from = oldConfigFile(env);
  const due = (): boolean => !existsSync(paths.configFile) && !existsSync(paths.importFile);
  if (env.OPTA_HOME || !due() || !existsSync(from)) return null;
  ensurePrivateDir(paths.configDir);
  return withFileLock(paths.configFile, () => {
    if (!due()) return null;
    const old = readOld(from);
    const { layer, taken } = takenOver(old);
    const left = leaves(old).filter((key) => !taken.some((all) => key === all || key.startsWith(`${all}.`)));
    const report = { from, at: new Date().toISOString(), taken, left };
    if (taken.length > 0) writePrivateFile(paths.configFile, `${JSON.stringify(layer, null, 2)}\n`);
    writePrivateFile(paths.importFile, `${JSON.stringify(report, null, 2)}\n`);
    return report;
  });
};

/** A file that cannot be read is no reason not to start: nothing is taken from it, and that is what the record says. */
const readOld = (file: string): Layer => {
  try {
    const text = readText(file);
    return text === null ? {} : parseLayer(text, file);
  } catch (cause) {
    if (cause instanceof OptaError) return { 'the whole file': 'unreadable' };
    throw cause;
  }
};

const takenOver = (old: Layer): { layer: Layer; taken: string[] } => {
  let layer: Layer = {};
  const taken: string[] = [];
  const take = (key: string, part: Layer): void => {
    const next = merge(layer, part);
    if (!ConfigSchema.safeParse(next).success) return;
    layer = next;
    taken.push(key);
  };
  const at = (path: string[], value: unknown): Layer => {
    const part: Layer = {};
    setAt(part, path, value);
    return part;
  };
  for (const { key } of KEYS) {
    const value = valueAt(old, key);
    if (value === undefined || value === '' || !mayTake(key, value)) continue;
    take(key, at(pathOf(key), value));
  }
  for (const [name, server] of membersOf(old, 'mcp.servers'))
    take(`mcp.servers.${name}`, at(['mcp', 'servers', name], server));
  for (const [name, profile] of membersOf(old, 'profiles.environments'))
    take(`profiles.environments.${name}`, at(['profiles', 'environments', name], profileOf(name, profile)));
  // An old `allow` asked all the same below a certain autonomy level: taking it over would widen what tools may do.
  const rules: PermissionRule[] = [];
  for (const [tool, action] of membersOf(old, 'permissions')) {
    if (action !== 'deny' && action !== 'ask') continue;
    if (TOOL_KEY.test(tool)) take(`permissions.${tool}`, at(['permissions', tool], action));
    else {
      // A name that is no key here, such as one with a dot.
      rules.push({ tool, action });
      take(`permissions.${tool}`, at(['permissions', 'rules'], [...rules]));
    }
  }
  return { layer, taken };
};

/** The dotted keys of everything that is said. */
const leaves = (layer: Layer, prefix = ''): string[] =>
  Object.entries(layer).flatMap(([name, value]) =>
    isLayer(value) && Object.keys(value).length > 0 ? leaves(value, `${prefix}${name}.`) : [`${prefix}${name}`],
  );

const SHOWN_MAX = 8;

export const importLine = ({ from, taken, left }: Imported, paths: OptaPaths): string => {
  const some = (keys: string[]): string =>
    `${keys.slice(0, SHOWN_MAX).join(', ')}${keys.length > SHOWN_MAX ? ` and ${keys.length - SHOWN_MAX} more` : ''}`;
  const what = taken.length === 0 ? 'took nothing over' : `took over ${some(taken)}`;
  const rest = left.length === 0 ? '' : `; left ${some(left)}`;
  return `opta: settings of an older version in ${from}: ${what}${rest} (recorded in ${paths.importFile})`;
};
