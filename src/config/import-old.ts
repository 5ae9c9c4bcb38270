import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { OptaError } from '../protocol/errors.ts';
import { withFileLock } from './file-lock.ts';
import { valueAt } from './keys.ts';
import { isLayer, type Layer, merge, parseLayer, readText, setAt } from './layer.ts';
import { type Env, ensurePrivateDir, type OptaPaths, writePrivateFile } from './paths.ts';
import { ConfigSchema, type PermissionRule } from './schema.ts';

/** What was taken over from the installation before this one; keys only, since values may be secret. */
export interface Imported {
  from: string;
  at: string;
  taken: string[];
  left: string[];
}

/** Keys that mean the same in both. */
const SAME = ['connection.host', 'connection.port', 'connection.apiKey', 'model.default'];

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
    const left = leaves(old).filter((key) => !taken.includes(key));
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
  for (const key of SAME) {
    const value = valueAt(old, key);
    if (value === undefined || value === '') continue;
    const part: Layer = {};
    setAt(part, key.split('.'), value);
    take(key, part);
  }
  const rules: PermissionRule[] = [];
  // An old `allow` asked all the same below a certain autonomy level: taking it over would widen what tools may do.
  for (const [tool, action] of Object.entries(isLayer(old.permissions) ? old.permissions : {})) {
    if (action !== 'deny' && action !== 'ask') continue;
    rules.push({ tool, action });
    take(`permissions.${tool}`, { permissions: { rules: [...rules] } });
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
