import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { OptaError } from '../protocol/errors.ts';
import { withFileLock } from './file-lock.ts';
import { hostPolicyOf, refuseModelFiles } from './host-policy.ts';
import { KEYS, keyRow, nearest, pathOf, typeOf, valueAt } from './keys.ts';
import { broken, checked, isLayer, type Layer, parseLayer, readText, setAt, withoutComments } from './layer.ts';
import { pairs } from './pairs.ts';
import { type Env, ensurePrivateDir, type OptaPaths, writePrivateFile } from './paths.ts';
import { ConfigSchema } from './schema.ts';

/** What stood in the user's file before and what stands there now; undefined: nothing. */
export interface Change {
  before: unknown;
  after: unknown;
}

/** Throws `not-found` with what was probably meant, and with all keys for programs. */
export const requireKey = (key: string): void => {
  if (keyRow(key)) return;
  const keys = KEYS.map((row) => row.key);
  const meant = nearest(key, keys);
  const hint = meant === undefined ? 'All keys: opta config list' : `Did you mean "${meant}"?`;
  throw new OptaError('not-found', `Unknown configuration key "${key}". ${hint}`, { keys });
};

/**
 * [CF4] Changes the user's file in one step: the whole is checked before it is written, what else stands there stays, and of several
 * that change it at once none is lost. Throws `not-found`, `invalid-request` or `host-policy`, and then nothing has changed.
 */
export const setKey = async (paths: OptaPaths, env: Env, key: string, text: string): Promise<Change> => {
  requireKey(key);
  const value = readAs(key, text);
  // A table with nothing in it is not kept: it says nothing.
  return change(paths, env, key, isLayer(value) && Object.keys(value).length === 0 ? undefined : value);
};

export const deleteKey = async (paths: OptaPaths, env: Env, key: string): Promise<Change> => {
  requireKey(key);
  return change(paths, env, key, undefined);
};

const change = (paths: OptaPaths, env: Env, key: string, after: unknown): Promise<Change> =>
  editFile(paths, env, (layer) => {
    const before = valueAt(layer, key);
    setAt(layer, pathOf(key), after);
    return { before, after };
  });

/**
 * The same for a change of several keys at once, or of what no single key names. `edit` changes the layer that it is given and may
 * throw; it runs twice, the second time inside the lock.
 */
export const editFile = async <T>(paths: OptaPaths, env: Env, edit: (layer: Layer) => T): Promise<T> => {
  const file = paths.configFile;
  const attempt = (write: boolean): T => {
    const text = readText(file) ?? '{}';
    const layer: Layer = parseLayer(text, file);
    const result = edit(layer);
    const whole = checked(layer, file);
    refuseModelFiles(hostPolicyOf(whole, env), layer);
    if (withoutComments(text) !== text)
      throw broken(file, 'holds comments, which would be lost; change it by hand, or remove them first');
    if (write) writePrivateFile(file, `${JSON.stringify(layer, null, 2)}\n`);
    return result;
  };
  // Refused before a folder is made; done only inside the lock.
  attempt(false);
  ensurePrivateDir(paths.configDir);
  return withFileLock(file, () => attempt(true));
};

/** Puts the file aside as `config.json.bak` and starts from the defaults. False when there was none. */
export const resetFile = (paths: OptaPaths): Promise<boolean> => {
  ensurePrivateDir(paths.configDir);
  return withFileLock(paths.configFile, () => {
    if (!existsSync(paths.configFile)) return false;
    copyFileSync(paths.configFile, `${paths.configFile}.bak`);
    rmSync(paths.configFile);
    return true;
  });
};

/** Text as the key's type reads it: JSON where that fits, the text itself, a list with commas, or pairs for a table. */
const readAs = (key: string, text: string): unknown => {
  const list = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const json = jsonOf(text);
  const tried = (value: unknown) => ConfigSchema.safeParse(layerOf(key, value));
  const fits = [json, text, list, pairs(text)].find((value) => value !== undefined && tried(value).success);
  if (fits !== undefined) return fits;
  const type = typeOf(key);
  const meant = type.startsWith('JSON') ? (json ?? list) : text;
  const details = tried(meant).error?.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`) ?? [];
  const why = type.startsWith('JSON') ? ` (${details.join('; ')})` : '';
  throw new OptaError('invalid-request', `Invalid value for ${key}: expected ${type}${why}. Nothing was changed`, {
    key,
    expected: type,
    details,
  });
};

const layerOf = (key: string, value: unknown): Layer => {
  const layer: Layer = {};
  setAt(layer, pathOf(key), value);
  return layer;
};

const jsonOf = (text: string): unknown => {
  try {
    const value = JSON.parse(text) as unknown;
    return value === null ? undefined : value;
  } catch {
    // Not JSON: then it is text.
    return undefined;
  }
};
